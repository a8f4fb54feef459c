"""
What is wrong outside the files ends with its exit code and one sentence, and leaves the database as it was or resumable; and none of the
faults of plain yoyo is left.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from psycopg.conninfo import make_conninfo
from typer.core import TyperOption

from store import embedded, migrate
from store.cli._migrate_commands import app
from store.errors import MigrationError
from tests.databases import Connection, TestServer
from tests.waiting import unmeasured

ROOT = Path(__file__).resolve().parents[1]
Connect = Callable[[], Connection]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(*texts: str) -> Path:
        place = tmp_path / "migrations"
        place.mkdir(exist_ok=True)
        for number, text in enumerate(texts, 1):
            (place / f"{number:04}_x.sql").write_text(text, encoding="utf-8")
            (place / f"{number:04}_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
        return place

    return write


def environment(dsn: str) -> dict[str, str]:
    return os.environ | {"DATABASE_URL": dsn, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def store(dsn: str, *arguments: str) -> tuple[int, str, str]:
    """
    Run the command; return exit code, message and outcome.
    """
    done = subprocess.run(
        [sys.executable, "-m", "store", "migrate", *arguments],
        env=environment(dsn), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.stdout.count("\n") == 1
    found = json.loads(done.stdout)
    assert found["exit_code"] == done.returncode
    return done.returncode, (found["error"] or {}).get("message", ""), found["outcome"]


# --- the server ------------------------------------------------------------------------------------------------------


def test_a_wrong_password(server_directory: Path, folder: Callable[..., Path]) -> None:
    """
    Refused at once, however long --wait is, and said without the password.
    """
    own = embedded.start(server_directory / "scram", int(os.environ.get("STORE_TEST_PG", "18")))
    with psycopg.connect(own.dsn(), autocommit=True) as connection:
        connection.execute("CREATE ROLE ada LOGIN PASSWORD 'right'")
        hba = Path(str(connection.execute("SHOW hba_file").fetchone()[0]))
        hba.write_text("local all ada scram-sha-256\n" + hba.read_text(encoding="utf-8"), encoding="utf-8")
        connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while connection.execute("SELECT FROM pg_hba_file_rules WHERE 'ada' = ANY(user_name)").fetchone() is None:
            assert time.monotonic() < deadline
    code, message, outcome = store(
        make_conninfo(own.dsn(), user="ada", password="geheim"),
        "up", "--wait", "1h", "--folder", str(folder("SELECT 1;")),
    )  # fmt: skip
    embedded.remove(server_directory / "scram")

    assert (10, "unreachable") == (code, outcome)
    assert "the password or the user is wrong" in message
    assert "geheim" not in message


def test_a_server_that_comes_late(server_directory: Path, folder: Callable[..., Path]) -> None:
    """
    With --wait it is waited for.
    """
    directory = server_directory / "late"
    own = embedded.start(directory, int(os.environ.get("STORE_TEST_PG", "18")))
    embedded.stop(directory)
    command = [sys.executable, "-m", "store", "migrate", "up", "--wait", "60s", "--folder", str(folder("CREATE SCHEMA t0001;"))]
    with subprocess.Popen(
        command, env=environment(own.dsn()), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        embedded.start(directory)
        output, _ = process.communicate(timeout=60)
    embedded.remove(directory)

    assert "trying again" in said
    assert (0, "done") == (process.returncode, json.loads(output)["outcome"])


# --- the files -------------------------------------------------------------------------------------------------------


def test_a_broken_file_in_the_middle_of_ten(connect: Connect, empty_dsn: str, folder: Callable[..., Path]) -> None:
    """
    What came before stays, nothing of it does, nothing after it ran; mended, the next run goes on.
    """
    texts = [f"CREATE SCHEMA t{number:04};" for number in range(1, 11)]
    place = folder(*texts[:5], "CREATE SCHEMA t0006; CREATE TABLE nowhere.x ();", *texts[6:])
    code, message, _ = store(empty_dsn, "up", "--folder", str(place))
    with connect() as connection:
        made = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^t0'").fetchone()

    assert (5, (5,)) == (code, made)
    assert [f"{number:04}_x" for number in range(6, 11)] == migrate.pending(connect, place)
    assert "0006_x.sql:1" in message

    folder(*texts)

    assert (0, "", "done") == store(empty_dsn, "up", "--folder", str(place))


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.2])
def test_ctrl_c_at_any_moment(
    connect: Connect, empty_dsn: str, folder: Callable[..., Path], tmp_path: Path, delay: float
) -> None:
    """
    While it connects, reads, locks or applies: a documented exit code, no traceback, and the next run goes on.
    """
    place = folder(*(f"CREATE SCHEMA t{number:04};" for number in range(1, 31)))
    command = [sys.executable, "-X", "importtime", "-m", "store", "migrate", "up", "--folder", str(place)]
    said = tmp_path / "stderr"
    with said.open("w") as sink:
        process = subprocess.Popen(
            command, env=unmeasured(DATABASE_URL=empty_dsn), stdout=subprocess.PIPE, stderr=sink, text=True
        )
    # When the modules are read, what follows is the command itself.
    while not re.search(r"\| *store\.cli\n", said.read_text(encoding="utf-8")):
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    errors = re.sub(r"import time:.*\n", "", said.read_text(encoding="utf-8"))

    # Interrupted inside an eval(), as typer does on annotations, Python ends itself by the signal: 130 for a shell, -2 here.
    assert process.returncode in (0, 5, 130, -signal.SIGINT), output + errors
    assert "Traceback" not in errors
    assert (0, "", "done") == store(empty_dsn, "up", "--folder", str(place))
    with connect() as connection:
        assert (30,) == connection.execute("SELECT count(*) FROM store_migrations._yoyo_migration").fetchone()


# --- what plain yoyo does and this does not -------------------------------------------------------------------------


def test_one_connection_for_everything(empty_dsn: str, folder: Callable[..., Path]) -> None:
    """
    However many files: one TLS handshake.
    """
    opened: list[Connection] = []

    def connect() -> Connection:
        opened.append(psycopg.connect(empty_dsn, autocommit=True))
        return opened[-1]

    migrate.up(connect, folder(*["SELECT 1;"] * 20))

    assert 1 == len(opened)


def test_a_missing_privilege_is_not_taken_for_a_lock(
    connect: Connect, server: TestServer, empty_database: str, folder: Callable[..., Path]
) -> None:
    """
    It ends at once, not after the ten minutes of --lock-wait.
    """
    with connect() as connection:
        connection.execute("CREATE ROLE store_test_nobody LOGIN")
        try:
            place = str(folder("SELECT 1;"))
            dsn = server.dsn(empty_database, "store_test_nobody")
            code, message, outcome = store(dsn, "up", "--folder", place)
            connection.execute("CREATE SCHEMA store_migrations; CREATE TABLE store_migrations._yoyo_migration ()")
            asked = store(dsn, "status", "--folder", place)
        finally:
            connection.execute("DROP ROLE store_test_nobody")

    assert (10, "unreachable") == (code, outcome)
    assert (10, "unreachable") == (asked[0], asked[2])
    for said in (message, asked[1]):
        assert "permission denied" in said
        assert "store_migrator: set STORE_MIGRATE_URL" in said


def test_dns_is_not_asked(connect: Connect, folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A resolver that hangs would hang with locks held.
    """

    def hang() -> str:
        raise AssertionError("getfqdn")

    monkeypatch.setattr(socket, "getfqdn", hang)

    assert ["0001_x"] == migrate.up(connect, folder("SELECT 1;"))


