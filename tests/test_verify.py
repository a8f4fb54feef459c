"""
`store verify` sees what is broken, each invariant by itself, and `store sweep` cleans without breaking anything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from store import Order, Store
from store.sweep import Swept, sweep
from store.verify import verify
from tests.databases import Connection, TestServer
from tests.faults import CHECKS, faults
from tests.samples import product, settings

BREAKS = {
    "c01_stock_is_the_sum_of_its_movements": "UPDATE store.inventory SET on_hand = on_hand + 1",
    "c02_reserved_is_the_sum_of_holds": "UPDATE store.inventory SET reserved = reserved + 1",
    "c03_totals_are_the_sum_of_lines": "UPDATE store.order_items SET total = total + 1",
    "c04_every_order_has_lines": "UPDATE store.order_items SET line_no = 2",
    "c05_money_is_within_bounds": "UPDATE store.payment_events SET amount = 1 WHERE kind = 'capture'",
    "c07_an_order_is_its_cart": "UPDATE store.cart_items SET quantity = 9",
    "c08_ordered_carts_and_orders_belong_together": "UPDATE store.carts SET status = 'open' WHERE status = 'ordered'",
    "c09_the_last_event_is_the_status": "DELETE FROM store.order_events WHERE seq = 2",
    "c10_every_step_is_told_once": "DELETE FROM store.outbox WHERE payload ->> 'seq' = '2'",
    "c12_no_money_out_of_range": "ALTER TABLE store.orders DROP CONSTRAINT orders_have_a_contact; UPDATE store.orders SET email = NULL",
}

LATE_CAPTURE = """
UPDATE store.payments SET refunded = 4;
UPDATE store.payment_events SET amount = 4, captured = 4 WHERE seq = 2;
INSERT INTO store.payment_events VALUES (1, 3, 1, 'refund', 4, 5, 4, 4, 'r'), (1, 4, 1, 'capture', 1, 5, 5, 4, 'late');
"""

OTHER_PRODUCT = """
INSERT INTO store.products (sku, name, price, currency) VALUES ('B', 'B', 1, 'EUR');
INSERT INTO store.inventory (product_id, on_hand) VALUES (2, 0);
UPDATE store.order_items SET product_id = 2;
"""

# Further ways to break an invariant: its name, and what does it.
MORE_BREAKS = [
    (
        "c01_stock_is_the_sum_of_its_movements",
        "UPDATE store.stock_movements SET on_hand_after = on_hand_after + 1 WHERE kind = 'received'",
    ),
    ("c01_stock_is_the_sum_of_its_movements", "UPDATE store.stock_movements SET order_id = 99 WHERE kind = 'sold'"),
    ("c01_stock_is_the_sum_of_its_movements", "DELETE FROM store.inventory"),
    ("c03_totals_are_the_sum_of_lines", "UPDATE store.order_items SET tax = 1"),
    ("c04_every_order_has_lines", OTHER_PRODUCT),
    (
        "c08_ordered_carts_and_orders_belong_together",
        "UPDATE store.carts SET status = 'abandoned'; INSERT INTO store.reservations VALUES (1, 1, 1, now())",
    ),
    ("c05_money_is_within_bounds", LATE_CAPTURE),
    ("c05_money_is_within_bounds", "UPDATE store.payment_events SET seq = 4 WHERE seq = 2"),
    ("c05_money_is_within_bounds", "UPDATE store.payment_events SET captured = 1 WHERE seq = 1"),
    (
        "c10_every_step_is_told_once",
        """INSERT INTO store.outbox (key, topic, payload) VALUES (1, 'order.paid', '{"seq": "x"}')""",
    ),
]


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    with Store.open(settings(dsn)) as opened:
        yield opened


def order_of(shop: Store) -> Order:
    lamp = shop.catalog.create(product())
    cart = shop.carts.create_guest()
    shop.carts.add_item(cart.id, product_id=lamp.id, quantity=2)
    order = shop.orders.place(cart.id, email="ada@example.org")
    shop.payments.authorize(order.id, provider="t", provider_ref="1", amount=Decimal(5), idempotency_key="a")
    shop.payments.capture(order.id, payment_no=1, idempotency_key="c")
    return order


def test_every_file_of_checks_is_looked_at(shop: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checks").mkdir()
    for name in ("first", "second"):
        check = f"-- name: {name}_holds()\n-- Nothing is wrong.\nSELECT 1 AS subject, 'all' AS fault;\n"
        (tmp_path / "checks" / f"{name}.sql").write_text(check)
    monkeypatch.setattr("store._files.folder", lambda _: tmp_path)

    assert [("first_holds", 1), ("second_holds", 1)] == [(each.name, len(each.faults)) for each in verify(shop)]


def test_every_invariant_has_a_break() -> None:
    assert [s.name for s in CHECKS.statements] == list(BREAKS)


@pytest.mark.parametrize("name", BREAKS)
def test_each_invariant_sees_its_break(shop: Store, connect_admin: Connection, name: str) -> None:
    order_of(shop)
    assert faults(connect_admin) == {}
    with connect_admin.transaction(force_rollback=True):
        connect_admin.execute(BREAKS[name].encode())

        assert name in faults(connect_admin)
    assert {c.name for c in verify(shop)} == set(BREAKS)
    assert [c.faults for c in verify(shop)] == [()] * len(BREAKS)


@pytest.mark.parametrize(("name", "broken"), MORE_BREAKS)
def test_each_invariant_sees_more_breaks(shop: Store, connect_admin: Connection, name: str, broken: str) -> None:
    order_of(shop)
    connect_admin.execute(broken.encode())

    assert name in faults(connect_admin)


def command(dsn: str, cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "store", *arguments],
        cwd=cwd,
        env=os.environ | {"DATABASE_URL": dsn} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_exits_8_and_names_what_is_broken(shop: Store, dsn: str, connect_admin: Connection, tmp_path: Path) -> None:
    order = order_of(shop)
    fine = command(dsn, tmp_path, "verify")
    connect_admin.execute("UPDATE store.inventory SET reserved = 1")
    broken = command(dsn, tmp_path, "verify", "--json")
    shown = command(dsn, tmp_path, "verify", "--no-json")

    assert (fine.returncode, broken.returncode, shown.returncode) == (0, 8, 8)
    assert set(json.loads(fine.stdout)["not_applicable"]) == {"c06", "c11"}
    rows = {row["name"]: row["faults"] for row in json.loads(broken.stdout)["invariants"] if row["faults"]}
    assert rows == {
        "c02_reserved_is_the_sum_of_holds": [{"subject": order.lines[0].product_id, "fault": "on hand 8, reserved 1, held 0"}]
    }
    assert "BROKEN" in shown.stdout


def test_a_check_that_fails_does_not_stop_the_others(shop: Store, dsn: str, connect_admin: Connection, tmp_path: Path) -> None:
    order_of(shop)
    connect_admin.execute("UPDATE store.inventory SET reserved = 1; REVOKE SELECT ON store.payment_events FROM store_app")
    broken = command(dsn, tmp_path, "verify", "--json")
    shown = command(dsn, tmp_path, "verify", "--no-json")
    rows = {row["name"]: row for row in json.loads(broken.stdout)["invariants"]}

    assert (broken.returncode, shown.returncode) == (8, 8)
    assert list(rows) == list(BREAKS)
    assert {name for name, row in rows.items() if row["failure"]} == {"c05_money_is_within_bounds"}
    assert {name for name, row in rows.items() if row["faults"]} == {"c02_reserved_is_the_sum_of_holds"}
    assert "NOT RUN" in shown.stdout


def test_a_role_that_may_not_look_is_no_fault(shop: Store, dsn: str, connect_admin: Connection, tmp_path: Path) -> None:
    """
    What lacks a right is not run, says why and what to do, and exits with 10: nothing is known to be broken.
    """
    readonly = dsn.replace("store_app", "store_readonly")
    done = command(readonly, tmp_path, "verify", "--json")
    said = json.loads(done.stdout)
    failures = [row["failure"] for row in said["invariants"] if row["failure"]]

    assert (10, 10) == (done.returncode, said["exit_code"])
    assert "c07_an_order_is_its_cart" in {row["name"] for row in said["invariants"] if row["failure"]}
    assert all("permission denied" in each and "connect as store_app" in each for each in failures)

    connect_admin.execute("REVOKE EXECUTE ON FUNCTION store.schema_version() FROM PUBLIC, store_app")
    (tmp_path / "in.csv").write_text("sku,name,price\nA,A,1\n")
    for words in (["verify"], ["sweep"], ["import", "products", "in.csv"]):
        done = command(dsn, tmp_path, *words)
        assert (10, True) == (done.returncode, "connect as store_app" in done.stdout), done.stdout


def test_a_wrong_password_exits_10(server: TestServer, database: str, tmp_path: Path) -> None:
    """
    As a server that is not there does, everywhere.
    """
    with server.connect(database) as connection:
        connection.execute("CREATE ROLE nobody_at_all NOLOGIN")
    try:
        done = command(server.dsn(database, "nobody_at_all"), tmp_path, "verify")
    finally:
        with server.connect(database) as connection:
            connection.execute("DROP ROLE nobody_at_all")

    assert (10, "PermissionDenied") == (done.returncode, json.loads(done.stdout)["error"]["type"])


@pytest.mark.one_version
def test_no_promise_is_cut(shop: Store, dsn: str, tmp_path: Path) -> None:
    narrow = command(dsn, tmp_path, "verify", "--no-json", COLUMNS="40").stdout

    promises = [each.promise for each in verify(shop)]
    assert all(promise.endswith(".") for promise in promises)
    assert all(any(line.endswith(promise) for line in narrow.splitlines()) for promise in promises)


def test_sweep_takes_what_is_over_and_nothing_else(shop: Store, dsn: str, connect_admin: Connection, tmp_path: Path) -> None:
    order_of(shop)
    lamp = shop.catalog.create(product("B"))
    live, over = shop.carts.create_guest(), shop.carts.create_guest()
    for cart in (live, over):
        shop.inventory.reserve(cart.id, lines=[(lamp.id, 2)])
    connect_admin.execute("UPDATE store.reservations SET expires_at = now() - interval '1 s' WHERE cart_id = %s", (over.id,))
    connect_admin.execute("UPDATE store.carts SET expires_at = now() - interval '1 s'")
    connect_admin.execute("UPDATE store.outbox SET acknowledged_at = now() - interval '8 days' WHERE payload ->> 'seq' = '1'")
    connect_admin.execute("UPDATE store.order_events SET at = now() - interval '9 days'")

    assert sweep(shop) == Swept(holds=1, carts=1, events=1)
    assert sweep(shop) == Swept(holds=0, carts=0, events=0)
    assert (shop.carts.get(over.id).status, shop.carts.get(live.id).status) == ("abandoned", "open")
    assert shop.inventory.get(lamp.id).reserved == 2
    assert faults(connect_admin) == {}
    assert json.loads(command(dsn, tmp_path, "sweep").stdout) == {"command": "sweep", "holds": 0, "carts": 0, "events": 0}
