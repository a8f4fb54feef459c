"""
Where a name in an analysed query leads: range tables, CTEs, levels, and what a WHERE clause has let through.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from store.contract.catalog import Catalog
from store.contract.nodes import Node

SELECT, UPDATE, INSERT, DELETE, MERGE, NOTHING = 1, 2, 3, 4, 5, 7
RELATION, SUBQUERY, JOIN, FUNCTION, VALUES, CTE, GROUP = 0, 1, 2, 3, 5, 6, 9
INNER, LEFT, FULL, RIGHT = 0, 1, 2, 3
UNION, INTERSECT, EXCEPT = 1, 2, 3
MATCHED, NOT_MATCHED_BY_SOURCE = 0, 1
_SIMPLE, _SETS = 1, 4
EXISTS, ALL, ANY = 0, 1, 2
CASTS = frozenset({"RELABELTYPE", "COERCEVIAIO", "COLLATEEXPR", "COERCETODOMAIN", "ARRAYCOERCEEXPR", "CONVERTROWTYPEEXPR"})
STRICT = frozenset({"FUNCEXPR", "OPEXPR", "SCALARARRAYOPEXPR"})


@dataclass(eq=False)
class Scope:
    """
    A query, and the one it stands in.
    """

    query: Node
    parent: Scope | None
    catalog: Catalog
    _inner: dict[int, Scope] = field(default_factory=dict[int, "Scope"], init=False, repr=False)

    def inside(self, query: Node) -> Scope:
        """
        Return the scope of a query that stands in this one, the same whenever it is asked for.
        """
        found = self._inner.get(id(query))
        if found is None:
            found = self._inner[id(query)] = Scope(query, self, self.catalog)
        return found

    def up(self, levels: int) -> Scope | None:
        """
        Return the scope so many levels out.
        """
        scope: Scope | None = self
        for _ in range(levels):
            scope = scope.parent if scope is not None else None
        return scope

    def entry(self, number: int) -> Node:
        """
        Return an entry of the range table.
        """
        entries: list[Node] = self.query.many("rtable")
        return entries[number - 1] if 0 < number <= len(entries) else Node("")

    def targets(self) -> list[Node]:
        """
        Return the columns of the answer, and what it is only sorted or grouped by.
        """
        return self.query.many("targetList" if self.query["commandType"] == SELECT else "returningList")

    def output(self, number: int) -> Node | None:
        """
        Return the expression of a column of the answer; of a set operation it stands for its arms only by its type.
        """
        return self._outputs.get(number)

    @cached_property
    def _outputs(self) -> dict[int, Node]:
        return {one["resno"]: one["expr"] for one in reversed(self.targets()) if not one["resjunk"]}

    def source(self, entry: Node) -> Scope | None:
        """
        Return the query behind an entry: a subquery, a CTE or a view; None for anything else.
        """
        if entry["rtekind"] == SUBQUERY:
            return self.inside(entry["subquery"])
        if entry["rtekind"] == CTE:
            holder = self.up(entry["ctelevelsup"])
            named = (one for one in (holder.query.many("cteList") if holder else ()) if one["ctename"] == entry["ctename"])
            found = next(named, None)
            return holder.inside(found["ctequery"]) if holder is not None and found is not None else None
        relation = self.catalog.relations.get(entry["relid"]) if entry["rtekind"] == RELATION else None
        return Scope(relation.view, None, self.catalog) if relation is not None and relation.view is not None else None

    def arms(self) -> list[Scope]:
        """
        Return the queries that a set operation joins, in order; the query itself where there is none.
        """
        tree = self.query["setOperations"]
        return [self] if tree is None else [self.inside(self.entry(one)["subquery"]) for one in _leaves(tree)]

    @cached_property
    def is_one_group(self) -> bool:
        """
        Whether it answers with a row even where no row comes in.
        """
        query = self.query
        return bool((query["hasAggs"] or query["havingQual"]) and not query["groupClause"]) or bool(query["groupingSets"])

    @cached_property
    def nulled(self) -> list[Node]:
        """
        What GROUPING SETS fills up with NULL, where the tree does not say so itself: before 18.
        """
        if self.query["hasGroupRTE"]:
            return []
        kept = set[int].union(set(), *(_in_each_set(one) for one in self.query.many("groupingSets")))
        grouped = {one["tleSortGroupRef"] for one in self.query.many("groupClause")} - kept
        return [one["expr"] for one in self.query.many("targetList") if one["ressortgroupref"] in grouped]

    @cached_property
    def known(self) -> frozenset[Hashable]:
        """
        What its conditions let through only when it is not NULL, as `key_of` calls it.

        Below an outer join a condition speaks of its side alone: of columns, which say what fills them up, and of no parameter.
        """
        if self.is_one_group or self.query["commandType"] in {INSERT, MERGE}:
            return frozenset()
        tree = self.query["jointree"]
        always = frozenset(key for one in conditions(tree) for key in self.kept(one))
        sided = frozenset(key for one in conditions(tree, sided=True) for key in self.kept(one) if key[0] != "$")
        found = always | sided
        if self.query["commandType"] == UPDATE or self.is_replaced:  # RETURNING shows the row as it has become
            found = frozenset(key for key in found if key[0] != self.query["resultRelation"])
        return found

    @cached_property
    def is_replaced(self) -> bool:
        """
        Whether something else may be done in place of what it says: it writes a view, or a table with rules.
        """
        if self.query["commandType"] == SELECT:
            return False
        relation = self.catalog.relations.get(self.entry(self.query["resultRelation"])["relid"])
        return relation is None or relation.kind == "v" or relation.has_rules

    def kept(self, condition: Node) -> Iterator[tuple[Any, ...]]:
        """
        Iterate over what cannot be NULL where this is true.
        """
        if condition.tag == "BOOLEXPR" and condition["boolop"] == "and":
            for one in condition["args"]:
                yield from self.kept(one)
        elif condition.tag == "BOOLEXPR" and condition["boolop"] == "not":
            yield from self._strict(condition["args"][0])
        elif condition.tag == "NULLTEST" and condition["nulltesttype"] == 1 and not condition["argisrow"]:
            yield from self._strict(condition["arg"])
        elif condition.tag == "SUBLINK" and condition["subLinkType"] == ANY and condition["testexpr"] is not None:
            yield from self._strict(condition["testexpr"])
        elif condition.tag == "SCALARARRAYOPEXPR" and condition["useOr"] and self.is_strict(condition):
            for one in condition["args"]:  # nothing equals one of none
                yield from self._strict(one)
        else:
            yield from self._strict(condition)

    def _strict(self, expression: Node) -> Iterator[tuple[Any, ...]]:
        """
        Iterate over what cannot be NULL where this is not NULL.
        """
        if (key := key_of(expression)) is not None:
            yield key
        elif expression.tag in CASTS:
            yield from self._strict(expression["arg"])
        elif self.is_strict(expression):
            for one in strict_arguments(expression):
                yield from self._strict(one)

    def is_strict(self, expression: Node) -> bool:
        """
        Whether a NULL among its arguments makes it NULL, by the word of its function.
        """
        if expression.tag not in STRICT or expression["funcretset"] or expression["opretset"]:
            return False
        function = self.catalog.functions.get(expression["funcid"] or expression["opfuncid"])
        return function is not None and function.is_strict


def key_of(expression: Node) -> tuple[Any, ...] | None:
    """
    Return what a column of this level, or a parameter, is recognised by; None for anything else.
    """
    if expression.tag == "VAR" and not expression["varlevelsup"] and not expression["varreturningtype"]:
        return (expression["varno"], expression["varattno"], tuple(expression.many("varnullingrels")))
    if expression.tag == "PARAM" and expression["paramkind"] == 0:
        return ("$", expression["paramid"])
    return None


def strict_arguments(expression: Node) -> list[Node]:
    """
    Return the arguments of a strict expression of which one NULL makes it NULL.

    ANY of an empty array is false and ALL true, even for NULL: only of an array that has elements for certain it is NULL.
    """
    arguments: list[Node] = expression.many("args")
    return arguments if expression.tag != "SCALARARRAYOPEXPR" or has_elements(arguments[1]) else arguments[1:]


def has_elements(array: Node) -> bool:
    """
    Whether it is written out as an array of some elements, as IN (1, 2) is.
    """
    return array.tag == "ARRAYEXPR" and not array["multidims"] and bool(array["elements"])


def conditions(tree: Node, *, sided: bool = False) -> Iterator[Node]:
    """
    Iterate over the conditions that every row of a join tree fulfils: WHERE, and ON of inner joins; not below the side of an
    outer join that may be filled up, unless `sided`.
    """
    holds_always = tree.tag == "FROMEXPR" or (tree.tag == "JOINEXPR" and tree["jointype"] == INNER)
    if holds_always and tree["quals"] is not None:
        yield tree["quals"]
    for child in tree.children if sided else always_there(tree):
        if child.tag in {"FROMEXPR", "JOINEXPR"}:
            yield from conditions(child, sided=sided)


def always_there(tree: Node) -> list[Node]:
    """
    Return the parts of a join tree that have a row of their own in each of its rows.
    """
    sides = {INNER: ["larg", "rarg"], LEFT: ["larg"], RIGHT: ["rarg"]}.get(tree["jointype"], [])
    return [*tree.many("fromlist"), *(tree[side] for side in sides)]


def expressions(node: Node) -> Iterator[Node]:
    """
    Iterate over a node and everything below it on the same level: not into subqueries.
    """
    yield node
    for child in node.children:
        if child.tag != "QUERY":
            yield from expressions(child)


def _in_each_set(node: Node) -> set[int]:
    """
    Return the grouped columns that no set of this clause leaves out.
    """
    content = node.many("content")
    if node["kind"] == _SIMPLE:
        return set(content)
    if node["kind"] == _SETS and content:
        return set[int].intersection(*(_in_each_set(one) for one in content))
    return set()


def _leaves(tree: Node) -> Iterator[int]:
    if tree.tag == "RANGETBLREF":
        yield tree["rtindex"]
    else:
        yield from _leaves(tree["larg"])
        yield from _leaves(tree["rarg"])
