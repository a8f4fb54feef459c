"""
Payments: amounts stay within bounds, and a repeated call answers like the first.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from store import AsyncStore, Order
from store.errors import AmountExceeded, DuplicatePayment, IdempotencyKeyReused, IllegalTransition, InvalidInput, NotFound
from tests.databases import Connection
from tests.faults import faults
from tests.samples import digest, product

TEN = Decimal(10)


async def order_of(shop: AsyncStore, price: str = "10", sku: str = "A") -> Order:
    one = await shop.catalog.create(product(sku, price=Decimal(price)))
    cart = await shop.carts.create_guest()
    await shop.carts.add_item(cart.id, product_id=one.id)
    return await shop.orders.place(cart.id, email="ada@example.org")


async def test_authorize_capture_refund(shop: AsyncStore, connect_admin: Connection) -> None:
    order = await order_of(shop)
    authorized = await shop.payments.authorize(
        order.id, provider="test", provider_ref="r1", amount=TEN, idempotency_key="a", actor="web"
    )
    part = await shop.payments.capture(order.id, payment_no=1, idempotency_key="c1", amount=Decimal(4))
    assert (await shop.orders.get(order.id)).status == "placed"
    rest = await shop.payments.capture(order.id, payment_no=1, idempotency_key="c2")
    assert (await shop.orders.get(order.id)).status == "paid"
    back = await shop.payments.refund(order.id, payment_no=1, idempotency_key="r1", amount=Decimal("2.50"))
    paid = await shop.orders.get(order.id)

    assert (authorized.seq, authorized.payment_no, authorized.authorized, authorized.actor) == (1, 1, TEN, "web")
    assert [(e.seq, e.kind, e.amount, e.captured, e.refunded) for e in (part, rest, back)] == [
        (2, "capture", Decimal(4), Decimal(4), Decimal(0)),
        (3, "capture", Decimal(6), TEN, Decimal(0)),
        (4, "refund", Decimal("2.50"), TEN, Decimal("2.50")),
    ]
    assert (paid.status, paid.version, paid.payments[0].status) == ("paid", 2, "captured")
    assert faults(connect_admin) == {}


async def test_a_repeated_call_answers_like_the_first(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    Whatever happened since: the same key returns what it returned then, and writes nothing.
    """
    order = await order_of(shop)
    given = {"provider": "test", "provider_ref": "r1", "amount": TEN, "idempotency_key": "a"}
    first = await shop.payments.authorize(order.id, **given)  # type: ignore[arg-type]
    captured = await shop.payments.capture(order.id, payment_no=1, idempotency_key="c", amount=TEN)
    refunded = await shop.payments.refund(order.id, payment_no=1, idempotency_key="r")
    before = digest(connect_admin)

    assert await shop.payments.authorize(order.id, **given) == first.model_copy(update={"replayed": True})  # type: ignore[arg-type]
    for again in (
        await shop.payments.capture(order.id, payment_no=1, idempotency_key="c", amount=TEN),
        await shop.payments.capture(order.id, payment_no=1, idempotency_key="c"),
    ):
        assert again == captured.model_copy(update={"replayed": True})
    assert (await shop.payments.refund(order.id, payment_no=1, idempotency_key="r")).amount == refunded.amount
    assert digest(connect_admin) == before


async def test_a_key_is_one_wish(shop: AsyncStore, connect_admin: Connection) -> None:
    order = await order_of(shop)
    given = {"provider": "test", "provider_ref": "r1", "amount": TEN, "idempotency_key": "a"}
    await shop.payments.authorize(order.id, **given)  # type: ignore[arg-type]
    await shop.payments.capture(order.id, payment_no=1, idempotency_key="c", amount=Decimal(4))
    before = digest(connect_admin)
    for wrong in ({"amount": Decimal(9)}, {"provider_ref": "r2"}, {"provider": "other"}, {"idempotency_key": "c"}):
        with pytest.raises(IdempotencyKeyReused):
            await shop.payments.authorize(order.id, **(given | wrong))  # type: ignore[arg-type]
    with pytest.raises(IdempotencyKeyReused):
        await shop.payments.capture(order.id, payment_no=1, idempotency_key="c", amount=Decimal(5))
    with pytest.raises(IdempotencyKeyReused):
        await shop.payments.capture(order.id, payment_no=2, idempotency_key="c", amount=Decimal(4))
    with pytest.raises(IdempotencyKeyReused):
        await shop.payments.refund(order.id, payment_no=1, idempotency_key="c")
    with pytest.raises(IdempotencyKeyReused):
        await shop.payments.void(order.id, payment_no=1, idempotency_key="a")

    assert digest(connect_admin) == before


