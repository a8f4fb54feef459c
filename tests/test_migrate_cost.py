"""
What 50 migrations cost a server, counted and not timed: connections and writing transactions, beside those of plain yoyo.

The times are in docs/migrations.md, measured by benchmarks/migrations.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import yoyo
from psycopg.conninfo import conninfo_to_dict

from store import migrate
from tests.databases import Connection, TestServer
from tests.waiting import until

FILES = 50


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "migrations"
    place.mkdir()
    for n in range(1, FILES + 1):
        schema = "CREATE SCHEMA store;\n" if n == 1 else ""
        text = f"{schema}CREATE TABLE store.t{n} (id bigint);\nCOMMENT ON TABLE store.t{n} IS 'x';\n"
        (place / f"{n:04}_x.sql").write_text(text, encoding="utf-8")
        (place / f"{n:04}_x.rollback.sql").write_text(f"DROP TABLE store.t{n};\n", encoding="utf-8")
    return place


def counted(server: TestServer, database: str, run: Callable[[], object]) -> tuple[int, int]:
    """
    Return how many connections and how many transactions that write it took, by the server's own counting.
    """
    with server.connect() as admin:
        before = _counts(admin, database)
        run()
        alive = "SELECT FROM pg_stat_activity WHERE datname = %s"
        until(lambda: admin.execute(alive, (database,)).fetchone() is None, "the last connection to be gone, and counted")
        after = _counts(admin, database)
        made = admin.execute(
            "SELECT pg_stat_get_db_numbackends(oid) FROM pg_database WHERE datname = %s", (database,)
        ).fetchone()

    assert made == (0,)
    return after[0] - before[0], after[1] - before[1] - 1


def _counts(admin: Connection, database: str) -> tuple[int, int]:
    sessions = admin.execute("SELECT sessions FROM pg_stat_database WHERE datname = %s", (database,)).fetchone()
    return sessions[0], int(admin.execute("SELECT pg_current_xact_id()::text").fetchone()[0])


def test_one_connection_and_a_transaction_a_file(server: TestServer, empty_database: str, folder: Path) -> None:
    connections, transactions = counted(
        server, empty_database, lambda: migrate.up(lambda: psycopg.connect(server.dsn(empty_database)), folder)
    )

    assert connections == 1
    assert FILES <= transactions <= FILES + 15  # the state tables, and what autovacuum does meanwhile


def test_plain_yoyo_takes_more_of_both(server: TestServer, empty_database: str, folder: Path) -> None:
    """
    What the page says of plain yoyo: a connection a file, each a handshake, and several transactions.
    """
    where = conninfo_to_dict(server.dsn(empty_database))
    host = quote(str(where["host"]), safe="")
    url = f"postgresql+psycopg:///{empty_database}?host={host}&port={where['port']}&user={where['user']}"

    def run() -> None:
        backend = yoyo.get_backend(url)
        with backend.lock():
            backend.apply_migrations(backend.to_apply(yoyo.read_migrations(str(folder))))
        backend.connection.close()

    connections, transactions = counted(server, empty_database, run)

    assert connections == FILES + 1
    assert transactions >= 3 * FILES
