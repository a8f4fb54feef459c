"""
Carts: what each verb returns, refuses and leaves behind.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from store import AsyncStore, Cart, Product, ProductUpdate
from store.errors import CartClosed, CurrencyMismatch, InvalidInput, NotFound, ProductUnavailable
from tests.databases import Connection
from tests.samples import product, settings, user


async def lamps(shop: AsyncStore, count: int = 2, **changes: object) -> tuple[Product, ...]:
    """
    Return so many products of the shop.
    """
    return await shop.catalog.create_many([product(f"{uuid4().hex[:12]}", **changes) for _ in range(count)])


async def users_cart(shop: AsyncStore, name: str = "ada") -> Cart:
    """
    Return the open cart of a new user.
    """
    return await shop.carts.get_or_create(user_id=(await shop.users.create(user(name))).id)


def close(connection: Connection, cart_id: int, status: str = "ordered") -> None:
    connection.execute("UPDATE store.carts SET status = %s WHERE id = %s", (status, cart_id))


async def test_get_or_create_returns_the_one_open_cart(shop: AsyncStore, connect_admin: Connection) -> None:
    cart = await users_cart(shop)
    assert cart.user_id is not None

    assert (cart.status, cart.currency, cart.lines, cart.subtotal) == ("open", "EUR", (), Decimal(0))
    assert cart.expires_at - cart.created_at == timedelta(days=30)
    assert (await shop.carts.get_or_create(user_id=cart.user_id)).id == cart.id
    close(connect_admin, cart.id)
    assert (await shop.carts.get_or_create(user_id=cart.user_id)).id != cart.id
    with pytest.raises(NotFound):
        await shop.carts.get_or_create(user_id=cart.user_id + 1000)


async def test_an_expired_cart_is_renewed(shop: AsyncStore, connect_admin: Connection) -> None:
    cart = await users_cart(shop)
    assert cart.user_id is not None
    connect_admin.execute("UPDATE store.carts SET expires_at = now() - interval '1 day'")
    renewed = await shop.carts.get_or_create(user_id=cart.user_id)

    assert renewed.id == cart.id
    assert renewed.expires_at >= cart.expires_at


async def test_a_guest_cart(shop: AsyncStore) -> None:
    cart = await shop.carts.create_guest()

    assert (cart.user_id, cart.status, cart.lines) == (None, "open", ())
    assert isinstance(cart.public_id, UUID)
    assert await shop.carts.get_by_public_id(cart.public_id) == cart
    assert await shop.carts.get(cart.id) == cart
    with pytest.raises(NotFound):
        await shop.carts.get_by_public_id(uuid4())


async def test_lines_and_totals(shop: AsyncStore) -> None:
    """
    Lines stand in the order they were added, at the product's price of now; the subtotal is the sum of rounded lines.
    """
    first, second = await lamps(shop, price=Decimal("0.1250"))
    cart = await shop.carts.create_guest()
    item = await shop.carts.add_item(cart.id, product_id=second.id, quantity=3)
    await shop.carts.add_item(cart.id, product_id=first.id)
    read = await shop.carts.get(cart.id)

    assert (item.cart_id, item.product_id, item.quantity) == (cart.id, second.id, 3)
    assert [(line.product_id, line.quantity, line.line_total) for line in read.lines] == [
        (second.id, 3, Decimal("0.38")),
        (first.id, 1, Decimal("0.13")),
    ]
    assert read.subtotal == Decimal("0.51")
    assert read.lines[0].added_at == item.added_at
    assert (read.lines[0].sku, read.lines[0].name, read.lines[0].available) == (second.sku, second.name, 10)

    await shop.catalog.update(first.id, ProductUpdate(price=Decimal(1)))

    assert (await shop.carts.get(cart.id)).subtotal == Decimal("1.38")


async def test_yen_have_no_decimals(dsn: str) -> None:
    async with AsyncStore.open(settings(dsn, currency="JPY")) as shop:
        (lamp,) = await lamps(shop, 1, price=Decimal("10.5"))
        cart = await shop.carts.create_guest()
        await shop.carts.add_item(cart.id, product_id=lamp.id)

        assert (await shop.carts.get(cart.id)).subtotal == Decimal(11)


async def test_add_item_adds_up(shop: AsyncStore) -> None:
    lamp, _ = await lamps(shop)
    cart = await users_cart(shop)
    await shop.carts.add_item(cart.id, product_id=lamp.id, quantity=2)

    assert (await shop.carts.add_item(cart.id, product_id=lamp.id, quantity=3)).quantity == 5
    assert (await shop.carts.get(cart.id)).updated_at > cart.updated_at


async def test_a_line_holds_at_most_9999(shop: AsyncStore) -> None:
    lamp, _ = await lamps(shop)
    cart = await users_cart(shop)
    await shop.carts.add_item(cart.id, product_id=lamp.id, quantity=9999)
    with pytest.raises(InvalidInput) as caught:
        await shop.carts.add_item(cart.id, product_id=lamp.id)

    assert (caught.value.field, caught.value.constraint) == ("quantity", "cart_items_quantity_in_range")
    assert (await shop.carts.get(cart.id)).lines[0].quantity == 9999


async def test_set_quantity_sets(shop: AsyncStore) -> None:
    lamp, other = await lamps(shop)
    cart = await users_cart(shop)
    await shop.carts.add_item(cart.id, product_id=lamp.id, quantity=2)

    assert (await shop.carts.set_quantity(cart.id, product_id=lamp.id, quantity=9)).quantity == 9
    assert (await shop.carts.set_quantity(cart.id, product_id=other.id, quantity=1)).quantity == 1
    assert [line.quantity for line in (await shop.carts.get(cart.id)).lines] == [9, 1]
    with pytest.raises(InvalidInput):
        await shop.carts.set_quantity(cart.id, product_id=lamp.id, quantity=0)


async def test_remove_and_clear(shop: AsyncStore) -> None:
    lamp, other = await lamps(shop)
    cart = await users_cart(shop)
    for one in (lamp, other):
        await shop.carts.add_item(cart.id, product_id=one.id)

    assert await shop.carts.remove_item(cart.id, product_id=lamp.id) is True
    assert await shop.carts.remove_item(cart.id, product_id=lamp.id) is False
    assert await shop.carts.clear(cart.id) == 1
    assert await shop.carts.clear(cart.id) == 0
    assert (await shop.carts.get(cart.id)).lines == ()


@pytest.mark.parametrize("status", ["ordered", "merged", "abandoned"])
async def test_a_closed_cart_takes_no_change(shop: AsyncStore, connect_admin: Connection, status: str) -> None:
    lamp, _ = await lamps(shop)
    cart = await shop.carts.create_guest()
    owner = await shop.users.create(user("bob"))
    await shop.carts.add_item(cart.id, product_id=lamp.id)
    close(connect_admin, cart.id, status)
    before = await shop.carts.get(cart.id)
    with pytest.raises(CartClosed, match=status):
        await shop.carts.add_item(cart.id, product_id=lamp.id)
    with pytest.raises(CartClosed, match=status):
        await shop.carts.set_quantity(cart.id, product_id=lamp.id, quantity=3)
    with pytest.raises(CartClosed, match=status):
        await shop.carts.remove_item(cart.id, product_id=lamp.id)
    with pytest.raises(CartClosed, match=status):
        await shop.carts.clear(cart.id)
    with pytest.raises(CartClosed, match=status):
        await shop.carts.merge(cart.public_id, user_id=owner.id)

    assert await shop.carts.get(cart.id) == before


async def test_what_cannot_be_added(shop: AsyncStore) -> None:
    """
    Archived, foreign and unknown products, and unknown carts, are told apart, and the cart stays empty.
    """
    lamp, archived = await lamps(shop)
    (dollars,) = await lamps(shop, 1, currency="USD")
    await shop.catalog.archive(archived.id)
    cart = await users_cart(shop)
    for verb in (shop.carts.add_item, shop.carts.set_quantity):
        with pytest.raises(ProductUnavailable):
            await verb(cart.id, product_id=archived.id, quantity=1)
        with pytest.raises(CurrencyMismatch):
            await verb(cart.id, product_id=dollars.id, quantity=1)
        with pytest.raises(NotFound, match="product"):
            await verb(cart.id, product_id=lamp.id + 1000, quantity=1)
        with pytest.raises(NotFound, match="cart"):
            await verb(cart.id + 1000, product_id=lamp.id, quantity=1)

    assert await shop.carts.get(cart.id) == cart


async def test_unknown_carts(shop: AsyncStore) -> None:
    lamp, _ = await lamps(shop)
    for call in (shop.carts.get, shop.carts.clear, shop.carts.check_availability):
        with pytest.raises(NotFound):
            await call(1)
    with pytest.raises(NotFound):
        await shop.carts.remove_item(1, product_id=lamp.id)
    with pytest.raises(NotFound, match="1, 2$"):
        await shop.carts.get_many([2, 1])


async def test_get_many_keeps_the_order(shop: AsyncStore) -> None:
    made = [await shop.carts.create_guest() for _ in range(3)]

    assert await shop.carts.get_many([cart.id for cart in reversed(made)]) == tuple(reversed(made))
    assert await shop.carts.get_many([]) == ()


async def test_check_availability(shop: AsyncStore) -> None:
    """
    Lines that cannot be bought now are named: archived, or more than there is.
    """
    fine, archived = await lamps(shop, on_hand=3)
    (short,) = await lamps(shop, 1, on_hand=1)
    cart = await users_cart(shop)
    for one, quantity in ((fine, 3), (archived, 1), (short, 2)):
        await shop.carts.add_item(cart.id, product_id=one.id, quantity=quantity)
    await shop.catalog.archive(archived.id)
    found = await shop.carts.check_availability(cart.id)

    assert [(line.product_id, line.is_active, line.available) for line in found] == [
        (archived.id, False, 3),
        (short.id, True, 1),
    ]


async def test_merge_moves_and_sums(shop: AsyncStore) -> None:
    """
    The guest's lines are summed into the user's up to 9,999; the guest's cart is merged, and only once.
    """
    lamp, other = await lamps(shop)
    cart = await users_cart(shop)
    guest = await shop.carts.create_guest()
    assert cart.user_id is not None
    await shop.carts.add_item(cart.id, product_id=lamp.id, quantity=9000)
    await shop.carts.add_item(guest.id, product_id=lamp.id, quantity=2000)
    await shop.carts.add_item(guest.id, product_id=other.id, quantity=2)
    merged = await shop.carts.merge(guest.public_id, user_id=cart.user_id)
    emptied = await shop.carts.get(guest.id)

    assert {line.product_id: line.quantity for line in merged.lines} == {lamp.id: 9999, other.id: 2}
    assert (merged.id, merged.status) == (cart.id, "open")
    assert (emptied.status, emptied.lines) == ("merged", ())
    with pytest.raises(CartClosed):
        await shop.carts.merge(guest.public_id, user_id=cart.user_id)
    assert await shop.carts.get(cart.id) == merged


async def test_merge_refusals_leave_no_trace(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    Another user's cart, an unknown one and one in another currency are refused, and not even a cart is created.
    """
    theirs = await users_cart(shop, "bob")
    ada = await shop.users.create(user("ada"))
    dollars = await shop.carts.create_guest()
    connect_admin.execute("UPDATE store.carts SET currency = 'USD' WHERE id = %s", (dollars.id,))
    with pytest.raises(NotFound):
        await shop.carts.merge(theirs.public_id, user_id=ada.id)
    with pytest.raises(NotFound):
        await shop.carts.merge(uuid4(), user_id=ada.id)
    with pytest.raises(NotFound):
        await shop.carts.merge(dollars.public_id, user_id=ada.id + 1000)
    with pytest.raises(CurrencyMismatch):
        await shop.carts.merge(dollars.public_id, user_id=ada.id)

    assert connect_admin.execute("SELECT count(*) FROM store.carts WHERE user_id = %s", (ada.id,)).fetchone() == (0,)
