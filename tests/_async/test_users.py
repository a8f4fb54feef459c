"""
Users: what each verb returns, refuses and leaves behind.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr, ValidationError

from store import AsyncStore, NewUser, UserUpdate
from store.errors import (
    Conflict,
    DuplicateEmail,
    DuplicateUsername,
    InvalidCredentials,
    InvalidCursor,
    InvalidInput,
    NotFound,
)
from tests.databases import Connection
from tests.samples import HASH, user

PASSWORD = "correct horse"


def stored_hash(connection: Connection, user_id: int) -> str:
    row = connection.execute("SELECT password_hash FROM store.users WHERE id = %s", (user_id,)).fetchone()
    assert row is not None
    return row[0]


async def test_create_returns_what_get_returns(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    A created user reads back the same, is active, and has no password hash to show.
    """
    created = await shop.users.create(user("Ada.L-1_x", email="ADA@Example.ORG"))

    assert await shop.users.get(created.id) == created
    assert (created.username, created.email, created.is_active) == ("Ada.L-1_x", "ada@example.org", True)
    assert created.created_at == created.updated_at
    assert not hasattr(created, "password_hash")
    assert stored_hash(connect_admin, created.id) == HASH


async def test_create_many_keeps_the_order(shop: AsyncStore) -> None:
    names = [f"user{9 - n}" for n in range(10)]
    created = await shop.users.create_many(user(name) for name in names)

    assert [one.username for one in created] == names
    assert await shop.users.get_many([one.id for one in reversed(created)]) == tuple(reversed(created))


async def test_create_many_is_all_or_none(shop: AsyncStore) -> None:
    with pytest.raises(DuplicateUsername):
        await shop.users.create_many([user("ada"), user("bob"), user("ADA", email="other@example.org")])

    assert len(await shop.users.list()) == 0


async def test_nothing_in_nothing_out(shop: AsyncStore) -> None:
    assert await shop.users.create_many([]) == ()
    assert await shop.users.get_many([]) == ()


async def test_a_username_is_taken_in_any_case(shop: AsyncStore) -> None:
    ada = await shop.users.create(user("Ada"))
    with pytest.raises(DuplicateUsername) as caught:
        await shop.users.create(user("aDA", email="else@example.org"))

    assert caught.value.constraint == "users_username_key"
    assert await shop.users.find_by_username("ADA") == ada
    assert await shop.users.find_by_username("nobody") is None


async def test_an_email_is_taken_in_any_spelling(shop: AsyncStore) -> None:
    ada = await shop.users.create(user("ada"))
    for spelling in ("ADA@EXAMPLE.ORG", "\uff41da@example.org", "ada\uff20example.org"):
        with pytest.raises(DuplicateEmail):
            await shop.users.create(user("bob", email=spelling))

        assert await shop.users.find_by_email(spelling) == ada
    assert await shop.users.find_by_email("nobody@example.org") is None


async def test_update_changes_what_is_set(shop: AsyncStore) -> None:
    """
    Only the fields that are set change; updated_at moves, created_at stays.
    """
    ada = await shop.users.create(user("ada"))
    renamed = await shop.users.update(ada.id, UserUpdate(username="countess"))

    assert (renamed.username, renamed.email, renamed.created_at) == ("countess", ada.email, ada.created_at)
    assert renamed.updated_at > ada.updated_at

    moved = await shop.users.update(ada.id, UserUpdate(email="Countess@example.org"))

    assert (moved.username, moved.email) == ("countess", "countess@example.org")


async def test_update_refuses_what_is_taken(shop: AsyncStore) -> None:
    ada, _ = await shop.users.create_many([user("ada"), user("bob")])
    with pytest.raises(DuplicateUsername):
        await shop.users.update(ada.id, UserUpdate(username="BOB"))
    with pytest.raises(DuplicateEmail):
        await shop.users.update(ada.id, UserUpdate(email="bob@example.org"))

    assert await shop.users.get(ada.id) == ada


