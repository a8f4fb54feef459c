"""
schema.contract: the migrations that all contracts of a folder were written from, and the types, closed sets and comments of
what they name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from store.contract import digest
from store.contract.facts import Facts
from store.errors import ContractFileError

FILE = "schema.contract"

_HEAD = "# Written by `store lock`: the migrations, types, closed sets and comments behind the other contracts. Do not edit.\n"
_LABEL = re.compile(r"'((?:[^']|'')*)'")
_ONE_OF = re.compile(
    r"\(?\((?P<column>\w+|\"[^\"]+\")(?:\)?::text\)?)? = ANY \(\(?ARRAY\[(?P<labels>.*?)\]\)?(?:::text\[\])?\)\)?", re.DOTALL
)
_LINE = re.compile(r"(?P<key>migrations|type|values|comment) +(?P<name>\S+)(?:  (?P<rest>\S.*))?")
_TYPE = re.compile(r"(?P<base>enum|.+?)(?:  (?P<null>not null))?(?:  (?P<more>CHECK .*|'.*))?")

# Not the catalog's own types; `store.` is left out as everywhere in contracts.
_TYPES = """
    SELECT
        CASE WHEN n.nspname = 'store' THEN '' ELSE quote_ident(n.nspname) || '.' END || quote_ident(t.typname) AS name,
        CASE t.typtype WHEN 'e' THEN 'enum' ELSE format_type(t.typbasetype, t.typtypmod) END AS base,
        t.typnotnull,
        coalesce((
            SELECT string_agg(pg_get_constraintdef(c.oid), ' ' ORDER BY c.conname)
            FROM pg_catalog.pg_constraint AS c WHERE c.contypid = t.oid AND c.contype = 'c'
        ), '') AS checks,
        ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
    FROM pg_catalog.pg_type AS t
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('d', 'e') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    ORDER BY 1
"""
_CHECKS = """
    SELECT
        CASE WHEN n.nspname = 'store' THEN '' ELSE quote_ident(n.nspname) || '.' END
        || quote_ident(r.relname) || '.' || quote_ident(a.attname),
        pg_get_expr(c.conbin, c.conrelid)
    FROM pg_catalog.pg_constraint AS c
    INNER JOIN pg_catalog.pg_class AS r ON r.oid = c.conrelid
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
    INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = c.conkey[1]
    WHERE c.contype = 'c' AND c.convalidated AND cardinality(c.conkey) = 1
    ORDER BY 1, c.conname
"""
_COMMENTS = """
    SELECT
        CASE WHEN n.nspname = 'store' THEN '' ELSE quote_ident(n.nspname) || '.' END
        || quote_ident(r.relname) || '.' || quote_ident(a.attname),
        d.description
    FROM pg_catalog.pg_description AS d
    INNER JOIN pg_catalog.pg_attribute AS a ON (a.attrelid, a.attnum) = (d.objoid, d.objsubid)
    INNER JOIN pg_catalog.pg_class AS r ON r.oid = a.attrelid
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
    WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid > 0
    ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Named:
    """
    A domain (its base type, NOT NULL and CHECKs) or an enum (base 'enum' and its labels).
    """

    base: str
    is_not_null: bool = False
    checks: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """
    What contracts share. `values` are the closed sets of text columns, 'orders.status' -> its words; `comments` are what the
    database says of columns.
    """

    migrations: str
    types: Mapping[str, Named] = field(default_factory=dict[str, Named])
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    comments: Mapping[str, str] = field(default_factory=dict[str, str])


def read_schema(connection: psycopg.Connection[Any], migrations: str, facts: Iterable[Facts]) -> Schema:
    """
    Return what the catalog says of the types and columns that these facts name.
    """
    every = list(facts)
    kinds = {column.type.removesuffix("[]") for one in every for column in one.columns}
    kinds |= {parameter.type.removesuffix("[]") for one in every for parameter in one.parameters}
    origins = {column.origin for one in every for column in one.columns if column.origin and len(column.origin.split()) == 1}
    types = {
        name: Named(base, bool(not_null), " ".join(checks.split()), tuple(labels))
        for name, base, not_null, checks, labels in connection.execute(_TYPES).fetchall()
        if name in kinds
    }
    values: dict[str, tuple[str, ...]] = {
        str(name): tuple(sorted(label.replace("''", "'") for label in _LABEL.findall(found["labels"])))
        for name, check in connection.execute(_CHECKS).fetchall()
        if name in origins and (found := _ONE_OF.fullmatch(check))
    }
    comments = {
        str(name): " ".join(comment.split()) for name, comment in connection.execute(_COMMENTS).fetchall() if name in origins
    }
    return Schema(migrations, types, values, comments)


def render(schema: Schema) -> str:
    """
    Return the text of schema.contract.
    """
    found: list[str] = []
    for name, each in sorted(schema.types.items()):
        labels = _quoted(each.labels)
        found.append(
            "  ".join(part for part in ("type", name, each.base, "not null" * each.is_not_null, each.checks, labels) if part)
        )
    found += [f"values  {name}  {_quoted(labels)}" for name, labels in sorted(schema.values.items())]
    found += [f"comment  {name}  {_quoted([comment])}" for name, comment in sorted(schema.comments.items())]
    return "\n".join([_HEAD, f"migrations  {schema.migrations}  {digest.of_facts(found)}", *found]) + "\n"


def parse(text: str, path: Path) -> Schema:
    """
    Return what schema.contract says. Raises ContractFileError, with file and line, for what `store lock` does not write.
    """
    migrations = ""
    types: dict[str, Named] = {}
    values: dict[str, tuple[str, ...]] = {}
    comments: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        rest = (found["rest"] or "") if found else ""
        if found and found["key"] == "migrations":
            migrations = found["name"]
        elif found and found["key"] == "values":
            values[found["name"]] = _labels(rest)
        elif found and found["key"] == "comment":
            comments[found["name"]] = "".join(_labels(rest))
        elif found and (kind := _TYPE.fullmatch(rest)):
            more = kind["more"] or ""
            is_check = more.startswith("CHECK")
            types[found["name"]] = Named(
                kind["base"], bool(kind["null"]), more if is_check else "", () if is_check else _labels(more)
            )
        else:
            raise ContractFileError(f"{path}:{number}: {line[:60]!r} is no line of {FILE}: write it anew with `store lock`")
    return Schema(migrations, types, values, comments)


def base_type(name: str, schema: Schema) -> str:
    """
    Return the type behind a domain, an array's elements included: 'amount[]' -> 'numeric[]'. An enum stays 'enum'.
    """
    found = name.removesuffix("[]")
    while found in schema.types:
        found = schema.types[found].base
    return found + "[]" * name.endswith("[]")


def _quoted(labels: Iterable[str]) -> str:
    return ", ".join("'" + label.replace("'", "''") + "'" for label in labels)


def _labels(text: str) -> tuple[str, ...]:
    return tuple(label.replace("''", "'") for label in _LABEL.findall(text))
