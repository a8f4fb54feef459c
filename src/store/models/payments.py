"""
What was paid for an order, and each step of it.
"""

from __future__ import annotations

from decimal import Decimal

from pydantic import AwareDatetime, Field

from store.models.values import Dto, Id, OrderStatus, PaymentKind, PaymentStatus


class Payment(Dto, frozen=True):
    """
    An authorization at a provider and what became of it.
    """

    payment_no: Id
    provider: str
    provider_ref: str = Field(repr=False)
    currency: str
    authorized: Decimal
    captured: Decimal
    refunded: Decimal
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @property
    def status(self) -> PaymentStatus:
        """
        What the amounts say.
        """
        if self.captured == 0:
            return "authorized" if self.authorized else "voided"
        return "refunded" if self.refunded == self.captured else "captured"


class PaymentEvent(Dto, frozen=True):
    """
    A movement of money, and the amounts of its payment behind it. `replayed`: an earlier call did it, and this is its answer.
    """

    order_id: Id
    seq: Id
    payment_no: Id
    kind: PaymentKind
    amount: Decimal
    authorized: Decimal
    captured: Decimal
    refunded: Decimal
    idempotency_key: str = Field(repr=False)
    actor: str | None
    at: AwareDatetime
    replayed: bool = False


class PaymentVerdict(Dto, frozen=True):
    """
    What a statement that moves money found; without an answer it wrote nothing, and an earlier answer may be to another call.
    """

    order_status: OrderStatus
    is_paid_back: bool
    is_known: bool
    is_same: bool
    due: Decimal
    answer: PaymentEvent | None
