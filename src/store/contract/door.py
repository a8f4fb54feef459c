"""
The door to the analysed query: a stock server stores it as the body of a function, in a transaction that is always rolled back.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, pq

from store import _connection
from store.contract.describe import refusal
from store.contract.facts import Finding
from store.contract.nodes import Node, queries_of
from store.errors import CannotAnalyse, ServerTooOld

_PINNED = b"""
    SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres';
    SET LOCAL extra_float_digits = 1; SET LOCAL quote_all_identifiers = off; SET LOCAL standard_conforming_strings = on;
    SET LOCAL transform_null_equals = off; SET LOCAL check_function_bodies = off
"""
_PROBE = b"CREATE FUNCTION pg_temp.__store_query_0() RETURNS void BEGIN ATOMIC SELECT; END"
# The end of the body is on a line of its own: a comment may end the text.
_HEAD = "CREATE FUNCTION pg_temp.__store_query_{number}({types}) RETURNS void BEGIN ATOMIC\n"
_TAIL = """
; END;
SELECT p.prosqlbody::text FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = pg_my_temp_schema() AND p.proname = '__store_query_{number}';
RELEASE store_query; SAVEPOINT store_query
"""
_REASONS = {
    "25006": "the server is a standby, or the role or transaction is read-only: connect to one that takes writes",
    "42501": "the role may not make temporary objects: GRANT TEMPORARY ON DATABASE, or connect as another role",
}
TOO_DEEP = Finding("54001", "the statement is nested too deeply to be analysed: break it up, as with WITH or an array")


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
        _run(connection, _PROBE)
        _run(connection, b"SAVEPOINT store_query")
        yield
    finally:
        connection.pgconn.exec_(end)


def undo(connection: Connection[Any]) -> None:
    """
    Go on after what the server refused; what was kept before stays.
    """
    connection.pgconn.exec_(b"ROLLBACK TO store_query")


def analysed(connection: Connection[Any], statements: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Node | Finding]:
    """
    Iterate over the analysed queries of statements that Parse has accepted, each with the types of its parameters, or why
    PostgreSQL refuses one. While the server has the next one stored, the last is read.
    """
    last: str | Finding | None = None
    for number, (text, types) in enumerate(statements, 1):
        head = _HEAD.format(number=number, types=", ".join(types))
        connection.pgconn.send_query(f"{head}{text}{_TAIL.format(number=number)}".encode(connection.info.encoding))
        if last is not None:
            yield _read(last)
        last = _kept(connection, len(head))
    if last is not None:
        yield _read(last)


def _kept(connection: Connection[Any], before: int) -> str | Finding:
    """
    Return the node text of what was stored, or why it was not; so many characters stood before the statement.
    """
    body = b""
    refused: Finding | None = None
    while (result := connection.pgconn.get_result()) is not None:
        if result.status == pq.ExecStatus.TUPLES_OK:
            body = result.get_value(0, 0) or b""
        elif result.status != pq.ExecStatus.COMMAND_OK:
            refused = refusal(result, connection.info.encoding)
    if refused is None:
        return body.decode(connection.info.encoding)
    undo(connection)
    at = refused.position - before if refused.position is not None else 0
    return Finding(refused.sqlstate, refused.message, at if at > 0 else None)


def _read(kept: str | Finding) -> Node | Finding:
    if isinstance(kept, Finding):
        return kept
    try:
        return next(iter(queries_of(kept)), Finding("0A000", "there is no statement"))
    except RecursionError:
        return TOO_DEEP


def _run(connection: Connection[Any], command: bytes) -> None:
    result = connection.pgconn.exec_(command)
    if result.status != pq.ExecStatus.COMMAND_OK:
        found = refusal(result, connection.info.encoding)
        raise CannotAnalyse(_REASONS.get(found.sqlstate, found.message), sqlstate=found.sqlstate)
