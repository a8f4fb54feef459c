"""
Products: what each verb returns, refuses and leaves behind.
"""

from __future__ import annotations

import itertools
import random
from decimal import Decimal
from itertools import pairwise
from uuid import uuid4

import pytest
from pydantic import ValidationError

from store import AsyncStore, NewProduct, PriceRange, Product, ProductUpdate
from store.errors import Conflict, DuplicateSku, InvalidCursor, InvalidInput, NotFound
from tests.databases import Connection
from tests.samples import product, settings

SORTS = ("created_at", "name", "price")


async def walk(shop: AsyncStore, page_size: int, **filters: object) -> list[Product]:
    """
    Return every product of a listing, page by page.
    """
    found: list[Product] = []
    cursor: str | None = None
    for _ in range(100):
        page = await shop.catalog.list(page_size=page_size, cursor=cursor, **filters)  # type: ignore[arg-type]
        assert len(page) <= page_size
        found += page
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("the listing has no end")


async def test_create_returns_what_get_returns(shop: AsyncStore) -> None:
    created = await shop.catalog.create(product("A-1", description="Bright.", on_hand=7))

    assert await shop.catalog.get(created.id) == created
    assert await shop.catalog.get_by_sku("a-1") == created
    assert (created.price, created.currency, created.inventory_count) == (Decimal("2.50"), "EUR", 7)
    assert (created.description, created.is_active) == ("Bright.", True)


async def test_create_many_keeps_the_order(shop: AsyncStore) -> None:
    given = [product(f"S{9 - n}", price=Decimal(n), on_hand=n, is_active=n % 2 == 0, currency="USD") for n in range(10)]
    created = await shop.catalog.create_many(given)

    assert [(p.sku, p.price, p.inventory_count, p.is_active, p.currency) for p in created] == [
        (p.sku, p.price, p.on_hand, p.is_active, p.currency) for p in given
    ]
    assert await shop.catalog.get_many([p.id for p in reversed(created)]) == tuple(reversed(created))
    assert await shop.catalog.create_many([]) == ()
    assert await shop.catalog.get_many([]) == ()


async def test_the_currency_of_the_shop_is_the_default(dsn: str) -> None:
    async with AsyncStore.open(settings(dsn, currency="JPY")) as shop:
        assert (await shop.catalog.create(product())).currency == "JPY"
        assert (await shop.catalog.create(product("B", currency="USD"))).currency == "USD"


async def test_a_sku_is_taken_in_any_case(shop: AsyncStore) -> None:
    first = await shop.catalog.create(product("Ab-1"))
    with pytest.raises(DuplicateSku) as caught:
        await shop.catalog.create_many([product("new"), product("aB-1")])

    assert caught.value.constraint == "products_sku_key"
    with pytest.raises(DuplicateSku):
        await shop.catalog.create_many([product("x"), product("X")])
    assert await walk(shop, 10) == [first]


async def test_update_changes_what_is_set(shop: AsyncStore) -> None:
    """
    An unset field stays, a description of None is cleared, the stock and the currency are not touched.
    """
    lamp = await shop.catalog.create(product("A", description="Bright."))
    dearer = await shop.catalog.update(lamp.id, ProductUpdate(price=Decimal("3.9999")))

    assert dearer.model_copy(update={"price": lamp.price, "updated_at": lamp.updated_at}) == lamp
    assert dearer.price == Decimal("3.9999")
    assert dearer.updated_at > lamp.updated_at

    cleared = await shop.catalog.update(lamp.id, ProductUpdate(description=None, name="New", sku="B", is_active=False))

    assert (cleared.description, cleared.name, cleared.sku, cleared.is_active) == (None, "New", "B", False)
    assert cleared.inventory_count == lamp.inventory_count


