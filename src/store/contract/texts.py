"""
The several texts of one entry: they must give the same rows and take the same types, and share one stanza of the contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from store._queries import Statement
from store.contract import digest
from store.contract.analyse import NAMELESS
from store.contract.facts import Facts
from store.contract.findings import Finding
from store.contract.text import Stanza

_DECLARED = re.compile(r"(?:at most )?one \((?P<why>.*)\)")


def stanza(statement: Statement, found: Mapping[str, Facts] | None) -> Stanza:
    """
    Return what the contract says of an entry, by the labels of its texts; None for a COPY.
    """
    hashed = digest.of_statement(statement)
    if found is None:
        return Stanza(statement.name, statement.mark, hashed, statement.row, None)
    (label, first), *others = found.items()
    named = label if statement.variants else None
    return Stanza(statement.name, statement.mark, hashed, statement.row, first, label=named, others=dict(others))


def disagreements(found: Mapping[Statement, Facts]) -> Iterator[Finding]:
    """
    Yield a finding for the first text of an entry that has other columns than the first one, or another type for a parameter.
    """
    types: dict[str, str] = {}
    first: list[tuple[str, str]] | None = None
    for statement, facts in found.items():
        columns = [(column.name, column.type) for column in facts.columns]
        first = columns if first is None else first
        faults = [f"its columns are {_spelled(columns)}, and of the first text {_spelled(first)}"] if columns != first else []
        faults += [
            f"{each.name} is {each.type} in it and {types[each.name]} in another text"
            for each in facts.parameters
            if types.setdefault(each.name, each.type) != each.type
        ]
        if faults:
            mend = "cast them to the same types, or write two queries"
            message = f"{statement.title}: {'; '.join(faults)}"
            yield Finding(statement.path, statement.line, 1, "query-texts", message, mend)
            return


def inexact(found: Mapping[Statement, Facts]) -> Iterator[Finding]:
    """
    Yield a finding for the first text of an entry that sends a numeric as a JSON number.
    """
    for statement, facts in found.items():
        if facts.json_numbers:
            places = ", ".join(facts.json_numbers)
            message = f"{statement.title}: {places} is numeric, and a JSON number is read as a float"
            yield Finding(statement.path, statement.line, 1, "json-numeric", message, "cast it, as in total::text")
            return


def declared_rows(statement: Statement) -> str | None:
    """
    Return what `-- rows: at most one (products_pkey)` says where nothing is proven: 'declared: products_pkey'.
    """
    if statement.rows is None:
        return None
    found = _DECLARED.fullmatch(statement.rows)
    return f"declared: {found['why'] if found else statement.rows}"


def unnamed(found: Mapping[Statement, Facts]) -> Iterator[Finding]:
    """
    Yield a finding for the first text of an entry with a column that nobody named. Of $ only the value counts.
    """
    for statement, facts in found.items():
        if statement.mark != "$" and any(column.name == NAMELESS for column in facts.columns):
            message = f"{statement.title}: a column has no name"
            yield Finding(statement.path, statement.line, 1, "query-unnamed", message, "give it one, as in SELECT 4 AS four")
            return


def _spelled(columns: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns) or "none"
