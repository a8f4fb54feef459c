"""
Stock.
"""

from __future__ import annotations

from collections.abc import Iterable

from store._arguments import checked, in_order, several
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store.errors import Conflict, NotFound
from store.models import Delta, Id, Inventory, Stock


class AsyncInventories:
    """
    How many units of a product there are. The table itself refuses stock below zero or below what is reserved.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def adjust(self, product_id: int, *, delta: int) -> Inventory:
        """
        Add units to the stock, or take them out with a negative delta. Raises NotFound, or OutOfStock.
        """
        product_id, delta = checked("product_id", Id, product_id), checked("delta", Delta, delta)
        changed = await self._runner.one_or_none(Inventory, queries.inventory.adjust_stock, product_id=product_id, delta=delta)
        return _found(changed, product_id)

    async def get(self, product_id: int) -> Inventory:
        """
        Return the stock of a product. Raises NotFound.
        """
        product_id = checked("product_id", Id, product_id)
        return _found(
            await self._runner.one_or_none(Inventory, queries.inventory.get_inventory, product_id=product_id), product_id
        )

    async def get_many(self, product_ids: Iterable[int]) -> tuple[Inventory, ...]:
        """
        Return the stock of up to 10,000 products in the order of their ids. Raises NotFound, naming ids that do not exist.
        """
        ids = several("product_ids", Id, product_ids)
        rows = await self._runner.many(Inventory, queries.inventory.get_inventories, product_ids=ids) if ids else ()
        return in_order("product", ids, rows, "product_id")

    async def set(self, product_id: int, *, quantity: int, expected: int | None = None) -> Inventory:
        """
        Set the stock after a count. Raises NotFound, OutOfStock below what is reserved, and Conflict when it is not `expected`
        any more.
        """
        product_id, quantity = checked("product_id", Id, product_id), checked("quantity", Stock, quantity)
        expected = checked("expected", Stock | None, expected)
        changed = await self._runner.one_or_none(
            Inventory, queries.inventory.set_stock, product_id=product_id, quantity=quantity, expected=expected
        )
        if changed is None and expected is not None:
            found = await self.get(product_id)
            message = f"the stock of product {product_id} is {found.on_hand}, not {expected}"
            raise Conflict(message)
        return _found(changed, product_id)


def _found(inventory: Inventory | None, product_id: int) -> Inventory:
    if inventory is None:
        message = f"there is no product {product_id}"
        raise NotFound(message)
    return inventory
