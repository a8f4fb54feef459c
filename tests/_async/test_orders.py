"""
Orders: what each verb returns, refuses and leaves behind.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import pytest

from store import AsyncStore, Cart, Order, PostalAddress, Product, ProductUpdate
from store.errors import (
    CartClosed,
    CartEmpty,
    Conflict,
    CurrencyMismatch,
    IllegalTransition,
    InvalidInput,
    NotFound,
    OutOfStock,
    PaymentOutstanding,
    PriceChanged,
    ProductInUse,
    ProductUnavailable,
    Shortage,
)
from tests.databases import Connection
from tests.faults import faults
from tests.samples import digest, product, settings, user

EMAIL = "Guest@Example.org"
HOME = PostalAddress(name="Ada", line1="1 Lovelace Street", city="London", country="GB")


async def lamp(shop: AsyncStore, on_hand: int = 10, **changes: object) -> Product:
    return await shop.catalog.create(product(uuid4().hex[:12], on_hand=on_hand, **changes))


async def cart_with(shop: AsyncStore, *lines: tuple[Product, int]) -> Cart:
    cart = await shop.carts.create_guest()
    for one, quantity in lines:
        await shop.carts.add_item(cart.id, product_id=one.id, quantity=quantity)
    return await shop.carts.get(cart.id)


async def paid(shop: AsyncStore, order: Order) -> Order:
    event = await shop.payments.authorize(
        order.id, provider="test", provider_ref=uuid4().hex, amount=order.total, idempotency_key="a"
    )
    await shop.payments.capture(order.id, payment_no=event.payment_no, idempotency_key="c")
    return await shop.orders.get(order.id)


async def test_a_cart_becomes_an_order(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    The order keeps the cart's id and secret, freezes its lines, takes the stock and uses up the holds.
    """
    one, other = await lamp(shop, 10), await lamp(shop, 5, price=Decimal("0.1250"))
    ada = await shop.users.create(user("ada"))
    cart = await shop.carts.get_or_create(user_id=ada.id)
    await shop.carts.add_item(cart.id, product_id=other.id, quantity=3)
    await shop.carts.add_item(cart.id, product_id=one.id, quantity=2)
    await shop.inventory.reserve(cart.id)
    order = await shop.orders.place(cart.id, expected_total=Decimal("5.38"), ship_to=HOME, actor="web")

    assert (order.id, order.public_id, order.user_id, order.email) == (cart.id, cart.public_id, ada.id, ada.email)
    assert (order.status, order.total, order.subtotal, order.version, order.replayed) == (
        "placed",
        Decimal("5.38"),
        Decimal("5.38"),
        1,
        False,
    )
    assert [(line.product_id, line.quantity, line.unit_price, line.total) for line in order.lines] == [
        (other.id, 3, Decimal("0.1250"), Decimal("0.38")),
        (one.id, 2, Decimal("2.50"), Decimal("5.00")),
    ]
    assert (order.ship_to, order.bill_to, order.payments) == (HOME, None, ())
    assert [(e.seq, e.from_status, e.to_status, e.actor) for e in order.events] == [(1, None, "placed", "web")]
    assert await shop.orders.get(order.id) == order
    assert (await shop.inventory.get(one.id)).on_hand == 8
    assert (await shop.inventory.get(one.id)).reserved == 0
    assert [(m.kind, m.quantity, m.order_id) for m in await shop.inventory.history(one.id, page_size=1)] == [
        ("sold", -2, order.id)
    ]
    assert (await shop.carts.get(cart.id)).status == "ordered"
    assert faults(connect_admin) == {}
    await shop.catalog.update(one.id, ProductUpdate(price=Decimal(9), name="Dearer"))
    assert await shop.orders.get(order.id) == order
    with pytest.raises(ProductInUse):
        await shop.catalog.delete(one.id)


