"""
The wire is cut at every COMMIT of a run, before the server has it and after: the next run knows what is stored and goes on.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from store import embedded, migrate
from store.errors import MigrationHistoryError, StoreError
from tests.databases import Connection
from tests.waiting import until
from tests.wire import Proxy, proxy

Connect = Callable[[], Connection]
Run = Callable[[Connect, Path], object]

FILES = {
    "0001_base": ("CREATE SCHEMA t; CREATE TABLE t.a (id bigint);", "DROP SCHEMA t CASCADE;"),
    "0002_more": (
        "CREATE TABLE t.b (id bigint); ALTER TABLE t.a ADD COLUMN more text;",
        "DROP TABLE t.b; ALTER TABLE t.a DROP COLUMN more;",
    ),
    "0003_index": (
        "-- transactional: false\nCREATE UNIQUE INDEX CONCURRENTLY a_idx ON t.a (id);",
        "DROP INDEX CONCURRENTLY t.a_idx;",
    ),
    "0004_batch": (
        "-- store: batch\nUPDATE t.a SET more = 'x' WHERE id IN (SELECT id FROM t.a WHERE more IS NULL LIMIT 5);",
        "SELECT 1;",
    ),
}
ALL = [*FILES, "repeatable/v"]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def own_server(server_directory: Path) -> Iterator[embedded.Server]:
    directory = server_directory / "cut"
    started = embedded.start(directory, int(os.environ.get("STORE_TEST_PG", "18")))
    with psycopg.connect(started.dsn("postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield started
    embedded.remove(directory)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "migrations"
    (place / "repeatable").mkdir(parents=True)
    for name, (up, down) in FILES.items():
        (place / f"{name}.sql").write_text(up, encoding="utf-8")
        (place / f"{name}.rollback.sql").write_text(down, encoding="utf-8")
    (place / "repeatable" / "v.sql").write_text("CREATE OR REPLACE VIEW t.v AS SELECT id FROM t.a;", encoding="utf-8")
    return place


@pytest.fixture
def wire(own_server: embedded.Server, tmp_path: Path) -> Iterator[Proxy]:
    with proxy(tmp_path, own_server.socket_dir) as made:
        yield made


def fresh(server: embedded.Server) -> str:
    name = f"store_test_cut_{next(_numbers)}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    return name


def connecting(dsn: str) -> Connect:
    return lambda: psycopg.connect(dsn, autocommit=True)


def cut_everywhere(
    server: embedded.Server, wire: Proxy, folder: Path, *, prepare: Run, run: Run, again: Run, expected: list[str]
) -> int:
    """
    Cut one run at each of its COMMITs, in a database of its own; return how many there were.
    """
    for number in itertools.count():
        for cut in ("before", "after"):
            name = fresh(server)
            direct = connecting(server.dsn(name))
            through = connecting(make_conninfo(host=str(wire.directory), port=5432, user="postgres", dbname=name))
            prepare(direct, folder)
            before = wire.cuts
            wire.arm(cut, b"COMMIT", spare=number)
            try:
                run(through, folder)
            except StoreError:
                assert wire.cuts == before + 1
            wire.arm(None, b"")
            if wire.cuts == before:
                return number
            again(direct, folder)
            until_unlocked(direct)

            assert (expected, []) == (applied(direct), wrong(direct)), (number, cut)
    raise AssertionError


def applied(connect: Connect) -> list[str]:
    with connect() as connection:
        rows = connection.execute("SELECT migration_id FROM store_migrations._yoyo_migration ORDER BY 1").fetchall()
    return [name for (name,) in rows]


def wrong(connect: Connect) -> list[str]:
    """
    Return what is not as after a run that nothing happened to: by the record and by the schema.
    """
    faults = {
        "recorded twice": "SELECT FROM store_migrations.store_migration WHERE outcome = 'done' AND operation IN ('up', 'baseline')"
        " GROUP BY migration_id HAVING count(*) > 1",
        "INVALID index": "SELECT FROM pg_index WHERE NOT indisvalid",
        "lock": "SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database"
        " WHERE datname = current_database())",
        "made, not recorded": "SELECT WHERE (to_regclass('t.b') IS NOT NULL) <> EXISTS ("
        "SELECT FROM store_migrations._yoyo_migration WHERE migration_id = '0002_more')",
        "index made, not recorded": "SELECT WHERE (to_regclass('t.a_idx') IS NOT NULL) <> EXISTS ("
        "SELECT FROM store_migrations._yoyo_migration WHERE migration_id = '0003_index')",
    }
    with connect() as connection:
        return [name for name, query in faults.items() if connection.execute(query.encode()).fetchone() is not None]


def until_unlocked(connect: Connect) -> None:
    """
    Wait until the server process of the last run has seen that its client is gone.
    """
    until(lambda: "lock" not in wrong(connect), "the lock of the last run to go")


def nothing(connect: Connect, folder: Path) -> None:
    pass


def test_up_is_cut_at_every_commit(own_server: embedded.Server, wire: Proxy, folder: Path) -> None:
    """
    The files in a transaction, an index outside one, a batch and a repeatable file, and the state tables themselves.
    """
    cuts = cut_everywhere(own_server, wire, folder, prepare=nothing, run=migrate.up, again=migrate.up, expected=list(FILES))

    assert cuts >= len(ALL)


def test_down_is_cut_at_every_commit(own_server: embedded.Server, wire: Proxy, folder: Path) -> None:
    def back(connect: Connect, folder: Path) -> None:
        migrate.down(connect, folder, to="0001_base")

    cuts = cut_everywhere(own_server, wire, folder, prepare=migrate.up, run=back, again=back, expected=["0001_base"])

    assert cuts >= 3


def test_a_baseline_is_cut_at_every_commit(own_server: embedded.Server, wire: Proxy, folder: Path) -> None:
    """
    Either all of it is recorded or nothing: then the next one records it.
    """

    def prepare(connect: Connect, folder: Path) -> None:
        migrate.up(connect, folder, to="0003_index")
        with connect() as connection:
            query = "SELECT fingerprint_after FROM store_migrations.store_migration ORDER BY seq DESC LIMIT 1"
            found = connection.execute(query.encode()).fetchone()[0].partition(" ")[0]
            connection.execute("DROP SCHEMA store_migrations CASCADE")
        (folder / "MANIFEST").write_text(f"0003_index a b {found}\n", encoding="utf-8")

    def run(connect: Connect, folder: Path) -> None:
        migrate.baseline(connect, folder, "0003_index")

    def again(connect: Connect, folder: Path) -> None:
        try:
            run(connect, folder)
        except MigrationHistoryError as error:
            assert "0003_index is recorded as applied" in str(error)

    cuts = cut_everywhere(own_server, wire, folder, prepare=prepare, run=run, again=again, expected=list(FILES)[:3])

    assert cuts >= 1
