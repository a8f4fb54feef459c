"""
Numbers that would leave PostgreSQL as JSON numbers: whoever reads them makes floats of them, and money is exact.
"""

from __future__ import annotations

from collections.abc import Iterator

from store.contract.catalog import Catalog
from store.contract.nodes import Node

_MAKERS = frozenset(
    f"{kind}_{name}"
    for kind in ("json", "jsonb")
    for name in ("agg", "agg_strict", "build_array", "build_object", "object_agg", "object_agg_strict", "object_agg_unique")
) | {"to_json", "to_jsonb"}
_TYPES = (
    *("vartype", "funcresulttype", "resulttype", "opresulttype", "aggtype", "wintype", "coalescetype", "casetype"),
    *("minmaxtype", "consttype", "paramtype"),
)


def json_numbers(query: Node, catalog: Catalog) -> tuple[str, ...]:
    """
    Return where a numeric, or a list of them, goes into JSON as a number: 'argument 4 of json_build_object'.
    """
    return tuple(sorted({place for node in query.below for place in _of(node, catalog)}))


def _of(node: Node, catalog: Catalog) -> Iterator[str]:
    if node.tag == "JSONCONSTRUCTOREXPR":
        name = "a JSON constructor"
    else:
        made = catalog.functions.get(node.function)
        if made is None or not made.is_built_in or made.name not in _MAKERS:
            return
        name = made.name
    for number, argument in enumerate(node.many("args"), 1):
        value = argument["expr"] if argument.tag == "TARGETENTRY" else argument
        if any(value[kind] in catalog.numerics for kind in _TYPES):
            yield f"argument {number} of {name}"