async def test_an_address_of_the_book_is_a_postal_address(shop: AsyncStore) -> None:
    """
    The order keeps where it goes, and not whose book that was in; what is not an address is refused all the same.
    """
    ada = await shop.users.create(user("ada"))
    home = await shop.addresses.create(ada.id, HOME)
    cart = await cart_with(shop, (await lamp(shop), 1))
    for wrong in (home.model_copy(update={"city": ""}), home.model_copy(update={"country": "gb"}), home.model_dump()):
        with pytest.raises(InvalidInput):
            await shop.orders.place(cart.id, email=EMAIL, ship_to=wrong)  # type: ignore[arg-type]
    order = await shop.orders.place(cart.id, email=EMAIL, ship_to=home, bill_to=home)

    assert (order.ship_to, order.bill_to) == (HOME, HOME)
    assert type(order.ship_to) is PostalAddress


async def test_placing_again_answers_with_the_first_order(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop)
    cart = await cart_with(shop, (one, 1))
    first = await shop.orders.place(cart.id, email=EMAIL)
    before = digest(connect_admin)
    again = await shop.orders.place(cart.id, email="other@example.org", expected_total=Decimal(1))

    assert again == first.model_copy(update={"replayed": True})
    assert first.email == "guest@example.org"
    assert digest(connect_admin) == before
    with pytest.raises(CartClosed):
        await shop.carts.add_item(cart.id, product_id=one.id)
    with pytest.raises(CartClosed):
        await shop.orders.preview(cart.id)


async def test_out_of_stock_names_every_short_line(shop: AsyncStore, connect_admin: Connection) -> None:
    one, two, three = await lamp(shop, 1), await lamp(shop, 9), await lamp(shop, 5)
    held = await cart_with(shop, (three, 4))
    await shop.inventory.reserve(held.id)
    cart = await cart_with(shop, (one, 2), (two, 9), (three, 2))
    before = digest(connect_admin)
    with pytest.raises(OutOfStock) as caught:
        await shop.orders.place(cart.id, email=EMAIL)

    assert caught.value.shortages == (Shortage(one.id, 2, 1), Shortage(three.id, 2, 1))
    assert [line.product_id for line in (await shop.orders.preview(cart.id)).unavailable] == [one.id, three.id]
    assert digest(connect_admin) == before
    assert (await shop.orders.place(held.id, email=EMAIL)).status == "placed"
    assert faults(connect_admin) == {}


