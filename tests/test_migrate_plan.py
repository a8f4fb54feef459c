"""
What is planned is what runs: the sealed plan, and the commands around a deploy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from store import migrate
from store.errors import MigrationDrift, MigrationFolderError, MigrationHistoryError, MigrationLocked, MigrationRefused
from tests.databases import Connection
from tests.migrations import rows, write

Connect = Callable[[], Connection]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    (folder / "repeatable").mkdir(parents=True)
    write(folder, "0001_x", "CREATE SCHEMA store; CREATE TABLE store.a (id bigint)", "DROP SCHEMA store CASCADE;")
    write(
        folder,
        "0002_y",
        "-- transactional: false\nCREATE INDEX CONCURRENTLY a_idx ON store.a (id);",
        "DROP INDEX CONCURRENTLY store.a_idx;",
    )
    (folder / "repeatable" / "v.sql").write_text(
        "CREATE OR REPLACE VIEW store.v AS SELECT id FROM store.a; -- it's", encoding="utf-8"
    )
    return folder


def test_a_plan_is_what_runs(connect: Connect, place: Path) -> None:
    """
    `up --plan` with an unchanged world applies it, and the ledger keeps the hash.
    """
    found = migrate.plan(connect, place)

    assert ["0001_x", "0002_y", "repeatable/v"] == [each["id"] for each in found.pending]
    assert found == migrate.plan(connect, place)
    assert [] == rows(connect, "SELECT FROM pg_namespace WHERE nspname = 'store_migrations'")
    assert ["0001_x", "0002_y", "repeatable/v"] == migrate.up(connect, place, plan=found.hash)
    assert [(found.hash,)] == rows(connect, "SELECT DISTINCT plan_hash FROM store_migrations.store_migration")


def test_a_plan_shows_what_is_locked(connect: Connect, place: Path) -> None:
    """
    What the lint wrote beside a file stands above it.
    """
    (place / "0001_x.locks.txt").write_text("line 1: CREATE SCHEMA store\n    lock     nothing\n", encoding="utf-8")

    assert "-- line 1: CREATE SCHEMA store\n--     lock     nothing\n\n-- 0001_x\nBEGIN;\n" in migrate.plan(connect, place).sql


def test_a_plan_is_refused_when_files_or_database_moved(connect: Connect, place: Path) -> None:
    migrate.up(connect, place)
    write(place, "0003_z", "CREATE TABLE store.b (id bigint);", "DROP TABLE store.b;")
    sealed = migrate.plan(connect, place).hash
    write(place, "0003_z", "CREATE TABLE store.b (id bigint); -- more", "DROP TABLE store.b;")
    with pytest.raises(MigrationHistoryError, match="files or their order"):
        migrate.up(connect, place, plan=sealed)
    sealed = migrate.plan(connect, place).hash
    with connect() as connection:
        connection.execute("ALTER TABLE store.a ADD COLUMN sneaked text")
    with pytest.raises(MigrationDrift, match="the database is not what it was"):
        migrate.up(connect, place, plan=sealed)
    with pytest.raises(MigrationFolderError, match="64 digits"):
        migrate.up(connect, place, plan="abc")

    assert ["0003_z"] == migrate.pending(connect, place)


def test_a_planned_file_runs_by_hand(connect: Connect, place: Path) -> None:
    """
    The printed SQL, run by a DBA, leaves what the runner would have left, bookkeeping included.
    """
    write(place, "0003_z", "CREATE TABLE store.b (id bigint)", "DROP TABLE store.b;")
    migrate.up(connect, place, to="0002_y")
    with connect() as connection:
        connection.execute(migrate.plan(connect, place).sql.encode())

    assert [] == migrate.up(connect, place)
    assert [("0003_z", "up"), ("repeatable/v", "repeatable")] == rows(
        connect, "SELECT migration_id, operation FROM store_migrations.store_migration WHERE seq > 3 ORDER BY seq"
    )
    assert ["0003_z"] == migrate.down(connect, place)


def test_baseline_takes_only_the_schema_it_knows(connect: Connect, place: Path) -> None:
    migrate.up(connect, place)
    fingerprint = rows(connect, "SELECT fingerprint_after FROM store_migrations.store_migration ORDER BY seq DESC LIMIT 1")[0][
        0
    ]
    with pytest.raises(MigrationHistoryError, match="recorded as applied"):
        migrate.baseline(connect, place, "0002_y")
    with connect() as connection:
        connection.execute("DROP SCHEMA store_migrations CASCADE")
    with pytest.raises(MigrationHistoryError, match="keeps no fingerprint"):
        migrate.baseline(connect, place, "0002_y")
    (place / "MANIFEST").write_text(f"0002_y a b {'0' * 64}\n", encoding="utf-8")
    with pytest.raises(MigrationDrift, match="not what 0002_y leaves"):
        migrate.baseline(connect, place, "0002_y")

    assert ["0001_x", "0002_y"] == migrate.pending(connect, place)[:2]

    (place / "MANIFEST").write_text(f"0002_y a b {fingerprint}\n", encoding="utf-8")

    assert ["0001_x", "0002_y"] == migrate.baseline(connect, place, "0002_y")
    assert ["repeatable/v"] == migrate.up(connect, place)


def test_unlock_shows_ends_and_clears(connect: Connect, place: Path) -> None:
    """
    It ends nobody but a runner that was named, and takes a stale row of yoyo's own lock away.
    """
    migrate.up(connect, place)
    with connect() as holder:
        holder.execute("SELECT pg_advisory_lock(%s, %s)", (1937010546, -1))  # another state schema: not ours
        assert migrate.unlock(connect) is False
        holder.execute("SELECT pg_advisory_lock(1937010546, %s)", (_key(),))
        pid = holder.info.backend_pid
        with pytest.raises(MigrationLocked, match=str(pid)):
            migrate.unlock(connect)
        with pytest.raises(MigrationRefused, match="no runner of migrations"):
            migrate.unlock(connect, terminate=pid)
        with pytest.raises(MigrationRefused, match=rf"^1 is no runner of migrations.*\b{pid}\b"):
            migrate.unlock(connect, terminate=1)
        holder.execute("SET application_name = 'store-migrate/0003_z'")

        assert migrate.unlock(connect, terminate=pid) is False
    with connect() as connection:
        connection.execute("CREATE TABLE store_migrations.yoyo_lock (locked integer, ctime timestamp, pid integer)")
        connection.execute("INSERT INTO store_migrations.yoyo_lock VALUES (1, now(), 1)")
    with pytest.raises(MigrationLocked, match="store migrate unlock"):
        migrate.up(connect, place)

    assert migrate.unlock(connect) is True
    assert [] == migrate.up(connect, place)


def _key() -> int:
    from store.migrate import _lock

    return _lock.key("store_migrations")


def test_new_continues_the_numbers(place: Path, connect: Connect) -> None:
    created = migrate.new(place, "Add gift notes")

    assert ("0003_add_gift_notes.sql", "0003_add_gift_notes.rollback.sql") == (created.up.name, created.down.name)
    assert "-- depends: 0002_y" in created.up.read_text(encoding="utf-8")
    assert "0003_add_gift_notes" in migrate.pending(connect, place)
    with pytest.raises(MigrationFolderError, match="letters, digits"):
        migrate.new(place, "drop; table")


def test_a_file_without_a_statement_is_refused(place: Path, connect: Connect) -> None:
    """
    What `new` wrote has to be filled in, both files; a migration without a way back needs no rollback.
    """
    created = migrate.new(place, "Add gift notes")
    (place / "repeatable" / "none.sql").write_text("-- nothing\n", encoding="utf-8")
    with pytest.raises(MigrationFolderError) as caught:
        migrate.up(connect, place)

    assert [("empty", 2, name) for name in (created.up.name, created.down.name, "repeatable/none.sql")] == [
        (each.rule, each.exit_code, each.message.partition(":")[0]) for each in caught.value.refusals
    ]
    assert "0003_add_gift_notes" in migrate.pending(connect, place)

    (place / "repeatable" / "none.sql").unlink()
    created.up.write_text("-- transactional: false\n-- store: batch\n", encoding="utf-8")
    with pytest.raises(MigrationFolderError) as caught:
        migrate.up(connect, place)

    assert ["empty", "empty"] == [each.rule for each in caught.value.refusals]

    created.up.write_text("-- store: irreversible: sent\nCREATE SCHEMA gifts;", encoding="utf-8")

    assert "0003_add_gift_notes" in migrate.up(connect, place)


# --- the command line ------------------------------------------------------------------------------------------------


def store(dsn: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "store", "migrate", *arguments],
        env=os.environ | {"DATABASE_URL": dsn, "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_commands_of_a_deploy(empty_dsn: str, place: Path, tmp_path: Path) -> None:
    """
    plan, up --plan, status --check, redo, down, baseline and unlock with their exit codes and one JSON object each.
    """
    where = ("--folder", str(place))
    planned = store(empty_dsn, "plan", *where, "--out", str(tmp_path / "plan.json"))
    sealed = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))["plan_hash"]
    shown = store(empty_dsn, "plan", *where, "--no-json")
    calls = [
        store(empty_dsn, "up", *where, "--plan", "0" * 64),
        store(empty_dsn, "up", *where, "--plan", sealed, "--wait", "5s"),
        store(empty_dsn, "status", "--check", *where),
        store(empty_dsn, "redo", "--allow-down", *where),
        store(empty_dsn, "down", "--allow-down", "--to", "0001_x", *where),
        store(empty_dsn, "down", "--allow-down", "--to", "nonsense", *where),
        store(empty_dsn, "baseline", "0001_x", *where),
        store(empty_dsn, "unlock"),
        store(empty_dsn, "unlock", "--terminate", "1"),
        store(empty_dsn, "baseline", "nope", *where),
        store(empty_dsn, "new", "add", "--folder", str(place)),
        store(empty_dsn, "up", "--wait", "soon"),
    ]

    assert (3, sealed) == (planned.returncode, json.loads(planned.stdout)["plan_hash"])
    assert f"-- plan {sealed}" in shown.stdout
    assert [7, 0, 0, 0, 0, 2, 7, 0, 9, 2, 0, 2] == [each.returncode for each in calls], [each.stderr for each in calls]
    told = [json.loads(calls[at].stdout) for at in (2, 8, 9)]
    assert ["0001_x", "0002_y", "repeatable/v"] == [each["id"] for each in told[0]["applied"]]
    assert told[0]["applied"][0]["applied_at"]
    assert "1 is no runner of migrations: nothing is ended. At work: nobody" == told[1]["error"]["message"]
    assert told[2]["error"]["message"].startswith("nope: there is no such migration in")
    assert [each.returncode for each in calls[:-1]] == [json.loads(each.stdout)["exit_code"] for each in calls[:-1]]


def test_a_read_only_role_and_a_standby_may_read(connect: Connect, empty_dsn: str, place: Path) -> None:
    """
    The commands status and plan write nothing; up says that it cannot, with exit code 10.
    """
    migrate.up(connect, place, to="0001_x")
    with connect() as connection:
        connection.execute("CREATE ROLE store_test_reader LOGIN")
        try:
            connection.execute("GRANT USAGE ON SCHEMA store_migrations TO store_test_reader")
            connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA store_migrations TO store_test_reader")
            connection.execute("ALTER ROLE store_test_reader SET default_transaction_read_only = on")
            dsn = make_conninfo(empty_dsn, user="store_test_reader")
            where = ("--folder", str(place))
            calls = [store(dsn, *words, *where) for words in (["status", "--check"], ["plan"], ["up"])]
        finally:
            connection.execute("DROP OWNED BY store_test_reader; DROP ROLE store_test_reader")

    assert [3, 3, 10] == [each.returncode for each in calls], [each.stdout for each in calls]
    message = json.loads(calls[2].stdout)["error"]["message"]
    assert "sessions of store_test_reader are read-only here (default_transaction_read_only is on)" in message
    assert "STORE_MIGRATE_URL" in message
    assert "standby" not in message


def test_a_server_that_never_comes(place: Path, tmp_path: Path) -> None:
    done = store(f"host={tmp_path} dbname=x user=ada password=geheim", "up", "--folder", str(place), "--wait", "700ms")

    assert 10 == done.returncode
    assert "nothing listens there" in json.loads(done.stdout)["error"]["message"]
    assert "geheim" not in done.stdout + done.stderr


def test_role(connect: Connect, empty_dsn: str, place: Path) -> None:
    """
    What is made belongs to the role that is named.
    """
    with connect() as connection:
        connection.execute("CREATE ROLE store_test_owner")
        try:
            database = connection.info.dbname
            connection.execute(f'GRANT CREATE ON DATABASE "{database}" TO store_test_owner'.encode())
            done = store(empty_dsn, "up", "--role", "store_test_owner", "--folder", str(place))
            owners = connection.execute(
                "SELECT DISTINCT relowner::regrole::text FROM pg_class"
                " WHERE relnamespace IN ('store'::regnamespace, 'store_migrations'::regnamespace)"
            ).fetchall()
        finally:
            connection.execute("DROP OWNED BY store_test_owner CASCADE; DROP ROLE store_test_owner")
        refused = store(empty_dsn, "up", "--role", "store_test_owner", "--folder", str(place))

    assert (0, [("store_test_owner",)], 10) == (done.returncode, owners, refused.returncode), done.stdout + refused.stdout
