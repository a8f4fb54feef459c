"""
Stock: changes, refusals and what they leave behind.
"""

from __future__ import annotations

import pytest

from store import AsyncStore, Inventory
from store.errors import Conflict, InvalidInput, NotFound, OutOfStock
from tests.databases import Connection
from tests.samples import product


async def test_adjust_adds_and_takes(shop: AsyncStore) -> None:
    lamp = await shop.catalog.create(product(on_hand=10))

    assert await shop.inventory.adjust(lamp.id, delta=5) == Inventory(product_id=lamp.id, on_hand=15, reserved=0, available=15)
    assert (await shop.inventory.adjust(lamp.id, delta=-15)).on_hand == 0
    assert (await shop.inventory.adjust(lamp.id, delta=0)).on_hand == 0
    assert (await shop.catalog.get(lamp.id)).inventory_count == 0


async def test_stock_never_falls_below_zero_or_what_is_reserved(shop: AsyncStore, connect_admin: Connection) -> None:
    lamp = await shop.catalog.create(product(on_hand=10))
    with pytest.raises(OutOfStock) as caught:
        await shop.inventory.adjust(lamp.id, delta=-11)

    assert caught.value.constraint == "inventory_reserved_within_on_hand"
    connect_admin.execute("UPDATE store.inventory SET reserved = 4")
    with pytest.raises(OutOfStock):
        await shop.inventory.adjust(lamp.id, delta=-7)
    with pytest.raises(OutOfStock):
        await shop.inventory.set(lamp.id, quantity=3)

    assert await shop.inventory.get(lamp.id) == Inventory(product_id=lamp.id, on_hand=10, reserved=4, available=6)
    assert (await shop.catalog.get(lamp.id)).inventory_count == 6


async def test_stock_has_a_ceiling(shop: AsyncStore) -> None:
    lamp = await shop.catalog.create(product(on_hand=1_000_000_000))
    with pytest.raises(InvalidInput) as caught:
        await shop.inventory.adjust(lamp.id, delta=1)

    assert caught.value.constraint == "inventory_on_hand_bounded"
    with pytest.raises(InvalidInput):
        await shop.inventory.adjust(lamp.id, delta=1_000_000_000)
    with pytest.raises(InvalidInput):
        await shop.inventory.set(lamp.id, quantity=1_000_000_001)
    assert (await shop.inventory.get(lamp.id)).on_hand == 1_000_000_000


async def test_set_after_a_count(shop: AsyncStore) -> None:
    """
    A count replaces the stock; with what was expected, only as long as nobody sold in between.
    """
    lamp = await shop.catalog.create(product(on_hand=10))

    assert (await shop.inventory.set(lamp.id, quantity=7)).on_hand == 7
    assert (await shop.inventory.set(lamp.id, quantity=8, expected=7)).on_hand == 8
    with pytest.raises(Conflict):
        await shop.inventory.set(lamp.id, quantity=9, expected=7)
    assert (await shop.inventory.get(lamp.id)).on_hand == 8
    assert (await shop.inventory.set(lamp.id, quantity=0, expected=8)).on_hand == 0


async def test_unknown_products(shop: AsyncStore) -> None:
    with pytest.raises(NotFound):
        await shop.inventory.get(1)
    with pytest.raises(NotFound):
        await shop.inventory.adjust(1, delta=1)
    with pytest.raises(NotFound):
        await shop.inventory.set(1, quantity=1)
    with pytest.raises(NotFound):
        await shop.inventory.set(1, quantity=1, expected=0)
    with pytest.raises(NotFound, match="1, 2$"):
        await shop.inventory.get_many([2, 1])


async def test_get_many_keeps_the_order(shop: AsyncStore) -> None:
    created = await shop.catalog.create_many(product(f"S{n}", on_hand=n) for n in range(5))
    ids = [p.id for p in reversed(created)]

    assert [(i.product_id, i.on_hand) for i in await shop.inventory.get_many(ids)] == list(
        zip(ids, (4, 3, 2, 1, 0), strict=True)
    )
    assert await shop.inventory.get_many([]) == ()
