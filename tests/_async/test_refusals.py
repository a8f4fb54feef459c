"""
What a shop is asked for by mistake, by impatience and on purpose: each is refused by its own error, which names the rule, and
nothing is written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from store import AsyncStore, Product, ProductUpdate
from store.errors import (
    CartClosed,
    CartEmpty,
    CurrencyMismatch,
    DuplicatePayment,
    IllegalTransition,
    InvalidInput,
    NotFound,
    OutOfStock,
    StoreError,
)
from tests.databases import Connection
from tests.samples import digest, product, user

EMAIL = "guest@example.org"
Call = Callable[[], Awaitable[Any]]


async def refused(admin: Connection, error: type[StoreError], words: str, *calls: Call) -> None:
    """
    Expect this very error from each call, with these words in it, and the same rows before and after.
    """
    before = digest(admin)
    for call in calls:
        with pytest.raises(error, match=words) as caught:
            await call()
        assert type(caught.value) is error
        assert digest(admin) == before


async def cart_of(shop: AsyncStore, *lines: tuple[Product, int]) -> int:
    cart = await shop.carts.create_guest()
    for one, quantity in lines:
        await shop.carts.add_item(cart.id, product_id=one.id, quantity=quantity)
    return cart.id


@pytest.mark.parametrize("quantity", [0, -1, -(2**31), 10_000, 2**31, 2**63, 10**100])
async def test_quantities_of_a_line(shop: AsyncStore, connect_admin: Connection, quantity: int) -> None:
    lamp = await shop.catalog.create(product())
    cart = await cart_of(shop, (lamp, 1))
    await refused(
        connect_admin,
        InvalidInput,
        r"quantity: .*(1|9999)",
        lambda: shop.carts.add_item(cart, product_id=lamp.id, quantity=quantity),
        lambda: shop.carts.set_quantity(cart, product_id=lamp.id, quantity=quantity),
    )


@pytest.mark.parametrize("quantity", [0, -1, 10**9 + 1, 2**63, 10**100])
async def test_quantities_of_stock(shop: AsyncStore, connect_admin: Connection, quantity: int) -> None:
    lamp = await shop.catalog.create(product())
    cart = await cart_of(shop, (lamp, 1))
    await refused(
        connect_admin,
        InvalidInput,
        r"(quantity|lines): .*(1|1000000000)",
        lambda: shop.inventory.receive(lamp.id, quantity=quantity),
        lambda: shop.inventory.reserve(cart, lines=[(lamp.id, quantity)]),
    )


async def test_quantities_that_add_up_to_too_much(shop: AsyncStore, connect_admin: Connection) -> None:
    lamp = await shop.catalog.create(product())
    cart = await cart_of(shop, (lamp, 9_999))
    add = lambda: shop.carts.add_item(cart, product_id=lamp.id)  # noqa: E731  # a call to be made later
    await refused(connect_admin, InvalidInput, "1 to 9999", add)
    deliver = lambda: shop.inventory.receive(lamp.id, quantity=10**9)  # noqa: E731  # the same
    await refused(connect_admin, InvalidInput, "at most 1000000000", deliver)


async def test_a_cart_with_nothing_in_it(shop: AsyncStore, connect_admin: Connection) -> None:
    cart = await cart_of(shop)
    await refused(
        connect_admin,
        CartEmpty,
        "no lines",
        lambda: shop.orders.place(cart, email=EMAIL),
        lambda: shop.inventory.reserve(cart),
        lambda: shop.inventory.reserve(cart, lines=[]),
    )


async def test_a_cart_of_what_is_not_there(shop: AsyncStore, connect_admin: Connection) -> None:
    lamp, gone = await shop.catalog.create_many([product("A", on_hand=2), product("B", on_hand=0)])
    cart = await cart_of(shop, (lamp, 3), (gone, 1))
    await refused(
        connect_admin,
        OutOfStock,
        rf"product {lamp.id}: 3 wanted, 2 available; product {gone.id}: 1 wanted, 0 available",
        lambda: shop.orders.place(cart, email=EMAIL),
        lambda: shop.inventory.reserve(cart),
    )


async def test_a_cart_of_somebody_else(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    To a shopper it does not exist, whatever they would do with it.
    """
    ada, bob = await shop.users.create_many([user("ada"), user("bob")])
    lamp = await shop.catalog.create(product())
    cart = (await shop.carts.get_or_create(user_id=ada.id)).id
    await shop.carts.add_item(cart, product_id=lamp.id)
    secret = (await shop.carts.get(cart)).public_id
    guest = await shop.carts.create_guest()
    for stranger in (shop.acting_as(bob.id), shop.guest(guest.public_id), shop.guest(secret)):
        await refused(
            connect_admin,
            NotFound,
            "no such cart|no cart",
            lambda who=stranger: who.carts.get(cart),  # type: ignore[misc]
            lambda who=stranger: who.carts.add_item(cart, product_id=lamp.id),  # type: ignore[misc]
            lambda who=stranger: who.carts.set_quantity(cart, product_id=lamp.id, quantity=2),  # type: ignore[misc]
            lambda who=stranger: who.carts.remove_item(cart, product_id=lamp.id),  # type: ignore[misc]
            lambda who=stranger: who.carts.clear(cart),  # type: ignore[misc]
            lambda who=stranger: who.orders.preview(cart),  # type: ignore[misc]
            lambda who=stranger: who.orders.place(cart, email=EMAIL),  # type: ignore[misc]
        )