async def test_a_hold_is_used_up_whatever_the_cart_has_become(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    The hold of the cart covers its lines, free stock the rest, and what it held beyond them is free again.
    """
    one, other = await lamp(shop, 5), await lamp(shop, 5)
    cart = await cart_with(shop, (one, 2), (other, 1))
    await shop.inventory.reserve(cart.id)
    await shop.carts.set_quantity(cart.id, product_id=one.id, quantity=5)
    await shop.carts.remove_item(cart.id, product_id=other.id)

    assert (await shop.orders.preview(cart.id)).unavailable == ()
    await shop.orders.place(cart.id, email=EMAIL)
    assert [(i.on_hand, i.reserved) for i in await shop.inventory.get_many([one.id, other.id])] == [(0, 0), (5, 0)]
    assert faults(connect_admin) == {}


async def test_expired_holds_of_others_do_not_stop_an_order(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop, 1)
    others = await cart_with(shop, (one, 1))
    await shop.inventory.reserve(others.id)
    connect_admin.execute("UPDATE store.reservations SET expires_at = now() - interval '1 s'")
    cart = await cart_with(shop, (one, 1))
    await shop.orders.place(cart.id, email=EMAIL)

    assert faults(connect_admin) == {}
    with pytest.raises(OutOfStock):
        await shop.orders.place(others.id, email=EMAIL)
    assert faults(connect_admin) == {}


async def test_price_changed_says_both(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop)
    cart = await cart_with(shop, (one, 2))
    await shop.catalog.update(one.id, ProductUpdate(price=Decimal(3)))
    before = digest(connect_admin)
    with pytest.raises(PriceChanged) as caught:
        await shop.orders.place(cart.id, email=EMAIL, expected_total=Decimal(5))

    assert (caught.value.expected, caught.value.total) == (Decimal(5), Decimal(6))
    assert digest(connect_admin) == before
    assert (await shop.orders.place(cart.id, email=EMAIL, expected_total=Decimal("6.00"))).total == 6


async def test_what_cannot_be_placed(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    Each refusal is told apart, and nothing is written.
    """
    one, archived, dollars = await lamp(shop), await lamp(shop), await lamp(shop)
    empty, guest = await cart_with(shop), await cart_with(shop, (one, 1))
    stale, foreign = await cart_with(shop, (one, 1), (archived, 1)), await cart_with(shop, (dollars, 1))
    old, merged = await cart_with(shop, (one, 1)), await cart_with(shop, (one, 1))
    await shop.catalog.archive(archived.id)
    connect_admin.execute("UPDATE store.products SET currency = 'USD' WHERE id = %s", (dollars.id,))
    connect_admin.execute("UPDATE store.carts SET expires_at = now() - interval '1 s' WHERE id = %s", (old.id,))
    connect_admin.execute("UPDATE store.carts SET status = 'merged' WHERE id = %s", (merged.id,))
    before = digest(connect_admin)
    for cart_id, error, words in (
        (empty.id, CartEmpty, "no lines"),
        (stale.id, ProductUnavailable, str(archived.id)),
        (foreign.id, CurrencyMismatch, str(dollars.id)),
        (old.id, CartClosed, "expired"),
        (merged.id, CartClosed, "merged"),
        (10**9, NotFound, "cart"),
    ):
        with pytest.raises(error, match=words):
            await shop.orders.place(cart_id, email=EMAIL)
    for early in (shop.orders.preview, shop.inventory.reserve):
        with pytest.raises(CartClosed, match="expired"):
            await early(old.id)  # type: ignore[operator]
    assert (await shop.carts.get(old.id)).is_expired
    with pytest.raises(InvalidInput, match="email"):
        await shop.orders.place(guest.id)
    for wrong in ("", "x", "a@b@c"):
        with pytest.raises(InvalidInput, match="email"):
            await shop.orders.place(guest.id, email=wrong)
    with pytest.raises(InvalidInput, match="expected_total"):
        await shop.orders.place(guest.id, email=EMAIL, expected_total=Decimal("1.00001"))

    assert digest(connect_admin) == before


async def test_what_costs_nothing_is_paid_at_once(shop: AsyncStore, connect_admin: Connection) -> None:
    gift = await lamp(shop, price=Decimal(0))
    cart = await cart_with(shop, (gift, 1))
    order = await shop.orders.place(cart.id, email=EMAIL)

    assert (order.status, order.total, [e.to_status for e in order.events]) == ("paid", Decimal(0), ["placed", "paid"])
    assert await shop.orders.get(order.id) == order
    assert faults(connect_admin) == {}
    assert (await shop.orders.cancel(order.id)).status == "cancelled"
    assert faults(connect_admin) == {}


async def test_place_inside_a_transaction(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    It joins: nothing is committed before the caller says so, and a refusal leaves the caller's work alone.
    """
    one = await lamp(shop, 1)
    cart, second = await cart_with(shop, (one, 1)), await cart_with(shop, (one, 1))
    before = digest(connect_admin)
    with pytest.raises(RuntimeError):
        async with shop.transaction() as tx:
            await tx.orders.place(cart.id, email=EMAIL)
            raise RuntimeError
    assert digest(connect_admin) == before
    async with shop.transaction() as tx:
        await tx.orders.place(cart.id, email=EMAIL)
        with pytest.raises(OutOfStock):
            await tx.orders.place(second.id, email=EMAIL)

    assert (await shop.orders.get(cart.id)).status == "placed"
    assert faults(connect_admin) == {}


async def test_the_life_of_an_order(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop)
    order = await shop.orders.place((await cart_with(shop, (one, 2))).id, email=EMAIL)
    with pytest.raises(IllegalTransition) as caught:
        await shop.orders.transition(order.id, to_status="shipped")

    assert (caught.value.from_status, caught.value.to_status, caught.value.legal) == (
        "placed",
        "shipped",
        ("cancelled", "paid"),
    )
    await paid(shop, order)
    with pytest.raises(Conflict):
        await shop.orders.transition(order.id, to_status="shipped", expected_version=1)
    shipped = await shop.orders.transition(order.id, to_status="shipped", expected_version=2, reason="parcel 7", actor="bob")
    delivered = await shop.orders.transition(order.id, to_status="delivered")
    ended = await shop.orders.refund(order.id, restock=True)

    assert (shipped.status, shipped.events[-1].reason, delivered.status, ended.status) == (
        "shipped",
        "parcel 7",
        "delivered",
        "refunded",
    )
    assert [e.to_status for e in ended.events] == ["placed", "paid", "shipped", "delivered", "refunded"]
    assert (ended.payments[0].status, ended.payments[0].refunded) == ("refunded", order.total)
    assert (await shop.inventory.get(one.id)).on_hand == 10
    assert faults(connect_admin) == {}
    for refused in (shop.orders.refund, shop.orders.cancel):
        with pytest.raises(IllegalTransition):
            await refused(order.id)
    with pytest.raises(NotFound):
        await shop.orders.transition(10**9, to_status="shipped")
    with pytest.raises(InvalidInput):
        await shop.orders.transition(order.id, to_status="paid")  # type: ignore[arg-type]


async def test_cancel_gives_the_stock_back_once_money_is_settled(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop)
    order = await shop.orders.place((await cart_with(shop, (one, 4))).id, email=EMAIL)
    event = await shop.payments.authorize(order.id, provider="test", provider_ref="x", amount=order.total, idempotency_key="a")
    with pytest.raises(PaymentOutstanding):
        await shop.orders.cancel(order.id)
    assert (await shop.inventory.get(one.id)).on_hand == 6
    await shop.payments.void(order.id, payment_no=event.payment_no, idempotency_key="v")
    cancelled = await shop.orders.cancel(order.id, reason="changed her mind")

    assert (cancelled.status, cancelled.events[-1].reason) == ("cancelled", "changed her mind")
    assert (await shop.inventory.get(one.id)).on_hand == 10
    assert faults(connect_admin) == {}


async def test_a_paid_order_is_cancelled_after_its_refund(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop)
    order = await paid(shop, await shop.orders.place((await cart_with(shop, (one, 4))).id, email=EMAIL))
    with pytest.raises(PaymentOutstanding):
        await shop.orders.cancel(order.id)
    await shop.payments.refund(order.id, payment_no=1, idempotency_key="r")

    assert (await shop.orders.cancel(order.id)).status == "cancelled"
    assert faults(connect_admin) == {}


async def test_numbers_and_listings(shop: AsyncStore) -> None:
    one = await lamp(shop, 100)
    ada = await shop.users.create(user("ada"))
    placed = []
    for _ in range(5):
        cart = await shop.carts.get_or_create(user_id=ada.id)
        await shop.carts.add_item(cart.id, product_id=one.id)
        placed.append(await shop.orders.place(cart.id))
    await shop.orders.place((await cart_with(shop, (one, 1))).id, email=EMAIL)
    first = await shop.orders.list_for_user(ada.id, page_size=3)
    second = await shop.orders.list_for_user(ada.id, page_size=3, cursor=first.next_cursor)

    assert [order.id for order in (*first, *second)] == [order.id for order in reversed(placed)]
    assert second.next_cursor is None
    assert await shop.orders.find_by_number(placed[0].number) == placed[0]
    assert await shop.orders.find_by_number("00000000-00") is None
    with pytest.raises(NotFound):
        await shop.orders.get(10**9)


async def test_orders_of_others_do_not_exist(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    A shopper sees and places their own; a guest reads the order of their cart by its secret.
    """
    one = await lamp(shop, 100)
    ada, bob = await shop.users.create_many([user("ada"), user("bob")])
    carts = {}
    for who in (ada, bob):
        cart = await shop.carts.get_or_create(user_id=who.id)
        await shop.carts.add_item(cart.id, product_id=one.id)
        carts[who.id] = cart
    guest = await cart_with(shop, (one, 1))
    me, stranger = shop.acting_as(ada.id), shop.guest(guest.public_id)
    before = digest(connect_admin)
    for shopper in (me, stranger):
        for verb in (shopper.orders.place, shopper.orders.preview):
            with pytest.raises(NotFound):
                await verb(carts[bob.id].id)
    assert digest(connect_admin) == before
    theirs = await shop.orders.place(carts[bob.id].id)
    mine = await me.orders.place(carts[ada.id].id)
    guests = await stranger.orders.place(guest.id, email=EMAIL)

    assert [order.id for order in await me.orders.list()] == [mine.id]
    assert await me.orders.find_by_number(mine.number) == mine
    assert await stranger.orders.get(guest.id) == guests
    assert len(await stranger.orders.list()) == 0
    for shopper, other in ((me, theirs), (me, guests), (stranger, mine), (shop.guest(theirs.public_id), theirs)):
        with pytest.raises(NotFound):
            await shopper.orders.get(other.id)
        with pytest.raises(NotFound):
            await shopper.orders.place(other.id)
        assert await shopper.orders.find_by_number(other.number) is None


async def test_orders_outlive_their_user(shop: AsyncStore, connect_admin: Connection) -> None:
    one = await lamp(shop)
    ada = await shop.users.create(user("ada"))
    cart = await shop.carts.get_or_create(user_id=ada.id)
    await shop.carts.add_item(cart.id, product_id=one.id)
    order = await shop.orders.place(cart.id)
    await shop.users.delete(ada.id)
    kept = await shop.orders.get(order.id)

    assert (kept.user_id, kept.email, kept.total) == (None, ada.email, order.total)
    with pytest.raises(NotFound):  # the secret of the cart it was opens nothing, now that no user owns it
        await shop.guest(order.public_id).orders.get(order.id)
    assert faults(connect_admin) == {}


async def test_yen_round_to_whole_ones(dsn: str) -> None:
    async with AsyncStore.open(settings(dsn, currency="JPY")) as shop:
        one = await lamp(shop, price=Decimal("10.5"))
        order = await shop.orders.place((await cart_with(shop, (one, 1))).id, email=EMAIL)

        assert (order.currency, order.total) == ("JPY", Decimal(11))


async def test_an_order_whose_money_went_back_is_not_shipped(shop: AsyncStore, connect_admin: Connection) -> None:
    order = await paid(shop, await shop.orders.place((await cart_with(shop, (await lamp(shop), 2))).id, email=EMAIL))
    await shop.payments.refund(order.id, payment_no=1, idempotency_key="r1", amount=Decimal(2))
    await shop.orders.transition(order.id, to_status="shipped")
    await shop.payments.refund(order.id, payment_no=1, idempotency_key="r2")
    before = digest(connect_admin)
    with pytest.raises(IllegalTransition, match="orders.refund ends it") as caught:
        await shop.orders.transition(order.id, to_status="delivered")

    assert (caught.value.from_status, caught.value.legal) == ("shipped", ("refunded",))
    assert digest(connect_admin) == before
    assert (await shop.orders.refund(order.id)).status == "refunded"
    assert faults(connect_admin) == {}


async def test_what_costs_nothing_is_shipped(shop: AsyncStore) -> None:
    order = await shop.orders.place((await cart_with(shop, (await lamp(shop, price=Decimal(0)), 1))).id, email=EMAIL)

    assert (await shop.orders.transition(order.id, to_status="shipped")).status == "shipped"


async def test_a_key_of_a_caller_is_none_of_the_store(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    orders.refund writes payment events under keys of its own: no key that a caller may choose is one of them.
    """
    order = await paid(shop, await shop.orders.place((await cart_with(shop, (await lamp(shop), 2))).id, email=EMAIL))
    with pytest.raises(InvalidInput, match="idempotency_key"):
        await shop.payments.refund(order.id, payment_no=1, idempotency_key="store:orders.refund:1", amount=Decimal(1))
    await shop.payments.refund(order.id, payment_no=1, idempotency_key="orders.refund:1", amount=Decimal(1))

    assert (await shop.orders.refund(order.id)).status == "refunded"
    assert faults(connect_admin) == {}
