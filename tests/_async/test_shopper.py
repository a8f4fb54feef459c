"""
A shopper sees their own part of the shop; the rest does not exist.
"""

from __future__ import annotations

from uuid import uuid4

import pytest

from store import AsyncShopper, AsyncStore, Cart, ProductUpdate, UserUpdate
from store.errors import InvalidInput, NotFound
from tests.databases import Connection
from tests.samples import HASH, digest, product, user


async def carts_of_four(shop: AsyncStore) -> dict[str, Cart]:
    """
    Return a cart each of two users and two guests, a lamp in each.
    """
    lamp = await shop.catalog.create(product())
    ada, bob = await shop.users.create_many([user("ada"), user("bob")])
    found = {
        "ada": await shop.carts.get_or_create(user_id=ada.id),
        "bob": await shop.carts.get_or_create(user_id=bob.id),
        "guest": await shop.carts.create_guest(),
        "stranger": await shop.carts.create_guest(),
    }
    for cart in found.values():
        await shop.carts.add_item(cart.id, product_id=lamp.id)
    return {name: await shop.carts.get(cart.id) for name, cart in found.items()}


def shopper(shop: AsyncStore, cart: Cart) -> AsyncShopper:
    return shop.guest(cart.public_id) if cart.user_id is None else shop.acting_as(cart.user_id)


@pytest.mark.parametrize("who", ["ada", "guest"])
async def test_other_users_rows_untouched(shop: AsyncStore, connect_admin: Connection, who: str) -> None:
    """
    Whatever a shopper tries on somebody else's cart answers as if there were none, and nothing is written.
    """
    carts = await carts_of_four(shop)
    me = shopper(shop, carts[who])
    lamp = carts[who].lines[0].product_id
    before = digest(connect_admin)
    for other in (name for name in carts if name != who):
        theirs = carts[other].id
        with pytest.raises(NotFound):
            await me.carts.get(theirs)
        with pytest.raises(NotFound):
            await me.carts.get_many([carts[who].id, theirs])
        with pytest.raises(NotFound):
            await me.carts.add_item(theirs, product_id=lamp)
        with pytest.raises(NotFound):
            await me.carts.set_quantity(theirs, product_id=lamp, quantity=5)
        with pytest.raises(NotFound):
            await me.carts.remove_item(theirs, product_id=lamp)
        with pytest.raises(NotFound):
            await me.carts.clear(theirs)
        with pytest.raises(NotFound):
            await me.carts.check_availability(theirs)

        assert digest(connect_admin) == before


@pytest.mark.parametrize("who", ["ada", "guest"])
async def test_own_rows_work(shop: AsyncStore, who: str) -> None:
    carts = await carts_of_four(shop)
    me, own = shopper(shop, carts[who]), carts[who].id
    lamp = carts[who].lines[0].product_id

    assert await me.carts.get(own) == carts[who]
    assert await me.carts.get_many([own]) == (carts[who],)
    assert (await me.carts.current()).id == own
    assert (await me.carts.add_item(own, product_id=lamp, quantity=2)).quantity == 3
    assert (await me.carts.set_quantity(own, product_id=lamp, quantity=5)).quantity == 5
    assert await me.carts.check_availability(own) == ()
    assert await me.carts.remove_item(own, product_id=lamp) is True
    assert await me.carts.clear(own) == 0
    assert (await shop.carts.get(carts["bob"].id)) == carts["bob"]


async def test_the_error_is_that_of_a_cart_that_does_not_exist(shop: AsyncStore) -> None:
    carts = await carts_of_four(shop)
    me = shopper(shop, carts["ada"])
    with pytest.raises(NotFound) as foreign:
        await me.carts.get(carts["bob"].id)
    with pytest.raises(NotFound) as unknown:
        await me.carts.get(10**6)

    assert str(foreign.value).replace(str(carts["bob"].id), "N") == str(unknown.value).replace(str(10**6), "N")


async def test_current_makes_a_users_cart_but_never_a_guests(shop: AsyncStore) -> None:
    ada = await shop.users.create(user("ada"))
    cart = await shop.acting_as(ada.id).carts.current()

    assert cart.user_id == ada.id
    with pytest.raises(NotFound):
        await shop.acting_as(ada.id + 1000).carts.current()
    with pytest.raises(NotFound):
        await shop.guest(uuid4()).carts.current()
    with pytest.raises(NotFound):
        await shop.guest(cart.public_id).carts.current()


