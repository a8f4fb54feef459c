"""
Which parameters are required: with None in its place the statement is refused, or finds no row and changes nothing. Proven from
the analysed query, never guessed: whatever is unknown is optional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from store.contract import scope as names
from store.contract.catalog import ON_INSERT, ON_UPDATE, Relation
from store.contract.nodes import Node
from store.contract.scope import Scope

_IS_TRUE, _IS_SCALAR, _IS_NOT_NULL = 0, 4, 1
_USER_VALUE = 1  # OVERRIDING USER VALUE: what is given for an identity column is not looked at
_NONE = frozenset[int]()


def required(scope: Scope, count: int) -> tuple[bool, ...]:
    """
    Return for $1, $2, ... whether it is required: by the query itself, and by each WITH that changes rows.
    """
    proof = _Proof()
    changing = [one["ctequery"] for one in scope.query.many("cteList") if one["ctequery"]["commandType"] != names.SELECT]
    found = _common(proof.without_rows(one) for one in [scope, *map(scope.inside, changing)])
    return tuple(number in found for number in range(1, count + 1))


class _Proof:
    """
    Collects parameters by what becomes of a query, a condition or an expression where they are NULL.
    """

    def __init__(self) -> None:
        self._queries: dict[int, frozenset[int]] = {}
        self._columns: dict[tuple[int, int], frozenset[int]] = {}
        self._conditions: dict[str, Callable[[Node, Scope], frozenset[int] | None]] = {
            "BOOLEANTEST": lambda node, scope: self._true(node["arg"], scope) if node["booltesttype"] == _IS_TRUE else _NONE,
            "BOOLEXPR": self._combined,
            "NULLTEST": self._not_null,
            "SCALARARRAYOPEXPR": self._any_or_all,
            "SUBLINK": self._found,
        }
        self._values: dict[str, Callable[[Node, Scope], frozenset[int]]] = {
            "COALESCEEXPR": lambda node, scope: _common(self.null(one, scope) for one in node["args"]),
            "PARAM": lambda node, _: frozenset([node["paramid"]]) if node["paramkind"] == 0 else _NONE,
            # (a, b) > (NULL, 1) is never true, (a, b) > (1, NULL) may be.
            "ROWCOMPAREEXPR": lambda node, scope: _every(self.null(node[side][0], scope) for side in ("largs", "rargs")),
            "SUBLINK": self._scalar,
            "VAR": self._var,
        }

    def without_rows(self, scope: Scope) -> frozenset[int]:
        """
        Return those without which a query has no row and changes none, or is refused.
        """
        key = id(scope.query)
        if key not in self._queries:
            self._queries[key] = _NONE  # where a recursive query looks at itself
            self._queries[key] = self._without_rows(scope)
        return self._queries[key]

    def _without_rows(self, scope: Scope) -> frozenset[int]:
        query = scope.query
        if scope.is_replaced:
            return _NONE
        if query["setOperations"] is not None:
            return self._arm(query["setOperations"], scope)
        if query["commandType"] == names.MERGE:
            return self._merge(scope)
        found = self._true(query["havingQual"], scope)
        if query["commandType"] != names.SELECT or not scope.is_one_group:
            found |= self._tree(query["jointree"], scope)
        return found | self._stored(query, query["commandType"], scope)

    def _arm(self, tree: Node, scope: Scope, number: int | None = None) -> frozenset[int]:
        """
        Return those without which the arms of a set operation have no row or, of a column, nothing but NULL.
        """
        if tree.tag == "RANGETBLREF":
            arm = scope.inside(scope.entry(tree["rtindex"])["subquery"])
            return self.without_rows(arm) if number is None else self.column(arm, number)
        left = self._arm(tree["larg"], scope, number)
        if tree["op"] == names.EXCEPT:
            return left
        right = self._arm(tree["rarg"], scope, number)
        return left | right if tree["op"] == names.INTERSECT else left & right

    def _tree(self, tree: Node, scope: Scope) -> frozenset[int]:
        """
        Return those without which a join has no row.
        """
        if tree.tag == "RANGETBLREF":
            return self._entry(scope.entry(tree["rtindex"]), scope)
        found = _every(self._tree(one, scope) for one in names.always_there(tree))
        if tree.tag == "FROMEXPR" or tree["jointype"] == names.INNER:
            found |= self._true(tree["quals"], scope)
        return found

    def _entry(self, entry: Node, scope: Scope) -> frozenset[int]:
        if (source := scope.source(entry)) is not None:
            return self.without_rows(source)
        functions = entry.many("functions")
        is_set = len(functions) == 1 and functions[0]["funcexpr"]["funcretset"]
        return self._strict_call(functions[0]["funcexpr"], scope) if is_set else _NONE

    def _strict_call(self, call: Node, scope: Scope) -> frozenset[int]:
        """
        Return those without which a function in FROM returns NULL, or no row where it returns a set.
        """
        function = scope.catalog.functions.get(call["funcid"])
        is_strict = call.tag == "FUNCEXPR" and function is not None and function.is_strict
        return _every(self.null(one, scope) for one in call.many("args")) if is_strict else _NONE

    def _stored(self, action: Node, command: int, scope: Scope) -> frozenset[int]:
        """
        Return those that no row can be stored without: its column takes no NULL, and no trigger sees it before.
        """
        event = {names.INSERT: ON_INSERT, names.UPDATE: ON_UPDATE}.get(command)
        relation = scope.catalog.relations.get(scope.entry(scope.query["resultRelation"])["relid"]) if event else None
        if event is None or relation is None or relation.fills(event):
            return _NONE
        is_own = scope.query["override"] == _USER_VALUE
        targets = [one for one in action.many("targetList") if _demands(relation, one, is_own=is_own)]
        return _every(self._given(one["expr"], scope) for one in targets)

    def _given(self, expression: Node, scope: Scope) -> frozenset[int]:
        """
        Return those without which a row that is stored has a NULL; of several rows that are written out, any.
        """
        entry = scope.entry(expression["varno"]) if expression.tag == "VAR" else Node("")
        if entry["rtekind"] == names.VALUES and not expression["varlevelsup"]:
            return _every(self.null(row[expression["varattno"] - 1], scope) for row in entry["values_lists"])
        return self.null(expression, scope)

    def _merge(self, scope: Scope) -> frozenset[int]:
        """
        Return those without which none of the actions does anything.
        """
        query, tree = scope.query, scope.query["jointree"]
        source = _every(self._tree(one, scope) for one in tree.many("fromlist"))
        matching = self._true(query["mergeJoinCondition"] or tree["quals"], scope)
        found: list[frozenset[int]] = []
        for action in (one for one in query.many("mergeActionList") if one["commandType"] != names.NOTHING):
            own = self._true(action["qual"], scope) | self._stored(action, action["commandType"], scope)
            if action["matchKind"] != names.NOT_MATCHED_BY_SOURCE:
                own |= source
            is_matched = action["matched"] if action["matchKind"] is None else action["matchKind"] == names.MATCHED
            found.append(own | matching if is_matched else own)
        return _common(found)

    # --- conditions and values -----------------------------------------------------------------------------------

    def _true(self, condition: Any, scope: Scope) -> frozenset[int]:
        """
        Return those without which a condition is not true.
        """
        rule = self._conditions.get(condition.tag) if isinstance(condition, Node) else None
        found = rule(condition, scope) if rule is not None else None
        return self.null(condition, scope) if found is None else found

    def _combined(self, node: Node, scope: Scope) -> frozenset[int]:
        parts: list[Node] = node["args"]
        if node["boolop"] == "not":
            return self.null(parts[0], scope)
        found = (self._true(one, scope) for one in parts)
        return _every(found) if node["boolop"] == "and" else _common(found)

    def _not_null(self, node: Node, scope: Scope) -> frozenset[int]:
        is_test = node["nulltesttype"] == _IS_NOT_NULL and not node["argisrow"]
        return self.null(node["arg"], scope) if is_test else _NONE

    def _found(self, node: Node, scope: Scope) -> frozenset[int] | None:
        """
        Follow EXISTS and ANY into the subquery.
        """
        if node["subLinkType"] not in {names.EXISTS, names.ANY}:
            return None
        return self.without_rows(scope.inside(node["subselect"])) | self.null(node["testexpr"], scope)

    def _any_or_all(self, condition: Node, scope: Scope) -> frozenset[int] | None:
        """
        Return those without which nothing of an array is equal, or not all of it.
        """
        if not scope.is_strict(condition):
            return None
        left, array = condition["args"]
        elements = [self.null(one, scope) for one in array["elements"]] if names.has_elements(array) else []
        found = self.null(array, scope)
        if condition["useOr"]:
            return found | self.null(left, scope) | (_common(elements) if elements else _NONE)
        return found | _every(elements) | (self.null(left, scope) if elements else _NONE)

    def null(self, node: Any, scope: Scope) -> frozenset[int]:
        """
        Return those without which an expression is NULL, or a scalar subquery has no row.
        """
        if not isinstance(node, Node):
            return _NONE
        if node.tag in names.CASTS:
            return self.null(node["arg"], scope)
        if scope.is_strict(node):
            return _every(self.null(one, scope) for one in names.strict_arguments(node))
        rule = self._values.get(node.tag)
        return rule(node, scope) if rule is not None else _NONE

    def _scalar(self, node: Node, scope: Scope) -> frozenset[int]:
        if node["subLinkType"] != _IS_SCALAR:
            return _NONE
        inner = scope.inside(node["subselect"])
        return self.without_rows(inner) | self.column(inner, 1)

    def _var(self, var: Node, scope: Scope) -> frozenset[int]:
        """
        Follow a column into the query, the VALUES, the join or the group it comes from.
        """
        here = scope.up(var["varlevelsup"] or 0)
        number: int = var["varattno"]
        entry = here.entry(var["varno"]) if here is not None else Node("")
        kind: int = entry["rtekind"]
        if here is None or number <= 0:
            return _NONE
        if kind == names.VALUES:
            return _common(self.null(row[number - 1], here) for row in entry["values_lists"])
        if kind in {names.JOIN, names.GROUP}:
            return self.null(entry["joinaliasvars" if kind == names.JOIN else "groupexprs"][number - 1], here)
        if kind == names.FUNCTION:
            call = _call_of(entry["functions"], number)
            return _NONE if call is None else self._strict_call(call, here)
        source = here.source(entry)
        return self.without_rows(source) | self.column(source, number) if source is not None else _NONE

    def column(self, scope: Scope, number: int) -> frozenset[int]:
        """
        Return those without which a column of a query's answer holds nothing but NULL.
        """
        key = (id(scope.query), number)
        if key not in self._columns:
            self._columns[key] = _NONE
            tree = scope.query["setOperations"]
            found = self._arm(tree, scope, number) if tree is not None else self.null(scope.output(number), scope)
            self._columns[key] = _NONE if scope.is_replaced else found
        return self._columns[key]


def _call_of(functions: list[Node], number: int) -> Node | None:
    """
    Return the call that a column of ROWS FROM comes from, None for its ordinality.
    """
    for one in functions:
        if number <= one["funccolcount"]:
            call: Node = one["funcexpr"]
            return call
        number -= one["funccolcount"]
    return None


def _demands(relation: Relation, target: Node, *, is_own: bool) -> bool:
    """
    Whether a NULL for this column is refused: by the table, or before by the type that it becomes.
    """
    column = relation.attributes.get(target["resno"])
    if column is None or target["resjunk"] or (is_own and column.has_default):
        return False
    return column.is_not_null or (column.is_demanding_type and target["expr"].tag in {"PARAM", "COERCETODOMAIN"})


def _every(parts: Iterable[frozenset[int]]) -> frozenset[int]:
    return _NONE.union(*parts)


def _common(parts: Iterable[frozenset[int]]) -> frozenset[int]:
    found = list(parts)
    return found[0].intersection(*found[1:]) if found else _NONE
