"""
Events: claimed by one consumer at a time, and read in an order that loses nobody.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import uuid4

import psycopg
import pytest

from store import AsyncStore, PostalAddress
from store.errors import InvalidCursor, InvalidInput, NotFound
from tests.databases import Connection
from tests.faults import faults
from tests.samples import product, user

HOME = PostalAddress(name="Ada", line1="1 Lovelace Street", city="London", country="GB")
WRITE = """INSERT INTO store.outbox (key, topic, payload) VALUES (%s, 'test', '{}')"""


async def place(shop: AsyncStore) -> int:
    lamp = await shop.catalog.create(product(uuid4().hex[:12]))
    cart = await shop.carts.create_guest()
    await shop.carts.add_item(cart.id, product_id=lamp.id)
    return (await shop.orders.place(cart.id, email="ada@example.org")).id


async def test_each_event_goes_to_one_consumer_until_it_gives_up(shop: AsyncStore, connect_admin: Connection) -> None:
    orders = [await place(shop) for _ in range(3)]
    first, second, third = await shop.outbox.claim(batch=2), await shop.outbox.claim(batch=2), await shop.outbox.claim()

    assert [event.key for event in (*first, *second)] == orders
    assert third == ()
    assert (first[0].topic, first[0].payload["status"], first[0].payload["order_id"]) == ("order.placed", "placed", orders[0])
    assert await shop.outbox.acknowledge([first[0].id]) == 1
    assert await shop.outbox.acknowledge([first[0].id]) == 0
    assert await shop.outbox.acknowledge([]) == 0
    connect_admin.execute("UPDATE store.outbox SET claimed_until = now() - interval '1 s'")
    assert [event.key for event in await shop.outbox.claim()] == orders[1:]
    assert faults(connect_admin) == {}


async def test_a_claim_that_is_over_acknowledges_what_nobody_took(shop: AsyncStore, connect_admin: Connection) -> None:
    """
    With its own `claimed_until` a consumer marks what it still holds, and not what is another's by now; a late one that says
    nothing of its claim has dealt with them all the same.
    """
    orders = [await place(shop) for _ in range(3)]
    slow = await shop.outbox.claim()
    connect_admin.execute("UPDATE store.outbox SET claimed_until = claimed_until - interval '1 day'")
    (quick,) = await shop.outbox.claim(batch=1)
    ids, claim = [event.id for event in slow], slow[0].claimed_until - timedelta(days=1)

    assert [event.key for event in slow] == orders
    assert {event.claimed_until for event in slow} == {slow[0].claimed_until}
    assert (quick.id, quick.claimed_until > claim) == (slow[0].id, True)
    assert await shop.outbox.acknowledge(ids, claimed_until=slow[0].claimed_until) == 0
    assert await shop.outbox.acknowledge(ids, claimed_until=claim) == 2
    assert await shop.outbox.acknowledge(ids, claimed_until=claim) == 0
    assert await shop.outbox.acknowledge([quick.id], claimed_until=quick.claimed_until) == 1
    assert await shop.outbox.acknowledge(ids) == 0
    with pytest.raises(InvalidInput, match="claimed_until"):
        await shop.outbox.acknowledge(ids, claimed_until=claim.replace(tzinfo=None))


async def test_late_committer_is_delivered(shop: AsyncStore, server: object, admin_dsn: str, connect_admin: Connection) -> None:
    """
    An event with a lower number commits after one with a higher: a reader by number has passed it, this one has not.
    """
    with psycopg.connect(admin_dsn) as late:
        late.execute(WRITE, (1,))
        connect_admin.execute(WRITE, (2,))
        naive = connect_admin.execute("SELECT max(id) FROM store.outbox").fetchone()
        early = await shop.outbox.read()
        late.commit()
    row = connect_admin.execute("SELECT key FROM store.outbox WHERE id > %s", naive).fetchall()
    read = await shop.outbox.read()
    rest = await shop.outbox.read(after_txid=read[0].txid, after_id=read[0].id)

    assert (early, row) == ((), [])
    assert [event.key for event in read] == [1, 2]
    assert [event.key for event in rest] == [2]


async def test_addresses(shop: AsyncStore) -> None:
    ada, bob = await shop.users.create_many([user("ada"), user("bob")])
    me, other = shop.acting_as(ada.id), shop.acting_as(bob.id)
    made = await me.addresses.create(HOME)
    moved = await me.addresses.replace(made.id, HOME.model_copy(update={"city": "Bath", "phone": "1"}))

    assert (made.city, moved.city, moved.phone, moved.user_id) == ("London", "Bath", "1", ada.id)
    assert (await me.addresses.list()).items == (await shop.addresses.list_for_user(ada.id)).items == (moved,)
    assert await me.addresses.replace(made.id, moved.model_copy(update={"line2": "Flat 2"})) != moved
    moved = await me.addresses.get(made.id)
    assert (moved.city, moved.line2) == ("Bath", "Flat 2")
    assert "Lovelace" not in repr(made)
    assert not await other.addresses.list()
    for shopper in (other, shop.guest(uuid4())):
        with pytest.raises(NotFound):
            await shopper.addresses.get(made.id)
        with pytest.raises(NotFound):
            await shopper.addresses.delete(made.id)
        with pytest.raises(NotFound):
            await shopper.addresses.replace(made.id, HOME)
    for verb in (shop.guest(uuid4()).addresses.list, lambda: shop.addresses.create(10**9, HOME)):
        with pytest.raises(NotFound):
            await verb()
    await me.addresses.delete(made.id)
    assert not await me.addresses.list()


async def test_a_long_address_book_has_pages(shop: AsyncStore) -> None:
    """
    Every address is on one of them, oldest first, whatever the length of a page; a cursor of another list is refused.
    """
    ada = await shop.users.create(user("ada"))
    made = [(await shop.addresses.create(ada.id, HOME)).id for _ in range(5)]
    me = shop.acting_as(ada.id)
    for list_ in (partial(shop.addresses.list_for_user, ada.id), me.addresses.list):
        first = await list_(page_size=2)
        second = await list_(page_size=2, cursor=first.next_cursor)
        last = await list_(page_size=2, cursor=second.next_cursor)

        assert made == [address.id for page in (first, second, last) for address in page]
        assert last.next_cursor is None
        assert made == [address.id for address in await list_(page_size=5)]
    await shop.users.create(user("bob"))
    foreign = (await shop.users.list(page_size=1)).next_cursor
    with pytest.raises(InvalidCursor):
        await me.addresses.list(cursor=foreign)
