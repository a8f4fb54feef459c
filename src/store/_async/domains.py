"""
The domains of a shop, for back-office code: every row, whoever owns it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

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


class AsyncDomains(ABC):
    """
    What an open store and each of its sessions offer.
    """

    @property
    @abstractmethod
    def _runner(self) -> AsyncRunner:
        """
        What the statements run on.
        """

    @property
    def users(self) -> AsyncUsers:
        """
        People who can log in.
        """
        return AsyncUsers(self._runner)

    @property
    def catalog(self) -> AsyncCatalog:
        """
        Products, archived ones included.
        """
        return AsyncCatalog(self._runner)

    @property
    def inventory(self) -> AsyncInventories:
        """
        Stock.
        """
        return AsyncInventories(self._runner)

    @property
    def carts(self) -> AsyncCarts:
        """
        Everybody's carts.
        """
        return AsyncCarts(self._runner)

    @property
    def orders(self) -> AsyncOrders:
        """
        Everybody's orders.
        """
        return AsyncOrders(self._runner)

    @property
    def payments(self) -> AsyncPayments:
        """
        The money of orders.
        """
        return AsyncPayments(self._runner)

    @property
    def addresses(self) -> AsyncAddresses:
        """
        Address books.
        """
        return AsyncAddresses(self._runner)

    @property
    def outbox(self) -> AsyncOutbox:
        """
        Events for other systems.
        """
        return AsyncOutbox(self._runner)

    def acting_as(self, user_id: int) -> AsyncShopper:
        """
        Return the shop as this user sees it. For request handlers: another person's id answers like one that does not exist.
        """
        checked = _arguments.checked("user_id", Id, user_id)
        return AsyncShopper(self._runner.scoped(Scope("user", user_id=checked)))

    def guest(self, public_id: UUID) -> AsyncShopper:
        """
        Return the shop as the guest who holds this cart's public_id sees it. The id is a secret like a session cookie.
        """
        checked = _arguments.checked("public_id", PublicId, public_id)
        return AsyncShopper(self._runner.scoped(Scope("guest", public_id=checked)))
