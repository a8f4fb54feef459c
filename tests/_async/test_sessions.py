"""
Sessions and transactions: what is stored, what is not, and in which state a connection goes back.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from store import AsyncSession, AsyncStore
from store.errors import (
    DuplicateUsername,
    LockTimeout,
    NestedCheckout,
    OutOfStock,
    StoreClosed,
    StoreError,
    TransactionAborted,
    Unavailable,
    WrongParameters,
)
from tests.databases import Connection
from tests.samples import product, settings, user

STEPS = 5


def usernames(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT username FROM store.users ORDER BY id").fetchall()]


async def ask(session: AsyncSession, statement: str) -> Any:
    """
    Return the one value of a statement on the session's own connection.
    """
    cursor = await session.connection.execute(statement.encode())
    row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def test_a_block_that_ends_well_is_stored(shop: AsyncStore, connect_admin: Connection) -> None:
    async with shop.transaction() as tx:
        await tx.users.create(user("ada"))
        assert usernames(connect_admin) == []
        await tx.users.create(user("bob"))

    assert usernames(connect_admin) == ["ada", "bob"]


async def test_a_block_that_raises_stores_nothing(shop: AsyncStore, connect_admin: Connection) -> None:
    with pytest.raises(ZeroDivisionError):
        async with shop.transaction() as tx:
            await tx.users.create(user("ada"))
            raise ZeroDivisionError
    with pytest.raises(DuplicateUsername):
        async with shop.transaction() as tx:
            await tx.users.create(user("ada"))
            await tx.users.create(user("ada", email="other@example.org"))

    assert usernames(connect_admin) == []


@pytest.mark.parametrize("failing", range(STEPS))
async def test_swallowed_error_is_never_success(shop: AsyncStore, connect_admin: Connection, failing: int) -> None:
    """
    Whichever statement of a block fails and has its error swallowed: the block raises, and nothing of it is stored.
    """
    await shop.users.create(user("taken"))
    refused: list[type[StoreError]] = []
    with pytest.raises(TransactionAborted):
        async with shop.transaction() as tx:
            for step in range(STEPS):
                name = "taken" if step == failing else f"user{step}"
                try:
                    await tx.users.create(user(name, email=f"{step}@example.org"))
                except StoreError as error:
                    refused.append(type(error))

    assert refused == [DuplicateUsername] + [TransactionAborted] * (STEPS - failing - 1)
    assert usernames(connect_admin) == ["taken"]


@pytest.mark.parametrize("failing", range(STEPS))
async def test_swallowed_error_in_a_savepoint_is_never_success(
    shop: AsyncStore, connect_admin: Connection, failing: int
) -> None:
    """
    The inner block raises; once that is caught, the outer one goes on and stores the rest.
    """
    await shop.users.create(user("taken"))
    async with shop.transaction() as tx:
        await tx.users.create(user("before"))
        with pytest.raises(TransactionAborted):
            async with tx.transaction():
                for step in range(STEPS):
                    try:
                        await tx.users.create(user("taken" if step == failing else f"user{step}", email=f"{step}@example.org"))
                    except StoreError:
                        continue
        await tx.users.create(user("after"))

    assert usernames(connect_admin) == ["taken", "before", "after"]


async def test_a_statement_that_may_fail_gets_a_block_of_its_own(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    The way out that TransactionAborted names works, at any depth.
    """
    await shop.users.create(user("taken"))
    async with shop.transaction() as tx:
        for step in range(3):
            try:
                async with tx.transaction() as inner, inner.transaction():
                    await inner.users.create(user("taken" if step == 1 else f"user{step}", email=f"{step}@example.org"))
            except DuplicateUsername:
                continue

    assert usernames(connect_admin) == ["taken", "user0", "user2"]


async def test_an_inner_block_is_not_stored_without_the_outer(shop: AsyncStore, connect_admin: Connection) -> None:
    with pytest.raises(ZeroDivisionError):
        async with shop.transaction() as tx:
            async with tx.transaction():
                await tx.users.create(user("ada"))
            raise ZeroDivisionError

    assert usernames(connect_admin) == []


