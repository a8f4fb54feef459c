"""
Invoices from files, on a real server, as the application's role: each ends with books that are right.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import Order, Store
from store.bulk import OrderImportReport, import_orders
from store.bulk._rejects import kind_of
from store.errors import BooksDiffer, Conflict, InvalidInput
from tests import samples
from tests.databases import Connection
from tests.faults import faults
from tests.test_import import refused, retail_file
from tests.waiting import until

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"

NO_SALE = "cancels a sale that is not in the file: no earlier one to this customer has as much of it left"
CHANGED = "an earlier import has stored this invoice, and it said something else"


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    with Store.open(samples.settings(dsn, currency="GBP")) as store:
        yield store


@pytest.fixture
def rejects(tmp_path: Path) -> Path:
    return tmp_path / "rejects.csv"


def line(
    invoice: str, code: str, quantity: int, price: str = "2.55", customer: str = "17850.0", day: str = "2010-12-01"
) -> str:
    return f"{invoice},{code},Lamp {code.upper()},{quantity},{day} 08:26:00,{price},{customer},United Kingdom\n"


def load(shop: Store, *lines: str, **options: Any) -> OrderImportReport:
    report = import_orders(shop, io.BytesIO((HEADER + "".join(lines)).encode()), **options)

    assert report.rows == report.accepted + report.rejected
    assert report.accepted == report.inserted + report.unchanged
    assert (report.sold_in_file, report.refunded_in_file) == (report.sold_stored, report.refunded_stored)
    return report


def everything(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """
    Return all rows with where they lie: equal before and after means that nothing was written.
    """
    return {
        table: connection.execute(f"SELECT t.ctid, t.xmin, t::text FROM store.{table} AS t ORDER BY t.ctid".encode()).fetchall()
        for table in samples.tables(connection)
    }


def order(shop: Store, connection: Connection, invoice: str) -> Order:
    row = connection.execute(
        "SELECT id FROM store.orders WHERE source = 'online-retail' AND external_ref = %s", (invoice,)
    ).fetchone()

    assert row is not None

    return shop.orders.get(row[0])


def movements(shop: Store, code: str) -> list[tuple[str, int, int, datetime]]:
    product = shop.catalog.get_by_sku(code)
    return [
        (each.kind, each.quantity, each.on_hand_after, each.created_at)
        for each in reversed(list(shop.inventory.history(product.id)))
    ]


# --- real rows -------------------------------------------------------------------------------------------------------


class Recount:
    """
    What must come out of a file, said in plain Python, line by line.
    """

    def __init__(self, path: Path) -> None:
        self.reasons: dict[int, str] = {}
        self.orders: dict[str, list[tuple[str, str, int, Decimal]]] = defaultdict(list)
        self.sold = self.refunded = Decimal(0)
        self.cancellations = 0
        self._sales: dict[tuple[str, str], dict[str, list[Any]]] = defaultdict(dict)
        with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
            for self.rows, row in enumerate(csv.DictReader(file), start=1):
                reason = self._take(row)
                if reason:
                    self.reasons[self.rows + 1] = reason

    def _take(self, row: dict[str, str]) -> str:
        code, name = row["StockCode"].upper(), row["Description"].strip()
        quantity, price = int(row["Quantity"]), Decimal(row["UnitPrice"])
        is_cancellation = row["InvoiceNo"].startswith("C")
        if not re.fullmatch(r"[0-9]{5}[A-Z]*|DCGS.*|GIFT_.*", code):
            return "is no product: five digits and letters, DCGS... or gift_..."
        if not name:
            return "is missing"
        if quantity < 0 and not is_cancellation:
            return "is negative and the invoice no cancellation: a correction of stock, no sale"
        if price == 0:
            return "must not be 0: nothing was sold for it"
        sales = self._sales[row["CustomerID"], code]
        if is_cancellation:
            return self._cancel(row["CustomerID"], list(sales.values()), -quantity, price)
        self.orders[row["InvoiceNo"]].append((code, name, quantity, price))
        self.sold += quantity * price
        sale = sales.setdefault(row["InvoiceNo"], [0, Decimal(0)])
        sale[0] += quantity
        sale[1] += quantity * price
        return ""

    def _cancel(self, customer: str, sales: list[list[Any]], quantity: int, price: Decimal) -> str:
        if not customer:
            return "is missing, so that nobody can tell whose sale this cancels"
        for sale in reversed(sales):  # the file goes by date
            if sale[0] >= quantity and sale[1] >= quantity * price:
                sale[0] -= quantity
                sale[1] -= quantity * price
                self.refunded += quantity * price
                self.cancellations += 1
                return ""
        return NO_SALE


def test_real_invoices_become_orders(shop: Store, connect_admin: Connection, rejects: Path) -> None:
    """
    December 2010, whole: to the penny, with books that are right, and a second import changes nothing.
    """
    path = retail_file()
    expected = Recount(path)
    report = import_orders(shop, path, rejects=rejects)

    assert (42_481, 1_550, 298) == (expected.rows, len(expected.orders), expected.cancellations)
    assert expected.reasons == {number: reason for number, _, _, reason in refused(rejects)}
    assert (expected.rows, len(expected.reasons), len(expected.orders), expected.cancellations) == (
        report.rows, report.rejected, report.orders, report.cancellations
    )  # fmt: skip
    assert (expected.sold, expected.sold) == (report.sold_in_file, report.sold_stored)
    assert (expected.refunded, expected.refunded) == (report.refunded_in_file, report.refunded_stored)
    assert {} == faults(connect_admin)
    stored: dict[str, list[tuple[str, str, int, Decimal]]] = defaultdict(list)
    for invoice, *item in connect_admin.execute(
        "SELECT o.external_ref, upper(i.sku), i.name, i.quantity, i.unit_price FROM store.orders AS o"
        " INNER JOIN store.order_items AS i ON i.order_id = o.id ORDER BY o.id, i.line_no"
    ).fetchall():
        stored[invoice].append((item[0], item[1], item[2], item[3]))
    assert expected.orders == stored

    before = everything(connect_admin)
    again = import_orders(shop, path, rejects=rejects)
    assert (0, 0, 0, 0, report.inserted, report.rejected) == (
        again.inserted, again.orders, again.products, again.cancellations, again.unchanged, again.rejected
    )  # fmt: skip
    assert (report.sold_stored, report.refunded_stored) == (again.sold_stored, again.refunded_stored)
    assert before == everything(connect_admin)


# --- each rule -------------------------------------------------------------------------------------------------------


def test_an_invoice_becomes_a_paid_order(shop: Store, connect_admin: Connection) -> None:
    """
    Lines as they stand, a line that comes twice as two, spellings of a code as one product, and stock that came and went.
    """
    report = load(
        shop,
        line("536365", "85123a", 6),
        line("536365", "71053", 2, "3.39", day="2010-12-02"),
        line("536365", "85123A", 6),
        line("536365", "85123A", 1, "2.95"),
    )
    placed = order(shop, connect_admin, "536365")

    assert (4, 1, 2, Decimal("40.33")) == (report.inserted, report.orders, report.products, report.sold_stored)
    day = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert ("paid", "GBP", Decimal("40.33"), 2, day) == (
        placed.status, placed.currency, placed.total, placed.version, placed.placed_at
    )  # fmt: skip
    assert [
        ("85123A", "Lamp 85123A", 6),
        ("71053", "Lamp 71053", 2),
        ("85123A", "Lamp 85123A", 6),
        ("85123A", "Lamp 85123A", 1),
    ] == [(each.sku, each.name, each.quantity) for each in placed.lines]
    assert [("import", "online-retail:536365", Decimal("40.33"), Decimal(0))] == [
        (each.provider, each.provider_ref, each.captured, each.refunded) for each in placed.payments
    ]
    assert [("placed", day), ("paid", day)] == [(each.to_status, each.at) for each in placed.events]
    assert [("received", 13, 13, day), ("sold", -13, 0, day)] == movements(shop, "85123A")
    assert Decimal("2.95") == shop.catalog.get_by_sku("85123A").price
    assert {} == faults(connect_admin)
    cart = shop.carts.create_guest()
    assert cart.id > placed.id  # drawn from one sequence


def test_a_cancellation_takes_back_the_latest_sale(shop: Store, connect_admin: Connection) -> None:
    """
    The latest sale of this customer, not after it, with enough left; what is taken back to the last penny is refunded.
    """
    report = load(
        shop,
        line("1", "71053", 10, "1.00", day="2010-12-01"),
        line("2", "71053", 4, "1.00", day="2010-12-02"),
        line("3", "71053", 50, "1.00", customer="", day="2010-12-02"),
        line("4", "71053", 50, "1.00", customer="99", day="2010-12-02"),
        line("C5", "71053", -3, "1.00", day="2010-12-03"),
        line("C5", "71053", -2, "1.00", day="2010-12-03"),
        line("C6", "71053", -1, "0.90", day="2010-12-03"),
        line("7", "71053", 50, "1.00", day="2010-12-04"),
        line("C8", "71053", -8, "1.00", day="2010-12-05"),
    )

    assert (4, 0, Decimal("13.90")) == (report.cancellations, report.rejected, report.refunded_stored)
    refunds = {invoice: order(shop, connect_admin, invoice).payments[0].refunded for invoice in "12347"}
    assert {"1": Decimal(2), "2": Decimal("3.90"), "3": 0, "4": 0, "7": Decimal(8)} == refunds
    kinds = ["received", "sold"] * 4 + ["returned"] * 3 + ["received", "sold", "returned"]
    assert kinds == [each[0] for each in movements(shop, "71053")]
    assert 14 == shop.inventory.get(shop.catalog.get_by_sku("71053").id).on_hand
    assert {} == faults(connect_admin)


def test_what_is_taken_back_whole_is_refunded(shop: Store, connect_admin: Connection) -> None:
    load(
        shop,
        line("1", "71053", 10, "1.005"),
        line("1", "85123A", 1),
        line("C2", "85123A", -1),
        line("C3", "71053", -10, "1.005"),
    )
    found = order(shop, connect_admin, "1")

    assert ("refunded", 3, Decimal("12.60")) == (found.status, found.version, found.payments[0].refunded)
    assert {} == faults(connect_admin)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([line("C2", "71053", -1)], NO_SALE),
        ([line("1", "71053", 5), line("C2", "71053", -6)], NO_SALE),
        ([line("1", "71053", 5), line("C2", "71053", -5), line("C3", "71053", -1)], NO_SALE),
        ([line("1", "71053", 5), line("C2", "71053", -5, "2.56")], NO_SALE),
        ([line("1", "71053", 5), line("C2", "85123A", -5)], NO_SALE),
        ([line("1", "71053", 5, customer="1"), line("C2", "71053", -5, customer="2")], NO_SALE),
        ([line("1", "71053", 5, day="2010-12-02"), line("C2", "71053", -5)], NO_SALE),
        (
            [line("1", "71053", 5, customer=""), line("C2", "71053", -5, customer="")],
            "is missing, so that nobody can tell whose sale this cancels",
        ),
        (
            [line("1", "71053", 5), line("1", "71053", 5, customer="2")],
            "the first line of this invoice names another customer",
        ),
        (
            [line("1", "71053", 600_000_000), line("2", "71053", 600_000_000)],
            "a product of this invoice has more units in this file than stock can count",
        ),
        (
            [line("1", "71053", 900, "999999999"), line("1", "85123A", 900, "999999999")],
            "the invoice comes to more than an amount can be",
        ),
        ([line("1", "POST", 1)], "is no product: five digits and letters, DCGS... or gift_..."),
        ([line("1", "71053", -1)], "is negative and the invoice no cancellation: a correction of stock, no sale"),
        ([line("C1", "71053", 1)], "must be negative in a cancellation"),
        ([line("1", "71053", 0)], "must be a whole number, not 0, of at most 1000000000"),
        ([line("1", "71053", 1, "0")], "must not be 0: nothing was sold for it"),
        ([line("1", "71053", 1, "0.004")], "comes to nothing, with 1 units"),
        ([line("1", "71053", 1000, "999999999999")], "makes the line worth more than an amount can be, with 1000 units"),
        ([line("1", "71053", 1, "-1")], "must not be negative"),
        ([line("A1", "71053", 1)], "must be digits, behind a C for a cancellation"),
        ([line("1", "71053", 1, customer="Ada")], "must be digits, or empty"),
        ([line("1", "71053", 1).replace("Lamp", "La\u200bmp")], "holds U+200B, which cannot be seen"),
        ([line("1", "71053", 1).replace("Lamp", "\x1b[2JLamp")], "holds U+001B, a control character"),
        ([line("1", "71053", 1).replace("Lamp", "La\tmp")], "holds U+0009, a control character"),
        ([line("C1\u202e", "71053", -1)], "holds U+202E, which cannot be seen"),
        ([line("1", "71053\ufeff", 1)], "holds U+FEFF, which cannot be seen"),
        ([line("1", "71053", 1, customer="1\u20602")], "holds U+2060, which cannot be seen"),
        (
            [line("1", "71053", 1, day="2010-02-30")],
            "must be a date and time like 2010-12-01 08:26:00, between the years 2000 and 2200",
        ),
        (
            [line("1", "71053", 1, day="1999-12-31")],
            "must be a date and time like 2010-12-01 08:26:00, between the years 2000 and 2200",
        ),
    ],
)
def test_reasons(shop: Store, connect_admin: Connection, rejects: Path, lines: list[str], reason: str) -> None:
    """
    Each untidy line goes to the rejects, and stays there the second time.
    """
    load(shop, *lines, rejects=rejects)
    first = refused(rejects)

    assert {reason} == {each[3] for each in first}
    assert len(lines) + 1 == first[-1][0]
    assert {} == faults(connect_admin)

    before = everything(connect_admin)
    assert 0 == load(shop, *lines, rejects=rejects).inserted
    assert first == refused(rejects)
    assert before == everything(connect_admin)


def test_bad_bytes_and_broken_rows(shop: Store, connect_admin: Connection, rejects: Path) -> None:
    data = HEADER.encode() + line("1", "71053", 1).encode() + b"2,71053,caf\xe9,1,2010-12-01 08:26:00,1,,\n3,71053\n"
    report = import_orders(shop, io.BytesIO(data + line("4", "71053", 1).encode()), rejects=rejects)

    assert (4, 2, 2) == (report.rows, report.orders, report.rejected)
    assert {"is not UTF-8": 1, "the row has … fields and the header has 8": 1} == report.reasons
    assert [(3, "Description", "is not UTF-8"), (4, "", "the row has 2 fields and the header has 8")] == [
        (number, column, reason) for number, column, _, reason in refused(rejects)
    ]
    assert {} == faults(connect_admin)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("InvoiceNo,Quantity\n", "the file has no column StockCode, but InvoiceNo, Quantity: online-retail has InvoiceNo"),
        ("InvoiceNo," + HEADER, "the file has 2 times the column InvoiceNo"),
        ("", "is empty"),
    ],
)
def test_a_header_that_will_not_do(shop: Store, header: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        import_orders(shop, io.BytesIO(header.encode()))


def test_a_product_in_another_currency_is_refused(shop: Store, connect_admin: Connection, rejects: Path) -> None:
    shop.catalog.create(samples.product("71053", currency="EUR"))
    report = load(shop, line("1", "71053", 1), line("1", "85123A", 1), rejects=rejects)

    assert (1, 1, 1) == (report.orders, report.inserted, report.rejected)
    assert [(2, "StockCode", "71053", "the product is not sold in GBP, the currency of this import")] == refused(rejects)
    assert {"the product is not sold in GBP, the currency of this import": 1} == report.reasons
    assert {} == faults(connect_admin)


def test_a_product_that_is_there_stays_as_it_is(shop: Store, connect_admin: Connection) -> None:
    """
    Orders say what things cost then; the catalog says what they cost now. Stock that is there stays there.
    """
    lamp = shop.catalog.create(samples.product("71053", currency="GBP", price=Decimal(9)))
    before = shop.inventory.get(lamp.id)
    load(shop, line("1", "71053", 5))

    assert (lamp, before) == (shop.catalog.get(lamp.id), shop.inventory.get(lamp.id))
    assert {} == faults(connect_admin)


# --- again -----------------------------------------------------------------------------------------------------------


def test_a_known_invoice_that_says_something_else_is_refused(shop: Store, connect_admin: Connection, rejects: Path) -> None:
    load(shop, line("1", "71053", 5), line("1", "85123A", 1), line("C2", "71053", -1))
    before = everything(connect_admin)
    for lines in (
        [line("1", "71053", 6), line("1", "85123A", 1)],
        [line("1", "71053", 5)],
        [line("1", "71053", 5), line("1", "85123A", 1), line("1", "85123A", 1)],
        [line("1", "85123A", 1), line("1", "71053", 5)],
        [line("1", "71053", 5, day="2010-12-02"), line("1", "85123A", 1)],
        [line("1", "71053", 5, customer=""), line("1", "85123A", 1, customer="")],
        [line("1", "71053", 5, "2.56"), line("1", "85123A", 1)],
        [line("1", "71053", 5), line("1", "85123A", 1).replace("Lamp", "Bell")],
        [line("C2", "71053", -2)],
        [line("C2", "71053", -1, "2.54")],
        [line("C2", "71053", -1, customer="2")],
        [line("C2", "85123A", -1)],
        [line("C2", "71053", -1, day="2010-12-02")],
    ):
        report = load(shop, *lines, rejects=rejects)

        assert (0, len(lines)) == (report.accepted, report.rejected), lines
        assert {CHANGED} == {each[3] for each in refused(rejects)}
        assert before == everything(connect_admin)


def test_a_later_file_cancels_an_earlier_ones_sale(shop: Store, connect_admin: Connection) -> None:
    load(shop, line("1", "71053", 5, "1.00"), line("C2", "71053", -1, "1.00"))
    load(
        shop,
        line("C2", "71053", -1, "1.00"),
        line("C2", "71053", -2, "1.00"),
        line("C3", "71053", -2, "1.00", day="2010-12-09"),
    )
    found = order(shop, connect_admin, "1")

    assert ("refunded", Decimal(5)) == (found.status, found.payments[0].refunded)
    assert 5 == shop.inventory.get(found.lines[0].product_id).on_hand
    assert {} == faults(connect_admin)


def test_what_the_shop_refunded_itself_is_not_refunded_again(shop: Store, connect_admin: Connection, rejects: Path) -> None:
    load(shop, line("1", "71053", 5, "1.00"), line("2", "85123A", 5, "1.00"))
    first, second = order(shop, connect_admin, "1"), order(shop, connect_admin, "2")
    shop.payments.refund(first.id, payment_no=1, amount=Decimal(1), idempotency_key="by hand")
    shop.orders.refund(second.id, restock=True)
    report = load(shop, line("C3", "71053", -1, "1.00"), line("C4", "85123A", -1, "1.00"), rejects=rejects)

    assert 2 == report.rejected
    assert {NO_SALE} == {each[3] for each in refused(rejects)}
    assert {} == faults(connect_admin)


def test_a_refund_brings_back_only_what_is_still_out(shop: Store, connect_admin: Connection) -> None:
    load(
        shop,
        line("1", "71053", 5, "1.00"),
        line("1", "85123A", 1, "1.00"),
        line("1", "22727", 3, "1.00"),
        line("C2", "71053", -2, "1.00"),
        line("C2", "22727", -3, "1.00"),
    )
    found = order(shop, connect_admin, "1")
    done = shop.orders.refund(found.id, restock=True)

    assert ("refunded", Decimal(9)) == (done.status, done.payments[0].refunded)
    assert ["received", "sold", "returned"] == [each[0] for each in movements(shop, "22727")]
    assert 5 == shop.inventory.get(found.lines[0].product_id).on_hand
    assert {} == faults(connect_admin)


def test_a_dry_run_takes_everything_back(shop: Store, connect_admin: Connection, rejects: Path) -> None:
    before = everything(connect_admin)
    report = load(shop, line("1", "71053", 5), line("1", "POST", 5), dry_run=True, rejects=rejects)

    assert (True, 1, 1, 1) == (report.dry_run, report.orders, report.products, report.rejected)
    assert before == everything(connect_admin)
    assert 1 == len(refused(rejects))


def test_books_that_differ_from_the_file_are_not_kept(
    shop: Store, connect_admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Both sums are taken apart from each other: where Python read another price than PostgreSQL stored, nothing is kept.
    """
    monkeypatch.setattr("store.bulk._invoices.Money.line", lambda _, quantity, price: quantity * price + Decimal("0.01"))
    before = everything(connect_admin)
    with pytest.raises(BooksDiffer, match=r"the file sells 2\.56 and refunds 0.00 in 1 rows, the books have 2\.55"):
        load(shop, line("1", "71053", 1))

    assert before == everything(connect_admin)


