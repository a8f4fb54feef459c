"""
The walk from a query into the functions it calls, and into those that these call: each is met once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from store.contract.catalog import Catalog
from store.contract.functions import Function
from store.contract.nodes import Node


class Met(NamedTuple):
    """
    A function on the way, None for the query itself, and the statements that are looked into.
    """

    function: Function | None
    statements: tuple[Node, ...]


def walk(
    query: Node, catalog: Catalog, calls: Callable[[Node], AbstractSet[int]], *, enters: Callable[[Function], bool]
) -> Iterator[Met]:
    """
    Yield the query, then every function that is called on the way, with its statements where they are known and it is entered.

    `calls` tells by OID what a statement has called; what the catalog does not hold is passed by.
    """
    yield Met(None, (query,))
    seen: set[int] = set()
    waiting = [query]
    while waiting:
        for oid in (calls(waiting.pop()) & catalog.functions.keys()) - seen:
            seen.add(oid)
            function = catalog.functions[oid]
            statements = (function.bodies or ()) if enters(function) else ()
            waiting += statements
            yield Met(function, statements)
