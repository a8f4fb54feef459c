"""
The statements that everybody writes first, beside ours: each fails here in the way that ours must not.

The naive form of each stands in its test, so that nobody has to remember why ours is longer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.errors import CheckViolation, DeadlockDetected, LockNotAvailable

from store import Store
from tests.databases import Connection
from tests.faults import faults
from tests.samples import product, settings
from tests.waiting import beside


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    with Store.open(settings(dsn, lock_timeout_ms=10_000)) as opened:
        yield opened


NAIVE_PLACE = """
    WITH cart AS (UPDATE store.carts SET status = 'ordered' WHERE id = %s AND status = 'open' RETURNING id)
    SELECT count(*) FROM cart INNER JOIN store.cart_items AS ci ON ci.cart_id = cart.id
"""


def test_one_statement_that_claims_a_cart_and_reads_its_lines_misses_a_line(
    shop: Store, admin_dsn: str, connect_admin: Connection, connect_as: Callable[[str], Connection]
) -> None:
    lamp, other = shop.catalog.create_many([product("A"), product("B")])
    for is_naive in (True, False):
        cart = shop.carts.create_guest().id
        shop.carts.add_item(cart, product_id=lamp.id)
        with psycopg.connect(admin_dsn) as adding:
            adding.execute("SELECT id FROM store.carts WHERE id = %s FOR NO KEY UPDATE", (cart,))
            adding.execute("INSERT INTO store.cart_items (cart_id, product_id, quantity) VALUES (%s, %s, 1)", (cart, other.id))
            app = connect_as("store_app")
            app.execute("SET lock_timeout = '10s'")
            if is_naive:
                (row,) = beside(connect_admin, lambda: app.execute(NAIVE_PLACE, (cart,)).fetchone(), adding.commit)  # noqa: B023  # called at once, before the loop goes on
                assert row == (1,)
            else:
                (order,) = beside(connect_admin, lambda: shop.orders.place(cart, email="a@example.org"), adding.commit)  # noqa: B023  # called at once, before the loop goes on
                assert len(order.lines) == 2
    connect_admin.execute("UPDATE store.carts SET status = 'open' WHERE id NOT IN (SELECT id FROM store.orders)")
    assert faults(connect_admin) == {}


NAIVE_RESERVE = """
    WITH stock AS (SELECT product_id, reserved FROM store.inventory WHERE product_id = %s FOR NO KEY UPDATE)
    UPDATE store.inventory AS i SET reserved = stock.reserved + 1 FROM stock WHERE i.product_id = stock.product_id
