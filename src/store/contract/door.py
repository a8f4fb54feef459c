"""
The door to the analysed query: a stock server stores it as the body of a function, in a transaction that is always rolled back.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, pq

from store import _connection
from store.contract.describe import refusal
from store.contract.facts import Rejection
from store.contract.nodes import Node, queries_of
from store.errors import CannotAnalyse, ServerTooOld

_PINNED = b"""
    SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres';
    SET LOCAL extra_float_digits = 1; SET LOCAL quote_all_identifiers = off; SET LOCAL standard_conforming_strings = on;
    SET LOCAL transform_null_equals = off; SET LOCAL check_function_bodies = off
"""
_KEPT = b"""
    SELECT substr(p.proname, 15), p.prosqlbody::text FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace = pg_my_temp_schema() AND p.proname ^@ '__store_query_'
"""
_REASONS = {
    "25006": "the server is a standby, or the role or transaction is read-only: connect to one that takes writes",
    "42501": "the role may not make temporary objects: GRANT TEMPORARY ON DATABASE, or connect as another role",
}
TOO_DEEP = Rejection("54001", "the statement is nested too deeply to be analysed: break it up, as with WITH or an array")


@contextmanager
def rolled_back(connection: Connection[Any], search_path: str, *, nested: bool = False) -> Generator[None, None, None]:
    """
    Lend a transaction that leaves nothing behind, with the settings pinned that change what a query means.

    With `nested`, inside a transaction it is a savepoint of that one. Raises ServerTooOld below PostgreSQL 16, and
    CannotAnalyse where a function cannot be made, or inside a transaction that nobody spoke of.
    """
    if connection.info.server_version < _connection.MIN_SERVER_VERSION:
        raise ServerTooOld
    begin, end = b"BEGIN", b"ROLLBACK"
    if connection.info.transaction_status != pq.TransactionStatus.IDLE:
        if not nested:
            raise CannotAnalyse("the connection is inside a transaction, which analysing would roll back")
        begin, end = b"SAVEPOINT store_analysis", b"ROLLBACK TO store_analysis; RELEASE store_analysis"
    _run(connection, begin)
    try:
        _run(connection, _PINNED)
        connection.execute("SELECT pg_catalog.set_config('search_path', %s, true)", [search_path], prepare=False)
        _run(connection, b"SAVEPOINT store_query")
        if (found := keep(connection, 0, "SELECT", [])) is not None:
            raise CannotAnalyse(_REASONS.get(found.sqlstate, found.message), sqlstate=found.sqlstate)
        yield
    finally:
        connection.pgconn.exec_(end)


def undo(connection: Connection[Any]) -> None:
    """
    Go on after what the server refused; what was kept before stays.
    """
    connection.pgconn.exec_(b"ROLLBACK TO store_query")


def keep(connection: Connection[Any], number: int, text: str, types: Sequence[str]) -> Rejection | None:
    """
    Have one statement stored that Parse has accepted, or say why PostgreSQL refuses; `types` are its parameters'.
    """
    encoding = connection.info.encoding
    head = f"CREATE FUNCTION pg_temp.__store_query_{number}({', '.join(types)}) RETURNS void BEGIN ATOMIC\n"
    tail = "\n; END; RELEASE store_query; SAVEPOINT store_query"  # on a line of its own: a comment may end the text
    made = connection.pgconn.exec_(f"{head}{text}{tail}".encode(encoding))
    if made.status == pq.ExecStatus.COMMAND_OK:
        return None
    found = refusal(made, encoding)
    undo(connection)
    at = found.position - len(head) if found.position is not None else 0
    return Rejection(found.sqlstate, found.message, at if at > 0 else None)


def kept(connection: Connection[Any]) -> dict[int, Node | Rejection]:
    """
    Return the analysed queries that were kept, by their numbers, or why one cannot be read.
    """
    rows = connection.pgconn.exec_(_KEPT)
    found: dict[int, Node | Rejection] = {}
    for row in range(rows.ntuples):
        text = (rows.get_value(row, 1) or b"").decode(connection.info.encoding)
        try:
            queries: list[Node | Rejection] = [*queries_of(text)]
        except RecursionError:
            queries = [TOO_DEEP]
        found[int(rows.get_value(row, 0) or 0)] = queries[0] if queries else Rejection("0A000", "there is no statement")
    return found


def _run(connection: Connection[Any], command: bytes) -> None:
    result = connection.pgconn.exec_(command)
    if result.status != pq.ExecStatus.COMMAND_OK:
        found = refusal(result, connection.info.encoding)
        raise CannotAnalyse(found.message, sqlstate=found.sqlstate)
