"""
What a migration may not do unseen: each rule with its severity, why it is one, and the safe form.

Three eyes: squawk reads the text, the trace reads what PostgreSQL did, the catalog shows what was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

from store.migrate._text import Statement
from store.migrate._trace import ACCESS_EXCLUSIVE, BLOCK_WRITES, MANY, UNKNOWN, Effect, is_data

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Breach:
    """
    One thing to look at: where, which rule, why, and what to write instead.
    """

    file: str
    line: int
    rule: str
    severity: Severity
    why: str
    safe: str


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A rule of ours. `why` is completed by what was found.
    """

    severity: Severity
    why: str
    safe: str


_KEYS_LATER = "without REFERENCES here; then each foreign key NOT VALID in a file of its own, and VALIDATE in a later one"
_ONE_KEY = (
    "NOT VALID, one foreign key a file, when no long transaction runs, and VALIDATE in a later one: it locks both its tables "
    "in any case, which the file may allow"
)
_BATCH = "change rows in batches, in a file of its own, between two releases"
OURS: dict[str, Rule] = {
    "changes-rows": Rule("error", "changes many rows in one transaction, each of them locked until its end", _BATCH),
    "blocks-writes": Rule(
        "warning", "writers wait while it waits and works", "alone in its file, when no long transaction runs"
    ),
    "definer-without-path": Rule(
        "error", "runs with its owner's rights, on names the caller chooses", "SET search_path = pg_catalog, …, pg_temp"
    ),
    "does-not-apply": Rule(
        "error",
        "PostgreSQL refuses it",
        "mend it: it is tried on rows that keep every constraint; what cannot run in a transaction has a file of its own",
    ),
    "dynamic-sql": Rule(
        "warning", "text made at run time cannot be reviewed: what is seen here is what it did here", "plain statements"
    ),
    "empties-table": Rule(
        "error", "deletes every row and keeps readers and writers out", "DELETE in batches, or drop the table a release later"
    ),
    "float-money": Rule(
        "error", "binary fractions and locale money cannot keep an amount", "numeric with a CHECK, like store.amount"
    ),
    "grants-to-public": Rule(
        "error", "every role there is, and will be, may use it", "grant to a role by its name, in sql/grants.sql"
    ),
    "allow-unused": Rule("error", "there is nothing of this rule to allow", "take the line out"),
    "allow-without-reason": Rule(
        "error", "nobody can tell later whether it still holds", "`-- store: allow: RULE: reason`, above the first statement"
    ),
    "int-key": Rule(
        "error",
        "a key of 32 bits ends at 2,147,483,647, and changing it rewrites the table",
        "bigint GENERATED ALWAYS AS IDENTITY",
    ),
    "json-column": Rule("warning", "json keeps text: no equality, no index, parsed at each reading", "jsonb"),
    "creates-rule": Rule(
        "error", "a rule rewrites the queries of everybody in ways that no query shows", "a trigger, or a view"
    ),
    "lock-table": Rule("error", "a lock by hand is held until the end of the file", "leave it to the statements"),
    "locks-while-exclusive": Rule(
        "error",
        "a second table is locked while nobody can use the first: both wait for whoever reads the second",
        "a file for each table",
    ),
    "locks-two-tables": Rule(
        "warning",
        "two tables locked in one transaction: each waits for the other's readers, and deadlocks",
        "a file for each table",
    ),
    "moves-tablespace": Rule(
        "error", "copies the whole table and keeps everybody out meanwhile", "an online tool, outside migrations"
    ),
    "rewrites-table": Rule(
        "error",
        "writes the whole table and its indexes anew, and nobody reads or writes meanwhile",
        "a new column or table, filled in batches, then switched",
    ),
    "scans-under-lock": Rule(
        "error",
        "reads the whole table while writers wait",
        "NOT VALID first, VALIDATE in a later file; indexes CONCURRENTLY; a validated CHECK before SET NOT NULL",
    ),
    "unindexed-foreign-key": Rule(
        "warning", "deleting or changing the row it points to reads this whole table", "an index that begins with these columns"
    ),
    "unknown-lock": Rule("warning", "outside a transaction its locks are not known here", "allow it, saying what it locks"),
    "work-while-locked": Rule(
        "warning",
        "tables that earlier statements of the file locked wait until it is done",
        "a file of its own for it, before them",
    ),
}


# On the words of a statement, in lower case, one blank between them, without comments.
_TEXT = {
    "creates-rule": re.compile(r"^create (or replace )?rule "),
    "dynamic-sql": re.compile(r"^do .*\bexecute\b", re.DOTALL),
    "grants-to-public": re.compile(r"^(grant|alter default privileges .*\bgrant) .*\bto (group )?public\b"),
    "lock-table": re.compile(r"^lock "),
    "moves-tablespace": re.compile(r"^alter .*\bset tablespace "),
}


def of_effect(file: str, effect: Effect, *, batch: bool = False) -> Iterator[Breach]:
    """
    Yield what the trace shows of one statement; a batch may change rows, that is what it is for.
    """
    statement = effect.statement
    for rule, subject in (*_text(statement), *_work(effect), *_locks(effect)):
        if batch and rule == "changes-rows":
            continue
        yield told(rule, file, statement.line, subject, _safe(rule, effect))


