"""
The commerce data layer that a person can read: plain SQL files, typed Python.
"""

import logging

from store._async.queries import AsyncQueries
from store._async.session import AsyncSession
from store._async.shopper import AsyncShopper
from store._async.store import AsyncStore
from store._sync.queries import Queries
from store._sync.session import Session
from store._sync.shopper import Shopper
from store._sync.store import Store
from store.errors import StoreError
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
