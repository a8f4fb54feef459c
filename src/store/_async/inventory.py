"""
Stock: what there is, what is held for whom, and what happened to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from store._arguments import checked, existing, in_order, several
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store._cursors import decode, encode
from store.errors import CartClosed, CartEmpty, Conflict, NotFound, OutOfStock, ProductUnavailable, Shortage, StoreError
from store.models import (
    MAX_ID,
    Actor,
    Delta,
    Held,
    Hold,
    HoldSeconds,
    HoldVerdict,
    Id,
    Inventory,
    LockedCart,
    Page,
    PageSize,
    Reason,
    Released,
    Stock,
    StockMovement,
    Text,
)

AdjustmentKind = Literal["adjusted", "damaged"]


class AsyncInventories:
    """
    How many units of a product there are, and who holds some. The table itself refuses stock below zero or below what is held.

    Whatever changes stock writes its movement into the ledger in the same statement.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def adjust(
        self,
        product_id: int,
        *,
        delta: int,
        kind: AdjustmentKind = "adjusted",
        reason: str | None = None,
        actor: str | None = None,
    ) -> Inventory:
        """
        Add units to the stock, or take them out with a negative delta; what broke is `damaged`. Raises NotFound, or OutOfStock.
        """
        kind = checked("kind", AdjustmentKind, kind)
        return await self._move(product_id, kind, checked("delta", Delta, delta), reason, actor)

    async def extend(self, cart_id: int, *, seconds: int = 900) -> tuple[Hold, ...]:
        """
        Let what a cart holds expire in so many seconds, never earlier than now agreed, and return it: what somebody else has
        taken back is missing. Locks cart, stock and holds.
        """
        cart_id, seconds = checked("cart_id", Id, cart_id), checked("seconds", HoldSeconds, seconds)
        async with self._runner.transaction() as tx:
            await tx.one_or_none(LockedCart, queries.carts.lock_cart, cart_id=cart_id)
            held = await tx.many(Hold, queries.inventory.extend_holds, cart_id=cart_id, seconds=seconds)
        return tuple(sorted(held, key=lambda hold: hold.product_id))

    async def get(self, product_id: int) -> Inventory:
        """
        Return the stock of a product. Raises NotFound.
        """
        product_id = checked("product_id", Id, product_id)
        row = await self._runner.one_or_none(Inventory, queries.inventory.get_inventory, product_id=product_id)
        return existing("product", row, product_id)

    async def get_many(self, product_ids: Iterable[int]) -> tuple[Inventory, ...]:
        """
        Return the stock of up to 10,000 products in the order of their ids. Raises NotFound, naming ids that do not exist.
        """
        ids = several("product_ids", Id, product_ids)
        rows = await self._runner.many(Inventory, queries.inventory.get_inventories, product_ids=ids) if ids else ()
        return in_order("product", ids, rows, "product_id")

    async def history(self, product_id: int, *, cursor: str | None = None, page_size: int = 50) -> Page[StockMovement]:
        """
        Return one page of what happened to the stock of a product, newest first; empty for a product that never had any.

        Raises InvalidCursor for a cursor of another product.
        """
        product_id, page_size = checked("product_id", Id, product_id), checked("page_size", PageSize, page_size)
        listing = f"movements {product_id}"
        before = MAX_ID if cursor is None else decode(listing, Text, cursor)[1]
        rows = await self._runner.many(
            StockMovement, queries.inventory.list_movements, product_id=product_id, before_id=before, page_size=page_size
        )
        page = tuple(rows[:page_size])
        return Page(page, encode(listing, "", page[-1].id) if len(rows) > page_size else None)

    async def receive(
        self, product_id: int, *, quantity: int, reason: str | None = None, actor: str | None = None
    ) -> Inventory:
        """
        Add units that were delivered. Raises NotFound.
        """
        return await self._move(product_id, "received", checked("quantity", Held, quantity), reason, actor)

    async def release(self, cart_id: int) -> int:
        """
        Give back all that a cart holds and return of how many products that was. Raises NotFound. Locks cart, stock and holds.
        """
        cart_id = checked("cart_id", Id, cart_id)
        async with self._runner.transaction() as tx:
            existing("cart", await tx.one_or_none(LockedCart, queries.carts.lock_cart, cart_id=cart_id), cart_id)
            return (await tx.one(Released, queries.inventory.release_holds, cart_id=cart_id)).released

    async def reserve(
        self, cart_id: int, *, lines: Iterable[tuple[int, int]] | None = None, seconds: int = 900
    ) -> tuple[Hold, ...]:
        """
        Hold units for an open cart until so many seconds have passed, all or none: of its own lines, or of the pairs
        (product_id, quantity) in `lines`. A hold replaces the cart's earlier one of the product; pairs of one product add up.
        As every change of a cart does, it keeps it from being left behind for 30 days.

        Raises OutOfStock with every shortage, ProductUnavailable for what is archived, NotFound for a product or cart that does
        not exist, CartClosed, CartEmpty: then nothing was written.
        Locks the cart, the stock by ascending product, the holds.
        """
        cart_id, given = checked("cart_id", Id, cart_id), [] if lines is None else several("lines", tuple[Id, Held], lines)
        wanted = {
            "cart_id": cart_id,
            "of_cart": lines is None,
            "product_ids": [product_id for product_id, _ in given],
            "quantities": [quantity for _, quantity in given],
            "seconds": checked("seconds", HoldSeconds, seconds),
        }
        rows = await self._runner.many(HoldVerdict, queries.inventory.reserve_stock, **wanted)
        if rows and rows[0].is_stale and rows[0].cart_status == "open":
            # It waited for somebody who changed the cart: behind a lock taken before, it sees what they left.
            async with self._runner.transaction() as tx:
                await tx.one_or_none(LockedCart, queries.carts.lock_cart, cart_id=cart_id)
                rows = await tx.many(HoldVerdict, queries.inventory.reserve_stock, **wanted)
        if not rows:
            raise NotFound.of("cart", cart_id)
        return _held(rows)

    async def set(
        self,
        product_id: int,
        *,
        quantity: int,
        expected: int | None = None,
        reason: str | None = None,
        actor: str | None = None,
    ) -> Inventory:
        """
        Set the stock after a count. Raises NotFound, OutOfStock below what is held, and Conflict when it is not `expected`
        any more.
        """
        product_id, quantity = checked("product_id", Id, product_id), checked("quantity", Stock, quantity)
        expected = checked("expected", Stock | None, expected)
        changed = await self._runner.one_or_none(
            Inventory,
            queries.inventory.set_stock,
            product_id=product_id,
            quantity=quantity,
            expected=expected,
            reason=checked("reason", Reason | None, reason),
            actor=checked("actor", Actor | None, actor),
        )
        if changed is None and expected is not None:
            stock = await self.get(product_id)
            message = f"the stock of product {product_id} is {stock.on_hand}, not {expected}"
            raise Conflict(message)
        return existing("product", changed, product_id)

    async def _move(self, product_id: int, kind: str, delta: int, reason: str | None, actor: str | None) -> Inventory:
        product_id = checked("product_id", Id, product_id)
        changed = await self._runner.one_or_none(
            Inventory,
            queries.inventory.adjust_stock,
            product_id=product_id,
            kind="adjusted" if kind == "damaged" and delta == 0 else kind,
            delta=delta,
            reason=checked("reason", Reason | None, reason),
            actor=checked("actor", Actor | None, actor),
        )
        return existing("product", changed, product_id)


