"""
What PostgreSQL says of queries on a schema, and what of it a program that was written on another schema stumbles over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import psycopg

from store._queries import Statement
from store.contract import places, plans
from store.contract.analyse import analyse
from store.contract.facts import Column, Facts, Rejection
from store.contract.findings import Severity

Rule = Literal["query-refused", "query-columns", "query-type", "query-null", "query-rows", "query-plan"]
Seen = Facts | Rejection
Key = tuple[str, str, tuple[str, ...]]

# A COPY is of a reviewed .sql file; its text is asked about on a throw-away server, and no value ever enters it.
_IN = re.compile(r"\bCOPY\s+(?P<table>[^\s(]+)\s*(?:\((?P<columns>[^)]*)\)\s*)?FROM\s+STDIN\b", re.IGNORECASE)
_OUT = re.compile(r"\bCOPY\s*\((?P<query>.*)\)\s*TO\s+STDOUT\b", re.IGNORECASE | re.DOTALL)
_TABLE_OUT = re.compile(r"\bCOPY\s+(?P<table>[^\s(]+)\s*(?:\((?P<columns>[^)]*)\)\s*)?TO\s+STDOUT\b", re.IGNORECASE)


class Fault(NamedTuple):
    """
    One thing that is not as the program expects it. An error stops it; a warning may cost it rows or time.
    """

    rule: Rule
    message: str
    sqlstate: str | None = None
    severity: Severity = "error"


def key(statement: Statement) -> Key:
    """
    Return what tells two texts apart for PostgreSQL and for whoever reads the answer.
    """
    return statement.title, statement.text, statement.parameters


def observe(connection: psycopg.Connection[Any], statements: Sequence[Statement]) -> dict[Key, Seen]:
    """
    Return what PostgreSQL makes of each text: the facts, with the tables that its plan reads whole, or its refusal.

    Inside a transaction it sees what that one did. Two texts of the same title must be observed apart.
    """
    asked = {each.title: _asked(each) for each in statements}
    answers = analyse(connection, asked.values(), nested=True)
    known = plans.indexes(connection)
    return {key(each): _planned(connection, asked[each.title], answers[each.title], known) for each in statements}


def _planned(connection: psycopg.Connection[Any], text: Statement, answer: Seen, known: plans.Indexes) -> Seen:
    if isinstance(answer, Rejection) or text.kind == "copy":
        return answer
    try:
        found = plans.accesses(plans.explain(connection, text), known)
    except psycopg.Error as error:
        return Rejection(error.sqlstate or "XX000", error.diag.message_primary or "PostgreSQL refused the plan")
    return replace(answer, plan=tuple(each.relation for each in found if each.verdict == "scan"))


def _asked(statement: Statement) -> Statement:
    """
    Return the text that says of a COPY what PostgreSQL tells only when it runs: the same tables and columns, as a query.
    """
    text = _as_query(statement.text) if statement.kind == "copy" else None
    return statement if text is None else replace(statement, text=text, kind="query")


def _as_query(text: str) -> str | None:
    if found := _IN.search(text):
        table, columns = found["table"], found["columns"]
        if columns is None:
            return f"SELECT * FROM {table}"  # noqa: S608 (see _IN)
        return f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table} RETURNING {columns}"  # noqa: S608 (see _IN)
    if found := _OUT.search(text):
        return found["query"]
    found = _TABLE_OUT.search(text)
    return None if found is None else f"SELECT {found['columns'] or '*'} FROM {found['table']}"  # noqa: S608 (see _IN)


def faults(statement: Statement, expected: Facts, seen: Seen) -> Iterator[Fault]:
    """
    Yield what is not as `expected`: refused, other columns or types, None where there was none, None no longer taken.
    """
    if isinstance(seen, Rejection):
        told = places.finding(statement, seen.sqlstate, seen.message, seen.position).message
        yield Fault("query-refused", told.removeprefix(f"{statement.title}: "), seen.sqlstate)
        return
    yield from _columns(statement, expected.columns, seen.columns)
    for was, now in zip(expected.parameters, seen.parameters, strict=False):
        if was.type != now.type:
            yield Fault("query-type", f"the parameter {was.name} is {now.type}, and was {was.type}")
        if now.is_required and not was.is_required and was.name in statement.nullable:
            yield Fault("query-null", f"the parameter {was.name} may be None, and its column takes no null")
    if expected.at_most_one and not seen.at_most_one and statement.mark in ("^", "$"):
        message = f"nothing keeps it to one row: it was {expected.at_most_one}"
        yield Fault("query-rows", message, severity="warning")
    for relation in seen.plan:
        if relation not in expected.plan:
            yield Fault("query-plan", f"no index leads it to the rows of {relation}: all are read", severity="warning")


def _columns(statement: Statement, expected: Iterable[Column], seen: Iterable[Column]) -> Iterator[Fault]:
    before, after = ({each.name: each for each in columns} for columns in (expected, seen))
    if before.keys() != after.keys():
        changed = [f"{name} is gone" for name in before if name not in after]
        changed += [f"{name} is new" for name in after if name not in before]
        yield Fault("query-columns", f"it answers other columns: {', '.join(changed)}")
    # What is copied into a table is not read from it.
    reads = not (statement.kind == "copy" and statement.writes)
    for name in (name for name in before if name in after):
        was, now = before[name], after[name]
        if was.type != now.type:
            yield Fault("query-type", f"the column {name} is {now.type}, and was {was.type}")
        if now.is_nullable and not was.is_nullable and reads:
            yield Fault("query-null", f"the column {name} may be null, and never was")
