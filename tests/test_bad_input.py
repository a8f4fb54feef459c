"""
Bad input: every verb, every parameter. A typed error that names the parameter or a right result; nothing else is written, and
the next call works.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import hypothesis
import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from store import NewProduct, NewUser, PostalAddress, ProductUpdate, Store, UserUpdate, _cursors, _passwords
from store.errors import (
    DuplicateEmail,
    InvalidCredentials,
    InvalidCursor,
    InvalidInput,
    NotFound,
    StoreError,
)
from store.models import hidden_fault
from tests.databases import Connection
from tests.samples import HASH, digest, product, settings, user
from tests.verbs import World, good_call, make_world, parameters, verbs

BIG = "x" * 10_000_000
POISON = ("\x00", "a\x00b", "\ud800", "a\udfff", BIG, b"bytes", 5, None)
IDS = (0, -1, 2**63, 2**70, -(2**70), True, False, 1.0, float("nan"), "1", "1 OR 1=1", None, [1], Decimal(1))
AMOUNTS = (
    *(Decimal(text) for text in ("NaN", "sNaN", "Infinity", "-Infinity", "1e100000", "-0.01", "0.00001", "1e12", "1E-999999")),
    *("NaN", "1_000", "1e5", "-1", "\uff11", "", " 1", "0x1", "1" * 100, BIG),
    *(1, 1.5, True, float("nan"), float("inf")),
)
HIDDEN = ("\x1b[2J", "a\x7f", "a\x9bb", "a\u200bb", "a\u202eb", "\ufeffa", "a\u2028b", "a\rb")
HIDDEN_IN_LINE = (*HIDDEN, "a\tb", "a\nb", "a\r\nb")
FLAGS = (None, 0, 1, "true", "yes", "", 1.0)

NOTES = (*(bad for bad in POISON if bad is not None), *HIDDEN_IN_LINE, "", "x" * 501)

HOSTILE: dict[str, tuple[Any, ...]] = {
    "actor": NOTES,
    "address_id": IDS,
    "after_id": (-1, 2**63, True, 1.0, "1", None),
    "after_txid": (-1, 2**63, True, 1.0, "1", None),
    "batch": (0, -1, 1001, True, 1.0, "1", None),
    "ids": (*([bad] for bad in IDS), BIG),
    "amount": (*AMOUNTS, Decimal(0), "0"),
    "bill_to": ("x", 1, [1], BIG),
    "expected_total": AMOUNTS,
    "expected_version": (0, -1, 2**31, 2**70, True, 1.0, "1"),
    "idempotency_key": (*POISON, *HIDDEN_IN_LINE, "", "x" * 10_000),
    "number": (*POISON, "", "1" * 65),
    "order_id": IDS,
    "order_ids": (*([bad] for bad in IDS), BIG),
    "payment_no": IDS,
    "provider": (*POISON, *HIDDEN_IN_LINE, "", "x" * 65),
    "provider_ref": (*POISON, *HIDDEN_IN_LINE, "", "x" * 256),
    "restock": FLAGS,
    "ship_to": ("x", 1, [1], BIG),
    "to_status": ("", "paid", "SHIPPED", "lost", None, 1, BIG),
    "cart_id": IDS,
    "cart_ids": (*([bad] for bad in IDS), BIG),
    "claimed_until": (datetime(2026, 1, 1), datetime.max.replace(tzinfo=UTC), "yesterday", "infinity", float("inf"), BIG),  # noqa: DTZ001  # is the point
    "cursor": ("", "x", "' OR 1=1 --", "\x00", "\ud800", BIG, b"x", 1, "é", "====", "AAAA" * 10),
    "delta": (10**9 + 1, -(10**9) - 1, 2**70, True, 1.0, "1", None, float("nan")),
    "descending": FLAGS,
    "email": (*POISON, "", "a", "a@", "@b", "a@b@c", "a b@c.de", "straße@example.org", "a@straße.de", "\u0430da@example.org"),
    "expected": (-1, 10**9 + 1, 2**70, True, 1.0, "1"),
    "expected_updated_at": (datetime(2026, 1, 1), datetime.max.replace(tzinfo=UTC), "yesterday", "infinity", float("inf"), BIG),  # noqa: DTZ001  # is the point
    "in_stock": FLAGS,
    "is_active": tuple(flag for flag in FLAGS if flag is not None),
    "kind": ("", "sold", "ADJUSTED", None, 1, BIG),
    "lines": ([(0, 1)], [(1, 0)], [(1, 2**70)], [(1,)], [1], "x", [("1", 1)], [(1, True)], [(1, 1.0)], [None]),
    "login": (*POISON, "", "a@b@c"),
    "page_size": (0, -1, 201, 2**63, 2**70, True, 1.0, "1", None),
    "password": ("\ud800" * 9, BIG, b"bytes-bytes", 12345678, None, "", "short", "x" * 1025),
    "password_hash": (*POISON, "", "correct horse", "$short", "$" + "ä" * 40, "$" + "x" * 600),
    "price_from": AMOUNTS,
    "price_to": AMOUNTS,
    "product_id": IDS,
    "product_ids": (*([bad] for bad in IDS), BIG),
    "public_id": ("", "x", "' OR 1=1 --", None, 1, b"x", BIG, "\x00"),
    "reason": NOTES,
    "seconds": (0, -1, 10**9, 2**70, True, 1.0, "1", None),
    "strategy": ("", "SUM", "min", None, 1, BIG),
    "quantity": (-1, 10**9 + 1, 2**70, True, 1.0, "1", "1_000", None, float("nan")),
    "sku": POISON,
    "sort": ("", "PRICE", "id", "price desc", "price; DROP TABLE store.users", "1", 1, None, ["price"], ("price", "id"), BIG),
    "text": POISON,
    "user_id": IDS,
    "user_ids": (*([bad] for bad in IDS), BIG),
    "username": POISON,
}
ONLY_WHEN_CREATING = {"users.register": ("username", ("", "ab", "a" * 65, "-ada", "a b", "äda", "ada\n", "a@b.org"))}

USER_FIELDS = {
    "username": (*POISON, "", "ab", "a" * 65, "-ada", "a b", "äda", "ada\n", "a@b.org"),
    "email": HOSTILE["email"],
}
PRODUCT_FIELDS = {
    "sku": (*POISON, "", " A", "A ", "é", "A\tB", "x" * 65),
    "name": (*POISON, *HIDDEN_IN_LINE, "", " ", "\t\n", "\u00a0", "x" * 256),
    "description": (*POISON[:-1], *HIDDEN, "", "x" * 10_001),
    "price": (*AMOUNTS, None),
    "is_active": FLAGS,
}
LINES = (*POISON[:-1], *HIDDEN_IN_LINE, "", " ", "x" * 256)
SHORT = (*LINES[:-1], "x" * 33)
FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "addres": {
        "name": (*LINES, None),
        "line1": (*LINES, None),
        "line2": LINES,
        "city": (*LINES, None),
        "region": LINES,
        "postal_code": SHORT,
        "phone": SHORT,
        "country": ("", "gb", "GBR", "\uff27\uff22", 1, BIG, None),
        "user_id": (1,),
    },
    "user": USER_FIELDS | {"password_hash": HOSTILE["password_hash"], "is_admin": (True,)},
    "product": PRODUCT_FIELDS
    | {
        "currency": ("", "eur", "EURO", "EU1", "\uff25\uff35\uff32", 1, BIG),
        "on_hand": (-1, 10**9 + 1, True, 1.0, "1", None),
        "id": (1,),
    },
    "users.update": USER_FIELDS | {"is_active": (True,), "password_hash": (HASH,)},
    "catalog.update": PRODUCT_FIELDS | {"currency": ("USD",), "inventory_count": (5,)},
}
UNKNOWN = "unknown"  # a field that does not exist: its name is the caller's text, and only the parameter is named
KINDS: dict[str, type[BaseModel]] = {"user": NewUser, "addres": PostalAddress, "product": NewProduct}
GOOD: dict[str, dict[str, Any]] = {
    "user": {"username": "new", "email": "new@example.org", "password_hash": HASH},
    "addres": {"name": "Ada", "line1": "1 Lovelace Street", "city": "London", "country": "GB"},
    "product": {"sku": "NEW", "name": "New", "price": "1"},
}


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    """
    A store of one connection.
    """
    with Store.open(settings(dsn, pool_size=1)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Hash for next to nothing, as passwords are not what these tests are about.
    """
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    nobodys = hasher.hash("nobody")
    monkeypatch.setattr(_passwords, "_hasher", lambda: (hasher, nobodys))


