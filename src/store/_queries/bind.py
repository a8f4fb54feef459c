"""
From the caller's keywords to the list that goes on the wire, typed so that a query is prepared once per connection.

psycopg keys prepared statements on the text and the types of the parameters, and sizes ints by their value: without this,
1, 40000 and None would leave three statements of one query.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from psycopg.abc import Buffer, DumperKey
from psycopg.adapt import AdaptersMap, Dumper, PyFormat
from psycopg.postgres import types
from psycopg.types.numeric import Int8

from store._queries.statement import Statement
from store.errors import WrongParameters

_UNKNOWN = 0
_INT8, _FLOAT8, _NUMERIC = types["int8"].oid, types["float8"].oid, types["numeric"].oid
_SENT_AS = {"int2": "int8", "int4": "int8", "float4": "float8"}
_TEXT = ("text", "varchar", "bpchar", "name")


class Untyped:
    """
    A null, or an array without a single value, with the type that a value in its place would have.
    """

    __slots__ = ("oid", "text")

    def __init__(self, oid: int, text: bytes | None) -> None:
        self.oid = oid
        self.text = text


class UntypedDumper(Dumper):
    """
    Sends an Untyped under its own type.
    """

    def get_key(self, obj: Untyped, format: PyFormat) -> DumperKey:  # noqa: A002, ARG002  # psycopg's signature
        """
        Return a key for each type: psycopg keeps one dumper for each.
        """
        return cast("DumperKey", (self.cls, obj.oid))  # any tuple serves as a key

    def upgrade(self, obj: Untyped, format: PyFormat) -> Dumper:  # noqa: A002, ARG002  # psycopg's signature
        """
        Return the dumper of this one's type.
        """
        dumper = type(self)(self.cls)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Untyped) -> Buffer | None:
        """
        Return null, or the array without values.
        """
        return obj.text


def teach(adapters: AdaptersMap) -> None:
    """
    Make a cursor able to send what bind() returns; psycopg's own adapters and the connection's stay as they are.
    """
    adapters.register_dumper(Untyped, UntypedDumper)


def bind(statement: Statement, arguments: Mapping[str, object]) -> list[Any]:
    """
    Return the parameters in the order of $1, $2, ...

    Raises WrongParameters, before anything is sent, for unknown and missing names and for None where the header does not allow
    it.
    """
    if len(arguments) != len(statement.parameters) or not all(name in arguments for name in statement.parameters):
        raise _wrong(statement, arguments)
    return [_bound(statement, name, arguments[name]) for name in statement.parameters]


def _wrong(statement: Statement, arguments: Mapping[str, object]) -> WrongParameters:
    missing = [name for name in statement.parameters if name not in arguments]
    unknown = sorted(set(arguments) - set(statement.parameters))
    faults = [f"{what} {', '.join(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
    return WrongParameters(
        f"{statement.full_name}: {'; '.join(faults)} (it takes {', '.join(statement.parameters) or 'nothing'})"
    )


def _bound(statement: Statement, name: str, value: object) -> object:
    oid = _WIRE.get(statement.oids.get(name, _UNKNOWN), _UNKNOWN)
    if value is None:
        if name not in statement.nullable:
            raise WrongParameters(
                f"{statement.full_name}: {name} may not be None (`-- null: {name}` in its header would allow it)"
            )
        return Untyped(oid, None) if oid else None
    if (values := _inner(value)) is not None:
        if oid and not _has_value(values):
            return Untyped(oid, _empty(values))
        return _elements(values, _ELEMENT.get(oid, _UNKNOWN))
    return _scalar(value, oid)


def _scalar(value: object, oid: int) -> object:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if oid == _NUMERIC:
        return Decimal(value)
    return float(value) if oid == _FLOAT8 else Int8(value)


def _elements(values: list[object], oid: int) -> list[object]:
    return [_elements(inner, oid) if (inner := _inner(value)) is not None else _scalar(value, oid) for value in values]


def _has_value(values: list[object]) -> bool:
    return any(_has_value(inner) if (inner := _inner(value)) is not None else value is not None for value in values)


def _empty(values: list[object]) -> bytes:
    return b"{" + b",".join(_empty(inner) if (inner := _inner(value)) is not None else b"NULL" for value in values) + b"}"


def _inner(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _wire() -> tuple[dict[int, int], dict[int, int]]:
    # Strings go out untyped, alone and in lists, and take the type of their cast: so do nulls in their place.
    wire: dict[int, int] = {}
    element: dict[int, int] = {}
    for info in types:
        sent = types[_SENT_AS.get(info.name, info.name)]
        wire[info.oid], wire[info.array_oid] = (_UNKNOWN, _UNKNOWN) if info.name in _TEXT else (sent.oid, sent.array_oid)
        element[sent.array_oid] = sent.oid
    return wire, element


_WIRE, _ELEMENT = _wire()