async def test_update_of_somebody_who_changed_meanwhile(shop: AsyncStore) -> None:
    """
    Two updates decided on the same reading: the second is a Conflict, and an unknown user stays NotFound.
    """
    read = await shop.users.create(user("ada"))
    await shop.users.update(read.id, UserUpdate(username="first"), expected_updated_at=read.updated_at)
    with pytest.raises(Conflict):
        await shop.users.update(read.id, UserUpdate(username="second"), expected_updated_at=read.updated_at)
    with pytest.raises(NotFound):
        await shop.users.update(read.id + 1, UserUpdate(username="third"), expected_updated_at=read.updated_at)

    assert (await shop.users.get(read.id)).username == "first"


async def test_updated_at_moves_even_when_the_clock_does_not(shop: AsyncStore) -> None:
    """
    Two updates in one transaction, where now() stands still, have two versions.
    """
    ada = await shop.users.create(user("ada"))
    async with shop.transaction() as tx:
        first = await tx.users.update(ada.id, UserUpdate(username="first"))
        second = await tx.users.update(ada.id, UserUpdate(username="second"))

    assert ada.updated_at < first.updated_at < second.updated_at


async def test_expected_updated_at_needs_a_zone(shop: AsyncStore) -> None:
    ada = await shop.users.create(user("ada"))
    for instant in (datetime(2026, 1, 1), datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)):  # noqa: DTZ001  # is the point
        with pytest.raises(InvalidInput) as caught:
            await shop.users.update(ada.id, UserUpdate(username="x-y-z"), expected_updated_at=instant)

        assert caught.value.field == "expected_updated_at"


async def test_deactivate_and_activate(shop: AsyncStore) -> None:
    ada = await shop.users.create(user("ada"))

    assert (await shop.users.deactivate(ada.id)).is_active is False
    assert (await shop.users.get(ada.id)).is_active is False
    assert (await shop.users.activate(ada.id)).is_active is True


async def test_delete_takes_the_carts_along(shop: AsyncStore) -> None:
    ada = await shop.users.create(user("ada"))
    cart = await shop.carts.get_or_create(user_id=ada.id)
    await shop.users.delete(ada.id)

    with pytest.raises(NotFound):
        await shop.users.get(ada.id)
    with pytest.raises(NotFound):
        await shop.users.delete(ada.id)
    with pytest.raises(NotFound):
        await shop.carts.get(cart.id)


async def test_get_many_names_who_is_missing(shop: AsyncStore) -> None:
    ada = await shop.users.create(user("ada"))
    with pytest.raises(NotFound, match=r"there is no user 900000, 900001$"):
        await shop.users.get_many([900001, ada.id, 900000])

    assert await shop.users.get_many([ada.id, ada.id]) == (ada, ada)


async def test_get_many_is_bounded(shop: AsyncStore) -> None:
    with pytest.raises(InvalidInput, match="at most 10000"):
        await shop.users.get_many(range(1, 10_002))


async def test_list_goes_through_everybody_once(shop: AsyncStore) -> None:
    created = await shop.users.create_many(user(f"user{n:02}") for n in range(7))
    found, cursor = [], None
    for _ in range(3):
        page = await shop.users.list(cursor=cursor, page_size=3)
        found += page
        cursor = page.next_cursor

    assert tuple(found) == created
    assert cursor is None


async def test_a_page_is_a_sequence(shop: AsyncStore) -> None:
    created = await shop.users.create_many(user(f"user{n}") for n in range(3))
    page = await shop.users.list(page_size=3)

    assert (len(page), page[0], page[1:], list(page), page.next_cursor) == (3, created[0], created[1:], list(created), None)


async def test_a_cursor_of_something_else_is_refused(shop: AsyncStore) -> None:
    await shop.users.create_many(user(f"user{n}") for n in range(3))
    cursor = (await shop.users.list(page_size=1)).next_cursor
    assert cursor is not None
    with pytest.raises(InvalidCursor):
        await shop.catalog.list(cursor=cursor)
    with pytest.raises(InvalidCursor):
        await shop.users.list(cursor=cursor[:-1] + ("A" if cursor[-1] != "A" else "B"))


