"""
What `store migrate` says names the place, the value and the way out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import typer

from store import migrate
from store.cli._migrating import reporting, say
from store.cli._output import counted
from store.errors import MigrationError, MigrationFolderError, MigrationHistoryError, MigrationLocked, MigrationResumable
from store.migrate import Options, Report, _lock
from store.migrate._fingerprint import fingerprint
from store.migrate._session import translated
from tests.databases import Connection
from tests.migrations import write
from tests.waiting import until

Connect = Callable[[], Connection]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    return folder


SLOW = "ALTER TABLE public.slow VALIDATE CONSTRAINT slow;"


def prepare_slow(connect: Connect) -> None:
    """
    Make what takes half a minute, inside a transaction or outside one.
    """
    with connect() as connection:
        connection.execute(
            "CREATE TABLE public.slow (id integer); INSERT INTO public.slow VALUES (1);"
            "CREATE FUNCTION public.slow(integer) RETURNS boolean LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(30); RETURN true; END $$;"
            "ALTER TABLE public.slow ADD CONSTRAINT slow CHECK (public.slow(id)) NOT VALID"
        )


def store(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "store", "migrate", *arguments],
        env=os.environ | {"DATABASE_URL": dsn, "COLUMNS": "80"}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


# --- where it failed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("SELECT 'ä';\n\nSELECT 1;\n-- The third.\n\nSELECT 1\n    / 0;\nSELECT 1;", 6),
        ("SELECT 1;\nDO $$\nBEGIN\n    RAISE 'no';\nEND $$;", 2),
        ("SELECT 1;;\nSELECT 1\n    FROM nowhere;", 3),
        ("CREATE TABLE t (id bigint);\nSELECT 1", 1),
        ("-- transactional: false\n\n\nVACUUM\n    nowhere;", 4),
        ("-- store: batch\n\nINSERT INTO pg_catalog.pg_description\nSELECT 1 / 0 LIMIT 5;", 3),
    ],
    ids=["value", "raised", "position", "first", "outside", "batch"],
)
def test_the_failing_statement_is_named_by_its_line(connect: Connect, place: Path, text: str, line: int) -> None:
    report = Report("up")
    with pytest.raises(MigrationError, match=rf"^0001_x\.sql:{line}: "):
        migrate.up(connect, write(place, "0001_x", text), report=report)

    assert report.failed is not None
    assert report.failed["line"] == line


def test_what_fails_after_the_file_has_no_line(connect: Connect, place: Path) -> None:
    """
    The record is no statement of the file.
    """
    migrate.up(connect, write(place, "0001_x", "SELECT 1;"))
    write(place, "0002_y", "ALTER TABLE store_migrations.store_migration\n    DROP COLUMN attempts;\nSELECT 1;")
    with pytest.raises(MigrationError, match=r"^0002_y\.sql: column .attempts."):
        migrate.up(connect, place)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT pg_sleep(30);", r"after 0\.2 s, .*`-- store: timeout: 15min`.*--statement-timeout"),
        ("-- store: timeout: 300ms\nSELECT pg_sleep(30);", r"after 0\.3 s"),
        (f"-- transactional: false\n{SLOW}", r"after 0\.4 s.*--long-timeout"),
    ],
    ids=["option", "header", "outside"],
)
def test_a_timeout_names_its_value_and_what_lengthens_it(connect: Connect, place: Path, text: str, said: str) -> None:
    prepare_slow(connect)
    with pytest.raises(MigrationError, match=said):
        migrate.up(connect, write(place, "0001_x", text), options=Options(statement_timeout=0.2, long_timeout=0.4))


def test_the_timeout_of_a_migration_holds_for_its_rollback(connect: Connect, place: Path) -> None:
    """
    A rollback file has no headers of its own.
    """
    write(place, "0001_x", "-- store: timeout: 30s\nSELECT 1;", "SELECT pg_sleep(0.5);")
    migrate.up(connect, place)

    assert ["0001_x"] == migrate.down(connect, place, options=Options(statement_timeout=0.2))


def test_a_plan_prints_the_bounds_that_hold(connect: Connect, place: Path) -> None:
    """
    VALIDATE CONSTRAINT may wait, and each round of a batch is a transaction.
    """
    write(place, "0001_x", "ALTER TABLE a.b VALIDATE CONSTRAINT c;")
    write(place, "0002_y", "-- store: batch\nDELETE FROM a.b WHERE id IN (SELECT id FROM a.b LIMIT 5);")
    options = Options(lock_timeout=1, statement_timeout=2, long_timeout=3)
    first, second = migrate.plan(connect, place, options=options).sql.split("-- 0002_y\n")

    assert "SET LOCAL lock_timeout = '0s';\nSET LOCAL statement_timeout = '3s';\n" in first
    assert "SET lock_timeout = '1s';\nSET statement_timeout = '2s';\n" in second


# --- who ended it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "kind", "rest"),
    [
        ("", MigrationError, "nothing of this file is stored: run it again"),
        ("-- transactional: false\n", MigrationResumable, "run it again, it goes on from there"),
    ],
    ids=["transaction", "outside"],
)
def test_an_ended_runner_says_so(connect: Connect, place: Path, header: str, kind: type[MigrationError], rest: str) -> None:
    """
    `unlock --terminate`, or a server that shuts down.
    """
    prepare_slow(connect)
    write(place, "0001_x", f"{header}{SLOW}")
    found: list[MigrationError] = []

    def run() -> None:
        try:
            migrate.up(connect, place)
        except MigrationError as error:
            found.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    with connect() as connection:
        until(
            lambda: connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'store-migrate/0001_x' AND wait_event = 'PgSleep'"
            ).fetchone(),
            "the runner",
        )
    runner.join()

    assert [kind] == [type(each) for each in found]
    assert "somebody ended this runner, or the server is shutting down (SQLSTATE 57P01)" in str(found[0])
    assert str(found[0]).endswith(rest)


def test_who_is_cancelled_between_two_files_failed(connect: Connect, place: Path, empty_dsn: str) -> None:
    """
    5 as with a file under way, not an error of ours; and who is ended there is told so.
    """
    write(
        place, "0001_x", "CREATE SCHEMA store; CREATE TABLE store.a (id bigint); CREATE VIEW store.v AS SELECT id FROM store.a;"
    )
    migrate.up(connect, place)
    found: list[tuple[int, str, str | None]] = []

    def run() -> None:
        done = store(empty_dsn, "up", "--folder", str(place), "--json", "--lock-timeout", "5min")
        said = json.loads(done.stdout)
        found.append((done.returncode, said["error"]["type"], said["error"]["message"]))

    with connect() as holder, connect() as looking:
        holder.execute("BEGIN; LOCK TABLE store.v IN ACCESS EXCLUSIVE MODE")
        for end in ("pg_cancel_backend", "pg_terminate_backend"):
            runner = threading.Thread(target=run)
            runner.start()
            waits = f"SELECT {end}(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            until(lambda waits=waits: looking.execute(waits.encode()).fetchone() is not None, "the fingerprint to wait")
            runner.join()

    assert [(5, "StatementCancelled"), (10, "Unavailable")] == [each[:2] for each in found]
    assert found[1][2] == "PostgreSQL cannot be reached, or the connection was lost before anything was to be stored."


def test_an_interruption_is_not_hidden_by_what_came_of_it() -> None:
    """
    A connection that was interrupted anywhere refuses the next statement, which is no failure of the server.
    """
    with pytest.raises(KeyboardInterrupt), translated():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise psycopg.OperationalError("sending query failed: another command is already in progress") from None


def test_unlock_says_whom_it_ended_and_what_stays(connect: Connect, empty_dsn: str) -> None:
    with connect() as holder:
        holder.execute("SET application_name = 'store-migrate/0003_z'")
        holder.execute("SELECT pg_advisory_lock(%s, %s)", (_lock.SPACE, _lock.key("store_migrations")))
        pid = str(holder.info.backend_pid)
        with pytest.raises(MigrationLocked, match="outside a transaction and the rounds of a batch that are done"):
            migrate.unlock(connect)
        ended = store(empty_dsn, "unlock", "--terminate", pid, "--no-json")

    assert (0, f"ended {pid}\nnobody holds the lock\n") == (ended.returncode, ended.stdout)


def test_a_second_runner_says_whom_it_waits_for(connect: Connect, place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    Once, however often it asks.
    """
    write(place, "0001_x", "SELECT 1;")
    with connect() as holder, caplog.at_level("WARNING", "store.migrate"):
        holder.execute("SET application_name = 'store-migrate/0003_z'")
        holder.execute("SELECT pg_advisory_lock(%s, %s)", (_lock.SPACE, _lock.key("store_migrations")))
        runner = threading.Thread(target=migrate.up, args=(connect, place))
        runner.start()
        until(lambda: "waits for another runner" in caplog.text, "the log")
        time.sleep(1)  # it asks a few times more
        holder.execute("SELECT pg_advisory_unlock_all()")
        runner.join()
        pid = holder.info.backend_pid

    said = [each.getMessage() for each in caplog.records if "waits for another runner" in each.getMessage()]

    assert len(said) == 1
    assert f"server process {pid}, user " in said[0]
    assert "store-migrate/0003_z" in said[0]


