"""
By which index a query reaches each table, told from a generic plan of an empty database: the same on every machine.

An index scan is no proof: `WHERE note = $1 ORDER BY id` walks the whole primary key. What counts is a condition on the index's
first column. A partial index read whole is named as such: it is as long as its predicate lets it be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.rows import tuple_row

from store._queries import Statement
from store.contract.findings import Finding

_SCANS = frozenset(
    {
        "Bitmap Heap Scan",
        "Foreign Scan",
        "Index Only Scan",
        "Index Scan",
        "Sample Scan",
        "Seq Scan",
        "Tid Range Scan",
        "Tid Scan",
    }
)
_IS_NOT_NULL = re.compile(r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))* IS NOT NULL\)")
_ALLOWED = re.compile(r"scan (?P<relation>[\w.\"]+), *(?P<reason>\S.*)")

# Of a B-tree the first column must be bound, or all of it is read (18 may skip through it); the other kinds take any column.
_INDEXES = """
    SELECT n.nspname, c.relname, i.indpred IS NOT NULL, CASE WHEN m.amname = 'btree' THEN a.attname END
    FROM pg_catalog.pg_index AS i
    INNER JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    INNER JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND i.indkey[0] > 0
    WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast')
"""

# A hash or merge join of empty tables reads one of them whole where a nested loop would go by its index.
_REACH = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "

# Of a table that was never analysed the planner takes ten pages for granted: up to there it is as good as empty.
_LOADED = """
    SELECT n.nspname || '.' || c.relname
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE
        c.relkind IN ('r', 'm') AND n.nspname || '.' || c.relname = ANY (%s::text[])
        AND (c.reltuples > 0 OR pg_catalog.pg_relation_size(c.oid) > 10 * current_setting('block_size')::integer)
    ORDER BY 1