"""


def test_a_check_sees_the_row_of_before_the_wait(
    shop: Store, admin_dsn: str, connect_admin: Connection, connect_as: Callable[[str], Connection]
) -> None:
    """
    Stock is delivered while a buyer waits for the row. Setting only what changes makes the table check the rest as it was before
    the wait, and refuse a unit that is there; so both counters are written from the locked row.
    """
    lamp = shop.catalog.create(product("A", on_hand=0))
    cart = shop.carts.create_guest().id

    def deliver(connection: Connection) -> None:
        connection.execute("UPDATE store.inventory SET on_hand = on_hand + 1")
        connection.execute(
            "INSERT INTO store.stock_movements (product_id, kind, quantity, on_hand_after)"
            " SELECT product_id, 'received', 1, on_hand FROM store.inventory"
        )

    app = connect_as("store_app")
    app.execute("SET lock_timeout = '10s'")
    with psycopg.connect(admin_dsn) as delivering:
        deliver(delivering)
        (refused,) = beside(connect_admin, lambda: app.execute(NAIVE_RESERVE, (lamp.id,)), delivering.commit)
    assert isinstance(refused, CheckViolation)
    assert shop.inventory.adjust(lamp.id, delta=-1).on_hand == 0
    with psycopg.connect(admin_dsn) as delivering:
        deliver(delivering)
        (held,) = beside(connect_admin, lambda: shop.inventory.reserve(cart, lines=[(lamp.id, 1)]), delivering.commit)

    assert [hold.quantity for hold in held] == [1]
    assert faults(connect_admin) == {}


NAIVE_TAKE = "UPDATE store.inventory SET reserved = reserved + 1 WHERE product_id = %s AND on_hand - reserved >= 1"


def test_a_release_under_way_is_seen_by_a_waiting_buyer(
    shop: Store, admin_dsn: str, connect_admin: Connection, connect_as: Callable[[str], Connection]
) -> None:
    """
    The conditional UPDATE finds no row and does not even wait; ours waits for the release and gets the unit.
    """
    lamp = shop.catalog.create(product("A", on_hand=1))
    first, second = shop.carts.create_guest().id, shop.carts.create_guest().id
    shop.inventory.reserve(first, lines=[(lamp.id, 1)])
    with psycopg.connect(admin_dsn) as releasing:
        releasing.execute("UPDATE store.inventory SET reserved = 0")
        releasing.execute("DELETE FROM store.reservations")

        assert connect_as("store_app").execute(NAIVE_TAKE, (lamp.id,)).rowcount == 0

        (held,) = beside(connect_admin, lambda: shop.inventory.reserve(second, lines=[(lamp.id, 1)]), releasing.commit)

    assert [hold.cart_id for hold in held] == [second]
    assert faults(connect_admin) == {}


def test_for_update_blocks_the_children_of_a_row(shop: Store, admin_dsn: str, connect_as: Callable[[str], Connection]) -> None:
    """
    A line cannot be put into any cart while its product is locked FOR UPDATE; the stock is another table, and its lock weaker.
    """
    lamp = shop.catalog.create(product("A"))
    cart = shop.carts.create_guest().id
    app = connect_as("store_app")
    app.execute("SET lock_timeout = '200ms'")
    insert = "INSERT INTO store.cart_items (cart_id, product_id, quantity) VALUES (%s, %s, 1)"
    with psycopg.connect(admin_dsn) as locking:
        locking.execute("SELECT id FROM store.products FOR UPDATE")
        with pytest.raises(LockNotAvailable):
            app.execute(insert, (cart, lamp.id))
        locking.rollback()
        locking.execute("SELECT product_id FROM store.inventory FOR NO KEY UPDATE")
        locking.execute("SELECT id FROM store.products FOR NO KEY UPDATE")

        assert app.execute(insert, (cart, lamp.id)).rowcount == 1


def test_rows_locked_in_the_order_of_a_basket_deadlock(shop: Store, admin_dsn: str, connect_admin: Connection) -> None:
    """
    Two baskets with the same products the other way round, one row at a time; ours locks them by number, whatever the basket says.
    """
    lamp, other = shop.catalog.create_many([product("A", on_hand=100), product("B", on_hand=100)])
    take = "UPDATE store.inventory SET reserved = reserved WHERE product_id = %s"
    with psycopg.connect(admin_dsn) as one, psycopg.connect(admin_dsn) as two:
        one.execute(take, (lamp.id,))
        two.execute(take, (other.id,))
        deadlocks: list[Any] = []

        def cross() -> None:
            try:
                two.execute(take, (lamp.id,))
            except DeadlockDetected as error:
                deadlocks.append(error)
                two.rollback()

        def back() -> None:
            try:
                one.execute(take, (other.id,))
            except DeadlockDetected as error:
                deadlocks.append(error)
                one.rollback()

        beside(connect_admin, cross, back)
        one.rollback()
        two.rollback()
    first, second = shop.carts.create_guest().id, shop.carts.create_guest().id
    with psycopg.connect(admin_dsn) as holding:
        holding.execute("SELECT product_id FROM store.inventory ORDER BY product_id FOR NO KEY UPDATE")
        baskets = {first: [(lamp.id, 1), (other.id, 1)], second: [(other.id, 1), (lamp.id, 1)]}
        threads = [threading.Thread(target=shop.inventory.reserve, args=(c,), kwargs={"lines": b}) for c, b in baskets.items()]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join(timeout=10)

    assert len(deadlocks) == 1
    assert [i.reserved for i in shop.inventory.get_many([lamp.id, other.id])] == [2, 2]
    assert faults(connect_admin) == {}


def test_do_nothing_returns_no_row_beside_a_concurrent_insert(
    shop: Store, admin_dsn: str, connect_admin: Connection, connect_as: Callable[[str], Connection]
) -> None:
    from tests.samples import user

    naive = """
        WITH made AS (INSERT INTO store.carts (user_id, currency) VALUES (%(user)s, 'EUR')
            ON CONFLICT (user_id) WHERE status = 'open' DO NOTHING RETURNING id)
        SELECT id FROM made UNION ALL SELECT id FROM store.carts WHERE user_id = %(user)s AND status = 'open'
    """
    app = connect_as("store_app")
    app.execute("SET lock_timeout = '10s'")
    for name, is_naive in (("ada", True), ("bob", False)):
        who = shop.users.create(user(name)).id
        with psycopg.connect(admin_dsn) as first:
            first.execute("INSERT INTO store.carts (user_id, currency) VALUES (%s, 'EUR')", (who,))
            if is_naive:
                (rows,) = beside(connect_admin, lambda: app.execute(naive, {"user": who}).fetchall(), first.commit)  # noqa: B023  # called at once, before the loop goes on
                assert rows == []
            else:
                (cart,) = beside(connect_admin, lambda: shop.carts.get_or_create(user_id=who), first.commit)  # noqa: B023  # called at once, before the loop goes on
                assert cart.user_id == who


def test_stock_changes_stay_heap_only(shop: Store, admin_dsn: str, connect_admin: Connection) -> None:
    """
    Two hundred sales move no index entry; an index on the counter, were it only in its predicate, would move every one.
    """
    lamp = shop.catalog.create(product("A", on_hand=1000))

    def hot() -> int:
        connect_admin.execute("SELECT pg_stat_force_next_flush()")
        before = connect_admin.execute("SELECT pg_stat_get_tuples_hot_updated('store.inventory'::regclass)").fetchone()
        with psycopg.connect(admin_dsn, autocommit=True) as connection:
            for _ in range(50):
                connection.execute("UPDATE store.inventory SET on_hand = on_hand - 1 WHERE product_id = %s", (lamp.id,))
            connection.execute("SELECT pg_stat_force_next_flush()")
        after = connect_admin.execute("SELECT pg_stat_get_tuples_hot_updated('store.inventory'::regclass)").fetchone()
        assert before is not None
        assert after is not None
        return int(after[0]) - int(before[0])

    assert hot() == 50
    connect_admin.execute("CREATE INDEX naive ON store.inventory (product_id) WHERE on_hand > reserved")
    assert hot() == 0


NAIVE_HOLD = """
    WITH cart AS (SELECT id FROM store.carts WHERE id = %(cart)s FOR NO KEY UPDATE)
    SELECT
        (SELECT count(*) FROM cart INNER JOIN store.cart_items AS ci ON ci.cart_id = cart.id),
        (SELECT count(*) FROM cart INNER JOIN store.reservations AS r ON r.cart_id = cart.id)
