"""
`store demo`: the whole of it, once, on real rows.
"""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from store import _connection, _files, embedded, migrate
from store import demo as _demo
from store._sync.store import Store
from store.bulk import ProductImportReport
from store.cli._output import Dsn, err, out, reported
from store.errors import StoreError
from store.models import Cart, Order
from store.settings import Settings


def demo(
    *,
    dsn: Dsn = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before writing to a server that the environment names.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take back all that the demonstration wrote, and stop.")] = False,
) -> None:
    """
    Show the store at work: schema, 10,000 sample products, a user, a search, a cart, its order with payment and receipt, and
    two refusals of the database.

    Writes only into an empty schema or one it has filled itself, so it is safe to run again: the order stays one order.
    --remove deletes from ledgers, as only the owner of the schema may: STORE_MIGRATE_URL names it where DATABASE_URL does not.
    """
    with reported():
        settings = Settings.load(database_url=dsn)
        if dsn is not None:
            settings = settings.model_copy(update={"migrate_url": None})  # it belongs to the server of DATABASE_URL
        if dsn is None and settings.is_url_from_environment and not yes:
            _ask(settings)
        if remove:
            with Store.open(
                settings.model_copy(update={"database_url": settings.migrate_url or settings.database_url})
            ) as store:
                products, users = _demo.remove(store)
            out.print(f"removed {products} products and {users} users with their carts and orders")
            return
        _connection.address(settings)  # or refused, before anything is written
        _show(settings)
        _say_where(settings)


def _show(settings: Settings) -> None:
    out.print("[bold]1. The schema[/]: plain SQL files in migrations/")
    done = migrate.up(
        migrate.connector(settings), _files.folder("migrations"), lambda name: out.print(f"   applied {name}", markup=False)
    )
    out.print("   up to date" if not done else f"   {len(done)} applied")
    with Store.open(settings) as store:
        _demo.prepare(store)
        out.print(f"[bold]2. The catalog[/]: {_demo.PRODUCTS:,} sample products by COPY")
        report = _load(store)
        out.print(
            f"   {report.inserted:,} new, {report.updated:,} changed, {report.unchanged:,} as they were; {report.seconds:.1f} s"
        )
        user = _demo.shopper(store)
        out.print(f"[bold]3. A user[/]: number {user.id}")
        found = store.catalog.search("vintage teapot -bath", in_stock=True, page_size=3)
        out.print("[bold]4. A search[/]: vintage teapot -bath, in stock, best first")
        for product in found:
            out.print(
                f"   {product.sku}  {product.name:35} {product.price:>8} {product.currency}  {product.inventory_count} left",
                markup=False,
            )
        out.print("[bold]5. A cart[/], filled in one transaction and read in one statement")
        cart = _demo.fill_cart(store, user, found)
        _print_cart(cart)
        out.print("[bold]6. An order[/], placed and paid; again, it is the same order and nothing is paid twice")
        _print_receipt(_demo.place_and_pay(store, cart))
        out.print("[bold]7. What the database refuses[/], whoever asks")
        _print_refusals(_demo.refused_email(store), _demo.refused_stock(store, found[0])[1])


def _load(store: Store) -> ProductImportReport:
    columns = (TextColumn("  "), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("products", total=_demo.PRODUCTS)
        return _demo.load(store, lambda rows: progress.update(task, completed=rows))


def _print_cart(cart: Cart) -> None:
    table = Table(show_edge=False, pad_edge=True, show_footer=True)
    table.add_column("  sku", footer="  subtotal")
    table.add_column("name")
    for name in ("quantity", "price"):
        table.add_column(name, justify="right")
    table.add_column(f"total {cart.currency}", justify="right", footer=str(cart.subtotal))
    for line in cart.lines:
        table.add_row(
            f"  {escape(line.sku)}", escape(line.name), str(line.quantity), str(line.unit_price), str(line.line_total)
        )
    out.print(table)


def _print_receipt(order: Order) -> None:
    table = Table(show_edge=False, pad_edge=True, show_footer=True)
    table.add_column(f"  order {order.number}", footer="  total")
    table.add_column("name", footer=f"{order.status}, {order.placed_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    for name in ("quantity", "price"):
        table.add_column(name, justify="right")
    table.add_column(f"total {order.currency}", justify="right", footer=str(order.total))
    for line in order.lines:
        table.add_row(f"  {escape(line.sku)}", escape(line.name), str(line.quantity), str(line.unit_price), str(line.total))
    out.print(table)
    for payment in order.payments:
        out.print(
            f"   payment {payment.payment_no} by {payment.provider}: {payment.status}, {payment.captured} {payment.currency}",
            markup=False,
        )


def _print_refusals(*refusals: StoreError | None) -> None:
    for refusal in refusals:
        if refusal is None:
            message = "the database did not refuse what it must: is this the schema of sql/schema?"
            raise StoreError(message)
        out.print(f"   {type(refusal).__name__} by constraint {refusal.constraint}: {refusal}", markup=False, soft_wrap=True)


def _ask(settings: Settings) -> None:
    where = _connection.describe(_connection.address(settings))
    question = f"DATABASE_URL of the environment names {where}. Write the demonstration there?"
    if not out.is_terminal:
        err.print(f"store: {question} Say --yes; nothing was written.", markup=False, soft_wrap=True)
        raise typer.Exit(2)
    if not typer.confirm(question, default=False):
        err.print("nothing was written")
        raise typer.Exit(1)


def _say_where(settings: Settings) -> None:
    out.print("\n[bold]Now look for yourself[/]")
    where = _connection.embedded_address(settings)
    if where is None:
        out.print(f"   The data are at {_connection.describe(_connection.address(settings))}", markup=False, soft_wrap=True)
        out.print("   Remove them:  store demo --remove")
        return
    server = embedded.start(where.directory)
    out.print(f"   psql          {server.bin_path}/psql '{server.url()}'", markup=False, soft_wrap=True)
    out.print(
        f"   The data      {server.directory}: a server of its own, as superuser, for trying things out",
        markup=False,
        soft_wrap=True,
    )
    out.print("   It runs on    until you stop it:  .venv/bin/store embedded stop")
    out.print("   Remove it     with all its data:  .venv/bin/store embedded remove")
