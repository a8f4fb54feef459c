"""
Orders: everybody's for the back office, the own ones for a shopper.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Literal

from store._arguments import checked, existing, in_order, several
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store._cursors import decode, encode
from store.errors import (
    CartClosed,
    CartEmpty,
    Conflict,
    CurrencyMismatch,
    IllegalTransition,
    InvalidInput,
    OutOfStock,
    PaymentOutstanding,
    PriceChanged,
    ProductUnavailable,
    Shortage,
    StoreError,
)
from store.models import (
    MAX_ID,
    Actor,
    Cart,
    Email,
    Flag,
    Id,
    Money,
    Order,
    OrderId,
    OrderPreview,
    OrderSummary,
    Page,
    PageSize,
    PlaceableCart,
    PlaceVerdict,
    Postal,
    PostalAddress,
    Reason,
    StepVerdict,
    Text,
    Version,
    Word,
)

Step = Literal["shipped", "delivered"]


class AsyncOrderDesk:
    """
    What may be done with orders, and with carts that are to become orders, that one may see.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def find_by_number(self, number: str) -> Order | None:
        """
        Return the order with this number, or None.
        """
        row = await self._runner.one_or_none(
            OrderId, queries.orders.get_order_by_number, number=checked("number", Word, number)
        )
        return None if row is None else await self.get(row.id)

    async def get(self, order_id: int) -> Order:
        """
        Return an order with its lines, payments and events. Raises NotFound.
        """
        return (await self.get_many((checked("order_id", Id, order_id),)))[0]

    async def get_many(self, order_ids: Iterable[int]) -> tuple[Order, ...]:
        """
        Return up to 10,000 orders in the order of their ids. Raises NotFound, naming ids that do not exist.
        """
        ids = several("order_ids", Id, order_ids)
        return in_order("order", ids, await self._runner.many(Order, queries.orders.get_orders, order_ids=ids) if ids else ())

    async def place(
        self,
        cart_id: int,
        *,
        expected_total: Decimal | None = None,
        email: str | None = None,
        ship_to: PostalAddress | None = None,
        bill_to: PostalAddress | None = None,
        actor: str | None = None,
    ) -> Order:
        """
        Make an order of an open cart: take its stock, use up its holds, freeze its lines. Prices, and whether a product is for
        sale, are those of the instant after the cart was locked; what is committed while it waits for stock is too late.
        A cart that was placed before answers with its order, `replayed`, whatever the arguments: this call is safe to repeat.

        Without `email` it goes to that of the user; a guest needs one. Raises OutOfStock with every short line, PriceChanged
        when the total is another, ProductUnavailable, CurrencyMismatch, CartEmpty, CartClosed, NotFound, InvalidInput:
        then nothing was written. Locks the cart, the stock by ascending product, the holds.
        """
        cart_id = checked("cart_id", Id, cart_id)
        given = {
            "expected_total": checked("expected_total", Money | None, expected_total),
            "email": checked("email", Email | None, email),
            "ship_to": _address("ship_to", ship_to),
            "bill_to": _address("bill_to", bill_to),
            "actor": checked("actor", Actor | None, actor),
        }
        async with self._runner.transaction() as tx:
            row = await tx.one_or_none(PlaceableCart, queries.orders.lock_cart_to_place, cart_id=cart_id)
            cart = existing("cart", row, cart_id)
            if cart.status == "ordered":
                # A statement of its own: it sees what the call committed that this one waited for.
                orders = await tx.many(Order, queries.orders.get_orders, order_ids=[cart_id])
                return in_order("order", [cart_id], orders)[0].model_copy(update={"replayed": True})
            if cart.status != "open" or cart.is_expired:
                message = f"cart {cart_id} is {'expired' if cart.status == 'open' else cart.status}, not open"
                raise CartClosed(message)
            verdict = await tx.last(PlaceVerdict, queries.orders.place_order, cart_id=cart_id, **given)
            if verdict is None or verdict.placed is None:
                raise _refusal(verdict, cart_id, given["expected_total"])
            return verdict.placed

    async def preview(self, cart_id: int) -> OrderPreview:
        """
        Return what an order of this cart would be now, and which of its lines could not be bought. Raises NotFound, CartClosed.
        """
        cart_id = checked("cart_id", Id, cart_id)
        (cart,) = in_order("cart", [cart_id], await self._runner.many(Cart, queries.carts.get_carts, cart_ids=[cart_id]))
        if cart.status != "open" or cart.is_expired:
            message = f"cart {cart_id} is {'expired' if cart.status == 'open' else cart.status}, not open"
            raise CartClosed(message)
        return OrderPreview(
            cart_id=cart.id,
            currency=cart.currency,
            lines=cart.lines,
            unavailable=tuple(line for line in cart.lines if not line.is_active or line.quantity > line.available),
            subtotal=cart.subtotal,
            discount=Decimal(0),
            shipping=Decimal(0),
            tax=Decimal(0),
            total=cart.subtotal,
            prices_include_tax=True,
        )

    async def _page(self, user_id: int, cursor: str | None, page_size: int) -> Page[OrderSummary]:
        page_size = checked("page_size", PageSize, page_size)
        before = MAX_ID if cursor is None else decode("orders", Text, cursor)[1]
        rows = await self._runner.many(
            OrderSummary, queries.orders.list_orders, user_id=user_id, before_id=before, page_size=page_size
        )
        page = tuple(rows[:page_size])
        return Page(page, encode("orders", "", page[-1].id) if len(rows) > page_size else None)


