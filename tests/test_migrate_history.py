"""
Files and record: what was edited, renamed, lost or slipped in is refused before anything is touched, and everything is recorded.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict
from yoyo import get_backend

from store import migrate
from store.errors import (
    MigrationDrift,
    MigrationError,
    MigrationHistoryError,
    MigrationLocked,
    MigrationRefused,
    SettingsError,
)
from store.migrate import Options, Report, _lock
from tests.databases import Connection, TestServer
from tests.migrations import rows

Connect = Callable[[], Connection]
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """
    Writes migrations, by the number of each; a rollback drops the schema `t<number>`, outside a transaction nothing.
    """

    def write(**texts: str) -> Path:
        place = tmp_path / "migrations"
        place.mkdir(exist_ok=True)
        for number, text in texts.items():
            (place / f"{number[1:]}_x.sql").write_text(text, encoding="utf-8")
            back = "SELECT 1;" if "transactional: false" in text else f"DROP SCHEMA t{number[1:]} CASCADE;"
            (place / f"{number[1:]}_x.rollback.sql").write_text(back, encoding="utf-8")
        return place

    return write


def rules(error: MigrationError) -> list[tuple[str, int]]:
    return sorted((refusal.rule, refusal.exit_code) for refusal in error.refusals)


def ledger(connect: Connect) -> list[tuple[Any, ...]]:
    with connect() as connection:
        return connection.execute(
            "SELECT migration_id, operation, outcome FROM store_migrations.store_migration ORDER BY seq"
        ).fetchall()


def test_all_refusals_at_once(connect: Connect, folder: Folder) -> None:
    """
    A deploy learns everything that is wrong in one run; the exit code is the lowest.
    """
    place = folder(_0001="CREATE SCHEMA t0001;", _0003="CREATE SCHEMA t0003;", _0004="CREATE SCHEMA t0004;")
    migrate.up(connect, place)
    folder(
        _0001="CREATE SCHEMA t0001; -- edited",
        _0002="CREATE SCHEMA t0002;",
        _0006="COMMIT;",
        _0007="-- store: nonsense\nSELECT 1;",
    )
    (place / "0003_x.sql").rename(place / "0005_y.sql")
    (place / "0003_x.rollback.sql").rename(place / "0005_y.rollback.sql")
    for path in place.glob("0004*"):
        path.unlink()
    (place / "0007_x.rollback.sql").unlink()
    (place / "0008_z.py").write_text("steps = []", encoding="utf-8")
    with pytest.raises(MigrationError) as caught:
        migrate.up(connect, place)

    assert [
        ("edited", 7),
        ("header", 2),
        ("missing", 7),
        ("out-of-order", 7),
        ("python-file", 2),
        ("renamed", 7),
        ("rollback-missing", 9),
        ("transaction-control", 2),
    ] == rules(caught.value)
    assert "0003_x was applied and is called 0005_y now" in str(caught.value)
    assert [] == rows(connect, "SELECT FROM pg_namespace WHERE nspname = 't0002'")


def test_an_edited_file_is_told_from_new_line_ends(connect: Connect, folder: Folder) -> None:
    """
    A checkout with other line ends is the same file.
    """
    place = folder(_0001="CREATE SCHEMA t0001;\nSELECT 1;\n")
    migrate.up(connect, place)
    (place / "0001_x.sql").write_bytes(b"CREATE SCHEMA t0001;\r\nSELECT 1;\r\n")

    assert migrate.up(connect, place) == []

    (place / "0001_x.sql").write_text("CREATE SCHEMA t0001;\nSELECT 2;\n", encoding="utf-8")
    with pytest.raises(MigrationHistoryError, match=r"0001_x\.sql was edited"):
        migrate.up(connect, place)


@pytest.mark.parametrize("name", ["0001_x.sql", "0001_x.rollback.sql"])
def test_an_edited_file_takes_nothing_back(connect: Connect, folder: Folder, empty_dsn: str, name: str) -> None:
    """
    Neither the file nor its rollback file may have changed since it was applied, whichever command asks.
    """
    place = folder(_0001="CREATE SCHEMA t0001;")
    migrate.up(connect, place)
    (place / name).write_text("CREATE SCHEMA sneaked;", encoding="utf-8")
    for operation in (migrate.up, migrate.down):
        with pytest.raises(MigrationHistoryError, match=re.escape(f"{name} was edited")) as caught:
            operation(connect, place)
        assert [("edited", 7)] == rules(caught.value)
    for command in (["status", "--check"], ["verify"]):
        done = subprocess.run(
            [sys.executable, "-m", "store", "migrate", *command, "--folder", str(place)],
            env=os.environ | {"DATABASE_URL": empty_dsn},
            capture_output=True,
            check=False,
        )
        assert 7 == done.returncode, command

    assert [("t0001",)] == rows(connect, "SELECT nspname FROM pg_namespace WHERE nspname IN ('t0001', 'sneaked')")


def test_redo_takes_the_files_as_they_are(connect: Connect, folder: Folder) -> None:
    """
    Who writes a migration mends its rollback, and tries it.
    """
    place = folder(_0001="CREATE SCHEMA t0001;")
    migrate.up(connect, place)
    (place / "0001_x.rollback.sql").write_text("DROP SCHEMA t0001; -- mended", encoding="utf-8")

    assert ["0001_x"] == migrate.redo(connect, place)
    assert ["0001_x"] == migrate.down(connect, place)


def test_out_of_order_by_name_only(connect: Connect, folder: Folder) -> None:
    place = folder(_0002="CREATE SCHEMA t0002;")
    migrate.up(connect, place)
    folder(_0001="CREATE SCHEMA t0001;")
    with pytest.raises(MigrationHistoryError, match="--allow-out-of-order 0001_x"):
        migrate.up(connect, place)
    done = migrate.up(connect, place, options=Options(allow_out_of_order=frozenset({"0001_x"})))

    assert ["0001_x"] == done
    assert [("0001_x", True), ("0002_x", False)] == rows(
        connect, "SELECT migration_id, out_of_order FROM store_migrations.store_migration ORDER BY migration_id"
    )
    assert ["0001_x"] == migrate.down(connect, place)  # undone in the order in which they were applied


def test_irreversible_says_why(connect: Connect, folder: Folder) -> None:
    place = folder(_0001="-- store: irreversible: the old numbers are gone\nCREATE SCHEMA t0001;")
    (place / "0001_x.rollback.sql").unlink()
    migrate.up(connect, place)
    with pytest.raises(MigrationRefused, match="the old numbers are gone"):
        migrate.down(connect, place)

    assert [("t0001",)] == rows(connect, "SELECT nspname FROM pg_namespace WHERE nspname = 't0001'")


def test_a_database_of_the_runner_before_is_adopted(connect: Connect, folder: Folder) -> None:
    """
    Tables of yoyo alone, without a ledger: the next run enters what is applied and goes on.
    """
    place = folder(_0001="CREATE SCHEMA t0001;", _0002="CREATE SCHEMA t0002;")
    migrate.up(connect, place)
    with connect() as connection:
        connection.execute("DROP TABLE store_migrations.store_migration")
    folder(_0003="CREATE SCHEMA t0003;")

    assert ["0003_x"] == migrate.up(connect, place)
    assert [("0001_x", "adopt", "done"), ("0002_x", "adopt", "done"), ("0003_x", "up", "done")] == ledger(connect)
    folder(_0002="CREATE SCHEMA t0002; -- edited")
    with pytest.raises(MigrationHistoryError, match="0002_x"):
        migrate.up(connect, place)


def test_a_newer_ledger_is_left_alone(connect: Connect, folder: Folder) -> None:
    place = folder(_0001="CREATE SCHEMA t0001;")
    migrate.up(connect, place)
    with connect() as connection:
        connection.execute("COMMENT ON TABLE store_migrations.store_migration IS 'plainstore ledger 99'")
    for operation in (migrate.up, migrate.down, migrate.status):
        with pytest.raises(MigrationHistoryError, match="newer version of this program"):
            operation(connect, place)


def test_a_ledger_that_became_newer_while_it_waited_is_left_alone(connect: Connect, folder: Folder) -> None:
    """
    A newer program was at work before it was this runner's turn.
    """
    place = folder(_0001="CREATE SCHEMA t0001;")
    migrate.up(connect, place)
    holder, log = connect(), logging.getLogger("store.migrate")
    _lock.acquire(holder, "store_migrations", 1)

    class Upgrade(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "waits for another runner" in record.getMessage():
                holder.execute("COMMENT ON TABLE store_migrations.store_migration IS 'plainstore ledger 99'")
                holder.close()

    handler = Upgrade()
    log.addHandler(handler)
    try:
        with pytest.raises(MigrationHistoryError, match="newer version of this program"):
            migrate.up(connect, folder(_0002="CREATE SCHEMA t0002;"))
    finally:
        log.removeHandler(handler)

    assert [("0001_x", "up", "done")] == ledger(connect)


def test_what_was_taken_back_leaves_no_fingerprint_behind(connect: Connect, folder: Folder) -> None:
    """
    The report of a file that fails at its COMMIT has the fingerprint of what is there; none, where the server did not say so.
    """
    first, second, third = Report("up"), Report("up"), Report("up")
    key = "CREATE TABLE store.b (id bigint REFERENCES store.a DEFERRABLE INITIALLY DEFERRED);"
    migrate.up(connect, folder(_0001=f"CREATE SCHEMA store; CREATE TABLE store.a (id bigint PRIMARY KEY); {key}"), report=first)
    with pytest.raises(MigrationError, match="b_id_fkey"):
        migrate.up(connect, folder(_0002="CREATE TABLE store.c (id bigint); INSERT INTO store.b VALUES (7);"), report=second)
    with pytest.raises(MigrationError, match="let go of the lock"):
        migrate.up(connect, folder(_0002="SELECT pg_advisory_unlock_all();"), report=third)

    assert first.fingerprint == second.fingerprint is not None
    assert third.fingerprint is None


def test_redo_whose_second_half_fails_tells_the_first(connect: Connect, folder: Folder) -> None:
    """
    The migration is taken back by then, and the report says so.
    """
    migrate.up(connect, folder(_0001="CREATE SCHEMA t0001;"))
    report = Report("redo")
    with pytest.raises(MigrationError, match="SQLSTATE 22012"):
        migrate.redo(connect, folder(_0001="CREATE SCHEMA t0001; SELECT 1 / 0;"), report=report)

    assert [("0001_x", "down")] == [(step.id, step.operation) for step in report.applied]
    assert ["0001_x"] == migrate.pending(connect, folder())


def test_the_ledger_tells_who_what_and_how(
    connect: Connect, folder: Folder, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_ACTOR", "deploy 42")
    monkeypatch.setenv("STORE_GIT_SHA", "abc123")
    place = folder(_0001="CREATE SCHEMA store; CREATE TABLE store.a (id bigint);")
    (place / "0001_x.rollback.sql").write_text("DROP SCHEMA store CASCADE;", encoding="utf-8")
    report = Report("up")
    migrate.up(connect, place, report=report)
    ((run_id, actor, sha, role, attempts, before, after, duration),) = rows(
        connect,
        "SELECT run_id, actor, git_sha, role, attempts, fingerprint_before, fingerprint_after, duration_ms"
        " FROM store_migrations.store_migration",
    )

    assert (report.run_id, "deploy 42", "abc123", "postgres", 1) == (run_id, actor, sha, role, attempts)
    assert before != after == report.fingerprint
    assert duration is not None


def test_a_failure_does_not_wait_for_a_ledger_that_somebody_locks(connect: Connect, folder: Folder) -> None:
    """
    Then it is told and not recorded; without a bound it would be recorded once the table is free.
    """
    migrate.up(connect, folder(_0001="CREATE SCHEMA t0001;"))
    holder = connect()
    holder.execute("BEGIN; LOCK TABLE store_migrations.store_migration IN EXCLUSIVE MODE")
    freed = threading.Timer(20, holder.close)
    freed.start()
    with pytest.raises(MigrationError, match="SQLSTATE 22012"):
        migrate.up(connect, folder(_0002="SELECT 1 / 0;"), options=Options(lock_timeout=0.2))
    freed.cancel()
    holder.close()

    assert [("0001_x", "up", "done")] == ledger(connect)


def test_a_failure_is_recorded_after_its_rollback(connect: Connect, folder: Folder) -> None:
    """
    With the reason, and without values out of rows.
    """
    place = folder(_0001="CREATE SCHEMA t0001; SELECT 'geheim'::integer;")
    with pytest.raises(MigrationError) as caught:
        migrate.up(connect, place)
    ((outcome, sqlstate, message),) = rows(connect, "SELECT outcome, sqlstate, message FROM store_migrations.store_migration")

    assert ("failed", "22P02") == (outcome, sqlstate)
    assert "geheim" not in str(caught.value) + message


def test_redo(connect: Connect, folder: Folder) -> None:
    place = folder(_0001="CREATE SCHEMA t0001;")
    migrate.up(connect, place)

    assert ["0001_x"] == migrate.redo(connect, place)
    assert [("0001_x", "up", "done"), ("0001_x", "down", "done"), ("0001_x", "up", "done")] == ledger(connect)


def test_redo_finds_a_rollback_that_is_not_whole(connect: Connect, folder: Folder) -> None:
    place = folder(
        _0001="CREATE SCHEMA store; CREATE TABLE store.a (id bigint);",
        _0002="ALTER TABLE store.a ADD COLUMN IF NOT EXISTS b text DEFAULT 'x';",
    )
    (place / "0002_x.rollback.sql").write_text("ALTER TABLE store.a ALTER COLUMN b DROP DEFAULT;", encoding="utf-8")
    migrate.up(connect, place)
    with pytest.raises(MigrationDrift, match="is its rollback whole"):
        migrate.redo(connect, place)


def test_drift_is_warned_of_and_refused_when_strict(connect: Connect, folder: Folder) -> None:
    place = folder(_0001="CREATE SCHEMA store; CREATE TABLE store.a (id bigint);")
    migrate.up(connect, place)
    with connect() as connection:
        connection.execute("ALTER TABLE store.a ADD COLUMN sneaked text")
    folder(_0002="CREATE SCHEMA t0002;")
    with pytest.raises(MigrationDrift, match="not what the last migration left"):
        migrate.up(connect, place, options=Options(strict=True))
    report = Report("up")

    assert ["0002_x"] == migrate.up(connect, place, report=report)
    assert 1 == len(report.warnings)


def test_repeatable_files_follow_their_content(connect: Connect, folder: Folder) -> None:
    """
    After the numbered files, again when changed, and again until they succeed.
    """
    place = folder(_0001="CREATE SCHEMA t0001; CREATE TABLE t0001.a (id bigint);")
    (place / "repeatable").mkdir()
    view = place / "repeatable" / "views.sql"
    view.write_text("CREATE OR REPLACE VIEW t0001.v AS SELECT id FROM t0001.a;", encoding="utf-8")

    assert ["0001_x", "repeatable/views"] == migrate.up(connect, place)
    assert [] == migrate.up(connect, place) == migrate.pending(connect, place)

    view.write_text("CREATE OR REPLACE VIEW t0001.v AS SELECT id, nonsense FROM t0001.a;", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(MigrationError, match="nonsense"):
            migrate.up(connect, place)

    assert ["repeatable/views"] == migrate.pending(connect, place)

    view.write_text("CREATE OR REPLACE VIEW t0001.v AS SELECT id, 1 AS one FROM t0001.a;", encoding="utf-8")

    assert ["repeatable/views"] == migrate.up(connect, place)


def test_a_second_folder_has_a_state_of_its_own(connect: Connect, folder: Folder, tmp_path: Path) -> None:
    place = folder(_0001="CREATE SCHEMA t0001;")
    other = tmp_path / "other"
    other.mkdir()
    (other / "0001_x.sql").write_text("CREATE SCHEMA t0009;", encoding="utf-8")
    (other / "0001_x.rollback.sql").write_text("DROP SCHEMA t0009;", encoding="utf-8")
    migrate.up(connect, place)

    assert ["0001_x"] == migrate.up(connect, other, options=Options(state_schema="team_migrations"))
    assert ["0001_x"] == migrate.down(connect, other, options=Options(state_schema="team_migrations"))
    assert [] == migrate.pending(connect, place)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("-- transactional: false\nCREATE INDEX CONCURRENTLY a ON t.a (id); SELECT 1;", "one-statement"),
        ("-- transactional: false\nCREATE INDEX CONCURRENTLY ON t.a (id);", "index-name"),
        ("-- transactional: false\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a ON t.a (id);", "index-if-not-exists"),
        ("-- transactional: false\nUPDATE t.a SET b = b + 1;", "not-resumable"),
        ("-- transactional: false\nALTER TYPE t.e ADD VALUE 'b';", "not-resumable"),
        ("-- transactional: false\nRESET ROLE;", "not-resumable"),
        ("-- store: batch\nUPDATE t.a SET b = 1;", "batch"),
        (
            "-- store: batch\nWITH d AS (DELETE FROM t.a WHERE id IN (SELECT id FROM t.a LIMIT 9) RETURNING 1) SELECT count(*) FROM d;",
            "batch",
        ),
        ("-- store: irreversible\nSELECT 1;", "header"),
        ("-- store: batch: yes\nUPDATE t.a SET b = 1 WHERE id IN (SELECT id FROM t.a LIMIT 1);", "header"),
        ("-- transactional: true\n-- transactional: false\nSELECT 1;", "header"),
        ("-- depend: 0001_x\nSELECT 1;", "header"),
        ("-- store: timeout: soon\nSELECT 1;", "header"),
        ("COPY t.a FROM STDIN;", "copy-stdin"),
        ("DEALLOCATE ALL;", "deallocate-all"),
        ("DEALLOCATE PREPARE ALL;", "deallocate-all"),
        ("SELECT 'never closed;", "unreadable"),
        ("PREPARE TRANSACTION 'x';", "transaction-control"),
    ],
)
def test_a_file_that_cannot_run_as_it_says_is_refused(connect: Connect, folder: Folder, text: str, rule: str) -> None:
    place = folder(_0001="SELECT 1;", _0002=text)
    with pytest.raises(MigrationError) as caught:
        migrate.up(connect, place)

    assert [(rule, 2)] == rules(caught.value)


def test_prose_with_a_colon_is_no_header(connect: Connect, folder: Folder) -> None:
    text = "-- Destructive: every cart is lost.\n-- Note: depends on nothing.\nCREATE SCHEMA t0001;\n-- Why: because.\n"

    assert ["0001_x"] == migrate.up(connect, folder(_0001=text))


# --- plain yoyo, with our backend ------------------------------------------------------------------------------------


def yoyo(server: TestServer, database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = conninfo_to_dict(server.dsn(database))
    url = f"postgresql+store:///{database}?host={where['host']}&port={where['port']}&user={where['user']}"
    return subprocess.run(
        [sys.executable, "-m", "yoyo", arguments[0], "--batch", "--no-config-file", "-d", url, *arguments[1:]],
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_plain_yoyo_runs_through_our_backend(connect: Connect, folder: Folder, server: TestServer, empty_database: str) -> None:
    """
    The stock command line with `postgresql+store://`: our lock, our transactions, our ledger, and no lock table.
    """
    place = folder(
        _0001="CREATE SCHEMA t0001;", _0002="-- depends: 0001_x\nCREATE SCHEMA t0002; CREATE TABLE t0002.a (begin text);"
    )
    applied = yoyo(server, empty_database, "apply", str(place))
    listed = yoyo(server, empty_database, "list", str(place))
    back = yoyo(server, empty_database, "rollback", str(place))

    assert (0, 0, 0) == (applied.returncode, listed.returncode, back.returncode), applied.stderr + listed.stderr + back.stderr
    assert "0002_x" in listed.stdout
    assert [("0001_x", "up", "done"), ("0002_x", "up", "done"), ("0002_x", "down", "done")] == ledger(connect)
    assert [] == rows(connect, "SELECT FROM pg_tables WHERE tablename = 'yoyo_lock'")
    assert ["0002_x"] == migrate.up(connect, place)

    (place / "0002_x.rollback.sql").write_text("CREATE SCHEMA sneaked;", encoding="utf-8")
    edited = yoyo(server, empty_database, "rollback", str(place))

    assert edited.returncode == 1
    assert "0002_x.rollback.sql was edited" in edited.stderr


def test_plain_yoyo_refuses_what_we_refuse(connect: Connect, folder: Folder, server: TestServer, empty_database: str) -> None:
    place = folder(_0001="CREATE SCHEMA t0001;")
    yoyo(server, empty_database, "apply", str(place))
    folder(_0001="CREATE SCHEMA t0001; -- edited", _0002="CREATE SCHEMA t0002; COMMIT;")
    done = yoyo(server, empty_database, "apply", str(place))
    forced = yoyo(server, empty_database, "apply", "--force", str(place))

    assert (1, 1) == (done.returncode, forced.returncode)
    assert "was edited after it was applied" in done.stderr
    assert "the runner begins and ends the transaction" in done.stderr
    assert [] == rows(connect, "SELECT FROM pg_namespace WHERE nspname = 't0002'")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("lock_wait=abc", r"\?lock_wait=abc is no number of seconds"),
        ("lock_wait=-1", r"\?lock_wait=-1 is no number"),
        ("lock_wait=nan", r"\?lock_wait=nan is no number"),
        ("lock_wait=1e9", r"\?lock_wait=1e9 is no number"),
        ("schema=Team", r"\?schema=Team is no name of a schema"),
        ("schema=a;b", r"\?schema=a;b is no name"),
        ("lockwait=5", r"\?lockwait=: neither ours"),
        ("sslmode=prefer&timeout=hunter2", r"\?timeout=: neither ours"),
    ],
)
@pytest.mark.serverless
def test_an_option_of_the_uri_says_what_is_wrong(query: str, told: str) -> None:
    """
    Before anything is connected to; of an option that is not known only the name is told.
    """
    with pytest.raises(SettingsError, match=told) as caught:
        get_backend(f"postgresql+store://nobody:hunter2@127.0.0.1:1/x?{query}")

    assert "hunter2" not in str(caught.value)


def test_the_patience_of_the_uri_is_kept(server: TestServer, empty_database: str, connect: Connect, folder: Folder) -> None:
    place = folder(_0001="CREATE SCHEMA t0001;")
    where = conninfo_to_dict(server.dsn(empty_database))
    host = quote(str(where["host"]), safe="")
    url = (
        f"postgresql+store:///{empty_database}?host={host}&port={where['port']}&user={where['user']}&lock_wait=0.2&schema=mine"
    )
    backend = get_backend(url)
    with connect() as other, backend.connection:
        _lock.acquire(other, "mine", 1)
        with pytest.raises(MigrationLocked), backend.lock():
            pass

    assert ["0001_x"] == migrate.pending(connect, place)


def test_json_of_a_refusal(connect: Connect, folder: Folder, empty_dsn: str, tmp_path: Path) -> None:
    """
    One object, every rule with its name.
    """
    place = folder(_0001="CREATE SCHEMA t0001; COMMIT;")
    (place / "0001_x.rollback.sql").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "store", "migrate", "up", "--json", "--folder", str(place)],
        env=os.environ | {"DATABASE_URL": empty_dsn},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)

    assert (2, 2, "refused") == (done.returncode, found["exit_code"], found["outcome"])
    assert {"transaction-control", "rollback-missing"} == {refusal["rule"] for refusal in found["refusals"]}
