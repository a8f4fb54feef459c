"""
What a migration does to what is there: which locks it takes, what it rewrites, reads whole and changes, told by PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import psycopg

from store.migrate._text import Statement, statements

# Above ROW EXCLUSIVE, weakest first: what reading and writing never take.
MODES = (
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
_NAMES = {mode: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper() for mode in MODES}
BLOCK_WRITES = frozenset(_NAMES[mode] for mode in MODES[1:])
ACCESS_EXCLUSIVE = _NAMES["AccessExclusiveLock"]
UNKNOWN = "an unknown relation"
_DATA = frozenset({"select", "insert", "update", "delete", "merge", "with", "copy", "do", "call", "values", "table"})

_EXISTING = """
    SELECT c.oid,
        CASE c.relkind WHEN 'i' THEN 'index ' WHEN 'I' THEN 'index ' WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' ELSE '' END
            || c.oid::regclass, pg_relation_filenode(c.oid), c.reltuples <= 0
    FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^(pg_|information_schema$|store_migrations$)'
"""
_LOCKS = """
    SELECT l.relation, l.mode FROM pg_catalog.pg_locks AS l
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted AND l.mode = ANY(%s)
"""
# Scans of the table, scans by its indexes, rows read by both, rows changed.
_COUNTS = """
    SELECT s.relid, s.seq_scan, coalesce(s.idx_scan, 0), s.seq_tup_read + coalesce((
            SELECT sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) FROM pg_catalog.pg_index AS i WHERE i.indrelid = s.relid
        ), 0)::bigint, s.n_tup_ins + s.n_tup_upd + s.n_tup_del
    FROM pg_catalog.pg_stat_xact_user_tables AS s
