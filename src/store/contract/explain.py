"""
The plan of a named query, as a DBA reads it: generic without values, measured with them, and nothing of it stays.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from psycopg import DataError, RawCursor
from psycopg.rows import tuple_row

from store import _failures
from store._queries import Statement
from store.contract.database import Connection
from store.contract.plans import refuse_two
from store.errors import InvalidInput, WrongParameters

_PARAMETER = re.compile(r"parameter \$(\d+)")
_TYPE = re.compile(r"for type ([^:]+):")


def explain(connection: Connection, statement: Statement, parameters: Mapping[str, str], *, analyze: bool = False) -> str:
    """
    Return the plan: without parameters the generic one; with `analyze` the query runs, in a transaction that is rolled back.

    Raises WrongParameters where values are missing or of no parameter, InvalidInput for a COPY, and what PostgreSQL refuses.
    """
    if statement.kind == "copy":
        raise InvalidInput(f"{statement.title} is a COPY, which has no plan")
    unknown = sorted(set(parameters) - set(statement.parameters))
    missing = [name for name in statement.parameters if name not in parameters and name not in statement.nullable]
    is_bound = analyze or bool(parameters)
    if unknown or (is_bound and missing):
        faults = [f"{what} {', '.join(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        taken = ", ".join(statement.parameters) or "nothing"
        raise WrongParameters(f"{statement.title}: {'; '.join(faults)} (it takes {taken})")
    options = "ANALYZE, BUFFERS, WAL, VERBOSE, SETTINGS" if analyze else "VERBOSE, SETTINGS"
    values = [parameters.get(name) for name in statement.parameters]
    with _failures.translated(statement.title), _named(statement):
        refuse_two(connection, statement)
        with connection.transaction(force_rollback=True), RawCursor(connection, row_factory=tuple_row) as cursor:
            if is_bound:
                cursor.execute(f"EXPLAIN ({options}) {statement.text}".encode(), values, prepare=False)
            else:
                cursor.execute(f"EXPLAIN (GENERIC_PLAN, {options}) {statement.text}".encode(), prepare=False)
            return "\n".join(str(row[0]) for row in cursor.fetchall())


@contextmanager
def _named(statement: Statement) -> Generator[None]:
    """
    A block whose refusal of a parameter's value says which, and leaves the value out.
    """
    try:
        yield
    except DataError as error:
        place, kind = _PARAMETER.search(error.diag.context or ""), _TYPE.search(error.diag.message_primary or "")
        if place is None:
            raise
        wanted = f"no {kind[1]}" if kind else "refused"
        message = f"{statement.title}: the value of {statement.parameters[int(place[1]) - 1]} is {wanted}"
        failure = InvalidInput(message, sqlstate=error.sqlstate)
    else:
        return
    raise failure  # not inside `except`: the driver's message quotes the value
