"""
From a refusal of PostgreSQL to its place in the .sql file: the server counts characters of the text it was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import psycopg

from store._queries import Statement
from store.contract.findings import Finding

_NUMBER = re.compile(r"\$(\d+)")
_OPENING = re.compile(r"/\* [\w:.]+ \*/ ")
_MENDS = {
    "0A000": "PostgreSQL describes SELECT, VALUES, INSERT, UPDATE, DELETE and MERGE only: run it from a migration or by hand",
    "42601": "correct the SQL",
    "42702": "say which table the column is of",
    "42703": "correct the name, or migrate first",
    "42804": "cast one of the two",
    "42883": "correct the name, or cast the arguments",
    "42P01": "correct the name, or migrate first (your own folder: --migrations); names are written with their schema",
    "42P18": "cast the parameter, as in :name::text",
}


def finding(statement: Statement, sqlstate: str, message: str, position: int | None, context: str | None = None) -> Finding:
    """
    Return why PostgreSQL refuses a statement, at the file, line and column it means.
    """
    if position is None and (named := _NUMBER.search(message)):
        position = statement.text.find(named[0]) + 1 or None
    message = _named(message, statement)
    line, column = (statement.line, 1) if position is None else _place(statement, position)
    mend = _MENDS.get(sqlstate, "correct the SQL or the schema")
    if context:
        message, mend = f"{message}, in {context.splitlines()[0]}", "correct what is named there"
    return Finding(statement.path, line, column, "query-refused", f"{statement.title}: {message} ({sqlstate})", mend)


def finding_of_error(statement: Statement, error: psycopg.Error) -> Finding:
    """
    Return an error of the driver as a finding; its place in an EXPLAIN is not one in the file.
    """
    return finding(
        statement,
        error.sqlstate or "XX000",
        error.diag.message_primary or "PostgreSQL refused the statement",
        None,
        error.diag.context,
    )


def grouped(found: Sequence[tuple[Statement, Finding]]) -> Iterator[Finding]:
    """
    Yield what is wrong with the texts of one entry, each fault once: most of them fail alike.
    """
    alike: dict[tuple[str, int, int], list[Finding]] = {}
    for statement, each in found:
        fault = each.message.removeprefix(f"{statement.title}: ")
        alike.setdefault((fault, each.line, each.column), []).append(each)
    for (fault, *_), (first, *others) in alike.items():
        more = f" (and {len(others)} more of its texts)" if others else ""
        yield replace(first, message=f"{first.message.removesuffix(fault).removesuffix(': ')}{more}: {fault}")


def _place(statement: Statement, position: int) -> tuple[int, int]:
    before = statement.text[: position - 1]
    line = before.rpartition("\n")[2]
    if "\n" not in before:
        line = _OPENING.sub("", line, count=1)
    return statement.line_of(position), len(_named(line, statement)) + 1


def _named(text: str, statement: Statement) -> str:
    # What is sent has $1 where the file has :name.
    names = statement.parameters
    return _NUMBER.sub(lambda found: f":{names[int(found[1]) - 1]}" if 0 < int(found[1]) <= len(names) else found[0], text)
