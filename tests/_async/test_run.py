"""
A unit of work that is run again: when, how often, and when never.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from store import AsyncQueries, AsyncSession, AsyncStore, _retry
from store.errors import (
    CommitUnknown,
    DuplicateEmail,
    InvalidInput,
    NotFound,
    Overloaded,
    ReadOnly,
    StatementCancelled,
    StatementTimeout,
    StoreError,
    TransactionAborted,
    Unavailable,
    from_postgres,
)
from tests.databases import Connection
from tests.samples import product, settings, user


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((from_postgres(state), "again") for state in ("40001", "40P01", "55P03", "57014", "25P03", "25P04")),
        *((from_postgres(state), "again") for state in ("57P01", "57P02", "57P03", "57P05", "08006", "08P01", "25006")),
        *(
            (from_postgres(state), "never")
            for state in ("23505", "23P01", "23514", "53100", "53200", "53300", "42601", "25P02")
        ),
        (Unavailable(), "again"),
        (from_postgres("57014", primary="canceling statement due to user request"), "never"),
        (from_postgres("57014", primary="canceling statement due to statement timeout"), "again"),
        (CommitUnknown(), "unknown"),
        (Overloaded(), "never"),
        (ReadOnly(), "never"),
        (TransactionAborted(), "never"),
        (NotFound(), "never"),
        (InvalidInput(), "never"),
    ],
)
def test_retry_table_by_sqlstate(error: StoreError, expected: str) -> None:
    assert _retry.verdict(error) == expected


async def failing(shop: AsyncStore, error: StoreError, times: int, **how: object) -> int:
    """
    Run a unit that fails so many times after it has written, and return how often it was run.
    """
    runs = 0

    async def work(tx: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        await tx.users.create(user(f"ada{runs}", email="ada@example.org"))
        if runs <= times:
            raise error

    try:
        await shop.run(work, **how)  # type: ignore[arg-type]
    except StoreError as raised:
        assert raised is error
    return runs


async def test_it_is_run_until_it_works_and_stored_once(shop: AsyncStore) -> None:
    assert await failing(shop, from_postgres("40001"), 3) == 4
    assert [each.username for each in await shop.users.list()] == ["ada4"]


async def test_five_tries_and_no_more(shop: AsyncStore) -> None:
    assert await failing(shop, from_postgres("40P01"), 99) == 5
    assert await failing(shop, from_postgres("40P01"), 99, seconds=0) == 1
    assert await failing(shop, from_postgres("53100"), 99) == 1
    assert await failing(shop, CommitUnknown(), 99) == 1
    assert await failing(shop, CommitUnknown(), 2, is_repeatable=True) == 3
    assert len(await shop.users.list()) == 1


async def test_what_it_returns_is_returned(shop: AsyncStore) -> None:
    async def work(tx: AsyncSession) -> int:
        return (await tx.catalog.create(product())).id

    assert (await shop.catalog.get(await shop.run(work))).sku == "A-1"


async def test_a_business_error_is_final(shop: AsyncStore) -> None:
    runs = 0

    async def work(tx: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        await tx.users.create(user("ada"))
        await tx.users.create(user("eve", email="ada@example.org"))

    with pytest.raises(DuplicateEmail):
        await shop.run(work)
    assert (runs, len(await shop.users.list())) == (1, 0)


async def test_a_swallowed_error_is_no_success(shop: AsyncStore) -> None:
    async def work(tx: AsyncSession) -> None:
        await tx.users.create(user("ada"))
        with pytest.raises(DuplicateEmail):
            await tx.users.create(user("eve", email="ada@example.org"))

    with pytest.raises(TransactionAborted):
        await shop.run(work)
    assert len(await shop.users.list()) == 0


async def test_a_pool_of_connections_to_a_standby_is_replaced(dsn: str) -> None:
    """
    After a failover every connection of the pool may be one to what is a standby now: the second try gets a new one.
    """
    async with AsyncStore.open(settings(dsn, pool_size=3)) as shop:
        assert shop._pool._pool is not None
        taken = [await shop._pool._pool.getconn() for _ in range(3)]
        for connection in taken:
            await connection.execute("SET default_transaction_read_only = on")
        for connection in taken:
            await shop._pool._pool.putconn(connection)
        runs = 0

        async def work(tx: AsyncSession) -> None:
            nonlocal runs
            runs += 1
            await tx.users.create(user("ada"))

        await shop.run(work)

        assert (runs, len(await shop.users.list())) == (2, 1)


CANCELS = """
-- name: cancel_itself()$
-- Is cancelled while it runs, as an operator would do it.
SELECT pg_cancel_backend(pg_backend_pid()) AND pg_sleep(60::float8) IS NULL;

-- name: nap()$
-- Takes longer than it may.
SELECT pg_sleep(60::float8) IS NULL;
"""


async def test_what_somebody_cancels_is_not_run_again(dsn: str, tmp_path: Path) -> None:
    """
    It has the SQLSTATE of what takes too long, which is run again.
    """
    (tmp_path / "ops.sql").write_text(CANCELS, encoding="utf-8")
    queries = AsyncQueries.load(tmp_path)
    runs: list[str] = []

    async def cancelled(tx: AsyncSession) -> None:
        runs.append("cancelled")
        await queries.ops.cancel_itself(tx)

    async def late(tx: AsyncSession) -> None:
        runs.append("late")
        await queries.ops.nap(tx)

    async with AsyncStore.open(settings(dsn, statement_timeout_ms=300)) as shop:
        with pytest.raises(StatementCancelled) as caught:
            await shop.run(cancelled)
        with pytest.raises(StatementTimeout) as timed_out:
            await shop.run(late)

    assert (runs.count("cancelled"), runs.count("late")) == (1, 5)
    assert (caught.value.sqlstate, caught.value.retryable) == ("57014", False)
    assert (timed_out.value.sqlstate, timed_out.value.retryable) == ("57014", True)


async def test_a_killed_connection_is_replaced(dsn: str, connect_admin: Connection) -> None:
    async with AsyncStore.open(settings(dsn)) as shop:
        runs = 0

        async def work(tx: AsyncSession) -> None:
            nonlocal runs
            runs += 1
            await tx.users.create(user("ada"))
            if runs == 1:
                connect_admin.execute("SELECT pg_terminate_backend(%s)", (tx.connection.info.backend_pid,))
            await tx.users.create(user("bob"))

        await shop.run(work)

        assert (runs, len(await shop.users.list())) == (2, 2)
