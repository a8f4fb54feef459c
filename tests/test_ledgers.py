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


def test_the_migration_opens_the_ledger(server: TestServer, empty_database: str, tmp_path: Path) -> None:
    """
    Stock from before the ledger is its first movement, so that the sums are right from the first row on.
    """
    prepare_roles(server, empty_database)
    source = _files.folder("migrations")
    for path in source.glob("000[1-5]*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())

    def connect() -> Connection:
        return psycopg.connect(server.dsn(empty_database, "store_migrator"), autocommit=True)

    migrate.up(connect, tmp_path)
    with connect() as connection:
        first = connection.execute(PRODUCT.encode()).fetchone()
        second = connection.execute(PRODUCT.replace("A-1", "A-2").encode()).fetchone()
        for row, on_hand in ((first, 7), (second, 0)):
            assert row is not None
            connection.execute("INSERT INTO store.inventory (product_id, on_hand) VALUES (%s, %s)", (row[0], on_hand))
    migrate.up(connect, source)
    with connect() as connection:
        moved = connection.execute(
            "SELECT product_id, kind, quantity, on_hand_after, reason FROM store.stock_movements"
        ).fetchall()

    assert first is not None
    assert moved == [(first[0], "received", 7, 7, "opening balance")]
