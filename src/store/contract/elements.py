"""
Which arrays hold no NULL: proven from the analysed query, never guessed. A column of a table may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from store.contract.exact import TYPES
from store.contract.nodes import Node
from store.contract.nullability import Prover
from store.contract.scope import Scope, key_of

_IS_SCALAR, _IS_ARRAY = 4, 6
_SPLITTERS = {"regexp_split_to_array": {2, 3}, "string_to_array": {2}}  # by how many arguments: the third may name a NULL
_HAS_NULLS = slice(8, 12)  # of an array as PostgreSQL stores it: where its data begin behind a bitmap, 0 without one


def are_never_null(node: Any, scope: Scope, prover: Prover) -> bool:
    """
    Whether no element of this array is NULL; whether the array is one, is another question.
    """
    if not isinstance(node, Node):
        return False
    if arms := _arms(node):
        return all(are_never_null(one, scope, prover) for one in arms)
    rule = _RULES.get(node.tag, _of_call)
    return rule(node, scope, prover)


def _arms(node: Node) -> list[Any]:
    """
    Return the arrays that it may be one of.
    """
    if node.tag == "COALESCEEXPR":
        return node.many("args")
    if node.tag == "CASEEXPR":
        return [*(one["result"] for one in node["args"]), node["defresult"]]
    return [node["arg"]] if node.tag in {"RELABELTYPE", "COERCETODOMAIN"} else []


def _of_constant(node: Node, scope: Scope, prover: Prover) -> bool:
    del scope, prover
    return bool(node["constisnull"]) or not any(node["constvalue"][_HAS_NULLS])


def _of_list(node: Node, scope: Scope, prover: Prover) -> bool:
    return not node["multidims"] and prover.every(node["elements"], scope)


def _of_subquery(node: Node, scope: Scope, prover: Prover) -> bool:
    inner = scope.inside(node["subselect"])
    if node["subLinkType"] == _IS_ARRAY:
        return _is_scalar(inner.output(1), inner) and prover.column(inner, 1)
    return node["subLinkType"] == _IS_SCALAR and _of_output(inner, 1, prover)


def _of_output(source: Scope, number: int, prover: Prover) -> bool:
    return source.query["setOperations"] is None and are_never_null(source.output(number), source, prover)


def _is_scalar(node: Node | None, scope: Scope) -> bool:
    """
    Whether it is known to be no array: of arrays another is made of their elements.
    """
    types = [node[field] for field in TYPES if node[field]] if node is not None else []
    return bool(types) and not scope.catalog.arrays.intersection(types)


def _of_column(var: Node, scope: Scope, prover: Prover) -> bool:
    here = scope.up(var["varlevelsup"] or 0)
    source = here.source(here.entry(var["varno"])) if here is not None else None
    return source is not None and _of_output(source, var["varattno"], prover)


def _of_call(call: Node, scope: Scope, prover: Prover) -> bool:
    function = scope.catalog.functions.get(call.function)
    if function is None or not function.is_built_in:
        return False
    arguments = [one["expr"] if one.tag == "TARGETENTRY" else one for one in call.many("args")]
    if function.name == "array_agg" and not call["agglevelsup"]:
        key = key_of(arguments[0])
        is_kept = call["aggfilter"] is not None and key is not None and key in set(scope.kept(call["aggfilter"]))
        return _is_scalar(arguments[0], scope) and (is_kept or prover.proven(arguments[0], scope))
    if function.name == "array_remove":  # of NULL
        return arguments[1].tag == "CONST" and bool(arguments[1]["constisnull"])
    return len(arguments) in _SPLITTERS.get(function.name, set())


_RULES: dict[str, Callable[[Node, Scope, Prover], bool]] = {
    "ARRAYEXPR": _of_list,
    "CONST": _of_constant,
    "SUBLINK": _of_subquery,
    "VAR": _of_column,
}