async def test_a_cart_that_is_over(shop: AsyncStore, connect_admin: Connection) -> None:
    ada = await shop.users.create(user("ada"))
    lamp = await shop.catalog.create(product())
    merged, expired = await cart_of(shop, (lamp, 1)), await cart_of(shop, (lamp, 1))
    secret = (await shop.carts.get(merged)).public_id
    await shop.carts.merge(secret, user_id=ada.id)
    connect_admin.execute("UPDATE store.carts SET expires_at = now() - interval '1 s' WHERE id = %s", (expired,))
    await refused(connect_admin, CartClosed, "expired, not open", lambda: shop.orders.place(expired, email=EMAIL))
    await refused(
        connect_admin,
        CartClosed,
        "merged, not open",
        lambda: shop.carts.add_item(merged, product_id=lamp.id),
        lambda: shop.carts.set_quantity(merged, product_id=lamp.id, quantity=2),
        lambda: shop.carts.remove_item(merged, product_id=lamp.id),
        lambda: shop.carts.clear(merged),
        lambda: shop.carts.merge(secret, user_id=ada.id),
        lambda: shop.inventory.reserve(merged),
        lambda: shop.orders.preview(merged),
        lambda: shop.orders.place(merged, email=EMAIL),
    )


async def test_another_currency(shop: AsyncStore, connect_admin: Connection) -> None:
    ada = await shop.users.create(user("ada"))
    lamp, yen = await shop.catalog.create_many([product("A"), product("B", currency="JPY", price=Decimal(300))])
    cart = await cart_of(shop, (lamp, 1))
    foreign = await shop.carts.create_guest()
    connect_admin.execute("UPDATE store.carts SET currency = 'JPY' WHERE id = %s", (foreign.id,))
    await shop.carts.get_or_create(user_id=ada.id)
    await refused(
        connect_admin,
        CurrencyMismatch,
        "another currency",
        lambda: shop.carts.add_item(cart, product_id=yen.id),
        lambda: shop.carts.set_quantity(cart, product_id=yen.id, quantity=1),
        lambda: shop.carts.add_item(foreign.id, product_id=lamp.id),
    )
    merge = lambda: shop.carts.merge(foreign.public_id, user_id=ada.id)  # noqa: E731  # a call to be made later
    await refused(connect_admin, CurrencyMismatch, "JPY", merge)