def test_an_import_beside_another_of_the_same_invoices(shop: Store, dsn: str, connect_admin: Connection) -> None:
    """
    Both cannot store them: the later one hears of it, and the next time finds them known.
    """

    def first(tick: Any) -> None:
        if tick.step == "merging":
            with Store.open(samples.settings(dsn, currency="GBP")) as other:
                load(other, line("1", "71053", 5))

    with pytest.raises(Conflict, match="run it again"):
        load(shop, line("1", "71053", 5), progress=first)

    assert 1 == load(shop, line("1", "71053", 5)).unchanged
    assert {} == faults(connect_admin)


def test_stock_that_moves_meanwhile_is_counted_from_where_it_is(shop: Store, dsn: str, connect_admin: Connection) -> None:
    """
    The import waits for whoever is changing the stock, and goes on from what they left.
    """
    lamp = shop.catalog.create(samples.product("71053", currency="GBP"))
    before = shop.inventory.get(lamp.id).on_hand
    with Store.open(samples.settings(dsn)) as other, ThreadPoolExecutor(1) as pool:
        with other.transaction() as tx:
            tx.inventory.adjust(lamp.id, delta=7)
            importing = pool.submit(load, shop, line("1", "71053", 5), line("C2", "71053", -2))
            until(
                lambda: (
                    connect_admin.execute(
                        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%move_imported_stock%'"
                        " AND pid <> pg_backend_pid()"
                    ).fetchone()
                    is not None
                ),
                "the import to wait",
            )
        assert 2 == importing.result().inserted

    assert before + 9 == shop.inventory.get(lamp.id).on_hand
    assert {} == faults(connect_admin)


