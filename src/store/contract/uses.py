"""
Who reads, writes and locks a table or a column, from the contracts: no database is asked.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from store._queries import Statement
from store.contract import files
from store.contract.facts import Facts
from store.contract.project import Project
from store.errors import ContractFileError, NotFound


@dataclass(frozen=True, slots=True)
class Use:
    """
    What one query does with a table or column.
    """

    verb: str
    """'writes', 'deletes', 'locks' or 'reads'."""
    query: str
    path: Path
    line: int
    columns: tuple[str, ...]
    """The columns it touches, or how it locks."""
    via: str = ""
    """The function or the foreign key that does it, where the query itself does not name the table."""


def find(project: Project, name: str) -> Statement:
    """
    Return the query of this name: 'orders.get_orders', or 'get_orders', which stands once in a folder; of several texts the
    file's own, or that of a label: 'orders.get_orders[status+newest]'.

    Raises NotFound, with the names that look like it, or those of the file, or the labels that there are.
    """
    entry, bracket, rest = name.partition("[")
    for statement in project.statements:
        if entry in (statement.full_name, statement.name):
            return _labelled(statement, rest.removesuffix("]")) if bracket else statement
    raise NotFound(f"there is no query {name}: {_near(entry, project.statements)}")


def _labelled(statement: Statement, label: str) -> Statement:
    found = {each.label: each for each in statement.texts()}
    if label in found:
        return found[label]
    labels = ", ".join(f"[{each}]" for each in found)
    raise NotFound(f"{statement.full_name} has no text [{label}]: it has {labels if statement.variants else 'but one'}")


def uses(project: Project, target: str) -> list[Use]:
    """
    Return the uses of a table ('orders') or column ('orders.total'): who writes, then who locks, then who reads.

    Raises NotFound for what no contract names, ContractFileError for a contract that is missing or cannot be read.
    """
    wanted = target.removeprefix("store.")
    places = {each.full_name: each for each in project.statements}
    found: list[Use] = []
    names: set[str] = set()
    for name, facts in _contracts(project).items():
        statement = places.get(name)
        if statement is None:
            continue
        names |= {part for each in facts.touched() for item in each.names for part in _names(item)}
        for verb, columns, via in _of_query(facts, wanted):
            found.append(Use(verb, name, statement.path, statement.line, tuple(columns), via))
    if not found:
        raise NotFound(f"no query reads or writes {wanted}: {_like(wanted, sorted(names), project)}")
    order = ("writes", "deletes", "locks", "reads")
    return sorted(found, key=lambda each: (order.index(each.verb), each.query))


def _contracts(project: Project) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    for domain in sorted({each.domain for each in project.statements}):
        path = project.contract_of(domain)
        try:
            file = files.read(path)
        except (OSError, UnicodeDecodeError):
            raise ContractFileError(f"{path}:1: there is no contract: write it with `{_command(project)}`") from None
        found |= {name: facts for name, each in file.by_query.items() if (facts := each.whole) is not None}
    return found


def _command(project: Project) -> str:
    return f"store lock --sql {project.queries}" if project.is_foreign else "store lock"


def _of_query(facts: Facts, wanted: str) -> list[tuple[str, list[str], str]]:
    every = [(each.verb, _columns(each.names, wanted), each.via) for each in facts.touched()]
    found = [(verb, columns, via) for verb, columns, via in every if columns is not None]
    return found + [("locks", [lock.partition(" ")[2]], "") for lock in facts.locks if lock.partition(" ")[0] == wanted]


def _columns(items: tuple[str, ...], wanted: str) -> list[str] | None:
    if wanted in items:
        return []
    columns = [item.rpartition(".")[2] for item in items if item.rpartition(".")[0] == wanted]
    return columns or None


def _names(item: str) -> tuple[str, ...]:
    return (item, item.rpartition(".")[0]) if "." in item else (item,)


def _near(entry: str, statements: Sequence[Statement]) -> str:
    """
    Return what may be meant: the queries of the file of this name, those whose names look like it, or the files.
    """
    if names := [each.full_name for each in statements if each.domain == entry]:
        return f"{entry} has {', '.join(names)}"
    short = {each.name: each.full_name for each in statements}
    if near := difflib.get_close_matches(entry.rpartition(".")[2], short, n=3, cutoff=0.5):
        return f"did you mean {' or '.join(short[each] for each in near)}?"
    if names := [each.name for each in statements if each.domain == entry.partition(".")[0]]:
        return f"the file has {', '.join(names)}"
    return f"give FILE.QUERY, or a FILE to see its queries: {', '.join(dict.fromkeys(each.domain for each in statements))}"


def _like(name: str, names: list[str], project: Project) -> str:
    # Whoever has queries of their own asks for their tables, and forgets to say where the queries are.
    is_ours = project.is_foreign or name.partition(".")[0] in names
    elsewhere = "" if is_ours else " For queries of your own name their folder: --sql DIR"
    if near := difflib.get_close_matches(name, names, n=3, cutoff=0.5):
        return f"did you mean {' or '.join(near)}?{elsewhere}"
    tables = [each for each in names if not any(each.startswith(f"{other}.") for other in names)]
    return f"the tables are {', '.join(tables)}{elsewhere and '.'}{elsewhere}"