def _held(rows: list[HoldVerdict]) -> tuple[Hold, ...]:
    cart_id, status = rows[0].cart_id, rows[0].cart_status
    if status != "open" or rows[0].is_expired:
        message = f"cart {cart_id} is {'expired' if status == 'open' else status}, not open"
        raise CartClosed(message)
    if rows[0].product_id is None:
        message = f"cart {cart_id} has no lines to hold"
        raise CartEmpty(message)
    if rows[0].expires_at is None:
        raise _refusal(rows)
    return tuple(
        Hold(cart_id=cart_id, product_id=row.product_id, quantity=row.wanted, expires_at=row.expires_at)
        for row in rows
        if row.product_id is not None and row.wanted is not None and row.expires_at is not None
    )


def _refusal(rows: list[HoldVerdict]) -> StoreError:
    missing = [row.product_id for row in rows if row.product_id is not None and row.is_active is None]
    if missing:
        return NotFound.of("product", *missing)
    archived = [row.product_id for row in rows if not row.is_active]
    if archived:
        return ProductUnavailable(f"not for sale: product {', '.join(map(str, archived[:10]))}")
    short = [
        Shortage(row.product_id, row.wanted, row.available)
        for row in rows
        if row.product_id is not None and row.wanted is not None and row.available is not None and row.wanted > row.available
    ]
    return OutOfStock.of(short)