async def test_update_refusals(shop: AsyncStore) -> None:
    lamp, _ = await shop.catalog.create_many([product("A"), product("B")])
    with pytest.raises(DuplicateSku):
        await shop.catalog.update(lamp.id, ProductUpdate(sku="b"))
    with pytest.raises(NotFound):
        await shop.catalog.update(lamp.id + 9, ProductUpdate(name="x"))
    await shop.catalog.update(lamp.id, ProductUpdate(name="first"), expected_updated_at=lamp.updated_at)
    with pytest.raises(Conflict):
        await shop.catalog.update(lamp.id, ProductUpdate(name="second"), expected_updated_at=lamp.updated_at)
    with pytest.raises(NotFound):
        await shop.catalog.update(lamp.id + 9, ProductUpdate(name="x"), expected_updated_at=lamp.updated_at)

    assert (await shop.catalog.get(lamp.id)).name == "first"


def test_a_currency_never_changes() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        ProductUpdate.model_validate({"currency": "USD"})
    with pytest.raises(ValidationError, match="Extra inputs"):
        NewProduct.model_validate({"sku": "A", "name": "Lamp", "price": "1", "id": 1})


async def test_archive_keeps_the_product(shop: AsyncStore) -> None:
    lamp = await shop.catalog.create(product())
    archived = await shop.catalog.archive(lamp.id)

    assert archived.is_active is False
    assert await shop.catalog.get(lamp.id) == archived
    with pytest.raises(NotFound):
        await shop.catalog.archive(lamp.id + 1)


async def test_delete_takes_stock_and_lines_along(shop: AsyncStore, connect_admin: Connection) -> None:
    lamp = await shop.catalog.create(product(on_hand=0))
    cart = await shop.carts.create_guest()
    await shop.carts.add_item(cart.id, product_id=lamp.id)
    await shop.catalog.delete(lamp.id)

    assert (await shop.carts.get(cart.id)).lines == ()
    assert connect_admin.execute("SELECT count(*) FROM store.inventory").fetchone() == (0,)
    with pytest.raises(NotFound):
        await shop.catalog.delete(lamp.id)
    with pytest.raises(NotFound):
        await shop.catalog.get(lamp.id)
    with pytest.raises(NotFound):
        await shop.catalog.get_by_sku(lamp.sku)
    with pytest.raises(NotFound, match=f"{lamp.id}$"):
        await shop.catalog.get_many([lamp.id])


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTS)
async def test_sort_really_sorts(shop: AsyncStore, sort: str, descending: bool) -> None:
    """
    Every sort and direction shows each product once, in order, equal keys by id, whatever the size of a page.
    """
    for sku, name, price in (
        ("1", "b", 5),
        ("2", "B", 1),
        ("3", "b", 5),
        ("4", "a", 0),
        ("5", "é", 10**12 - 1),
        ("6", "\U0010ffff", 5),
    ):
        await shop.catalog.create(product(sku, name=name, price=Decimal(price)))
    everything = await walk(shop, 200, sort=sort, descending=descending)
    keys = [(getattr(p, sort), p.id) for p in everything]

    assert len(keys) == 6
    assert all((one > other) if descending else (one < other) for one, other in pairwise(keys))
    for page_size in (1, 2, 3, 6):
        assert await walk(shop, page_size, sort=sort, descending=descending) == everything


async def test_order_is_by_id(shop: AsyncStore) -> None:
    """
    Products of one instant, as those of one transaction are, page by id.
    """
    created = await shop.catalog.create_many([product(f"S{n}") for n in range(5)])

    assert len({one.created_at for one in created}) == 1
    assert await walk(shop, 2) == list(created)
    assert await walk(shop, 2, descending=True) == list(reversed(created))


async def test_a_cursor_belongs_to_its_sort_and_direction(shop: AsyncStore) -> None:
    await shop.catalog.create_many([product(f"S{n}") for n in range(3)])
    for sort in SORTS:
        for descending in (False, True):
            cursor = (await shop.catalog.list(sort=sort, descending=descending, page_size=1)).next_cursor  # type: ignore[arg-type]
            for other in SORTS:
                if other != sort:
                    with pytest.raises(InvalidCursor):
                        await shop.catalog.list(sort=other, descending=descending, cursor=cursor)  # type: ignore[arg-type]
            with pytest.raises(InvalidCursor):
                await shop.catalog.list(sort=sort, descending=not descending, cursor=cursor)  # type: ignore[arg-type]


