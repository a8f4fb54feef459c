"""
Products: the active ones for a shopper, all of them for the back office.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from store._arguments import changes, checked, existing, in_order, several
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store._cursors import decode, encode
from store.errors import Conflict, InvalidInput, NotFound
from store.models import (
    MAX_AMOUNT,
    MAX_ID,
    MAX_INSTANT,
    MIN_INSTANT,
    CountedFacets,
    Facets,
    Flag,
    Id,
    Instant,
    Inventory,
    Money,
    NewProduct,
    Page,
    PageSize,
    PriceRange,
    Product,
    ProductSort,
    ProductUpdate,
    SearchText,
    Text,
)

_EVERY_PRICE = {"price_from": Decimal(0), "price_to": MAX_AMOUNT}
_PRICE_STEPS = tuple(Decimal(step) for step in (0, 5, 10, 25, 50, 100, 250, 500, 1000))

# By sort and direction: the statement, its sort, and the key before every key, after which the first page starts.
_LISTINGS: dict[tuple[str, bool], tuple[Any, str, Any, Any]] = {
    ("created_at", False): (queries.catalog.list_products, "oldest", Instant, MIN_INSTANT),
    ("created_at", True): (queries.catalog.list_products, "newest", Instant, MAX_INSTANT),
    ("name", False): (queries.catalog.list_products, "name_up", Text, ""),
    ("name", True): (queries.catalog.list_products, "name_down", Text, "\U0010ffff" * 256),
    ("price", False): (queries.catalog.list_products_by_price, "cheapest", Money, Decimal(0)),
    ("price", True): (queries.catalog.list_products_by_price, "dearest", Money, MAX_AMOUNT),
}


class AsyncShopCatalog:
    """
    The catalog as shoppers see it: active products.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner
        self._active = [True]

    async def facets(
        self,
        text: str | None = None,
        *,
        price_from: Decimal | None = None,
        price_to: Decimal | None = None,
        in_stock: bool = False,
    ) -> Facets:
        """
        Count the products of a listing, or of a search when `text` is given, in all and by range of price.
        """
        filters = _filters(price_from, price_to, in_stock, self._active)
        function, parameters = queries.catalog.facet_products, _EVERY_PRICE | filters
        if text is not None:
            function, parameters = queries.catalog.facet_search, filters | {"text": checked("text", SearchText, text)}
        counted = await self._runner.one(CountedFacets, function, price_steps=list(_PRICE_STEPS), **parameters)
        ends: tuple[Decimal | None, ...] = (*_PRICE_STEPS[1:], None)
        ranges = tuple(
            PriceRange(price_from=_PRICE_STEPS[row.step - 1], price_to=ends[row.step - 1], products=row.products)
            for row in counted.price_ranges
        )
        return Facets(**counted.model_dump(exclude={"price_ranges"}), price_ranges=ranges)

    async def get(self, product_id: int) -> Product:
        """
        Return a product. Raises NotFound.
        """
        product_id = checked("product_id", Id, product_id)
        row = await self._runner.one_or_none(Product, queries.catalog.get_product, product_id=product_id, active=self._active)
        return existing("product", row, product_id)

    async def get_by_sku(self, sku: str) -> Product:
        """
        Return the product with this sku, in any case. Raises NotFound.
        """
        row = await self._runner.one_or_none(
            Product, queries.catalog.get_product_by_sku, sku=checked("sku", Text, sku), active=self._active
        )
        return existing("product", row)

    async def get_many(self, product_ids: Iterable[int]) -> tuple[Product, ...]:
        """
        Return up to 10,000 products in the order of their ids. Raises NotFound, naming ids that do not exist.
        """
        ids = several("product_ids", Id, product_ids)
        rows: Iterable[Product] = ()
        if ids:
            rows = await self._runner.many(Product, queries.catalog.get_products, product_ids=ids, active=self._active)
        return in_order("product", ids, rows)

    async def list(
        self,
        *,
        sort: ProductSort = "created_at",
        descending: bool = False,
        price_from: Decimal | None = None,
        price_to: Decimal | None = None,
        in_stock: bool = False,
        cursor: str | None = None,
        page_size: int = 50,
    ) -> Page[Product]:
        """
        Return a page of products. Every page costs the same, at any depth; the price range is inclusive.

        Raises InvalidInput, and InvalidCursor for a cursor of another sort or direction.
        """
        filters = _filters(price_from, price_to, in_stock, self._active)
        return await self._page(sort, descending, cursor, page_size, filters)

    async def search(
        self,
        text: str,
        *,
        price_from: Decimal | None = None,
        price_to: Decimal | None = None,
        in_stock: bool = False,
        page_size: int = 50,
    ) -> tuple[Product, ...]:
        """
        Return the products that match best, at most 200. Words, "a phrase", or, and -without are understood; no text is wrong.
        """
        return tuple(
            await self._runner.many(
                Product,
                queries.catalog.search_products,
                text=checked("text", SearchText, text),
                page_size=checked("page_size", PageSize, page_size),
                **_filters(price_from, price_to, in_stock, self._active),
            )
        )

    async def _page(
        self, sort: ProductSort, descending: object, cursor: str | None, page_size: int, filters: dict[str, Any]
    ) -> Page[Product]:
        sort, is_down = checked("sort", ProductSort, sort), checked("descending", Flag, descending)
        page_size = checked("page_size", PageSize, page_size)
        function, order, kind, extreme = _LISTINGS[sort, is_down]
        listing = f"products {sort} {'desc' if is_down else 'asc'}"
        after, after_id = (extreme, MAX_ID if is_down else 0) if cursor is None else decode(listing, kind, cursor)
        if sort == "price" and "price_from" in filters:
            # The page starts at the near end of the range, or behind the cursor where that lies inside.
            near, far = filters.pop("price_from"), filters.pop("price_to")
            if is_down:
                near, far = far, near
            is_outside = after > near if is_down else after < near
            if is_outside or cursor is None:
                after, after_id = near, MAX_ID if is_down else 0
            filters["price_end"] = far
        keys = {f"after_{sort}": after, "after_id": after_id}
        found = await self._runner.many(Product, function, sort=order, page_size=page_size, **keys, **filters)
        page = tuple(found[:page_size])
        is_last = len(found) <= page_size
        return Page(page, None if is_last else encode(listing, getattr(page[-1], sort), page[-1].id))


