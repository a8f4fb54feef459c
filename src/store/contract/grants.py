"""
The least rights that the application's role needs for a project's queries, beside those that it has.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg

from store._queries import Statement, load
from store.contract import analyse
from store.contract.derive import Derived
from store.contract.facts import Facts, Need
from store.contract.findings import Finding
from store.contract.project import Project

ROLE = "store_app"

_ORDER = "SELECT INSERT UPDATE DELETE"
_SCHEMA = re.compile(r'((?:"(?:[^"]|"")+"|[^".(])+)\.')  # of "my app".notes and of app.known(text)
_COPY_IN = re.compile(r"COPY\s+(?P<table>\S+)\s*\((?P<columns>[^)]*)\)\s*FROM\s+STDIN\b.*", re.DOTALL | re.IGNORECASE)
_COPY_OUT = re.compile(r"COPY\s*\((?P<query>.*)\)\s*TO\s+STDOUT\b.*", re.DOTALL | re.IGNORECASE)
_HAS_ROLE = "SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = %s"
_MISSING = """
    SELECT n.number FROM unnest(%(kinds)s::text[], %(names)s::text[], %(privileges)s::text[], %(columns)s::text[])
        WITH ORDINALITY AS n (kind, name, privilege, spot, number)
    WHERE NOT CASE
        WHEN n.kind = 'schema' THEN has_schema_privilege(%(role)s::name, to_regnamespace(n.name)::oid, n.privilege)
        WHEN n.kind = 'function' THEN has_function_privilege(%(role)s, n.name, n.privilege)
        WHEN n.kind = 'sequence' THEN has_sequence_privilege(%(role)s, n.name, n.privilege)
        WHEN n.spot = '*' THEN has_any_column_privilege(%(role)s, n.name, n.privilege)
        WHEN n.spot = '' THEN has_table_privilege(%(role)s, n.name, n.privilege)
        ELSE has_column_privilege(%(role)s, n.name, n.spot, n.privilege)
    END
"""
# What was granted to the role by name, a table's rights as those on each of its columns.
_GRANTED = """
    WITH relations AS (
        SELECT c.*, c.oid::regclass::text AS name FROM pg_catalog.pg_class AS c WHERE c.relnamespace = 'store'::regnamespace
    )
    SELECT
        CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, c.name, g.privilege_type, coalesce(a.attname, '')
    FROM relations AS c
    CROSS JOIN LATERAL aclexplode(c.relacl) AS g
    LEFT JOIN pg_catalog.pg_attribute AS a ON
        a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind <> 'S'
        AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
    WHERE g.grantee = %(role)s::regrole
    UNION
    SELECT 'table', c.name, g.privilege_type, a.attname
    FROM relations AS c
    INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
    CROSS JOIN LATERAL aclexplode(a.attacl) AS g
    WHERE g.grantee = %(role)s::regrole
    UNION
    SELECT 'function', p.oid::regprocedure::text, g.privilege_type, ''
    FROM pg_catalog.pg_proc AS p
    CROSS JOIN LATERAL aclexplode(p.proacl) AS g
    WHERE p.pronamespace = 'store'::regnamespace AND g.grantee = %(role)s::regrole