async def test_amounts_with_too_many_decimals(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    A price has at most four, what is paid at most those of the smallest coin: a yen has none.
    """
    lamp, yen = await shop.catalog.create_many([product("A"), product("B", currency="JPY", price=Decimal(300))])
    order = (await shop.orders.place(await cart_of(shop, (lamp, 1)), email=EMAIL)).id
    cart = await shop.carts.create_guest()
    connect_admin.execute("UPDATE store.carts SET currency = 'JPY' WHERE id = %s", (cart.id,))
    await shop.carts.add_item(cart.id, product_id=yen.id)
    in_yen = (await shop.orders.place(cart.id, email=EMAIL)).id
    await shop.payments.authorize(order, provider="t", provider_ref="r", amount=Decimal("2.50"), idempotency_key="a")

    def authorize(order_id: int, amount: str) -> Call:
        given = {"provider": "t", "provider_ref": "x", "idempotency_key": "x", "amount": Decimal(amount)}
        return lambda: shop.payments.authorize(order_id, **given)  # type: ignore[arg-type]

    await refused(connect_admin, InvalidInput, "amount: must have at most 4 decimals", authorize(order, "0.00001"))
    await refused(
        connect_admin,
        InvalidInput,
        "amount: must be no fraction of the smallest unit of the currency",
        authorize(in_yen, "0.5"),
        lambda: shop.payments.capture(order, payment_no=1, amount=Decimal("0.001"), idempotency_key="c"),
    )
    place = lambda: shop.orders.place(order, expected_total=Decimal("2.50001"))  # noqa: E731  # a call to be made later
    await refused(connect_admin, InvalidInput, "expected_total: must have at most 4 decimals", place)


async def test_steps_that_there_are_not(shop: AsyncStore, connect_admin: Connection) -> None:
    lamp = await shop.catalog.create(product())
    order = (await shop.orders.place(await cart_of(shop, (lamp, 1)), email=EMAIL)).id
    await refused(
        connect_admin,
        IllegalTransition,
        "is placed and cannot become (shipped|delivered|refunded); legal: cancelled, paid",
        lambda: shop.orders.transition(order, to_status="shipped"),
        lambda: shop.orders.transition(order, to_status="delivered"),
        lambda: shop.orders.refund(order),
    )
    for unknown in ("paid", "placed", "lost", "SHIPPED", ""):
        step: Call = lambda unknown=unknown: shop.orders.transition(order, to_status=unknown)  # type: ignore[misc]  # noqa: E731
        await refused(connect_admin, InvalidInput, "to_status: .*'shipped' or 'delivered'", step)
    await shop.orders.cancel(order)
    await refused(
        connect_admin,
        IllegalTransition,
        "is cancelled",
        lambda: shop.orders.cancel(order),
        lambda: shop.orders.transition(order, to_status="shipped"),
        lambda: shop.payments.authorize(order, provider="t", provider_ref="r", amount=Decimal("2.50"), idempotency_key="a"),
    )


async def test_one_reference_for_two_payments(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    A provider names each of its payments once: of this order or another, under whatever key.
    """
    lamp = await shop.catalog.create(product())
    one, other = [(await shop.orders.place(await cart_of(shop, (lamp, 2)), email=EMAIL)).id for _ in range(2)]
    given = {"provider": "t", "provider_ref": "r", "amount": Decimal("2.50")}
    await shop.payments.authorize(one, **given, idempotency_key="a")  # type: ignore[arg-type]
    await refused(
        connect_admin,
        DuplicatePayment,
        "reference belongs to a payment already",
        lambda: shop.payments.authorize(one, **given, idempotency_key="b"),  # type: ignore[arg-type]
        lambda: shop.payments.authorize(other, **given, idempotency_key="a"),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("bad", ["secret\x1b[2J", "secret\u200b", "secret\u202e", "secret\r"])
async def test_what_must_not_be_printed(shop: AsyncStore, connect_admin: Connection, bad: str) -> None:
    """
    Named by field and code point, never quoted.
    """
    lamp = await shop.catalog.create(product())
    cart = await cart_of(shop, (lamp, 1))
    order = (await shop.orders.place(await cart_of(shop, (lamp, 1)), email=EMAIL)).id
    home = {"name": "Ada", "line1": bad, "city": "London", "country": "GB"}
    given = {"amount": Decimal("2.50"), "idempotency_key": "k"}
    await refused(
        connect_admin,
        InvalidInput,
        f"^(actor|description|idempotency_key|line1|name|provider|provider_ref|reason): holds U\\+{ord(bad[6]):04X}, [a-z ]+$",
        lambda: shop.catalog.create(product("B-1").model_copy(update={"name": bad})),
        lambda: shop.catalog.update(lamp.id, ProductUpdate.model_construct({"description"}, description=bad)),
        lambda: shop.inventory.adjust(lamp.id, delta=1, reason=bad),
        lambda: shop.inventory.receive(lamp.id, quantity=1, actor=bad),
        lambda: shop.orders.place(cart, email=EMAIL, ship_to=home),  # type: ignore[arg-type]
        lambda: shop.orders.cancel(order, reason=bad),
        lambda: shop.payments.authorize(order, **given, provider=bad, provider_ref="r"),  # type: ignore[arg-type]
        lambda: shop.payments.authorize(order, **given, provider="t", provider_ref=bad),  # type: ignore[arg-type]
        lambda: shop.payments.capture(order, payment_no=1, idempotency_key=bad),
    )


@pytest.mark.parametrize("key", ["", "x" * 256, "x" * 10_240])
async def test_keys_of_any_length(shop: AsyncStore, connect_admin: Connection, key: str) -> None:
    lamp = await shop.catalog.create(product())
    order = (await shop.orders.place(await cart_of(shop, (lamp, 1)), email=EMAIL)).id
    await shop.payments.authorize(order, provider="t", provider_ref="r", amount=Decimal("2.50"), idempotency_key="x" * 255)
    await refused(
        connect_admin,
        InvalidInput,
        "idempotency_key: .*(at least 1|at most 255) character",
        lambda: shop.payments.authorize(order, provider="t", provider_ref="s", amount=Decimal("2.50"), idempotency_key=key),
        lambda: shop.payments.capture(order, payment_no=1, idempotency_key=key),
        lambda: shop.payments.void(order, payment_no=1, idempotency_key=key),
        lambda: shop.payments.refund(order, payment_no=1, idempotency_key=key),
    )
