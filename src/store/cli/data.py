"""
`store import` and `store export`: catalogs and invoices from and to files.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from store._sync.store import Store
from store.bulk import (
    Delimiter,
    FileReport,
    Layout,
    OrderImportReport,
    ProductImportReport,
    Progress,
    Tick,
    export_products,
    import_orders,
    import_products,
)
from store.cli._output import AsJson, err, is_json, out, printable, reported
from store.errors import StoreError
from store.settings import Settings

R = TypeVar("R", bound=FileReport)

REJECTED = 3
INTERRUPTED = 5
_REASONS_SHOWN = 5

import_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Read catalogs and invoices from files, all of a file or nothing.\n\n"
    "Exit codes: 0 every row was taken, 3 some were refused (the others are stored), 5 interrupted and nothing is stored, 2 a "
    "setting is wrong, 10 no connection, 1 anything else; then nothing is stored either.",
)
export_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Write catalogs to files that `store import` reads."
)


File = Annotated[
    str, typer.Argument(metavar="FILE", help="A CSV file with a header: plain, gzip or xz; `-` for standard input.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Do everything, say what came of it, and take it back. Rejects are written.")
]
Rejects = Annotated[
    str | None,
    typer.Option(
        "--rejects",
        metavar="FILE",
        help="Where refused rows go; `-`: nowhere. Default: FILE.rejects.csv, written only when there are any.",
    ),
]


@import_app.callback()
def _import() -> None:
    pass


@export_app.callback()
def _export() -> None:
    pass


@import_app.command("products")
def products(
    file: File,
    *,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="The file's COLUMN is our FIELD. Repeat it for each column."),
    ] = None,
    delimiter: Annotated[
        Literal[",", ";", "tab"], typer.Option("--delimiter", help="What stands between the fields of a row.")
    ] = ",",
    dry_run: DryRun = False,
    rejects: Rejects = None,
    allow_zero_price: Annotated[
        bool, typer.Option("--allow-zero-price", help="Take a price of 0, which otherwise is taken for a missing one.")
    ] = False,
    as_json: AsJson = None,
) -> None:
    """
    Insert or update products from a CSV file.

    Fields: sku, name, description, price, currency, is_active, on_hand. Products are told by their sku, in any case; of rows
    with one sku the last wins. What the file has no column for stays as it is, so a file of sku and price changes prices only.
    Running it again changes nothing. It is one transaction: after Ctrl-C or a lost connection nothing of it is stored.

    A refused row goes to the rejects with its line, column, value and the reason, and does not hold up the others.

    Example: [bold]store import products invoices.csv.xz --map StockCode=sku --map Description=name --map UnitPrice=price[/]
    """
    chosen = _parsed(mapping or [])

    def work(store: Store, progress: Progress) -> ProductImportReport:
        return import_products(
            store,
            file,
            mapping=chosen,
            delimiter=_delimiter(delimiter),
            dry_run=dry_run,
            rejects=_rejects(file, rejects, "products"),
            allow_zero_price=allow_zero_price,
            progress=progress,
        )

    _import_file(work, _products_said, as_json)


@import_app.command("orders")
def orders(
    file: File,
    *,
    layout: Annotated[
        Layout,
        typer.Option("--format", help="Which system the invoices come from, as its files are laid out."),
    ] = "online-retail",
    dry_run: DryRun = False,
    rejects: Rejects = None,
    as_json: AsJson = None,
) -> None:
    """
    Bring invoices in as orders, in the columns of the data set "Online Retail" (UCI): InvoiceNo, StockCode, Description,
    Quantity, InvoiceDate, UnitPrice, CustomerID.

    An invoice becomes a paid order, dated by its first line, and what it sold was received on that day; products that are
    missing are created. A cancellation (C536391, negative quantities) is refunded and returned against the customer's latest
    sale of the product with as much left, of this file or an earlier one. Prices are in STORE_CURRENCY, times in UTC.

    Running it again changes nothing: what is known stays, what is known otherwise is refused. It is one transaction: after
    Ctrl-C or a lost connection nothing of it is stored. What the accepted lines come to is added up twice, from the file and
    from the books; both are printed, and if they differ nothing is stored.

    A refused line goes to the rejects with its number, column, value and the reason: a code that is no product, a price of 0, a
    cancellation without a sale.

    Example: [bold]STORE_CURRENCY=GBP store import orders online-retail.csv.xz --format online-retail[/]
    """

    def work(store: Store, progress: Progress) -> OrderImportReport:
        return import_orders(
            store, file, layout=layout, dry_run=dry_run, rejects=_rejects(file, rejects, "orders"), progress=progress
        )

    _import_file(work, _orders_said, as_json)


@export_app.command("products")
def exported(
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Where to: .gz and .xz are compressed; `-` for standard output.")
    ] = "-",
    *,
    as_json: AsJson = None,
) -> None:
    """
    Write every product, sorted by sku, as the CSV that `store import products` reads.

    The file appears when it is complete, shows the catalog at one instant, and is the same for the same catalog, byte for byte.

    Example: [bold]store export products catalog.csv.gz[/]
    """
    json = is_json(as_json)
    with reported(as_json=json and file != "-", interrupted=INTERRUPTED):
        try:
            with _open(read_only=True) as store, _progress() as progress:
                report = export_products(store, file, progress=progress)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it closes it
            raise typer.Exit(1) from None
        if file == "-":
            return
        if json:
            sys.stdout.write(report.as_json() + "\n")
        else:
            out.print(f"{report.rows:,} products in {report.seconds:.1f} s to {file}", markup=False, soft_wrap=True)


def _import_file(work: Callable[[Store, Progress], R], said: Callable[[R], list[str]], as_json: bool | None) -> None:
    json = is_json(as_json)
    with reported(as_json=json, interrupted=INTERRUPTED):
        with _open() as store, _progress() as progress:
            report = work(store, progress)
        if json:
            sys.stdout.write(report.as_json() + "\n")
        else:
            for line in [*said(report), *_said(report)]:
                out.print(line, markup=False, soft_wrap=True)
    if report.rejected:
        raise typer.Exit(REJECTED)


def _parsed(mapping: list[str]) -> dict[str, str]:
    pairs = [each.rpartition("=") for each in mapping]
    for column, sign, field in pairs:
        if not (column and sign and field):
            message = "--map takes COLUMN=FIELD, for instance --map StockCode=sku"
            raise typer.BadParameter(message)
    columns = [column.strip() for column, _, _ in pairs]
    for column in columns:
        if columns.count(column) > 1:
            message = f"--map names the column {column} twice: a column is one field"
            raise typer.BadParameter(message)
    return {column.strip(): field.strip() for column, _, field in pairs}


def _delimiter(name: Literal[",", ";", "tab"]) -> Delimiter:
    return "\t" if name == "tab" else name


def _rejects(file: str, chosen: str | None, what: str) -> Path | None:
    if chosen == "-":
        return None
    beside = Path(f"{what}.rejects.csv" if file == "-" else f"{file}.rejects.csv")
    path = beside if chosen is None else Path(chosen)
    if not os.access(path.parent, os.W_OK) and not path.exists():  # what is there may be a pipe or a device
        message = f"{path} cannot be written, should a row be refused: say --rejects FILE, or --rejects - for nowhere"
        raise StoreError(message)
    return path


def _open(*, read_only: bool = False) -> Store:
    settings = Settings.load().model_copy(update={"pool_size": 1})
    return Store.open(settings, read_only=read_only)


class _Bar:
    """
    Shows ticks as a bar with rate and time left.
    """

    def __init__(self, progress: ProgressBar) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, rows=0, rate=0.0)
        self._started = time.monotonic()

    def __call__(self, tick: Tick) -> None:
        is_reading = tick.step == "reading"
        seconds = max(time.monotonic() - self._started, 0.001)
        if tick.step in ("reading", "writing"):
            self._progress.update(self._task, rows=tick.rows, rate=tick.rows / seconds)
        self._progress.update(
            self._task, description=tick.step, completed=tick.position, total=tick.size if is_reading else None
        )


@contextmanager
def _progress() -> Generator[_Bar]:
    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        yield _Bar(progress)


def _products_said(report: ProductImportReport) -> list[str]:
    products = f"{report.inserted:,} products new, {report.updated:,} changed, {report.unchanged:,} as they were"
    lines = [f"{report.rows:,} rows in {report.seconds:.1f} s: {products}"]
    if report.duplicates:
        lines.append(f"{report.duplicates:,} rows count no more: their sku comes again further down")
    return lines


def _orders_said(report: OrderImportReport) -> list[str]:
    new = f"{report.orders:,} orders, {report.products:,} products and {report.cancellations:,} cancellations new"
    return [
        f"{report.rows:,} rows in {report.seconds:.1f} s: {new}; {report.unchanged:,} lines were known",
        f"sold      {report.sold_in_file:>16,} in the file, {report.sold_stored:>16,} in the books, {report.currency}",
        f"refunded  {report.refunded_in_file:>16,} in the file, {report.refunded_stored:>16,} in the books",
    ]


def _said(report: FileReport) -> list[str]:
    lines: list[str] = []
    if report.rejected:
        where = f", with the reasons in {report.rejects}" if report.rejects else ""
        lines.append(f"{report.rejected:,} rows refused{where}")
        shown = list(report.reasons.items())[:_REASONS_SHOWN]
        lines += [f"{count:>9,}  {printable(reason)}" for reason, count in shown]
        if len(report.reasons) > len(shown):
            lines.append(f"           and {len(report.reasons) - len(shown)} more reasons")
    if report.ignored:
        lines.append(f"columns not read: {', '.join(report.ignored)}")
    if report.dry_run:
        lines.append("dry run: nothing was stored")
    return lines
