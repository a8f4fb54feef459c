"""
Nulls, and arrays without a single value, under the type that a value in their place would have.
"""

from __future__ import annotations

from typing import cast

from psycopg.abc import Buffer, DumperKey
from psycopg.adapt import AdaptersMap, Dumper, PyFormat


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


def null(oid: int) -> Untyped | None:
    """
    Return a null of a type; of 0 one that takes its type from where it stands, as strings do.
    """
    return Untyped(oid, None) if oid else None


def items(value: object) -> list[object] | None:
    """
    Return the elements of a list, None for what is no list.
    """
    return cast("list[object]", value) if isinstance(value, list) else None


def has_value(values: list[object]) -> bool:
    """
    Whether a list has, at any depth, something that shows its type.
    """
    return any(has_value(inner) if (inner := items(value)) is not None else value is not None for value in values)


def empty(values: list[object]) -> bytes:
    """
    Return a list without a value as PostgreSQL writes it.
    """
    return b"{" + b",".join(empty(inner) if (inner := items(value)) is not None else b"NULL" for value in values) + b"}"
