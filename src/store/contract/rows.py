"""
The proof that a query answers with at most one row, and what it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from store.contract import scope as names
from store.contract.access import called
from store.contract.catalog import UniqueIndex
from store.contract.nodes import Node
from store.contract.scope import Scope

_LIMIT_COUNT = 0  # and not WITH TIES


def at_most_one(scope: Scope) -> str | None:
    """
    Return why there is at most one row: unique indexes by name, 'limit 1', 'aggregate', 'single values'; None without a proof.
    """
    query = scope.query
    if query["setOperations"] is not None or (query["commandType"] != names.SELECT and not query["returningList"]):
        return None
    if query["limitCount"] is not None and query["limitOption"] == _LIMIT_COUNT and _is_one(query["limitCount"]):
        return "limit 1"
    if query["hasTargetSRFs"]:
        return None
    is_grouped = bool(query["groupClause"] or query["groupingSets"])
    if query["commandType"] == names.SELECT and (query["hasAggs"] or query["havingQual"]) and not is_grouped:
        return "aggregate"
    if query["groupingSets"] or any(one["matchKind"] == names.NOT_MATCHED_BY_SOURCE for one in query.many("mergeActionList")):
        return None
    return _single(scope)


def _single(scope: Scope) -> str | None:
    """
    Prove every relation of the join single, each by what is single before it.
    """
    query = scope.query
    wanted = {*_relations(query["jointree"])}
    if query["commandType"] == names.MERGE:
        wanted.add(query["resultRelation"])
    elif query["commandType"] in {names.UPDATE, names.DELETE}:
        wanted = {query["resultRelation"]}  # a row is changed once, however often it is joined
    proofs: dict[int, str] = {}
    grown = True
    while grown and not wanted <= proofs.keys():
        grown = False
        for number in {*_relations(query["jointree"]), *wanted} - proofs.keys():
            proof = _proof(number, scope, proofs.keys())
            if proof is not None:
                proofs[number] = proof
                grown = True
    if not wanted <= proofs.keys():
        return None
    named = [proofs[number] for number in sorted(wanted) if proofs[number] != "single values"]
    return ", ".join(dict.fromkeys(", ".join(named).split(", "))) if named else "single values"


def _proof(number: int, scope: Scope, single: Any) -> str | None:
    entry = scope.entry(number)
    if not _columns(entry, 0) <= set(single):  # LATERAL: one row for each of many
        return None
    if entry["rtekind"] == names.VALUES:
        return "single values" if len(entry["values_lists"]) == 1 else None
    if entry["rtekind"] == names.FUNCTION:
        calls: list[Node] = [one["funcexpr"] for one in entry["functions"]]
        return "single values" if not any(one["funcretset"] for one in calls) else None
    source = scope.source(entry)
    if source is not None:
        return at_most_one(source)
    relation = scope.catalog.relations.get(entry["relid"])
    if entry["rtekind"] != names.RELATION or relation is None:
        return None
    bound = list(_bound(number, scope, single))
    return next((index.name for index in relation.indexes if _covers(index, bound, scope)), None)


def _covers(index: UniqueIndex, bound: list[tuple[int, int, int]], scope: Scope) -> bool:
    loose = scope.catalog.loose_collations
    return all(
        any(
            column == key and operator in equalities and (used == collation or used not in loose)
            for column, operator, used in bound
        )
        for key, collation, equalities in zip(index.keys, index.collations, index.equalities, strict=True)
    )


def _bound(number: int, scope: Scope, single: Any) -> Iterator[tuple[int, int, int]]:
    """
    Iterate over the columns of a relation that equal something fixed: (column, operator, collation).
    """
    merge = scope.query["mergeJoinCondition"] if number == scope.query["resultRelation"] else None
    found = [*_conditions(scope.query["jointree"], number), *([merge] if isinstance(merge, Node) else [])]
    for condition in (part for one in found for part in _parts(one)):
        if condition.tag != "OPEXPR" or len(condition["args"]) != 2:
            continue
        left, right = condition["args"]
        for column, other in ((_unlabelled(left), right), (_unlabelled(right), left)):
            is_own = column.tag == "VAR" and column["varno"] == number and not column["varlevelsup"]
            if is_own and _is_fixed(other, scope, single):
                yield column["varattno"], condition["opno"], condition["inputcollid"]


def _conditions(tree: Node, number: int) -> Iterator[Node]:
    """
    Iterate over the conditions that a row of this relation fulfils: of outer joins, those that may leave it out.
    """
    for side in [*tree.many("fromlist"), tree["larg"], tree["rarg"]]:
        if isinstance(side, Node) and number in _relations(side):
            yield from _conditions(side, number)
    filled = {names.INNER: ["larg", "rarg"], names.LEFT: ["rarg"], names.RIGHT: ["larg"]}.get(tree["jointype"], [])
    is_joined = any(number in _relations(tree[side]) for side in filled)
    if tree["quals"] is not None and (tree.tag == "FROMEXPR" or is_joined):
        yield tree["quals"]


def _relations(tree: Any) -> list[int]:
    if not isinstance(tree, Node):
        return []
    if tree.tag == "RANGETBLREF":
        return [tree["rtindex"]]
    return [one for side in [*tree.many("fromlist"), tree["larg"], tree["rarg"]] for one in _relations(side)]


def _parts(condition: Node) -> Iterator[Node]:
    if condition.tag == "BOOLEXPR" and condition["boolop"] == "and":
        for one in condition["args"]:
            yield from _parts(one)
    else:
        yield condition


def _is_fixed(node: Node, scope: Scope, single: Any) -> bool:
    """
    Whether it is one value, given one row of what is single: nothing volatile, no column of anything else.

    A column may come from a row that an outer join filled up with NULL: then the value must be NULL too, or it would be two.
    """
    if any(one.volatility == "v" for one in called(node, scope.catalog)):
        return False
    columns = _columns(node, 0)
    is_plain = all(one.tag in {"VAR", "CONST", "PARAM"} | names.CASTS or scope.is_strict(one) for one in node.below)
    return not columns or (columns <= set(single) and is_plain)


def _columns(node: Node, depth: int) -> set[int]:
    found: set[int] = {node["varno"]} if node.tag == "VAR" and node["varlevelsup"] == depth else set()
    return found.union(*(_columns(child, depth + (child.tag == "QUERY")) for child in node.children))


def _unlabelled(node: Node) -> Node:
    while node.tag == "RELABELTYPE":
        node = node["arg"]
    return node


def _is_one(node: Node) -> bool:
    while node.tag == "FUNCEXPR" and len(node["args"]) == 1:
        node = node["args"][0]
    value = node["constvalue"]
    return node.tag == "CONST" and isinstance(value, bytes) and int.from_bytes(value, "little") in {0, 1}
