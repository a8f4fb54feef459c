"""
Carts: everybody's for the back office, the own ones for a shopper.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from store._arguments import checked, existing, in_order, several
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store.errors import CartClosed, CurrencyMismatch, NotFound, ProductUnavailable
from store.models import (
    Cart,
    CartItem,
    CartItemVerdict,
    CartLine,
    Id,
    LockedCart,
    MergeStrategy,
    PublicId,
    Quantity,
)


class AsyncCartLines:
    """
    What may be done with a cart that one may see.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def add_item(self, cart_id: int, *, product_id: int, quantity: int = 1) -> CartItem:
        """
        Add units of a product, to its line when the cart has one; a line holds at most 9,999.

        Raises NotFound, CartClosed, ProductUnavailable, CurrencyMismatch, InvalidInput. Locks the cart.
        """
        return await self._put(queries.carts.add_cart_item, cart_id, product_id, quantity)

    async def check_availability(self, cart_id: int) -> tuple[CartLine, ...]:
        """
        Return the lines that could not be bought now: archived, or more than is available. Raises NotFound.
        """
        cart = await self.get(cart_id)
        return tuple(line for line in cart.lines if not line.is_active or line.quantity > line.available)

    async def clear(self, cart_id: int) -> int:
        """
        Remove every line and return how many there were. Raises NotFound, CartClosed. Locks the cart.
        """
        cart_id = checked("cart_id", Id, cart_id)
        async with self._runner.transaction() as tx:
            await _lock(tx, cart_id)
            return await tx.affected(queries.carts.clear_cart_items, cart_id=cart_id)

    async def get(self, cart_id: int) -> Cart:
        """
        Return a cart with its lines at current prices and its subtotal. Raises NotFound.
        """
        return (await self.get_many((checked("cart_id", Id, cart_id),)))[0]

    async def get_many(self, cart_ids: Iterable[int]) -> tuple[Cart, ...]:
        """
        Return up to 10,000 carts in the order of their ids. Raises NotFound, naming ids that do not exist.
        """
        ids = several("cart_ids", Id, cart_ids)
        return in_order("cart", ids, await self._runner.many(Cart, queries.carts.get_carts, cart_ids=ids) if ids else ())

    async def remove_item(self, cart_id: int, *, product_id: int) -> bool:
        """
        Remove the line of a product; False when there was none. Raises NotFound, CartClosed. Locks the cart.
        """
        cart_id, product_id = checked("cart_id", Id, cart_id), checked("product_id", Id, product_id)
        async with self._runner.transaction() as tx:
            await _lock(tx, cart_id)
            return await tx.affected(queries.carts.remove_cart_item, cart_id=cart_id, product_id=product_id) > 0

    async def set_quantity(self, cart_id: int, *, product_id: int, quantity: int) -> CartItem:
        """
        Set how many units of a product the cart holds, 1 to 9,999.

        Raises NotFound, CartClosed, ProductUnavailable, CurrencyMismatch, InvalidInput. Locks the cart.
        """
        return await self._put(queries.carts.set_cart_item, cart_id, product_id, quantity)

    async def _put(self, function: object, cart_id: int, product_id: int, quantity: int) -> CartItem:
        cart_id, product_id = checked("cart_id", Id, cart_id), checked("product_id", Id, product_id)
        quantity = checked("quantity", Quantity, quantity)
        row = await self._runner.one_or_none(
            CartItemVerdict, function, cart_id=cart_id, product_id=product_id, quantity=quantity
        )
        verdict = existing("cart", row, cart_id)
        if verdict.quantity is not None and verdict.added_at is not None:
            return CartItem(cart_id=cart_id, product_id=product_id, quantity=verdict.quantity, added_at=verdict.added_at)
        raise _refusal(verdict, cart_id, product_id)

    async def _merge(self, public_id: UUID, user_id: int, strategy: MergeStrategy) -> Cart:
        user_id = checked("user_id", Id, user_id)
        public_id, strategy = checked("public_id", PublicId, public_id), checked("strategy", MergeStrategy, strategy)
        async with self._runner.transaction() as tx:
            target = await _open_cart(tx, user_id)
            row = await tx.one_or_none(LockedCart, queries.carts.lock_guest_cart, public_id=public_id)
            source = existing("guest cart", row)
            if source.status != "open":
                raise _closed(source.id, source.status)
            if source.currency != target.currency:
                message = f"the guest's cart is in {source.currency}, the user's in {target.currency}"
                raise CurrencyMismatch(message)
            await tx.affected(queries.carts.merge_cart_items, source_id=source.id, target_id=target.id, strategy=strategy)
            return await AsyncCarts(tx).get(target.id)