async def test_filters(shop: AsyncStore) -> None:
    """
    Price range (both ends included), stock and state filter every listing and stay in force on later pages.
    """
    await shop.catalog.create_many(product(f"S{n}", price=Decimal(n), on_hand=n % 2, is_active=n % 3 != 0) for n in range(12))

    for sort in SORTS:
        for descending in (False, True):
            how = {"sort": sort, "descending": descending}
            cheap = await walk(shop, 2, price_from=Decimal(2), price_to=Decimal(5), **how)
            stocked = await walk(shop, 2, in_stock=True, **how)
            archived = await walk(shop, 2, is_active=False, **how)

            assert sorted(p.sku for p in cheap) == ["S2", "S3", "S4", "S5"]
            assert sorted(p.sku for p in stocked) == ["S1", "S11", "S3", "S5", "S7", "S9"]
            assert sorted(p.sku for p in archived) == ["S0", "S3", "S6", "S9"]
            assert len(await walk(shop, 5, is_active=True, **how)) == 8
    assert await walk(shop, 5, price_from=Decimal(12)) == []
    with pytest.raises(InvalidInput, match="price_from"):
        await shop.catalog.list(price_from=Decimal(3), price_to=Decimal(2))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTS)
async def test_every_choice_of_filters_lists_what_python_would(shop: AsyncStore, sort: str, descending: bool) -> None:
    """
    For every subset of the filters the pages together are all rows that pass, in order, each once; equal keys abound.
    """
    rng = random.Random(7)
    for _ in range(3):  # an instant of their own for each third of the products
        await shop.catalog.create_many(
            product(
                f"S{rng.random()}",
                name=rng.choice("ABab"),
                price=Decimal(rng.randrange(6)),
                on_hand=rng.randrange(3),
                is_active=rng.random() < 0.7,
            )
            for _ in range(12)
        )
    everything = await walk(shop, 200)
    ends = (None, Decimal(1), Decimal("3.5"))
    choices = list(itertools.product(ends, ends, (False, True), (None, True, False)))

    assert len(everything) == 36
    for price_from, price_to, in_stock, is_active in choices:
        if price_from is not None and price_to is not None and price_from > price_to:
            continue
        filters = {"price_from": price_from, "price_to": price_to, "in_stock": in_stock}
        kept = [
            one
            for one in everything
            if (price_from is None or one.price >= price_from)
            and (price_to is None or one.price <= price_to)
            and (not in_stock or one.inventory_count > 0)
            and (is_active is None or one.is_active is is_active)
        ]
        kept.sort(key=lambda one: (getattr(one, sort), one.id), reverse=descending)
        for page_size in (5, 36):
            assert await walk(shop, page_size, sort=sort, descending=descending, is_active=is_active, **filters) == kept
        if is_active:
            seen = await shop.guest(uuid4()).catalog.list(sort=sort, descending=descending, **filters)  # type: ignore[arg-type]
            assert list(seen) == kept


async def test_every_choice_of_filters_searches_what_python_would(shop: AsyncStore) -> None:
    """
    Search and its counts leave the same products out as a listing with these filters does.
    """
    await shop.catalog.create_many(
        product(f"S{n}", name="tea", price=Decimal(n % 4), on_hand=n % 3, is_active=n % 5 != 0) for n in range(30)
    )
    ends = (None, Decimal(1), Decimal(2))
    for price_from, price_to, in_stock in itertools.product(ends, ends, (False, True)):
        if price_from is not None and price_to is not None and price_from > price_to:
            continue
        filters = {"price_from": price_from, "price_to": price_to, "in_stock": in_stock}
        for catalog in (shop.catalog, shop.guest(uuid4()).catalog):
            listed = {one.id for one in await catalog.list(page_size=200, **filters)}  # type: ignore[arg-type]

            assert {one.id for one in await catalog.search("tea", **filters)} == listed  # type: ignore[arg-type]
            assert (await catalog.facets("tea", **filters)).products == len(listed)  # type: ignore[arg-type]
            assert (await catalog.facets(**filters)).products == len(listed)  # type: ignore[arg-type]


