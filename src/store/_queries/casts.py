"""
Which PostgreSQL type a parameter is cast to in the text, as far as PostgreSQL's own types go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from psycopg.postgres import types

from store._tokens import Token, significant

_ALIASES = {
    "char": "bpchar",
    "char varying": "varchar",
    "dec": "numeric",
    "decimal": "numeric",
    "float": "float8",
    "int": "int4",
}
"""The names of SQL that psycopg's registry of types does not know."""

_TYPE = re.compile(
    r"""
    (?:pg_catalog\ \.\ )?
    (?P<name>double\ precision | (?:bit|char|character)\ varying | [a-z_]\w*+)
    (?:\ \(\ [0-9,\ ]+\ \))?
    (?P<zone>\ with(?:out)?\ time\ zone)?
    (?P<array>\ \[ | \ array\b)?
    (?!\ [.])
    """,
    re.VERBOSE,
)
_LONGEST = 24
"""How many tokens a type's name can have, `timestamp(3) with time zone[][]` among them."""


def casts(tokens: Sequence[Token]) -> Mapping[str, int]:
    """
    Return the type's OID for each parameter that is cast: `:a::text`, `(:a)::text`, `CAST(:a AS text)`; the first cast counts.

    A type that is not PostgreSQL's own, such as a domain, has no OID here.
    """
    found: dict[str, int] = {}
    seen = list(significant(tokens))
    for at, token in enumerate(seen):
        if token.kind == "parameter" and token.text[1:] not in found:
            oid = _oid(_type_text(seen, at))
            if oid:
                found[token.text[1:]] = oid
    return MappingProxyType(found)


def _type_text(seen: Sequence[Token], at: int) -> str:
    first = last = at
    while first > 0 and last + 1 < len(seen) and seen[first - 1].text == "(" and seen[last + 1].text == ")":
        first, last = first - 1, last + 1
    follows = seen[last + 1].text.lower() if last + 1 < len(seen) else ""
    called = "".join(token.text.lower() for token in seen[max(first - 2, 0) : first])
    if follows == "::" or (follows == "as" and called == "cast("):
        return " ".join(token.text.lower() for token in seen[last + 2 : last + 2 + _LONGEST])
    return ""


def _oid(text: str) -> int | None:
    match = _TYPE.match(text)
    if match is None:
        return None
    name = match["name"] + (match["zone"] or "")
    info = types.get(_ALIASES.get(name, name))
    if info is None:
        return None
    return info.array_oid if match["array"] else info.oid
