"""
Which parameters are required: None can never be meant, because it would be refused or would match nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, cast

from store.contract import scope as names
from store.contract.nodes import Node
from store.contract.scope import Scope


class Use(Enum):
    """
    What a parameter's value is used for.
    """

    DEMANDED = "stored into a column that takes no NULL"
    FILTER = "compared by a strict operator, so that NULL matches nothing"
    OTHER = "anything else"


def required(scope: Scope, count: int) -> tuple[bool, ...]:
    """
    Return for $1, $2, ... whether it is required: demanded somewhere, a filter of the whole, or a filter and nothing else.
    """
    uses: dict[int, set[Use]] = {}
    for number, use in _Walker().statement(scope, shown=True):
        uses.setdefault(number, set()).add(use)
    for number in range(1, count + 1):
        if ("$", number) in scope.known and not scope.query["hasModifyingCTE"]:  # without it there is no row at all
            uses[number] = {Use.FILTER}
    found = (uses.get(number, set[Use]()) for number in range(1, count + 1))
    return tuple(Use.DEMANDED in one or one == {Use.FILTER} for one in found)


class _Walker:
    """
    Follows values from parameters to where they end; a column of a subquery counts where it is used.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[Any, ...]] = set()

    def statement(self, scope: Scope, *, shown: bool) -> Iterator[tuple[int, Use]]:
        """
        Iterate over the uses in a query; what it shows counts where nobody else asks for it.
        """
        query = scope.query
        for one in query.many("cteList"):
            yield from self.statement(scope.inside(one["ctequery"]), shown=False)
        for entry in query.many("rtable"):
            yield from self._entry(entry, scope)
        yield from self._stored(query, scope)
        for field in ("jointree", "mergeJoinCondition", "havingQual"):
            yield from self._conditions(query[field], scope)
        for field in ("limitCount", "limitOffset", "windowClause"):
            yield from self._below(query[field], scope, Use.OTHER)
        yield from self._shown(scope, shown=shown)

    def _shown(self, scope: Scope, *, shown: bool) -> Iterator[tuple[int, Use]]:
        for arm in scope.arms():
            for one in arm.targets():
                if shown or one["resjunk"]:
                    yield from self._value(one["expr"], arm, Use.OTHER)

    def _entry(self, entry: Node, scope: Scope) -> Iterator[tuple[int, Use]]:
        if entry["rtekind"] == names.SUBQUERY:
            yield from self.statement(scope.inside(entry["subquery"]), shown=False)
        for one in entry.many("functions"):  # a strict function that returns a set returns none
            is_alone = len(entry["functions"]) == 1 and self._is_strict_set(one["funcexpr"], scope)
            if len(entry["functions"]) == 1 and not one["funcexpr"]["funcretset"]:
                continue  # one value: it counts where it is used
            for argument in one["funcexpr"].many("args"):
                yield from self._value(argument, scope, Use.FILTER if is_alone else Use.OTHER)
        for field in ("tablefunc", "tablesample", "securityQuals"):
            yield from self._below(entry[field], scope, Use.OTHER)

    def _stored(self, query: Node, scope: Scope) -> Iterator[tuple[int, Use]]:
        """
        Iterate over what is stored: by INSERT and UPDATE, ON CONFLICT and the actions of MERGE.
        """
        if query["commandType"] == names.SELECT:
            return
        relation = scope.catalog.relations.get(scope.entry(query["resultRelation"])["relid"])
        lists: list[list[Node]] = [query.many("targetList")]
        for one in query.many("mergeActionList"):
            lists.append(one.many("targetList"))
            yield from self._conditions(one["qual"], scope)
        if (conflict := query["onConflict"]) is not None:
            lists.append(conflict.many("onConflictSet"))
            yield from self._conditions(conflict["onConflictWhere"], scope)
        for target in (one for targets in lists for one in targets):
            column = relation.attributes.get(target["resno"]) if relation is not None else None
            demands = column is not None and column.demands and not target["resjunk"]
            yield from self._value(target["expr"], scope, Use.DEMANDED if demands else Use.OTHER)

    def _conditions(self, tree: Any, scope: Scope) -> Iterator[tuple[int, Use]]:
        if not isinstance(tree, Node) or tree.tag == "RANGETBLREF":
            return
        if tree.tag not in {"FROMEXPR", "JOINEXPR"}:
            yield from self._value(tree, scope, Use.FILTER)
            return
        for part in [*tree.many("fromlist"), tree["larg"], tree["rarg"], tree["quals"]]:
            yield from self._conditions(part, scope)

    def _value(self, node: Any, scope: Scope, use: Use) -> Iterator[tuple[int, Use]]:
        if not isinstance(node, Node):
            return
        if node.tag == "PARAM" and node["paramkind"] == 0:
            yield node["paramid"], use
        elif node.tag == "VAR":
            yield from self._column(node, scope, use)
        elif node.tag == "SUBLINK":
            inner = scope.inside(node["subselect"])
            yield from self.statement(inner, shown=node["subLinkType"] != 0)
            yield from self._value(node["testexpr"], scope, use)
        elif node.tag in names.CASTS or scope.is_strict(node) or (node.tag == "BOOLEXPR" and use is Use.FILTER):
            yield from self._below(node, scope, use)
        elif node.tag == "ROWCOMPAREEXPR":  # (a, b) > (NULL, 1) is never true, (a, b) > (1, NULL) may be
            yield from self._value(node["rargs"][0], scope, use)
            yield from self._below([*node["largs"], *node["rargs"][1:]], scope, Use.OTHER)
        elif node.tag == "ARRAYEXPR" and use is Use.FILTER:  # x IN ($1, $2)
            yield from self._below(node["elements"], scope, use)
        else:
            yield from self._below(node, scope, Use.OTHER)

    def _below(self, value: Any, scope: Scope, use: Use) -> Iterator[tuple[int, Use]]:
        for one in value.children if isinstance(value, Node) else cast("list[Any]", value or []):
            yield from self._value(one, scope, use)

    def _column(self, var: Node, scope: Scope, use: Use) -> Iterator[tuple[int, Use]]:
        """
        Follow a column into the query, the VALUES, the join or the group it comes from.
        """
        here = scope.up(var["varlevelsup"] or 0)
        number: int = var["varattno"]
        step = (id(here.query) if here is not None else 0, var["varno"], number, use)
        if here is None or step in self._seen:
            return
        self._seen.add(step)
        entry = here.entry(var["varno"])
        if entry["rtekind"] == names.VALUES:
            for row in entry["values_lists"]:
                yield from self._value(row[number - 1], here, use)
        elif entry["rtekind"] in {names.JOIN, names.GROUP}:
            expressions: list[Node] = entry["joinaliasvars" if entry["rtekind"] == names.JOIN else "groupexprs"]
            yield from self._value(expressions[number - 1], here, use)
        elif entry["rtekind"] == names.FUNCTION:
            yield from self._of_function(entry, number, here, use)
        elif entry["rtekind"] != names.RELATION and (source := here.source(entry)) is not None:
            for arm in source.arms():
                yield from self._value(arm.output(number), arm, use)

    def _of_function(self, entry: Node, number: int, scope: Scope, use: Use) -> Iterator[tuple[int, Use]]:
        functions: list[Node] = entry["functions"]
        if len(functions) == 1 and not functions[0]["funcexpr"]["funcretset"]:
            yield from self._value(functions[0]["funcexpr"], scope, use)
        elif use is Use.DEMANDED and number <= len(functions):  # an array that is NULL stands for rows of NULL
            yield from self._below(functions[number - 1]["funcexpr"], scope, use)

    @staticmethod
    def _is_strict_set(call: Node, scope: Scope) -> bool:
        function = scope.catalog.functions.get(call["funcid"])
        return bool(call["funcretset"]) and function is not None and function.is_strict