class AsyncCarts(AsyncCartLines):
    """
    Everybody's carts.
    """

    async def create_guest(self) -> Cart:
        """
        Create a cart without a user, in STORE_CURRENCY. Its public_id is the guest's secret.
        """
        return await self._runner.one(Cart, queries.carts.create_guest_cart, currency=self._runner.runtime.settings.currency)

    async def get_by_public_id(self, public_id: UUID) -> Cart:
        """
        Return the cart with this public_id. Raises NotFound.
        """
        public_id = checked("public_id", PublicId, public_id)
        return existing("cart", await self._runner.one_or_none(Cart, queries.carts.get_cart_by_public_id, public_id=public_id))

    async def get_or_create(self, *, user_id: int) -> Cart:
        """
        Return the open cart of a user, created or renewed as needed; callers at once get the same one. Raises NotFound.
        """
        user_id = checked("user_id", Id, user_id)
        return await self.get((await _open_cart(self._runner, user_id)).id)

    async def merge(self, public_id: UUID, *, user_id: int, strategy: MergeStrategy = "sum") -> Cart:
        """
        Move the lines of a guest's cart into the user's and return that; the guest's is merged, and what it held is free.

        Of a product in both, `sum` adds up to 9,999, `max` takes the larger quantity, `keep_user` and `keep_guest` that side's.
        Raises NotFound, CartClosed, CurrencyMismatch. Locks the user's cart, then the guest's, then the stock it held.
        """
        return await self._merge(public_id, user_id, strategy)


class AsyncOwnCarts(AsyncCartLines):
    """
    The carts of one shopper.
    """

    async def current(self) -> Cart:
        """
        Return the cart in use: a user's open one, created as needed; the guest's own, or NotFound.
        """
        scope = self._runner.scope
        if scope.user_id is not None:
            return await AsyncCarts(self._runner).get_or_create(user_id=scope.user_id)
        return existing(
            "cart", await self._runner.one_or_none(Cart, queries.carts.get_cart_by_public_id, public_id=scope.public_id)
        )

    async def merge(self, public_id: UUID, *, strategy: MergeStrategy = "sum") -> Cart:
        """
        After a login: move the lines of the cart the guest had into the user's own, and return it; `strategy` as there.

        Raises NotFound (also for a guest), CartClosed, CurrencyMismatch.
        """
        if self._runner.scope.user_id is None:
            message = "a guest has no other cart to merge into"
            raise NotFound(message)
        return await self._merge(public_id, self._runner.scope.user_id, strategy)


def _refusal(verdict: CartItemVerdict, cart_id: int, product_id: int) -> Exception:
    if verdict.cart_status != "open":
        return _closed(cart_id, verdict.cart_status)
    if verdict.product_id is None:
        return NotFound.of("product", product_id)
    if not verdict.is_active:
        return ProductUnavailable(f"product {product_id} is archived and not for sale")
    return CurrencyMismatch(f"product {product_id} is sold in another currency than cart {cart_id}")


async def _open_cart(runner: AsyncRunner, user_id: int) -> LockedCart:
    currency = runner.runtime.settings.currency
    row = await runner.one_or_none(LockedCart, queries.carts.get_or_create_cart, user_id=user_id, currency=currency)
    return existing("user", row, user_id)


async def _lock(tx: AsyncRunner, cart_id: int) -> None:
    """
    Lock an open cart in a statement of its own: the next one then sees every line that was committed while this one waited.
    """
    cart = existing("cart", await tx.one_or_none(LockedCart, queries.carts.lock_cart, cart_id=cart_id), cart_id)
    if cart.status != "open":
        raise _closed(cart_id, cart.status)


def _closed(cart_id: int, status: str) -> CartClosed:
    return CartClosed(f"cart {cart_id} is {status}, not open")