class AsyncOrders(AsyncOrderDesk):
    """
    Everybody's orders.
    """

    async def cancel(self, order_id: int, *, reason: str | None = None, actor: str | None = None) -> Order:
        """
        Cancel a placed order, or a paid one whose money was refunded, and put what it sold back into stock.

        Raises PaymentOutstanding while money is authorized or captured, IllegalTransition, NotFound: then nothing was written.
        Locks the order, its payments, the stock by ascending product.
        """
        return await self._end(order_id, "cancelled", reason, actor, restock=True)

    async def list_for_user(self, user_id: int, *, cursor: str | None = None, page_size: int = 50) -> Page[OrderSummary]:
        """
        Return a page of the orders of a user, newest first.
        """
        return await self._page(checked("user_id", Id, user_id), cursor, page_size)

    async def refund(
        self, order_id: int, *, restock: bool = False, reason: str | None = None, actor: str | None = None
    ) -> Order:
        """
        Write down that all that was captured for a paid, shipped or delivered order has been paid back, and end it. With
        `restock` what it sold is put back into stock.

        Raises IllegalTransition, NotFound. Locks the order, its payments, the stock by ascending product.
        """
        return await self._end(order_id, "refunded", reason, actor, restock=checked("restock", Flag, restock))

    async def transition(
        self,
        order_id: int,
        *,
        to_status: Step,
        expected_version: int | None = None,
        reason: str | None = None,
        actor: str | None = None,
    ) -> Order:
        """
        Take an order on to shipped or delivered; the other steps are those of cancel, refund and the payments.

        Raises IllegalTransition, which says what is legal, also when all that was paid for it was paid back; Conflict when the
        order is not at `expected_version`; NotFound. Locks the order.
        """
        order_id, to_status = checked("order_id", Id, order_id), checked("to_status", Step, to_status)
        expected = checked("expected_version", Version | None, expected_version)
        given = {"reason": checked("reason", Reason | None, reason), "actor": checked("actor", Actor | None, actor)}
        async with self._runner.transaction() as tx:
            existing("order", await tx.one_or_none(OrderId, queries.orders.lock_order, order_id=order_id), order_id)
            verdict = await tx.one(
                StepVerdict,
                queries.orders.move_order,
                order_id=order_id,
                to_status=to_status,
                expected_version=expected,
                **given,
            )
            if not verdict.is_done and expected is not None and verdict.version != expected:
                message = f"order {order_id} is at version {verdict.version}, not {expected}"
                raise Conflict(message)
            _require_done(verdict, order_id, to_status)
            return await AsyncOrders(tx).get(order_id)

    async def _end(self, order_id: int, to_status: str, reason: str | None, actor: str | None, *, restock: bool) -> Order:
        order_id = checked("order_id", Id, order_id)
        reason, actor = checked("reason", Reason | None, reason), checked("actor", Actor | None, actor)
        async with self._runner.transaction() as tx:
            existing("order", await tx.one_or_none(OrderId, queries.orders.lock_order, order_id=order_id), order_id)
            verdict = await tx.one(
                StepVerdict,
                queries.orders.end_order,
                order_id=order_id,
                to_status=to_status,
                is_refund=to_status == "refunded",
                restock=restock,
                reason=reason,
                actor=actor,
            )
            _require_done(verdict, order_id, to_status)
            return await AsyncOrders(tx).get(order_id)


class AsyncOwnOrders(AsyncOrderDesk):
    """
    The orders of one shopper.
    """

    async def list(self, *, cursor: str | None = None, page_size: int = 50) -> Page[OrderSummary]:
        """
        Return a page of the own orders, newest first; a guest has no list, only the order of their cart.
        """
        return await self._page(self._runner.scope.user_id or MAX_ID, cursor, page_size)


def _address(field: str, address: PostalAddress | None) -> str | None:
    new: PostalAddress | None = checked(field, Postal | None, address)
    return None if new is None else new.model_dump_json(exclude_none=True)


def _refusal(verdict: PlaceVerdict | None, cart_id: int, expected_total: Any) -> StoreError:  # noqa: PLR0911  # one a rule
    if verdict is None:
        return CartClosed(f"cart {cart_id} is not open")
    if not verdict.lines:
        return CartEmpty(f"cart {cart_id} has no lines")
    if verdict.archived:
        return ProductUnavailable(f"not for sale: product {', '.join(map(str, verdict.archived[:10]))}")
    if verdict.foreign_products:
        return CurrencyMismatch(f"sold in another currency: product {', '.join(map(str, verdict.foreign_products[:10]))}")
    if verdict.shortages:
        return OutOfStock.of(Shortage(line.product_id, line.wanted, line.available) for line in verdict.shortages)
    if expected_total is not None and expected_total != verdict.total:
        return PriceChanged(f"the total is {verdict.total}, not {expected_total}", expected=expected_total, total=verdict.total)
    return InvalidInput("email: a guest's order needs an e-mail address", field="email")


def _require_done(verdict: StepVerdict, order_id: int, to_status: str) -> None:
    if verdict.is_done:
        return
    legal = tuple(status for status in verdict.legal if status != to_status)
    if to_status in {"shipped", "delivered"} and to_status in verdict.legal:
        message = f"all that was paid for order {order_id} was paid back: orders.refund ends it"
        raise IllegalTransition(message, from_status=verdict.from_status, to_status=to_status, legal=legal)
    if to_status in verdict.legal:
        message = f"money is still authorized or captured for order {order_id}: void or refund it first"
        raise PaymentOutstanding(message)
    message = f"order {order_id} is {verdict.from_status} and cannot become {to_status}; legal: {', '.join(legal) or 'nothing'}"
    raise IllegalTransition(message, from_status=verdict.from_status, to_status=to_status, legal=legal)
