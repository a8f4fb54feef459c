"""
The commands, as processes: what they print, in which words, and with which exit code.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer

from store import embedded
from store.cli import app
from store.cli._later import Later
from tests.faults import faults
from tests.waiting import unmeasured

MIGRATIONS = sorted(
    path.stem
    for path in (Path(__file__).resolve().parents[1] / "migrations").glob("*_*[!k].sql")
    if ".rollback" not in path.name
)


def store(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """
    Run the command in an environment that names no server unless told to.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "STORE_", "DATABASE_URL"))}
    return subprocess.run(
        [sys.executable, "-m", "store", *arguments],
        cwd=cwd,
        env=clean | {"COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """
    Yield every command with its options.
    """
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner.load() if isinstance(inner, Later) else inner, (*path, name))
    if not hasattr(command, "commands"):
        yield " ".join(path), {option for each in command.params for option in each.opts}


@pytest.mark.serverless
def test_options_that_the_commands_share():
    """
    Whatever a script runs speaks JSON; only what one tries on another server, or what only looks at one, takes it as an option.
    """
    options = dict(commands(typer.main.get_command(app)))

    assert {"check", "demo", "doctor", "explain", "grants", "lock", "stats dump"} == {
        name for name, found in options.items() if "--dsn" in found
    }
    assert {"demo", "embedded remove", "embedded stop", "embedded use", "explain", "grants", "sql", "stats dump"} == {
        name for name, found in options.items() if "--json" not in found
    }


@pytest.mark.serverless
def test_the_list_of_commands_says_what_each_says_of_itself():
    """
    How the help of a command begins: with whole sentences.
    """
    root: Any = typer.main.get_command(app)
    commands = [*root.commands.values(), *root.commands["migrate"].load().commands.values()]

    assert len(commands) > 25
    for each in commands:
        assert each.help.endswith((".", "?"))
        assert " ".join(each.load().help.split()).startswith(each.help), each.name


@pytest.mark.serverless
def test_help_and_version_wait_for_nothing_else(tmp_path):
    for option in ("--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "store", option],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert not {"psycopg", "pydantic", "yoyo"} & {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.serverless
def test_help_names_every_command_and_the_way_in(tmp_path):
    done = store("--help", cwd=tmp_path)

    assert done.returncode == 0
    assert [] == [
        name
        for name in (
            "migrate",
            "import",
            "export",
            "embedded",
            "demo",
            "doctor",
            "lock",
            "check",
            "sql",
            "uses",
            "explain",
            "DATABASE_URL",
        )
        if name not in done.stdout
    ]


@pytest.mark.serverless
@pytest.mark.parametrize(
    "command",
    [["migrate", "up"], ["migrate", "status"], ["migrate", "down", "--allow-down"], ["doctor"], ["demo"], ["explain", "get_inventory"], ["embedded", "status"],
     ["import", "products", "x.csv"], ["export", "products", "-"]],
    ids=" ".join,
)  # fmt: skip
def test_without_a_setting_every_command_names_it(tmp_path, command):
    """
    Nothing falls back to a server by itself.
    """
    (tmp_path / "x.csv").write_text("sku,name,price\n", encoding="utf-8")
    done = store(*command, cwd=tmp_path)

    assert done.returncode in {2, 9}
    assert "DATABASE_URL is not set" in done.stdout + done.stderr
    assert [tmp_path / "x.csv"] == sorted(tmp_path.iterdir())


def test_migrate_goes_up_and_says_so_in_json(empty_dsn, tmp_path):
    """
    up, again, status and down, as a deploy script reads them.
    """
    environment = {"DATABASE_URL": empty_dsn}
    before = store("migrate", "status", "--check", cwd=tmp_path, **environment)
    first = store("migrate", "up", cwd=tmp_path, **environment)
    again = store("migrate", "up", cwd=tmp_path, **environment)
    after = store("migrate", "status", "--check", cwd=tmp_path, **environment)
    refused = store("migrate", "down", cwd=tmp_path, **environment)
    down = store("migrate", "down", "--allow-down", cwd=tmp_path, **environment)

    assert (3, MIGRATIONS) == (before.returncode, [each["id"] for each in json.loads(before.stdout)["pending"]])
    assert (0, MIGRATIONS) == (first.returncode, [each["id"] for each in json.loads(first.stdout)["applied"]])
    assert (0, []) == (again.returncode, json.loads(again.stdout)["applied"])
    assert (0, []) == (after.returncode, json.loads(after.stdout)["pending"])
    assert (9, "refused") == (refused.returncode, json.loads(refused.stdout)["outcome"])
    assert "--allow-down" in json.loads(refused.stdout)["error"]["message"]
    assert (0, MIGRATIONS[-1:]) == (down.returncode, [each["id"] for each in json.loads(down.stdout)["applied"]])


@pytest.mark.one_version
def test_migrate_says_the_same_to_people(empty_dsn, tmp_path):
    first = store("migrate", "up", "--no-json", cwd=tmp_path, DATABASE_URL=empty_dsn)
    again = store("migrate", "up", "--no-json", cwd=tmp_path, DATABASE_URL=empty_dsn)
    status = store("migrate", "status", "--no-json", cwd=tmp_path, DATABASE_URL=empty_dsn)
    down = store("migrate", "down", "--allow-down", "--count", "99", "--no-json", cwd=tmp_path, DATABASE_URL=empty_dsn)
    nothing = store("migrate", "down", "--allow-down", "--no-json", cwd=tmp_path, DATABASE_URL=empty_dsn)

    assert [f"applied {name}" for name in MIGRATIONS] == first.stdout.splitlines()
    assert "up to date" in again.stdout
    assert all(line.startswith("applied") for line in status.stdout.splitlines())
    assert [f"took back {name}" for name in reversed(MIGRATIONS)] == down.stdout.splitlines()
    assert "nothing to do" in nothing.stdout


@pytest.mark.one_version
def test_a_failing_migration_exits_5_and_names_file_and_line(empty_dsn, tmp_path):
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_break.sql").write_text("-- why\n\nCREATE TABLE nowhere.x ();\n", encoding="utf-8")
    (folder / "0001_break.rollback.sql").write_text("SELECT 1;\n", encoding="utf-8")
    done = store("migrate", "up", "--folder", str(folder), cwd=tmp_path, DATABASE_URL=empty_dsn)

    assert done.returncode == 5
    assert "0001_break.sql:3" in json.loads(done.stdout)["error"]["message"]


@pytest.mark.one_version
def test_a_missing_folder_exits_2(empty_dsn, tmp_path):
    done = store("migrate", "up", "--folder", str(tmp_path / "none"), "--no-json", cwd=tmp_path, DATABASE_URL=empty_dsn)

    assert done.returncode == 2
    assert str(tmp_path / "none") in done.stderr.replace("\n", "")


@pytest.mark.serverless
def test_no_server_exits_10_without_the_password(tmp_path):
    url = "postgresql://ada:s3cr3t-canary@127.0.0.1:1/shop"
    migrate = store("migrate", "status", cwd=tmp_path, DATABASE_URL=url)
    doctor = store("doctor", cwd=tmp_path, DATABASE_URL=url)
    verbose = store("doctor", "--no-json", cwd=tmp_path, DATABASE_URL=url)

    assert json.loads(doctor.stdout)["command"] == "doctor"
    assert (10, 10, 10) == (migrate.returncode, doctor.returncode, verbose.returncode)
    assert "nothing listens there" in migrate.stdout
    assert "canary" not in "".join(each.stdout + each.stderr for each in (migrate, doctor, verbose))


def test_doctor_is_content_with_a_migrated_database(dsn, admin_dsn, tmp_path):
    app = store("doctor", cwd=tmp_path, DATABASE_URL=dsn)
    found = {finding["what"]: finding["outcome"] for finding in json.loads(app.stdout)["findings"]}
    admin = store("doctor", "--no-json", cwd=tmp_path, DATABASE_URL=admin_dsn)

    assert (0, 0) == (app.returncode, json.loads(app.stdout)["exit_code"])
    assert ("ok", "ok") == (found["server"], found["store"])
    assert admin.returncode == 0
    assert "none pending" in admin.stdout
    assert "superuser" in admin.stdout


def test_doctor_finds_pending_migrations(empty_dsn, tmp_path):
    done = store("doctor", cwd=tmp_path, DATABASE_URL=empty_dsn)

    assert done.returncode == 9
    assert "store migrate up" in done.stdout


@pytest.mark.serverless
@pytest.mark.parametrize("dsn", ["postgresql://ada:geheim@h/db", "host=h password=geheim"])
def test_a_password_in_dsn_is_refused(tmp_path, dsn):
    """
    Whatever stands in the arguments stands in the list of processes.
    """
    done = store("doctor", "--dsn", dsn, cwd=tmp_path)

    assert done.returncode == 2
    assert "DATABASE_URL" in done.stderr
    assert "geheim" not in done.stderr


def test_demo_without_a_server_for_the_store_writes_nothing(empty_dsn, tmp_path):
    """
    STORE_MIGRATE_URL alone is enough to migrate, not to show a store.
    """
    done = store("demo", cwd=tmp_path, STORE_MIGRATE_URL=empty_dsn)

    assert (done.returncode, done.stdout) == (2, "")
    assert "DATABASE_URL is not set" in done.stderr


def test_demo_runs_twice_and_takes_itself_back(empty_dsn, tmp_path):
    """
    On an empty database it shows everything; again, it changes nothing; --remove leaves no row of it.
    """
    (tmp_path / ".env").write_text(f"DATABASE_URL={empty_dsn}\n", encoding="utf-8")
    first = store("demo", cwd=tmp_path)
    again = store("demo", cwd=tmp_path)
    elsewhere = {"STORE_MIGRATE_URL": "postgresql://nobody@127.0.0.1:1/none"}  # of another server than --dsn names
    removed = store("demo", "--dsn", empty_dsn, "--remove", cwd=tmp_path, **elsewhere)
    missing = store("demo", "--remove", cwd=tmp_path)

    assert (0, 0, 0, 1) == (first.returncode, again.returncode, removed.returncode, missing.returncode), first.stderr
    assert "10,000 new" in first.stdout
    assert "users_email_key" in first.stdout
    assert "inventory_reserved_within_on_hand" in first.stdout
    assert "10,000 as they were" in again.stdout
    assert "removed 10000 products and 2 users" in removed.stdout


def receipt(done):
    """
    Return what the demonstration says of its order.
    """
    lines = done.stdout.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("6. An order"))
    end = next(at for at, line in enumerate(lines) if line.startswith("7. "))
    return lines[start + 1 : end]


@pytest.mark.one_version
def test_demo_sells_once(dsn, connect_admin, tmp_path):
    """
    As the application's role: the cart becomes a paid order with its receipt, again it is that order, and the books are right.
    """
    owner = dsn.replace("store_app", "store_migrator")
    (tmp_path / ".env").write_text(f"DATABASE_URL={dsn}\nSTORE_MIGRATE_URL={owner}\n", encoding="utf-8")
    first = store("demo", cwd=tmp_path)
    again = store("demo", cwd=tmp_path)

    assert (0, 0) == (first.returncode, again.returncode), first.stderr + again.stderr
    assert receipt(first) == receipt(again)
    number, status, total, units = connect_admin.execute(
        "SELECT o.number, o.status, o.total::text, (SELECT sum(i.quantity) FROM store.order_items AS i) FROM store.orders AS o"
    ).fetchone()
    assert ("paid", 6) == (status, units)
    assert f"order {number}" in receipt(first)[0]
    assert any("paid" in line and total in line for line in receipt(first))
    assert f"payment 1 by demo: captured, {total} EUR" in receipt(first)[-1]
    assert {} == faults(connect_admin)

    (tmp_path / ".env").write_text(f"DATABASE_URL={dsn}\n", encoding="utf-8")
    refused = store("demo", "--remove", cwd=tmp_path)
    assert (10, True, True) == (
        refused.returncode,
        "STORE_MIGRATE_URL" in refused.stderr,
        "nothing was removed" in refused.stderr,
    )
    assert (10_000,) == connect_admin.execute("SELECT count(*) FROM store.products").fetchone()

    (tmp_path / ".env").write_text(f"DATABASE_URL={dsn}\nSTORE_MIGRATE_URL={owner}\n", encoding="utf-8")
    removed = store("demo", "--remove", cwd=tmp_path)
    assert (0, True) == (removed.returncode, "removed 10000 products and 2 users" in removed.stdout), removed.stderr
    for table in ("products", "users", "carts", "orders", "order_items", "payments", "outbox", "stock_movements"):
        assert (0,) == connect_admin.execute(f"SELECT count(*) FROM store.{table}").fetchone()


@pytest.mark.one_version
def test_demo_leaves_other_peoples_rows_alone(dsn, connect_admin, tmp_path):
    connect_admin.execute("INSERT INTO store.products (sku, name, price, currency) VALUES ('MINE', 'Mine', 1, 'EUR')")
    (tmp_path / ".env").write_text(
        f"DATABASE_URL={dsn}\nSTORE_MIGRATE_URL={dsn.replace('store_app', 'postgres')}\n", encoding="utf-8"
    )
    done = store("demo", cwd=tmp_path)

    assert done.returncode == 1
    assert "empty one" in done.stderr
    assert [("MINE",)] == connect_admin.execute("SELECT sku FROM store.products").fetchall()


@pytest.mark.one_version
def test_demo_asks_before_it_writes_where_the_environment_points(empty_dsn, connect_admin, tmp_path):
    """
    A DATABASE_URL left in the environment may be anybody's production.
    """
    done = store("demo", cwd=tmp_path, DATABASE_URL=empty_dsn)

    assert done.returncode == 2
    assert "--yes" in done.stderr


@pytest.mark.one_version
def test_embedded_from_use_to_remove(server_directory, tmp_path):
    """
    The life of an embedded server by its commands.
    """
    data = server_directory / "cli"
    calls = [
        store(*words, cwd=tmp_path)
        for words in (
            ["embedded", "use", str(data)],
            ["embedded", "use", str(data)],
            ["embedded", "status"],
            ["embedded", "start"],
            ["embedded", "start", "--no-json"],
            ["embedded", "status"],
            ["embedded", "status", "--no-json"],
            ["migrate", "up"],
            ["migrate", "down"],
            ["embedded", "stop"],
            ["embedded", "stop"],
            ["embedded", "status", "--no-json"],
            ["embedded", "remove"],
            ["embedded", "remove", "--yes"],
            ["embedded", "status", "--no-json"],
        )
    ]

    assert [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1] == [each.returncode for each in calls]
    assert f"DATABASE_URL=embedded:{data}\n" == (tmp_path / ".env").read_text(encoding="utf-8")
    assert "left as it is" in calls[1].stdout
    assert json.loads(calls[5].stdout)["running"] is True
    assert embedded.status(data).version is None


@pytest.mark.serverless
def test_ctrl_c_during_quickstart_is_one_line(tmp_path):
    """
    While `.venv` is being made: no traceback of pip or venv, and nothing of them goes on.
    """
    scripts, python = tmp_path / "scripts", tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    shutil.copytree(Path(__file__).resolve().parents[1] / "scripts", scripts)
    python.write_text('#!/bin/sh\n: > "$0.ran"; exec sleep 300\n')
    python.chmod(0o755)
    process = subprocess.Popen(
        [scripts / "quickstart"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not python.with_name("python.ran").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, words = process.communicate(timeout=30)  # ends when nobody holds the pipes any more, python neither

    assert (130, "", 1) == (process.returncode, out, len(words.splitlines())), words


@pytest.mark.serverless
@pytest.mark.parametrize("module", ["email", "psycopg", "typer"])
def test_ctrl_c_before_python_m_store_begins_is_no_traceback(module, tmp_path):
    """
    From the moment on that Python has imported the package, which is before any code of the command.
    """
    (tmp_path / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('still here')\n")
    done = store("verify", cwd=tmp_path, PYTHONPATH=str(tmp_path))

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.serverless
@pytest.mark.parametrize("module", ["psycopg", "typer"])
def test_ctrl_c_before_a_command_begins_is_no_traceback(module, tmp_path):
    """
    While `store` or its command line is being imported, which is what the first half second goes into.
    """
    (tmp_path / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('still here')\n")
    scripts = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]["scripts"]
    entry, _, function = scripts["store"].partition(":")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from {entry} import {function}; sys.exit({function}())", "verify"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.one_version
def test_ctrl_c_ends_quietly_and_leaves_nothing(empty_dsn, connect_admin, tmp_path):
    """
    Interrupted while it waits for a lock, a migration says so and has done nothing.
    """
    import psycopg

    with psycopg.connect(empty_dsn) as holder:
        holder.execute("CREATE SCHEMA store")
        process = subprocess.Popen(
            [sys.executable, "-m", "store", "migrate", "up", "--no-json"],
            cwd=tmp_path,
            env={**os.environ, "DATABASE_URL": empty_dsn},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with psycopg.connect(empty_dsn, autocommit=True) as watch:
            while not watch.execute(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchone():
                assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=30)
        holder.rollback()

    assert process.returncode == 5
    assert "interrupted" in words
    assert "Traceback" not in words


TERMINATED_TWICE = """
import os, signal, sys
from store import __main__, cli

def run():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        print("still here")
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        print("cleaned up")

cli.run = run
sys.exit(__main__.main())
"""


@pytest.mark.serverless
def test_second_sigterm_does_not_end_the_cleaning_up():
    """
    `timeout` sends two: one to its program, one to everybody in its group.
    """
    done = subprocess.run([sys.executable, "-c", TERMINATED_TWICE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, "cleaned up\n", "")


def test_sigterm_leaves_no_server(tmp_path):
    """
    A CI that cancels: a command ends as at Ctrl-C, and its throw-away server with it.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "store", "check", "--db"],
        cwd=tmp_path,
        env=unmeasured(TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (at_work := backends_of(tmp_path)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=60)

    assert (process.returncode, words) == (130, "interrupted: nothing half done was left behind\n")
    assert psutil.wait_procs(at_work, timeout=30)[1] == []
    assert list(tmp_path.iterdir()) == []


def backends_of(folder: Path) -> list[psutil.Process]:
    """
    Return the throw-away servers of a command whose TMPDIR is this folder, with their processes, once they have database
    `store` open. Those of root are in /var/tmp.
    """
    try:
        found = [
            each for each in psutil.process_iter(["cmdline"]) if "plainstore-scratch-" in " ".join(each.info["cmdline"] or [])
        ]
        servers = [each for each in found if each.environ().get("TMPDIR") == str(folder)]
        family = [one for server in servers for one in (server, *server.children(recursive=True))]
        return family if any(" store " in " ".join(each.cmdline()) for each in family) else []
    except psutil.Error:  # one of them ended meanwhile
        return []
