"""
COMMIT behind the statement that places an order: cut on the wire, refused by the database, inside a caller's transaction.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from store import Order, Session, Store
from store.errors import CommitUnknown, InvalidInput
from tests.databases import Connection, TestServer
from tests.faults import faults
from tests.samples import product, settings
from tests.wire import proxy


@pytest.mark.parametrize(("cut", "stored"), [("before", 0), ("after", 1)])
def test_a_cut_commit_is_unknown_and_a_repeat_is_right(
    server: TestServer, dsn: str, connect_admin: Connection, tmp_path: Path, cut: str, stored: int
) -> None:
    """
    Whether the server got it or not, the same call afterwards answers with the one order.
    """
    if server.embedded is None:
        pytest.fail("this test needs the server's socket: run it without STORE_TEST_DSN")
    with (
        proxy(tmp_path, server.embedded.socket_dir) as wire,
        Store.open(settings(make_conninfo(dsn, host=str(tmp_path)))) as shop,
    ):
        lamp = shop.catalog.create(product())
        carts = [shop.carts.create_guest().id for _ in range(2)]
        for cart in carts:
            shop.carts.add_item(cart, product_id=lamp.id)
        wire.arm(cut, b"place_order")  # type: ignore[arg-type]
        with pytest.raises(CommitUnknown):
            shop.orders.place(carts[0], email="ada@example.org")
        for _ in range(50):  # the server may need a moment to see the cut
            if connect_admin.execute("SELECT count(*) FROM store.orders").fetchone() == (stored,):
                break
            time.sleep(0.02)

        assert connect_admin.execute("SELECT count(*) FROM store.orders").fetchone() == (stored,)
        assert shop.orders.place(carts[0], email="ada@example.org").replayed is (stored == 1)

        def work(tx: Session) -> Order:
            return tx.orders.place(carts[1], email="ada@example.org")

        wire.arm(cut, b"COMMIT\x00")  # type: ignore[arg-type]
        assert shop.run(work, is_repeatable=True).replayed is (stored == 1)
        assert (shop.inventory.get(lamp.id).on_hand, wire.cuts) == (8, 2)
        assert faults(connect_admin) == {}


def test_a_refusal_by_the_database_leaves_nothing(dsn: str, connect_admin: Connection) -> None:
    """
    When the statement itself fails, COMMIT behind it stores nothing, and the connection is as good as before.
    """
    with Store.open(settings(dsn, pool_size=1)) as shop:
        lamp = shop.catalog.create(product())
        cart = shop.carts.create_guest().id
        shop.carts.add_item(cart, product_id=lamp.id)
        connect_admin.execute("ALTER TABLE store.orders ADD CONSTRAINT orders_none CHECK (id < 0)")
        with pytest.raises(InvalidInput, match="orders_none"):
            shop.orders.place(cart, email="ada@example.org")
        connect_admin.execute("ALTER TABLE store.orders DROP CONSTRAINT orders_none")

        assert shop.inventory.get(lamp.id).on_hand == 10
        assert shop.orders.place(cart, email="ada@example.org").replayed is False
        assert faults(connect_admin) == {}
