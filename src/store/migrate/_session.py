"""
The one connection of a run, made ready: PostgreSQL itself, new enough, writable where it must be, ending with its client.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from store import _connection, _failures
from store.errors import (
    MigrationError,
    MigrationLocked,
    PermissionDenied,
    ReadOnly,
    ServerTooOld,
    SettingsError,
    StoreError,
    Unavailable,
    from_postgres,
)
from store.migrate import _lock
from store.migrate._backend import Backend
from store.migrate._fingerprint import OURS, fingerprint
from store.migrate._ledger import TABLE, Fingerprint, Ledger
from store.migrate._report import Bounds, Options, Report, milliseconds
from store.migrate._watch import Watcher

Connect = Callable[[], psycopg.Connection[Any]]

APPLICATION = "store-migrate/"
"""How the names of our connections begin, in pg_stat_activity."""

_OWN_ROLE = "migrations have a role of their own, store_migrator: set STORE_MIGRATE_URL"
WAY_OUT = f"{_OWN_ROLE}, or act as the owner with --role"
"""What a role without rights is told."""

_log = logging.getLogger("store.migrate")
# Every name is qualified: until it has run, the path is that of the owner of the database, and so are the functions on it.
_SESSION = """
    SELECT
        pg_catalog.set_config('search_path', pg_catalog.convert_from(%s, 'UTF8'), false),
        pg_catalog.set_config('client_encoding', 'UTF8', false),
        pg_catalog.set_config('standard_conforming_strings', 'on', false),
        pg_catalog.set_config('idle_session_timeout', '0', false),
        pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false),
        pg_catalog.set_config('lock_timeout', '0', false),
        pg_catalog.set_config('statement_timeout', '0', false),
        pg_catalog.set_config('application_name', %s, false)
"""
# A server that loses its runner ends the orphaned file at once, and its lock; not every system lets it notice.
_NOTICING = ", pg_catalog.set_config('client_connection_check_interval', '500ms', false)"
_ENDLESS = ", pg_catalog.set_config('transaction_timeout', '0', false)"  # each statement has its bound, a file may have many
_STANDBY = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', current_user"
# The first right that the record needs and this role lacks: to write its tables, or to make what is missing of them.
_LACKING = """
    SELECT CASE
        WHEN n.oid IS NULL THEN 'CREATE on the database ' || quote_ident(current_database())
        WHEN c.oid IS NULL THEN 'CREATE on the schema ' || quote_ident(n.nspname)
        ELSE 'INSERT on ' || c.oid::regclass END
    FROM unnest(%s::text[]) WITH ORDINALITY AS t (name, place)
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = %s
    LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
    WHERE NOT CASE
        WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
        WHEN c.oid IS NULL THEN has_schema_privilege(n.oid, 'CREATE')
        ELSE has_table_privilege(c.oid, 'INSERT') END
    ORDER BY t.place LIMIT 1
