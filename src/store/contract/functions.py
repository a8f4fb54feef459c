"""
What the catalogue says of functions, aggregates and window functions, and the statements in those that are SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection, pq, sql
from psycopg.rows import tuple_row

from store.contract.door import undo
from store.contract.nodes import Node, queries_of

_FUNCTIONS = """
    SELECT
        p.oid, n.nspname, p.proname, p.oid::regprocedure::text, p.provolatile::text, p.proisstrict, p.pronargs, p.prosecdef,
        CASE WHEN n.nspname <> 'pg_catalog' THEN p.prosqlbody::text END,
        n.nspname <> 'pg_catalog' AND l.lanname = 'sql' AND p.prosqlbody IS NULL
    FROM pg_catalog.pg_proc AS p
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    INNER JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
    WHERE p.oid = ANY (%s::oid[])
"""
_SOURCE = """
    SELECT
        pg_catalog.pg_get_function_arguments(p.oid), pg_catalog.pg_get_function_result(p.oid), p.prosrc
    FROM pg_catalog.pg_proc AS p WHERE p.oid = %s
"""
_BODY = """
    SELECT p.prosqlbody::text FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = pg_my_temp_schema() AND p.proname = %s
"""


@dataclass(frozen=True, slots=True)
class Function:
    """
    A function, aggregate or window function.
    """

    name: str
    signature: str
    is_built_in: bool
    volatility: str
    """'i', 's' or 'v'."""
    is_strict: bool
    arguments: int
    is_definer: bool
    """Whether it runs with the rights of its owner."""
    bodies: tuple[Node, ...] | None
    """The statements in it; None where they cannot be known, as those of PL/pgSQL."""


def load_functions(connection: Connection[Any], oids: list[int]) -> dict[int, Function]:
    """
    Return functions by OID. The connection is in the transaction that is rolled back.
    """
    if not oids:
        return {}
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_FUNCTIONS.encode(), [oids], prepare=False).fetchall()
    found: dict[int, Function] = {}
    for oid, schema, name, signature, volatility, is_strict, arguments, is_definer, body, is_text in rows:
        kept = _read(connection, oid, name) if is_text else body
        bodies = _bodies(kept) if kept is not None else None
        is_built_in = schema == "pg_catalog"
        found[oid] = Function(name, signature, is_built_in, volatility, is_strict, arguments, is_definer, bodies)
    return found


def _bodies(kept: str) -> tuple[Node, ...] | None:
    try:
        return tuple(queries_of(kept))
    except RecursionError:  # nested too deeply
        return None


def _read(connection: Connection[Any], oid: int, name: str) -> str | None:
    """
    Return the analysed statements of a function that PostgreSQL keeps as text: those of a copy of it, BEGIN ATOMIC.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        ((arguments, result, source),) = cursor.execute(_SOURCE.encode(), [oid], prepare=False).fetchall()
        named = sql.Identifier("pg_temp", name).as_string(connection)
        copy = f"CREATE FUNCTION {named}({arguments}) RETURNS {result} BEGIN ATOMIC\n{source}\n; END"
        # By the extended protocol, which takes one statement: a body that ends its own block ends nothing else.
        made = connection.pgconn.exec_params(copy.encode(connection.info.encoding), None)
        if made.status != pq.ExecStatus.COMMAND_OK:
            undo(connection)
            return None
        ((body,),) = cursor.execute(_BODY.encode(), [name], prepare=False).fetchall()
    undo(connection)
    return str(body)
