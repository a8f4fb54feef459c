"""
Many callers at once, in threads and in tasks: what was acknowledged is true, and nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from store import AsyncStore, Cart, Product, Store
from store.errors import CartClosed, DeadlockDetected, NotFound, OutOfStock, StoreError
from tests.databases import Connection
from tests.samples import product, settings, user
from tests.waiting import wait_for_lock

WORKERS = 6

rounds = pytest.mark.parametrize("rounds", [pytest.param(8, id="short"), pytest.param(200, id="long", marks=pytest.mark.long)])


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    """
    A store with a connection for every thread.
    """
    with Store.open(settings(dsn, pool_size=WORKERS, lock_timeout_ms=10_000, statement_timeout_ms=20_000)) as opened:
        yield opened


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """
    Run calls in threads that start together; return their results, or the StoreErrors they raised.
    """
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return call()
        except StoreError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


async def all_at_once(*calls: Any) -> list[Any]:
    """
    Await coroutines together; return their results, or the errors they raised.
    """
    return await asyncio.gather(*calls, return_exceptions=True)


def lines(shop: Store, cart_id: int) -> dict[int, int]:
    return {line.product_id: line.quantity for line in shop.carts.get(cart_id).lines}


@rounds
def test_get_or_create_cart_race(shop: Store, rounds: int) -> None:
    """
    However many ask for a user's cart at once, all get the same one, with or without one before.
    """
    for number in range(rounds):
        ada = shop.users.create(user(f"ada{number}"))
        found = at_once(*[partial(shop.carts.get_or_create, user_id=ada.id)] * WORKERS)

        assert {cart.id for cart in found} == {shop.acting_as(ada.id).carts.current().id}
        assert {type(cart) for cart in found} == {Cart}


async def test_get_or_create_cart_race_in_tasks(dsn: str) -> None:
    async with AsyncStore.open(settings(dsn, pool_size=WORKERS, pool_max_waiting=500)) as shop:
        for number in range(5):
            ada = await shop.users.create(user(f"ada{number}"))
            found = await all_at_once(*(shop.carts.get_or_create(user_id=ada.id) for _ in range(20)))

            assert len({cart.id for cart in found}) == 1


def a_cart(shop: Store, products: int = 2, **changes: Any) -> tuple[Cart, tuple[Product, ...]]:
    cart = shop.carts.create_guest()
    return cart, shop.catalog.create_many(product(f"{cart.id}-{n}", **changes) for n in range(products))


@rounds
def test_no_add_is_lost(shop: Store, rounds: int) -> None:
    """
    A line holds the sum of what was acknowledged, whoever added it, first adds included.
    """
    for _ in range(rounds):
        cart, (lamp, _) = a_cart(shop)
        at_once(*(partial(shop.carts.add_item, cart.id, product_id=lamp.id, quantity=n) for n in range(1, WORKERS + 1)))

        assert lines(shop, cart.id) == {lamp.id: WORKERS * (WORKERS + 1) // 2}


async def test_no_add_is_lost_in_tasks(dsn: str) -> None:
    async with AsyncStore.open(settings(dsn, pool_size=WORKERS, pool_max_waiting=500, pool_timeout=20)) as shop:
        cart = await shop.carts.create_guest()
        lamp = await shop.catalog.create(product())
        done = await all_at_once(*(shop.carts.add_item(cart.id, product_id=lamp.id) for _ in range(50)))
        acknowledged = [item.quantity for item in done]

        assert sorted(acknowledged) == list(range(1, 51))
        assert (await shop.carts.get(cart.id)).lines[0].quantity == 50


@rounds
def test_every_change_of_a_cart_at_once(shop: Store, rounds: int) -> None:
    """
    Adds, sets, removals and clears in any order leave a cart that some order of them explains, and no error but ours.
    """
    chance = random.Random(4711)
    for _ in range(rounds):
        cart, lamps = a_cart(shop)
        choices: list[Callable[[], Any]] = [partial(shop.carts.clear, cart.id)]
        for lamp in lamps:
            choices += [
                partial(shop.carts.add_item, cart.id, product_id=lamp.id, quantity=2),
                partial(shop.carts.set_quantity, cart.id, product_id=lamp.id, quantity=5),
                partial(shop.carts.remove_item, cart.id, product_id=lamp.id),
            ]
        results = at_once(*chance.choices(choices, k=WORKERS))

        assert [result for result in results if isinstance(result, StoreError)] == []
        assert all(0 < quantity <= 5 + 2 * WORKERS for quantity in lines(shop, cart.id).values())


def test_clear_takes_what_was_added_before_it(shop: Store, connect_as: Callable[[str], Connection]) -> None:
    """
    A clear that waited for an add leaves nothing of it: the cart is empty, new lines and raised ones alike.
    """
    cart, (first, second) = a_cart(shop)
    shop.carts.add_item(cart.id, product_id=first.id)
    with ThreadPoolExecutor(1) as pool:
        with shop.transaction() as tx:
            tx.carts.add_item(cart.id, product_id=first.id)
            tx.carts.add_item(cart.id, product_id=second.id)
            cleared = pool.submit(shop.carts.clear, cart.id)
            wait_for_lock(connect_as("store_app"))
        removed = cleared.result(10)

    assert (removed, lines(shop, cart.id)) == (2, {})


@pytest.mark.parametrize("status", ["ordered", "merged", "abandoned"])
def test_add_during_checkout_is_in_or_refused(
    shop: Store, connect_admin: Connection, connect_as: Callable[[str], Connection], status: str
) -> None:
    """
    While somebody closes a cart, changes wait, and are then refused; what came before is in it.
    """
    cart, (lamp, other) = a_cart(shop)
    shop.carts.add_item(cart.id, product_id=lamp.id)
    calls = (
        lambda: shop.carts.add_item(cart.id, product_id=lamp.id),
        lambda: shop.carts.add_item(cart.id, product_id=other.id),
        lambda: shop.carts.set_quantity(cart.id, product_id=lamp.id, quantity=7),
        lambda: shop.carts.remove_item(cart.id, product_id=lamp.id),
        lambda: shop.carts.clear(cart.id),
    )
    with ThreadPoolExecutor(len(calls)) as pool:
        with connect_admin.transaction():
            connect_admin.execute("UPDATE store.carts SET status = %s WHERE id = %s", (status, cart.id))
            waiting = [pool.submit(call) for call in calls]
            wait_for_lock(connect_as("store_app"), len(calls))
        failures = [future.exception(10) for future in waiting]

    assert {type(failure) for failure in failures} == {CartClosed}
    assert lines(shop, cart.id) == {lamp.id: 1}


@rounds
def test_adds_while_a_cart_is_merged(shop: Store, rounds: int) -> None:
    """
    An add to the guest's cart during the merge is in the user's cart afterwards, or was refused.
    """
    for number in range(rounds):
        ada = shop.users.create(user(f"ada{number}"))
        cart, (lamp, _) = a_cart(shop)
        shop.carts.add_item(cart.id, product_id=lamp.id)
        results = at_once(
            partial(shop.carts.merge, cart.public_id, user_id=ada.id),
            *[partial(shop.carts.add_item, cart.id, product_id=lamp.id)] * (WORKERS - 1),
        )
        added = 1 + sum(not isinstance(result, StoreError) for result in results[1:])

        assert {type(result) for result in results[1:] if isinstance(result, StoreError)} <= {CartClosed}
        assert lines(shop, cart.id) == {}
        assert lines(shop, shop.carts.get_or_create(user_id=ada.id).id) == {lamp.id: added}


@rounds
def test_a_guests_cart_is_merged_once(shop: Store, rounds: int) -> None:
    """
    Of several who take over the same guest's cart one gets it; the others are refused and have nothing of it.
    """
    for number in range(rounds):
        users = shop.users.create_many(user(f"ada{number}-{n}") for n in range(WORKERS))
        cart, (lamp, _) = a_cart(shop)
        shop.carts.add_item(cart.id, product_id=lamp.id, quantity=3)
        results = at_once(*(partial(shop.acting_as(one.id).carts.merge, cart.public_id) for one in users))
        held = [lines(shop, shop.carts.get_or_create(user_id=one.id).id) for one in users]

        assert sorted(type(result).__name__ for result in results) == ["Cart"] + ["CartClosed"] * (WORKERS - 1)
        assert sorted(len(one) for one in held) == [0] * (WORKERS - 1) + [1]


@rounds
def test_stock_never_goes_below_zero(shop: Store, rounds: int) -> None:
    """
    Of those who take more than there is, as many get it as it lasts, and the counter agrees.
    """
    for _ in range(rounds):
        lamp = a_cart(shop, on_hand=4)[1][0]
        results = at_once(*[partial(shop.inventory.adjust, lamp.id, delta=-1)] * WORKERS)

        assert sum(isinstance(result, OutOfStock) for result in results) == WORKERS - 4
        assert shop.inventory.get(lamp.id).on_hand == 0


async def test_stock_never_goes_below_zero_in_tasks(dsn: str) -> None:
    async with AsyncStore.open(settings(dsn, pool_size=WORKERS, pool_max_waiting=500)) as shop:
        lamp = await shop.catalog.create(product(on_hand=20))
        results = await all_at_once(*(shop.inventory.adjust(lamp.id, delta=delta) for delta in (-1, 1, -2) * 20))
        done = sum(result is not None and not isinstance(result, Exception) for result in results)
        on_hand = (await shop.inventory.get(lamp.id)).on_hand
        taken = [delta for delta, result in zip((-1, 1, -2) * 20, results, strict=True) if not isinstance(result, Exception)]

        assert {type(result) for result in results if isinstance(result, Exception)} <= {OutOfStock}
        assert (len(taken), on_hand) == (done, 20 + sum(taken))
        assert on_hand >= 0


@rounds
def test_crossed_adjusts_lose_nothing(shop: Store, rounds: int) -> None:
    """
    Two transactions that change the same two products in crossed order: a deadlock is typed, retryable and rolled back whole.
    """
    for _ in range(1 if rounds < 10 else 10):
        _, (one, other) = a_cart(shop, on_hand=100)
        gate = threading.Barrier(2)

        def both(first: int, second: int, gate: threading.Barrier = gate) -> None:
            with shop.transaction() as tx:
                tx.inventory.adjust(first, delta=-1)
                gate.wait()
                tx.inventory.adjust(second, delta=-1)

        results = at_once(partial(both, one.id, other.id), partial(both, other.id, one.id))
        failed = [result for result in results if result is not None]

        assert [type(failure) for failure in failed] == [DeadlockDetected]
        assert failed[0].retryable
        assert [shop.inventory.get(product_id).on_hand for product_id in (one.id, other.id)] == [99, 99]


def test_cart_insert_during_stock_lock(shop: Store, connect_admin: Connection) -> None:
    """
    Stock that is locked stops nobody from putting the product into a cart or reading it.
    """
    cart, (lamp, _) = a_cart(shop)
    with connect_admin.transaction():
        connect_admin.execute("SELECT FROM store.inventory FOR UPDATE")
        connect_admin.execute("UPDATE store.inventory SET on_hand = on_hand - 1")
        shop.carts.add_item(cart.id, product_id=lamp.id)  # LockTimeout if it waited

        assert lines(shop, cart.id) == {lamp.id: 1}
        assert shop.catalog.get(lamp.id).inventory_count == 10
    with connect_admin.transaction():
        connect_admin.execute("SELECT FROM store.products FOR NO KEY UPDATE")

        assert shop.carts.add_item(cart.id, product_id=lamp.id).quantity == 2


def test_a_cart_may_be_made_while_its_user_changes(shop: Store, connect_admin: Connection) -> None:
    ada = shop.users.create(user("ada"))
    with connect_admin.transaction():
        connect_admin.execute("UPDATE store.users SET is_active = false WHERE id = %s", (ada.id,))

        assert shop.carts.get_or_create(user_id=ada.id).user_id == ada.id


def test_stock_update_stays_hot(shop: Store, connect_admin: Connection) -> None:
    """
    A change of stock rewrites no index entry: two hundred of them are heap-only.
    """
    lamps = a_cart(shop, products=10)[1]
    with shop.session() as session:
        for number in range(200):
            session.inventory.adjust(lamps[number % 10].id, delta=1)
        session.connection.execute("SELECT pg_stat_force_next_flush()")
        session.connection.execute("SELECT 1")
    row = connect_admin.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'store' AND relname = 'inventory'"
    ).fetchone()

    assert row == (200, 200)


def test_a_deleted_product_leaves_no_line(shop: Store, connect_as: Callable[[str], Connection]) -> None:
    """
    An add that waits for a deletion is refused, and no line without a product is left.
    """
    cart, (lamp, _) = a_cart(shop, on_hand=0)
    with ThreadPoolExecutor(1) as pool:
        with shop.transaction() as tx:
            tx.catalog.delete(lamp.id)
            adding = pool.submit(shop.carts.add_item, cart.id, product_id=lamp.id)
            wait_for_lock(connect_as("store_app"))
        failure = adding.exception(10)

    assert type(failure) is NotFound
    assert lines(shop, cart.id) == {}
