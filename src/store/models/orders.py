"""
Orders, their frozen lines and their history.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from pydantic import AwareDatetime, Field

from store.models.addresses import PostalAddress
from store.models.carts import CartLine
from store.models.payments import Payment
from store.models.values import CartStatus, Count, Dto, Id, OrderStatus


class OrderLine(Dto, frozen=True):
    """
    A line of an order as it was sold: nothing of it follows the product.
    """

    line_no: Id
    product_id: Id
    sku: str
    name: str
    unit_price: Decimal
    quantity: Id
    discount: Decimal
    tax_rate: Decimal
    tax: Decimal
    total: Decimal


class OrderEvent(Dto, frozen=True):
    """
    A step of an order; the first comes from no status.
    """

    seq: Id
    from_status: OrderStatus | None
    to_status: OrderStatus
    actor: str | None
    reason: str | None
    at: AwareDatetime


class Order(Dto, frozen=True):
    """
    An order with its lines, payments and events. `replayed`: an earlier call had placed it, and this is its order.
    """

    id: Id
    public_id: UUID = Field(repr=False)
    number: str
    user_id: Id | None
    email: str | None = Field(repr=False)
    status: OrderStatus
    currency: str
    subtotal: Decimal
    discount: Decimal
    shipping: Decimal
    tax: Decimal
    total: Decimal
    prices_include_tax: bool
    ship_to: PostalAddress | None = Field(repr=False)
    bill_to: PostalAddress | None = Field(repr=False)
    source: str | None
    external_ref: str | None
    version: Id
    placed_at: AwareDatetime
    updated_at: AwareDatetime
    lines: tuple[OrderLine, ...]
    payments: tuple[Payment, ...]
    events: tuple[OrderEvent, ...]
    replayed: bool = False


class OrderSummary(Dto, frozen=True):
    """
    An order in a listing.
    """

    id: Id
    number: str
    user_id: Id
    status: OrderStatus
    currency: str
    total: Decimal
    placed_at: AwareDatetime
    updated_at: AwareDatetime


class OrderPreview(Dto, frozen=True):
    """
    What an order of a cart would be now. It can be placed when no line is short and none is archived.
    """

    cart_id: Id
    currency: str
    lines: tuple[CartLine, ...]
    unavailable: tuple[CartLine, ...]
    subtotal: Decimal
    discount: Decimal
    shipping: Decimal
    tax: Decimal
    total: Decimal
    prices_include_tax: bool


class OrderId(Dto, frozen=True):
    """
    Which order it is.
    """

    id: Id


class PlaceableCart(Dto, frozen=True):
    """
    A locked cart that is to become an order.
    """

    status: CartStatus
    is_expired: bool


class ShortLine(Dto, frozen=True):
    """
    A line of which less can be sold than was wanted.
    """

    product_id: Id
    wanted: Count
    available: Count


class PlaceVerdict(Dto, frozen=True):
    """
    What the statement that places an order found; without `placed` it wrote nothing.
    """

    lines: Count
    total: Decimal
    archived: tuple[Id, ...]
    foreign_products: tuple[Id, ...]
    shortages: tuple[ShortLine, ...]
    placed: Order | None


class StepVerdict(Dto, frozen=True):
    """
    Whether an order took a step, from where, and what would be legal.
    """

    from_status: OrderStatus
    version: Id
    is_done: bool
    legal: tuple[OrderStatus, ...]
