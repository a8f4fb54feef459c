"""
The rights that a role needs to run an analysed query: columns, rows, functions and what is in them, sequences.
"""

from __future__ import annotations

from collections.abc import Iterator

from store.contract.bodies import walk
from store.contract.catalog import Catalog, Relation
from store.contract.facts import Need
from store.contract.functions import Function
from store.contract.nodes import Node, regclass

_FIRST_BIT = 7  # what PostgreSQL adds to an attribute's number, so that system columns fit
_INSERT, _DELETE = 1, 8
_RIGHTS = {
    "SELECT": (2, "selectedCols"),
    "INSERT": (_INSERT, "insertedCols"),
    "UPDATE": (4, "updatedCols"),
    "DELETE": (_DELETE, ""),
}
_OF_SEQUENCES = {"nextval": "USAGE", "currval": "USAGE", "setval": "UPDATE"}


def needs(query: Node, catalog: Catalog) -> frozenset[Need]:
    """
    Return the least a role must be granted, the USAGE of schemas apart (it follows from these). Functions that run with the
    rights of whoever calls them are followed where they are SQL; the others are named as 'unknown'.
    """
    found: set[Need] = set()

    def calls(statement: Node) -> set[int]:
        called: set[int] = set()
        for node in statement.below:
            if node.tag == "RTEPERMISSIONINFO" and (relation := catalog.relations.get(node["relid"])) is not None:
                called |= relation.functions if _is_stored(node) else set()
            elif node.function:
                called.add(node.function)
        return called

    for function, statements in walk(query, catalog, calls, enters=lambda one: not one.is_definer):
        if function is not None:
            found.update(_of_function(function))
        for each in statements:
            found.update(_of_statement(each, catalog))
    return frozenset(found)


def _of_statement(statement: Node, catalog: Catalog) -> Iterator[Need]:
    for node in statement.below:
        if node.tag == "RTEPERMISSIONINFO" and (relation := catalog.relations.get(node["relid"])) is not None:
            yield from _of_table(node, relation)
            yield from _of_writing(node, relation, catalog)
        elif node.function:
            yield from _of_sequence(node, catalog)


def _of_table(permission: Node, relation: Relation) -> Iterator[Need]:
    for privilege, (bit, field) in _RIGHTS.items():
        if not permission["requiredPerms"] & bit:
            continue
        numbers: list[int] = [each - _FIRST_BIT for each in permission.many(field)]
        if 0 in numbers:  # the whole row
            numbers = [number for number in relation.attributes if number > 0]
        for number in numbers:
            yield Need("table", relation.spelled, privilege, relation.attributes[number].name)
        if not numbers:
            yield Need("table", relation.spelled, privilege, "*" if field else "")


def _is_stored(permission: Node) -> bool:
    return bool(permission["requiredPerms"] & _INSERT or permission["updatedCols"])  # a row lock has none


def _of_writing(permission: Node, relation: Relation, catalog: Catalog) -> Iterator[Need]:
    if _is_stored(permission) or permission["requiredPerms"] & _DELETE:
        for trigger in relation.triggers & catalog.functions.keys():
            yield Need("function", catalog.functions[trigger].signature, "unknown")
    given = {each - _FIRST_BIT for each in permission.many("insertedCols")}
    for column, sequence in relation.sequences.items():
        if permission["requiredPerms"] & _INSERT and column not in given and sequence in catalog.relations:
            yield Need("sequence", catalog.relations[sequence].spelled, "USAGE")


def _of_sequence(call: Node, catalog: Catalog) -> Iterator[Need]:
    function = catalog.functions.get(call.function)
    if function is not None and function.is_built_in and function.name in _OF_SEQUENCES:
        sequence = catalog.relations.get(regclass(call["args"][0]))
        if sequence is not None:
            yield Need("sequence", sequence.spelled, _OF_SEQUENCES[function.name])


def _of_function(function: Function) -> Iterator[Need]:
    if not function.is_built_in:
        yield Need("function", function.signature, "EXECUTE")
        if function.bodies is None and not function.is_definer:
            yield Need("function", function.signature, "unknown")