@pytest.fixture
def world(shop: Store) -> World:
    """
    What is in it.
    """
    return make_world(shop)


def fields_of(name: str, parameter: str) -> dict[str, tuple[Any, ...]] | None:
    """
    Return the hostile fields of a parameter that is a DTO, or several.
    """
    if parameter == "update":
        return FIELDS["users.update" if "user" in name else "catalog.update"]
    return FIELDS.get(parameter.removesuffix("s"))


def hostile(name: str, parameter: str) -> Iterator[tuple[str, Any]]:
    """
    Yield the field that is wrong, and a value of the parameter in which it is.
    """
    fields = fields_of(name, parameter)
    if fields is None:
        extra = ONLY_WHEN_CREATING.get(name, ("", ()))
        values = HOSTILE[parameter] + (extra[1] if extra[0] == parameter else ())
        yield from ((parameter, bad) for bad in values if not (bad is None and name.endswith(("facets", "place"))))
        return
    for field, values in fields.items():
        for bad in values:
            if parameter == "update":
                kind = UserUpdate if "user" in name else ProductUpdate
                yield field if field in kind.model_fields else UNKNOWN, kind.model_construct({field}, **{field: bad})
                continue
            one = parameter.removesuffix("s")
            given = GOOD[one] | {field: bad}
            yield (
                field if field in KINDS[one].model_fields else UNKNOWN,
                [given] if parameter in {"users", "products"} else given,
            )
    if parameter == "update":
        yield from (("update", bad) for bad in (None, {}, {"username": "x"}, "x", 1))


