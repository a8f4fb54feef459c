"""
The demonstration: a sample catalog, a shopper, a cart, its order, and the database refusing what must not be.

It writes only into an empty schema or one it has filled itself, and can take back all it wrote.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from decimal import Decimal

from pydantic import SecretStr

from store._sync.queries import queries
from store._sync.store import Store
from store.bulk import ProductImportReport, import_products
from store.errors import DuplicateEmail, OutOfStock, PermissionDenied, StoreError
from store.models import Cart, Contents, Inventory, NewUser, Order, Product, User

PRODUCTS = 10_000
MARK = "store-demo"
SHOPPER = "store-demo-ada"
EMAIL = "ada@demo.example"
_NO_LOGIN = SecretStr("$none$nobody-logs-in-with-this")
_WHAT = ("Teapot", "Cup", "Lantern", "Bunting", "Cake stand", "Doormat", "Clock", "Cushion", "Notebook", "Hot water bottle")
_LOOK = ("red", "white", "vintage", "spotty", "regency", "woodland", "blue", "striped", "retro", "ivory")
_FROM = ("Bath", "Bergen", "Delft", "Lyon", "Porto", "Siena", "Ghent", "Krakow", "Turku", "Galway")


class DatabaseInUse(StoreError):
    """
    This database holds users or products that are not the demonstration's: point DATABASE_URL at an empty one
    (`store embedded use DIR` in another folder, or `store embedded remove` when nothing in it is needed).
    """


def prepare(store: Store) -> None:
    """
    Mark the database as the demonstration's. Raises DatabaseInUse when it belongs to somebody else.
    """
    with store.transaction() as tx:
        found = tx.one(Contents, queries.demo.describe_contents)
        if found.has_rows and not found.is_demo:
            raise DatabaseInUse
        if not found.is_demo:
            mark = tx.users.create(NewUser(username=MARK, email="store@demo.example", password_hash=_NO_LOGIN))
            tx.users.deactivate(mark.id)


def load(store: Store, on_rows: Callable[[int], object]) -> ProductImportReport:
    """
    Import the sample catalog by COPY; `on_rows` hears how many rows are done. What the shopper has bought stays sold: stock
    comes with the catalog as long as there is no shopper.
    """
    file = io.BytesIO(catalog(with_stock=store.users.find_by_username(SHOPPER) is None).encode())
    return import_products(store, file, progress=lambda tick: on_rows(tick.rows))


def catalog(*, with_stock: bool = True) -> str:
    """
    Return the sample catalog as CSV: the same 10,000 products every time.
    """
    chance = random.Random(42)  # noqa: S311  # samples, not secrets
    text = io.StringIO()
    rows = csv.writer(text)
    fields = 5 if with_stock else 4
    rows.writerow(("sku", "name", "description", "price", "on_hand")[:fields])
    for number in range(1, PRODUCTS + 1):
        what, look, place = chance.choice(_WHAT), chance.choice(_LOOK), chance.choice(_FROM)
        price = Decimal(chance.randint(50, 25_000)).scaleb(-2)
        description = f"A {look} {what.lower()} made in {place}; number {number} of the sample catalog."
        row = (f"DEMO-{number:05}", f"{what}, {look}, from {place}", description, price, chance.randint(0, 200))
        rows.writerow(row[:fields])
    return text.getvalue()


def shopper(store: Store) -> User:
    """
    Return the demonstration's shopper, created when missing.
    """
    found = store.users.find_by_username(SHOPPER)
    return found or store.users.create(NewUser(username=SHOPPER, email=EMAIL, password_hash=_NO_LOGIN))


def fill_cart(store: Store, user: User, products: tuple[Product, ...]) -> Cart:
    """
    Put one, two, three ... units of these products into the shopper's cart, all in one transaction; return the cart of the
    first time once it has become an order.
    """
    with store.transaction() as tx:
        mine = tx.acting_as(user.id).carts
        if ordered := tx.orders.list_for_user(user.id, page_size=1).items:
            return mine.get(ordered[0].id)
        cart = mine.current()
        for quantity, product in enumerate(products, start=1):
            mine.set_quantity(cart.id, product_id=product.id, quantity=quantity)
        return mine.get(cart.id)


def place_and_pay(store: Store, cart: Cart) -> Order:
    """
    Make an order of the cart and pay it. Again, it is the same order, and nothing is paid twice.
    """
    order = store.orders.place(cart.id)
    payment = store.payments.authorize(
        order.id, provider="demo", provider_ref=order.number, amount=order.total, idempotency_key="demo:authorize"
    )
    store.payments.capture(order.id, payment_no=payment.payment_no, idempotency_key="demo:capture")
    return store.orders.get(order.id)


def refused_email(store: Store) -> DuplicateEmail | None:
    """
    Try to create a second user with the shopper's e-mail address, spelled differently, and return the refusal.
    """
    try:
        store.users.create(NewUser(username="store-demo-eve", email=EMAIL.upper(), password_hash=_NO_LOGIN))
    except DuplicateEmail as refusal:
        return refusal
    return None


def refused_stock(store: Store, product: Product) -> tuple[Inventory, OutOfStock | None]:
    """
    Try to take one unit more than there is, and return the stock as it still is with the refusal.
    """
    before = store.inventory.get(product.id)
    try:
        store.inventory.adjust(product.id, delta=-before.on_hand - 1)
    except OutOfStock as refusal:
        return store.inventory.get(product.id), refusal
    return before, None


def remove(store: Store) -> tuple[int, int]:
    """
    Delete all the demonstration wrote and return how many products and users that were.

    Raises DatabaseInUse where there is nothing of it, PermissionDenied for a role that may not delete from ledgers, and
    ProductInUse when somebody else has bought its products; then nothing is deleted.
    """
    try:
        with store.transaction(is_patient=True) as tx:
            if not tx.one(Contents, queries.demo.describe_contents).is_demo:
                message = "there is nothing of the demonstration in this database"
                raise DatabaseInUse(message)
            tx.affected(queries.demo.remove_demo_orders)
            users = tx.affected(queries.demo.remove_demo_users)
            tx.affected(queries.demo.remove_demo_movements)
            return tx.affected(queries.demo.remove_demo_products), users
    except PermissionDenied as refusal:
        message = (
            "the ledgers are append-only for the application's role: name the owner of the schema in STORE_MIGRATE_URL and run "
            "it again; nothing was removed"
        )
        raise PermissionDenied(message) from refusal