# --- what keeps `up` from beginning ----------------------------------------------------------------------------------


def test_the_record_of_another_folder_is_one_sentence(connect: Connect, place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write(other, "0002_theirs", "SELECT 1;")
    write(other, "0003_theirs", "SELECT 1;")
    migrate.up(connect, other)
    write(place, "0001_ours", "SELECT 2;")
    with pytest.raises(MigrationHistoryError, match=r"--folder.*--state-schema") as caught:
        migrate.up(connect, place)

    assert ["other-folder"] == [each.rule for each in caught.value.refusals]
    assert "store_migrations (0002_theirs to 0003_theirs)" in str(caught.value)
    assert "--allow-out-of-order" not in str(caught.value)
    assert ["0001_ours"] == migrate.up(connect, place, options=Options(state_schema="ours"))


def test_a_renamed_file_is_no_other_folder(connect: Connect, place: Path) -> None:
    write(place, "0001_x", "SELECT 1;")
    migrate.up(connect, place)
    for path in list(place.iterdir()):
        path.rename(path.with_name(path.name.replace("_x", "_y")))
    with pytest.raises(MigrationHistoryError, match="0001_x was applied and is called 0001_y now"):
        migrate.up(connect, place)


def test_down_to_what_is_not_applied_says_that(connect: Connect, place: Path) -> None:
    write(place, "0001_x", "SELECT 1;")
    for words, fault in (("0001_x", "it is not applied"), ("0009_z", f"there is no such migration in {place}")):
        with pytest.raises(MigrationFolderError, match=f"^--to {words}: {fault}$"):
            migrate.down(connect, place, to=words)


@pytest.mark.parametrize(
    ("command", "resumable", "words"),
    [
        ("up", False, "interrupted: what is recorded is done, the rest was rolled back; run it again"),
        ("up", True, "interrupted outside a transaction: run it again, it goes on from there"),
        ("status", False, "interrupted"),
    ],
)
def test_an_interrupted_command_claims_no_more_than_it_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, resumable: bool, words: str
) -> None:
    monkeypatch.setattr("store.cli._migrating._log_to_stderr", lambda: None)  # it lasts as long as the process
    report = Report(command, resumable=resumable)
    with pytest.raises(typer.Exit) as ended, reporting(report, as_json=True):
        raise KeyboardInterrupt

    assert ended.value.exit_code == (6 if resumable else 5)
    assert words == json.loads(capsys.readouterr().out)["error"]["message"]


