"""
An import of products from end to end: one transaction, of which everything is stored or nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

from store._sync.queries import queries
from store._sync.session import Session
from store._sync.store import Store
from store.bulk._files import Place, opened
from store.bulk._product_rules import FIELDS, Columns, ProductRules
from store.bulk._readers import Table
from store.bulk._rejects import Rejects, csv_row
from store.bulk._reports import FileReport
from store.bulk._staging import PAGE, Progress, Staging, refuse_same, run_whole
from store.errors import Conflict
from store.models import Count, Dto, Id

Delimiter = Literal[",", ";", "\t"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductImportReport(FileReport):
    """
    What became of the products of a file: accepted = inserted + updated + unchanged + duplicates.
    """

    inserted: int
    updated: int
    duplicates: int
    """Rows whose sku comes again further down, where it counts."""


class ImportConflict(Dto, frozen=True):
    """
    A staged row that the catalog cannot take.
    """

    line: Id
    problem: Literal["new_without_name", "new_without_price", "other_currency", "below_reserved"]
    currency_now: str | None
    reserved: Count | None
    sku: str
    name: str
    description: str | None
    price: Decimal
    currency: str
    is_active: bool
    on_hand: Count


class ImportHold(Dto, frozen=True):
    """
    How many units of the product in a line are held.
    """

    line: Count
    reserved: Count


class ImportCounts(Dto, frozen=True):
    """
    What a merge did, in products.
    """

    keys: Count
    inserted: Count
    updated: Count
    unchanged: Count


def import_products(
    store: Store,
    source: Place,
    *,
    mapping: Mapping[str, str] | None = None,
    delimiter: Delimiter = ",",
    dry_run: bool = False,
    rejects: Path | None = None,
    allow_zero_price: bool = False,
    progress: Progress | None = None,
) -> ProductImportReport:
    """
    Insert or update products from a CSV file with a header: a path, `-` for standard input, or a binary file.

    Of rows with one sku the last wins; fields without a column stay as they are. `mapping` says which column is which field.
    Refused rows go to the file `rejects` and keep nobody else out. Whatever ends the import early, nothing of it is stored; a
    dry run does everything and takes it back.

    Raises InvalidInput for a header that will not do, StoreError for a file that cannot be read, and Conflict when somebody
    changed the same products meanwhile: run it again.
    """
    started = time.monotonic()
    refuse_same(source, rejects)
    with opened(source) as file, Rejects(rejects) as refused:
        table = Table(file, delimiter=delimiter)
        columns = Columns(table.header, mapping or {})
        rules = ProductRules(
            columns, currency=store.runtime.settings.currency, allow_zero_price=allow_zero_price, is_quoted=table.is_quoted
        )
        importing = _Import(Staging(file, table, refused, progress), columns, rules)
        report = run_whole(store, importing.run, dry_run=dry_run)
    return replace(report, seconds=round(time.monotonic() - started, 3), rejects=refused.path)


@dataclass(slots=True)
class _Import:
    _staging: Staging
    _columns: Columns
    _rules: ProductRules

    def run(self, tx: Session) -> ProductImportReport:
        """
        Stage, check, merge, clear.
        """
        tx.call(queries.imports.prepare_import, {})
        self._staging.copy(tx, queries.imports.copy_products_in, self._rules.staged)
        self._staging.report("checking")
        self._refuse_conflicts(tx)
        self._staging.report("merging")
        has = {f"has_{name}": self._columns.has(name) for name in ("name", "description", "price", "on_hand")}
        counts = tx.one(
            ImportCounts,
            queries.imports.merge_products,
            import_id=self._staging.id,
            has_currency=self._names_currency,
            has_active=self._columns.has("is_active"),
            **has,
        )
        if counts.keys != counts.inserted + counts.updated + counts.unchanged:
            raise Conflict("somebody changed products of this import at the same time: nothing was stored, run it again")
        if counts.inserted or self._columns.has("on_hand"):
            tx.affected(queries.imports.record_import_movements, import_id=self._staging.id)
        tx.affected(queries.imports.clear_product_import, import_id=self._staging.id)
        self._staging.rejects.flush()
        accepted = self._staging.rows - self._staging.rejects.count
        return ProductImportReport(
            rows=self._staging.rows,
            accepted=accepted,
            rejected=self._staging.rejects.count,
            reasons=self._staging.rejects.reasons,
            inserted=counts.inserted,
            updated=counts.updated,
            unchanged=counts.unchanged,
            duplicates=accepted - counts.keys,
            seconds=0.0,
            dry_run=False,
            rejects=None,
            ignored=self._columns.ignored,
        )

    @property
    def _names_currency(self) -> bool:
        # A price without a currency is one in STORE_CURRENCY; a file without prices says nothing of currencies.
        return self._columns.has("price") or self._columns.has("currency")

    def _refuse_conflicts(self, tx: Session) -> None:
        line = 0
        while True:
            page = tx.many(
                ImportConflict,
                queries.imports.find_import_conflicts,
                import_id=self._staging.id,
                after_line=line,
                has_name=self._columns.has("name"),
                has_price=self._columns.has("price"),
                has_currency=self._names_currency,
                has_on_hand=self._columns.has("on_hand"),
                page_size=PAGE,
            )
            refused = self._still_refused(tx, page)
            for conflict in refused:
                name, reason = _explained(conflict)
                column, value = self._columns.names.get(name, name), str(getattr(conflict, name))
                row = csv_row(getattr(conflict, field) for field in FIELDS if self._columns.has(field))
                self._staging.rejects.add(conflict.line, column, value, reason, row)
            if refused:
                lines = [each.line for each in refused]
                tx.affected(queries.imports.drop_import_lines, import_id=self._staging.id, lines=lines)
            if page:
                line = page[-1].line
            if len(page) < PAGE:
                return

    def _still_refused(self, tx: Session, page: list[ImportConflict]) -> list[ImportConflict]:
        """
        Return the conflicts that are left when holds that are over count no more.
        """
        lines = [each.line for each in page if each.problem == "below_reserved"]
        if not lines:
            return page
        holds = tx.many(ImportHold, queries.imports.reclaim_import_holds, import_id=self._staging.id, lines=lines)
        held = {hold.line: hold.reserved for hold in holds}
        left = [each if each.line not in held else each.model_copy(update={"reserved": held[each.line]}) for each in page]
        return [each for each in left if each.problem != "below_reserved" or each.on_hand < (each.reserved or 0)]


def _explained(conflict: ImportConflict) -> tuple[str, str]:
    if conflict.problem == "other_currency":
        return "currency", f"the product is sold in {conflict.currency_now}, and the currency of a product never changes"
    if conflict.problem == "below_reserved":
        return "on_hand", f"{conflict.reserved} units of the product are reserved, so there cannot be fewer"
    missing = conflict.problem.removeprefix("new_without_")
    return "sku", f"there is no such product, and without a column {missing} it cannot be created"