async def test_blocks_left_in_another_order(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    Leaving the first of two inner blocks before the second is an error, and nothing is stored.
    """
    with pytest.raises(StoreError, match="another order"):
        async with shop.transaction() as tx:
            first, second = tx.transaction(), tx.transaction()
            await first.__aenter__()
            await second.__aenter__()
            await tx.users.create(user("ada"))
            await first.__aexit__(None, None, None)

    assert usernames(connect_admin) == []


async def test_an_outer_block_left_before_its_inner_one(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    A transaction does not commit while a block inside it is still open, and the session stays usable.
    """
    async with shop.session() as session:
        outer, inner = session.transaction(), session.transaction()
        await outer.__aenter__()
        await inner.__aenter__()
        await session.users.create(user("ada"))
        with pytest.raises(StoreError, match="another order"):
            await outer.__aexit__(None, None, None)
        with pytest.raises(StoreError, match="another order"):
            await inner.__aexit__(None, None, None)

        assert usernames(connect_admin) == []
        async with session.transaction():
            await session.users.create(user("bob"))

    assert usernames(connect_admin) == ["bob"]


async def test_deferred_fk_failure_is_not_committed(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    A constraint that refuses at COMMIT is an error of the block.
    """
    connect_admin.execute(
        """
        CREATE TABLE store.probe (user_id bigint REFERENCES store.users (id) DEFERRABLE INITIALLY DEFERRED);
        GRANT INSERT ON store.probe TO store_app
        """
    )
    with pytest.raises(StoreError) as caught:
        async with shop.transaction() as tx:
            await tx.users.create(user("ada"))
            await tx.connection.execute("INSERT INTO store.probe VALUES (4711)")

    assert (caught.value.sqlstate, caught.value.constraint) == ("23503", "probe_user_id_fkey")
    assert usernames(connect_admin) == []
    assert connect_admin.execute("SELECT count(*) FROM store.probe").fetchone() == (0,)


async def test_statements_outside_a_block_commit_by_themselves(shop: AsyncStore, connect_admin: Connection) -> None:
    async with shop.session() as session:
        await session.users.create(user("ada"))
        assert usernames(connect_admin) == ["ada"]
        with pytest.raises(DuplicateUsername):
            await session.users.create(user("ada", email="other@example.org"))
        await session.users.create(user("bob"))

    assert usernames(connect_admin) == ["ada", "bob"]


async def test_read_leaves_no_transaction(shop: AsyncStore, connect_admin: Connection) -> None:
    async with shop.session() as session:
        await session.users.list()
        pid = session.connection.info.backend_pid
        state = connect_admin.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()

        assert state == ("idle",)
        assert session.connection.info.transaction_status == TransactionStatus.IDLE


async def test_isolation_is_read_committed(shop: AsyncStore) -> None:
    """
    A unit of work is READ COMMITTED whatever the connection would begin with.
    """
    async with shop.session() as session:
        await session.connection.execute("SET default_transaction_isolation = serializable")
        assert await ask(session, "SHOW transaction_isolation") == "serializable"
        async with session.transaction() as tx:
            assert await ask(tx, "SHOW transaction_isolation") == "read committed"


@pytest.mark.parametrize("how", ["session", "transaction", "shopper"])
async def test_nested_checkout_refused(dsn: str, how: str) -> None:
    """
    A second connection for the same task is refused at once, instead of waiting for the first; afterwards all is well.
    """
    async with AsyncStore.open(settings(dsn, pool_size=1)) as shop:
        async with shop.transaction() as tx:
            with pytest.raises(NestedCheckout):
                if how == "session":
                    async with shop.session():
                        raise AssertionError("lent twice")
                if how == "transaction":
                    async with shop.transaction():
                        raise AssertionError("lent twice")
                await shop.acting_as(1).user.get()
            await tx.users.create(user("ada"))

        assert len(await shop.users.list()) == 1


async def test_a_session_ends_with_its_block(shop: AsyncStore) -> None:
    async with shop.session() as session:
        shopper = session.acting_as(1)
    async with shop.transaction() as tx:
        pass

    for use in (session.users.list, tx.users.list, shopper.user.get):
        with pytest.raises(StoreClosed):
            await use()
    with pytest.raises(StoreClosed):
        async with session.transaction():
            raise AssertionError("begun on nothing")


async def test_connection_comes_back_clean(dsn: str) -> None:
    """
    Verbs, failures and patient transactions leave no setting, lock, cursor or transaction to the next borrower.
    """
    state = """
        SELECT md5(string_agg(name || '=' || setting, ',' ORDER BY name)) || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
            || (SELECT count(*) FROM pg_cursors) || current_setting('statement_timeout') || current_setting('role')
        FROM pg_settings
    """
    async with AsyncStore.open(settings(dsn, pool_size=1)) as shop:
        async with shop.session() as session:
            before, pid = await ask(session, state), session.connection.info.backend_pid
        lamp = await shop.catalog.create(product())
        async with shop.transaction(is_patient=True) as tx:
            await tx.catalog.list()
            async with tx.transaction():
                await tx.connection.execute("SET LOCAL work_mem = '1MB'")
        with pytest.raises(OutOfStock):
            async with shop.transaction(is_patient=True) as tx:
                await tx.inventory.adjust(lamp.id, delta=-100)
        async with shop.session() as session:
            await session.connection.execute("BEGIN")
        async with shop.session() as session:
            assert session.connection.info.transaction_status == TransactionStatus.IDLE
            assert (await ask(session, state), session.connection.info.backend_pid) == (before, pid)


async def test_a_patient_transaction_has_no_timeouts(shop: AsyncStore) -> None:
    async with shop.transaction(is_patient=True) as tx:
        assert await ask(tx, "SHOW statement_timeout") == "0"
        assert await ask(tx, "SHOW idle_in_transaction_session_timeout") == "1min"
        assert await ask(tx, "SELECT coalesce(current_setting('transaction_timeout', true), '0')") == "0"
    async with shop.session() as session:
        assert await ask(session, "SHOW statement_timeout") == "5s"


async def test_patience_is_for_the_outermost_block(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    Inside a unit that has its timeouts it is refused, not passed over; inside a patient one it holds anyway.
    """
    async with shop.transaction() as tx:
        await tx.users.create(user("ada"))
        with pytest.raises(WrongParameters, match="outermost"):
            async with tx.transaction(is_patient=True):
                raise AssertionError("begun")
        await tx.users.create(user("bob"))
    async with shop.transaction(is_patient=True) as tx, tx.transaction(is_patient=True):
        assert await ask(tx, "SHOW statement_timeout") == "0"

    assert usernames(connect_admin) == ["ada", "bob"]


async def test_a_commit_that_nobody_would_wait_for_is_not_sent(shop: AsyncStore) -> None:
    """
    A pipeline belongs inside the block: its COMMIT would take effect after the block was told otherwise.
    """
    async with shop.session() as session:
        async with session.connection.pipeline():
            with pytest.raises(StoreError, match="pipeline"):
                async with session.transaction() as tx:
                    await tx.connection.execute("SET work_mem = '1MB'")
        assert await ask(session, "SELECT current_setting('work_mem')") != "1MB"
        async with session.transaction() as tx, tx.connection.pipeline():
            await tx.connection.execute("SET work_mem = '2MB'")
        assert await ask(session, "SHOW work_mem") == "2MB"


async def test_a_locked_row_is_waited_for_and_no_longer(dsn: str, connect_admin: Connection) -> None:
    async with AsyncStore.open(settings(dsn, lock_timeout_ms=100)) as shop:
        lamp = await shop.catalog.create(product())
        with connect_admin.transaction():
            connect_admin.execute("SELECT FROM store.inventory FOR UPDATE")
            with pytest.raises(LockTimeout) as caught:
                await shop.inventory.adjust(lamp.id, delta=1)

        assert caught.value.retryable
        assert (await shop.inventory.adjust(lamp.id, delta=1)).on_hand == 11


async def test_a_connection_lost_before_commit(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    Nothing was stored and the error says so, whether the loss shows at a statement or at the end of the block.
    """
    for use_again in (True, False):
        with pytest.raises(Unavailable) as caught:
            async with shop.transaction() as tx:
                await tx.users.create(user("ada"))
                connect_admin.execute("SELECT pg_terminate_backend(%s, 5000)", (tx.connection.info.backend_pid,))
                if use_again:
                    await tx.users.list()
                else:
                    with pytest.raises(psycopg.OperationalError):
                        await tx.connection.execute("SELECT 1")

        assert caught.value.retryable
        assert usernames(connect_admin) == []
    await shop.users.create(user("bob"))

    assert usernames(connect_admin) == ["bob"]