async def test_a_guests_secret_opens_no_users_cart(shop: AsyncStore) -> None:
    """
    The public_id of a cart stops being a key the moment a user owns it.
    """
    carts = await carts_of_four(shop)
    thief = shop.guest(carts["bob"].public_id)
    with pytest.raises(NotFound):
        await thief.carts.get(carts["bob"].id)
    with pytest.raises(NotFound):
        await thief.carts.clear(carts["bob"].id)
    with pytest.raises(NotFound):
        await shop.acting_as(carts["ada"].user_id or 0).carts.merge(carts["bob"].public_id)

    assert await shop.carts.get(carts["bob"].id) == carts["bob"]


async def test_merge_after_a_login(shop: AsyncStore) -> None:
    carts = await carts_of_four(shop)
    me = shopper(shop, carts["ada"])
    merged = await me.carts.merge(carts["guest"].public_id)

    assert (merged.id, merged.lines[0].quantity) == (carts["ada"].id, 2)
    with pytest.raises(NotFound):
        await shopper(shop, carts["guest"]).carts.merge(carts["stranger"].public_id)
    assert await shop.carts.get(carts["stranger"].id) == carts["stranger"]


async def test_the_catalog_of_a_shopper_is_active(shop: AsyncStore) -> None:
    lamp, archived = await shop.catalog.create_many([product("A"), product("B", is_active=False)])
    catalog = shop.guest(uuid4()).catalog

    assert await catalog.get(lamp.id) == lamp
    assert await catalog.get_by_sku("a") == lamp
    assert list(await catalog.list()) == [lamp]
    assert await catalog.search("lamp") == (lamp,)
    assert (await catalog.facets()).products == 1
    assert (await catalog.facets("lamp")).products == 1
    with pytest.raises(NotFound):
        await catalog.get(archived.id)
    with pytest.raises(NotFound):
        await catalog.get_by_sku("B")
    with pytest.raises(NotFound):
        await catalog.get_many([lamp.id, archived.id])
    await shop.catalog.update(archived.id, ProductUpdate(is_active=True))
    assert len(await catalog.list()) == 2


async def test_the_own_account(shop: AsyncStore, connect_admin: Connection) -> None:
    ada = await shop.users.create(user("ada"))
    me = shop.acting_as(ada.id)
    await me.user.set_password("$2b$" + "z" * 40)
    renamed = await me.user.update(UserUpdate(username="countess"))

    assert await me.user.get() == renamed
    assert connect_admin.execute("SELECT password_hash FROM store.users").fetchone() == ("$2b$" + "z" * 40,)


async def test_a_guest_has_no_account(shop: AsyncStore) -> None:
    guest = await shop.carts.create_guest()
    me = shop.guest(guest.public_id)
    with pytest.raises(NotFound):
        await me.user.get()
    with pytest.raises(NotFound):
        await me.user.update(UserUpdate(username="root"))
    with pytest.raises(NotFound):
        await me.user.set_password(HASH)


async def test_a_shopper_inside_a_transaction(shop: AsyncStore) -> None:
    """
    acting_as works on a session too, joins its transaction, and sees no more.
    """
    carts = await carts_of_four(shop)
    lamp = carts["ada"].lines[0].product_id
    with pytest.raises(RuntimeError):
        async with shop.transaction() as tx:
            me = tx.acting_as(carts["ada"].user_id or 0)
            await me.carts.add_item(carts["ada"].id, product_id=lamp)
            await me.carts.merge(carts["guest"].public_id)
            with pytest.raises(NotFound):
                await me.carts.get(carts["bob"].id)
            with pytest.raises(NotFound):
                await tx.guest(carts["guest"].public_id).carts.get(carts["ada"].id)
            raise RuntimeError

    assert await shop.carts.get(carts["ada"].id) == carts["ada"]
    assert await shop.carts.get(carts["guest"].id) == carts["guest"]


async def test_nonsense_is_nobody(shop: AsyncStore) -> None:
    for who in (0, -1, 2**63, True, "1", None):
        with pytest.raises(InvalidInput, match="user_id"):
            shop.acting_as(who)  # type: ignore[arg-type]
    for secret in ("", "x", None, 1):
        with pytest.raises(InvalidInput, match="public_id"):
            shop.guest(secret)  # type: ignore[arg-type]