def test_a_big_file_goes_whole(connect: Connect, folder: Callable[..., Path]) -> None:
    """
    A megabyte of INSERT in a file whose columns are called begin and declare.
    """
    rows = ",\n".join(f"({number}, 'row number {number}; BEGIN; END', '{'x' * 20}')" for number in range(20_000))
    text = (
        f"CREATE SCHEMA t;\nCREATE TABLE t.a (id bigint, begin text, declare text);\nINSERT INTO t.a VALUES\n{rows};\nSELECT 1;"
    )

    assert ["0001_x"] == migrate.up(connect, folder(text))


def commands() -> list[Any]:
    """
    Return the commands of the runner.
    """
    group: Any = typer.main.get_group(app)
    return [each.load() for each in group.commands.values()]


def test_nothing_secret_in_arguments() -> None:
    """
    No command of the runner has an option that takes a password or a connection string.
    """
    names = {option for command in commands() for parameter in command.params for option in parameter.opts}

    assert {"--folder", "--role", "--plan"} <= names
    assert not {"--dsn", "--url", "--password", "--database"} & names


def test_help_says_times_as_they_are_typed() -> None:
    """
    The defaults are values that the options take, and those they have.
    """
    told = {
        (parameter.name, parameter.default, (parameter.help or "").rpartition(" Default: ")[2])
        for command in commands()
        for parameter in command.params
        if isinstance(parameter, TyperOption) and parameter.metavar == "TIME"
    }

    assert told == {
        ("wait", 0.0, "0s."),
        ("lock_wait", 600.0, "10min."),
        ("lock_timeout", 2.0, "2s."),
        ("statement_timeout", 5.0, "5s."),
        ("long_timeout", 1200.0, "20min."),
    }