def fault(call: Callable[..., Any], name: str, parameter: str, field: str, bad: Any) -> str | None:
    """
    Return what is wrong with the answer to a bad value, or None.
    """
    shown = f"{name}({parameter}={repr(bad)[:60]})"
    try:
        call(**{parameter: bad})
    except InvalidInput as error:
        expected = {parameter, f"{parameter}s"} if field == UNKNOWN else {field}
        return None if error.field in expected else f"{shown}: names {error.field}"
    except InvalidCredentials:
        return None if name.endswith("authenticate") else f"{shown}: InvalidCredentials"
    except Exception as error:  # noqa: BLE001  # is the point
        return f"{shown}: {error!r}"
    return f"{shown}: accepted"


@pytest.mark.parametrize(
    "place", ["users", "catalog", "inventory", "carts", "orders", "payments", "addresses", "outbox", "shopper"]
)
def test_bad_values_are_refused_by_name(shop: Store, world: World, connect_admin: Connection, place: str) -> None:
    """
    Each verb refuses each bad value of each parameter with an InvalidInput that names it, and writes nothing.
    """
    before = digest(connect_admin)
    faults: list[str | None] = []
    asked = 0
    for name, verb in verbs(shop, world.user.id):
        if not name.startswith(place):
            continue
        for parameter in parameters(verb):
            for field, bad in hostile(name, parameter):
                asked += 1
                faults.append(fault(partial(good_call, verb, name, world), name, parameter, field, bad))
            if digest(connect_admin) != before:
                faults.append(f"{name}({parameter}=...): something was written")
        shop.catalog.get(world.product.id)

    assert [found for found in faults if found] == []
    assert asked > 20


def test_good_values_are_taken(shop: Store, world: World, connect_admin: Connection) -> None:
    """
    The values beside the bad one are right in themselves: every verb works with them, in a transaction that is undone.
    """
    before = digest(connect_admin)
    called = []
    for name, _ in verbs(shop, world.user.id):
        with pytest.raises(ZeroDivisionError), shop.transaction() as tx:
            good_call(dict(verbs(tx, world.user.id))[name], name, world)
            called.append(name)
            raise ZeroDivisionError

    assert called == [name for name, _ in verbs(shop, world.user.id)]
    assert digest(connect_admin) == before


SQL = (
    "'; DROP TABLE store.users; --",
    "' OR '1'='1",
    '"; SELECT 1',
    "$1",
    "%s",
    "%(x)s",
    ":x",
    "\\'; --",
    "/* */",
    "x\\",
    "%",
    "_",
    "{}",
)


def test_sql_is_text(shop: Store, world: World, connect_admin: Connection) -> None:
    """
    Statements, wildcards and backslashes in strings are stored and found as they are.
    """
    for number, text in enumerate(SQL):
        created = shop.catalog.create(product(f"{number}{text}", name=text, description=text))

        assert (created.name, created.description) == (text, text)
        assert shop.catalog.get_by_sku(created.sku) == created
        assert shop.users.find_by_username(text) is None
        assert world.product.id not in [found.id for found in shop.catalog.search(text)]
        with pytest.raises(InvalidCredentials):
            shop.users.authenticate(text, text)
        with pytest.raises(NotFound):
            shop.catalog.get_by_sku(text)

    assert connect_admin.execute("SELECT count(*) FROM store.products").fetchone() == (5 + len(SQL),)
    assert shop.users.get(world.user.id) == world.user


