"""
Holds and the ledger: what each verb returns, refuses and leaves behind.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from store import AsyncStore, Cart, Inventory, Product
from store.errors import (
    CartClosed,
    CartEmpty,
    InvalidCursor,
    InvalidInput,
    NotFound,
    OutOfStock,
    ProductInUse,
    ProductUnavailable,
    Shortage,
)
from tests.databases import Connection
from tests.faults import faults
from tests.samples import digest, product, user


async def lamp(shop: AsyncStore, on_hand: int = 10) -> Product:
    return await shop.catalog.create(product(uuid4().hex[:12], on_hand=on_hand))


async def cart_with(shop: AsyncStore, *lines: tuple[int, int]) -> Cart:
    cart = await shop.carts.create_guest()
    for product_id, quantity in lines:
        await shop.carts.add_item(cart.id, product_id=product_id, quantity=quantity)
    return await shop.carts.get(cart.id)


def expire(connection: Connection) -> None:
    connection.execute("UPDATE store.reservations SET expires_at = now() - interval '1 second'")


async def test_every_change_of_stock_is_in_the_ledger(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop, 10)
    await shop.inventory.adjust(one.id, delta=-2, kind="damaged", reason="fell", actor="ada")
    await shop.inventory.adjust(one.id, delta=0, kind="damaged")
    await shop.inventory.receive(one.id, quantity=5)
    await shop.inventory.set(one.id, quantity=13)
    await shop.inventory.set(one.id, quantity=12)
    page = await shop.inventory.history(one.id)

    assert [(m.kind, m.quantity, m.on_hand_after) for m in page] == [
        ("adjusted", -1, 12),
        ("received", 5, 13),
        ("damaged", -2, 8),
        ("received", 10, 10),
    ]
    assert (page[2].reason, page[2].actor, page[3].reason, page.next_cursor) == ("fell", "ada", "opening balance", None)
    assert faults(connect_admin) == {}


async def test_history_pages(shop: AsyncStore) -> None:
    one, other = await lamp(shop, 1), await lamp(shop, 0)
    for _ in range(4):
        await shop.inventory.receive(one.id, quantity=1)
    first = await shop.inventory.history(one.id, page_size=3)
    second = await shop.inventory.history(one.id, page_size=3, cursor=first.next_cursor)

    assert [m.on_hand_after for m in (*first, *second)] == [5, 4, 3, 2, 1]
    assert second.next_cursor is None
    assert len(await shop.inventory.history(other.id)) == 0
    with pytest.raises(InvalidCursor):
        await shop.inventory.history(other.id, cursor=first.next_cursor)


async def test_reserve_holds_the_lines_of_a_cart(shop: AsyncStore, connect_admin: Connection) -> None:
    one, other = await lamp(shop, 10), await lamp(shop, 5)
    cart = await cart_with(shop, (one.id, 4), (other.id, 5))
    held = await shop.inventory.reserve(cart.id, seconds=60)

    assert [(h.product_id, h.quantity) for h in held] == [(one.id, 4), (other.id, 5)]
    assert timedelta(seconds=30) < held[0].expires_at - datetime.now(UTC) < timedelta(seconds=90)
    assert await shop.inventory.get(one.id) == Inventory(product_id=one.id, on_hand=10, reserved=4, available=6)
    assert (await shop.catalog.get(other.id)).inventory_count == 0
    assert len(await shop.catalog.list(in_stock=True)) == 1
    assert faults(connect_admin) == {}


async def test_a_hold_renews_its_cart(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    What holds stock is in use: it is not about to be swept away as left behind. A refused hold changes nothing.
    """
    one = await lamp(shop, 1)
    cart = await cart_with(shop, (one.id, 1))
    connect_admin.execute("UPDATE store.carts SET expires_at = now() + interval '1 s'")
    before = await shop.carts.get(cart.id)
    with pytest.raises(OutOfStock):
        await shop.inventory.reserve(cart.id, lines=[(one.id, 2)])
    assert await shop.carts.get(cart.id) == before
    await shop.inventory.reserve(cart.id)
    after = await shop.carts.get(cart.id)

    assert after.expires_at - before.expires_at > timedelta(days=29)
    assert after.updated_at > before.updated_at