"""
MANY = 500  # rows read by one statement: more than a lookup, fewer than a filled table has

_Counts = dict[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Effect:
    """
    What one statement did to relations that were there before its file.

    `locks` are those it took itself (relation, mode); `held` those of the statements before it, still there. `faults` is what
    the caller finds in the catalog since, and at the end of the file still.
    """

    statement: Statement
    locks: tuple[tuple[str, str], ...] = ()
    held: tuple[tuple[str, str], ...] = ()
    rewrites: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict[str, int])
    faults: frozenset[tuple[str, str]] = frozenset()

    def covers(self, line: int) -> bool:
        """
        Whether its statement stands on this line of the file.
        """
        return self.statement.line <= line <= self.statement.line + self.statement.text.count("\n")


class Refused(Exception):
    """
    PostgreSQL refused a statement: the line of the file, and what it said.
    """

    def __init__(self, line: int, error: psycopg.Error) -> None:
        super().__init__(f"{error.diag.message_primary or error} (SQLSTATE {error.sqlstate})")
        self.line = line
        self.sqlstate = error.sqlstate


class _Relation(NamedTuple):
    name: str
    file: int | None
    is_empty: bool


def trace(
    connection: psycopg.Connection[Any],
    text: str,
    *,
    transactional: bool = True,
    faults: Callable[[psycopg.Connection[Any]], set[tuple[str, str]]] = lambda _: set(),
) -> list[Effect]:
    """
    Apply a file, for good, and return what each statement did.

    Raises Refused where PostgreSQL does; nothing of a transactional file is stored then.
    """
    existing = {row[0]: _Relation(*row[1:]) for row in connection.execute(_EXISTING)}
    known = faults(connection)
    found: list[Effect] = []
    with connection.transaction() if transactional else nullcontext():
        held: set[tuple[int, str]] = set()
        for statement in statements(text, "a migration"):
            effect, held = (
                _step(connection, statement, existing, held) if transactional else _alone(connection, statement, existing)
            )
            now = faults(connection)
            found.append(replace(effect, faults=frozenset(now - known)))
            known |= now
        still = faults(connection)
    return [replace(effect, faults=effect.faults & still) for effect in found]


def _step(
    connection: psycopg.Connection[Any], statement: Statement, existing: Mapping[int, _Relation], held: set[tuple[int, str]]
) -> tuple[Effect, set[tuple[int, str]]]:
    counts, files = _counts(connection), _files(connection)
    _run(connection, statement)
    locks = {(row[0], row[1]) for row in connection.execute(_LOCKS, (list(MODES),)) if row[0] in existing}
    scans, rows = _work(statement, counts, _counts(connection), existing)
    after = _files(connection)
    moved = [existing[oid].name for oid in existing if oid in after and after[oid] != files.get(oid)]
    taken, before = _strongest(locks - held, existing), _strongest(held, existing)
    return Effect(statement, taken, before, tuple(sorted(moved, key=_tables_first)), scans, rows), locks | held


def _run(connection: psycopg.Connection[Any], statement: Statement) -> None:
    try:
        connection.execute(statement.text.encode(), prepare=False)
    except psycopg.Error as error:
        before = statement.text.encode()[: 0 if error.diag.statement_position is None else int(error.diag.statement_position)]
        raise Refused(statement.line + before.count(b"\n"), error) from None


def _counts(connection: psycopg.Connection[Any]) -> _Counts:
    return {row[0]: row[1:] for row in connection.execute(_COUNTS)}


def _files(connection: psycopg.Connection[Any]) -> dict[int, int | None]:
    return {row[0]: row[2] for row in connection.execute(_EXISTING)}


def _work(
    statement: Statement, before: _Counts, after: _Counts, existing: Mapping[int, _Relation]
) -> tuple[tuple[str, ...], dict[str, int]]:
    scans: list[str] = []
    rows: dict[str, int] = {}
    nothing = (0, 0, 0, 0)
    for oid, relation in existing.items():
        counts = zip(after.get(oid, nothing), before.get(oid, nothing), strict=True)
        sequential, by_index, read, touched = (now - then for now, then in counts)
        # A query may look a row up, or read a table that is small; DDL that reads anything reads all of it.
        if read > MANY or (sequential > 0 and relation.is_empty) or (sequential + by_index > 0 and not is_data(statement)):
            scans.append(relation.name)
        if touched > 0:
            rows[relation.name] = touched
    return tuple(sorted(scans)), dict(sorted(rows.items()))


def _tables_first(name: str) -> tuple[bool, str]:
    return " " in name, name


def is_data(statement: Statement) -> bool:
    """
    Return whether a statement is about rows: it reads or writes them as a query does.
    """
    return statement.words[0] in _DATA


def _strongest(locks: set[tuple[int, str]], existing: Mapping[int, _Relation]) -> tuple[tuple[str, str], ...]:
    strongest: dict[str, str] = {}
    for oid, mode in sorted(locks, key=lambda lock: MODES.index(lock[1])):
        strongest[existing[oid].name] = _NAMES[mode]
    return tuple(sorted(strongest.items(), key=lambda lock: _tables_first(lock[0])))


# --- outside a transaction: declared, for nothing is left to see when the statement is done ----------------------------

_UPDATE, _ALL = _NAMES["ShareUpdateExclusiveLock"], ACCESS_EXCLUSIVE
_DECLARED: Sequence[tuple[re.Pattern[str], str, bool, bool]] = tuple(
    (re.compile(pattern), mode, rewrites, scans)
    for pattern, mode, rewrites, scans in (
        (r"create (?:unique )?index concurrently .*?\bon (?:only )?(?P<name>[^ (]+)", _UPDATE, False, True),
        (r"drop index concurrently (?:if exists )?(?P<index>[^ ,]+)", _UPDATE, False, False),
        (r"reindex .*?table concurrently (?P<name>[^ ]+)", _UPDATE, False, True),
        (r"reindex .*?index concurrently (?P<index>[^ ]+)", _UPDATE, False, True),
        (r"vacuum (?:full\b|\([^)]*\bfull\b(?! (?:false|off|0))[^)]*\))[^(]*?(?P<name>[^ (]+)(?: \(.*)?$", _ALL, True, True),
        (r"vacuum (?:\([^)]*\) |verbose |analyze |freeze )*(?P<name>[^ (]+)", _UPDATE, False, True),
        (r"alter table (?:only )?(?P<name>[^ ]+) detach partition [^ ]+ concurrently", _UPDATE, False, False),
        (r"alter type [^ ]+ add value", "", False, False),
    )
)


def _alone(
    connection: psycopg.Connection[Any], statement: Statement, existing: Mapping[int, _Relation]
) -> tuple[Effect, set[tuple[int, str]]]:
    told = " ".join(statement.words).replace(" . ", ".")
    effect = Effect(statement, locks=((UNKNOWN, ACCESS_EXCLUSIVE),))
    for pattern, mode, rewrites, scans in _DECLARED:
        if found := pattern.match(told):
            names = _targets(connection, found.groupdict(), existing)
            effect = Effect(
                statement,
                locks=tuple((name, mode) for name in names),
                rewrites=names if rewrites else (),
                scans=names if scans else (),
            )
            break
    _run(connection, statement)
    return effect, set()


def _targets(
    connection: psycopg.Connection[Any], named: Mapping[str, str | None], existing: Mapping[int, _Relation]
) -> tuple[str, ...]:
    if named.get("index"):
        row = connection.execute(
            "SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass(%s)", (named["index"],)
        ).fetchone()
    else:
        row = connection.execute("SELECT to_regclass(%s)::oid", (named.get("name") or "",)).fetchone()
    return (existing[row[0]].name,) if row is not None and row[0] in existing else ()
