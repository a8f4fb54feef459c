"""
What a query touches without naming it: the bodies of the SQL functions it calls, and what its DELETE cascades to.
"""

from __future__ import annotations

from store.contract import access
from store.contract.bodies import walk
from store.contract.catalog import Catalog
from store.contract.facts import DELETED
from store.contract.nodes import Node


def via(query: Node, catalog: Catalog) -> tuple[str, ...]:
    """
    Return 'sellable(...): reads reservations.expires_at, ...' and 'cart_items_product_id_fkey: deletes cart_items'.

    Functions are followed through those that they call; the bodies of other languages than SQL, and triggers, are not.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for function, statements in walk(query, catalog, lambda one: access.called_oids(one, catalog), enters=lambda _: True):
        for one in statements:
            for name, verb, items in access.cascades(one, catalog):
                found.setdefault((name, verb), set()).update(items)
            if function is not None:
                for verb, names in _of_body(one, catalog).items():
                    found.setdefault((access.named(function), verb), set()).update(names)
    return tuple(sorted(f"{name}: {verb} {', '.join(sorted(names))}" for (name, verb), names in found.items() if names))


def _of_body(body: Node, catalog: Catalog) -> dict[str, set[str]]:
    writes = access.writes(body, catalog)
    return {
        "reads": set(access.reads(body, catalog)),
        "writes": {each for each in writes if not each.endswith(DELETED)},
        "deletes": {each.removesuffix(DELETED) for each in writes if each.endswith(DELETED)},
    }