def test_status_checks_what_up_would_say(empty_dsn: str, place: Path) -> None:
    """
    And each sentence is one line, however narrow the terminal is said to be.
    """
    write(place, "0001_x", "SELECT 1;")
    pending = store(empty_dsn, "status", "--check", "--folder", str(place))
    (place / "0001_x.rollback.sql").unlink()
    codes = [store(empty_dsn, *words, "--folder", str(place)).returncode for words in (["status", "--check"], ["up"])]
    shown = store(empty_dsn, "status", "--no-json", "--folder", str(place))

    assert (3, "pending") == (pending.returncode, json.loads(pending.stdout)["outcome"])
    assert [9, 9] == codes
    assert (0, 2) == (shown.returncode, shown.stdout.count("\n"))


# --- files -----------------------------------------------------------------------------------------------------------


def test_new_begins_a_folder(connect: Connect, empty_dsn: str, tmp_path: Path) -> None:
    place = tmp_path / "begun"
    first = store(empty_dsn, "new", "create things", "--folder", str(place), "--no-json")
    second = migrate.new(place, "more things")

    assert (0, f"made the folder {place}") == (first.returncode, first.stdout.splitlines()[0])
    assert "depends" not in (place / "0001_create_things.sql").read_text(encoding="utf-8")
    assert ("0002_more_things.sql", False) == (second.up.name, second.made_folder)
    assert "-- depends: 0001_create_things" in second.up.read_text(encoding="utf-8")
    assert ["0001_create_things", "0002_more_things"] == migrate.pending(connect, place)

    empty = tmp_path / "empty"
    empty.mkdir()

    assert ("0001_x.sql", False) == (migrate.new(empty, "x").up.name, migrate.new(empty, "y").made_folder)

    (tmp_path / "full").mkdir()
    write(tmp_path / "full", "9999_last", "SELECT 1;")
    with pytest.raises(MigrationFolderError, match=r"9999_last has the last number there is: go on in another folder"):
        migrate.new(tmp_path / "full", "x")
    assert ["9999_last.rollback.sql", "9999_last.sql"] == sorted(each.name for each in (tmp_path / "full").iterdir())

    (tmp_path / "file").touch()
    for nowhere in (tmp_path / "no" / "where", tmp_path / "file"):
        with pytest.raises(MigrationFolderError, match=rf"{nowhere} cannot be written: "):
            migrate.new(nowhere, "x")


