"""
What the shop's rules refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from store.errors.base import StoreError


class Conflict(StoreError):
    """
    Somebody else was first: read again, decide again.
    """


class DuplicateEmail(Conflict):
    """
    A user with this e-mail address exists.
    """


class DuplicateUsername(Conflict):
    """
    A user with this user name exists (case does not count).
    """


class DuplicateSku(Conflict):
    """
    A product with this sku exists (case does not count).
    """


@dataclass(frozen=True, slots=True)
class Shortage:
    """
    A product of which less can be sold than was wanted.
    """

    product_id: int
    wanted: int
    available: int


class OutOfStock(Conflict):
    """
    Stock cannot fall below zero or below what is reserved.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        shortages: Iterable[Shortage] = (),
        sqlstate: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(message, sqlstate=sqlstate, constraint=constraint)
        self.shortages = tuple(shortages)

    @classmethod
    def of(cls, shortages: Iterable[Shortage]) -> Self:
        """
        Return the error that names every product that fell short.
        """
        found = tuple(shortages)
        shown = "; ".join(f"product {each.product_id}: {each.wanted} wanted, {each.available} available" for each in found[:10])
        return cls(f"not enough stock: {shown}{'; ...' if len(found) > 10 else ''}", shortages=found)


class ProductInUse(Conflict):
    """
    The product was sold, moved or is held, and its history stays: archive it instead.
    """


class CartClosed(Conflict):
    """
    The cart is no longer open: it was ordered, merged or abandoned.
    """


class CartEmpty(Conflict):
    """
    The cart has no lines.
    """


class PriceChanged(Conflict):
    """
    The total is another one than was expected.
    """

    def __init__(self, message: str | None = None, *, expected: Decimal, total: Decimal) -> None:
        super().__init__(message)
        self.expected = expected
        self.total = total


class IllegalTransition(Conflict):
    """
    The order cannot take this step.
    """

    def __init__(self, message: str | None = None, *, from_status: str, to_status: str, legal: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.from_status = from_status
        self.to_status = to_status
        self.legal = tuple(legal)


class PaymentOutstanding(Conflict):
    """
    Money is still authorized or captured for this order: void or refund it first.
    """


class AmountExceeded(Conflict):
    """
    More than may be authorized, captured or refunded.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        amount: Decimal | None = None,
        limit: Decimal | None = None,
        sqlstate: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(message, sqlstate=sqlstate, constraint=constraint)
        self.amount = amount
        self.limit = limit


class IdempotencyKeyReused(Conflict):
    """
    This idempotency key belongs to another call: the same key is the same wish.
    """


class DuplicatePayment(Conflict):
    """
    The provider's reference belongs to a payment already.
    """


class DuplicateOrder(Conflict):
    """
    An order with this external reference exists.
    """


class ProductUnavailable(Conflict):
    """
    The product is archived and not for sale.
    """


class CurrencyMismatch(Conflict):
    """
    The product is sold in another currency than the cart's.
    """


class BooksDiffer(StoreError):
    """
    What an import stored does not come to what the file says; nothing of it is kept.
    """
