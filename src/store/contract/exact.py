"""
Numbers that would leave PostgreSQL as JSON numbers: whoever reads them makes floats of them, and money is exact.
"""

from __future__ import annotations

from collections.abc import Iterator

from store.contract import scope as names
from store.contract.access import called
from store.contract.nodes import Node
from store.contract.scope import Scope

_MAKERS = frozenset(
    f"{kind}_{name}"
    for kind in ("json", "jsonb")
    for name in ("agg", "agg_strict", "build_array", "build_object", "object_agg", "object_agg_strict", "object_agg_unique")
) | {"array_to_json", "row_to_json", "to_json", "to_jsonb"}
_CONSTRUCTOR = "JSONCONSTRUCTOREXPR"
TYPES = (
    *("vartype", "funcresulttype", "resulttype", "opresulttype", "aggtype", "wintype", "coalescetype", "casetype"),
    *("minmaxtype", "consttype", "paramtype", "array_typeid", "refrestype", "row_typeid"),
)
"""The fields of a node in which the type of its value may stand."""
_OF_A_SUBQUERY = {4, 6}  # a scalar subquery, ARRAY(SELECT ...)


def json_numbers(scope: Scope) -> tuple[str, ...]:
    """
    Return where a numeric goes into JSON as a number, by itself, in a list or in a row: 'argument 4 of json_build_object', 'a
    column of argument 1 of json_agg'. Of the rows of a function without a row type it knows nothing.
    """
    query, catalog = scope.query, scope.catalog
    is_maker = any(one.is_built_in and one.name in _MAKERS for one in called(query, catalog))
    if not is_maker and not any(one.tag == _CONSTRUCTOR for one in query.below):
        return ()
    return tuple(sorted({place for node, level in _nodes(scope) for place in _of(node, level)}))


def _nodes(scope: Scope) -> Iterator[tuple[Node, Scope]]:
    waiting = list(scope.query.children)
    while waiting:
        node = waiting.pop()
        if node.tag == "QUERY":
            yield from _nodes(scope.inside(node))
        else:
            yield node, scope
            waiting += node.children


def _of(node: Node, scope: Scope) -> Iterator[str]:
    if node.tag == _CONSTRUCTOR:
        name = "a JSON constructor"
    else:
        made = scope.catalog.functions.get(node.function)
        if made is None or not made.is_built_in or made.name not in _MAKERS:
            return
        name = made.name
    for number, argument in enumerate(node.many("args"), 1):
        value = argument["expr"] if argument.tag == "TARGETENTRY" else argument
        if any(value[kind] in scope.catalog.numerics for kind in TYPES):
            yield f"argument {number} of {name}"
        elif any(_is_inexact(one, level) for one, level in _parts(value, scope)):
            yield f"a column of argument {number} of {name}"


def _is_inexact(value: Node, scope: Scope) -> bool:
    return any(value[kind] in scope.catalog.numerics for kind in TYPES) or any(
        _is_inexact(one, level) for one, level in _parts(value, scope)
    )


def _parts(value: Node, scope: Scope) -> Iterator[tuple[Node, Scope]]:
    """
    Iterate over what a row or a list is made of whose type does not say it.
    """
    if value.tag in {"ROWEXPR", "COALESCEEXPR"}:
        yield from ((one, scope) for one in value.many("args"))
    elif value.tag == "SUBLINK" and value["subLinkType"] in _OF_A_SUBQUERY:
        yield from _columns(scope.inside(value["subselect"]))
    elif value.tag in {"AGGREF", "ARRAYEXPR", "CASEEXPR"}:  # array_agg(t), ARRAY[t]
        found = [*value.many("args"), *value.many("elements"), value["defresult"]]
        yield from ((one["expr"] or one["result"] or one, scope) for one in found if one is not None)
    elif value.tag == "VAR" and value["varattno"] == 0 and (here := scope.up(value["varlevelsup"] or 0)) is not None:
        yield from _of_row(here.entry(value["varno"]), here)


def _of_row(entry: Node, scope: Scope) -> Iterator[tuple[Node, Scope]]:
    if entry["rtekind"] == names.VALUES:
        yield from ((one, scope) for row in entry.many("values_lists") for one in row)
    elif entry["rtekind"] == names.JOIN:
        yield from ((one, scope) for one in entry.many("joinaliasvars"))
    elif (source := scope.source(entry)) is not None:
        yield from _columns(source)


def _columns(source: Scope) -> Iterator[tuple[Node, Scope]]:
    yield from ((one["expr"], source) for one in source.targets() if not one["resjunk"])
