"""
Products, their stock and its ledger, holds.
"""

from __future__ import annotations

from decimal import Decimal

from pydantic import AwareDatetime, Field

from store.models.values import (
    UNSET,
    CartStatus,
    Count,
    Currency,
    Description,
    Dto,
    Flag,
    Held,
    Id,
    Input,
    Money,
    MovementKind,
    Name,
    Sku,
    Stock,
)


class NewProduct(Input, frozen=True):
    """
    A product to be created, with its first stock. Without a currency it is priced in STORE_CURRENCY.
    """

    sku: Sku
    name: Name
    description: Description | None = None
    price: Money
    currency: Currency | None = None
    is_active: Flag = True
    on_hand: Stock = 0


class ProductUpdate(Dto, frozen=True):
    """
    What changes of a product: a field that is not set stays, a description of None is cleared. The currency never changes.
    """

    sku: Sku = Field(default=UNSET)
    name: Name = Field(default=UNSET)
    description: Description | None = None
    price: Money = Field(default=UNSET)
    is_active: Flag = Field(default=UNSET)


class Product(Dto, frozen=True):
    """
    A product at its current price. `inventory_count` is what can be sold now, in units.
    """

    id: Id
    sku: str
    name: str
    description: str | None
    price: Decimal
    currency: str
    is_active: bool
    inventory_count: Count
    created_at: AwareDatetime
    updated_at: AwareDatetime


class Inventory(Dto, frozen=True):
    """
    The stock of a product in units: on_hand in the house, reserved of them held for carts, available what can be sold, the
    expired holds included.
    """

    product_id: Id
    on_hand: Count
    reserved: Count
    available: Count


class StockMovement(Dto, frozen=True):
    """
    A change of stock: how many units came (positive) or went, and how many there were afterwards.
    """

    product_id: Id
    id: Id
    kind: MovementKind
    quantity: int
    on_hand_after: Count
    order_id: Id | None
    reason: str | None
    actor: str | None
    created_at: AwareDatetime


class Hold(Dto, frozen=True):
    """
    Units of a product held for a cart until they expire.
    """

    cart_id: Id
    product_id: Id
    quantity: Held
    expires_at: AwareDatetime


class HoldVerdict(Dto, frozen=True):
    """
    What a reservation found for one product, which does not exist without is_active; without expires_at nothing was held. Of a
    cart that changed meanwhile it is stale.
    """

    cart_id: Id
    cart_status: CartStatus
    is_expired: bool
    is_stale: bool
    product_id: Id | None
    wanted: Count | None
    available: Count | None
    is_active: bool | None
    expires_at: AwareDatetime | None


class Released(Dto, frozen=True):
    """
    Of how many products a cart gave units back.
    """

    released: Count


class PriceStep(Dto, frozen=True):
    """
    How many products fall behind the n-th price step.
    """

    step: Count
    products: Count


class PriceRange(Dto, frozen=True):
    """
    How many products cost at least `price_from` and less than `price_to` (None: no end).
    """

    price_from: Decimal
    price_to: Decimal | None
    products: Count


class Facets(Dto, frozen=True):
    """
    A result divided for a filter column. With `is_capped` there are more than the 10,000 products counted.
    """

    products: Count
    is_capped: bool
    in_stock: Count
    price_min: Decimal | None
    price_max: Decimal | None
    price_ranges: tuple[PriceRange, ...]


class CountedFacets(Dto, frozen=True):
    """
    Facets as the statement counts them: ranges by the number of their step.
    """

    products: Count
    is_capped: bool
    in_stock: Count
    price_min: Decimal | None
    price_max: Decimal | None
    price_ranges: tuple[PriceStep, ...]
