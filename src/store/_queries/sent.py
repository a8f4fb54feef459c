"""
What each type of PostgreSQL takes from Python, and as which of psycopg's types it goes: one closed table, for what the
contracts call by its name. It takes whatever the stubs of a folder allow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from struct import pack
from uuid import UUID

from psycopg.postgres import types
from psycopg.types.numeric import Float4, Int2, Int4, Int8, Oid

from store._queries.untyped import Untyped, empty, has_value, items

Send = Callable[[object], object]

_ANYWHERE = 0
"""The OID of what takes its type from where it stands, which is how strings go out."""


class Unfit(Exception):  # never leaves bind()
    """
    A value is none of this type; the text says what it is instead, and never the value.
    """


@dataclass(frozen=True, slots=True)
class Sent:
    """
    How the values of one type go out.
    """

    takes: str
    """For people: 'an int of 64 bits'."""
    oid: int
    """Of a null in the value's place."""
    send: Send
    """Returns what psycopg gets. Raises Unfit."""


@lru_cache(maxsize=256)
def sent(name: str) -> Sent:
    """
    Return how a type goes out, by its name in a contract, domains already undone. What is not in the table goes as it is.
    """
    is_array = name.endswith("[]")
    element = name.removesuffix("[]")
    takes, send = _TABLE.get(element, ("a value", _as_it_is))
    info = types.get(element)
    oid = _ANYWHERE if info is None or element in _TEXT else info.array_oid if is_array else info.oid
    return Sent(f"a list, each {takes}", oid, _list(oid, send)) if is_array else Sent(takes, oid, send)


def _list(oid: int, send: Send) -> Send:
    def elements(values: list[object]) -> list[object]:
        return [
            None if value is None else elements(inner) if (inner := items(value)) is not None else send(value)
            for value in values
        ]

    def of_list(value: object) -> object:
        values = items(value)
        if values is None:
            raise Unfit(_called(value))
        if oid and not has_value(values):
            return Untyped(oid, empty(values))
        try:
            return elements(values)
        except Unfit as fault:
            message = f"a list with {fault}"
            raise Unfit(message) from None

    return of_list


def _whole(bits: int, wrap: Callable[[int], object], low: int | None = None) -> tuple[str, Send]:
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if low is None else (low, 2**bits - 1)

    def send(value: object) -> object:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unfit(_called(value))
        if not least <= value <= most:
            message = "one out of range"
            raise Unfit(message)
        return wrap(value)

    return f"an int from {least} to {most}", send


def _real(wrap: Callable[[float], object]) -> tuple[str, Send]:
    def send(value: object) -> object:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise Unfit(_called(value))
        try:
            return wrap(float(value))
        except OverflowError:
            message = "one out of range"
            raise Unfit(message) from None

    return "a float or an int", send


def _single(value: float) -> Float4:
    pack("!f", value)  # OverflowError here, and not out of the driver
    return Float4(value)


def _exact(value: object) -> object:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise Unfit(_called(value))


def _one_of(takes: str, *kinds: type, unless: type | None = None) -> tuple[str, Send]:
    def send(value: object) -> object:
        if not isinstance(value, kinds) or (unless is not None and isinstance(value, unless)):
            raise Unfit(_called(value))
        return value

    return takes, send


def _zoned(takes: str, kind: type[datetime | time], *, is_aware: bool) -> tuple[str, Send]:
    def send(value: object) -> object:
        if not isinstance(value, (datetime, time)) or not isinstance(value, kind):
            raise Unfit(_called(value))
        if (value.tzinfo is not None) is not is_aware:
            message = "one with a time zone" if value.tzinfo is not None else "one without a time zone"
            raise Unfit(message)
        return value

    return takes, send


def _as_it_is(value: object) -> object:
    return value


def _called(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


_WORDS = _one_of("a str", str, Enum)
_TEXT = frozenset({"character varying", "character", "enum", "name", "text", "citext"})
_TABLE: dict[str, tuple[str, Send]] = {
    "smallint": _whole(16, Int2),
    "integer": _whole(32, Int4),
    "bigint": _whole(64, Int8),
    "oid": _whole(32, Oid, low=0),
    "numeric": ("a Decimal or an int", _exact),
    "real": _real(_single),
    "double precision": _real(float),
    "boolean": _one_of("a bool", bool),
    **dict.fromkeys(_TEXT, _WORDS),
    "uuid": _one_of("a UUID", UUID),
    "bytea": _one_of("bytes", bytes, bytearray, memoryview),
    "timestamp with time zone": _zoned("a datetime with a time zone", datetime, is_aware=True),
    "timestamp without time zone": _zoned("a datetime without a time zone", datetime, is_aware=False),
    "date": _one_of("a date", date, unless=datetime),
    "time without time zone": _zoned("a time without a time zone", time, is_aware=False),
    "time with time zone": _zoned("a time with a time zone", time, is_aware=True),
    "interval": _one_of("a timedelta", timedelta),
    "inet": _one_of("an address of ipaddress", IPv4Address, IPv6Address, IPv4Interface, IPv6Interface),
    "cidr": _one_of("a network of ipaddress", IPv4Network, IPv6Network),
}
