"""
Which Python types a column of PostgreSQL may become: one closed table, for DTOs and for stubs.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    FutureDate,
    FutureDatetime,
    NaiveDatetime,
    PastDate,
    PastDatetime,
    SecretBytes,
    SecretStr,
)
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType  # pydantic's own dependency; typing has it from 3.12 on

Verdict = Literal["yes", "no", "float", "unknown"]

_TEXT: tuple[Any, ...] = (str, SecretStr)
_TABLE: Mapping[str, tuple[Any, ...]] = {
    "smallint": (int,),
    "integer": (int,),
    "bigint": (int,),
    "oid": (int,),
    "numeric": (Decimal,),
    "real": (float,),
    "double precision": (float,),
    "boolean": (bool,),
    "text": _TEXT,
    "character varying": _TEXT,
    "character": _TEXT,
    "name": _TEXT,
    "citext": _TEXT,
    "enum": _TEXT,
    "uuid": (UUID,),
    "bytea": (bytes, SecretBytes),
    "timestamp with time zone": (datetime, AwareDatetime, FutureDatetime, PastDatetime),
    "timestamp without time zone": (datetime, NaiveDatetime, FutureDatetime, PastDatetime),
    "date": (date, FutureDate, PastDate),
    "time without time zone": (time,),
    "time with time zone": (time,),
    "interval": (timedelta,),
    "inet": (IPv4Address, IPv6Address, IPv4Interface, IPv6Interface),
    "cidr": (IPv4Network, IPv6Network),
    "json": (),
    "jsonb": (),
}
_SCALARS = frozenset(kind for kinds in _TABLE.values() for kind in kinds)
_MODIFIER = re.compile(r"\([\d,\s-]+\)")
_SEQUENCES = (list, tuple, set, frozenset, Sequence)


def bare(name: str) -> str:
    """
    Return a type without its modifier: 'numeric(12,2)' -> 'numeric', 'timestamp(3) with time zone' keeps its zone.
    """
    return _MODIFIER.sub("", name).strip()


def wanted(name: str) -> str:
    """
    Return, for people, what stands for a type.
    """
    if name.endswith("[]"):
        return f"a list of {wanted(name[:-2])}"
    return " or ".join(kind.__name__ for kind in _TABLE.get(bare(name), ())) or "a model, a dict or a list"


def first(name: str) -> type | None:
    """
    Return the one type a stub writes for a column, None for json and for what is not in the table.
    """
    kinds = _TABLE.get(bare(name), ())
    return kinds[0] if kinds else None


def alternatives(annotation: Any) -> tuple[bool, list[Any]]:
    """
    Return whether None is among what an annotation takes, and the others: X | None -> (True, [X]).
    """
    found = list(_unwrapped(annotation))
    others = [each for each in found if each is not None and each is not types.NoneType]
    return len(others) < len(found), others


def takes_null_elements(choices: Sequence[Any]) -> bool:
    """
    Whether a list may hold None, as list[int | None] does; of what is no list nothing is said.
    """
    inner = [item for each in choices for item in _arguments(each)]
    return not inner or any(is_optional or takes_all(others) for is_optional, others in map(alternatives, inner))


def takes_all(choices: Sequence[Any]) -> bool:
    """
    Whether nothing is refused.
    """
    return any(each is Any or each is object for each in choices)


def fits(name: str, choices: Sequence[Any]) -> Verdict:
    """
    Return whether a column of this type becomes one of these; 'float' where it would and must not.
    """
    if name.endswith("[]"):
        inner = [item for each in choices for item in _items(each)]
        if takes_all(choices):
            return "yes"
        return fits(name[:-2], inner) if inner else "no"
    kind = bare(name)
    if kind not in _TABLE:
        return "yes" if takes_all(choices) else "unknown"
    if kind == "numeric" and any(each is float for each in choices):
        return "float"
    return "yes" if takes_all(choices) or any(_is(kind, each) for each in choices) else "no"


def words(choices: Sequence[Any]) -> set[str] | None:
    """
    Return the closed set of words that these types take, None where it is open.
    """
    found: set[str] = set()
    for each in choices:
        values = _values(each)
        if values is None or not all(isinstance(value, str) for value in values):
            return None
        found |= {str(value) for value in values}
    return found or None


def metadata(field: FieldInfo) -> Iterator[Any]:
    """
    Yield what stands beside a field's type, at every depth of Optional and Annotated.
    """
    yield from field.metadata
    yield from _metadata(field.annotation)


def spell(annotation: Any) -> str:
    """
    Return an annotation for people.
    """
    is_optional, choices = alternatives(annotation)
    names = [each.__name__ if isinstance(each, type) and not get_args(each) else str(each) for each in choices]
    return " | ".join([*names, *(["None"] if is_optional else [])]).replace("typing.", "")


def _unwrapped(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _unwrapped(get_args(annotation)[0])
    elif origin is Union or origin is types.UnionType:
        for each in get_args(annotation):
            yield from _unwrapped(each)
    elif isinstance(annotation, TypeAliasType):
        yield from _unwrapped(annotation.__value__)
    elif isinstance(annotation, NewType):
        yield from _unwrapped(annotation.__supertype__)
    elif origin is Literal and None in get_args(annotation):
        yield from (None, Literal[tuple(each for each in get_args(annotation) if each is not None)])
    else:
        yield annotation


def _metadata(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        for each in annotation.__metadata__:
            yield from each.metadata if isinstance(each, FieldInfo) else (each,)
    for each in get_args(annotation):
        if isinstance(each, type) or get_origin(each) is not None:
            yield from _metadata(each)


def _items(annotation: Any) -> list[Any]:
    return [item for each in _arguments(annotation) for item in alternatives(each)[1]]


def _arguments(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is None and annotation in (list, tuple):
        return [Any]
    if not isinstance(origin, type) or not issubclass(origin, _SEQUENCES):
        return []
    return [each for each in get_args(annotation) if each is not ...]


def _values(kind: Any) -> list[object] | None:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [member.value for member in kind]
    return None


def _is(kind: str, choice: Any) -> bool:
    allowed = _TABLE[kind]
    if (values := _values(choice)) is not None:
        return all(type(value) in allowed for value in values)
    if choice in allowed:
        return True
    if kind in ("json", "jsonb"):
        return choice not in _SCALARS - {int, str, bool}
    # A type of the team's own, such as pydantic's EmailStr, reads text.
    return allowed is _TEXT and isinstance(choice, type) and not issubclass(choice, (BaseModel, dict, *_SEQUENCES, *_known()))


def _known() -> tuple[type, ...]:
    return tuple(kind for kind in _SCALARS if isinstance(kind, type) and kind not in _TEXT)
