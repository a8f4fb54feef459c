"""
What each verb costs: statements and round trips, counted on the wire by libpq itself.

A connection that has run the statement before sends Bind, Execute and Sync for it: one round trip. Verbs that need more say why.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from psycopg.pq import Trace
from psycopg.pq.abc import PGconn

from store import Store
from store._sync.held import hold_to_contracts
from store._sync.queries import queries
from tests.samples import product, settings
from tests.verbs import good_call, make_world, verbs

ONE = (1, 1)

# Statements and round trips. Inside a caller's transaction a verb costs the same, but for those that open one of their own.
BUDGET: dict[str, tuple[int, int]] = {
    "users.activate": ONE,
    "users.authenticate": ONE,
    "users.create": ONE,
    "users.create_many": ONE,
    "users.deactivate": ONE,
    "users.delete": (6, 6),  # BEGIN, lock carts, detach orders, release holds, delete, COMMIT: each reads behind a lock
    "users.find_by_email": ONE,
    "users.find_by_username": ONE,
    "users.get": ONE,
    "users.get_many": ONE,
    "users.list": ONE,
    "users.register": ONE,
    "users.set_password": ONE,
    "users.update": ONE,
    "catalog.archive": ONE,
    "catalog.create": ONE,
    "catalog.create_many": ONE,
    "catalog.delete": (4, 4),  # BEGIN, lock the stock, delete, COMMIT: stock before product, as everybody locks
    "catalog.facets": ONE,
    "catalog.get": ONE,
    "catalog.get_by_sku": ONE,
    "catalog.get_many": ONE,
    "catalog.list": ONE,
    "catalog.search": ONE,
    "catalog.update": ONE,
    "inventory.adjust": ONE,
    "inventory.extend": (4, 4),  # BEGIN, lock, extend, COMMIT: holds are changed behind the lock of their cart
    "inventory.get": ONE,
    "inventory.get_many": ONE,
    "inventory.history": ONE,
    "inventory.receive": ONE,
    "inventory.release": (4, 4),  # as inventory.extend: in one statement, a hold made while it waits would stay
    "inventory.reserve": ONE,
    "inventory.set": ONE,
    "carts.add_item": ONE,
    "carts.check_availability": ONE,
    "carts.clear": (4, 4),  # BEGIN, lock, delete, COMMIT: only a statement behind the lock sees every line
    "carts.create_guest": ONE,
    "carts.get": ONE,
    "carts.get_by_public_id": ONE,
    "carts.get_many": ONE,
    "carts.get_or_create": (2, 2),
    "carts.merge": (6, 6),  # BEGIN, lock the one, lock the other, move, read, COMMIT
    "carts.remove_item": (4, 4),  # as carts.clear
    "carts.set_quantity": ONE,
    "orders.cancel": (5, 5),  # BEGIN, lock, end, read, COMMIT: money must be looked at under the lock
    "orders.find_by_number": (2, 2),  # number to id, then the order
    "orders.get": ONE,
    "orders.get_many": ONE,
    "orders.list_for_user": ONE,
    "orders.place": (4, 3),  # BEGIN, lock, place with COMMIT behind it: the lines must be read after the lock
    "orders.preview": ONE,
    "orders.refund": (5, 5),  # as orders.cancel
    "orders.transition": (5, 5),  # BEGIN, lock, step, read, COMMIT: as orders.cancel
    "payments.authorize": (4, 4),  # BEGIN, lock, write, COMMIT: an earlier answer must be looked for under the lock
    "payments.capture": (4, 4),
    "payments.refund": (4, 4),
    "payments.void": (4, 4),
    "addresses.create": ONE,
    "addresses.delete": ONE,
    "addresses.get": ONE,
    "addresses.list_for_user": ONE,
    "addresses.replace": ONE,
    "outbox.acknowledge": ONE,
    "outbox.claim": ONE,
    "outbox.read": ONE,
    "shopper.user.get": ONE,
    "shopper.user.set_password": ONE,
    "shopper.user.update": ONE,
    "shopper.catalog.facets": ONE,
    "shopper.catalog.get": ONE,
    "shopper.catalog.get_by_sku": ONE,
    "shopper.catalog.get_many": ONE,
    "shopper.catalog.list": ONE,
    "shopper.catalog.search": ONE,
    "shopper.carts.add_item": ONE,
    "shopper.carts.check_availability": ONE,
    "shopper.carts.clear": (4, 4),  # as carts.clear
    "shopper.carts.current": (2, 2),
    "shopper.carts.get": ONE,
    "shopper.carts.get_many": ONE,
    "shopper.carts.merge": (6, 6),  # as carts.merge
    "shopper.carts.remove_item": (4, 4),  # as carts.clear
    "shopper.carts.set_quantity": ONE,
    "shopper.orders.find_by_number": (2, 2),
    "shopper.orders.get": ONE,
    "shopper.orders.get_many": ONE,
    "shopper.orders.list": ONE,
    "shopper.orders.place": (4, 3),
    "shopper.orders.preview": ONE,
    "shopper.addresses.create": ONE,
    "shopper.addresses.delete": ONE,
    "shopper.addresses.get": ONE,
    "shopper.addresses.list": ONE,
    "shopper.addresses.replace": ONE,
}


@dataclass
class Wire:
    """
    What has been sent on a connection, as libpq's trace tells it.
    """

    path: Path

    def spent(self) -> tuple[int, int]:
        """
        Return how many statements were run and how many answers were waited for.
        """
        sent = re.findall(r"^F\t\d+\t(\w+)", self.path.read_text(errors="replace"), re.MULTILINE)
        return sent.count("Execute") + sent.count("Query"), sent.count("Sync") + sent.count("Query")


@contextmanager
def traced(shop: Store) -> Iterator[Wire]:
    """
    Count what the only connection of a pool sends.
    """
    with shop.session() as session:
        pgconn = session.connection.pgconn
    with counted(pgconn) as wire:
        yield wire


@contextmanager
def counted(pgconn: PGconn) -> Iterator[Wire]:
    """
    Count what a connection sends.
    """
    with tempfile.NamedTemporaryFile() as file:
        pgconn.trace(file.fileno())
        pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            yield Wire(Path(file.name))
        finally:
            pgconn.untrace()


@pytest.fixture
def shop(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """
    A store of one connection, which it does not ask whether it still works: on a slow machine that would be counted.
    """
    monkeypatch.setattr("store._sync.pool._FRESH_SECONDS", 3600)
    with Store.open(settings(dsn, pool_size=1)) as opened:
        yield opened


def spent(shop: Store, call: Callable[[], Any]) -> tuple[int, int]:
    """
    Return what a call costs.
    """
    with traced(shop) as wire:
        call()
        return wire.spent()


def test_the_trace_counts(shop: Store) -> None:
    """
    Two statements in a transaction are four; one that is new to the connection is prepared first, in a round trip of its own.
    """

    def known() -> None:
        with shop.transaction() as tx:
            tx.users.list()
            tx.catalog.list()

    assert spent(shop, shop.users.list) == (1, 2)
    assert spent(shop, shop.users.list) == (1, 1)
    known()
    assert spent(shop, known) == (4, 4)


def test_all_queries_are_held_to_their_contracts_at_once(shop: Store) -> None:
    """
    However many there are; and none of them stays prepared.
    """
    with shop.session() as session:
        with counted(session.connection.pgconn) as wire:
            hold_to_contracts(session.connection, queries.texts)
            trips = wire.spent()[1]
        left = session.connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'store%'").fetchone()

    assert len(queries.texts) > 100
    assert (trips, left) == (1, (0,))


def test_no_savepoint_per_row(shop: Store) -> None:
    """
    A hundred rows cost what one costs, inside a transaction too.
    """
    shop.catalog.create(product("first"))

    def create() -> None:
        with shop.transaction() as tx:
            tx.catalog.create_many(product(f"S{n}") for n in range(100))

    assert spent(shop, create) == (3, 3)


@pytest.mark.one_version
def test_statements_and_round_trips(shop: Store) -> None:
    """
    Every verb costs what its line in the table says, and every verb has a line.
    """
    names = [name for name, _ in verbs(shop, make_world(shop).user.id)]
    found: dict[str, tuple[int, int]] = {}
    for number, name in enumerate(names, 1):
        known, fresh = make_world(shop, number), make_world(shop, -number)
        good_call(dict(verbs(shop, known.user.id))[name], name, known)  # now the connection knows the statements
        verb = dict(verbs(shop, fresh.user.id))[name]
        found[name] = spent(shop, partial(good_call, verb, name, fresh))

    assert found == BUDGET
