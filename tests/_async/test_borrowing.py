"""
What a borrower does to a connection, a store or a DTO, and what the next one sees of it.
"""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from psycopg.rows import dict_row

from store import AsyncStore, UserUpdate, _passwords
from store.errors import InvalidCredentials, InvalidInput, StoreClosed, TransactionAborted
from tests.samples import HASH, settings, user


async def test_a_raw_commit_inside_a_block_is_an_error(shop: AsyncStore) -> None:
    """
    What comes after a COMMIT that is not ours would be stored or lost by chance: the block does not end well.
    """
    with pytest.raises(TransactionAborted, match="ended inside"):
        async with shop.transaction() as tx:
            await tx.connection.execute("COMMIT")


async def test_a_transaction_that_no_block_owns_is_refused(shop: AsyncStore) -> None:
    async with shop.session() as session:
        await session.connection.execute("BEGIN")
        with pytest.raises(TransactionAborted, match="no transaction"):
            await session.users.create(user("ada"))

    assert await shop.users.find_by_username("ada") is None


async def test_connection_comes_back_clean_from_who_had_it_in_hand(dsn: str) -> None:
    """
    Settings, roles, locks, cursors and the driver's own switches stay with the borrower.
    """
    async with AsyncStore.open(settings(dsn, pool_size=1)) as shop:
        async with shop.session() as session:
            raw = session.connection
            await raw.execute("SET statement_timeout = '7s'")
            await raw.execute("SELECT pg_advisory_lock(4711)")
            raw.row_factory = dict_row
            await raw.set_autocommit(False)
            await raw.execute("SELECT 1")
        ada = await shop.users.create(user("ada"))
        async with shop.session() as session:
            cursor = await session.connection.execute(
                "SELECT current_setting('statement_timeout'), count(*) FROM pg_locks WHERE locktype = 'advisory'"
            )
            found = await cursor.fetchone()

        assert found == ("5s", 0)
        assert (await shop.users.get(ada.id)).id == ada.id


async def test_close_inside_a_block_keeps_the_error(dsn: str) -> None:
    async with AsyncStore.open(settings(dsn)) as shop:
        with pytest.raises(ZeroDivisionError):
            async with shop.session():
                await shop.close()
                _ = 1 // 0
        with pytest.raises(StoreClosed):
            await shop.users.list()


async def test_no_field_comes_in_by_a_subclass(shop: AsyncStore) -> None:
    """
    A shopper cannot reactivate an account by an update that brings a field of its own.
    """

    class Form(UserUpdate, frozen=True):
        is_active: bool = True

    ada = await shop.users.create(user("ada"))
    await shop.users.deactivate(ada.id)
    mine = shop.acting_as(ada.id).user
    for forged in (Form(username="eve", is_active=True), UserUpdate.model_construct({"is_active"}, is_active=True)):
        with pytest.raises(InvalidInput):
            await mine.update(forged)

    assert (await shop.users.get(ada.id)).is_active is False


async def test_a_rehash_never_undoes_a_new_password(shop: AsyncStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Between verifying the old password and storing its stronger hash somebody may change it: theirs counts.
    """
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("old password")
    ada = await shop.users.create(user("ada", password_hash=weak))
    fresh = _passwords.make_hash("new password")
    verify = _passwords.verify

    def slow(expected: str | None, password: object) -> _passwords.Verdict:
        verdict = verify(expected, password)
        overtaking.append(verdict.new_hash)
        return verdict

    overtaking: list[str | None] = []
    monkeypatch.setattr(_passwords, "verify", slow)
    found = await shop.users.authenticate("ada", "old password")
    stronger = await shop.users.authenticate("ada", "old password")
    await shop.users.set_password(ada.id, fresh)
    rehash = await shop.users._runner.affected(
        _rehash(), user_id=ada.id, password_hash=HASH, expected_updated_at=found.updated_at
    )

    assert found.id == stronger.id == ada.id
    assert [True, False] == [new is not None for new in overtaking]
    assert rehash == 0
    with pytest.raises(InvalidCredentials):
        await shop.users.authenticate("ada", "old password")
    assert (await shop.users.authenticate("ada", "new password")).id == ada.id


def _rehash() -> object:
    from store._async.queries import queries

    return queries.users.rehash_password
