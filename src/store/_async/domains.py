"""
The domains of a shop, for back-office code: every row, whoever owns it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from store import _arguments
from store._async.addresses import AsyncAddresses
from store._async.carts import AsyncCarts
from store._async.catalog import AsyncCatalog
from store._async.inventory import AsyncInventories
from store._async.orders import AsyncOrders
from store._async.outbox import AsyncOutbox
from store._async.payments import AsyncPayments
from store._async.shopper import AsyncShopper
from store._async.users import AsyncUsers
from store._runtime import Scope
from store.models import Id, PublicId

if TYPE_CHECKING:
    from uuid import UUID

    from store._async.runner import AsyncRunner


class AsyncDomains:
    """
    What an open store and each of its sessions offer.
    """

    @property
    def users(self) -> AsyncUsers:
        """
        People who can log in.
        """
        return AsyncUsers(cast("AsyncRunner", self))

    @property
    def catalog(self) -> AsyncCatalog:
        """
        Products, archived ones included.
        """
        return AsyncCatalog(cast("AsyncRunner", self))

    @property
    def inventory(self) -> AsyncInventories:
        """
        Stock.
        """
        return AsyncInventories(cast("AsyncRunner", self))

    @property
    def carts(self) -> AsyncCarts:
        """
        Everybody's carts.
        """
        return AsyncCarts(cast("AsyncRunner", self))

    @property
    def orders(self) -> AsyncOrders:
        """
        Everybody's orders.
        """
        return AsyncOrders(cast("AsyncRunner", self))

    @property
    def payments(self) -> AsyncPayments:
        """
        The money of orders.
        """
        return AsyncPayments(cast("AsyncRunner", self))

    @property
    def addresses(self) -> AsyncAddresses:
        """
        Address books.
        """
        return AsyncAddresses(cast("AsyncRunner", self))

    @property
    def outbox(self) -> AsyncOutbox:
        """
        Events for other systems.
        """
        return AsyncOutbox(cast("AsyncRunner", self))

    def acting_as(self, user_id: int) -> AsyncShopper:
        """
        Return the shop as this user sees it. For request handlers: another person's id answers like one that does not exist.
        """
        checked = _arguments.checked("user_id", Id, user_id)
        return AsyncShopper(cast("AsyncRunner", self).scoped(Scope("user", user_id=checked)))

    def guest(self, public_id: UUID) -> AsyncShopper:
        """
        Return the shop as the guest who holds this cart's public_id sees it. The id is a secret like a session cookie.
        """
        checked = _arguments.checked("public_id", PublicId, public_id)
        return AsyncShopper(cast("AsyncRunner", self).scoped(Scope("guest", public_id=checked)))
