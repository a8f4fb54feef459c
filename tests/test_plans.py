"""
Plans on a table of some size: every page by its index, at any depth at the same cost, and no statement reads a table whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from store._async.queries import queries
from store._queries import Statement, bind, teach
from tests.databases import Connection, TestServer, create_database

ROWS = 20_000
BASE = datetime(2026, 1, 1, tzinfo=UTC)
OF_SHOP = {"products", "inventory", "users", "carts", "cart_items", "addresses"}
OF_ORDERS = {"stock_movements", "reservations", "orders", "order_items", "order_events", "payments", "payment_events", "outbox"}
TABLES = OF_SHOP | OF_ORDERS

FILL = f"""
    INSERT INTO store.users (username, email, password_hash)
    SELECT 'user' || n, 'user' || n || '@example.org', '$argon2id$' || repeat('x', 60) FROM generate_series(1, {ROWS}) AS n;
    INSERT INTO store.products (sku, name, description, price, currency, is_active, created_at)
    SELECT 'S-' || n, 'word' || n % 997 || ' lamp' || n, 'Number ' || n, round((n * 7919 % 100003)::numeric / 100, 2), 'EUR',
        n % 10 <> 0, '{BASE.isoformat()}'::timestamptz + n * interval '1 second'
    FROM generate_series(1, {ROWS}) AS n;
    INSERT INTO store.inventory (product_id, on_hand) SELECT p.id, p.id % 5 FROM store.products AS p;
    INSERT INTO store.carts (user_id, currency) SELECT u.id, 'EUR' FROM store.users AS u;
    INSERT INTO store.carts (currency) SELECT 'EUR' FROM generate_series(1, {ROWS});
    INSERT INTO store.cart_items (cart_id, product_id, quantity)
    SELECT c.id, 1 + (c.id * 31 + n) % {ROWS}, 1 FROM store.carts AS c CROSS JOIN generate_series(1, 3) AS n;
    INSERT INTO store.addresses (user_id, name, line1, city, country)
    SELECT u.id, 'Ada', '1 Lovelace Street', 'London', 'GB' FROM store.users AS u;
    INSERT INTO store.stock_movements (product_id, kind, quantity, on_hand_after)
    SELECT i.product_id, 'received', 1, 1 FROM store.inventory AS i CROSS JOIN generate_series(1, 3);
    INSERT INTO store.reservations (cart_id, product_id, quantity, expires_at)
    SELECT c.id, 1 + c.id % {ROWS}, 1, now() + c.id * interval '1 minute' FROM store.carts AS c WHERE c.user_id IS NULL;
    UPDATE store.inventory SET reserved = 1 WHERE on_hand = 3;
    INSERT INTO store.orders (id, user_id, status, currency, subtotal, total)
    SELECT c.id, c.user_id, 'placed', 'EUR', 2.50, 2.50 FROM store.carts AS c WHERE c.user_id IS NOT NULL;
    INSERT INTO store.order_items (order_id, line_no, product_id, sku, name, unit_price, quantity, total)
    SELECT o.id, n, 1 + o.id % {ROWS}, 'S', 'Lamp', 2.50, 1, 2.50 FROM store.orders AS o CROSS JOIN generate_series(1, 3) AS n;
    INSERT INTO store.order_events (order_id, seq, to_status) SELECT o.id, 1, 'placed' FROM store.orders AS o;
    INSERT INTO store.payments (order_id, payment_no, provider, provider_ref, currency, authorized)
    SELECT o.id, 1, 'test', o.id::text, 'EUR', 2.50 FROM store.orders AS o;
    INSERT INTO store.payment_events
        (order_id, seq, payment_no, kind, amount, authorized, captured, refunded, idempotency_key)
    SELECT p.order_id, 1, 1, 'authorize', 2.50, 2.50, 0, 0, 'a' FROM store.payments AS p;
    INSERT INTO store.outbox (key, topic, payload) SELECT o.id, 'order.placed', '{{}}'::jsonb FROM store.orders AS o;
    UPDATE store.outbox SET acknowledged_at = now() WHERE id % 100 <> 0;
    VACUUM ANALYZE {", ".join(f"store.{table}" for table in sorted(TABLES))};