def test_an_error_of_the_server_is_not_swallowed(connect: Connect, folder: Callable[..., Path]) -> None:
    """
    Not even COPY, which has no client here.
    """
    with pytest.raises(MigrationError):
        migrate.up(connect, folder("DO $$ BEGIN RAISE 'no'; END $$;"))

    assert ["0001_x"] == migrate.pending(connect, folder("SELECT 1;"))


def test_a_name_that_postgresql_would_refuse_is_wrong_usage(empty_dsn: str, folder: Callable[..., Path]) -> None:
    """
    2, and not an error of ours.
    """
    place = str(folder("SELECT 1;"))
    code, said, _ = store(empty_dsn, "up", "--folder", place, "--search-path", '"app')
    done = subprocess.run(
        [sys.executable, "-m", "store", "migrate", "up", "--folder", place, "--state-schema", "pg_mine"],
        env=environment(empty_dsn), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (2, 2) == (code, done.returncode)
    assert said.startswith('--search-path: "app is no list of schemas')
    assert "not pg_, which" in done.stderr


# --- what the database or its role has set ---------------------------------------------------------------------------


def test_a_path_beyond_ascii_is_what_was_named(connect: Connect, folder: Callable[..., Path]) -> None:
    """
    Also for a database whose sessions begin in another encoding, from the second file on too.
    """
    with connect() as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET client_encoding = 'LATIN1'".encode())
        connection.execute('CREATE SCHEMA "größe"'.encode())
    place = folder("CREATE TABLE a (id bigint);", "CREATE TABLE b (id bigint);", "ALTER TABLE a ADD COLUMN more text;")
    migrate.up(connect, place, options=migrate.Options(search_path='"größe"'))
    with connect() as connection:
        connection.execute("SET client_encoding = 'UTF8'")
        made = connection.execute(
            "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname IN ('a', 'b')"
        ).fetchall()

    assert made == [('"größe"',)] * 2


def test_a_timeout_of_transactions_is_not_the_runners(connect: Connect, folder: Callable[..., Path]) -> None:
    """
    A file has a bound for each statement, and as many statements as it needs. PostgreSQL 16 has no such setting.
    """
    with connect() as connection:
        if connection.info.server_version >= 170000:
            connection.execute(f"ALTER DATABASE {connection.info.dbname} SET transaction_timeout = '500ms'".encode())

    assert ["0001_x"] == migrate.up(connect, folder("SELECT pg_sleep(0.4); SELECT pg_sleep(0.4);"))


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.mark.one_version
def test_every_shell_command_of_the_page_runs(empty_dsn: str, tmp_path: Path) -> None:
    """
    The blocks of docs/migrations.md, one after the other, on an empty database.
    """
    text = (ROOT / "docs" / "migrations.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    blocks += [
        "\n".join(line.strip() for line in block.splitlines()) for block in re.findall(r"run: \|\n(.*?)```", text, re.DOTALL)
    ]
    blocks += [" ".join(json.loads(found)) for found in re.findall(r"command: (\[.*\])", text)]
    codes = [
        subprocess.run(
            ["bash", "-euc", block],
            env=environment("") | {"STORE_MIGRATE_URL": empty_dsn},  # what the page tells to set, and nothing else
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        ).returncode
        for block in blocks
    ]

    assert [0] * 5 == codes


def test_the_page_says_what_does_not_pass() -> None:
    """
    A job is not told to wait for a password to become right (`test_a_wrong_password`), and is told where to look.
    """
    text = (ROOT / "docs" / "migrations.md").read_text(encoding="utf-8")
    page = text[text.index("### Kubernetes") : text.index("### GitHub Actions")]

    assert "A wrong password or a role without rights is 10 too, and does not pass" in page
    assert f"kubectl logs job/{re.findall(r'^  name: (.*)$', page, re.MULTILINE)[0]}" in page
    assert "error.message" in page


def test_the_page_names_every_rule() -> None:
    """
    What can be refused stands in the table, and nothing else does.
    """
    text = (ROOT / "docs" / "migrations.md").read_text(encoding="utf-8")
    table = text[text.index("| code | rules |") : text.index("### Leaving")]
    files = (ROOT / "src" / "store" / "migrate" / f"_{name}.py" for name in ("folder", "preflight", "runner", "seal"))
    sources = "".join(path.read_text(encoding="utf-8") for path in files)
    used = set(re.findall(r'(?:Refusal\(\s*|refuse\(|_nothing\(|yield )"([a-z-]+)"', sources))

    assert used == set(itertools.chain(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", table)))