async def test_page_size_is_bounded(shop: AsyncStore) -> None:
    for size in (0, -1, 201, 2**70, None, True, 1.0, "1"):
        with pytest.raises(InvalidInput) as caught:
            await shop.catalog.list(page_size=size)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput):
            await shop.catalog.search("x", page_size=size)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput):
            await shop.users.list(page_size=size)  # type: ignore[arg-type]

        assert caught.value.field == "page_size"


async def test_search(shop: AsyncStore) -> None:
    """
    Words of sku, name and description are found, names before descriptions; phrases, or and minus are understood.
    """
    for sku, name, text in (
        ("TEA-1", "Green tea", "From Japan"),
        ("TEA-2", "Black tea", "strong"),
        ("CUP-1", "Cup", "for green tea"),
    ):
        await shop.catalog.create(product(sku, name=name, description=text))

    async def skus(text: str, **filters: object) -> list[str]:
        return [p.sku for p in await shop.catalog.search(text, **filters)]  # type: ignore[arg-type]

    assert await skus("GREEN tea") == ["TEA-1", "CUP-1"]
    assert await skus('"black tea"') == ["TEA-2"]
    assert await skus("tea -green") == ["TEA-2"]
    assert sorted(await skus("strong or japan")) == ["TEA-1", "TEA-2"]
    assert await skus("cup-1") == ["CUP-1"]
    assert await skus("tea", page_size=1) == ["TEA-1"]
    assert await skus("coffee") == []
    assert await skus("tea", price_to=Decimal("2.49")) == []


async def test_search_never_raises(shop: AsyncStore) -> None:
    """
    Whatever somebody types is a search; quotes, operators, wildcards and SQL are only characters.
    """
    await shop.catalog.create(product("Z-1", name="100% wool"))
    for text in (
        "",
        " ",
        "foo &",
        "foo bar",
        "!",
        "'",
        '"',
        "(",
        "a:*",
        "%",
        "_",
        "\\",
        "x\\",
        "' OR 1=1 --",
        "<->",
        "-",
        "or",
        "\u0301",
        "x" * 1000,
    ):
        found = await shop.catalog.search(text)

        assert found == (), text
        assert (await shop.catalog.facets(text)).products == 0, text
    assert [p.sku for p in await shop.catalog.search("wool")] == ["Z-1"]
    assert [p.sku for p in await shop.catalog.search("100%")] == ["Z-1"]


async def test_facets(shop: AsyncStore) -> None:
    """
    Counts agree with the listing and with the search, in all and range by range.
    """
    prices = (Decimal(0), Decimal("4.99"), Decimal(5), Decimal(1000), Decimal("999.99"))
    await shop.catalog.create_many(
        product(f"S{n}", name="tea" if n else "cup", price=price, on_hand=n % 2) for n, price in enumerate(prices)
    )
    facets = await shop.catalog.facets()

    assert (facets.products, facets.is_capped, facets.in_stock) == (5, False, 2)
    assert (facets.price_min, facets.price_max) == (Decimal(0), Decimal(1000))
    assert facets.price_ranges == (
        PriceRange(price_from=Decimal(0), price_to=Decimal(5), products=2),
        PriceRange(price_from=Decimal(5), price_to=Decimal(10), products=1),
        PriceRange(price_from=Decimal(500), price_to=Decimal(1000), products=1),
        PriceRange(price_from=Decimal(1000), price_to=None, products=1),
    )
    assert (await shop.catalog.facets("tea")).products == 4
    assert (await shop.catalog.facets("tea", in_stock=True, price_from=Decimal(5))).products == 1

    none = await shop.catalog.facets("coffee")

    assert (none.products, none.in_stock, none.price_min, none.price_max, none.price_ranges) == (0, 0, None, None, ())


async def test_facets_are_capped(shop: AsyncStore, connect_admin: Connection) -> None:
    connect_admin.execute(
        "INSERT INTO store.products (sku, name, price, currency) SELECT 'S' || n, 'tea', 1, 'EUR' FROM generate_series(1, 10001) AS n"
    )
    for facets in (await shop.catalog.facets(), await shop.catalog.facets("tea")):
        assert (facets.products, facets.is_capped) == (10_000, True)
