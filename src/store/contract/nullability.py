"""
Which columns of an answer are never NULL: proven from the analysed query, never guessed. Whatever is unknown may be NULL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from store.contract import aggregates, allowed
from store.contract import scope as names
from store.contract.nodes import Node
from store.contract.scope import Scope, expressions, key_of

_SCHEMA_VALUE = 14  # SQLVALUEFUNCTION: current_schema, which may be none
_IS_ARRAY, _IS_SCALAR = 6, 4
_JSON_OBJECT, _JSON_ARRAY = 1, 2

_NEVER_NULL = frozenset(
    ["ARRAYEXPR", "BOOLEANTEST", "DISTINCTEXPR", "GROUPINGFUNC", "MERGESUPPORTFUNC", "NEXTVALUEEXPR", "NULLTEST", "ROWEXPR"]
)


class Prover:
    """
    Proves columns and expressions NOT NULL.
    """

    def __init__(self) -> None:
        self._assumed: set[tuple[int, int]] = set()
        self._leant_on: set[tuple[int, int]] = set()
        self._found: dict[tuple[int, int], bool] = {}
        self._rules: dict[str, Callable[[Node, Scope], bool]] = {
            "AGGREF": lambda node, scope: aggregates.is_never_null(node, scope, self.every),
            "CASEEXPR": self._case,
            "COALESCEEXPR": self._any,
            "CONST": lambda node, _: node["constisnull"] is False,
            "FUNCEXPR": self._function,
            "JSONCONSTRUCTOREXPR": lambda node, _: node["type"] in {_JSON_OBJECT, _JSON_ARRAY},
            "MINMAXEXPR": self._any,
            "OPEXPR": self._operator,
            "PARAM": self._parameter,
            "BOOLEXPR": self._all,
            "ROWCOMPAREEXPR": lambda node, scope: self.every(node["largs"] + node["rargs"], scope),
            "SCALARARRAYOPEXPR": self._operator,
            "SQLVALUEFUNCTION": lambda node, _: node["op"] != _SCHEMA_VALUE,
            "SUBLINK": self._sublink,
            "VAR": self._var,
            "WINDOWFUNC": lambda node, scope: aggregates.is_never_null_over_window(node, scope, self.every),
        }
        self._entries: dict[int, Callable[[Node, Node, Scope], bool]] = {
            names.RELATION: self._of_rows,
            names.SUBQUERY: self._of_rows,
            names.CTE: self._of_rows,
            names.JOIN: self._merged,
            names.FUNCTION: self._of_function,
            names.VALUES: lambda entry, var, scope: self.every(
                [row[var["varattno"] - 1] for row in entry.many("values_lists")], scope
            ),
            names.GROUP: lambda entry, var, scope: self.proven(entry["groupexprs"][var["varattno"] - 1], scope),
        }

    def column(self, scope: Scope, number: int) -> bool:
        """
        Whether this column of the query's answer is never NULL.
        """
        if scope.query["setOperations"] is not None:
            return self._arm(scope.query["setOperations"], scope, number)
        expression = scope.output(number)
        return expression is not None and self.proven(expression, scope)

    def proven(self, node: Any, scope: Scope) -> bool:
        """
        Whether the expression is never NULL in a row of the query's answer.
        """
        if not isinstance(node, Node) or (scope.query["groupingSets"] and node in scope.nulled):
            return False
        if node.tag in _NEVER_NULL:
            return True
        if node.tag in names.CASTS:
            return self.proven(node["arg"], scope)
        rule = self._rules.get(node.tag)
        return rule is not None and rule(node, scope)

    def every(self, nodes: list[Any] | None, scope: Scope) -> bool:
        """
        Whether each of the expressions is proven.
        """
        return all(self.proven(one, scope) for one in nodes or [])

    def _all(self, node: Node, scope: Scope) -> bool:
        return self.every(node["args"], scope)

    def _any(self, node: Node, scope: Scope) -> bool:
        return any(self.proven(one, scope) for one in node["args"])

    def _arm(self, tree: Node, scope: Scope, number: int) -> bool:
        """
        A row of UNION comes from either side, one of INTERSECT from both, one of EXCEPT from the left.
        """
        if tree.tag == "RANGETBLREF":
            source = scope.source(scope.entry(tree["rtindex"]))
            return source is not None and self.column(source, number)
        left = self._arm(tree["larg"], scope, number)
        if tree["op"] == names.EXCEPT:
            return left
        right = self._arm(tree["rarg"], scope, number)
        return left or right if tree["op"] == names.INTERSECT else left and right

    # --- columns -------------------------------------------------------------------------------------------------

    def _var(self, var: Node, scope: Scope) -> bool:
        here = scope.up(var["varlevelsup"] or 0)
        if here is None:
            return False
        own = Node("VAR", {**var, "varlevelsup": 0}) if var["varlevelsup"] else var
        if key_of(own) in here.known:
            return True
        entry = here.entry(var["varno"])
        is_filled_up = var["varnullingrels"] or (here.query["groupingSets"] and own in here.nulled)
        if is_filled_up or not _is_there(own, entry, here):
            return False
        if var["varattno"] == 0:  # a whole row, which is never NULL but where a function returned it
            return bool(entry["rtekind"] != names.FUNCTION)
        rule = self._entries.get(entry["rtekind"])
        return rule is not None and rule(entry, own, here)

    def _of_rows(self, entry: Node, var: Node, scope: Scope) -> bool:
        """
        Prove a column of a table, a view, a subquery or a CTE.
        """
        if (source := scope.source(entry)) is not None:
            return self._of_query(source, var["varattno"])
        relation = scope.catalog.relations.get(entry["relid"])
        attribute = relation.attributes.get(var["varattno"]) if relation is not None else None
        return entry["rtekind"] == names.RELATION and attribute is not None and attribute.is_not_null

    def _of_query(self, source: Scope, number: int) -> bool:
        """
        Prove a recursive query by induction: if its own rows hold no NULL, the next ones hold none.
        """
        step = (id(source.query), number)
        if step in self._found:
            return self._found[step]
        if step in self._assumed:
            self._leant_on.add(step)
            return True
        self._assumed.add(step)
        before = len(self._found)
        answer = self.column(source, number)
        self._assumed.remove(step)
        if not answer and step in self._leant_on:  # what was proven by what does not hold
            for one in [*self._found][before:]:
                del self._found[one]
        self._leant_on.discard(step)
        self._found[step] = answer
        return answer

    def _merged(self, entry: Node, var: Node, scope: Scope) -> bool:
        """
        Prove a column of JOIN USING: a full join has one side or the other in each row, so both must be free of NULL.
        """
        merged: Node = entry["joinaliasvars"][var["varattno"] - 1]
        if merged.tag != "COALESCEEXPR":
            return self.proven(merged, scope)
        return all(self.proven(_without_join(one, var["varno"]), scope) for one in merged["args"])

    def _of_function(self, entry: Node, var: Node, scope: Scope) -> bool:
        number: int = var["varattno"]
        functions: list[Node] = entry["functions"]
        if entry["funcordinality"] and number == 1 + sum(one["funccolcount"] for one in functions):
            return True
        if len(functions) > 1:  # the shorter ones are filled up with NULL
            return False
        call: Node = functions[0]["funcexpr"]
        return number in self._columns_of_set(call, scope) if call["funcretset"] else number == 1 and self.proven(call, scope)

    def _columns_of_set(self, call: Node, scope: Scope) -> set[int]:
        function = scope.catalog.functions.get(call["funcid"])
        if function is None or not function.is_built_in:
            return set()
        if function.name == "unnest" and call["args"][0].tag == "ARRAYEXPR":
            array: Node = call["args"][0]
            return {1} if not array["multidims"] and self.every(array["elements"], scope) else set()
        return allowed.ROWS.get(function.name, set())

    # --- expressions ---------------------------------------------------------------------------------------------

    def _parameter(self, node: Node, scope: Scope) -> bool:
        """
        A parameter may be NULL, but where a condition let only others through.
        """
        outer: Scope | None = scope
        while outer is not None:
            if key_of(node) in outer.known:
                return True
            outer = outer.parent
        return False

    def _case(self, node: Node, scope: Scope) -> bool:
        return self.every([*(one["result"] for one in node["args"]), node["defresult"]], scope)

    def _function(self, node: Node, scope: Scope) -> bool:
        function = scope.catalog.functions.get(node["funcid"])
        if function is None or not function.is_built_in or node["funcvariadic"]:
            return False
        if node["funcretset"]:
            sets = [one for target in scope.query["targetList"] for one in expressions(target) if _is_set(one)]
            return len(sets) == 1 and 1 in self._columns_of_set(node, scope)
        if function.signature.replace('"', "") in allowed.ALWAYS:
            return True
        if function.name in allowed.FIRST:
            return self.proven(node["args"][0], scope)
        if "json" in function.signature.partition("(")[2] and not function.name.startswith(("json", "to_json")):
            return False
        is_allowed = function.name in allowed.FUNCTIONS or function.signature.replace('"', "") in allowed.SIGNATURES
        return is_allowed and self.every(node["args"], scope)

    def _operator(self, node: Node, scope: Scope) -> bool:
        if not _is_allowed(node, scope):
            return False
        if node.tag == "OPEXPR":
            return self.every(node["args"], scope)
        left, array = node["args"]
        return names.has_elements(array) and self.every([left, *array["elements"]], scope)

    def _sublink(self, node: Node, scope: Scope) -> bool:
        kind: int = node["subLinkType"]
        inner = scope.inside(node["subselect"])
        if kind in {0, _IS_ARRAY}:  # EXISTS, ARRAY
            return True
        if kind == _IS_SCALAR:
            return _is_one_row(inner) and self.column(inner, 1)
        test: Node | None = node["testexpr"]
        if kind not in {1, 2} or test is None or test.tag != "OPEXPR":  # ALL, ANY
            return False
        left = [one for one in test["args"] if not (_bare(one).tag == "PARAM" and _bare(one)["paramkind"] == 2)]
        return _is_allowed(test, scope) and self.every(left, scope) and self.column(inner, 1)


def _is_there(var: Node, entry: Node, scope: Scope) -> bool:
    """
    Whether the row it is read from is always there, and is what the table holds.
    """
    query = scope.query
    command: int = query["commandType"]
    is_target = command != names.SELECT and var["varno"] == query["resultRelation"]
    if not is_target:
        kinds = {one["matchKind"] for one in query.many("mergeActionList")}
        return names.NOT_MATCHED_BY_SOURCE not in kinds and entry["relkind"] != "c"  # c: EXCLUDED
    if entry["relkind"] == "v":  # an INSTEAD OF trigger returns what it likes
        return False
    is_old, is_new = var["varreturningtype"] == 1, var["varreturningtype"] == 2
    absent = {names.INSERT: is_old, names.DELETE: is_new, names.MERGE: is_old or is_new}
    return not absent.get(command, False)


def _is_one_row(scope: Scope) -> bool:
    query = scope.query
    if query["setOperations"] or query["hasTargetSRFs"] or query["limitCount"] or query["limitOffset"] or query["havingQual"]:
        return False
    tree: Node = query["jointree"]
    is_bare = not tree["fromlist"] and tree["quals"] is None and query["commandType"] == names.SELECT
    return not query["groupClause"] and not query["groupingSets"] and bool(query["hasAggs"] or is_bare)


def _is_allowed(node: Node, scope: Scope) -> bool:
    """
    Whether an operator makes no NULL of values.
    """
    operator = scope.catalog.operators.get(node["opno"])
    function = scope.catalog.functions.get(node["opfuncid"])
    if operator is None or not operator.is_built_in or node["opretset"]:
        return False
    if function is None or function.name in allowed.EXCEPTIONS:
        return False
    return operator.name in allowed.OPERATORS or function.name in allowed.MATCHES


def _is_set(node: Node) -> bool:
    return bool(node["funcretset"] or node["opretset"])


def _bare(node: Node) -> Node:
    while node.tag in names.CASTS:
        node = node["arg"]
    return node


def _without_join(node: Node, join: int) -> Node:
    """
    Return the expression as it is on the side of the join that is there.
    """
    copy = Node(node.tag, node)
    if node.tag == "VAR":
        copy["varnullingrels"] = [one for one in node.many("varnullingrels") if one != join]
    elif isinstance(node["arg"], Node):
        copy["arg"] = _without_join(node["arg"], join)
    elif node["args"]:
        copy["args"] = [_without_join(one, join) for one in node["args"]]
    return copy
