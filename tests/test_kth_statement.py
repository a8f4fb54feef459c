"""
Any statement of a verb may fail: then nothing of the verb is stored, and no success is reported.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from store import Session, Store
from store._queries.adapter_sync import Adapter
from store.errors import DatabaseError
from tests.databases import Connection
from tests.faults import faults
from tests.samples import digest, settings
from tests.verbs import good_call, make_world, verbs

WRITING = (
    "carts.clear",
    "carts.merge",
    "carts.remove_item",
    "catalog.delete",
    "inventory.extend",
    "inventory.release",
    "orders.cancel",
    "orders.place",
    "orders.refund",
    "orders.transition",
    "payments.authorize",
    "payments.capture",
    "payments.refund",
    "payments.void",
    "shopper.carts.merge",
    "shopper.orders.place",
    "users.delete",
)


@pytest.mark.parametrize("name", WRITING)
def test_kth_statement_failure_is_never_success(
    dsn: str, connect_admin: Connection, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with Store.open(settings(dsn, pool_size=1)) as shop:
        world = make_world(shop)
        if name in ("inventory.extend", "inventory.release"):
            shop.inventory.reserve(world.cart.id, seconds=30)
        before = digest(connect_admin)
        verb = dict(verbs(shop, world.user.id))[name]
        failed = 0
        for k in count(1):
            left = [k]

            def fail(original: Any, left: list[int] = left) -> Any:
                def wrapped(*given: Any, **named: Any) -> Any:
                    left[0] -= 1
                    if left[0] == 0:
                        raise DatabaseError
                    return original(*given, **named)

                return wrapped

            with monkeypatch.context() as patched:
                patched.setattr(Session, "_control", fail(Session._control))
                patched.setattr(Adapter, "_execute", fail(Adapter._execute))
                try:
                    good_call(verb, name, world)
                except DatabaseError:
                    failed += 1
                    assert digest(connect_admin) == before
                    continue
            break

        assert failed >= 3
        assert digest(connect_admin) != before
        assert faults(connect_admin) == {}