async def test_register_and_authenticate(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    Who registered may log in by name or address in any spelling; the password itself is nowhere.
    """
    ada = await shop.users.register("Ada", "ADA@example.org", PASSWORD)

    for login in ("ada", "ADA", "ada@example.org", "ADA@EXAMPLE.ORG", "\uff41da@example.org"):
        assert await shop.users.authenticate(login, PASSWORD) == ada
    assert stored_hash(connect_admin, ada.id).startswith("$argon2id$")
    assert PASSWORD not in stored_hash(connect_admin, ada.id)


async def test_authenticate_refuses_alike(shop: AsyncStore) -> None:
    """
    Wrong password, unknown user, nonsense and a deactivated user all get the same error, text included.
    """
    ada = await shop.users.register("ada", "ada@example.org", PASSWORD)
    said = set()
    for login, password in (
        ("ada", "wrong"),
        ("nobody", PASSWORD),
        ("nobody@example.org", PASSWORD),
        ("a@b@c", PASSWORD),
        ("\x00", PASSWORD),
        ("ada", ""),
        ("ada", "x" * 2000),
        ("ada", "\ud800"),
    ):
        with pytest.raises(InvalidCredentials) as caught:
            await shop.users.authenticate(login, password)
        said.add(str(caught.value))
    await shop.users.deactivate(ada.id)
    with pytest.raises(InvalidCredentials) as caught:
        await shop.users.authenticate("ada", PASSWORD)
    said.add(str(caught.value))

    assert len(said) == 1


async def test_authenticate_renews_an_old_hash(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    A hash made with other parameters is replaced at the next login, and the password stays right.
    """
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    ada = await shop.users.create(user("ada", password_hash=SecretStr(old)))
    await shop.users.authenticate("ada", PASSWORD)
    renewed = stored_hash(connect_admin, ada.id)
    await shop.users.authenticate("ada", PASSWORD)

    assert renewed != old
    assert stored_hash(connect_admin, ada.id) == renewed


async def test_register_refuses_a_bad_password(shop: AsyncStore) -> None:
    for password in ("short", "x" * 1025, "\ud800" * 10, 12345678):
        with pytest.raises(InvalidInput) as caught:
            await shop.users.register("ada", "ada@example.org", password)  # type: ignore[arg-type]

        assert caught.value.field == "password"
    assert len(await shop.users.list()) == 0


async def test_register_refuses_what_is_taken(shop: AsyncStore) -> None:
    await shop.users.create(user("ada"))
    with pytest.raises(DuplicateUsername):
        await shop.users.register("ADA", "other@example.org", PASSWORD)
    with pytest.raises(DuplicateEmail):
        await shop.users.register("bob", "ADA@example.org", PASSWORD)


async def test_set_password(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    A hash replaces the hash, as text or secret; what is no hash is refused whatever the hasher, and nothing is stored.
    """
    ada = await shop.users.create(user("ada"))
    await shop.users.set_password(ada.id, SecretStr("$2b$12$" + "y" * 53))

    assert stored_hash(connect_admin, ada.id) == "$2b$12$" + "y" * 53
    for bad in (PASSWORD, "$short", "$" + "x" * 600, "", "$" + "ä" * 40, "$" + " " * 40):
        with pytest.raises(InvalidInput) as caught:
            await shop.users.set_password(ada.id, bad)

        assert caught.value.field == "password_hash"
    with pytest.raises(NotFound):
        await shop.users.set_password(ada.id + 1, HASH)

    assert stored_hash(connect_admin, ada.id) == "$2b$12$" + "y" * 53


def test_extra_field_refused() -> None:
    """
    What a client adds to a form does not reach the row.
    """
    for extra in ({"is_active": True}, {"id": 1}, {"role": "admin"}):
        with pytest.raises(ValidationError, match="Extra inputs"):
            NewUser.model_validate({"username": "ada", "email": "a@b.org", "password_hash": HASH} | extra)
        with pytest.raises(ValidationError, match="Extra inputs"):
            UserUpdate.model_validate({"username": "ada"} | extra)


async def test_dates_have_a_zone(shop: AsyncStore) -> None:
    ada = await shop.users.create(user("ada"))

    assert ada.created_at.utcoffset() is not None
    assert abs(datetime.now(UTC) - ada.created_at) < timedelta(minutes=5)