"""

# Which index a statement goes by in each sort, and which condition it goes there with, whatever filters are on.
LISTINGS = {
    "catalog.list_products[name_down]": ("products_name_id_idx", "ROW(name, id) < "),
    "catalog.list_products[name_up]": ("products_name_id_idx", "ROW(name, id) > "),
    "catalog.list_products[newest]": ("products_created_at_id_idx", "ROW(created_at, id) < "),
    "catalog.list_products[oldest]": ("products_created_at_id_idx", "ROW(created_at, id) > "),
    "catalog.list_products_by_price[cheapest]": ("products_price_id_idx", ", id) > "),
    "catalog.list_products_by_price[dearest]": ("products_price_id_idx", ", id) < "),
    "addresses.list_addresses": ("addresses_user_id_id_idx", "(id > "),
    "inventory.list_movements": ("stock_movements_pkey", "(id < "),
    "orders.list_orders": ("orders_user_id_id_idx", "(id < "),
    "outbox.read_events": ("outbox_txid_id_idx", "ROW(txid, id) > "),
    "users.list_users": ("users_pkey", "(id > "),
}
LOOKUPS = {
    "addresses.delete_address": "addresses_pkey",
    "addresses.get_address": "addresses_pkey",
    "addresses.replace_address": "addresses_pkey",
    "carts.add_cart_item": "carts_pkey",
    "carts.clear_cart_items": "carts_pkey",
    "carts.get_cart_by_public_id": "carts_public_id_key",
    "carts.get_carts": "carts_pkey",
    "carts.lock_cart": "carts_pkey",
    "carts.lock_guest_cart": "carts_public_id_key",
    "carts.remove_cart_item": "cart_items_pkey",
    "carts.set_cart_item": "products_pkey",
    "catalog.delete_product": "products_pkey",
    "catalog.facet_products": "inventory_pkey",
    "catalog.facet_search": "products_search_idx",
    "catalog.get_product": "products_pkey",
    "catalog.get_product_by_sku": "products_sku_key",
    "catalog.get_products": "products_pkey",
    "catalog.lock_product_stock": "inventory_pkey",
    "catalog.search_products": "products_search_idx",
    "catalog.update_product": "products_pkey",
    "inventory.adjust_stock": "inventory_pkey",
    "inventory.extend_holds": "reservations_pkey",
    "inventory.get_inventories": "inventory_pkey",
    "inventory.get_inventory": "inventory_pkey",
    "inventory.release_holds": "reservations_pkey",
    "inventory.reserve_stock": "inventory_pkey",
    "inventory.set_stock": "inventory_pkey",
    "orders.end_order": "payments_pkey",
    "orders.get_order_by_number": "orders_number_key",
    "orders.get_orders": "orders_pkey",
    "orders.lock_cart_to_place": "carts_pkey",
    "orders.lock_order": "orders_pkey",
    "orders.move_order": "orders_pkey",
    "orders.place_order": "inventory_pkey",
    "outbox.acknowledge_events": "outbox_unacknowledged_idx",
    "outbox.claim_events": "outbox_unacknowledged_idx",
    "payments.authorize_payment": "payment_events_pkey",
    "payments.move_payment": "payment_events_pkey",
    "users.delete_user": "users_pkey",
    "users.detach_user_orders": "orders_user_id_id_idx",
    "users.find_user_by_email": "users_email_key",
    "users.find_user_by_username": "users_username_key",
    "users.get_user": "users_pkey",
    "users.get_users": "users_pkey",
    "users.lock_user_carts": "carts_user_id_idx",
    "users.rehash_password": "users_pkey",
    "users.release_user_holds": "carts_user_id_idx",
    "users.set_password_hash": "users_pkey",
    "users.update_user": "users_pkey",
}
READS_A_TABLE: dict[str, str] = {}  # none; a name here needs its reason beside it
OF_MAINTENANCE = {"demo", "imports", "order_imports", "sweep"}  # run by hand, over everything


@pytest.fixture(scope="module")
def filled(server: TestServer, template: str) -> Iterator[str]:
    """
    A database with some size.
    """
    with create_database(server, f"store_test_plans_{os.getpid()}", template) as name:
        with server.connect(name) as connection:
            for statement in FILL.split(";"):
                connection.execute(statement.encode())
        yield name


@pytest.fixture(scope="module")
def app(server: TestServer, filled: str) -> Iterator[Connection]:
    """
    A connection to it as the application's role.
    """
    with server.connect(filled, "store_app") as connection:
        yield connection


def texts() -> dict[str, Statement]:
    """
    Return every text that the verbs can send.
    """
    return {one.title: one for one in queries.texts if one.kind == "query" and one.domain not in OF_MAINTENANCE}


def row_of(text: Statement) -> str:
    """
    Return the name under which a text stands in the tables above: a listing has a row a sort.
    """
    return f"{text.full_name}[{text.sort}]" if text.sort else text.full_name


TEXTS = texts()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """
    Yield every node of a plan.
    """
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def generic_plan(connection: Connection, text: str) -> list[dict[str, Any]]:
    """
    Return the nodes of the plan that serves every value.
    """
    row = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {text}".encode()).fetchone()
    assert row is not None
    return list(nodes(row[0][0]["Plan"]))


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if row_of(text) in LISTINGS])
def test_a_page_is_one_index_scan(app: Connection, name: str) -> None:
    """
    A listing starts in its index behind the cursor, reads on in order, and neither sorts nor scans.
    """
    index, condition = LISTINGS[row_of(TEXTS[name])]
    plan = generic_plan(app, TEXTS[name].text)
    by_index = [node for node in plan if node.get("Index Name") == index]

    assert len(by_index) == 1
    assert condition in by_index[0]["Index Cond"]
    assert [node["Node Type"] for node in plan if "Sort" in node["Node Type"] or node["Node Type"] == "Seq Scan"] == []


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if text.full_name in LOOKUPS])
def test_a_lookup_goes_by_its_index(app: Connection, name: str) -> None:
    used = {node.get("Index Name") for node in generic_plan(app, TEXTS[name].text)}

    assert LOOKUPS[TEXTS[name].full_name] in used


@pytest.mark.parametrize("name", TEXTS)
def test_no_statement_reads_a_table_whole(app: Connection, name: str) -> None:
    """
    No statement scans a table of ours from end to end; the exceptions have their reason beside them.
    """
    plan = generic_plan(app, TEXTS[name].text)
    scanned = {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan" and node["Relation Name"] in TABLES}

    assert bool(scanned) is (name in READS_A_TABLE), scanned


@pytest.mark.parametrize("name", [name for name in TEXTS if "_by_price[price+" in name])
def test_a_range_of_prices_has_two_ends(app: Connection, name: str) -> None:
    """
    Sorted by price the scan stops at the far end of the range, which is a condition of the index and no filter behind it.
    """
    [scan] = [node for node in generic_plan(app, TEXTS[name].text) if node.get("Index Name") == "products_price_id_idx"]

    assert scan["Index Cond"].count("price") == 2
    assert "price" not in scan.get("Filter", "")


def test_a_login_goes_by_two_indexes(server: TestServer, filled: str) -> None:
    """
    The function behind get_credentials finds a name or an address by index; its plan is not part of the caller's.
    """
    with server.connect(filled) as connection:
        row = connection.execute("SELECT prosrc FROM pg_proc WHERE oid = 'store.credentials(text)'::regprocedure").fetchone()
        assert row is not None
        plan = generic_plan(connection, row[0].replace("login", "$1::text"))

    assert {node.get("Index Name") for node in plan} >= {"users_email_key", "users_username_key"}
    assert [node for node in plan if node["Node Type"] == "Seq Scan"] == []


def buffers(connection: Connection, name: str, **arguments: Any) -> tuple[int, int]:
    """
    Return how many rows a listing returned and how many pages of memory it touched.
    """
    statement = TEXTS[name]
    values = [({"active": [True, False], "page_size": 50} | arguments)[name] for name in statement.parameters]
    connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.execute(f"PREPARE held AS {statement.text}".encode())
    # PostgreSQL itself makes literals of the values: EXECUTE takes no parameters.
    call = connection.execute(
        f"SELECT format('EXECUTE held({', '.join(['%%L'] * len(values))})', {', '.join(['%s::text'] * len(values))})".encode(),
        values,
    )
    row = connection.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + call.fetchone()[0].encode()).fetchone()
    connection.execute("DEALLOCATE held")
    plan = row[0]
    top = plan[0]["Plan"]
    return round(top["Actual Rows"]), top["Shared Hit Blocks"] + top["Shared Read Blocks"]


@pytest.mark.parametrize(
    ("name", "key", "first", "deep", "end"),
    [
        ("catalog.list_products[oldest]", "after_created_at", BASE, BASE + timedelta(seconds=10_000), 0),
        ("catalog.list_products[oldest]", "after_created_at", BASE, BASE + timedelta(seconds=19_900), 0),
        (
            "catalog.list_products[newest]",
            "after_created_at",
            datetime(2200, 1, 1, tzinfo=UTC),
            BASE + timedelta(seconds=100),
            2**63 - 1,
        ),
        ("catalog.list_products[name_up]", "after_name", "", "word5", 0),
        ("catalog.list_products[name_down]", "after_name", "\U0010ffff", "word5", 2**63 - 1),
        ("catalog.list_products_by_price[cheapest]", "after_price", Decimal(0), Decimal(900), 0),
        ("catalog.list_products_by_price[dearest]", "after_price", Decimal(10) ** 12, Decimal(100), 2**63 - 1),
        ("users.list_users", "after_id", 0, 19_900, None),
    ],
)
def test_pages_at_depth_cost_what_page_one_costs(
    app: Connection, name: str, key: str, first: Any, deep: Any, end: int | None
) -> None:
    """
    A page ten thousand rows in touches no more memory than the first one, give or take a level of an index.
    """
    more = {} if end is None else {"after_id": end}
    page_one = buffers(app, name, **({key: first} | more))
    far_away = buffers(app, name, **({key: deep} | more))

    assert page_one[0] == far_away[0] == 51
    assert far_away[1] <= page_one[1] * 1.1 + 10


FILTERS: dict[str, Any] = {
    "active": [True],
    "min_available": 1,
    "page_size": 50,
    "price_end": Decimal(500),
    "price_from": Decimal(100),
    "price_to": Decimal(500),
}
FROM_THE_START = {"after_created_at": BASE, "after_id": 0, "after_name": "", "after_price": Decimal(0)}
FROM_THE_END = {
    "after_created_at": BASE + timedelta(days=1000),
    "after_id": 2**63 - 1,
    "after_name": "\U0010ffff",
    "after_price": Decimal(10) ** 12,
}


@pytest.mark.parametrize("name", [name for name in TEXTS if name.startswith("catalog.list_")])
def test_a_page_is_planned_once(server: TestServer, filled: str, name: str) -> None:
    """
    After five runs the plan for all values looks no dearer than one for these, and stays: a page is not planned anew each time.
    """
    text = TEXTS[name]
    given = FILTERS | (FROM_THE_END if text.sort in {"newest", "name_down", "dearest"} else FROM_THE_START)
    values = bind(text, {parameter: given[parameter] for parameter in text.parameters})
    with psycopg.connect(server.dsn(filled, "store_app"), autocommit=True, prepare_threshold=0) as connection:
        for _ in range(12):
            psycopg.RawCursor(connection).execute(text.text.encode(), values)
        row = connection.execute(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '/* store:%'"
        ).fetchone()

    assert row == (7, 5)


def test_a_rare_stock_filter_stays_bounded(app: Connection) -> None:
    """
    Filters are residual: a page whose rows are one in five costs about five times a page, not the table.
    """
    first = {"after_price": Decimal(0), "after_id": 0}
    plain = buffers(app, "catalog.list_products_by_price[cheapest]", **first)
    filtered = buffers(app, "catalog.list_products_by_price[stock+cheapest]", **first, min_available=4, active=[True])

    assert filtered[0] == 51
    assert filtered[1] <= plain[1] * 12


@pytest.mark.parametrize("name", [name for name in TEXTS if name.startswith("catalog.facet_")])
def test_counting_asks_for_holds_only_where_they_matter(app: Connection, name: str) -> None:
    """
    A quarter of the products on hand is held, and each has units to spare: not one hold is looked for.
    """
    text = TEXTS[name]
    given = FILTERS | {"price_from": Decimal(0), "price_to": Decimal(10) ** 9, "text": "number", "price_steps": [Decimal(0)]}
    values = bind(text, {parameter: given[parameter] for parameter in text.parameters})
    cursor = psycopg.RawCursor(app)
    teach(cursor.adapters)
    row = cursor.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + text.text.encode(), values).fetchone()
    assert row is not None
    loops = {node.get("Index Name"): node["Actual Loops"] for node in nodes(row[0][0]["Plan"])}

    assert loops["inventory_pkey"] > 0
    assert loops["reservations_product_id_expires_at_idx"] == 0


def test_every_statement_is_in_a_table_above() -> None:
    """
    A new statement gets its line here, or a reason not to have one.
    """
    without_a_plan_of_interest = {
        "addresses.create_address",  # inserts one row
        "carts.create_guest_cart",  # inserts one row
        "carts.get_or_create_cart",  # inserts one row
        "carts.merge_cart_items",  # by the keys of two carts: test_no_statement_reads_a_table_whole
        "catalog.create_products",  # inserts
        "version.schema_version",  # reads no table
        "users.create_users",  # inserts
        "users.get_credentials",  # a function: test_a_login_goes_by_two_indexes
    }

    rows = {row_of(text) for text in TEXTS.values()}
    assert rows == LISTINGS.keys() | LOOKUPS.keys() | READS_A_TABLE.keys() | without_a_plan_of_interest
