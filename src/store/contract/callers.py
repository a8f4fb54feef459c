"""
Holds the Python that calls queries to what they are: every query called, every call a query, the right row and arguments.

Reads the source, runs nothing: `queries.orders.get_order` anywhere in it is a use, whatever calls it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from store._queries import Statement
from store.contract import pytypes
from store.contract.facts import Facts, Parameter
from store.contract.findings import Finding
from store.contract.schema import Schema, base_type
from store.errors import QueryFileError

_NAMES = ("queries", "_queries")
# Between a name and its attribute Python allows blanks, comments and the ends of brackets: any other file need not be parsed.
_MENTION = re.compile(r"queries(?:[\s\\)]|#.*)*\.")
_ANNOTATIONS = {
    "Decimal": "numeric",
    "UUID": "uuid",
    "bool": "boolean",
    "bytes": "bytea",
    "date": "date",
    "datetime": "timestamp with time zone",
    "float": "double precision",
    "int": "bigint",
    "str": "text",
    "timedelta": "interval",
}
_ALIKE = ({"smallint", "integer", "bigint", "numeric"}, {"text", "character varying", "character", "name", "enum", "citext"})


class Use(NamedTuple):
    """
    One place in Python that names a query.
    """

    path: Path
    node: ast.Attribute
    call: ast.Call | None
    signature: Mapping[str, str]
    """The annotations of the parameters of the function around it."""

    @property
    def query(self) -> str:
        """
        Return 'orders.get_order'.
        """
        domain = self.node.value
        return f"{domain.attr if isinstance(domain, ast.Attribute) else ''}.{self.node.attr}"

    def finding(self, rule: str, message: str, mend: str) -> Finding:
        """
        Return a finding at this place.
        """
        return Finding(self.path, self.node.lineno, self.node.col_offset + 1, rule, message, mend)


def uses(folder: Path, *, without: str = "_sync") -> list[Use]:
    """
    Return every use of a query in the .py files below a folder; the generated colour is left out.

    Raises QueryFileError for such a file that is no Python.
    """
    found: list[Use] = []
    for path in sorted(folder.rglob("*.py")):
        if without in path.relative_to(folder).parts:
            continue
        try:
            source = path.read_text(encoding="utf-8")
            if not _MENTION.search(source):
                continue
            tree = ast.parse(source)
        except (SyntaxError, UnicodeDecodeError) as error:
            raise QueryFileError(f"{path}:{getattr(error, 'lineno', 1) or 1}: this is no Python that can be read") from None
        found += _in(tree, path, {}, None)
    return found


def check(
    statements: Iterable[Statement], found: Sequence[Use], contracts: Mapping[str, Facts | None], schema: Schema
) -> Iterator[Finding]:
    """
    Yield queries nobody calls, calls of no query, other rows than the header's, and arguments that cannot be right.
    """
    known = {statement.full_name: statement for statement in statements}
    domains = {statement.domain for statement in known.values()}
    called = {use.query for use in found}
    for name, statement in known.items():
        if name not in called:
            message = f"{name} has no caller"
            yield Finding(statement.path, statement.line, 1, "query-unused", message, "call it, or delete it")
    for use in found:
        if use.query in known:
            yield from _row(use, known[use.query])
            yield from _arguments(use, known[use.query], contracts.get(use.query), schema)
        elif use.query.partition(".")[0] in domains:
            yield use.finding("query-missing", f"there is no query {use.query}", "write it, or correct the name")


def _in(node: ast.AST, path: Path, signature: Mapping[str, str], call: ast.Call | None) -> Iterator[Use]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        signature = {each.arg: ast.unparse(each.annotation) for each in arguments if each.annotation is not None}
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
        base = node.value.value
        if (base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else "") in _NAMES:
            yield Use(path, node, call, signature)
            return
    for child in ast.iter_child_nodes(node):
        direct = isinstance(node, ast.Call) and (child in node.args or child is node.func)
        yield from _in(child, path, signature, node if isinstance(node, ast.Call) and direct else None)


def _row(use: Use, statement: Statement) -> Iterator[Finding]:
    # runner.one(Order, queries.orders.get_order, ...): the DTO stands before the query.
    arguments = use.call.args if use.call is not None else []
    before = arguments[arguments.index(use.node) - 1] if use.node in arguments[1:] else None
    if isinstance(before, ast.Name) and before.id[:1].isupper() and before.id != (statement.row or before.id):
        message = f"{use.query} is read as {before.id} and its header says `-- row: {statement.row}`"
        yield use.finding("caller-row", message, "make them the same")


def _arguments(use: Use, statement: Statement, facts: Facts | None, schema: Schema) -> Iterator[Finding]:
    given = {each.arg: each.value for each in use.call.keywords if each.arg} if use.call is not None else {}
    every = {each.name: each for each in facts.parameters} if facts is not None else {}
    for name, value in given.items():
        annotation = use.signature.get(value.id) if isinstance(value, ast.Name) else None
        parameter = every.get(name)
        if parameter is None or annotation is None:
            continue
        if "None" in annotation.split(" | ") and not any(name in each.nullable for each in statement.texts()):
            message = f"{use.query}: {name} may be None here and not in the query"
            yield use.finding("caller-argument", message, f"say `-- null: {name}` in the header, or refuse None before")
        elif not _alike(annotation, parameter, schema):
            message = f"{use.query}: {name} is {annotation} here and {parameter.type} in the query"
            yield use.finding("caller-argument", message, "convert it, or cast the parameter in SQL")


def _alike(annotation: str, parameter: Parameter, schema: Schema) -> bool:
    kind = _ANNOTATIONS.get(annotation.removesuffix(" | None"))
    wanted = pytypes.bare(base_type(parameter.type, schema))
    if kind is None or kind == wanted or pytypes.first(wanted) is None:
        return True
    return any({kind, wanted} <= group for group in _ALIKE)