async def test_a_hold_replaces_the_earlier_one(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop, 10)
    cart = await cart_with(shop)
    await shop.inventory.reserve(cart.id, lines=[(one.id, 8)])
    await shop.inventory.reserve(cart.id, lines=[(one.id, 10)])
    assert (await shop.inventory.get(one.id)).reserved == 10
    await shop.inventory.reserve(cart.id, lines=[(one.id, 3)])

    assert (await shop.inventory.get(one.id)).available == 7
    assert faults(connect_admin) == {}


async def test_duplicate_lines_are_summed(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    3 and 3 of 5 is a shortage, line by line or not.
    """
    one = await lamp(shop, 5)
    cart = await cart_with(shop)
    with pytest.raises(OutOfStock) as caught:
        await shop.inventory.reserve(cart.id, lines=[(one.id, 3), (one.id, 3)])

    assert caught.value.shortages == (Shortage(one.id, 6, 5),)
    assert [h.quantity for h in await shop.inventory.reserve(cart.id, lines=[(one.id, 3), (one.id, 2)])] == [5]
    assert faults(connect_admin) == {}


async def test_shortage_leaves_no_trace(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    All or nothing: every short product is named, and not even the expired holds on the way are gone.
    """
    one, two, three = await lamp(shop, 5), await lamp(shop, 1), await lamp(shop, 0)
    others = await cart_with(shop)
    await shop.inventory.reserve(others.id, lines=[(one.id, 2)])
    expire(connect_admin)
    cart = await cart_with(shop)
    before = digest(connect_admin)
    with pytest.raises(OutOfStock) as caught:
        await shop.inventory.reserve(cart.id, lines=[(one.id, 5), (two.id, 2), (three.id, 1)])

    assert caught.value.shortages == (Shortage(two.id, 2, 1), Shortage(three.id, 1, 0))
    assert f"product {two.id}: 2 wanted, 1 available" in str(caught.value)
    assert digest(connect_admin) == before


async def test_what_cannot_be_held(shop: AsyncStore, connect_admin: Connection) -> None:
    one, archived = await lamp(shop), await lamp(shop)
    await shop.catalog.archive(archived.id)
    cart, closed = await cart_with(shop), await cart_with(shop, (one.id, 1))
    connect_admin.execute("UPDATE store.carts SET status = 'merged' WHERE id = %s", (closed.id,))
    before = digest(connect_admin)
    with pytest.raises(CartEmpty):
        await shop.inventory.reserve(cart.id)
    with pytest.raises(CartClosed):
        await shop.inventory.reserve(closed.id)
    with pytest.raises(ProductUnavailable, match=str(archived.id)):
        await shop.inventory.reserve(cart.id, lines=[(one.id, 1), (archived.id, 1)])
    with pytest.raises(NotFound, match="there is no product 999999999, 1000000000$"):
        await shop.inventory.reserve(cart.id, lines=[(10**9, 1), (one.id, 1), (archived.id, 1), (10**9 - 1, 1)])
    for verb in (shop.inventory.reserve, shop.inventory.release):
        with pytest.raises(NotFound):
            await verb(10**9)
    for lines in ([(one.id, 0)], [(one.id, -1)], [(one.id, 10**9 + 1)], [(one.id,)], [(0, 1)], ["x"]):
        with pytest.raises(InvalidInput):
            await shop.inventory.reserve(cart.id, lines=lines)  # type: ignore[arg-type]
    for seconds in (0, -1, 10**9, True):
        with pytest.raises(InvalidInput):
            await shop.inventory.reserve(cart.id, lines=[(one.id, 1)], seconds=seconds)

    assert digest(connect_admin) == before


async def test_expired_holds_need_no_sweeper(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    The last unit was held, the hold is over, nobody swept: it is listed, shown in a cart, held, and adjusted away.
    """
    one = await lamp(shop, 1)
    first, second = await cart_with(shop, (one.id, 1)), await cart_with(shop, (one.id, 1))
    await shop.inventory.reserve(first.id)
    with pytest.raises(OutOfStock):
        await shop.inventory.reserve(second.id)
    assert len(await shop.catalog.list(in_stock=True)) == 0
    assert [len(await shop.catalog.search("lamp", in_stock=True)), (await shop.catalog.facets("lamp")).in_stock] == [0, 0]
    assert [(await shop.catalog.facets(text, in_stock=True)).products for text in (None, "lamp")] == [0, 0]
    expire(connect_admin)

    assert [p.inventory_count for p in await shop.catalog.list(in_stock=True)] == [1]
    assert (await shop.catalog.search("lamp", in_stock=True))[0].inventory_count == 1
    assert [(await shop.catalog.facets(text)).in_stock for text in (None, "lamp")] == [1, 1]
    assert [(await shop.catalog.facets(text, in_stock=True)).products for text in (None, "lamp")] == [1, 1]
    assert (await shop.carts.get(second.id)).lines[0].available == 1
    assert await shop.carts.check_availability(second.id) == ()
    assert (await shop.inventory.get(one.id)).available == 1
    assert len(await shop.inventory.reserve(second.id)) == 1
    assert faults(connect_admin) == {}
    expire(connect_admin)
    assert (await shop.inventory.adjust(one.id, delta=-1)).reserved == 0
    assert faults(connect_admin) == {}


async def test_release_and_extend(shop: AsyncStore, connect_admin: Connection) -> None:
    one, other = await lamp(shop, 3), await lamp(shop, 3)
    cart = await cart_with(shop, (one.id, 3), (other.id, 1))
    held = await shop.inventory.reserve(cart.id, seconds=60)
    extended = await shop.inventory.extend(cart.id, seconds=600)

    assert [h.product_id for h in extended] == [one.id, other.id]
    assert extended[0].expires_at > held[0].expires_at
    assert (await shop.inventory.extend(cart.id, seconds=1))[0].expires_at == extended[0].expires_at
    assert await shop.inventory.release(cart.id) == 2
    assert await shop.inventory.release(cart.id) == 0
    assert await shop.inventory.extend(cart.id) == ()
    assert (await shop.inventory.get(one.id)).available == 3
    assert faults(connect_admin) == {}


async def test_a_hold_inside_a_transaction(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop, 3)
    cart = await cart_with(shop, (one.id, 3))
    with pytest.raises(RuntimeError):
        async with shop.transaction() as tx:
            await tx.inventory.reserve(cart.id)
            with pytest.raises(OutOfStock):
                await tx.inventory.reserve(cart.id, lines=[(one.id, 4)])
            assert (await tx.inventory.get(one.id)).available == 0
            raise RuntimeError

    assert (await shop.inventory.get(one.id)).available == 3
    assert faults(connect_admin) == {}


async def test_deleting_a_user_frees_what_their_cart_holds(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop, 3)
    ada = await shop.users.create(user("ada"))
    cart = await shop.carts.get_or_create(user_id=ada.id)
    await shop.inventory.reserve(cart.id, lines=[(one.id, 3)])
    await shop.users.delete(ada.id)

    assert (await shop.inventory.get(one.id)).available == 3
    assert faults(connect_admin) == {}


async def test_merge_frees_what_the_guest_held(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop, 3)
    ada = await shop.users.create(user("ada"))
    guest = await cart_with(shop, (one.id, 2))
    await shop.inventory.reserve(guest.id)
    await shop.carts.merge(guest.public_id, user_id=ada.id)

    assert (await shop.inventory.get(one.id)).available == 3
    assert faults(connect_admin) == {}


@pytest.mark.parametrize(("strategy", "expected"), [("sum", 9), ("max", 7), ("keep_user", 2), ("keep_guest", 7)])
async def test_merge_strategies(shop: AsyncStore, strategy: str, expected: int) -> None:
    one, other = await lamp(shop), await lamp(shop)
    ada = await shop.users.create(user("ada"))
    cart = await shop.carts.get_or_create(user_id=ada.id)
    await shop.carts.add_item(cart.id, product_id=one.id, quantity=2)
    guest = await cart_with(shop, (one.id, 7), (other.id, 1))
    merged = await shop.carts.merge(guest.public_id, user_id=ada.id, strategy=strategy)  # type: ignore[arg-type]

    assert {line.product_id: line.quantity for line in merged.lines} == {one.id: expected, other.id: 1}


async def test_what_was_moved_or_held_is_archived_not_deleted(shop: AsyncStore, connect_admin: Connection) -> None:
    moved, untouched = await lamp(shop, 1), await lamp(shop, 0)
    with pytest.raises(ProductInUse):
        await shop.catalog.delete(moved.id)
    await shop.catalog.delete(untouched.id)

    assert (await shop.catalog.get(moved.id)).inventory_count == 1
    assert faults(connect_admin) == {}
