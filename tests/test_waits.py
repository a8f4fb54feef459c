"""
What a verb sees of what was committed while it waited for a lock: all of it, or it refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from store import Session, Store
from store.errors import IllegalTransition, ProductInUse
from tests.databases import Connection
from tests.faults import faults
from tests.samples import product, settings, user
from tests.verbs import make_world
from tests.waiting import beside


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    with Store.open(settings(dsn, pool_size=4, lock_timeout_ms=10_000)) as opened:
        yield opened


@pytest.fixture
def other(dsn: str) -> Iterator[tuple[Session, ExitStack]]:
    """
    A transaction that somebody else has open, and what commits it when closed.
    """
    with Store.open(settings(dsn)) as opened, ExitStack() as stack:
        yield stack.enter_context(opened.transaction()), stack


def test_deleting_a_user_frees_the_hold_it_waited_for(
    shop: Store, connect_admin: Connection, other: tuple[Session, ExitStack]
) -> None:
    lamp = shop.catalog.create(product())
    ada = shop.users.create(user("ada"))
    cart = shop.carts.get_or_create(user_id=ada.id)
    buyer, commit = other
    buyer.inventory.reserve(cart.id, lines=[(lamp.id, 3)])

    assert beside(connect_admin, lambda: shop.users.delete(ada.id), commit.close) == [None]
    assert shop.inventory.get(lamp.id).reserved == 0
    assert faults(connect_admin) == {}


def test_deleting_a_user_detaches_the_order_it_waited_for(
    shop: Store, connect_admin: Connection, other: tuple[Session, ExitStack]
) -> None:
    lamp = shop.catalog.create(product())
    ada = shop.users.create(user("ada"))
    cart = shop.carts.get_or_create(user_id=ada.id)
    shop.carts.add_item(cart.id, product_id=lamp.id)
    buyer, commit = other
    placed = []
    buyer.connection.execute("SELECT id FROM store.carts WHERE id = %s FOR NO KEY UPDATE", (cart.id,))

    def place() -> None:
        placed.append(buyer.orders.place(cart.id))
        commit.close()

    assert beside(connect_admin, lambda: shop.users.delete(ada.id), place) == [None]
    kept = shop.orders.get(cart.id)

    assert (kept.user_id, kept.public_id != placed[0].public_id) == (None, True)
    assert faults(connect_admin) == {}


def test_release_gives_back_the_hold_it_waited_for(
    shop: Store, connect_admin: Connection, other: tuple[Session, ExitStack]
) -> None:
    lamp, cart = shop.catalog.create(product()), shop.carts.create_guest()
    buyer, commit = other
    buyer.inventory.reserve(cart.id, lines=[(lamp.id, 3)])

    assert beside(connect_admin, lambda: shop.inventory.release(cart.id), commit.close) == [1]
    assert shop.inventory.get(lamp.id).reserved == 0
    assert faults(connect_admin) == {}


def test_reserve_holds_the_line_it_waited_for(shop: Store, connect_admin: Connection, other: tuple[Session, ExitStack]) -> None:
    lamp, cart = shop.catalog.create(product()), shop.carts.create_guest()
    shop.carts.add_item(cart.id, product_id=lamp.id, quantity=2)
    buyer, commit = other
    buyer.carts.set_quantity(cart.id, product_id=lamp.id, quantity=5)
    ((hold,),) = beside(connect_admin, lambda: shop.inventory.reserve(cart.id), commit.close)

    assert (hold.quantity, shop.inventory.get(lamp.id).reserved) == (5, 5)
    assert faults(connect_admin) == {}


def test_extending_an_expired_hold_beside_a_count_is_no_deadlock(
    shop: Store, connect_admin: Connection, other: tuple[Session, ExitStack]
) -> None:
    """
    Whoever counts stock takes expired holds back: stock first, then holds. So does who lets them expire later.
    """
    lamp, cart = shop.catalog.create(product()), shop.carts.create_guest()
    shop.inventory.reserve(cart.id, lines=[(lamp.id, 3)])
    connect_admin.execute("UPDATE store.reservations SET expires_at = now() - interval '1 s'")
    buyer, commit = other
    buyer.inventory.extend(cart.id)

    def finish() -> None:
        buyer.inventory.adjust(lamp.id, delta=1)
        commit.close()

    (counted,) = beside(connect_admin, lambda: shop.inventory.adjust(lamp.id, delta=1), finish)
    assert (counted.on_hand, counted.reserved) == (12, 3)
    assert faults(connect_admin) == {}


def test_an_order_is_not_shipped_that_is_paid_back_meanwhile(
    shop: Store, connect_admin: Connection, other: tuple[Session, ExitStack]
) -> None:
    order = make_world(shop).paid
    desk, commit = other
    desk.payments.refund(order.id, payment_no=1, idempotency_key="r")
    (refused,) = beside(connect_admin, lambda: shop.orders.transition(order.id, to_status="shipped"), commit.close)

    assert isinstance(refused, IllegalTransition)
    assert shop.orders.get(order.id).status == "paid"
    assert faults(connect_admin) == {}


def test_deleting_a_product_beside_a_delivery_is_no_deadlock(
    shop: Store, connect_admin: Connection, other: tuple[Session, ExitStack]
) -> None:
    """
    Who changes stock locks it, and then the product by the key of the movement; who deletes the product must not begin there.
    """
    lamp = shop.catalog.create(product(on_hand=0))
    supplier, commit = other
    supplier.connection.execute("SELECT FROM store.inventory WHERE product_id = %s FOR NO KEY UPDATE", (lamp.id,))

    def deliver() -> None:
        supplier.inventory.receive(lamp.id, quantity=5)
        commit.close()

    (refused,) = beside(connect_admin, lambda: shop.catalog.delete(lamp.id), deliver)
    assert isinstance(refused, ProductInUse)
    assert shop.inventory.get(lamp.id).on_hand == 5
    assert faults(connect_admin) == {}


def test_consumers_at_once_do_not_wait_for_each_other(
    shop: Store, connect_admin: Connection, other: tuple[Session, ExitStack]
) -> None:
    """
    What one claims and has not committed is passed over, and not claimed again afterwards.
    """
    make_world(shop)
    consumer, commit = other
    (first,) = consumer.outbox.claim(batch=1)
    (second,) = shop.outbox.claim(batch=1)
    commit.close()
    rest = shop.outbox.claim()

    assert first.id < second.id < rest[0].id
    assert faults(connect_admin) == {}


def test_an_acknowledgement_does_not_take_what_it_waited_for(
    shop: Store, connect_admin: Connection, other: tuple[Session, ExitStack]
) -> None:
    """
    While a claim that is over acknowledges, another consumer claims the event and commits: it is that one's.
    """
    make_world(shop)
    (late,) = shop.outbox.claim(batch=1)
    connect_admin.execute("UPDATE store.outbox SET claimed_until = now() - interval '1 s' WHERE id = %s", (late.id,))
    (row,) = connect_admin.execute("SELECT claimed_until FROM store.outbox WHERE id = %s", (late.id,)).fetchall()
    consumer, commit = other
    (mine,) = consumer.outbox.claim(batch=1)

    assert mine.id == late.id
    assert beside(connect_admin, lambda: shop.outbox.acknowledge([late.id], claimed_until=row[0]), commit.close) == [0]
    assert shop.outbox.acknowledge([mine.id], claimed_until=mine.claimed_until) == 1
    assert faults(connect_admin) == {}
