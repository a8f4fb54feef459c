"""
From the caller's keywords to the list that goes on the wire, typed so that a query is prepared once per connection.

psycopg keys prepared statements on the text and the types of the parameters, and sizes ints by their value: without this,
1, 40000 and None would leave three statements of one query.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from psycopg.postgres import types
from psycopg.types.numeric import Int8

from store._queries.sent import Unfit, sent
from store._queries.statement import Statement, Taken
from store._queries.untyped import Untyped, empty, has_value, items, null
from store.errors import InvalidInput, WrongParameters

_NOTHING: Mapping[str, Taken] = MappingProxyType({})
_UNKNOWN = 0
_INT8, _FLOAT8, _NUMERIC = types["int8"].oid, types["float8"].oid, types["numeric"].oid
_SENT_AS = {"int2": "int8", "int4": "int8", "float4": "float8"}
_TEXT = ("text", "varchar", "bpchar", "name")


def bind(statement: Statement, arguments: Mapping[str, object], taken: Mapping[str, Taken] = _NOTHING) -> list[Any]:
    """
    Return the parameters in the order of $1, $2, ..., each as the type that the contract says it is (`taken`), or else as the
    one that the text casts it to.

    Raises, before anything is sent, WrongParameters for unknown and missing names and for a None that the header does not allow
    or PostgreSQL can never take, and InvalidInput for a value that is none of the contract's type.
    """
    if len(arguments) != len(statement.parameters) or not all(name in arguments for name in statement.parameters):
        raise _wrong(statement, arguments)
    return [_bound(statement, name, arguments[name], taken.get(name)) for name in statement.parameters]


def _wrong(statement: Statement, arguments: Mapping[str, object]) -> WrongParameters:
    missing = [name for name in statement.parameters if name not in arguments]
    unknown = sorted(set(arguments) - set(statement.parameters))
    faults = [f"{what} {', '.join(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
    return WrongParameters(
        f"{statement.full_name}: {'; '.join(faults)} (it takes {', '.join(statement.parameters) or 'nothing'})"
    )


def _bound(statement: Statement, name: str, value: object, taken: Taken | None) -> object:
    if value is None and (name not in statement.nullable or (taken is not None and taken.is_required)):
        raise _not_null(statement, name, taken)
    if taken is None:
        return _by_cast(value, _WIRE.get(statement.oids.get(name, _UNKNOWN), _UNKNOWN))
    known = sent(taken.base)
    if value is None:
        return null(known.oid)
    try:
        return known.send(value)
    except Unfit as fault:
        message = f"{statement.full_name}: {name} is {taken.type} and takes {known.takes}, not {fault}"
        raise InvalidInput(message, field=name) from None


def _not_null(statement: Statement, name: str, taken: Taken | None) -> WrongParameters:
    kind = f" is {taken.type} and" if taken else ""
    way_out = f"`-- null: {name}` in its header would allow it"
    if taken is not None and taken.is_required:
        way_out = "PostgreSQL can never take NULL for it: pass a value"
    return WrongParameters(f"{statement.full_name}: {name}{kind} may not be None ({way_out})")


def _by_cast(value: object, oid: int) -> object:
    if value is None:
        return null(oid)
    if (values := items(value)) is not None:
        if oid and not has_value(values):
            return Untyped(oid, empty(values))
        return _elements(values, _ELEMENT.get(oid, _UNKNOWN))
    return _scalar(value, oid)


def _scalar(value: object, oid: int) -> object:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if oid == _NUMERIC:
        return Decimal(value)
    return float(value) if oid == _FLOAT8 else Int8(value)


def _elements(values: list[object], oid: int) -> list[object]:
    return [_elements(inner, oid) if (inner := items(value)) is not None else _scalar(value, oid) for value in values]


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