class AsyncCatalog(AsyncShopCatalog):
    """
    The catalog as the back office sees it: archived products too.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        super().__init__(runner)
        self._active = [True, False]

    async def archive(self, product_id: int) -> Product:
        """
        Take a product off sale and keep it. Raises NotFound.
        """
        return await self.update(product_id, ProductUpdate(is_active=False))

    async def create(self, product: NewProduct) -> Product:
        """
        Create a product with its stock. Raises DuplicateSku.
        """
        return (await self.create_many((product,)))[0]

    async def create_many(self, products: Iterable[NewProduct]) -> tuple[Product, ...]:
        """
        Create up to 10,000 products, all or none, and return them in the order given. Raises DuplicateSku.
        """
        new = several("products", NewProduct, products)
        if not new:
            return ()
        currency = self._runner.runtime.settings.currency
        created = await self._runner.many(
            Product,
            queries.catalog.create_products,
            skus=[product.sku for product in new],
            names=[product.name for product in new],
            descriptions=[product.description for product in new],
            prices=[product.price for product in new],
            currencies=[product.currency or currency for product in new],
            actives=[product.is_active for product in new],
            on_hands=[product.on_hand for product in new],
        )
        return tuple(created)

    async def delete(self, product_id: int) -> None:
        """
        Delete a product that never had any stock, and the lines of carts that hold it. What was moved, sold or held is archived
        instead. Raises NotFound, or ProductInUse. Locks its stock, then the product.
        """
        product_id = checked("product_id", Id, product_id)
        async with self._runner.transaction() as tx:
            await tx.one_or_none(Inventory, queries.catalog.lock_product_stock, product_id=product_id)
            if not await tx.affected(queries.catalog.delete_product, product_id=product_id):
                raise NotFound.of("product", product_id)

    async def list(
        self,
        *,
        sort: ProductSort = "created_at",
        descending: bool = False,
        price_from: Decimal | None = None,
        price_to: Decimal | None = None,
        in_stock: bool = False,
        cursor: str | None = None,
        page_size: int = 50,
        is_active: bool | None = None,
    ) -> Page[Product]:
        """
        Return a page of products, with `is_active` only those on sale or only those archived.

        Raises InvalidInput, and InvalidCursor for a cursor of another sort or direction.
        """
        active = [True, False] if is_active is None else [checked("is_active", Flag, is_active)]
        return await self._page(sort, descending, cursor, page_size, _filters(price_from, price_to, in_stock, active))

    async def update(self, product_id: int, update: ProductUpdate, *, expected_updated_at: datetime | None = None) -> Product:
        """
        Change the fields that are set. Raises NotFound, DuplicateSku, or Conflict when the product was changed after
        `expected_updated_at`.
        """
        product_id = checked("product_id", Id, product_id)
        expected = checked("expected_updated_at", Instant | None, expected_updated_at)
        given = changes(ProductUpdate, update)
        unset = {"sku": None, "name": None, "description": None, "price": None, "is_active": None}
        updated = await self._runner.one_or_none(
            Product,
            queries.catalog.update_product,
            product_id=product_id,
            expected_updated_at=expected,
            set_description="description" in given,
            **(unset | given),
        )
        if updated is None and expected is not None:
            await self.get(product_id)
            message = f"product {product_id} was changed in the meantime"
            raise Conflict(message)
        return existing("product", updated, product_id)


def _filters(price_from: Decimal | None, price_to: Decimal | None, in_stock: object, active: list[bool]) -> dict[str, Any]:
    filters: dict[str, Any] = {"active": active}
    if price_from is not None or price_to is not None:
        lowest = Decimal(0) if price_from is None else checked("price_from", Money, price_from)
        highest = MAX_AMOUNT if price_to is None else checked("price_to", Money, price_to)
        if lowest > highest:
            message = "price_from: must not be above price_to"
            raise InvalidInput(message, field="price_from")
        filters |= {"price_from": lowest, "price_to": highest}
    return filters | ({"min_available": 1} if checked("in_stock", Flag, in_stock) else {})
