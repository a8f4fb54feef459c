"""
A program that uses the store, read by mypy and pyright and never run.

What is written is typed as promised; each `type: ignore` below is needed, or the checkers complain about it.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import assert_type
from uuid import UUID

from store import (
    AsyncQueries,
    AsyncSession,
    AsyncShopper,
    AsyncStore,
    Cart,
    CartItem,
    CartLine,
    Facets,
    Inventory,
    NewProduct,
    NewUser,
    Page,
    Product,
    ProductUpdate,
    Queries,
    Session,
    Settings,
    Shopper,
    Store,
    User,
    UserUpdate,
)
from store.bulk import (
    ExportReport,
    OrderImportReport,
    ProductImportReport,
    Tick,
    export_products,
    import_orders,
    import_products,
)
from store.errors import BooksDiffer, InvalidInput, StoreError


def sync_verbs(shop: Store, lamp: NewProduct, ada: NewUser) -> None:
    """
    Each verb returns what its name says.
    """
    assert_type(shop.users.create(ada), User)
    assert_type(shop.users.create_many([ada]), tuple[User, ...])
    assert_type(shop.users.find_by_email("ada@example.org"), User | None)
    assert_type(shop.users.list(page_size=10), Page[User])
    assert_type(shop.users.delete(1), None)
    assert_type(shop.catalog.create(lamp), Product)
    assert_type(shop.catalog.get_many([1, 2]), tuple[Product, ...])
    assert_type(shop.catalog.list(sort="price", descending=True, price_from=Decimal(1)), Page[Product])
    assert_type(shop.catalog.search("lamp"), tuple[Product, ...])
    assert_type(shop.catalog.facets(), Facets)
    assert_type(shop.inventory.adjust(1, delta=-1), Inventory)
    assert_type(shop.carts.create_guest(), Cart)
    assert_type(shop.carts.add_item(1, product_id=2, quantity=3), CartItem)
    assert_type(shop.carts.check_availability(1), tuple[CartLine, ...])
    assert_type(shop.carts.remove_item(1, product_id=2), bool)
    assert_type(shop.carts.clear(1), int)


def fields(product: Product, cart: Cart, page: Page[Product]) -> None:
    """
    Money is Decimal, also inside lines and pages.
    """
    assert_type(product.price, Decimal)
    assert_type(product.description, str | None)
    assert_type(cart.public_id, UUID)
    assert_type(cart.lines[0].line_total, Decimal)
    assert_type(page[0], Product)
    assert_type(page[1:], tuple[Product, ...])
    assert_type(page.next_cursor, str | None)
    for one in page:
        assert_type(one, Product)


def units_of_work(shop: Store) -> None:
    """
    Sessions and transactions offer what the store does.
    """
    with shop.transaction() as tx:
        assert_type(tx, Session)
        assert_type(tx.carts.get(1), Cart)
        with tx.transaction() as inner:
            assert_type(inner, Session)
    with shop.session() as session:
        assert_type(session.acting_as(1), Shopper)


def shopper(shop: Store) -> None:
    """
    A shopper has fewer verbs.
    """
    me = shop.acting_as(1)
    assert_type(me, Shopper)
    assert_type(me.carts.current(), Cart)
    assert_type(me.user.update(UserUpdate(username="ada")), User)
    assert_type(me.catalog.get(1), Product)


def files(shop: Store, catalog: Path) -> None:
    """
    Imports and exports answer with a report, and tell how far they are.
    """

    def show(tick: Tick) -> None:
        assert_type(tick.size, int | None)

    assert_type(import_products(shop, catalog, mapping={"Code": "sku"}, delimiter=";", progress=show), ProductImportReport)
    assert_type(export_products(shop, catalog), ExportReport)
    try:
        assert_type(import_orders(shop, catalog, dry_run=True), OrderImportReport)
    except BooksDiffer as error:
        assert_type(error, BooksDiffer)


async def async_verbs(settings: Settings) -> None:
    """
    The other colour is the same, awaited.
    """
    async with AsyncStore.open(settings) as shop:
        assert_type(shop, AsyncStore)
        assert_type(await shop.users.get(1), User)
        assert_type(await shop.catalog.update(1, ProductUpdate(price=Decimal(2))), Product)
        assert_type(shop.acting_as(1), AsyncShopper)
        async with shop.transaction() as tx:
            assert_type(tx, AsyncSession)
            assert_type(await tx.carts.merge(UUID(int=0), user_id=1), Cart)


def errors() -> None:
    """
    Refusals are one tree, with facts.
    """
    try:
        raise InvalidInput(field="price")
    except StoreError as error:
        assert_type(error.constraint, str | None)
        assert_type(error.retryable, bool)


def teams_own(session: Session, folder: str) -> None:
    """
    A team's folder is loaded by colour.
    """
    assert_type(Queries.load(folder), Queries)
    assert_type(AsyncQueries.load(folder), AsyncQueries)
    Queries.load(folder).reports.top(session, limit=3)


def mistakes(shop: Store, product: Product, cart: Cart) -> None:
    """
    Each of these is a type error, and one of no other kind.
    """
    shop.users.get("1")  # type: ignore[arg-type]
    shop.users.get(1, 2)  # type: ignore[call-arg]
    shop.users.create(product)  # type: ignore[arg-type]
    shop.catalog.list(sort="size")  # type: ignore[arg-type]
    shop.catalog.list("price")  # type: ignore[call-arg]
    shop.catalog.list(price_from=1.5)  # type: ignore[arg-type]
    shop.carts.add_item(1, product_id=2, qty=3)  # type: ignore[call-arg]
    shop.carts.add_item(1, product_id="2")  # type: ignore[arg-type]
    shop.carts.get(cart)  # type: ignore[arg-type]
    NewUser(username="ada", email="a@b.org")  # type: ignore[call-arg]
    NewProduct(sku="A", name="Lamp", price=1.5)  # type: ignore[arg-type]
    ProductUpdate(currency="USD")  # type: ignore[call-arg]
    import_products(shop, "catalog.csv", delimiter="|")  # type: ignore[arg-type]
    _ = product.cost  # type: ignore[attr-defined]
    _ = shop.users.get(1).password_hash  # type: ignore[attr-defined]


def what_a_shopper_may_not(shop: Store) -> None:
    """
    A verb of the back office does not exist for a shopper.
    """
    me = shop.acting_as(1)
    _ = me.users  # type: ignore[attr-defined]
    _ = me.inventory  # type: ignore[attr-defined]
    me.user.delete()  # type: ignore[attr-defined]
    me.catalog.update(1, ProductUpdate())  # type: ignore[attr-defined]
    me.catalog.list(is_active=False)  # type: ignore[call-arg]
    me.carts.create_guest()  # type: ignore[attr-defined]
    me.carts.get_or_create(user_id=2)  # type: ignore[attr-defined]
    me.carts.merge(UUID(int=0), user_id=2)  # type: ignore[call-arg]


async def without_await(shop: AsyncStore) -> None:
    """
    What was not awaited is no result.
    """
    _ = shop.users.get(1).username  # type: ignore[attr-defined]
    with shop.transaction():  # type: ignore[attr-defined]
        pass
