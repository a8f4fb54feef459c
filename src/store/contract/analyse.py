"""
The facts of named queries, from PostgreSQL's own analyser: nothing is planned, nothing is run, and nothing is left behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from psycopg import Connection

from store.contract import access, exact
from store.contract import catalog as catalogue
from store.contract.catalog import Catalog
from store.contract.describe import DescribedColumn, Description, describe
from store.contract.door import TOO_DEEP, analysed, rolled_back, undo
from store.contract.elements import are_never_null
from store.contract.facts import NO_NULL_ELEMENTS, Column, Facts, Parameter, Rejection
from store.contract.needs import needs
from store.contract.nodes import Node
from store.contract.nullability import Prover
from store.contract.parameters import required
from store.contract.rows import at_most_one
from store.contract.scope import CASTS, GROUP, JOIN, Scope
from store.contract.via import via

NAMELESS = "?column?"
"""What PostgreSQL calls a column without a name: no mark of ours."""

_JOINS = {1: "left join", 2: "full join", 3: "right join"}
_COPY_IN = re.compile(r"\bFROM\s+STDIN\b", re.IGNORECASE)


class Query(Protocol):
    """
    What is analysed: a statement of a .sql file, or anything that says as much.
    """

    @property
    def title(self) -> str:
        """
        The name it is told apart by.
        """
        ...

    @property
    def text(self) -> str:
        """
        One statement, with $1, $2, ...
        """
        ...

    @property
    def parameters(self) -> Sequence[str]:
        """
        The names of $1, $2, ...
        """
        ...

    @property
    def kind(self) -> str:
        """
        'query', or 'copy'.
        """
        ...


def analyse(
    connection: Connection[Any], queries: Iterable[Query], *, search_path: str = "", nested: bool = False
) -> dict[str, Facts | Rejection]:
    """
    Return by name what PostgreSQL makes of each query, in their order: its facts, or what is wrong with it.

    Runs in one transaction, which is rolled back; the connection must not be inside another, but with `nested`, which sees
    what that one did. Of a COPY (`kind`) only the mode is said: PostgreSQL analyses it when it runs.

    Raises ServerTooOld below PostgreSQL 16, and CannotAnalyse on a standby, in a read-only session, or where the role may make
    no temporary objects.
    """
    queries = list(queries)
    catalog = Catalog()
    trees: dict[str, Node] = {}
    with rolled_back(connection, search_path, nested=nested):
        answers = {one.title: _describe(connection, one) for one in queries}
        described = {title: one for title, one in answers.items() if isinstance(one, Description)}
        found = {title: one for title, one in answers.items() if not isinstance(one, Description)}
        catalogue.load_types(connection, ((oid, -1) for one in described.values() for oid in one.parameters), catalog)
        asked = [one for one in queries if one.title in described]
        statements = ((one.text, _for_function(described[one.title], catalog)) for one in asked)
        for one, kept in zip(asked, analysed(connection, statements), strict=True):
            if isinstance(kept, Node):
                trees[one.title] = kept
            else:
                found[one.title] = kept
        catalogue.load(connection, trees.values(), catalog)
        catalogue.load_types(connection, _types(described, trees, catalog), catalog)
    for one in asked:
        if one.title in trees:
            found[one.title] = _facts(one, described[one.title], Scope(trees[one.title], None, catalog))
    return {one.title: found[one.title] for one in queries}


def _describe(connection: Connection[Any], query: Query) -> Description | Facts | Rejection:
    if query.kind == "copy":
        return Facts(mode="write" if _COPY_IN.search(query.text) else "read")
    found = describe(connection, query.text)
    if isinstance(found, Rejection):
        undo(connection)
    return found


def _for_function(description: Description, catalog: Catalog) -> list[str]:
    names = (catalog.types[oid, -1].name for oid in description.parameters)
    return ["pg_catalog.bpchar" if name == "character" else name for name in names]


def _types(described: dict[str, Description], trees: dict[str, Node], catalog: Catalog) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for name, tree in trees.items():
        description = described[name]
        scope = Scope(tree, None, catalog)
        for number, column in enumerate(description.columns, 1):
            found.append((column.type, column.modifier))
            if (oid := _type_of(scope.output(number))) is not None:
                found.append((oid, -1))
    return found


def _facts(query: Query, description: Description, scope: Scope) -> Facts | Rejection:
    try:
        return _proven(query, description, scope)
    except RecursionError:
        return TOO_DEEP


def _proven(query: Query, description: Description, scope: Scope) -> Facts | Rejection:
    catalog = scope.catalog
    if (gap := access.missing(scope.query, catalog)) is not None:
        return gap
    is_required = required(scope, len(description.parameters))
    prover = Prover()
    parameters = (
        Parameter(name, catalogue.plain(catalog.types[oid, -1].name), wanted)
        for name, oid, wanted in zip(query.parameters, description.parameters, is_required, strict=True)
    )
    return Facts(
        parameters=tuple(parameters),
        columns=tuple(_column(column, number, scope, prover) for number, column in enumerate(description.columns, 1)),
        reads=access.reads(scope.query, catalog),
        writes=access.writes(scope.query, catalog),
        via=via(scope.query, catalog),
        functions=access.functions(scope.query, catalog),
        locks=access.locks(scope.query, catalog),
        mode=access.mode(scope.query, catalog),
        at_most_one=at_most_one(scope),
        json_numbers=exact.json_numbers(scope),
        needs=needs(scope.query, catalog),
    )


def _column(column: DescribedColumn, number: int, scope: Scope, prover: Prover) -> Column:
    """
    Return a column; a name that ends in ! or ? says whether it may be NULL, whatever is proven.
    """
    is_declared = column.name.endswith(("!", "?")) and len(column.name) > 1 and column.name != NAMELESS
    relation = scope.catalog.relations.get(column.table)
    expression = scope.output(number)
    own = _type_of(expression)
    known = scope.catalog.types[column.type, column.modifier]
    if own is not None and own != column.type and scope.catalog.types[own, -1].is_domain:
        known = scope.catalog.types[own, -1]
    attribute = relation.attributes.get(column.attribute) if relation is not None else None
    kind = catalogue.plain(known.name)
    notes = ["declared" if is_declared else _note(expression, scope)]
    if kind.endswith("[]") and scope.query["setOperations"] is None and are_never_null(expression, scope, prover):
        notes.append(NO_NULL_ELEMENTS)
    return Column(
        name=column.name[:-1] if is_declared else column.name,
        type=kind,
        is_nullable=column.name.endswith("?") if is_declared else not prover.column(scope, number),
        origin=f"{relation.name}.{attribute.name}" if relation is not None and attribute is not None else None,
        note=", ".join(note for note in notes if note is not None) or None,
    )


def _note(expression: Node | None, scope: Scope) -> str | None:
    """
    Return what makes a column NULL that is none in its table.
    """
    if expression is None or expression.tag != "VAR":
        return None
    for entry in (scope.entry(number) for number in expression.many("varnullingrels")):
        if entry["rtekind"] == JOIN:
            return _JOINS.get(entry["jointype"])
        if entry["rtekind"] == GROUP:
            return "grouping sets"
    return None


def _type_of(expression: Node | None) -> int | None:
    """
    Return the type of an expression where it may be a domain, which the protocol hides.
    """
    if expression is None:
        return None
    found: int | None = expression["vartype"] or expression["funcresulttype"]
    return expression["resulttype"] if expression.tag in CASTS else found
