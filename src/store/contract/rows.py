"""
The proof that a query answers with at most one row, and what it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, KeysView
from dataclasses import dataclass
from typing import Any

from store.contract import scope as names
from store.contract.access import called
from store.contract.catalog import UniqueIndex
from store.contract.nodes import Node
from store.contract.scope import Scope

_LIMIT_COUNT = 0  # and not WITH TIES
_INTEGERS = {20, 21, 23}


@dataclass(frozen=True, slots=True)
class _Equality:
    """
    That a column equals one value.
    """

    column: int
    operator: int
    collation: int
    needs: frozenset[int]
    """The relations of which one row makes it one value."""


def at_most_one(scope: Scope) -> str | None:
    """
    Return why there is at most one row: unique indexes by name, 'limit 1', 'aggregate', 'single values'; None without a proof.
    """
    return _Rows().of(scope)


class _Rows:
    """
    Proves queries, each of them once.
    """

    def __init__(self) -> None:
        self._known: dict[int, str | None] = {}

    def of(self, scope: Scope) -> str | None:
        """
        Return the proof of a query.
        """
        key = id(scope.query)
        if key not in self._known:
            self._known[key] = None  # of itself a recursive query proves nothing
            self._known[key] = self._of(scope)
        return self._known[key]

    def _of(self, scope: Scope) -> str | None:
        query = scope.query
        is_read = query["commandType"] == names.SELECT
        if query["setOperations"] is not None or scope.is_replaced or not (is_read or query["returningList"]):
            return None
        if query["limitCount"] is not None and query["limitOption"] == _LIMIT_COUNT and _is_one(query["limitCount"], scope):
            return "limit 1"
        if query["hasTargetSRFs"]:
            return None
        is_grouped = bool(query["groupClause"] or query["groupingSets"])
        if is_read and (query["hasAggs"] or query["havingQual"]) and not is_grouped:
            return "aggregate"
        if query["groupingSets"] or any(
            one["matchKind"] == names.NOT_MATCHED_BY_SOURCE for one in query.many("mergeActionList")
        ):
            return None
        return self._single(scope)

    def _single(self, scope: Scope) -> str | None:
        """
        Prove every relation of the join single, each by what is single before it.
        """
        query = scope.query
        equalities: dict[int, list[_Equality]] = {}
        if not _gather(query["jointree"], scope, equalities):
            return None
        wanted = {*equalities}
        if query["commandType"] == names.MERGE:
            wanted.add(query["resultRelation"])
            _add(query["mergeJoinCondition"], [query["resultRelation"]], scope, equalities)
        elif query["commandType"] in {names.UPDATE, names.DELETE}:
            wanted = {query["resultRelation"]}  # a row is changed once, however often it is joined
        proofs: dict[int, str] = {}
        grown = True
        while grown and not wanted <= proofs.keys():
            grown = False
            for number in {*equalities, *wanted} - proofs.keys():
                proof = self._proof(number, scope, equalities.get(number, []), proofs.keys())
                if proof is not None:
                    proofs[number] = proof
                    grown = True
        if not wanted <= proofs.keys():
            return None
        named = [proofs[number] for number in sorted(wanted) if proofs[number] != "single values"]
        return ", ".join(dict.fromkeys(", ".join(named).split(", "))) if named else "single values"

    def _proof(self, number: int, scope: Scope, equalities: list[_Equality], single: KeysView[int]) -> str | None:
        entry = scope.entry(number)
        if not _columns(entry, 0) <= single:  # LATERAL: one row for each of many
            return None
        if entry["rtekind"] == names.VALUES:
            return "single values" if len(entry["values_lists"]) == 1 else None
        if entry["rtekind"] == names.FUNCTION:
            calls: list[Node] = [one["funcexpr"] for one in entry["functions"]]
            return "single values" if not any(one["funcretset"] for one in calls) else None
        source = scope.source(entry)
        if source is not None:
            return self.of(source)
        relation = scope.catalog.relations.get(entry["relid"])
        if entry["rtekind"] != names.RELATION or relation is None:
            return None
        bound = [one for one in equalities if one.needs <= single]
        return next((index.name for index in relation.indexes if _covers(index, bound, scope)), None)


def _covers(index: UniqueIndex, bound: list[_Equality], scope: Scope) -> bool:
    loose = scope.catalog.loose_collations
    return all(
        any(
            one.column == key and one.operator in equalities and (one.collation == collation or one.collation not in loose)
            for one in bound
        )
        for key, collation, equalities in zip(index.keys, index.collations, index.equalities, strict=True)
    )


def _gather(tree: Node, scope: Scope, found: dict[int, list[_Equality]]) -> bool:
    """
    Collect for each relation of a join what a row of it equals: of outer joins, where that may leave it out.

    False where a full join may have a row of each side.
    """
    if tree.tag == "RANGETBLREF":
        found[tree["rtindex"]] = []
        return True
    if tree["jointype"] == names.FULL:
        return False
    sides: dict[str, list[int]] = {}
    for name, parts in (("fromlist", tree.many("fromlist")), ("larg", [tree["larg"]]), ("rarg", [tree["rarg"]])):
        before = {*found}
        if not all(_gather(one, scope, found) for one in parts if isinstance(one, Node)):
            return False
        sides[name] = [one for one in found if one not in before]
    bound = {names.LEFT: ["rarg"], names.RIGHT: ["larg"]}.get(tree["jointype"], ["fromlist", "larg", "rarg"])
    _add(tree["quals"], [number for name in bound for number in sides[name]], scope, found)
    return True


def _add(condition: Any, numbers: list[int], scope: Scope, found: dict[int, list[_Equality]]) -> None:
    """
    Collect the equalities of a condition between columns of these relations and something fixed.
    """
    for part in _parts(condition) if isinstance(condition, Node) else ():
        if part.tag != "OPEXPR" or len(part["args"]) != 2:
            continue
        left, right = part["args"]
        for column, other in ((_unlabelled(left), right), (_unlabelled(right), left)):
            is_own = column.tag == "VAR" and column["varno"] in numbers and not column["varlevelsup"]
            if is_own and (needs := _needs(other, scope)) is not None:
                equality = _Equality(column["varattno"], part["opno"], part["inputcollid"], needs)
                found.setdefault(column["varno"], []).append(equality)


def _parts(condition: Node) -> Iterator[Node]:
    if condition.tag == "BOOLEXPR" and condition["boolop"] == "and":
        for one in condition["args"]:
            yield from _parts(one)
    else:
        yield condition


def _needs(node: Node, scope: Scope) -> frozenset[int] | None:
    """
    Return the relations of which one row makes it one value; None where nothing does: it is volatile.

    A column may come from a row that an outer join filled up with NULL: then the value must be NULL too, or it would be two.
    """
    if any(one.volatility == "v" for one in called(node, scope.catalog)):
        return None
    columns = _columns(node, 0)
    is_plain = all(one.tag in {"VAR", "CONST", "PARAM"} | names.CASTS or scope.is_strict(one) for one in node.below)
    return frozenset(columns) if not columns or is_plain else None


def _columns(node: Node, depth: int) -> set[int]:
    found: set[int] = {node["varno"]} if node.tag == "VAR" and node["varlevelsup"] == depth else set()
    return found.union(*(_columns(child, depth + (child.tag == "QUERY")) for child in node.children))


def _unlabelled(node: Node) -> Node:
    while node.tag == "RELABELTYPE":
        node = node["arg"]
    return node


def _is_one(node: Node, scope: Scope) -> bool:
    """
    Whether it is written out as 0 or 1, which PostgreSQL casts to bigint.
    """
    function = scope.catalog.functions.get(node["funcid"])
    if function is not None and function.is_built_in and function.name == "int8" and len(node["args"]) == 1:
        node = node["args"][0]
    value = node["constvalue"]
    is_integer = node.tag == "CONST" and node["consttype"] in _INTEGERS
    return is_integer and isinstance(value, bytes) and int.from_bytes(value, "little") in {0, 1}
