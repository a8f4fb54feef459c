"""
Many buyers at once, threads and tasks, on a real server at READ COMMITTED: every race ends with the books being right.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.databases import Connection
from tests.faults import faults
from tests.samples import product, settings

from store import AsyncStore, Product, Store
from store.errors import OutOfStock, StoreError

ROUNDS = [pytest.param(2, id="short"), pytest.param(20, id="long", marks=pytest.mark.long)]


def open_shop(dsn: str, **changes: Any) -> Store:
    """
    Return a store in which many may wait for their turn: what is tested is the outcome, not patience.
    """
    patient = {
        "pool_size": 8,
        "pool_timeout": 30.0,
        "pool_max_waiting": 1000,
        "lock_timeout_ms": 20_000,
        "statement_timeout_ms": 30_000,
    }
    return Store.open(settings(dsn, **(patient | changes)))


def at_once(calls: list[Callable[[], Any]]) -> Counter[str]:
    """
    Run the calls in as many threads, all starting together, and count their outcomes by name of error, or "done".
    """
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> str:
        barrier.wait()
        try:
            call()
        except StoreError as error:
            return type(error).__name__
        return "done"

    with ThreadPoolExecutor(len(calls)) as pool:
        return Counter(pool.map(run, calls))


def carts_with(shop: Store, count: int, lamp: Product, quantity: int = 1) -> list[int]:
    found = []
    for _ in range(count):
        cart = shop.carts.create_guest()
        shop.carts.add_item(cart.id, product_id=lamp.id, quantity=quantity)
        found.append(cart.id)
    return found


def test_sixty_four_buyers_hold_what_there_is(dsn: str, connect_admin: Connection) -> None:
    with open_shop(dsn) as shop:
        lamp = shop.catalog.create(product(on_hand=40))
        carts = carts_with(shop, 64, lamp)
        outcome = at_once([lambda cart=cart: shop.inventory.reserve(cart) for cart in carts])

        assert outcome == {"done": 40, "OutOfStock": 24}
        assert shop.inventory.get(lamp.id).available == 0
        assert faults(connect_admin) == {}


def test_crossed_baskets_do_not_deadlock(dsn: str, connect_admin: Connection) -> None:
    """
    Several products in random order, taken and given back: nobody waits for each other in a circle.
    """
    chance = random.Random(7)
    with open_shop(dsn) as shop:
        lamps = shop.catalog.create_many(product(f"S{n}", on_hand=30) for n in range(6))
        carts = [shop.carts.create_guest().id for _ in range(16)]

        def trade(cart: int, baskets: list[list[tuple[int, int]]]) -> None:
            for basket in baskets:
                try:
                    shop.inventory.reserve(cart, lines=basket)
                except OutOfStock:
                    shop.inventory.release(cart)

        def baskets() -> list[list[tuple[int, int]]]:
            return [[(lamp.id, chance.randint(1, 4)) for lamp in chance.sample(lamps, 4)] for _ in range(15)]

        outcome = at_once([lambda cart=cart, given=baskets(): trade(cart, given) for cart in carts])

        assert outcome == {"done": 16}
        assert faults(connect_admin) == {}


def test_one_cart_reserving_twice_at_once(dsn: str, connect_admin: Connection) -> None:
    with open_shop(dsn) as shop:
        lamp = shop.catalog.create(product(on_hand=10))
        for cart in carts_with(shop, 6, lamp):
            outcome = at_once([lambda cart=cart: shop.inventory.reserve(cart)] * 2)

            assert outcome == {"done": 2}
        assert shop.inventory.get(lamp.id).reserved == 6
        assert faults(connect_admin) == {}


def test_reserve_beside_release_expiry_and_deliveries(dsn: str, connect_admin: Connection) -> None:
    """
    Holds come, go and expire while stock is delivered, counted and broken: no false refusal by the table, and no drift.
    """
    chance = random.Random(11)
    with open_shop(dsn) as shop:
        lamp = shop.catalog.create(product(on_hand=20))
        carts = carts_with(shop, 10, lamp, 3)
        calls: list[Callable[[], Any]] = []
        for cart in carts:
            calls += [lambda cart=cart: shop.inventory.reserve(cart), lambda cart=cart: shop.inventory.release(cart)]
            calls += [lambda cart=cart: shop.inventory.extend(cart)]
        calls += [lambda: shop.inventory.receive(lamp.id, quantity=1)] * 8
        calls += [lambda: connect_admin.execute("UPDATE store.reservations SET expires_at = now() - interval '1 s'")] * 2
        calls += [lambda: shop.inventory.adjust(lamp.id, delta=-1)] * 8
        outcomes: Counter[str] = Counter()
        for _ in range(3):
            chance.shuffle(calls)
            outcomes += at_once(calls)

        assert set(outcomes) <= {"done", "OutOfStock"}
        assert faults(connect_admin) == {}


def test_deleting_users_beside_their_holds(dsn: str, connect_admin: Connection) -> None:
    """
    A user is deleted while their cart takes a hold: either nothing of both is left, or the deletion is refused and works later.
    """
    from tests.samples import user

    with open_shop(dsn) as shop:
        lamp = shop.catalog.create(product(on_hand=50))
        for number in range(8):
            ada = shop.users.create(user(f"ada{number}"))
            cart = shop.carts.get_or_create(user_id=ada.id)
            outcome = at_once(
                [lambda ada=ada: shop.users.delete(ada.id)]
                + [lambda cart=cart, n=n: shop.inventory.reserve(cart.id, lines=[(lamp.id, n)]) for n in (1, 2)]
            )

            assert set(outcome) <= {"done", "NotFound", "Conflict"}
            assert faults(connect_admin) == {}


async def gathered(calls: list[Awaitable[Any]]) -> Counter[str]:
    """
    Await all at once and count their outcomes.
    """
    found = await asyncio.gather(*calls, return_exceptions=True)
    return Counter("done" if not isinstance(one, BaseException) else type(one).__name__ for one in found)


async def test_tasks_hold_what_there_is(dsn: str, connect_admin: Connection) -> None:
    async with AsyncStore.open(
        settings(dsn, pool_size=8, pool_timeout=30.0, pool_max_waiting=1000, lock_timeout_ms=20_000)
    ) as shop:
        lamp = await shop.catalog.create(product(on_hand=25))
        carts = [await shop.carts.create_guest() for _ in range(40)]
        outcome = await gathered([shop.inventory.reserve(cart.id, lines=[(lamp.id, 1)]) for cart in carts])

        assert outcome == {"done": 25, "OutOfStock": 15}
        assert faults(connect_admin) == {}
