"""
Invoices from files to orders: one transaction, of which everything is stored or nothing, and the books agree with the file.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime

from store._sync.queries import queries
from store._sync.session import Session
from store._sync.store import Store
from store.bulk._files import Place, opened
from store.bulk._invoices import InvoiceRules, Money
from store.bulk._readers import Table
from store.bulk._rejects import Rejects, csv_row
from store.bulk._reports import FileReport
from store.bulk._staging import PAGE, Progress, Staging, refuse_same, run_whole
from store.errors import BooksDiffer, Conflict, DuplicateOrder
from store.models import Count, Dto, Flag, Id

Layout = Literal["online-retail"]
"""Whose columns a file has; orders remember it as their source."""

_REASONS = {
    "other_currency": ("StockCode", "the product is not sold in {currency}, the currency of this import"),
    "other_customer": ("CustomerID", "the first line of this invoice names another customer"),
    "changed": ("InvoiceNo", "an earlier import has stored this invoice, and it said something else"),
    "too_many": ("Quantity", "a product of this invoice has more units in this file than stock can count"),
    "too_large": ("InvoiceNo", "the invoice comes to more than an amount can be"),
    "no_customer": ("CustomerID", "is missing, so that nobody can tell whose sale this cancels"),
    "no_sale": ("StockCode", "cancels a sale that is not in the file: no earlier one to this customer has as much of it left"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderImportReport(FileReport):
    """
    What became of the lines of a file: accepted = inserted + unchanged.
    """

    inserted: int
    orders: int
    """Orders that are new; so are products and cancellations."""
    products: int
    cancellations: int
    currency: str
    sold_in_file: Decimal
    """What the accepted lines of sales come to, added up while the file was read; the others likewise."""
    sold_stored: Decimal
    """What the lines of these orders come to, added up from the books."""
    refunded_in_file: Decimal
    refunded_stored: Decimal


class RefusedLine(Dto, frozen=True):
    """
    A staged line that cannot be stored, and why.
    """

    line: Id
    verdict: Literal["other_currency", "other_customer", "changed", "too_many", "too_large", "no_customer", "no_sale"]
    is_cancellation: Flag
    invoice: str
    sku: str
    name: str
    quantity: Count
    placed_at: AwareDatetime
    unit_price: Decimal
    customer: str | None


class OrderImportSums(Dto, frozen=True):
    """
    What an import took, and what stands in the books for it.
    """

    inserted: Count
    unchanged: Count
    orders: Count
    cancellations: Count
    sold: Decimal
    refunded: Decimal


def import_orders(
    store: Store,
    source: Place,
    *,
    layout: Layout = "online-retail",
    dry_run: bool = False,
    rejects: Path | None = None,
    progress: Progress | None = None,
) -> OrderImportReport:
    """
    Bring the invoices of an Online Retail file in: a path, `-` for standard input, or a binary file.

    An invoice becomes a paid order without a cart, dated by its first line, and what it sold was received on that day; products
    that are missing are created. A cancellation is refunded and returned against the customer's latest sale of the product.
    What an earlier import has stored is not touched. Refused lines go to the file `rejects` and keep nobody else out. Prices
    are in STORE_CURRENCY, times in UTC. Whatever ends the import early, nothing of it is stored; a dry run does everything and
    takes it back.

    Raises InvalidInput for a header that will not do, StoreError for a file that cannot be read, Conflict when another import
    stored the same invoices meanwhile: run it again; and BooksDiffer when the lines stored do not come to what the file says.
    """
    started = time.monotonic()
    refuse_same(source, rejects)
    currency = store.runtime.settings.currency
    with opened(source) as file, Rejects(rejects) as refused:
        table = Table(file)
        staging = Staging(file, table, refused, progress)

        def work(tx: Session) -> OrderImportReport:
            money = Money(tx.value(queries.order_imports.get_minor_units, currency=currency))
            return _Import(staging, InvoiceRules(table.header, money), money, currency, layout).run(tx)

        try:
            report = run_whole(store, work, dry_run=dry_run)
        except DuplicateOrder:
            message = "another import stored invoices of this file at the same time: nothing was stored, run it again"
            raise Conflict(message) from None
    return replace(report, seconds=round(time.monotonic() - started, 3), rejects=refused.path)


@dataclass(slots=True)
class _Import:
    _staging: Staging
    _rules: InvoiceRules
    _money: Money
    _currency: str
    _layout: Layout

    def run(self, tx: Session) -> OrderImportReport:
        """
        Stage, judge, write, compare, clear. Stock is locked last, as everywhere.
        """
        tx.call(queries.imports.prepare_import, {})
        self._staging.copy(tx, queries.order_imports.copy_order_lines_in, self._rules.staged)
        self._staging.report("checking")
        self._judge(tx)
        self._staging.report("merging")
        products = self._write_orders(tx)
        self._write_cancellations(tx)
        self._refuse(tx)
        sums = tx.one(OrderImportSums, queries.order_imports.sum_order_import, **self._source)
        self._compare(sums)
        tx.affected(queries.order_imports.move_imported_stock, **self._source)
        tx.affected(queries.order_imports.clear_order_import, **self._own)
        self._staging.rejects.flush()
        return OrderImportReport(
            rows=self._staging.rows,
            accepted=sums.inserted + sums.unchanged,
            rejected=self._staging.rejects.count,
            reasons=self._staging.rejects.reasons,
            inserted=sums.inserted,
            unchanged=sums.unchanged,
            orders=sums.orders,
            products=products,
            cancellations=sums.cancellations,
            currency=self._currency,
            sold_in_file=self._money.sold,
            sold_stored=sums.sold,
            refunded_in_file=self._money.refunded,
            refunded_stored=sums.refunded,
            seconds=0.0,
            dry_run=False,
            rejects=None,
            ignored=self._rules.ignored,
        )

    @property
    def _own(self) -> dict[str, Any]:
        return {"import_id": self._staging.id}

    @property
    def _source(self) -> dict[str, Any]:
        return {"import_id": self._staging.id, "source": self._layout}

    def _judge(self, tx: Session) -> None:
        # What is known must be known before limits are looked at, or a full shop would refuse what it already has.
        priced = {"currency": self._currency}
        tx.affected(queries.order_imports.number_cancellations, **self._own)
        tx.affected(queries.order_imports.judge_lines, **self._own, **priced)
        tx.affected(queries.order_imports.judge_invoices, **self._source)
        tx.affected(queries.order_imports.judge_cancellations, **self._source, **priced)
        tx.affected(queries.order_imports.judge_limits, **self._own, **priced)

    def _write_orders(self, tx: Session) -> int:
        priced = {"currency": self._currency}
        products = tx.affected(queries.order_imports.create_imported_products, **self._own, **priced)
        tx.affected(queries.order_imports.open_imported_inventory, **self._own)
        tx.affected(queries.order_imports.insert_imported_orders, **self._source, **priced)
        tx.affected(queries.order_imports.insert_imported_items, **self._source)
        tx.affected(queries.order_imports.record_imported_sales, **self._source)
        return products

    def _write_cancellations(self, tx: Session) -> None:
        turns = tx.value(queries.order_imports.queue_cancellations, **self._own)
        if turns:
            tx.value(queries.order_imports.lock_cancelled_orders, **self._source)
        for turn in range(1, turns + 1):
            tx.affected(queries.order_imports.match_cancellations, **self._source, currency=self._currency, turn=turn)
        tx.affected(queries.order_imports.judge_unmatched, **self._source)
        tx.affected(queries.order_imports.record_imported_refunds, **self._source)

    def _refuse(self, tx: Session) -> None:
        line = 0
        while True:
            page = tx.many(RefusedLine, queries.order_imports.list_refused_lines, **self._own, after_line=line, page_size=PAGE)
            for each in page:
                value = self._money.line(each.quantity, each.unit_price)
                self._money.add(-value, is_cancellation=each.is_cancellation)
                self._staging.rejects.add(each.line, *_explained(each, self._currency), _row(each))
            if len(page) < PAGE:
                return
            line = page[-1].line

    def _compare(self, sums: OrderImportSums) -> None:
        rows = sums.inserted + sums.unchanged + self._staging.rejects.count
        said = (self._money.sold, self._money.refunded, self._staging.rows)
        if said != (sums.sold, sums.refunded, rows):
            message = (
                f"the file sells {said[0]} and refunds {said[1]} in {said[2]} rows, the books have {sums.sold} and "
                f"{sums.refunded} in {rows}: nothing was stored"
            )
            raise BooksDiffer(message)


def _explained(line: RefusedLine, currency: str) -> tuple[str, str, str]:
    column, reason = _REASONS[line.verdict]
    values = {
        "CustomerID": line.customer or "",
        "InvoiceNo": line.invoice,
        "Quantity": _signed(line),
        "StockCode": line.sku,
    }
    return column, values[column], reason.format(currency=currency)


def _signed(line: RefusedLine) -> str:
    return str(-line.quantity if line.is_cancellation else line.quantity)


def _row(line: RefusedLine) -> str:
    moment = line.placed_at.strftime("%Y-%m-%d %H:%M:%S")
    return csv_row((line.invoice, line.sku, line.name, _signed(line), moment, line.unit_price, line.customer or ""))