def test_a_plan_that_cannot_be_kept_is_one_line(empty_dsn: str, place: Path, tmp_path: Path) -> None:
    write(place, "0001_x", "SELECT 1;")
    found = store(empty_dsn, "plan", "--folder", str(place), "--out", str(tmp_path / "no" / "p.json"))

    assert 2 == found.returncode
    assert json.loads(found.stdout)["error"]["message"].endswith("p.json cannot be written: No such file or directory")


def test_a_fingerprint_of_nothing_says_so(empty_dsn: str, dsn: str) -> None:
    nothing, something = store(empty_dsn, "fingerprint"), store(dsn, "fingerprint")

    assert [0, 0] == [nothing.returncode, something.returncode]
    assert "nothing of schema store is in this database" in nothing.stderr
    assert "" == something.stderr


def test_a_fingerprint_needs_no_rights(connect_admin: Connection) -> None:
    """
    The catalog shows everybody what there is: without a right on the schema it is the same hash.
    """
    with connect_admin.transaction(force_rollback=True):
        expected = fingerprint(connect_admin)
        connect_admin.execute("CREATE ROLE store_test_looker; SET LOCAL ROLE store_test_looker")

        assert (False,) == connect_admin.execute("SELECT has_schema_privilege('store', 'USAGE')").fetchone()
        assert expected == fingerprint(connect_admin)


def test_what_is_printed_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say("store.[red]a[/] " + "long " * 30 + "\x1b[2J")

    assert "store.[red]a[/] " + "long " * 30 + "\\x1b[2J\n" == capsys.readouterr().out


@pytest.mark.parametrize(("number", "said"), [(0, "0 faults"), (1, "1 fault"), (2, "2 faults")])
def test_one_fault_is_no_faults(number: int, said: str) -> None:
    assert said == counted(number, "fault")