"""


def test_a_hold_sees_lines_and_holds_that_were_made_while_it_waited(
    shop: Store, connect_admin: Connection, connect_as: Callable[[str], Connection]
) -> None:
    """
    One statement that locks a cart and reads its lines and holds reads them as they were before it waited: it would leave a line
    out, and take the cart's own hold for somebody else's. Ours notices, and looks again.
    """
    lamp, other = shop.catalog.create_many([product("A"), product("B")])
    app = connect_as("store_app")
    app.execute("SET lock_timeout = '10s'")
    for is_naive in (True, False):
        cart = shop.carts.create_guest().id
        shop.carts.add_item(cart, product_id=lamp.id, quantity=10)
        is_changed, go_on = threading.Event(), threading.Event()

        def change(cart: int = cart, is_changed: threading.Event = is_changed, go_on: threading.Event = go_on) -> None:
            with shop.transaction() as tx:
                tx.inventory.reserve(cart, lines=[(lamp.id, 8)])
                tx.carts.add_item(cart, product_id=other.id)
                is_changed.set()
                go_on.wait(10)

        changing = threading.Thread(target=change)
        changing.start()
        is_changed.wait(10)

        def finish(changing: threading.Thread = changing, go_on: threading.Event = go_on) -> None:
            go_on.set()
            changing.join(10)

        if is_naive:
            (row,) = beside(connect_admin, lambda: app.execute(NAIVE_HOLD, {"cart": cart}).fetchone(), finish)  # noqa: B023  # called at once, before the loop goes on
            assert row == (1, 0)
            shop.inventory.release(cart)
        else:
            (held,) = beside(connect_admin, lambda: shop.inventory.reserve(cart), finish)  # noqa: B023  # called at once, before the loop goes on
            assert [(hold.product_id, hold.quantity) for hold in held] == [(lamp.id, 10), (other.id, 1)]
    assert faults(connect_admin) == {}


@pytest.mark.parametrize("amount", ["NaN", "Infinity"])
def test_not_negative_is_no_bound(shop: Store, connect_admin: Connection, amount: str) -> None:
    """
    NaN is greater than every number and so is Infinity: a price that only must not be negative may be either, and the sum of all
    prices then is. An upper bound keeps both out.
    """
    lamp = shop.catalog.create(product("A"))
    connect_admin.execute("CREATE TABLE naive (price numeric CHECK (price >= 0))")
    connect_admin.execute("INSERT INTO naive (price) VALUES (1), (%s)", (amount,))
    total = connect_admin.execute("SELECT sum(price)::text FROM naive").fetchone()
    with pytest.raises(CheckViolation, match="amount_in_range"):
        connect_admin.execute("UPDATE store.products SET price = %s::numeric", (amount,))

    assert total == (amount,)
    assert shop.catalog.get(lamp.id) == lamp
