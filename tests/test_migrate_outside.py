"""
Outside a transaction: an index is built once, never left INVALID, never taken for another; a batch goes on where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from store import migrate
from store.errors import MigrationError, MigrationHistoryError, MigrationLocked, MigrationResumable
from store.migrate import Options, Report
from tests.databases import Connection
from tests.migrations import rows

Connect = Callable[[], Connection]
Folder = Callable[..., Path]

TABLE = "CREATE SCHEMA t0001; CREATE TABLE t0001.a (id bigint, b bigint, word text); INSERT INTO t0001.a SELECT n, n FROM generate_series(1, 1000) AS n;"
INDEX = "-- transactional: false\n-- depends: 0001_x\n\nCREATE INDEX CONCURRENTLY a_id_idx ON t0001.a (id, lower(word)) WHERE b > 5;"
UNIQUE = "-- transactional: false\nCREATE UNIQUE INDEX CONCURRENTLY a_id_idx ON t0001.a USING btree (id);"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """
    Writes 0001, which makes the table, and 0002 with its rollback.
    """

    def write(text: str, back: str = "DROP INDEX CONCURRENTLY t0001.a_id_idx;") -> Path:
        place = tmp_path / "migrations"
        place.mkdir(exist_ok=True)
        (place / "0001_x.sql").write_text(TABLE, encoding="utf-8")
        (place / "0001_x.rollback.sql").write_text("DROP SCHEMA t0001 CASCADE;", encoding="utf-8")
        (place / "0002_y.sql").write_text(text, encoding="utf-8")
        (place / "0002_y.rollback.sql").write_text(back, encoding="utf-8")
        return place

    return write


def indexes(connect: Connect) -> list[tuple[Any, ...]]:
    return rows(
        connect,
        "SELECT c.relname, i.indisvalid FROM pg_index AS i INNER JOIN pg_class AS c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = to_regclass('t0001.a') ORDER BY 1",
    )


def leave_invalid(connect: Connect, definition: str = "UNIQUE INDEX CONCURRENTLY a_id_idx ON t0001.a ((id - id))") -> None:
    with connect() as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(f"CREATE {definition}".encode())


def test_an_invalid_index_is_built_anew(connect: Connect, folder: Folder) -> None:
    place = folder(INDEX)
    migrate.up(connect, place, to="0001_x")
    leave_invalid(connect)

    assert [("a_id_idx", False)] == indexes(connect)
    assert ["0002_y"] == migrate.up(connect, place)
    assert [("a_id_idx", True)] == indexes(connect)


def test_a_finished_index_is_recorded_not_built_again(connect: Connect, folder: Folder) -> None:
    """
    A run that was ended between the build and its record: the next one recognises what is there.
    """
    place = folder(INDEX)
    migrate.up(connect, place, to="0001_x")
    with connect() as connection:
        connection.execute("CREATE INDEX a_id_idx ON t0001.a (id, lower(word)) WHERE b > 5")
    before = rows(connect, "SELECT oid FROM pg_class WHERE relname = 'a_id_idx'")

    assert ["0002_y"] == migrate.up(connect, place)
    assert before == rows(connect, "SELECT oid FROM pg_class WHERE relname = 'a_id_idx'")


@pytest.mark.parametrize(
    "other",
    [
        "INDEX a_id_idx ON t0001.a (id)",
        "INDEX a_id_idx ON t0001.a (id, lower(word)) WHERE b > 6",
        "UNIQUE INDEX a_id_idx ON t0001.a (id, lower(word)) WHERE b > 5",
        "INDEX a_id_idx ON t0001.other (id, lower(word)) WHERE b > 5",
        "TABLE t0001.a_id_idx ()",
    ],
)
def test_another_thing_of_that_name_is_refused(connect: Connect, folder: Folder, other: str) -> None:
    place = folder(INDEX)
    migrate.up(connect, place, to="0001_x")
    with connect() as connection:
        connection.execute("CREATE TABLE t0001.other (LIKE t0001.a)")
        connection.execute(f"CREATE {other}".encode())
    with pytest.raises(MigrationHistoryError, match="already another a_id_idx"):
        migrate.up(connect, place)


def test_a_failed_unique_index_goes_at_once(connect: Connect, folder: Folder) -> None:
    """
    INVALID it would go on refusing writes; the error says what is double and not whose it is, and the next run goes on.
    """
    place = folder(UNIQUE)
    migrate.up(connect, place, to="0001_x")
    with connect() as connection:
        connection.execute("INSERT INTO t0001.a (id) VALUES (7), (8)")
    report = Report("up")
    with pytest.raises(MigrationResumable, match='could not create unique index "a_id_idx"') as caught:
        migrate.up(connect, place, report=report)

    assert ("23505", "0002_y") == (caught.value.sqlstate, report.failed and report.failed["id"])
    assert [] == indexes(connect)

    with connect() as connection:
        connection.execute("DELETE FROM t0001.a WHERE b IS NULL")

    assert ["0002_y"] == migrate.up(connect, place)
    assert [("a_id_idx", True)] == indexes(connect)


def test_a_half_dropped_index_is_mended_or_dropped(connect: Connect, folder: Folder) -> None:
    """
    A `down` that was ended in the middle: `down` goes on with it, `up` takes it back.
    """
    place = folder(INDEX)
    for operation in (migrate.up, migrate.down):
        migrate.up(connect, place)
        with connect() as connection:
            connection.execute(
                "INSERT INTO store_migrations.store_migration (run_id, migration_id, operation, outcome, actor)"
                " VALUES (gen_random_uuid(), '0002_y', 'down', 'started', 'killed')"
            )
            connection.execute("DROP INDEX t0001.a_id_idx")

        assert ["0002_y"] == operation(connect, place)

    assert [] == indexes(connect)
    assert ["0002_y"] == migrate.pending(connect, place)


@pytest.mark.parametrize("text", ["a_id_idx", "a_id_idx ON", "a_id_idx ON t0001.a"])
def test_a_build_that_is_none_is_refused_by_the_server(connect: Connect, folder: Folder, text: str) -> None:
    with pytest.raises(MigrationResumable, match="syntax error"):
        migrate.up(connect, folder(f"-- transactional: false\nCREATE INDEX CONCURRENTLY {text};"))


def test_reindex_leaves_no_copies(connect: Connect, folder: Folder) -> None:
    place = folder("-- transactional: false\nREINDEX TABLE CONCURRENTLY t0001.a;", "SELECT 1;")
    migrate.up(connect, place, to="0001_x")
    leave_invalid(connect, "UNIQUE INDEX CONCURRENTLY a_id_idx_ccnew ON t0001.a ((id - id))")

    assert ["0002_y"] == migrate.up(connect, place)
    assert [] == indexes(connect)


def test_a_batch_runs_until_nothing_is_left(connect: Connect, folder: Folder) -> None:
    text = """-- store: batch
    UPDATE t0001.a SET word = 'x'
    WHERE id IN (SELECT id FROM t0001.a WHERE word IS NULL ORDER BY id LIMIT 300);"""
    place = folder(text, "SELECT 1;")

    assert ["0001_x", "0002_y"] == migrate.up(connect, place)
    assert [(1000, 5)] == rows(connect, "SELECT count(word), count(DISTINCT xmin::text) + 1 FROM t0001.a")


def test_a_batch_that_was_ended_goes_on(connect: Connect, folder: Folder) -> None:
    """
    What is done stays done, and is not done again.
    """
    text = """-- store: batch
    UPDATE t0001.a SET word = coalesce(word, '') || 'x', b = 1 / (b - 650)
    WHERE id IN (SELECT id FROM t0001.a WHERE word IS NULL ORDER BY id LIMIT 300);"""
    place = folder(text, "SELECT 1;")
    with pytest.raises(MigrationResumable, match="goes on from there"):
        migrate.up(connect, place)

    assert [(600,)] == rows(connect, "SELECT count(word) FROM t0001.a")

    with connect() as connection:
        connection.execute("UPDATE t0001.a SET b = 0 WHERE b = 650")

    assert ["0002_y"] == migrate.up(connect, place)
    assert [("x", 1000)] == rows(connect, "SELECT word, count(*) FROM t0001.a GROUP BY word")


# --- locks -----------------------------------------------------------------------------------------------------------


def test_a_lock_that_comes_late_is_waited_for(connect: Connect, folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    """
    Each attempt lets go of everything, so that nobody queues behind it, and the log names who blocks.
    """
    place = folder("ALTER TABLE t0001.a ADD COLUMN c text;")
    migrate.up(connect, place, to="0001_x")
    report = Report("up")
    with connect() as holder:
        holder.execute("SET application_name = 'forgotten psql'")
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE t0001.a IN ACCESS SHARE MODE")
        timer = threading.Timer(2.5, lambda: holder.execute("COMMIT"))
        timer.start()
        with caplog.at_level("INFO", "store.migrate"):
            done = migrate.up(connect, place, options=Options(lock_timeout=1.0), report=report)
        timer.join()

    assert ["0002_y"] == done
    assert report.applied[0].attempts > 1
    assert report.applied[0].lock_wait_ms >= 1000
    assert "forgotten psql" in caplog.text
    assert [(True, True)] == rows(
        connect,
        "SELECT attempts > 1, lock_wait_ms >= 1000 FROM store_migrations.store_migration"
        " WHERE migration_id = '0002_y' AND outcome = 'done'",
    )


def test_a_lock_that_never_comes_is_given_up_with_a_name(connect: Connect, folder: Folder) -> None:
    place = folder("ALTER TABLE t0001.a ADD COLUMN c text;")
    migrate.up(connect, place, to="0001_x")
    report = Report("up")
    with connect() as holder:
        holder.execute("SET application_name = 'forgotten psql'")
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE t0001.a IN ACCESS SHARE MODE")
        with pytest.raises(MigrationLocked, match=r"0002_y.*forgotten psql, idle in transaction"):
            migrate.up(connect, place, options=Options(lock_timeout=1.0, lock_wait=1.0), report=report)

    assert report.failed is not None
    assert ["forgotten psql"] == [each["application"] for each in report.failed["blockers"]]
    assert ["0002_y"] == migrate.up(connect, place)


def test_a_table_that_somebody_holds_is_waited_for(connect: Connect, folder: Folder) -> None:
    """
    Also where the file has nothing to do with it: describing the schema wants a lock for a moment.
    """
    place = folder(
        "CREATE SCHEMA store; CREATE TABLE store.a (id bigint); CREATE VIEW store.v AS SELECT id FROM store.a;", "SELECT 1;"
    )
    migrate.up(connect, place)
    (place / "0003_z.sql").write_text("CREATE SCHEMA t0003;", encoding="utf-8")
    (place / "0003_z.rollback.sql").write_text("DROP SCHEMA t0003;", encoding="utf-8")
    with connect() as holder:
        holder.execute("SET application_name = 'forgotten psql'")
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE store.a, store.v IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(MigrationLocked, match="forgotten psql"):
            migrate.up(connect, place, options=Options(lock_timeout=1.0, lock_wait=1.0))
        timer = threading.Timer(1.5, lambda: holder.execute("COMMIT"))
        timer.start()
        done = migrate.up(connect, place, options=Options(lock_timeout=0.5))
        timer.join()

    assert ["0003_z"] == done


def test_no_subtransactions(connect: Connect, folder: Folder) -> None:
    """
    80 tables in one file: one transaction, so that no snapshot of the whole server overflows.
    """
    tables = "".join(f"CREATE TABLE t0001.b{n} (id bigint);" for n in range(80))
    check = "DO $$ BEGIN IF (SELECT subxact_count > 1 FROM pg_stat_get_backend_subxact(%s) AS s) THEN RAISE 'subtransactions'; END IF; END $$;"
    mine = "(SELECT i FROM pg_stat_get_backend_idset() AS i WHERE pg_stat_get_backend_pid(i) = pg_backend_pid())"

    assert ["0001_x", "0002_y"] == migrate.up(connect, folder(tables + check % mine, "SELECT 1;"))


def test_a_role_that_the_file_changes_is_refused(connect: Connect, folder: Folder) -> None:
    place = folder("SET ROLE pg_read_all_data;", "SELECT 1;")
    with pytest.raises(MigrationError, match="changed the role"):
        migrate.up(connect, place)

    assert ["0002_y"] == migrate.pending(connect, place)


def test_what_a_file_sets_ends_with_it(connect: Connect, folder: Folder) -> None:
    """
    A search_path or a timeout that one file sets for the session is no matter of the next one.
    """
    place = folder("SET search_path = t0001; SET statement_timeout = '1min';", "SELECT 1;")
    (place / "0003_z.sql").write_text("CREATE TABLE lost (id bigint);", encoding="utf-8")
    (place / "0003_z.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    with pytest.raises(MigrationError, match="no schema has been selected"):
        migrate.up(connect, place)


def test_a_statement_that_takes_too_long_is_ended(connect: Connect, folder: Folder) -> None:
    place = folder("SELECT pg_sleep(30);", "SELECT 1;")
    with pytest.raises(MigrationError, match=r"statement timeout.*57014"):
        migrate.up(connect, place, options=Options(statement_timeout=0.3))
    folder("-- store: timeout: 30s\nSELECT pg_sleep(0.5);", "SELECT 1;")

    assert ["0002_y"] == migrate.up(connect, place, options=Options(statement_timeout=0.3))


VALIDATE = "-- transactional: false\nALTER TABLE t0001.a VALIDATE CONSTRAINT a_checked;"


@pytest.fixture
def checked(folder: Folder) -> Callable[[str], Path]:
    """
    Writes a migration that validates a constraint, which does this for every row it looks at.
    """

    def write(text: str) -> Path:
        body = f"LANGUAGE plpgsql AS $$ BEGIN {text}; RETURN true; END $$;"
        place = folder(VALIDATE, "SELECT 1;")
        (place / "0002_y.rollback.sql").write_text("VACUUM t0001.a;", encoding="utf-8")
        constraint = "ALTER TABLE t0001.a ADD CONSTRAINT a_checked CHECK (t0001.f(id)) NOT VALID;"
        made = f"{TABLE} CREATE FUNCTION t0001.f(bigint) RETURNS boolean {body} {constraint}"
        (place / "0001_x.sql").write_text(made, encoding="utf-8")
        return place

    return write


def test_a_file_that_lets_go_of_the_lock_is_refused(connect: Connect, folder: Folder) -> None:
    place = folder("SELECT pg_advisory_unlock_all();", "SELECT 1;")
    with pytest.raises(MigrationError, match="let go of the lock of the runners"):
        migrate.up(connect, place)

    assert ["0002_y"] == migrate.pending(connect, place)


def test_a_step_outside_that_lets_go_of_the_lock_is_not_recorded(connect: Connect, checked: Callable[[str], Path]) -> None:
    with pytest.raises(MigrationError, match="let go of the lock of the runners"):
        migrate.up(connect, checked("PERFORM pg_advisory_unlock_all()"))


def test_a_step_outside_that_changes_the_role_is_not_recorded(connect: Connect, checked: Callable[[str], Path]) -> None:
    with pytest.raises(MigrationError, match="changed the role"):
        migrate.up(connect, checked("SET ROLE pg_read_all_data"))


def test_whatever_a_file_sets_ends_with_it(connect: Connect, folder: Folder) -> None:
    """
    Not only what the runner sets itself: a file means the same in a run of its own and behind others.
    """
    place = folder("SET session_replication_role = replica; SET TimeZone = 'Asia/Tokyo'; SET work_mem = '1MB';", "SELECT 1;")
    said = "current_setting('session_replication_role') || current_setting('TimeZone') || current_setting('work_mem')"
    (place / "0003_z.sql").write_text(f"CREATE TABLE t0001.said AS SELECT {said} AS it;", encoding="utf-8")
    (place / "0003_z.rollback.sql").write_text("DROP TABLE t0001.said;", encoding="utf-8")
    migrate.up(connect, place)
    before = rows(connect, f"SELECT {said}")

    assert before == rows(connect, "SELECT it FROM t0001.said")


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("a_id_idx", "ON t0001.a (id) WHERE t0001.a.b > 0"),
        ("a_id_idx", "ON t0001.a ((a.id + 1), (t0001.a.b), t0001.f(a.b))"),
        ("a_idx_É", "ON t0001.a (id)"),
        ("A_" + "x" * 70, "ON ONLY t0001.a (lower(a.word))"),
    ],
)
def test_a_finished_index_is_known_by_whatever_name(connect: Connect, folder: Folder, name: str, rest: str) -> None:
    text = f"CREATE INDEX CONCURRENTLY {name} {rest}"
    place = folder(f"-- transactional: false\n{text};", "VACUUM t0001.a;")
    function = "CREATE FUNCTION t0001.f(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
    (place / "0001_x.sql").write_text(TABLE + function, encoding="utf-8")
    migrate.up(connect, place, to="0001_x")
    with connect() as connection:
        connection.execute(text.encode())  # as a run that was ended before its record

    assert ["0002_y"] == migrate.up(connect, place)
    assert ["0002_y"] == migrate.down(connect, place)
    assert ["0002_y"] == migrate.up(connect, place)
