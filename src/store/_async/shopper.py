"""
The shop as one person sees it.
"""

from __future__ import annotations

from store._async.addresses import AsyncOwnAddresses
from store._async.carts import AsyncOwnCarts
from store._async.catalog import AsyncShopCatalog
from store._async.orders import AsyncOwnOrders
from store._async.runner import AsyncRunner
from store._async.users import AsyncOwnUser


class AsyncShopper:
    """
    The own account, the active catalog, the own carts and orders; what belongs to somebody else does not exist here.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    @property
    def user(self) -> AsyncOwnUser:
        """
        The own account.
        """
        return AsyncOwnUser(self._runner)

    @property
    def catalog(self) -> AsyncShopCatalog:
        """
        Active products.
        """
        return AsyncShopCatalog(self._runner)

    @property
    def carts(self) -> AsyncOwnCarts:
        """
        The own carts.
        """
        return AsyncOwnCarts(self._runner)

    @property
    def orders(self) -> AsyncOwnOrders:
        """
        The own orders.
        """
        return AsyncOwnOrders(self._runner)

    @property
    def addresses(self) -> AsyncOwnAddresses:
        """
        The own address book.
        """
        return AsyncOwnAddresses(self._runner)
