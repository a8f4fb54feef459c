"""
`store migrate gate` as people and machines see it: words, forms, exit codes, and what is left of it when it is interrupted.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest
from typer.testing import CliRunner

from store import _files
from store.cli import app
from store.gate._observe import Rule
from store.migrate import review
from tests.databases import TestServer
from tests.gate_project import NOTES, SCHEMA, git, repository, wheel, written

__all__ = ["repository"]  # fixtures

MIGRATIONS = _files.folder("migrations")
DOCS = Path(__file__).resolve().parents[1] / "docs" / "migrations.md"


@pytest.fixture
def run(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """
    Run the command on the server of the tests; return its exit code, stdout and stderr.
    """

    @contextmanager
    def made(_: int | None = None) -> Iterator[review.Scratch]:
        yield review.Scratch(server.dsn, f"store_test_gate_{os.getpid()}")

    monkeypatch.setattr(review, "scratch", made)

    def invoke(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["migrate", "gate", *arguments])
        return done.exit_code, done.stdout, done.stderr

    return invoke


TEAM = ("--sql", "sql/queries", "--migrations", "migrations")


def test_command_speaks_json(
    run: Callable[..., tuple[int, str, str]], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    code, out, err = run("--previous", "v1.8.0", *TEAM, "--json")
    found: dict[str, Any] = json.loads(out)

    assert (code, found["exit_code"], found["outcome"], found["command"]) == (9, 9, "refused", "gate")
    assert found["previous"] == {"ref": "v1.8.0", "version": "1.8.0"}
    assert (found["pending"], found["judged"], found["needs"]) == (["0002_x"], 9, [])
    assert found["findings"] == [
        {
            "file": "migrations/0002_x.sql",
            "line": 1,
            "column": 1,
            "rule": "query-refused",
            "severity": "error",
            "message": 'notes.list_links of v1.8.0: column "url" does not exist (42703)',
            "mend": "first release code that does without, and change the schema one release later, in a file headed "
            "`-- store: contract-after: 1.8.0`",
            "migration": "0002_x",
            "ddl": "ALTER TABLE store.links DROP COLUMN url",
            "queries": ["notes.list_links"],
            "place": "sql/queries/notes.sql:28",
            "sqlstate": "42703",
        }
    ]
    assert "trying 1 pending migration on a throw-away server" in err
    assert "0002_x (1 of 1): 9 queries of v1.8.0" in err


def test_command_speaks_to_people_and_to_github(
    run: Callable[..., tuple[int, str, str]], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    code, out, _ = run("--previous", "v1.8.0", *TEAM, "--no-json")

    assert code == 9
    assert out.splitlines()[:2] == [
        "migrations/0002_x.sql:1  ALTER TABLE store.links DROP COLUMN url",
        '  error query-refused  notes.list_links of v1.8.0: column "url" does not exist (42703) (sql/queries/notes.sql:28)',
    ]
    assert out.splitlines()[-1] == "9 queries of v1.8.0, 1 pending migration: 1 error, 0 warnings"

    code, out, _ = run("--previous", "v1.8.0", *TEAM, "--format", "github")

    assert code == 9
    assert out.startswith("::error file=migrations/0002_x.sql,line=1,col=1,title=query-refused::notes.list_links of v1.8.0: ")


def test_command_says_what_comes_first(
    run: Callable[..., tuple[int, str, str]], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    (repository / "migrations" / "0002_x.sql").write_text("ALTER TABLE store.notes ADD COLUMN kind text;", encoding="utf-8")
    more = "\n-- name: {}()\n-- Kinds.\nSELECT n.kind FROM store.notes AS n;\n"
    text = NOTES + more.format("take_notes") + more.format("type_notes")
    (repository / "sql" / "queries" / "notes.sql").write_text(text, encoding="utf-8")
    code, out, _ = run("--previous", "v1.8.0", *TEAM, "--no-json")

    assert code == 0
    assert out.splitlines() == [
        "migrate first, deploy then; before `store migrate down`, roll the code back:",
        "  without 0002_x: column n.kind does not exist (42703): notes.take_notes, notes.type_notes",
        "9 queries of v1.8.0, 1 pending migration: 0 errors, 0 warnings",
    ]


def test_nothing_pending_needs_no_server(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: int | None = None) -> None:
        raise AssertionError

    monkeypatch.chdir(repository)
    monkeypatch.setattr(review, "scratch", never)
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "two")
    done = CliRunner().invoke(app, ["migrate", "gate", "--previous", "main", *TEAM, "--no-json"])

    assert (done.exit_code, done.stdout) == (0, "nothing to do: main has every migration\n")

    done = CliRunner().invoke(app, ["migrate", "gate", "--previous", "main", *TEAM, "--json"])

    assert (json.loads(done.stdout)["exit_code"], json.loads(done.stdout)["pending"]) == (0, [])


def test_a_version_that_there_is_none_of_is_refused_where_nothing_is_pending(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "two")
    done = CliRunner().invoke(app, ["migrate", "gate", "--previous", "main", *TEAM, "--pg", "15", "--json"])

    assert (done.exit_code, json.loads(done.stdout)["exit_code"]) == (2, 2)
    assert json.loads(done.stdout)["error"]["message"] == "there is no embedded PostgreSQL 15, only 16 and 18"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--previous", "v9", *TEAM), 2),
        (("--previous=-v9", *TEAM), 2),
        (("--previous", "v1.8.0", *TEAM, "--pg", "15"), 2),
        (("--previous", "v1.8.0", "--sql", "sql/queries"), 2),
        (("--previous", "v1.8.0", "--sql", "..", "--migrations", "migrations"), 2),
        (("--previous", "v1.8.0", "--sql", "absent", "--migrations", "migrations"), 2),
        (("--previous", "v1.8.0", "--sql", "sql/queries", "--migrations", "absent"), 2),
        ((), 2),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    run: Callable[..., tuple[int, str, str]],
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
) -> None:
    monkeypatch.chdir(repository)
    found, out, err = run(*arguments)

    assert found == code
    assert "Traceback" not in out + err


def test_edited_history_is_seven(
    run: Callable[..., tuple[int, str, str]], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    (repository / "migrations" / "0001_x.sql").write_text(SCHEMA + "-- more", encoding="utf-8")
    code, out, _ = run("--previous", "v1.8.0", *TEAM, "--json")

    assert code == json.loads(out)["exit_code"] == 7
    assert "0001_x is another one in v1.8.0" in json.loads(out)["error"]["message"]
    assert [each["rule"] for each in json.loads(out)["refusals"]] == ["edited"]


def test_commands_of_the_page_run(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    docs/migrations.md, `Rolling deploys`: in a repository whose tag is one commit back, beside the wheel of the same version.
    """
    text = DOCS.read_text(encoding="utf-8")
    page = text[text.index("## Rolling deploys") : text.index("## Reviewing a migration")]
    commands = re.findall(r"^(?:- run: )?store migrate gate (.*)$", page, re.MULTILINE)
    root = written(tmp_path / "shop")
    shutil.move(root / "sql", root / "app")
    shutil.move(root / "migrations", root / "app" / "migrations")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    git(root, "tag", "v1.8.0")
    (root / "app" / "migrations" / "0002_x.sql").write_text("ALTER TABLE store.notes ADD COLUMN kind text;", encoding="utf-8")
    (root / "app" / "migrations" / "0002_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "two")
    wheel(root / "plainstore-1.8.0-py3-none-any.whl", MIGRATIONS.parent)
    monkeypatch.chdir(root)
    found = [run(*command.split()) for command in commands]

    assert [(code, err.count("(1 of 1)")) for code, _, err in found] == [(0, 1), (0, 0), (0, 1)]


def test_page_names_every_rule() -> None:
    text = DOCS.read_text(encoding="utf-8")
    table = text[text.index("| rule | found |") : text.index("An error is exit code 9")]
    named = {name for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([a-z-]+)`", cell)}
    rules = set(get_args(Rule)) | {"may-change", "does-not-apply", "refused-before", "query-file"}

    assert named == rules


def test_interrupted_gate_leaves_no_server(repository: Path, tmp_path: Path) -> None:
    """
    As a person at a terminal would end it, while a migration takes its time on the throw-away server.
    """
    (repository / "migrations" / "0003_x.sql").write_text("SELECT pg_sleep(600);", encoding="utf-8")
    (repository / "migrations" / "0003_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    (home := tmp_path / "tmp").mkdir()
    mark, version = {"STORE_TEST_MARK": str(home)}, os.environ.get("STORE_TEST_PG", "18")
    command = [sys.executable, "-m", "store", "migrate", "gate", "--previous", "v1.8.0", *TEAM, "--pg", version, "--json"]
    environment = os.environ | mark | {"TMPDIR": str(home)}
    with subprocess.Popen(
        command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as started:
        assert started.stderr is not None
        assert any(line.startswith("0003_x") for line in started.stderr)
        at_work = marked(mark)
        started.send_signal(signal.SIGINT)
        out, _ = started.communicate(timeout=60)

    assert (started.returncode, json.loads(out)["outcome"]) == (5, "interrupted")
    assert "postgres" in {process.info["name"] for process in at_work}
    assert psutil.wait_procs(at_work, timeout=30)[1] == []
    assert list(home.iterdir()) == []


def marked(mark: dict[str, str]) -> list[psutil.Process]:
    """
    Return the processes that were started with this in their environment, and by those.
    """
    found = []
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            if mark.items() <= process.environ().items():
                found.append(process)
    return found
