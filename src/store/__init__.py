"""
The commerce data layer that a person can read: plain SQL files, typed Python.

A name is imported when it is first asked for: whoever uses one colour does not wait for the other.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from store.errors import StoreError

if TYPE_CHECKING:
    from store._async.queries import AsyncQueries
    from store._async.session import AsyncSession
    from store._async.shopper import AsyncShopper
    from store._async.store import AsyncStore
    from store._sync.queries import Queries
    from store._sync.session import Session
    from store._sync.shopper import Shopper
    from store._sync.store import Store
    from store.models import (
        Address,
        Cart,
        CartItem,
        CartLine,
        ClaimedEvent,
        Facets,
        Hold,
        Inventory,
        NewProduct,
        NewUser,
        Order,
        OrderEvent,
        OrderLine,
        OrderPreview,
        OrderSummary,
        OutboxEvent,
        Page,
        Payment,
        PaymentEvent,
        PostalAddress,
        PriceRange,
        Product,
        ProductUpdate,
        StockMovement,
        User,
        UserUpdate,
    )
    from store.settings import Settings

logging.getLogger("store").addHandler(logging.NullHandler())  # a library is silent until the application says otherwise

__all__ = [
    "Address",
    "AsyncQueries",
    "AsyncSession",
    "AsyncShopper",
    "AsyncStore",
    "Cart",
    "CartItem",
    "CartLine",
    "ClaimedEvent",
    "Facets",
    "Hold",
    "Inventory",
    "NewProduct",
    "NewUser",
    "Order",
    "OrderEvent",
    "OrderLine",
    "OrderPreview",
    "OrderSummary",
    "OutboxEvent",
    "Page",
    "Payment",
    "PaymentEvent",
    "PostalAddress",
    "PriceRange",
    "Product",
    "ProductUpdate",
    "Queries",
    "Session",
    "Settings",
    "Shopper",
    "StockMovement",
    "Store",
    "StoreError",
    "User",
    "UserUpdate",
]

_HOMES = {
    "AsyncQueries": "store._async.queries",
    "AsyncSession": "store._async.session",
    "AsyncShopper": "store._async.shopper",
    "AsyncStore": "store._async.store",
    "Queries": "store._sync.queries",
    "Session": "store._sync.session",
    "Shopper": "store._sync.shopper",
    "Store": "store._sync.store",
    "Settings": "store.settings",
}

if not TYPE_CHECKING:  # else any name at all would pass the type checkers

    def __getattr__(name: str) -> object:
        if name == "models":  # everything of it is at hand, and so is the module
            return import_module("store.models")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_HOMES.get(name, "store.models")), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
