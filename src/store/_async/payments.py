"""
Payments: what a provider did is written down here, once for each idempotency key.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from store._arguments import checked, existing
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store.errors import AmountExceeded, IdempotencyKeyReused, IllegalTransition, NotFound
from store.models import (
    Actor,
    Id,
    IdempotencyKey,
    OrderId,
    Paid,
    PaymentEvent,
    PaymentKind,
    PaymentVerdict,
    Reference,
    Word,
)


class AsyncPayments:
    """
    The money of orders. Each call is safe to repeat: the same key returns the first answer, `replayed`; a key that was used for
    another call, payment or amount is IdempotencyKeyReused. Keys that begin with `store:` are the store's own. Each locks the
    order, then the payment.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def authorize(
        self,
        order_id: int,
        *,
        provider: str,
        provider_ref: str,
        amount: Decimal,
        idempotency_key: str,
        actor: str | None = None,
    ) -> PaymentEvent:
        """
        Write down that a provider has authorized an amount for a placed order, and return the number of the payment in it.

        Raises AmountExceeded above what the order still needs, IllegalTransition when it is past paying or money was paid back
        for it, DuplicatePayment for a reference that is known already, IdempotencyKeyReused, NotFound.
        """
        return await self._move(
            queries.payments.authorize_payment,
            order_id,
            kind="authorize",
            amount=checked("amount", Paid, amount),
            key=idempotency_key,
            actor=actor,
            provider=checked("provider", Word, provider),
            provider_ref=checked("provider_ref", Reference, provider_ref),
        )

    async def capture(
        self,
        order_id: int,
        *,
        payment_no: int,
        idempotency_key: str,
        amount: Decimal | None = None,
        actor: str | None = None,
    ) -> PaymentEvent:
        """
        Write down that authorized money was captured, all unless an amount is given; with the last penny the order is paid.

        Raises AmountExceeded, IllegalTransition when the order is past paying or money was paid back for it,
        IdempotencyKeyReused, NotFound.
        """
        return await self._move_known(order_id, payment_no, kind="capture", amount=amount, key=idempotency_key, actor=actor)

    async def refund(
        self,
        order_id: int,
        *,
        payment_no: int,
        idempotency_key: str,
        amount: Decimal | None = None,
        actor: str | None = None,
    ) -> PaymentEvent:
        """
        Write down that captured money was paid back, all of it unless an amount is given. The order keeps its status:
        orders.cancel and orders.refund end it. One that was not paid yet can only be cancelled then.

        Raises AmountExceeded, IdempotencyKeyReused, NotFound.
        """
        return await self._move_known(order_id, payment_no, kind="refund", amount=amount, key=idempotency_key, actor=actor)

    async def void(self, order_id: int, *, payment_no: int, idempotency_key: str, actor: str | None = None) -> PaymentEvent:
        """
        Write down that what was authorized and not captured will not be. Raises AmountExceeded when that is nothing,
        IdempotencyKeyReused, NotFound.
        """
        return await self._move_known(order_id, payment_no, kind="void", amount=None, key=idempotency_key, actor=actor)

    async def _move_known(
        self, order_id: int, payment_no: int, *, kind: PaymentKind, amount: Decimal | None, key: str, actor: str | None
    ) -> PaymentEvent:
        return await self._move(
            queries.payments.move_payment,
            order_id,
            kind=kind,
            amount=checked("amount", Paid | None, amount),
            key=key,
            actor=actor,
            payment_no=checked("payment_no", Id, payment_no),
        )

    async def _move(
        self,
        function: object,
        order_id: int,
        *,
        kind: PaymentKind,
        amount: Decimal | None,
        key: str,
        actor: str | None,
        payment_no: int | None = None,
        **provider: str,
    ) -> PaymentEvent:
        order_id, key = checked("order_id", Id, order_id), checked("idempotency_key", IdempotencyKey, key)
        actor = checked("actor", Actor | None, actor)
        known: dict[str, Any] = {} if payment_no is None else {"payment_no": payment_no, "kind": kind}
        async with self._runner.transaction() as tx:
            existing("order", await tx.one_or_none(OrderId, queries.orders.lock_order, order_id=order_id), order_id)
            verdict = await tx.one(
                PaymentVerdict,
                function,
                order_id=order_id,
                amount=amount,
                idempotency_key=key,
                actor=actor,
                **known,
                **provider,
            )
            answer = verdict.answer
            if answer is None:
                raise _refusal(verdict, order_id, payment_no, kind, amount)
            if not verdict.is_same:
                raise IdempotencyKeyReused
            return answer


def _refusal(
    verdict: PaymentVerdict, order_id: int, payment_no: int | None, kind: PaymentKind, amount: Decimal | None
) -> Exception:
    if not verdict.is_known:
        return NotFound(f"there is no payment {payment_no} of order {order_id}")
    if kind in {"authorize", "capture"} and verdict.order_status != "placed":
        message = f"order {order_id} is {verdict.order_status}: nothing more can be paid for it"
        return IllegalTransition(message, from_status=verdict.order_status, to_status="paid")
    if kind in {"authorize", "capture"} and verdict.is_paid_back:
        message = f"money was paid back for order {order_id}: cancel it and place a new order"
        return IllegalTransition(message, from_status=verdict.order_status, to_status="paid", legal=("cancelled",))
    message = f"{kind} of {'what is left' if amount is None else amount}: {verdict.due} is due"
    return AmountExceeded(message, amount=amount, limit=verdict.due)