def told(rule: str, file: str, line: int, subject: str = "", safe: str = "") -> Breach:
    """
    Return a finding of one of our rules; `safe` is what fits better than the safe form of the rule.
    """
    known = OURS[rule]
    return Breach(file, line, rule, known.severity, f"{subject}: {known.why}" if subject else known.why, safe or known.safe)


def _safe(rule: str, effect: Effect) -> str:
    # One statement that locks several tables for its foreign keys stays one, in whatever file.
    words = effect.statement.words
    tables = [name for name, mode in effect.locks if mode in BLOCK_WRITES and " " not in name]
    if rule not in {"locks-two-tables", "locks-while-exclusive"} or "references" not in words or len(tables) < 2:
        return ""
    return _ONE_KEY if words[0] == "alter" and rule == "locks-two-tables" else _KEYS_LATER


def _text(statement: Statement) -> Iterator[tuple[str, str]]:
    words = " ".join(statement.words)
    for rule, pattern in _TEXT.items():
        if pattern.search(words):
            yield rule, ""


def _work(effect: Effect) -> Iterator[tuple[str, str]]:
    statement, locks = effect.statement, dict(effect.held) | dict(effect.locks)
    blocked = {name for name, mode in locks.items() if mode in BLOCK_WRITES}
    rewritten = [name for name in effect.rewrites if not name.startswith("index ") or name in blocked]
    if effect.rewrites:
        yield "empties-table" if statement.words[0] == "truncate" else "rewrites-table", ", ".join(rewritten or effect.rewrites)
    elif scanned := [name for name in effect.scans if name in blocked and not is_data(statement)]:
        yield "scans-under-lock", ", ".join(scanned)
    if changed := [name for name, count in effect.rows.items() if count > MANY or name in effect.scans]:
        yield "changes-rows", ", ".join(changed)
    others = [name for name, mode in effect.held if mode in BLOCK_WRITES]
    if others and (effect.scans or effect.rewrites or changed):
        yield "work-while-locked", ", ".join(others)


def _locks(effect: Effect) -> Iterator[tuple[str, str]]:
    taken = {name: mode for name, mode in effect.locks if mode in BLOCK_WRITES}
    if UNKNOWN in taken:
        yield "unknown-lock", ""
        return
    tables = sorted(name for name in taken if " " not in name)
    held = sorted({name for name, mode in effect.held if mode in BLOCK_WRITES and " " not in name} - set(tables))
    if tables and len(tables) + len(held) > 1:
        exclusive = ACCESS_EXCLUSIVE in (taken | dict(effect.held)).values()
        yield "locks-while-exclusive" if exclusive else "locks-two-tables", ", ".join([*held, *tables])
    # ACCESS EXCLUSIVE for an instant is what most DDL takes; what it does meanwhile is told above.
    if weaker := [name for name in tables if taken[name] != ACCESS_EXCLUSIVE]:
        yield "blocks-writes", ", ".join(f"{name} ({taken[name]})" for name in weaker)


# --- what was made ---------------------------------------------------------------------------------------------------

_FAULTS = """
WITH space AS (
    SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname !~ '^(pg_|information_schema$|store_migrations$)'
),
col AS (
    SELECT c.oid, a.attnum, c.oid::regclass || '.' || quote_ident(a.attname) AS name,
        coalesce(nullif(t.typbasetype, 0), t.oid)::regtype::text AS type,
        a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%' OR EXISTS (
            SELECT FROM pg_catalog.pg_constraint AS k
            WHERE k.conrelid = c.oid AND k.contype = 'p' AND k.conkey = ARRAY[a.attnum]
        ) AS is_key
    FROM pg_catalog.pg_class AS c
    INNER JOIN space AS s ON s.oid = c.relnamespace
    INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    INNER JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind IN ('r', 'p')
)
SELECT 'float-money', name FROM col WHERE type IN ('real', 'double precision', 'money')
UNION ALL
SELECT 'json-column', name FROM col WHERE type = 'json'
UNION ALL
SELECT 'int-key', name FROM col WHERE type IN ('integer', 'smallint') AND is_key
UNION ALL
SELECT 'definer-without-path', p.oid::regprocedure::text
FROM pg_catalog.pg_proc AS p INNER JOIN space AS s ON s.oid = p.pronamespace
WHERE p.prosecdef AND NOT coalesce(array_to_string(p.proconfig, chr(10)) ~ '(^|\\n)search_path=', false)
UNION ALL
SELECT 'unindexed-foreign-key', n.conrelid::regclass || '.' || quote_ident(n.conname)
FROM pg_catalog.pg_constraint AS n INNER JOIN space AS s ON s.oid = n.connamespace
WHERE n.contype = 'f' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_index AS i
    WHERE i.indrelid = n.conrelid AND i.indpred IS NULL
        AND (i.indkey::smallint[])[0 : cardinality(n.conkey) - 1] @> n.conkey
)
"""


def faults(connection: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    """
    Return what the catalog shows of our rules: (rule, object).
    """
    return {(row[0], row[1]) for row in connection.execute(_FAULTS)}
