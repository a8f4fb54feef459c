"""
The plan of a named query, as a DBA reads it: generic without values, measured with them, and nothing of it stays.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import RawCursor
from psycopg.rows import tuple_row

from store import _failures
from store._queries import Statement
from store.contract.database import Connection
from store.contract.plans import refuse_two
from store.errors import InvalidInput, WrongParameters


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
    with _failures.translated(statement.title):
        refuse_two(connection, statement)
        with connection.transaction(force_rollback=True), RawCursor(connection, row_factory=tuple_row) as cursor:
            if is_bound:
                cursor.execute(f"EXPLAIN ({options}) {statement.text}".encode(), values, prepare=False)
            else:
                cursor.execute(f"EXPLAIN (GENERIC_PLAN, {options}) {statement.text}".encode(), prepare=False)
            return "\n".join(str(row[0]) for row in cursor.fetchall())
