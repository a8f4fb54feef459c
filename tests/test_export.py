"""
The catalog as a file: what an import reads, and the same bytes again.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import NewProduct, Store
from store._bulk import export_products, import_products
from store.errors import StoreError, Unavailable
from store.models import hidden_fault
from tests import samples
from tests.databases import Connection, TestServer

HEADER = b"sku,name,description,price,currency,is_active,on_hand\n"


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    with Store.open(samples.settings(dsn)) as store:
        yield store


def exported(shop: Store) -> bytes:
    file = io.BytesIO()
    report = export_products(shop, file)
    assert report.rows == sum(1 for _ in csv.DictReader(io.StringIO(file.getvalue().decode(), newline="")))
    return file.getvalue()


def empty(connection: Connection) -> None:
    connection.execute("TRUNCATE store.products CASCADE")


PRODUCTS = [
    NewProduct(sku="b-1", name="Bell, big", price=Decimal("2.50"), on_hand=3),
    NewProduct(
        sku="B-2", name=' "quoted" ', description="two\nlines\r\n", price=Decimal("0.0001"), currency="JPY", is_active=False
    ),
    NewProduct(sku="A, 1", name="\\.", description="  ", price=Decimal(0)),
    NewProduct(sku="\\.", name="NULL", description="\\N", price=Decimal("999999999999.9999"), on_hand=1_000_000_000),
    NewProduct(sku="=1+1", name="🧨 naïve", description="\ttwo\nlines", price=Decimal(7)),
]


def test_an_empty_catalog_is_a_header(shop: Store) -> None:
    assert HEADER == exported(shop)


def test_products_are_sorted_by_sku_and_complete(shop: Store) -> None:
    shop.catalog.create_many(PRODUCTS)

    assert HEADER + (
        b'=1+1,"\xf0\x9f\xa7\xa8 na\xc3\xafve","\ttwo\nlines",7,EUR,true,0\n'
        b'"A, 1","\\.","  ",0,EUR,true,0\n'
        b'B-2," ""quoted"" ","two\nlines\r\n",0.0001,JPY,false,0\n'
        b'\\.,"NULL","\\N",999999999999.9999,EUR,true,1000000000\n'
        b'b-1,"Bell, big",,2.50,EUR,true,3\n'
    ) == exported(shop)


def test_a_round_trip_changes_nothing(shop: Store, connect_admin: Connection) -> None:
    """
    Into the same database nothing is written, into an empty one the same catalog; the file is the same, byte for byte.
    """
    shop.catalog.create_many(PRODUCTS)
    first = exported(shop)
    same = import_products(shop, io.BytesIO(first), allow_zero_price=True)
    assert (0, 5) == (same.inserted + same.updated + same.rejected, same.unchanged)
    assert first == exported(shop)
    empty(connect_admin)
    anew = import_products(shop, io.BytesIO(first), allow_zero_price=True)

    assert 5 == anew.inserted
    assert first == exported(shop)


_SEEN = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), min_size=1, max_size=20)
_NAME = (st.text("aÉ ,;\"'\\.N\u3000🧨", min_size=1, max_size=10) | _SEEN).filter(str.strip)
_LINES = st.lists(st.sampled_from([*"aÉ ,;\"'\n\t\\.N\u3000🧨", "\r\n"]), min_size=1, max_size=10).map("".join) | _SEEN
_SKU = st.from_regex(r"[!-~]([ -~]{0,6}[!-~])?", fullmatch=True)
_PRICE = (
    st.decimals(0, Decimal("999999999999.9999"), places=4) | st.decimals(0, 100, places=2) | st.integers(0, 99).map(Decimal)
)
_PRODUCT = st.builds(
    NewProduct,
    sku=_SKU,
    name=_NAME.filter(lambda text: not hidden_fault(text)),
    description=st.none() | _LINES.filter(lambda text: not hidden_fault(text, has_lines=True)),
    price=_PRICE,
    currency=st.sampled_from(["EUR", "JPY"]),
    is_active=st.booleans(),
    on_hand=st.integers(0, 1_000_000_000),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(products=st.lists(_PRODUCT, min_size=1, max_size=6, unique_by=lambda product: product.sku.upper()))
def test_any_catalog_survives_the_round_trip(shop: Store, connect_admin: Connection, products: list[NewProduct]) -> None:
    empty(connect_admin)
    shop.catalog.create_many(products)
    first = exported(shop)
    assert import_products(shop, io.BytesIO(first), allow_zero_price=True).unchanged == len(products)
    empty(connect_admin)
    assert import_products(shop, io.BytesIO(first), allow_zero_price=True).inserted == len(products)

    assert first == exported(shop)
    for product in products:
        stored = shop.catalog.get_by_sku(product.sku)
        assert (product.name, product.description, product.price) == (stored.name, stored.description, stored.price)


@pytest.mark.parametrize(("ending", "unpack"), [("csv", bytes), ("csv.gz", gzip.decompress), ("csv.xz", lzma.decompress)])
def test_files_are_compressed_by_their_ending(shop: Store, tmp_path: Path, ending: str, unpack) -> None:
    shop.catalog.create_many(PRODUCTS)
    path = tmp_path / f"catalog.{ending}"
    report = export_products(shop, path)
    first = path.read_bytes()
    export_products(shop, str(path))

    assert {"rows": 5, "seconds": report.seconds, "target": str(path)} == json.loads(report.as_json())
    assert exported(shop) == unpack(first)
    assert first == path.read_bytes()
    assert 5 == import_products(shop, path, allow_zero_price=True).unchanged


def test_an_export_that_fails_leaves_the_file_before(shop: Store, connect_admin: Connection, tmp_path: Path) -> None:
    path = tmp_path / "catalog.csv"
    path.write_text("before")
    connect_admin.execute(
        "INSERT INTO store.products (sku, name, price, currency) SELECT 'P-' || n, repeat('x', 200), 1, 'EUR'"
        " FROM generate_series(1, 100000) AS n"
    )

    def end(tick: object) -> None:
        connect_admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'store_app' AND datname = current_database()"
        )

    with pytest.raises(Unavailable):
        export_products(shop, path, progress=end)
    assert "before" == path.read_text()
    assert [path] == list(tmp_path.iterdir())
    with pytest.raises(StoreError, match="cannot be written"):
        export_products(shop, tmp_path / "no" / "x.csv")


def test_a_reader_may_export(server: TestServer, database: str, shop: Store) -> None:
    """
    store_readonly, on a store that cannot write.
    """
    shop.catalog.create_many(PRODUCTS)
    with Store.open(samples.settings(server.dsn(database, "store_readonly")), read_only=True) as reader:
        assert exported(shop) == exported(reader)
