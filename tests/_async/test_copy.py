"""
COPY of a .sql file: under the same guards as every other statement.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import psycopg
import pytest

from store import AsyncQueries, AsyncStore
from store.errors import InvalidInput, TransactionAborted, Unavailable, WrongParameters
from tests.databases import Connection
from tests.samples import settings

COPIES = """
-- name: numbers_in()
-- Take numbers in.
-- kind: copy
COPY store.probe FROM STDIN;

-- name: numbers_out()
-- Give numbers out.
-- kind: copy
COPY (SELECT n FROM generate_series(1, 3) AS n) TO STDOUT;

-- name: count_numbers()$
-- Count them.
SELECT count(*) FROM store.probe;
"""


@pytest.fixture
def copies(tmp_path: Path, connect_admin: Connection) -> Any:
    """
    A folder with two COPY statements, and the table of the one that writes.
    """
    connect_admin.execute("CREATE TABLE store.probe (n bigint); GRANT SELECT, INSERT ON store.probe TO store_app")
    (tmp_path / "copies.sql").write_text(COPIES)
    return AsyncQueries.load(tmp_path).copies


def stored(connection: Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT n FROM store.probe ORDER BY n").fetchall()]


async def test_rows_go_in_and_out(shop: AsyncStore, copies: Any, connect_admin: Connection) -> None:
    async with shop.session() as session:
        async with session.copy(copies.numbers_in) as copy:
            await copy.write("1\n2\n")
        async with session.copy(copies.numbers_out) as copy:
            assert b"".join([bytes(block) async for block in copy]) == b"1\n2\n3\n"
        with pytest.raises(InvalidInput):
            async with session.copy(copies.numbers_in) as copy:
                await copy.write("secret-canary\n")
        with pytest.raises(ZeroDivisionError):
            async with session.copy(copies.numbers_in) as copy:
                await copy.write("3\n")
                raise ZeroDivisionError

        assert stored(connect_admin) == [1, 2]


async def test_a_copy_in_a_transaction_that_no_block_owns_is_refused(
    shop: AsyncStore, copies: Any, connect_admin: Connection
) -> None:
    async with shop.session() as session:
        await session.connection.execute("BEGIN")
        with pytest.raises(TransactionAborted, match="no transaction"):
            async with session.copy(copies.numbers_in) as copy:
                await copy.write("1\n")

    assert stored(connect_admin) == []


async def test_a_copy_on_a_lost_connection_was_never_sent(shop: AsyncStore, copies: Any, connect_admin: Connection) -> None:
    """
    What is known to be gone takes nothing: that is Unavailable, and not a doubt.
    """
    async with shop.session() as session:
        connect_admin.execute("SELECT pg_terminate_backend(%s, 5000)", (session.connection.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            await session.connection.execute("SELECT 1")
        with pytest.raises(Unavailable) as caught:
            async with session.copy(copies.numbers_in) as copy:
                await copy.write("1\n")

    assert caught.value.__cause__ is None
    assert stored(connect_admin) == []


async def test_a_slow_copy_is_logged(dsn: str, copies: Any, caplog: pytest.LogCaptureFixture) -> None:
    """
    With its name and how many rows it moved, and not in a patient transaction.
    """
    caplog.set_level(logging.WARNING, "store.query")
    async with AsyncStore.open(settings(dsn, slow_query_ms=0)) as shop:
        caplog.clear()
        async with shop.session() as session, session.copy(copies.numbers_in) as copy:
            await copy.write("1\n2\n")
        async with shop.session() as session, session.copy(copies.numbers_out) as copy:
            assert b"".join([bytes(block) async for block in copy]) == b"1\n2\n3\n"
        async with shop.transaction(is_patient=True) as tx, tx.copy(copies.numbers_in) as copy:
            await copy.write("3\n")

    assert [(line.split(":")[0], line.rsplit(", ", maxsplit=1)[1]) for line in caplog.messages] == [
        ("slow query copies.numbers_in", "2 rows"),
        ("slow query copies.numbers_out", "3 rows"),
    ]


async def test_only_a_copy_copies(shop: AsyncStore, copies: Any) -> None:
    async with shop.session() as session:
        with pytest.raises(WrongParameters, match="count_numbers is no COPY"):
            async with session.copy(copies.count_numbers):
                pass

        assert await copies.count_numbers(session) == 0