async def test_never_more_than_there_is(shop: AsyncStore, connect_admin: Connection) -> None:
    order = await order_of(shop)
    with pytest.raises(AmountExceeded) as caught:
        await shop.payments.authorize(
            order.id, provider="test", provider_ref="r1", amount=Decimal("10.01"), idempotency_key="a"
        )

    assert (caught.value.amount, caught.value.limit) == (Decimal("10.01"), TEN)
    await shop.payments.authorize(order.id, provider="test", provider_ref="r1", amount=Decimal(6), idempotency_key="a")
    before = digest(connect_admin)
    with pytest.raises(AmountExceeded):
        await shop.payments.authorize(order.id, provider="test", provider_ref="r2", amount=Decimal(5), idempotency_key="b")
    with pytest.raises(AmountExceeded):
        await shop.payments.capture(order.id, payment_no=1, idempotency_key="c", amount=Decimal("6.01"))
    with pytest.raises(AmountExceeded):
        await shop.payments.refund(order.id, payment_no=1, idempotency_key="r", amount=Decimal("0.01"))
    assert digest(connect_admin) == before
    await shop.payments.void(order.id, payment_no=1, idempotency_key="v")
    with pytest.raises(AmountExceeded):
        await shop.payments.void(order.id, payment_no=1, idempotency_key="v2")
    with pytest.raises(AmountExceeded):
        await shop.payments.capture(order.id, payment_no=1, idempotency_key="c2")
    await shop.payments.authorize(order.id, provider="test", provider_ref="r3", amount=TEN, idempotency_key="d")

    assert [p.status for p in (await shop.orders.get(order.id)).payments] == ["voided", "authorized"]
    assert faults(connect_admin) == {}


async def test_one_of_two_payments_moves_alone(shop: AsyncStore, connect_admin: Connection) -> None:
    order = await order_of(shop)
    for n in (1, 2):
        await shop.payments.authorize(
            order.id, provider="test", provider_ref=f"r{n}", amount=Decimal(5), idempotency_key=f"a{n}"
        )
    captured = await shop.payments.capture(order.id, payment_no=2, idempotency_key="c2")
    half = await shop.orders.get(order.id)
    await shop.payments.capture(order.id, payment_no=1, idempotency_key="c1")
    await shop.payments.refund(order.id, payment_no=1, idempotency_key="r1", amount=Decimal(2))
    paid = await shop.orders.get(order.id)

    assert (captured.seq, captured.payment_no, captured.captured) == (3, 2, Decimal(5))
    assert (half.status, [p.captured for p in half.payments]) == ("placed", [Decimal(0), Decimal(5)])
    assert (paid.status, [p.refunded for p in paid.payments]) == ("paid", [Decimal(2), Decimal(0)])
    assert faults(connect_admin) == {}


