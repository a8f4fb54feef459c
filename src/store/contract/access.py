"""
What an analysed query touches: columns read and written, functions called, rows locked.
"""

from __future__ import annotations

from collections.abc import Iterator

from store.contract import allowed
from store.contract import scope as names
from store.contract.catalog import ON_INSERT, Cascade, Catalog
from store.contract.facts import DELETED, Rejection
from store.contract.functions import Function
from store.contract.nodes import Node

_SELECT, _DELETE = 2, 8
_FIRST_BIT = 7  # what PostgreSQL adds to an attribute's number, so that system columns fit
_STRENGTHS = {1: "FOR KEY SHARE", 2: "FOR SHARE", 3: "FOR NO KEY UPDATE", 4: "FOR UPDATE"}
_WAITS = {0: "", 1: " SKIP LOCKED", 2: " NOWAIT"}
_VOLATILITIES = {"i": "immutable", "s": "stable", "v": "volatile"}
# SQLVALUEFUNCTION, by its number: no function of the catalogue stands behind it.
_VALUES = (
    *("current_date", "current_time", "current_time", "current_timestamp", "current_timestamp"),
    *("localtime", "localtime", "localtimestamp", "localtimestamp"),
    *("current_role", "current_user", "user", "session_user", "current_catalog", "current_schema"),
)


def reads(query: Node, catalog: Catalog) -> tuple[str, ...]:
    """
    Return the columns read, and the tables of which only the rows count.
    """
    found: set[str] = set()
    for one in _permissions(query):
        columns = set(_columns(one, "selectedCols", catalog))
        found |= columns
        relation = catalog.relations.get(one["relid"])
        if not columns and one["requiredPerms"] & _SELECT and relation is not None:
            found.add(relation.name)
    return tuple(sorted(found))


def writes(query: Node, catalog: Catalog) -> tuple[str, ...]:
    """
    Return the columns written, and the tables whose rows are deleted.
    """
    found: set[str] = set()
    for one in _permissions(query):
        columns = {*_columns(one, "insertedCols", catalog), *_columns(one, "updatedCols", catalog)}
        found |= columns
        relation = catalog.relations.get(one["relid"])
        if one["requiredPerms"] & _DELETE and relation is not None:
            found.add(relation.name + DELETED)
        if one["requiredPerms"] & 1 and not columns and relation is not None:  # INSERT ... DEFAULT VALUES
            found.add(relation.name)
    return tuple(sorted(found))


def functions(query: Node, catalog: Catalog) -> tuple[str, ...]:
    """
    Return the functions called, operators' and aggregates' included, but for those that are immutable and built in.
    """
    found = {
        f"{named(one)} {_VOLATILITIES[one.volatility]}"
        for one in called(query, catalog)
        if not (one.is_built_in and one.volatility == "i")
    }
    found |= {f"{_value(one['op'])} stable" for one in query.below if one.tag == "SQLVALUEFUNCTION"}
    return tuple(sorted(found))


def locks(query: Node, catalog: Catalog) -> tuple[str, ...]:
    """
    Return the row locks that SELECT takes, a table each.
    """
    found: set[str] = set()
    for inner in _queries(query):
        for mark in inner.many("rowMarks"):
            entry: Node = inner["rtable"][mark["rti"] - 1]
            relation = catalog.relations.get(entry["relid"]) if entry["rtekind"] == names.RELATION else None
            if relation is not None:
                wait = _WAITS.get(mark["waitPolicy"], "")
                found.add(f"{relation.name} {_STRENGTHS.get(mark['strength'], 'locked')}{wait}")
    return tuple(sorted(found))


def mode(query: Node, catalog: Catalog) -> str:
    """
    Return 'write', 'write (row lock)' or 'read', what its views do included.

    A volatile function is taken to write, but for a few of PostgreSQL's own.
    """
    queries = _with_views(query, catalog)
    is_harmless = all(
        one.volatility != "v" or (one.is_built_in and one.name in allowed.HARMLESS)
        for each in queries
        for one in called(each, catalog)
    )
    inner = [one for each in queries for one in _queries(each)]
    if not is_harmless or any(one["commandType"] != names.SELECT for one in inner):
        return "write"
    return "write (row lock)" if any(one["rowMarks"] for one in inner) else "read"


def missing(query: Node, catalog: Catalog) -> Rejection | None:
    """
    Return the NOT NULL column without a default that an INSERT leaves out, which Parse lets pass.
    """
    for inner in _queries(query):
        inserts = [inner] if inner["commandType"] == names.INSERT else inner.many("mergeActionList")
        for one in inserts:
            relation = catalog.relations.get(inner["rtable"][inner["resultRelation"] - 1]["relid"])
            if one["commandType"] != names.INSERT or relation is None or relation.kind == "v" or relation.has_rules:
                continue
            if relation.fills(ON_INSERT):
                continue
            given = {target["resno"] for target in one.many("targetList") if target["expr"].tag != "SETTODEFAULT"}
            for number, column in relation.attributes.items():
                if number > 0 and column.demands and not column.has_default and number not in given:
                    return Rejection("23502", f"INSERT leaves out {relation.name}.{column.name}, NOT NULL without a default")
    return None


def called(query: Node, catalog: Catalog) -> Iterator[Function]:
    """
    Iterate over the functions, aggregates, window functions and operators' functions that are called.
    """
    return (catalog.functions[oid] for oid in called_oids(query, catalog))


def called_oids(query: Node, catalog: Catalog) -> frozenset[int]:
    """
    Return the same by OID.
    """
    return query.called & catalog.functions.keys()


def named(function: Function) -> str:
    """
    Return a function as contracts spell it: 'now()', 'in_scope(...)'.
    """
    name = function.name if function.is_built_in else function.signature.partition("(")[0].removeprefix("store.")
    return f"{name}({'...' if function.arguments else ''})"


def cascades(query: Node, catalog: Catalog) -> Iterator[Cascade]:
    """
    Iterate over what foreign keys do with the rows that this query deletes.
    """
    for one in _permissions(query):
        if one["requiredPerms"] & _DELETE and one["relid"] in catalog.relations:
            yield from catalog.relations[one["relid"]].cascades


def _value(number: int) -> str:
    return _VALUES[number] if number < len(_VALUES) else "current_something"


def _with_views(query: Node, catalog: Catalog) -> list[Node]:
    """
    Return the query, and that of every view below it once.
    """
    found, seen = [query], set[int]()
    for each in found:
        relations = {node.get("relid") or 0 for node in each.below} & catalog.relations.keys() - seen
        seen |= relations
        found += [view for oid in relations if (view := catalog.relations[oid].view) is not None]
    return found


def _queries(query: Node) -> Iterator[Node]:
    return (one for one in query.below if one.tag == "QUERY")


def _permissions(query: Node) -> Iterator[Node]:
    return (one for one in query.below if one.tag == "RTEPERMISSIONINFO")


def _columns(permission: Node, field: str, catalog: Catalog) -> Iterator[str]:
    relation = catalog.relations.get(permission["relid"])
    if relation is None:
        return
    numbers: list[int] = [bit - _FIRST_BIT for bit in permission.many(field)]
    if 0 in numbers:  # the whole row
        numbers += [number for number in relation.attributes if number > 0]
    yield from (f"{relation.name}.{relation.attributes[one].name}" for one in numbers if one in relation.attributes)
