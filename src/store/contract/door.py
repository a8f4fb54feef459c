"""
The door to the analysed query: a stock server stores it as the body of a function, in a transaction that is always rolled back.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

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
_PROBE = b"CREATE FUNCTION pg_temp.__store_query_0() RETURNS void BEGIN ATOMIC SELECT; END"
_HEAD = "CREATE FUNCTION pg_temp.__store_query_{number}({types}) RETURNS void BEGIN ATOMIC\n"
_END = "\n; END;"  # on a line of its own: a comment may end the text
_READ = """
SELECT substr(p.proname, 15), p.prosqlbody::text FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = pg_my_temp_schema() AND p.proname IN ({names});
RELEASE store_query; SAVEPOINT store_query
"""
_AT_ONCE = 16
_REASONS = {
    "25006": "the server is a standby, or the role or transaction is read-only: connect to one that takes writes",
    "42501": "the role may not make temporary objects: GRANT TEMPORARY ON DATABASE, or connect as another role",
}
TOO_DEEP = Rejection("54001", "the statement is nested too deeply to be analysed: break it up, as with WITH or an array")


class _Statement(NamedTuple):
    """
    What is stored as the body of a function.
    """

    number: int
    text: str
    types: Sequence[str]

    @property
    def head(self) -> str:
        """
        What stands before the text.
        """
        return _HEAD.format(number=self.number, types=", ".join(self.types))


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


def analysed(connection: Connection[Any], statements: Iterable[tuple[str, Sequence[str]]]) -> Iterator[Node | Rejection]:
    """
    Iterate over the analysed queries of statements that Parse has accepted, each with the types of its parameters, or why
    PostgreSQL refuses one. They go to the server some at once; while it has the next stored, the last are read.
    """
    numbered = (_Statement(number, *one) for number, one in enumerate(statements, 1))
    last: list[str | Rejection] = []
    while some := list(islice(numbered, _AT_ONCE)):
        _send(connection, some)
        yield from map(_read, last)
        last = _kept(connection, some)
    yield from map(_read, last)


def _send(connection: Connection[Any], some: Sequence[_Statement]) -> None:
    made = "".join(f"{one.head}{one.text}{_END}" for one in some)
    names = ", ".join(f"'__store_query_{one.number}'" for one in some)
    connection.pgconn.send_query(f"{made}{_READ.format(names=names)}".encode(connection.info.encoding))


def _kept(connection: Connection[Any], some: Sequence[_Statement]) -> list[str | Rejection]:
    """
    Return the node text of each that was sent, or why it is refused. Where one of them is, all are sent again, one by one.
    """
    encoding = connection.info.encoding
    bodies: dict[int, str] = {}
    refused: Rejection | None = None
    while (result := connection.pgconn.get_result()) is not None:
        if result.status == pq.ExecStatus.TUPLES_OK:
            rows = ((result.get_value(row, 0), result.get_value(row, 1)) for row in range(result.ntuples))
            bodies = {int(number or 0): (body or b"").decode(encoding) for number, body in rows}
        elif result.status != pq.ExecStatus.COMMAND_OK:
            refused = refusal(result, encoding)
    if refused is None:
        return [bodies[one.number] for one in some]
    undo(connection)
    if len(some) == 1:
        at = refused.position - len(some[0].head) if refused.position is not None else 0
        return [Rejection(refused.sqlstate, refused.message, at if at > 0 else None)]
    found: list[str | Rejection] = []
    for one in some:
        _send(connection, [one])
        found += _kept(connection, [one])
    return found


def _read(kept: str | Rejection) -> Node | Rejection:
    if isinstance(kept, Rejection):
        return kept
    try:
        return next(iter(queries_of(kept)), Rejection("0A000", "there is no statement"))
    except RecursionError:
        return TOO_DEEP


def _run(connection: Connection[Any], command: bytes) -> None:
    result = connection.pgconn.exec_(command)
    if result.status != pq.ExecStatus.COMMAND_OK:
        found = refusal(result, connection.info.encoding)
        raise CannotAnalyse(_REASONS.get(found.sqlstate, found.message), sqlstate=found.sqlstate)
