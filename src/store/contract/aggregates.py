"""
When an aggregate or a window function is never NULL: there is a row to look at, and no NULL in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from store.contract import allowed
from store.contract.nodes import Node
from store.contract.scope import Scope

Every = Callable[[list[Any], Scope], bool]
"""Whether each of the expressions is proven NOT NULL."""
_OWN_FRAME = 1  # the bit of frameOptions for a frame that was written out


def is_never_null(node: Node, scope: Scope, every: Every) -> bool:
    """
    Whether an aggregate is never NULL: it counts, or each of its groups has a row.
    """
    level = scope.up(node["agglevelsup"] or 0)
    function = scope.catalog.functions.get(node["aggfnoid"])
    if level is None or function is None or not function.is_built_in:
        return False
    if function.name in allowed.COUNTS:
        return True
    has_rows = level.query["groupClause"] and not level.query["groupingSets"] and node["aggfilter"] is None
    if not has_rows or level is not scope:
        return False
    arguments = [one["expr"] for one in node.many("args") if not one["resjunk"]]
    return function.name in allowed.COLLECTORS or (function.name in allowed.FOLDS and every(arguments[:1], scope))


def is_never_null_over_window(node: Node, scope: Scope, every: Every) -> bool:
    """
    Whether a window function is never NULL: the usual frame holds the row itself, one that was written out may be empty.
    """
    function = scope.catalog.functions.get(node["winfnoid"])
    if function is None or not function.is_built_in:
        return False
    name, arguments = function.name, node.many("args")
    if name in allowed.WINDOWS or name in allowed.COUNTS:
        return True
    if name in {"lag", "lead", "ntile"}:
        return len(arguments) == (1 if name == "ntile" else 3) and every(arguments, scope)
    windows = scope.query.many("windowClause")
    frame = next((one["frameOptions"] for one in windows if one["winref"] == node["winref"]), _OWN_FRAME)
    if frame & _OWN_FRAME or node["aggfilter"] is not None:
        return False
    is_value = name in allowed.FOLDS or name in allowed.ENDS
    return name in allowed.COLLECTORS or (is_value and every(arguments[:1], scope))