async def test_a_paid_order_takes_no_more_money(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    Whether it was paid at once, sent, refunded or cancelled: nothing that was authorized is left to capture.
    """
    order, other = await order_of(shop), await order_of(shop, sku="B")
    for one, ref in ((order, "r1"), (other, "r2")):
        await shop.payments.authorize(one.id, provider="test", provider_ref=ref, amount=TEN, idempotency_key="a")
    await shop.payments.void(other.id, payment_no=1, idempotency_key="v")
    await shop.orders.cancel(other.id)
    await shop.payments.capture(order.id, payment_no=1, idempotency_key="c")

    async def refused(order_id: int, status: str) -> None:
        before = digest(connect_admin)
        with pytest.raises(IllegalTransition, match=f"is {status}: nothing more can be paid") as caught:
            await shop.payments.capture(order_id, payment_no=1, idempotency_key=f"c {status}")
        assert (caught.value.from_status, caught.value.legal) == (status, ())
        assert digest(connect_admin) == before

    await refused(other.id, "cancelled")
    await refused(order.id, "paid")
    await shop.orders.transition(order.id, to_status="shipped")
    await refused(order.id, "shipped")
    await shop.orders.refund(order.id)
    await refused(order.id, "refunded")
    assert faults(connect_admin) == {}


async def test_what_cannot_be_paid(shop: AsyncStore, connect_admin: Connection) -> None:
    order, other = await order_of(shop), await order_of(shop, sku="B")
    given = {"provider": "test", "provider_ref": "r1", "amount": TEN, "idempotency_key": "a"}
    await shop.payments.authorize(order.id, **given)  # type: ignore[arg-type]
    before = digest(connect_admin)
    with pytest.raises(DuplicatePayment):
        await shop.payments.authorize(other.id, **given)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await shop.payments.authorize(10**9, **given)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await shop.payments.capture(order.id, payment_no=2, idempotency_key="c")
    for wrong in (
        {"amount": Decimal("1.001")},
        {"amount": Decimal(0)},
        {"amount": Decimal("NaN")},
        {"idempotency_key": "x" * 10_000},
    ):
        with pytest.raises(InvalidInput):
            await shop.payments.authorize(other.id, **({**given, "provider_ref": "r9"} | wrong))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        await shop.payments.capture(order.id, payment_no=1, idempotency_key="", amount=TEN)
    assert digest(connect_admin) == before
    await shop.orders.cancel(other.id)
    with pytest.raises(IllegalTransition):
        await shop.payments.authorize(other.id, **{**given, "provider_ref": "r2"})  # type: ignore[arg-type]


async def test_what_was_paid_back_is_not_paid_again(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    Nearly all captured, paid back, and the last penny captured: the sum of captures is the total, and the shop holds a penny.
    """
    order, other = await order_of(shop), await order_of(shop, "20", "B")
    await shop.payments.authorize(order.id, provider="test", provider_ref="r1", amount=TEN, idempotency_key="a")
    await shop.payments.capture(order.id, payment_no=1, idempotency_key="c", amount=Decimal("9.99"))
    await shop.payments.refund(order.id, payment_no=1, idempotency_key="r")
    await shop.payments.authorize(other.id, provider="test", provider_ref="r2", amount=Decimal(20), idempotency_key="a")
    await shop.payments.capture(other.id, payment_no=1, idempotency_key="c", amount=Decimal(5))
    await shop.payments.refund(other.id, payment_no=1, idempotency_key="r")
    await shop.payments.void(other.id, payment_no=1, idempotency_key="v")
    before = digest(connect_admin)
    with pytest.raises(IllegalTransition, match="cancel it and place a new order") as caught:
        await shop.payments.capture(order.id, payment_no=1, idempotency_key="c2", amount=Decimal("0.01"))
    with pytest.raises(IllegalTransition, match="cancel it and place a new order"):
        await shop.payments.authorize(other.id, provider="test", provider_ref="r3", amount=Decimal(15), idempotency_key="b")

    assert (caught.value.from_status, caught.value.legal) == ("placed", ("cancelled",))
    assert digest(connect_admin) == before
    again = await shop.payments.capture(order.id, payment_no=1, idempotency_key="c", amount=Decimal("9.99"))
    await shop.payments.void(order.id, payment_no=1, idempotency_key="v")

    assert again.replayed
    assert [(await shop.orders.cancel(o.id)).status for o in (order, other)] == ["cancelled", "cancelled"]
    assert faults(connect_admin) == {}