"""

Plan = dict[str, Any]


class Index(NamedTuple):
    """
    Whether an index holds only some rows, and the column that must be bound for it to seek (None: any, or an expression).
    """

    is_partial: bool
    leading: str | None


Indexes = Mapping[tuple[str, str], Index]


class Access(NamedTuple):
    """
    How one table of a query is reached: `index` (by a condition on it), `partial` (all of a partial index), `ordered` (the
    first rows of an order) or `scan`.
    """

    verdict: str
    relation: str
    by: str


def indexes(connection: psycopg.Connection[Any]) -> Indexes:
    """
    Return every index of the database by schema and name.
    """
    rows = connection.cursor(row_factory=tuple_row).execute(_INDEXES).fetchall()
    return {(schema, name): Index(partial, leading) for schema, name, partial, leading in rows}


def loaded(connection: psycopg.Connection[Any], relations: Iterable[str]) -> list[str]:
    """
    Return those of these tables whose rows have a say in the plans, as 'store.orders'.
    """
    names = [each if "." in each else f"store.{each}" for each in relations]
    return [str(name) for (name,) in connection.cursor(row_factory=tuple_row).execute(_LOADED, [names]).fetchall()]


def explain(connection: psycopg.Connection[Any], statement: Statement, *, reach: bool = True) -> Plan:
    """
    Return the generic plan, with `reach` the one in which whole tables are the last resort. Nothing stays set, a transaction
    goes on, and nothing is run.

    Raises psycopg.Error when PostgreSQL refuses the statement.
    """
    if connection.info.transaction_status == pq.TransactionStatus.IDLE:
        return _explained(connection, statement, reach=reach)
    with connection.transaction(force_rollback=True):
        return _explained(connection, statement, reach=reach)


def _explained(connection: psycopg.Connection[Any], statement: Statement, *, reach: bool) -> Plan:
    refuse_two(connection, statement)
    text = f"{_REACH if reach else ''}EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) {statement.text}"
    result = connection.pgconn.exec_(text.encode())  # all of it is one transaction
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise psycopg.errors.error_from_result(result)
    plan: Plan = json.loads(result.get_value(0, 0) or b"")[0]["Plan"]
    return plan


def refuse_two(connection: psycopg.Connection[Any], statement: Statement) -> None:
    """
    Raise psycopg.Error for what PostgreSQL cannot prepare, two statements in one text among it.

    EXPLAIN with $1 in it goes by the simple protocol, which would run the second one.
    """
    result = connection.pgconn.prepare(b"", statement.text.encode())
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result)


def accesses(plan: Plan, known: Indexes) -> list[Access]:
    """
    Return how each base relation of a plan is reached, sorted, each way once.
    """
    return sorted({_access(node, known, is_limited=is_limited) for node, is_limited in _walk(plan, is_limited=False)})


def verdicts(statement: Statement, found: Sequence[Access]) -> tuple[str, ...]:
    """
    Return the lines of a contract; a scan that the header allows carries its reason.
    """
    reasons = dict(_allowed(statement))
    lines = {
        f"scan {each.relation}, {reasons[each.relation]}"
        if each.verdict == "scan" and each.relation in reasons
        else f"{each.verdict} {each.by or each.relation}"
        for each in found
    }
    return tuple(sorted(lines))


def grade(statement: Statement, found: Mapping[Statement, Sequence[Access]]) -> Iterator[Finding]:
    """
    Yield a finding for each table that a text of the entry reads whole without leave, and for each leave that no text needs.
    """
    reasons = dict(_allowed(statement))
    scanned: dict[str, list[str]] = {}
    for text, accesses in found.items():
        for relation in sorted({each.relation for each in accesses if each.verdict == "scan"}):
            scanned.setdefault(relation, []).append(text.title)
    for relation in sorted(scanned.keys() - reasons.keys()):
        first, *others = scanned[relation]
        more = f" (and {len(others)} more of its texts)" if others else ""
        message = f"{first}{more} reads {relation} whole: no condition reaches it by an index"
        mend = f"add an index, or say `-- plan: scan {relation}, reason` in the header"
        yield Finding(statement.path, statement.line, 1, "plan-scan", message, mend)
    every = [each for accesses in found.values() for each in accesses]
    for relation in sorted(reasons.keys() - {each.relation for each in every if each.verdict in ("partial", "scan")}):
        yield _left(statement, relation)
    for mark in statement.plan:
        if not _ALLOWED.fullmatch(mark):
            message = f"{statement.full_name}: `-- plan: {mark}` is not of the form `-- plan: scan relation, reason`"
            yield Finding(statement.path, statement.line, 1, "plan-mark", message, "give the relation and the reason")


def left(statement: Statement, lines: Sequence[str]) -> Iterator[Finding]:
    """
    Yield a finding for each leave that the lines of a contract do not need. A partial index read whole does not name its table,
    and may be what the leave is for.
    """
    if any(line.startswith("partial ") for line in lines):
        return
    scanned = {line.removeprefix("scan ").partition(",")[0] for line in lines if line.startswith("scan ")}
    for relation in sorted(dict(_allowed(statement)).keys() - scanned):
        yield _left(statement, relation)


def _left(statement: Statement, relation: str) -> Finding:
    message = f"{statement.full_name}: `-- plan: scan {relation}` and the plan has no such scan"
    return Finding(statement.path, statement.line, 1, "plan-stale", message, "remove the mark")


def _allowed(statement: Statement) -> Iterator[tuple[str, str]]:
    for mark in statement.plan:
        if found := _ALLOWED.fullmatch(mark):
            yield found["relation"].removeprefix("store."), found["reason"]


def _walk(node: Plan, *, is_limited: bool) -> Iterator[tuple[Plan, bool]]:
    kind = node["Node Type"]
    if kind in _SCANS:
        yield node, is_limited
    # Only what hands its rows on one by one lets a Limit above it stop the scan below it.
    passes_on = kind in ("Limit", "LockRows", "Nested Loop", "Result", "Subquery Scan")
    for number, child in enumerate(node.get("Plans", [])):
        is_driving = passes_on and number == 0 and child.get("Parent Relationship") in ("Outer", "Subquery")
        yield from _walk(child, is_limited=is_driving and (is_limited or kind == "Limit"))


def _access(node: Plan, known: Indexes, *, is_limited: bool) -> Access:
    kind, schema, relation = node["Node Type"], node.get("Schema", "store"), node["Relation Name"]
    shown = relation if schema == "store" else f"{schema}.{relation}"
    if kind.startswith("Tid"):
        return Access("index", shown, f"ctid of {shown}")

    def index(each: Plan) -> Index:
        return known.get((schema, each["Index Name"]), Index(is_partial=False, leading=None))

    def is_sought(each: Plan) -> bool:
        return _binds(each.get("Index Cond", ""), node["Alias"], index(each).leading)

    arms = list(_arms(node, is_sought)) if kind == "Bitmap Heap Scan" else [node] if "Index Name" in node else []
    by = " or ".join(sorted({each["Index Name"] for each in arms}))
    if arms and all(is_sought(each) for each in arms):
        return Access("index", shown, by)
    if arms and all(is_sought(each) or index(each).is_partial for each in arms):
        return Access("partial", shown, by)
    if kind.startswith("Index") and is_limited and not ({"Index Cond", "Filter"} & node.keys()):
        return Access("ordered", shown, by)
    return Access("scan", shown, shown)


def _arms(node: Plan, is_sought: Callable[[Plan], bool]) -> Iterator[Plan]:
    for child in node.get("Plans", []):
        if child["Node Type"] == "BitmapAnd":
            # One arm that seeks is enough where all must hold.
            inner = list(_arms(child, is_sought))
            yield from [each for each in inner if is_sought(each)] or inner
        elif child["Node Type"] == "BitmapOr":
            yield from _arms(child, is_sought)
        elif child["Node Type"] == "Bitmap Index Scan":
            yield child


def _binds(condition: str, alias: str, leading: str | None) -> bool:
    bound = _IS_NOT_NULL.sub("", condition).replace(" AND ", "").strip("() ")
    # VERBOSE writes every column with its alias.
    column = rf'(?<!\w)"?{re.escape(alias)}"?\."?{re.escape(leading)}(?!\w)' if leading is not None else ""
    return bool(bound) and re.search(column, bound) is not None