def test_the_report_as_json(shop: Store) -> None:
    said = json.loads(load(shop, line("1", "71053", 5)).as_json())

    assert ("12.75", "12.75", 1, ["Country"]) == (said["sold_in_file"], said["sold_stored"], said["orders"], said["ignored"])


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("the row has 3 fields and the header has 8 (lines 4 to 9)", "the row has … fields and the header has 8 (lines …)"),
        ("comes to nothing, with -3 units", "comes to nothing, with … units"),
        ("12 units of the product are reserved, so", "… units of the product are reserved, so"),
        ("holds U+200B, U+2060, which cannot be seen", "holds …, which cannot be seen"),
        ("must have at most 255 characters", "must have at most 255 characters"),
    ],
)
@pytest.mark.serverless
def test_a_reason_is_counted_without_what_stands_in_the_row(reason: str, kind: str) -> None:
    assert kind == kind_of(reason)


# --- any rows --------------------------------------------------------------------------------------------------------

_LINES = st.builds(
    line,
    st.sampled_from(["1", "2", "3", "C4", "C5", "x"]),
    st.sampled_from(["71053", "85123a", "85123A", "POST"]),
    st.integers(-4, 9),
    st.sampled_from(["1", "0.335", "2.55", "0.0049", "0", "1.9999"]),
    st.sampled_from(["1", "1.0", "2", ""]),
    st.sampled_from(["2010-12-01", "2010-12-02"]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(st.lists(_LINES, max_size=12), min_size=1, max_size=3))
def test_the_books_are_right_whatever_the_files_say(shop: Store, connect_admin: Connection, files: list[list[str]]) -> None:
    """
    Sums agree with the file, invariants hold, and the same file again changes nothing; over what files before have left.
    """
    for lines in files:
        load(shop, *lines)
        before = everything(connect_admin)

        assert {} == faults(connect_admin)
        assert 0 == load(shop, *lines).inserted
        assert before == everything(connect_admin)
