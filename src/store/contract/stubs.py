"""
The types of a team's folder of queries, for mypy and pyright: what each takes and returns, in both colours.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from store._queries import Statement
from store._queries.choice import parameters, sorts
from store.contract import pytypes
from store.contract.facts import Column, Facts
from store.contract.findings import Finding
from store.contract.project import Project
from store.contract.schema import Schema, base_type

FILE = "__init__.pyi"
HEAD = "# Written by `store lock --stubs` for mypy and pyright: do not edit.\n"

_MODULES = {
    "Decimal": "decimal",
    "IPv4Address": "ipaddress",
    "IPv4Network": "ipaddress",
    "UUID": "uuid",
    "date": "datetime",
    "datetime": "datetime",
    "time": "datetime",
    "timedelta": "datetime",
}


def path_of(project: Project) -> Path:
    """
    Return where the types of a folder stand: in it, as those of the package it is.
    """
    return project.queries / FILE


def render(project: Project, contracts: Mapping[str, Facts | None], schema: Schema) -> str:
    """
    Return the stub: the classes Queries and AsyncQueries, with an attribute a file and a method a query.
    """
    statements = [each for each in project.statements if each.kind == "query"]
    body = [_Method(each, contracts.get(each.full_name) or Facts(), project, schema) for each in statements]
    rows = [line for method in body for line in method.row_class()]
    domains = sorted({each.domain for each in statements})
    classes: list[str] = []
    for prefix in ("", "Async"):
        for domain in domains:
            classes += ["", f"class {_class_of(prefix, domain)}:"]
            classes += [line for each in body if each.statement.domain == domain for line in each.signature(prefix)]
        classes += ["", f"class {prefix}Queries:", *(f"    {domain}: {_class_of(prefix, domain)}" for domain in domains)]
    return HEAD + "\n".join([*_imports("\n".join([*rows, *classes]), project, statements), *rows, *classes]) + "\n"


def untyped(project: Project) -> Iterator[Finding]:
    """
    Yield a warning for each query whose row is Any in the stub, its DTO not being known.
    """
    for each in project.statements:
        if each.kind == "query" and each.row is not None and each.row not in project.models:
            message = f"{each.full_name} returns Any: {project.no_dto(each.row)}"
            mend = "correct `-- row:`, or name its module with --models"
            yield Finding(each.path, each.line, 1, "dto-missing", message, mend, "warning")


class _Method:
    def __init__(self, statement: Statement, facts: Facts, project: Project, schema: Schema) -> None:
        self.statement = statement
        self._facts = facts
        self._model = statement.row if statement.row in project.models else None
        self._schema = schema

    def row_class(self) -> Iterator[str]:
        if self._is_named():
            yield ""
            yield f"class {self._row_name()}(NamedTuple):"
            for column in self._facts.columns:
                yield f"    {column.name}: {self._of_column(column)}"
                if comment := self._schema.comments.get(column.origin or ""):
                    yield f'    """{_in_quotes(comment)}"""'

    def signature(self, prefix: str) -> Iterator[str]:
        kinds = {each.name: self._type(each.type) for each in self._facts.parameters}
        nullable = {name for each in self.statement.texts() for name in each.nullable}
        given = [
            f"{name}: {kinds.get(name, 'Any')}{' | None' * (name in nullable)}{default}"
            for names, default in zip(parameters(self.statement), ("", " = ..."), strict=True)
            for name in names
        ]
        if declared := sorts(self.statement):
            given.append("sort: Literal[" + ", ".join(f'"{name}"' for name in declared) + "] = ...")
        parts = ["self", f"session: {prefix}Session", "/", *(["*"] if given else []), *given]
        define = "async def" if prefix else "def"
        yield f"    {define} {self.statement.name}({', '.join(parts)}) -> {self._answer()}: ..."

    def _answer(self) -> str:
        mark, columns = self.statement.mark, self._facts.columns
        if mark == "!":
            return "int"
        if mark == "$":
            return self._of_column(columns[0]) if columns else "Any"
        if self.statement.row is not None:
            row = self._model or "Any"
        elif self._is_named():
            row = self._row_name()
        else:
            row = f"tuple[{', '.join(map(self._of_column, columns))}]" if columns else "Any"
        return f"list[{row}]" if mark == "" else f"{row} | None"

    def _is_named(self) -> bool:
        names = [column.name for column in self._facts.columns]
        fine = all(name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_") for name in names)
        return self.statement.row is None and self.statement.mark in ("", "^") and fine and 0 < len(names) == len(set(names))

    def _row_name(self) -> str:
        return "".join(part.title() for part in self.statement.name.split("_")) + "Row"

    def _of_column(self, column: Column) -> str:
        kind = self._type(column.type)
        if column.may_hold_null and kind != "list[Any]":
            kind = f"{kind[:-1]} | None]"
        return f"{kind} | None" if column.is_nullable and kind != "Any" else kind

    def _type(self, name: str) -> str:
        base = base_type(name, self._schema)
        if base.endswith("[]"):
            return f"list[{self._type(base[:-2])}]"
        kind = pytypes.first(base)
        return kind.__name__ if kind else "Any"


def _class_of(prefix: str, domain: str) -> str:
    return f"_{prefix}{''.join(part.title() for part in domain.split('_'))}"


def _in_quotes(comment: str) -> str:
    """
    Return the text of a docstring: shown beside the attribute, and with nothing in it that ends it.
    """
    return comment.replace("\\", "\\\\").replace('"', '\\"')


def _imports(text: str, project: Project, statements: Sequence[Statement]) -> Iterator[str]:
    used = set(_words(text))
    for module in sorted(set(_MODULES.values())):
        if names := sorted(name for name, home in _MODULES.items() if home == module and name in used):
            yield f"from {module} import {', '.join(names)}"
    if names := [name for name in ("Any", "Literal", "NamedTuple") if name in used]:
        yield f"from typing import {', '.join(names)}"
    yield ""
    yield "from store import AsyncSession, Session"
    rows = sorted({each.row for each in statements if each.row in project.models and each.row is not None})
    if rows and project.module is not None:
        yield f"from {project.module} import {', '.join(rows)}"


def _words(text: str) -> Iterable[str]:
    return "".join(letter if letter.isalnum() or letter == "_" else " " for letter in text).split()
