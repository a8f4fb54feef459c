"""
Carts and their lines.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from pydantic import AwareDatetime, Field

from store.models.values import CartStatus, Count, Dto, Id, Quantity


class CartLine(Dto, frozen=True):
    """
    A line of a cart at the product's current price. It can be bought when the product is active and `available` reaches.
    """

    product_id: Id
    sku: str
    name: str
    quantity: Quantity
    unit_price: Decimal
    line_total: Decimal
    is_active: bool
    available: Count
    added_at: AwareDatetime


class Cart(Dto, frozen=True):
    """
    A cart with its lines in the order they were added; `subtotal` is the sum of the line totals.
    """

    id: Id
    public_id: UUID = Field(repr=False)
    user_id: Id | None
    status: CartStatus
    currency: str
    lines: tuple[CartLine, ...]
    subtotal: Decimal
    created_at: AwareDatetime
    updated_at: AwareDatetime
    expires_at: AwareDatetime
    is_expired: bool


class CartItem(Dto, frozen=True):
    """
    How many units of a product a cart holds after a change.
    """

    cart_id: Id
    product_id: Id
    quantity: Quantity
    added_at: AwareDatetime


class CartItemVerdict(Dto, frozen=True):
    """
    What a statement that changes a line found; quantity is None when it changed nothing.
    """

    cart_id: Id
    cart_status: CartStatus
    product_id: Id | None
    is_active: bool | None
    quantity: int | None
    added_at: AwareDatetime | None


class LockedCart(Dto, frozen=True):
    """
    A cart locked for the rest of the transaction.
    """

    id: Id
    status: CartStatus
    currency: str
