"""
Catalogs from files, on a real server, as the application's role.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import Store
from store._sync.queries import queries
from store.bulk import ProductImportReport, import_products
from store.errors import Conflict, InvalidInput, NotFound, OutOfStock, PermissionDenied, StoreError
from tests import samples
from tests.databases import Connection
from tests.faults import faults

RETAIL = "online-retail-2010-12.csv.xz"
RETAIL_MAP = {"StockCode": "sku", "Description": "name", "UnitPrice": "price"}


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    with Store.open(samples.settings(dsn)) as store:
        yield store


@pytest.fixture
def rejects(tmp_path: Path) -> Path:
    return tmp_path / "rejects.csv"


def load(shop: Store, text: str | bytes, **options: Any) -> ProductImportReport:
    return import_products(shop, io.BytesIO(text if isinstance(text, bytes) else text.encode()), **options)


def refused(path: Path) -> list[tuple[int, str, str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [(int(row["line"]), row["column"], row["value"], row["reason"]) for row in csv.DictReader(file)]


def catalog(connection: Connection) -> list[tuple[Any, ...]]:
    """
    Return all there is of every product, system columns included: equal before and after means that nothing was written.
    """
    return connection.execute(
        "SELECT p.ctid, p.xmin, i.ctid, i.xmin, p.id, p.sku, p.name, p.description, p.price, p.currency, p.is_active,"
        " i.on_hand, p.updated_at FROM store.products AS p LEFT JOIN store.inventory AS i ON i.product_id = p.id ORDER BY p.sku"
    ).fetchall()


def counts(report: ProductImportReport) -> tuple[int, ...]:
    assert report.rows == report.accepted + report.rejected
    assert report.accepted == report.inserted + report.updated + report.unchanged + report.duplicates
    return (report.rows, report.rejected, report.inserted, report.updated, report.unchanged, report.duplicates)


ALL = """sku,name,description,price,currency,is_active,on_hand
A-1,Lamp,A red one,2.50,EUR,true,5
A-2,Bell,,19.9999,USD,false,0
"""


def test_import_as_app_role(shop: Store, connect_admin: Connection) -> None:
    """
    The application's role can do it, with every column, and nothing is left in the staging table.
    """
    report = load(shop, ALL)

    assert (2, 0, 2, 0, 0, 0) == counts(report)
    lamp, bell = shop.catalog.get_by_sku("a-1"), shop.catalog.get_by_sku("A-2")
    assert ("Lamp", "A red one", Decimal("2.50"), "EUR", True, 5) == (
        lamp.name, lamp.description, lamp.price, lamp.currency, lamp.is_active, lamp.inventory_count,
    )  # fmt: skip
    assert ("Bell", None, Decimal("19.9999"), "USD", False, 0) == (
        bell.name, bell.description, bell.price, bell.currency, bell.is_active, bell.inventory_count,
    )  # fmt: skip
    assert connect_admin.execute("SELECT count(*) FROM store.product_imports").fetchone() == (0,)


def test_a_second_import_changes_nothing(shop: Store, connect_admin: Connection) -> None:
    load(shop, ALL)
    before = catalog(connect_admin)
    report = load(shop, ALL)

    assert (2, 0, 0, 0, 2, 0) == counts(report)
    assert before == catalog(connect_admin)


def test_of_rows_with_one_sku_the_last_wins(shop: Store) -> None:
    report = load(shop, "sku,name,price\na-1,Old,1\nA-2,Other,1\nA-1,New,2\n")

    assert (3, 0, 2, 0, 0, 1) == counts(report)
    product = shop.catalog.get_by_sku("A-1")
    assert ("A-1", "New", Decimal(2)) == (product.sku, product.name, product.price)


def test_a_refused_row_does_not_win(shop: Store) -> None:
    report = load(shop, "sku,name,price\nA-1,Good,1\nA-1,Bad,-1\n")

    assert (2, 1, 1, 0, 0, 0) == counts(report)
    assert "Good" == shop.catalog.get_by_sku("A-1").name


def test_only_the_columns_of_the_file_are_touched(shop: Store, connect_admin: Connection) -> None:
    load(shop, ALL)
    before = {sku: shop.catalog.get_by_sku(sku) for sku in ("A-1", "A-2")}
    report = load(shop, "sku,price,currency\na-1,3,EUR\nA-2,19.9999,USD\n")

    assert (2, 0, 0, 1, 1, 0) == counts(report)
    after = shop.catalog.get_by_sku("A-1")
    assert before["A-1"].model_copy(update={"price": Decimal(3), "updated_at": after.updated_at}) == after
    assert after.updated_at > before["A-1"].updated_at
    assert before["A-2"] == shop.catalog.get_by_sku("A-2")


def test_stock_alone_leaves_the_product_row_alone(shop: Store, connect_admin: Connection) -> None:
    load(shop, ALL)
    before = catalog(connect_admin)
    report = load(shop, "sku,on_hand\nA-1,7\nA-2,0\n")

    assert (2, 0, 0, 1, 1, 0) == counts(report)
    after = catalog(connect_admin)
    assert 7 == after[0][11]
    assert [row[:2] + row[4:11] for row in before] == [row[:2] + row[4:11] for row in after]
    assert before[1] == after[1]


def test_an_empty_description_clears_it(shop: Store) -> None:
    load(shop, ALL)
    load(shop, "sku,description\nA-1,\n")

    assert shop.catalog.get_by_sku("A-1").description is None


def test_without_a_currency_the_price_is_in_the_shops(shop: Store, rejects: Path) -> None:
    load(shop, ALL)
    report = load(shop, "sku,name,price\nA-3,Cup,1\nA-2,Bell,1\n", rejects=rejects)

    assert (2, 1, 1, 0, 0, 0) == counts(report)
    assert "EUR" == shop.catalog.get_by_sku("A-3").currency
    assert [(3, "currency", "EUR", "the product is sold in USD, and the currency of a product never changes")] == refused(
        rejects
    )


def test_a_file_without_prices_says_nothing_of_currencies(shop: Store) -> None:
    load(shop, ALL)
    report = load(shop, "sku,name\nA-2,Big bell\n")

    assert (1, 0, 0, 1, 0, 0) == counts(report)
    assert ("Big bell", "USD") == (shop.catalog.get_by_sku("A-2").name, shop.catalog.get_by_sku("A-2").currency)


@pytest.mark.parametrize(
    ("header", "row", "missing"),
    [("sku,price", "N-1,1", "name"), ("sku,name", "N-1,x", "price"), ("sku,on_hand", "N-1,1", "name")],
)
def test_a_new_product_needs_a_name_and_a_price(shop: Store, rejects: Path, header: str, row: str, missing: str) -> None:
    report = load(shop, f"{header}\n{row}\n", rejects=rejects)

    assert (1, 1, 0, 0, 0, 0) == counts(report)
    assert [(2, "sku", "N-1", f"there is no such product, and without a column {missing} it cannot be created")] == refused(
        rejects
    )
    with pytest.raises(NotFound):
        shop.catalog.get_by_sku("N-1")


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_is_held_no_more_stops_no_import(shop: Store, connect_admin: Connection, rejects: Path, dry_run: bool) -> None:
    """
    Of two holds one is over: stock may be set down to the other, and not below it.
    """
    load(shop, ALL)
    lamp = shop.catalog.get_by_sku("A-1")
    live, over = shop.carts.create_guest().id, shop.carts.create_guest().id
    for cart in (live, over):
        shop.inventory.reserve(cart, lines=[(lamp.id, 2)])
    connect_admin.execute("UPDATE store.reservations SET expires_at = now() - interval '1 s' WHERE cart_id = %s", (over,))

    assert load(shop, "sku,on_hand\nA-1,2\n", rejects=rejects, dry_run=dry_run).rejected == 0
    assert load(shop, "sku,on_hand\nA-1,1\n", rejects=rejects, dry_run=dry_run).rejected == 1
    assert shop.inventory.get(lamp.id).on_hand == (5 if dry_run else 2)
    assert faults(connect_admin) == {}


def test_stock_below_what_is_reserved_is_refused(shop: Store, connect_admin: Connection, rejects: Path) -> None:
    load(shop, ALL)
    connect_admin.execute("UPDATE store.inventory SET reserved = 4 WHERE on_hand = 5")
    report = load(shop, "Code,on_hand\nA-1,3\nA-2,9\nA-1,4\n", mapping={"Code": "sku"}, rejects=rejects)

    assert (3, 1, 0, 2, 0, 0) == counts(report)
    assert [(2, "on_hand", "3", "4 units of the product are reserved, so there cannot be fewer")] == refused(rejects)
    with rejects.open() as file:
        assert "A-1,3" == next(csv.DictReader(file))["row"]


def test_conflicts_come_in_pages(shop: Store, rejects: Path) -> None:
    text = "sku,price\n" + "".join(f"N-{number},1\n" for number in range(2500))
    report = load(shop, text, rejects=rejects)

    assert (2500, 2500, 0, 0, 0, 0) == counts(report)
    assert list(range(2, 2502)) == [row[0] for row in refused(rejects)]


def test_rejects_say_line_column_value_and_reason(shop: Store, rejects: Path) -> None:
    data = (
        b"sku,name,price,note\n"
        b"A-1,Lamp,2.50,\xff fine\n"
        b"A-2,Caf\xe9,1,\n"
        b"A-3,Nul\x00,1,\n"
        b'A-4,Pot,free,"two\nlines"\n'
        b"A-5,Cup,0,\n"
        b"A-6\n"
        b'A-7,"x"y,1,\n'
        b"A-8," + b"x" * 10_000_000 + b",1,\n"
        b"A-9,Huge," + b"9" * 500 + b",\n"
        b"A-10,Bell,1.5,\n"
    )
    report = load(shop, data, rejects=rejects)

    assert (10, 8, 2, 0, 0, 0) == counts(report)
    assert (rejects, ("note",)) == (report.rejects, report.ignored)
    assert [
        (3, "name", r"Caf\xe9", "is not UTF-8"),
        (4, "name", r"Nul\x00", "must not hold a NUL character"),
        (5, "price", "free", "must be plain digits, with a point before the decimals, like 19.99"),
        (7, "price", "0", "must not be 0 (--allow-zero-price lets it pass)"),
        (8, "", "", "the row has 1 fields and the header has 4"),
        (9, "", "", "there is text between a closing quote and the next delimiter"),
        (10, "", "", "the row is longer than 1048576 bytes"),
        (11, "price", "9" * 200 + "… (500 characters)", "must be plain digits, with a point before the decimals, like 19.99"),
    ] == refused(rejects)
    with rejects.open(newline="", encoding="utf-8") as file:
        rows = [row["row"] for row in csv.DictReader(file)]
    assert 'A-4,Pot,free,"two\nlines"' == rows[2]
    assert "A-6" == rows[4]
    assert rows[6].startswith("A-8,xxx")
    assert rows[6].endswith("x… (1048576 characters)")


def test_without_rejects_there_is_no_file(shop: Store, rejects: Path) -> None:
    report = load(shop, ALL, rejects=rejects)

    assert report.rejects is None
    assert not rejects.exists()
    assert load(shop, "sku,price\nA-1,x\n").rejected == 1


def test_rejects_that_cannot_be_written_end_the_import(shop: Store, connect_admin: Connection, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        load(shop, ALL + "A-3,x,,0,EUR,t,1\n", rejects=tmp_path / "no" / "rejects.csv")

    assert [] == catalog(connect_admin)


def test_rejects_may_not_be_the_file_itself(shop: Store, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("sku,price\nA-1,x\n")
    with pytest.raises(InvalidInput, match="choose another"):
        import_products(shop, path, rejects=tmp_path / "." / "in.csv")

    assert "sku,price\nA-1,x\n" == path.read_text()


def test_a_dry_run_says_what_would_happen_and_writes_nothing(shop: Store, connect_admin: Connection, rejects: Path) -> None:
    load(shop, ALL)
    before = catalog(connect_admin)
    text = "sku,name,price,currency\nA-1,Lamp,9,EUR\nA-2,Bell,19.9999,USD\nA-3,New,1,EUR\nA-3,New,2,EUR\nA-4,,2,EUR\n"
    dry = load(shop, text, dry_run=True, rejects=rejects)

    assert dry.dry_run
    assert (5, 1, 1, 1, 1, 1) == counts(dry)
    assert rejects.exists()
    assert before == catalog(connect_admin)
    assert connect_admin.execute("SELECT count(*) FROM store.product_imports").fetchone() == (0,)
    assert counts(dry) == counts(load(shop, text))


def test_the_report_is_json(shop: Store, rejects: Path) -> None:
    found = json.loads(load(shop, "sku,name,price,x\nA,B,1,\nA,B,0,\n", rejects=rejects).as_json())

    assert {
        "rows": 2, "accepted": 1, "rejected": 1, "inserted": 1, "updated": 0, "unchanged": 0, "duplicates": 0,
        "seconds": found["seconds"], "dry_run": False, "rejects": str(rejects), "ignored": ["x"],
        "reasons": {"must not be 0 (--allow-zero-price lets it pass)": 1},
    } == found  # fmt: skip


def test_a_header_alone_is_an_import_of_nothing(shop: Store) -> None:
    assert (0, 0, 0, 0, 0, 0) == counts(load(shop, "sku,name,price\n"))


@pytest.mark.parametrize(
    ("text", "message"), [("", "is empty"), ("name,price\nx,1\n", "no column sku"), ("sku,sku\n1,2\n", "sku 2 times")]
)
def test_a_bad_header_is_refused_before_anything_is_read(shop: Store, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load(shop, text)


def test_hostile_text_is_text(shop: Store) -> None:
    names = [
        "'; DROP TABLE store.products; --", "$1", "%s", "\\.", "\\N", "{}", "NULL", "=cmd|' /C calc'!A0", "a\\t", "🧨",
        "\u0645\u06cc\u200c\u062e",
    ]  # fmt: skip
    text = io.StringIO()
    csv.writer(text).writerows(
        [("sku", "name", "description", "price"), *((f"S\\{at}", name, name, "1") for at, name in enumerate(names))]
    )
    report = load(shop, text.getvalue())

    assert len(names) == report.inserted
    for at, name in enumerate(names):
        product = shop.catalog.get_by_sku(f"S\\{at}")
        assert (name, name) == (product.name, product.description)


def test_what_cannot_be_seen_is_refused_and_shown(shop: Store, rejects: Path) -> None:
    """
    The reason names the code point, and the rejects show it where an editor would not. A description keeps tabs and line breaks.
    """
    text = io.StringIO()
    rows = [
        ("A-1", "La\u200bmp", "fine"),
        ("A-2", "Lamp", "\x1b]0;mine\x07"),
        ("A-3", "\u202epmaL.", "fine"),
        ("A-4\ufeff", "Lamp", "fine"),
        ("A-5", "La\tmp", "fine"),
        ("A-6", "Lamp", "over\rwritten"),
        ("A-7", "Lamp", "\x85C1\x85."),
        ("A-8", "👩\u200d💻", "two\tcells\nand\r\nlines"),
    ]
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("sku", "name", "description", "price"), *((*row, "1") for row in rows)])
    report = load(shop, text.getvalue(), rejects=rejects)

    assert (8, 7, 1, 0, 0, 0) == counts(report)
    assert [
        (2, "name", "La\\u200bmp", "holds U+200B, which cannot be seen"),
        (3, "description", "\\x1b]0;mine\\x07", "holds U+001B, a control character"),
        (4, "name", "\\u202epmaL.", "holds U+202E, which cannot be seen"),
        (5, "sku", "A-4\\ufeff", "holds U+FEFF, which cannot be seen"),
        (6, "name", "La\tmp", "holds U+0009, a control character"),
        (7, "description", "over\\rwritten", "holds U+000D, a control character"),
        (8, "description", "\\u0085C1\\u0085.", "holds U+0085, a control character"),
    ] == refused(rejects)
    assert not set("\x1b\x07\x85\u200b\u202e\ufeff") & set(rejects.read_text(encoding="utf-8"))
    assert rows[-1][1:] == (shop.catalog.get_by_sku("A-8").name, shop.catalog.get_by_sku("A-8").description)


def test_prices_are_exact(shop: Store, connect_admin: Connection) -> None:
    load(shop, "sku,name,price\nA,x,2.55\nB,x,2.550000\nC,x,999999999999.9999\nD,x,0.0001\n")

    assert ["2.55", "2.5500", "999999999999.9999", "0.0001"] == [
        row[0] for row in connect_admin.execute("SELECT price::text FROM store.products ORDER BY sku")
    ]


def test_somebody_elses_staged_rows_are_not_touched(shop: Store, connect_admin: Connection) -> None:
    connect_admin.execute("INSERT INTO store.product_imports VALUES (%s, 2, 'X-1', 'n', NULL, 1, 'EUR', true, 0)", [uuid4()])
    load(shop, ALL)

    assert connect_admin.execute("SELECT sku FROM store.product_imports").fetchall() == [("X-1",)]
    with pytest.raises(NotFound):
        shop.catalog.get_by_sku("X-1")


def test_statistics_that_lie_do_not_slow_the_merge(shop: Store, connect_admin: Connection) -> None:
    """
    The planner is told that the staged rows and the catalog are one row each; no plan it then makes is quadratic.
    """
    connect_admin.execute("UPDATE pg_class SET relpages = 500, reltuples = 0 WHERE relname = 'product_imports'")
    with shop.transaction() as tx:
        tx.call(queries.imports.prepare_import, {})
        statement = queries.imports.merge_products.statement
        given_ = [uuid4() if name == "import_id" else True for name in statement.parameters]
        numbered = re.sub(r"\$(\d+)", lambda found: f"%(p{found[1]})s", statement.text)
        rows = tx.connection.execute(f"EXPLAIN {numbered}".encode(), {f"p{at}": value for at, value in enumerate(given_, 1)})
        plan = "\n".join(row[0] for row in rows)

    assert plan.count("Full Join") == 2
    assert "Seq Scan" not in plan


def test_the_planner_and_the_locks_are_as_before_afterwards(shop: Store) -> None:
    load(shop, ALL)
    for _ in range(2):
        with shop.session() as session:
            assert session.connection.execute("SHOW enable_seqscan").fetchone() == ("on",)
            assert session.connection.execute("SHOW lock_timeout").fetchone() == ("2s",)


def test_a_product_deleted_meanwhile_is_a_conflict(shop: Store, connect_admin: Connection) -> None:
    """
    Between the look at the catalog and the merge the product goes, and the file has no name to create it anew.
    """
    load(shop, ALL)

    def delete(tick: Any) -> None:
        if tick.step == "merging":
            connect_admin.execute("DELETE FROM store.stock_movements")
            connect_admin.execute("DELETE FROM store.products WHERE sku = 'A-1'")

    with pytest.raises(Conflict, match="run it again"):
        load(shop, "sku,price,currency\nA-1,3,EUR\nA-2,4,USD\n", progress=delete)
    assert Decimal("19.9999") == shop.catalog.get_by_sku("A-2").price


def test_stock_reserved_meanwhile_stores_nothing(shop: Store, connect_admin: Connection) -> None:
    load(shop, ALL)

    def reserve(tick: Any) -> None:
        if tick.step == "merging":
            connect_admin.execute("UPDATE store.inventory SET reserved = 5 WHERE on_hand = 5")

    with pytest.raises(OutOfStock):
        load(shop, "sku,on_hand,price\nA-1,1,9\n", progress=reserve)
    assert Decimal("2.50") == shop.catalog.get_by_sku("A-1").price


def test_a_product_created_meanwhile_is_updated(shop: Store, connect_admin: Connection) -> None:
    def create(tick: Any) -> None:
        if tick.step == "merging":
            connect_admin.execute("INSERT INTO store.products (sku, name, price, currency) VALUES ('A-1', 'x', 1, 'EUR')")

    report = load(shop, ALL, progress=create)

    assert (1, 1) == (report.inserted, report.updated)
    assert ("Lamp", 5) == (shop.catalog.get_by_sku("A-1").name, shop.catalog.get_by_sku("A-1").inventory_count)


def test_a_read_only_role_may_not(server: Any, database: str) -> None:
    reader = samples.settings(server.dsn(database, "store_readonly"))
    with Store.open(reader, read_only=True) as shop, pytest.raises(PermissionDenied):
        load(shop, ALL)


def test_progress_counts_bytes_and_rows(shop: Store, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("sku,name,price\n" + "".join(f"S-{number},{'x' * 200},1\n" for number in range(5000)))
    ticks: list[Any] = []
    import_products(shop, path, progress=ticks.append)

    steps = [tick.step for tick in ticks]
    assert ["reading"] * (len(steps) - 2) + ["checking", "merging"] == steps
    assert len(steps) > 4
    positions = [tick.position for tick in ticks]
    assert positions == sorted(positions)
    assert (5000, path.stat().st_size, path.stat().st_size) == (ticks[-1].rows, ticks[-1].position, ticks[-1].size)


# --- real rows -------------------------------------------------------------------------------------------------------


def retail_file() -> Path:
    if given_ := os.environ.get("STORE_TEST_RETAIL"):
        return Path(given_)
    found = sorted(Path(__file__).resolve().parents[2].glob(f"*/data/{RETAIL}"))
    if not found:
        pytest.skip(f"{RETAIL} is not beside the checkout: name it in STORE_TEST_RETAIL")
    return found[0]


@dataclass
class Recount:
    """
    What must come out, said in plain Python: products by capital sku, refused (line, column, value), rows and codes of the file.
    """

    products: dict[str, tuple[str, str, Decimal]] = field(default_factory=dict)
    bad: list[tuple[int, str, str]] = field(default_factory=list)
    rows: int = 0
    codes: set[str] = field(default_factory=set)


def recount(path: Path) -> Recount:
    found = Recount()
    with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
        for found.rows, row in enumerate(csv.DictReader(file), start=1):
            code, name, price = row["StockCode"], row["Description"], Decimal(row["UnitPrice"])
            found.codes.add(code)
            if not name.strip():
                found.bad.append((found.rows + 1, "Description", name))
            elif price == 0:
                found.bad.append((found.rows + 1, "UnitPrice", row["UnitPrice"]))
            else:
                kept = name if '"' in name or "," in name else name.strip()  # in quotes, blanks are the name's
                found.products[code.upper()] = (code, kept, price)
    return found


def test_real_invoices_become_products(shop: Store, connect_admin: Connection, rejects: Path) -> None:
    """
    December 2010: the last price wins, 60 codes differ from another only by case, what has no name or price is refused.
    """
    path = retail_file()
    expected = recount(path)
    new = len(expected.products)
    report = import_products(shop, path, mapping=RETAIL_MAP, rejects=rejects)

    assert (42_481, 273, 60) == (
        expected.rows, len(expected.bad), len(expected.codes) - len({code.upper() for code in expected.codes})
    )  # fmt: skip
    assert (expected.rows, 273, new, 0, 0, expected.rows - 273 - new) == counts(report)
    assert expected.bad == [(line, column, value) for line, column, value, _ in refused(rejects)]
    assert {"is missing", "must not be 0 (--allow-zero-price lets it pass)"} == {row[3] for row in refused(rejects)}
    stored = connect_admin.execute("SELECT sku, name, price, currency, is_active FROM store.products").fetchall()
    assert {key: (*product, "EUR", True) for key, product in expected.products.items()} == {
        row[0].upper(): row for row in stored
    }
    assert ("InvoiceNo", "Quantity", "InvoiceDate", "CustomerID", "Country") == report.ignored

    before = catalog(connect_admin)
    again = import_products(shop, path, mapping=RETAIL_MAP, rejects=rejects)
    assert (0, 0, new) == (again.inserted, again.updated, again.unchanged)
    assert before == catalog(connect_admin)


# --- any rows --------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300) | st.text(st.sampled_from('A1,"\n .x'), max_size=60).map(str.encode))
def test_any_bytes_leave_a_working_store(shop: Store, rejects: Path, data: bytes) -> None:
    """
    Whatever stands behind the header, the counts add up and each row that was refused is in the rejects.
    """
    rejects.unlink(missing_ok=True)
    report = load(shop, b"sku,name,price\n" + data, rejects=rejects)

    counts(report)
    assert report.rejected == (len(refused(rejects)) if rejects.exists() else 0)


def test_the_store_answers_while_the_callers_code_fails(shop: Store, connect_admin: Connection) -> None:
    def fail(tick: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load(shop, ALL, progress=fail)

    assert [] == catalog(connect_admin)
    assert (2, 0, 2, 0, 0, 0) == counts(load(shop, ALL))