"""
_STANDING = "SELECT current_user, pg_current_xact_id()::text"
_BOUNDED = f"{_STANDING}, set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)"
_LEFT = f"{_STANDING}, EXISTS ({_lock.HELD})"
_WRITTEN = ["_yoyo_migration", "_yoyo_log", TABLE]


class Standing(NamedTuple):
    """
    What a file must leave as it is.
    """

    role: str
    transaction: str


@dataclass(slots=True)
class Session:
    """
    A run in progress: the connection, what is recorded through it, and how it shall go about it.
    """

    connection: psycopg.Connection[Any]
    connect: Connect
    backend: Backend
    options: Options
    report: Report
    ledger: Ledger = field(init=False)
    schemas: tuple[str, ...] = OURS
    """What the fingerprint is of."""
    left: Fingerprint | None = None
    """The fingerprint that the file before left in this run: under the lock it is what the next one finds."""

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.connection, self.options.state_schema, self.report)

    def lock(self) -> None:
        """
        Wait for the turn of this runner. Raises MigrationLocked when it does not come, or stock yoyo holds its own lock,
        MigrationHistoryError when the record became one of a newer program till then, and, before it waits, PermissionDenied
        for a role that may not keep the record.
        """
        lacking = self.connection.execute(_LACKING, (_WRITTEN, self.options.state_schema)).fetchone()
        if lacking is not None:
            raise PermissionDenied(f"permission denied: {self.role()} lacks {lacking[0]}; nothing was done: {WAY_OUT}")
        _lock.acquire(self.connection, self.options.state_schema, self.options.lock_wait)
        self.ledger.look_again()
        if self.backend.is_row_locked():
            raise MigrationLocked(
                "there is a row in yoyo_lock: a stock yoyo is at work, or was killed at it. When none is at work, "
                "`store migrate unlock` takes the row away"
            )

    def cover(self, made: Iterable[str]) -> None:
        """
        Let the fingerprint be of what the options name, else of the schemas that the files make and that the record was of.
        """
        recorded = self.ledger.fingerprint()
        known = {*made, *(recorded.schemas if recorded is not None and recorded.schemas != OURS else ())}
        self.schemas = tuple(sorted(self.options.schemas or known)) or OURS

    def role(self) -> str:
        """
        Return who acts here, and who logged in where that is another.
        """
        row = self.connection.execute("SELECT current_user, session_user").fetchone()
        role, login = row or ("", "")
        return f"the role {role}" + ("" if login == role else f" (login {login})")

    def create_state(self) -> None:
        """
        Create what is missing of the state.
        """
        self.backend.create_state()
        self.ledger.create()

    def fingerprint(self) -> Fingerprint:
        """
        Return the fingerprint of the schema as it is, and keep it for the report.

        The catalog locks for a moment what it describes. Inside a file the bounds of the file hold; elsewhere it tries again,
        and MigrationLocked raised when somebody keeps a table for longer than --lock-wait.
        """
        if self.connection.info.transaction_status == TransactionStatus.INTRANS:
            return self._keep(fingerprint(self.connection, self.schemas))
        deadline = time.monotonic() + self.options.lock_wait
        while True:
            with Watcher(self.connect, self.connection.info.backend_pid, "the fingerprint") as watcher:
                try:
                    return self._keep(self._described())
                except psycopg.errors.LockNotAvailable:
                    names = "; ".join(map(str, watcher.blockers.values())) or "nobody that was seen"
            if time.monotonic() >= deadline:
                raise MigrationLocked(f"a table of the schema is locked by {names}: nothing was done, try again later")
            time.sleep(0.5)

    def _keep(self, hash_: str) -> Fingerprint:
        self.report.fingerprint = hash_
        self.left = Fingerprint(hash_, self.schemas)
        return self.left

    def _described(self) -> str:
        with self.connection.transaction():
            self.bound_locks()
            return fingerprint(self.connection, self.schemas)

    def bound_locks(self) -> None:
        """
        Let no statement of this transaction queue for a lock for longer than one attempt may.
        """
        bound = milliseconds(self.options.lock_timeout)
        self.connection.execute("SELECT set_config('lock_timeout', %s, true)", (bound,))

    def name(self, what: str) -> None:
        """
        Show in pg_stat_activity what runs, and take back what the file before may have set for the session.
        """
        settle(self.connection, self.options.search_path, what)

    def standing(self, bounds: Bounds | None = None) -> Standing:
        """
        Return as whom and in which transaction this session acts; the bounds hold from now on in that transaction.
        """
        if bounds is None:
            row = self.connection.execute(_STANDING).fetchone()
        else:
            row = self.connection.execute(_BOUNDED, (milliseconds(bounds.lock), milliseconds(bounds.statement))).fetchone()
        return Standing(*(row or ("", ""))[:2])

    def check(self, before: Standing, what: str) -> Standing:
        """
        Return how the session stands now. Raises MigrationError when a file let go of the lock of the runners, or of the role
        that everything shall belong to.
        """
        row = self.connection.execute(_LEFT, _lock.place(self.options.state_schema)).fetchone()
        role, transaction, is_locked = row or ("", "", False)
        if role != before.role:
            raise MigrationError(f"{what} changed the role: what it made would not belong to {before.role}")
        if not is_locked:
            raise MigrationError(f"{what} let go of the lock of the runners (pg_advisory_unlock_all, DISCARD ALL)")
        return Standing(role, transaction)


@contextmanager
def opened(connect: Connect, options: Options, report: Report, *, writes: bool) -> Generator[Session]:
    """
    Lend a session. Raises Unavailable, ServerTooOld, SettingsError for a pooler and, for one that writes, ReadOnly.
    """
    with translated():
        connection = connect()
        try:
            prepare(connection, options, writes=writes)
            report.schema, report.server_version = options.state_schema, connection.info.parameter_status("server_version")
            session = Session(connection, connect, Backend(connection, options.state_schema), options, report)
            session.backend.check_version()
            session.ledger.version()
            yield session
        finally:
            connection.close()  # and with it goes the lock, however this process ends


def prepare(connection: psycopg.Connection[Any], options: Options, *, writes: bool) -> None:
    """
    Make a connection ready for migrations.
    """
    connection.autocommit = True
    if connection.info.server_version < _connection.MIN_SERVER_VERSION:
        raise ServerTooOld(f"the server is {connection.info.server_version // 10000}: PostgreSQL 16 or newer is needed")
    if not _connection.is_direct(connection):
        raise SettingsError("migrations need a connection to PostgreSQL itself, not to a pooler: set STORE_MIGRATE_URL")
    settle(connection, options.search_path)
    if writes:
        _refuse_read_only(connection)


def settle(connection: psycopg.Connection[Any], search_path: str, what: str = "") -> None:
    """
    Give a session the settings of a runner, whatever the database, the role or the file before it have set.

    Raises SettingsError for a path that is none.
    """
    knows_endless = connection.info.server_version >= _connection.MIN_TRANSACTION_TIMEOUT_VERSION
    query = _SESSION + (_ENDLESS if knows_endless else "")
    # The path as bytes: RESET ALL may give the session an encoding that lacks characters of it.
    values = (search_path.encode(), f"{APPLICATION}{what}"[:63])
    try:
        _reset(connection, query + _NOTICING, values)
    except psycopg.errors.InvalidParameterValue:
        try:
            _reset(connection, query, values)
        except psycopg.errors.InvalidParameterValue:
            raise SettingsError(f'--search-path: {search_path} is no list of schemas: app, "My App"') from None
        _log.warning("this server cannot notice a lost client: a killed runner's statement goes on until it ends")


def _reset(connection: psycopg.Connection[Any], query: LiteralString, values: tuple[bytes, str]) -> None:
    connection.execute("RESET ALL")
    connection.execute(query, values)


def _refuse_read_only(connection: psycopg.Connection[Any]) -> None:
    is_standby, is_read_only, role = connection.execute(_STANDBY).fetchone() or (False, False, "")
    if is_standby:
        raise ReadOnly("the server is a standby: migrations go to the primary")
    if is_read_only:
        raise ReadOnly(f"sessions of {role} are read-only here (default_transaction_read_only is on): {_OWN_ROLE}")


@contextmanager
def translated() -> Generator[None]:
    """
    A block in which the driver's errors become the store's.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None  # what a statement said that came behind the interrupted one
        if error.sqlstate is None:
            raise Unavailable(_lost(error)) from None
        raise _store_error(error) from None
    except psycopg.Error as error:
        raise _store_error(error) from None


def _lost(error: psycopg.Error) -> str:
    # The driver's words may quote the address, and that what was typed into it.
    return "PostgreSQL cannot be reached: " + str(_failures.connect_failure(error, "it")).partition(": ")[2]


def _store_error(error: psycopg.Error) -> StoreError:
    failure = from_postgres(error.sqlstate, constraint=error.diag.constraint_name, primary=error.diag.message_primary)
    if isinstance(failure, PermissionDenied) and error.sqlstate == "42501":
        return PermissionDenied(f"{failure}: {WAY_OUT}", sqlstate=error.sqlstate)
    return failure
