"""
Imports whatever the planner believes: how many rows they read follows from the rows of the file, not from the statistics.

After an import that was taken back ANALYZE finds pages without rows, and all plans look alike. Nothing here is timed: the server
counts what its scans return.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import pytest

from store import Store
from store.bulk import import_orders, import_products
from tests import samples
from tests.databases import Connection
from tests.test_import_orders import HEADER, line

LARGE = range(1500)
KNOWN = range(12)
NEW = range(1500, 1512)
# What one row of a file reads of all tables and indexes together. A scan of the shop for each row would be 1500 and more.
OF_A_PRODUCT = 40
OF_AN_ORDER_LINE = 200

Run = Callable[[Store, range, bool], object]


def products(shop: Store, rows: range, dry_run: bool) -> None:
    """
    Import products; a second time nothing about them is new.
    """
    text = "sku,name,price,on_hand\n" + "".join(f"S-{at},Lamp,2.50,3\n" for at in rows)
    report = import_products(shop, io.BytesIO(text.encode()), dry_run=dry_run)

    assert report.rejected == 0


def orders(shop: Store, rows: range, dry_run: bool) -> None:
    """
    Import invoices of three lines; of each the first one is cancelled in part.
    """
    lines = [line(str(500000 + at // 3), str(10000 + at), 6, customer=str(17000 + at // 3)) for at in rows]
    cancelled = [
        line(f"C{500000 + at // 3}", str(10000 + at), -2, customer=str(17000 + at // 3), day="2010-12-02") for at in rows[::3]
    ]
    report = import_orders(shop, io.BytesIO((HEADER + "".join(lines + cancelled)).encode()), dry_run=dry_run)

    assert report.rejected == 0


def tuples_read(connection: Connection) -> int:
    """
    Return how many rows and index entries all scans have returned, once those who scanned are gone: then all is counted.
    """
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'store_app'"
    for _ in range(1000):
        if connection.execute(others.encode()).fetchone() == (0,):
            break
        time.sleep(0.01)
    else:
        raise AssertionError("the store is closed, and still connected")
    row = connection.execute(
        """
        SELECT
            (SELECT sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0)) FROM pg_stat_user_tables AS t WHERE t.schemaname = 'store')
            + (SELECT sum(i.idx_tup_read) FROM pg_stat_user_indexes AS i WHERE i.schemaname = 'store')
        """
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def reads(dsn: str, connect_admin: Connection) -> Callable[..., int]:
    """
    Runs an import in a store of its own and returns what one row of its file made the server read.
    """

    def read(run: Run, rows: range, *, dry_run: bool = False) -> int:
        before = tuples_read(connect_admin)
        with Store.open(samples.settings(dsn, currency="GBP")) as shop:
            run(shop, rows, dry_run)
        return (tuples_read(connect_admin) - before) // len(rows)

    return read


IMPORTS = pytest.mark.parametrize(("run", "bound"), [(products, OF_A_PRODUCT), (orders, OF_AN_ORDER_LINE)])


@IMPORTS
def test_pages_without_rows_make_nothing_quadratic(
    connect_admin: Connection, reads: Callable[..., int], run: Run, bound: int
) -> None:
    """
    A large import into an empty shop, and the same one again, while the statistics of every table say: pages, and no rows.
    """
    for table in samples.tables(connect_admin):  # autovacuum would set the statistics right
        connect_admin.execute(f"ALTER TABLE store.{table} SET (autovacuum_enabled = off)".encode())
    reads(run, LARGE[:300], dry_run=True)
    connect_admin.execute("ANALYZE")
    stale = "SELECT relpages > 0, reltuples FROM pg_class WHERE oid = 'store.products'::regclass"
    assert connect_admin.execute(stale.encode()).fetchone() == (True, 0.0)

    first = reads(run, LARGE)
    again = reads(run, LARGE)

    assert 0 < first <= bound
    assert 0 < again <= bound


@IMPORTS
@pytest.mark.parametrize("statistics", ["ANALYZE", "VACUUM ANALYZE", None])
def test_a_few_rows_read_little_of_a_large_shop(
    connect_admin: Connection, reads: Callable[..., int], run: Run, bound: int, statistics: str | None
) -> None:
    """
    A small import into a shop with many products and orders goes by index, analyzed or not, of what is known as of what is new.
    """
    first = reads(run, LARGE)
    if statistics is not None:
        connect_admin.execute(statistics.encode())

    known = reads(run, KNOWN)
    new = reads(run, NEW)

    assert 0 < first <= bound
    assert 0 < known <= bound
    assert 0 < new <= bound
