"""
From the driver's errors to the store's, once for both colours.

The driver's error stays attached as the cause unless it carries values out of rows (SQLSTATE classes 22 and 23, and values that
never left the client): of those only the facts are copied.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from store import errors
from store.errors import DatabaseError, InvalidInput, PermissionDenied, StoreError, Unavailable

_SAFE = frozenset({"08", "25", "40", "42", "53", "55", "57"})  # classes whose messages hold no value of a row
# The server ended the transaction and said so before it closed. 57P01 comes only from a backend that has not begun to commit;
# one that waits for a standby says nothing.
_ROLLED_BACK = frozenset({"25P03", "25P04", "57P01"})
_REFUSED = ("password", "fe_sendauth", "not permitted to log in", "no pg_hba.conf entry", "authentication method requirement")
_REASONS = {
    "password authentication failed": "the password or the user is wrong",
    "no password supplied": "a password is needed",
    "fe_sendauth": "a password is needed",
    "does not exist": "the database or the role does not exist",
    "not permitted to log in": "the role may not log in",
    "no pg_hba.conf entry": "the server takes no connection of this kind from here (pg_hba.conf)",
    "connection refused": "nothing listens there",
    "no such file": "nothing listens there",
    "closed the connection": "the server closed the connection",
    "closed unexpectedly": "the server closed the connection",
    "timeout expired": "no answer in time",
    "timed out": "no answer in time",
    "translate host name": "the host name is not known",
    "resolve host": "the host name is not known",
    "certificate": "the certificate could not be verified: set sslmode and sslrootcert in DATABASE_URL",
    "ssl": "a secure connection was asked for and not made: see sslmode in DATABASE_URL",
    "authentication method requirement": "the server asks for weaker authentication than STORE_DB_STRICT_AUTH allows",
    "channel binding": "the server offers no channel binding, which STORE_DB_STRICT_AUTH asks for",
    "too many clients": "the server has no connection left",
    "starting up": "the server is starting",
    "shutting down": "the server is shutting down",
    "read-only": "its sessions are read-only: a standby, or a role or database that is set to read only",
}

RIGHTS = "connect as store_app, and have an administrator run sql/grants.sql"
"""The way out where the role of a connection may not do what the shop's own role may."""


class translated:  # noqa: N801  # used like a function
    """
    A block in which the driver's errors become the store's.
    """

    __slots__ = ("_query",)

    def __init__(self, query: str) -> None:
        self._query = query

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not isinstance(error, (psycopg.Error, UnicodeError)):
            return
        failure = translate(error, self._query)
        try:
            raise failure
        finally:
            failure.__context__ = None  # the driver's message may quote the row


def translate(error: psycopg.Error | UnicodeError, query: str | None = None) -> StoreError:
    """
    Return the store's error for one of the driver's. SQLSTATE decides; the class only where there is none.
    """
    if isinstance(error, UnicodeError):
        return InvalidInput("text must be Unicode without lone surrogates")
    if error.sqlstate is None and not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return _of_client(error, query)
    diag = error.diag
    failure = errors.from_postgres(
        error.sqlstate,
        constraint=diag.constraint_name,
        column=diag.column_name,
        primary=diag.message_primary,
        query=query,
    )
    if error.sqlstate is not None and error.sqlstate[:2] not in {"22", "23"}:
        failure.__cause__ = error
    return failure


def _of_client(error: psycopg.Error, query: str | None) -> StoreError:
    where = f" in {query}" if query else ""
    if isinstance(error, psycopg.DataError):
        return InvalidInput(
            f"PostgreSQL cannot hold a value{where}: text must have no NUL, timestamps must have a year before 10000"
        )
    if isinstance(error, psycopg.ProgrammingError):
        return InvalidInput(f"a parameter{where} has a type PostgreSQL does not know")
    return DatabaseError(f"the driver refused the statement{where}")


def connect_failure(error: psycopg.Error, where: str) -> StoreError:
    """
    Return the error for a connection that could not be made: where to, and the reason in words that hold no secret.
    """
    text = str(error).lower()
    reason = next((reason for words, reason in _REASONS.items() if words in text), "it could not be reached")
    kind = PermissionDenied if any(words in text for words in _REFUSED) else Unavailable
    return kind(f"no connection to PostgreSQL at {where}: {reason}", sqlstate=error.sqlstate)


def is_unknown(error: StoreError, connection: psycopg.BaseConnection[Any]) -> bool:
    """
    Whether the connection went away with the answer, so that nobody but the database knows what was stored.
    """
    return connection.closed and error.sqlstate not in _ROLLED_BACK


def is_denied(error: StoreError) -> bool:
    """
    Whether the role lacks a right: it came in, and may not look or write there.
    """
    return isinstance(error, PermissionDenied) and error.sqlstate == "42501"


def refuse_lost(connection: psycopg.BaseConnection[Any]) -> None:
    """
    Raise Unavailable when the connection is already known to be gone: then COMMIT is not sent, and nothing was stored.
    """
    if connection.closed or connection.info.transaction_status == TransactionStatus.UNKNOWN:
        raise Unavailable


def descriptor(connection: psycopg.BaseConnection[Any]) -> int:
    """
    Return the socket of a connection, or -1 when it has none any more.
    """
    try:
        return connection.fileno()
    except psycopg.OperationalError:
        return -1


def row_count(mark: str, result: Any) -> int:
    """
    Return how many rows the answer of a query with this mark holds.
    """
    if mark == "!":
        return int(result)
    if mark == "$":
        return 1
    return len(result[1]) if mark == "" else int(result[1] is not None)
