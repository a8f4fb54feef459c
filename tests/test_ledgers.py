"""
The tables of the shop guard themselves: ledgers are append-only, sums add up, steps are legal, whoever writes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import CheckViolation, ForeignKeyViolation, InsufficientPrivilege

from store import _files, migrate
from tests.databases import Connection, TestServer, prepare_roles
from tests.faults import faults
from tests.waiting import beside

PRODUCT = "INSERT INTO store.products (sku, name, price, currency) VALUES ('A-1', 'Lamp', 9.99, 'EUR') RETURNING id"
ORDER = (
    "INSERT INTO store.orders (id, email, status, currency, subtotal, discount, total)"
    " VALUES (1, 'ada@example.org', 'placed', 'EUR', {}, {}, {})"
)


@pytest.mark.parametrize("table", ["stock_movements", "order_items", "order_events", "payment_events"])
@pytest.mark.parametrize("statement", ["UPDATE store.{} SET {} = 1", "DELETE FROM store.{}", "TRUNCATE store.{}"])
def test_ledgers_are_append_only(connect_as: Callable[[str], Connection], table: str, statement: str) -> None:
    column = "product_id" if table == "stock_movements" else "order_id"
    with pytest.raises(InsufficientPrivilege):
        connect_as("store_app").execute(statement.format(table, column).encode())


def test_an_order_adds_up_by_itself(connect_admin: Connection) -> None:
    connect_admin.execute(ORDER.format(10, 2, 8).encode())
    with pytest.raises(CheckViolation, match="orders_total_adds_up"):
        connect_admin.execute(ORDER.format(10, 2, 9).encode())
    with pytest.raises(CheckViolation, match="orders_amounts_fit_currency"):
        connect_admin.execute(ORDER.format(10.005, 0, 10.005).encode())


def test_an_order_is_bounded(connect_admin: Connection) -> None:
    with pytest.raises(CheckViolation, match="orders_id_positive"):
        connect_admin.execute(ORDER.format(10, 0, 10).replace("(1,", "(-5,").encode())
    connect_admin.execute(ORDER.format(10, 0, 10).encode())
    for column in ("ship_to", "bill_to"):
        with pytest.raises(CheckViolation, match="orders_addresses_are_bounded"):
            connect_admin.execute(f"UPDATE store.orders SET {column} = jsonb_build_object('a', repeat('x', 17000))".encode())


def test_a_step_that_is_not_in_the_table_cannot_be_written(connect_admin: Connection) -> None:
    connect_admin.execute(ORDER.format(10, 0, 10).encode())
    insert = "INSERT INTO store.order_events (order_id, seq, from_status, to_status) VALUES (1, %s, %s, %s)"
    connect_admin.execute(insert, (1, None, "placed"))
    with pytest.raises(ForeignKeyViolation, match="order_events_transition_fkey"):
        connect_admin.execute(insert, (2, "placed", "delivered"))
    with pytest.raises(CheckViolation, match="order_events_first_is_placed"):
        connect_admin.execute(insert, (2, None, "placed"))
    with pytest.raises(CheckViolation, match="order_events_first_is_placed"):
        connect_admin.execute(insert, (1, None, "paid"))


def test_order_numbers_detect_what_people_mistype(connect_admin: Connection) -> None:
    """
    ISO 7064: no number with one digit changed, or two neighbours exchanged, is the number of another order.
    """
    found = connect_admin.execute(
        "SELECT store.order_number(n), store.order_number(9223372036854775807) FROM generate_series(1, 3000) n"
    )
    rows = found.fetchall()
    numbers = {row[0] for row in rows}

    assert rows[41][0] == "00000042-" + f"{98 - 4200 % 97:02}"
    assert len(numbers) == 3000
    assert rows[0][1].startswith("9223372036854775807-")
    for number in sorted(numbers)[:200]:
        digits = number.replace("-", "")
        for at in range(len(digits)):
            wrong = {digits[:at] + other + digits[at + 1 :] for other in "0123456789"} - {digits}
            wrong |= {digits[:at] + digits[at : at + 2][::-1] + digits[at + 2 :]} - {digits}

            assert {f"{text[:-2]}-{text[-2:]}" for text in wrong} & numbers == set()


@pytest.fixture
def before_the_ledger(server: TestServer, empty_database: str, tmp_path: Path) -> Callable[[], Connection]:
    """
    A database as it was before there was a ledger: connects to it as who migrates.
    """
    prepare_roles(server, empty_database)
    for path in _files.folder("migrations").glob("000[1-5]*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())

    def connect() -> Connection:
        return psycopg.connect(server.dsn(empty_database, "store_migrator"), autocommit=True)

    migrate.up(connect, tmp_path)
    return connect


def stocked(connection: Connection, sku: str, on_hand: int, reserved: int = 0) -> int:
    row = connection.execute(PRODUCT.replace("A-1", sku).encode()).fetchone()
    assert row is not None
    connection.execute("INSERT INTO store.inventory VALUES (%s, %s, %s)", (row[0], on_hand, reserved))
    return int(row[0])


def test_the_migration_opens_the_ledger(before_the_ledger: Callable[[], Connection]) -> None:
    """
    Stock from before the ledger is its first movement, so that the sums are right from the first row on; what was reserved before
    there were holds is free. No product is locked row by row.
    """
    with before_the_ledger() as connection:
        first, _ = stocked(connection, "A-1", 7, 2), stocked(connection, "A-2", 0)
        versions = connection.execute("SELECT id, xmin::text, xmax::text FROM store.products ORDER BY id").fetchall()
    migrate.up(before_the_ledger, _files.folder("migrations"))
    with before_the_ledger() as connection:
        moved = connection.execute("SELECT product_id, kind, quantity, on_hand_after, reason FROM store.stock_movements")

        assert moved.fetchall() == [(first, "received", 7, 7, "opening balance")]
        assert connection.execute("SELECT on_hand, reserved FROM store.inventory ORDER BY 1").fetchall() == [(0, 0), (7, 0)]
        assert connection.execute("SELECT id, xmin::text, xmax::text FROM store.products ORDER BY id").fetchall() == versions
        assert faults(connection) == {}


def test_the_migration_waits_for_changes_of_stock(
    server: TestServer, empty_database: str, before_the_ledger: Callable[[], Connection]
) -> None:
    """
    Stock that somebody is changing when the migration begins is in the ledger as they leave it.
    """
    with server.connect(empty_database) as admin, before_the_ledger() as selling:
        lamp = stocked(selling, "A-1", 7)
        selling.execute("BEGIN; UPDATE store.inventory SET on_hand = 4")
        (applied,) = beside(
            admin,
            lambda: migrate.up(before_the_ledger, _files.folder("migrations")),
            lambda: selling.execute("COMMIT"),
        )

        assert applied[0] == "0006_create_stock_ledger"
        moved = admin.execute("SELECT product_id, quantity, on_hand_after FROM store.stock_movements").fetchall()
        assert moved == [(lamp, 4, 4)]
        assert faults(admin) == {}