@pytest.mark.parametrize(
    "spelling",
    [
        "KING@example.org",
        "\u212aing@example.org",
        "king\uff20example.org",
        "k\uff49ng@example.org",
        "king@e\u2093ample.org",
        "king@example.o\uff52g",
    ],
)
def test_confusable_email_is_taken(shop: Store, spelling: str) -> None:
    """
    Capitals, the Kelvin sign, full-width and subscript letters spell the same address; look-alikes of other scripts are refused.
    """
    king = shop.users.create(user("king"))
    with pytest.raises(DuplicateEmail):
        shop.users.create(user("other", email=spelling))

    assert shop.users.find_by_email(spelling) == king
    assert shop.users.authenticate is not None
    for lookalike in ("\u043aing@example.org", "k\u0131ng@example.org", "ki\u0301ng@example.org", "king@ex\u00e4mple.org"):
        with pytest.raises(InvalidInput):
            shop.users.find_by_email(lookalike)


def forged(*body: Any) -> str:
    """
    Return a cursor with a right checksum and whatever inside.
    """
    raw = json.dumps(body[0] if len(body) == 1 else body).encode()
    return base64.urlsafe_b64encode(_cursors._checksum(raw) + raw).rstrip(b"=").decode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
ANY_CURSOR = (
    st.text(max_size=60)
    | st.text("ABCDabcd0189-_=", max_size=60)
    | st.builds(forged, JSON)
    | st.builds(
        forged, st.sampled_from(["users", "products price desc", "products name desc", "products created_at desc"]), JSON, JSON
    )
)


@hypothesis.settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=ANY_CURSOR)
@example(cursor=forged("products price desc", "NaN", 1))
@example(cursor=forged("products price desc", "1e5", 1))
@example(cursor=forged("products name desc", "\x00", 1))
@example(cursor=forged("products name desc", "\ud800", 1))
@example(cursor=forged("products created_at desc", "infinity", 1))
@example(cursor=forged("users", "", 2**70))
@example(cursor=forged(["users", "", True]))
@example(cursor=forged({"a": 1, "b": 2, "c": 3}))
def test_forged_cursors(shop: Store, cursor: str) -> None:
    """
    A cursor that did not come from a page is refused, or says no more than where to go on.
    """
    for listing in (
        lambda: shop.users.list(cursor=cursor),
        lambda: shop.catalog.list(sort="price", descending=True, cursor=cursor),
        lambda: shop.catalog.list(sort="name", descending=True, cursor=cursor),
        lambda: shop.catalog.list(sort="created_at", descending=True, cursor=cursor),
    ):
        try:
            assert listing().next_cursor is None
        except InvalidCursor as error:
            assert error.field == "cursor"


def test_deep_cursor(shop: Store) -> None:
    """
    A cursor of brackets within brackets is a bad cursor, not a broken stack.
    """
    raw = b"[" * 2900
    cursor = base64.urlsafe_b64encode(_cursors._checksum(raw) + raw).rstrip(b"=").decode()
    with pytest.raises(InvalidCursor):
        shop.users.list(cursor=cursor)


def test_damaged_cursors(shop: Store) -> None:
    """
    One letter changed, one missing or one too many: refused, at every place.
    """
    shop.catalog.create_many(product(f"S{n}") for n in range(3))
    cursor = shop.catalog.list(sort="price", page_size=1).next_cursor
    assert cursor is not None
    damaged = {cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(len(cursor) - 1)}
    damaged |= {cursor[:at] for at in range(len(cursor))} | {cursor + "A", "A" + cursor, cursor * 2}

    for bad in damaged:
        with pytest.raises(InvalidCursor):
            shop.catalog.list(sort="price", cursor=bad)
    assert len(shop.catalog.list(sort="price", cursor=cursor)) == 2


@hypothesis.settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=300))
def test_poison_text_is_typed(shop: Store, world: World, text: str) -> None:
    """
    Any text at all is stored as it is or refused as InvalidInput, and searching for it never fails otherwise.
    """
    try:
        stored = shop.catalog.update(world.product.id, ProductUpdate.model_validate({"name": "x", "description": text}))
    except (StoreError, ValueError):
        assert hidden_fault(text, has_lines=True) or any("\ud800" <= letter <= "\udfff" for letter in text) or not text
    else:
        assert stored.description == text
        assert isinstance(shop.catalog.search(text), tuple)