"""


@dataclass(frozen=True, slots=True)
class Needs:
    """
    What queries need, each right with the first query that needs it, and what is not known of them.
    """

    rights: Mapping[Need, Statement]
    unknown: tuple[str, ...]
    """Functions and COPYs that cannot be followed, for people."""


def needed(connection: psycopg.Connection[Any], project: Project, derived: Derived) -> Needs:
    """
    Return what the application's role needs, the checks of `store verify` included. What only the owner of the schema runs is
    left out.
    """
    facts = {f"{domain}.{each.name}": each.whole for domain, stanzas in derived.stanzas.items() for each in stanzas}
    others = [text for each in _others(project) if (text := _plain(each)) is not None]
    answers = analyse.analyse(connection, others)
    unknown = {f"{each.full_name}: this COPY" for each in project.statements if each.kind == "copy" and _plain(each) is None}
    rights: dict[Need, Statement] = {}
    for statement in (*project.statements, *others):
        found = answers.get(statement.title) if statement in others else facts.get(statement.full_name)
        if statement.domain in project.owned or not isinstance(found, Facts):
            continue
        for need in found.needs:
            if need.privilege == "unknown":
                unknown.add(f"{need.name}, called by {statement.full_name}")
            else:
                rights.setdefault(need, statement)
                if schema := _SCHEMA.match(need.name):
                    rights.setdefault(Need("schema", schema[1], "USAGE"), statement)
    return Needs(rights, tuple(sorted(unknown)))


def findings(connection: psycopg.Connection[Any], project: Project, derived: Derived) -> Iterator[Finding]:
    """
    Yield the rights that a query needs and store_app has not, and, as warnings, those that it has and no query needs.
    """
    if project.grants is None:
        return
    if connection.execute(_HAS_ROLE, [ROLE]).fetchone() == (0,):
        message = f"the rights were not compared: there is no role {ROLE} in this database"
        yield Finding(project.grants, 1, 1, "grant-unchecked", message, "run sql/roles.sql and sql/grants.sql", "warning")
        return
    needs = needed(connection, project, derived)
    for need in _missing(connection, list(needs.rights)):
        statement = needs.rights[need]
        message = f"{statement.full_name} needs {_spelled([need])}, and {ROLE} has it not"
        yield Finding(statement.path, statement.line, 1, "grant-missing", message, "grant it: `store grants` prints all")
    if not needs.unknown:
        yield from _unused(connection, project.grants, needs)


def render(needs: Needs) -> str:
    """
    Return the GRANT statements, one an object, schemas first, and as comments what was not followed.
    """
    lines: list[str] = []
    ordered = sorted(needs.rights, key=lambda need: (need.kind != "schema", need))
    for (kind, name), group in groupby(ordered, lambda need: need[:2]):
        rights = list(group)
        named = {need.privilege for need in rights if need.column not in {"", "*"}}
        free = {need.privilege for need in rights if need.column == "*"} - named
        lines += [f"-- {privilege}: one column is enough, whichever it is" for privilege in sorted(free)]
        spelled = _listed(rights)
        if kind == "table":
            lines.append(f"GRANT\n    {f',{chr(10)}    '.join(spelled)}\nON {name} TO {ROLE};")
        else:
            lines.append(f"GRANT {', '.join(spelled)} ON {kind.upper()} {name} TO {ROLE};")
    return "\n".join([*lines, *(f"-- not followed: {each}" for each in needs.unknown)])


def _others(project: Project) -> Iterator[Statement]:
    yield from (each for each in project.statements if each.kind == "copy")
    if project.checks is not None:
        yield from load(project.checks, prefix="store", colour="sync").statements


def _plain(statement: Statement) -> Statement | None:
    """
    Return a COPY as a statement that PostgreSQL analyses and that needs the same rights, any other as it is.
    """
    if statement.kind != "copy":
        return statement
    text = statement.text.partition("*/")[2].strip()
    if found := _COPY_OUT.fullmatch(text):
        return dataclasses.replace(statement, kind="query", text=found["query"])
    if found := _COPY_IN.fullmatch(text):
        nulls = ", ".join("NULL" for _ in found["columns"].split(","))
        query = f"INSERT INTO {found['table']} ({found['columns']}) VALUES ({nulls})"  # noqa: S608  # our own file; never run
        return dataclasses.replace(statement, kind="query", text=query)
    return None


def _missing(connection: psycopg.Connection[Any], wanted: list[Need]) -> list[Need]:
    names = ("kinds", "names", "privileges", "columns")
    columns: dict[str, Any] = {name: [need[at] for need in wanted] for at, name in enumerate(names)}
    rows = connection.execute(_MISSING, {**columns, "role": ROLE}).fetchall()
    return sorted(wanted[int(row[0]) - 1] for row in rows)


def _unused(connection: psycopg.Connection[Any], path: Path, needs: Needs) -> Iterator[Finding]:
    anywhere = {need[:3] for need in needs.rights if need.column == "*"}
    named = {need[:3] for need in needs.rights if need.column not in {"", "*"}}
    unused = [
        need
        for need in sorted(Need(*row) for row in connection.execute(_GRANTED, {"role": ROLE}).fetchall())
        # A right on any column is given by one on whichever column.
        if need not in needs.rights and not (need[:3] in anywhere and need[:3] not in named)
    ]
    lines = path.read_text(encoding="utf-8").splitlines()
    for (_, name), group in groupby(unused, lambda need: need[:2]):
        rights = list(group)
        place = next((number for number, line in enumerate(lines, 1) if name.partition("(")[0] in line), 1)
        message = f"{ROLE} may {_spelled(rights)}, and no query needs it"
        yield Finding(path, place, 1, "grant-unused", message, "take it out of the grants", "warning")


def _spelled(needs: list[Need]) -> str:
    return f"{', '.join(_listed(needs))} on {needs[0].name}"


def _listed(needs: Iterable[Need]) -> list[str]:
    """
    Return the privileges on one object as GRANT takes them: SELECT (id, total), DELETE.
    """
    columns: dict[str, list[str]] = {}
    for need in sorted(needs, key=lambda need: (_ORDER.find(need.privilege), need)):
        columns.setdefault(need.privilege, []).extend([need.column] if need.column not in {"", "*"} else [])
    return [f"{privilege} ({', '.join(named)})" if named else privilege for privilege, named in columns.items()]
