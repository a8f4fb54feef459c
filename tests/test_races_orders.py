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
from functools import partial
from typing import Any

import pytest

from store import AsyncStore, Product, Store
from store.errors import OutOfStock, StoreError
from store.sweep import sweep
from tests.databases import Connection
from tests.faults import faults
from tests.samples import product, settings, user

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

        outcome = at_once([partial(trade, cart, baskets()) for cart in carts])

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


def test_one_cart_reserving_releasing_and_changing_at_once(dsn: str, connect_admin: Connection) -> None:
    """
    Four at once on one cart, again and again: each waits for its turn, and none is refused for having lost the race.
    """
    with open_shop(dsn) as shop:
        lamp, other = shop.catalog.create_many([product("A", on_hand=100), product("B", on_hand=100)])
        (cart,) = carts_with(shop, 1, lamp)
        calls: list[Callable[[], Any]] = [
            partial(shop.inventory.reserve, cart),
            partial(shop.inventory.reserve, cart, lines=[(lamp.id, 2), (other.id, 1)]),
            partial(shop.inventory.extend, cart),
            partial(shop.carts.set_quantity, cart, product_id=lamp.id, quantity=3),
            partial(shop.inventory.release, cart),
            partial(shop.inventory.reserve, cart, lines=[(lamp.id, 4)]),
        ]
        for _ in range(10):
            assert at_once(calls) == {"done": len(calls)}
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
    A user is deleted while their cart takes a hold: nothing of both is left.
    """
    with open_shop(dsn) as shop:
        lamp = shop.catalog.create(product(on_hand=50))
        for number in range(8):
            ada = shop.users.create(user(f"ada{number}"))
            cart = shop.carts.get_or_create(user_id=ada.id)
            outcome = at_once(
                [lambda ada=ada: shop.users.delete(ada.id)]
                + [lambda cart=cart, n=n: shop.inventory.reserve(cart.id, lines=[(lamp.id, n)]) for n in (1, 2)]
            )

            assert set(outcome) <= {"done", "NotFound"}
            assert faults(connect_admin) == {}


@pytest.mark.parametrize("rounds", [pytest.param(6, id="short"), pytest.param(60, id="long", marks=pytest.mark.long)])
def test_deleting_users_beside_all_they_do(dsn: str, connect_admin: Connection, rounds: int) -> None:
    """
    A user is deleted while they reserve, release, order and cancel: nobody waits for each other in a circle.
    """
    with open_shop(dsn) as shop:
        lamps = shop.catalog.create_many(product(f"S{n}", on_hand=1000) for n in range(3))
        for number in range(rounds):
            ada = shop.users.create(user(f"ada{number}"))
            placed = []
            for lamp in lamps:
                cart = shop.carts.get_or_create(user_id=ada.id)
                shop.carts.add_item(cart.id, product_id=lamp.id)
                placed.append(shop.orders.place(cart.id).id)
            cart = shop.carts.get_or_create(user_id=ada.id)
            for lamp in lamps:
                shop.carts.add_item(cart.id, product_id=lamp.id)
            calls: list[Callable[[], Any]] = [partial(shop.users.delete, ada.id), partial(shop.orders.place, cart.id)]
            calls += [partial(shop.orders.cancel, order) for order in placed]
            calls += [partial(shop.inventory.reserve, cart.id), partial(shop.inventory.release, cart.id)]
            random.Random(number).shuffle(calls)

            assert set(at_once(calls)) <= {"done", "NotFound", "CartClosed"}
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


def sell(shop: Store, cart: int) -> None:
    shop.orders.place(cart, email="ada@example.org")


@pytest.mark.parametrize("rounds", ROUNDS)
def test_sixty_four_buyers_cannot_oversell(dsn: str, connect_admin: Connection, rounds: int) -> None:
    """
    64 buyers of two units each, a hundred units: fifty are served, fourteen are told that nothing is left.
    """
    with open_shop(dsn) as shop:
        for number in range(rounds):
            lamp = shop.catalog.create(product(f"L{number}", on_hand=100))
            carts = carts_with(shop, 64, lamp, 2)
            outcome = at_once([lambda cart=cart: sell(shop, cart) for cart in carts])

            assert outcome == {"done": 50, "OutOfStock": 14}
            assert shop.inventory.get(lamp.id).on_hand == 0
        assert faults(connect_admin) == {}


async def test_sixty_four_tasks_cannot_oversell(dsn: str, connect_admin: Connection) -> None:
    patient = {"pool_size": 8, "pool_timeout": 30.0, "pool_max_waiting": 1000, "lock_timeout_ms": 20_000}
    async with AsyncStore.open(settings(dsn, **patient)) as shop:
        lamp = await shop.catalog.create(product(on_hand=100))
        carts = [await shop.carts.create_guest() for _ in range(64)]
        for cart in carts:
            await shop.carts.add_item(cart.id, product_id=lamp.id, quantity=2)
        outcome = await gathered([shop.orders.place(cart.id, email="ada@example.org") for cart in carts])

        assert outcome == {"done": 50, "OutOfStock": 14}
        assert faults(connect_admin) == {}


@pytest.mark.parametrize("carts", [pytest.param(15, id="short"), pytest.param(60, id="long", marks=pytest.mark.long)])
def test_a_cart_placed_twice_at_once_is_one_order(dsn: str, connect_admin: Connection, carts: int) -> None:
    with open_shop(dsn) as shop:
        lamp = shop.catalog.create(product(on_hand=1000))
        for cart in carts_with(shop, carts, lamp, 3):
            found: list[bool] = []
            outcome = at_once(
                [lambda cart=cart, found=found: found.append(shop.orders.place(cart, email="a@example.org").replayed)] * 3
            )

            assert outcome == {"done": 3}
            assert sorted(found) == [False, True, True]
        assert shop.inventory.get(lamp.id).on_hand == 1000 - 3 * carts
        assert faults(connect_admin) == {}


@pytest.mark.parametrize("orders", [pytest.param(20, id="short"), pytest.param(625, id="long", marks=pytest.mark.long)])
def test_checkouts_of_several_products_in_random_order_do_not_deadlock(
    dsn: str, connect_admin: Connection, orders: int
) -> None:
    chance = random.Random(3)
    with open_shop(dsn) as shop:
        lamps = shop.catalog.create_many(product(f"S{n}", on_hand=100_000) for n in range(8))

        def checkouts(seed: int) -> None:
            mine = random.Random(seed)
            for _ in range(orders):
                cart = shop.carts.create_guest()
                for lamp in mine.sample(lamps, 4):
                    shop.carts.add_item(cart.id, product_id=lamp.id, quantity=mine.randint(1, 3))
                if mine.random() < 0.5:
                    shop.inventory.reserve(cart.id)
                order = shop.orders.place(cart.id, email="ada@example.org")
                if mine.random() < 0.2:
                    shop.orders.cancel(order.id)

        outcome = at_once([partial(checkouts, int(chance.random() * 1e9)) for _ in range(16)])

        assert outcome == {"done": 16}
        assert faults(connect_admin) == {}


def test_a_line_added_during_checkout_is_in_the_order_or_refused(dsn: str, connect_admin: Connection) -> None:
    with open_shop(dsn) as shop:
        lamp, other = shop.catalog.create_many([product("A", on_hand=1000), product("B", on_hand=1000)])
        for cart in carts_with(shop, 25, lamp):
            outcome = at_once(
                [lambda cart=cart: sell(shop, cart), lambda cart=cart: shop.carts.add_item(cart, product_id=other.id)]
            )
            lines = len(shop.orders.get(cart).lines)

            assert outcome in ({"done": 2}, {"done": 1, "CartClosed": 1})
            assert lines == outcome["done"]
        assert faults(connect_admin) == {}


def test_an_expired_hold_has_one_heir(dsn: str, connect_admin: Connection) -> None:
    """
    The last unit is in an expired hold: of its old holder and two others, placing and holding, one gets it.
    """
    with open_shop(dsn) as shop:
        for number in range(8):
            lamp = shop.catalog.create(product(f"L{number}", on_hand=1))
            first, second, third = carts_with(shop, 3, lamp)
            shop.inventory.reserve(first)
            connect_admin.execute("UPDATE store.reservations SET expires_at = now() - interval '1 s'")
            outcome = at_once(
                [lambda: sell(shop, first), lambda: shop.inventory.reserve(second), lambda: sell(shop, third)]  # noqa: B023  # runs at once
            )

            assert outcome == {"done": 1, "OutOfStock": 2}
            assert faults(connect_admin) == {}


def test_refunds_and_captures_at_once_stay_within_bounds(dsn: str, connect_admin: Connection) -> None:
    from decimal import Decimal

    with open_shop(dsn) as shop:
        lamp = shop.catalog.create(product(price=Decimal(100)))
        (cart,) = carts_with(shop, 1, lamp)
        sell(shop, cart)
        shop.payments.authorize(cart, provider="t", provider_ref="1", amount=Decimal(100), idempotency_key="a")
        captured = at_once(
            [
                lambda n=n: shop.payments.capture(cart, payment_no=1, amount=Decimal(30), idempotency_key=f"c{n}")
                for n in range(16)
            ]
        )
        shop.payments.capture(cart, payment_no=1, idempotency_key="rest")
        refunded = at_once(
            [
                lambda n=n: shop.payments.refund(cart, payment_no=1, amount=Decimal(30), idempotency_key=f"r{n}")
                for n in range(24)
            ]
        )
        same = at_once([lambda: shop.payments.refund(cart, payment_no=1, amount=Decimal(5), idempotency_key="same")] * 8)

        assert captured == {"done": 3, "AmountExceeded": 13}
        assert refunded == {"done": 3, "AmountExceeded": 21}
        assert same == {"done": 8}
        assert shop.orders.get(cart).payments[0].refunded == 95
        assert faults(connect_admin) == {}


def test_cancelling_beside_paying(dsn: str, connect_admin: Connection) -> None:
    """
    An order is cancelled or paid for, never both.
    """
    from decimal import Decimal

    with open_shop(dsn) as shop:
        lamp = shop.catalog.create(product(on_hand=100))
        for number, cart in enumerate(carts_with(shop, 15, lamp)):
            sell(shop, cart)
            outcome = at_once(
                [
                    lambda cart=cart: shop.orders.cancel(cart),
                    lambda cart=cart, number=number: shop.payments.authorize(
                        cart, provider="t", provider_ref=f"{number}", amount=Decimal("2.50"), idempotency_key="a"
                    ),
                ]
            )

            assert outcome in ({"done": 1, "PaymentOutstanding": 1}, {"done": 1, "IllegalTransition": 1})
        assert faults(connect_admin) == {}


@pytest.mark.parametrize("rounds", [pytest.param(6, id="short"), pytest.param(60, id="long", marks=pytest.mark.long)])
def test_merging_beside_adding_holding_and_placing(dsn: str, connect_admin: Connection, rounds: int) -> None:
    """
    While a guest's cart moves into a user's, both get units, the guest's is to be held and the user's is placed: what was
    acknowledged is in the order or in the cart that is open then, and nowhere twice.
    """
    with open_shop(dsn) as shop:
        lamp = shop.catalog.create(product(on_hand=100_000))
        for number in range(rounds):
            ada = shop.users.create(user(f"ada{number}"))
            (guest,) = carts_with(shop, 1, lamp)
            secret = shop.carts.get(guest).public_id
            shop.inventory.reserve(guest)
            mine = shop.carts.get_or_create(user_id=ada.id).id
            shop.carts.add_item(mine, product_id=lamp.id)
            added: list[int] = []

            def add(cart: int, quantity: int, added: list[int] = added) -> None:
                shop.carts.add_item(cart, product_id=lamp.id, quantity=quantity)
                added.append(quantity)

            outcome = at_once(
                [
                    partial(shop.carts.merge, secret, user_id=ada.id),
                    *(partial(add, cart, quantity) for cart in (guest, mine) for quantity in (10, 100)),
                    partial(shop.inventory.reserve, guest),
                    partial(shop.inventory.reserve, mine),
                    partial(shop.orders.place, mine),
                ]
            )
            carts = [shop.carts.get(mine), shop.carts.get_or_create(user_id=ada.id)]
            held = {cart.id: sum(line.quantity for line in cart.lines) for cart in carts}

            assert set(outcome) <= {"done", "CartClosed"}
            assert shop.carts.get(guest).lines == ()
            assert sum(held.values()) == 2 + sum(added)
        assert faults(connect_admin) == {}


async def test_merging_beside_adding_in_tasks(dsn: str, connect_admin: Connection) -> None:
    async with AsyncStore.open(settings(dsn, pool_size=8, pool_timeout=30.0, pool_max_waiting=1000)) as shop:
        lamp = await shop.catalog.create(product(on_hand=1000))
        for number in range(5):
            ada = await shop.users.create(user(f"ada{number}"))
            guest = await shop.carts.create_guest()
            adding = [shop.carts.add_item(guest.id, product_id=lamp.id) for _ in range(10)]
            merging = shop.carts.merge(guest.public_id, user_id=ada.id)
            outcome = await gathered([*adding[:5], merging, *adding[5:]])
            mine = await shop.carts.get_or_create(user_id=ada.id)

            assert set(outcome) <= {"done", "CartClosed"}
            assert sum(line.quantity for line in mine.lines) == outcome["done"] - 1
        assert faults(connect_admin) == {}


@pytest.mark.parametrize("orders", [pytest.param(12, id="short"), pytest.param(150, id="long", marks=pytest.mark.long)])
def test_cancelling_beside_capturing_voiding_and_shipping(dsn: str, connect_admin: Connection, orders: int) -> None:
    """
    Money is captured, or voided and the order cancelled; who loses is told why, and the stock comes back once or not at all.
    """
    with open_shop(dsn) as shop:
        lamp = shop.catalog.create(product(on_hand=orders))
        for number, cart in enumerate(carts_with(shop, orders, lamp)):
            sell(shop, cart)
            amount = shop.orders.get(cart).total
            shop.payments.authorize(cart, provider="t", provider_ref=f"{number}", amount=amount, idempotency_key="a")
            outcome = at_once(
                [
                    partial(shop.orders.cancel, cart),
                    partial(shop.payments.capture, cart, payment_no=1, idempotency_key="c"),
                    partial(shop.payments.void, cart, payment_no=1, idempotency_key="v"),
                    partial(shop.orders.transition, cart, to_status="shipped"),
                ]
            )
            order = shop.orders.get(cart)

            assert set(outcome) <= {"done", "PaymentOutstanding", "AmountExceeded", "IllegalTransition"}
            assert (order.status, order.payments[0].status) in {
                ("paid", "captured"),
                ("shipped", "captured"),
                ("placed", "voided"),
                ("cancelled", "voided"),
            }
        assert faults(connect_admin) == {}


@pytest.mark.parametrize("rounds", [pytest.param(6, id="short"), pytest.param(60, id="long", marks=pytest.mark.long)])
def test_sweeping_beside_holding_extending_and_buying(dsn: str, connect_admin: Connection, rounds: int) -> None:
    """
    Every unit is in a hold that is over: the sweep, old holders and new ones take it back at once, and nobody gets a unit twice.
    """
    with open_shop(dsn) as shop:
        for number in range(rounds):
            lamp = shop.catalog.create(product(f"L{number}", on_hand=6))
            carts = carts_with(shop, 12, lamp)
            for cart in carts[:6]:
                shop.inventory.reserve(cart)
            connect_admin.execute("UPDATE store.reservations SET expires_at = now() - interval '1 s'")
            outcome = at_once(
                [
                    *[partial(sweep, shop)] * 2,
                    *(partial(shop.inventory.extend, cart) for cart in carts[:3]),
                    *(partial(shop.inventory.reserve, cart) for cart in carts[3:9]),
                    *(partial(sell, shop, cart) for cart in carts[9:]),
                ]
            )
            stock = shop.inventory.get(lamp.id)
            sold = sum(shop.carts.get(cart).status == "ordered" for cart in carts)

            assert set(outcome) <= {"done", "OutOfStock"}
            assert stock.on_hand == 6 - sold
            assert faults(connect_admin) == {}
