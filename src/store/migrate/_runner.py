"""
Applies migrations and takes them back: one runner at a time, one transaction a file, the record in the same transaction.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psycopg

from store.errors import MigrationError, MigrationLocked, StoreError, Unavailable, from_postgres
from store.migrate._backend import Backend
from store.migrate._folder import SqlMigration, read

Connect = Callable[[], psycopg.Connection[Any]]

_LOCK_SPACE = 1937010546  # "stor"
_LOCK = zlib.crc32(b"store_migrations") - 2**31  # advisory keys are signed
_LOCK_WAIT = 600.0
_SESSION = """
    SELECT
        set_config('search_path', '', false),
        set_config('client_encoding', 'UTF8', false),
        set_config('idle_session_timeout', '0', false),
        set_config('idle_in_transaction_session_timeout', '0', false),
        pg_backend_pid()
"""
_TRY_LOCK = "SELECT pg_try_advisory_lock(%s::integer, %s::integer)"
_HOLDER = """
    SELECT pid FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND classid::bigint = %s AND objid::bigint = %s AND granted
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """
    One migration: applied, pending, or unknown (applied, but not in the folder).
    """

    id: str
    state: Literal["applied", "pending", "unknown"]
    applied_at: datetime | None


def up(
    connect: Connect, folder: Path, on_applied: Callable[[str], None] | None = None, *, lock_wait: float = _LOCK_WAIT
) -> list[str]:
    """
    Apply what is pending, in order, and return its ids; `on_applied` hears of each one when it is stored.

    A second runner waits for the first. Raises MigrationError, and leaves the database at the last whole migration, when
    PostgreSQL refuses a file; before anything is applied when the folder and the database do not belong together.
    """
    migrations = read(folder)
    done: list[str] = []
    with _backend(connect, lock_wait) as backend:
        backend.create_state()
        for migration in _pending(migrations, [name for name, _ in backend.applied()]):
            with _named(f"{migration.id}.sql", migration.apply_text):
                backend.apply(migration)
            done.append(migration.id)
            if on_applied is not None:
                on_applied(migration.id)
    return done


def down(
    connect: Connect,
    folder: Path,
    on_undone: Callable[[str], None] | None = None,
    *,
    count: int = 1,
    lock_wait: float = _LOCK_WAIT,
) -> list[str]:
    """
    Take the `count` migrations back that were applied last, latest first, and return their ids.

    Raises MigrationError for one whose files are not in the folder, and when PostgreSQL refuses its rollback file.
    """
    known = {migration.id: migration for migration in read(folder)}
    done: list[str] = []
    with _backend(connect, lock_wait) as backend:
        applied = [name for name, _ in backend.applied()]
        for name in list(reversed(applied))[: max(count, 0)]:
            if name not in known:
                raise MigrationError(f"{name} was applied, but is not in {folder}: it cannot be taken back")
            migration = known[name]
            with _named(f"{name}.rollback.sql", migration.rollback_text):
                backend.take_back(migration)
            done.append(name)
            if on_undone is not None:
                on_undone(name)
    return done


def status(connect: Connect, folder: Path) -> list[MigrationStatus]:
    """
    Return every migration of the folder and of the database with its state; only reads, and takes no lock.
    """
    migrations = read(folder)
    with _backend(connect, lock_wait=None) as backend:
        applied = dict(backend.applied())
    known = {migration.id for migration in migrations}
    unknown = [MigrationStatus(name, "unknown", at) for name, at in applied.items() if name not in known]
    return unknown + [
        MigrationStatus(each.id, "applied" if each.id in applied else "pending", applied.get(each.id)) for each in migrations
    ]


def pending(connect: Connect, folder: Path) -> list[str]:
    """
    Return the ids that `up` would apply, in order; only reads, and takes no lock.
    """
    return [each.id for each in status(connect, folder) if each.state == "pending"]


def _pending(migrations: list[SqlMigration], applied: list[str]) -> list[SqlMigration]:
    known = {migration.id for migration in migrations}
    unknown = [name for name in applied if name not in known]
    if unknown:
        raise MigrationError(f"the database has {', '.join(unknown)} applied, which this folder does not know: is it older?")
    todo = [migration for migration in migrations if migration.id not in applied]
    late = [migration.id for migration in todo if applied and migration.id < max(applied)]
    if late:
        raise MigrationError(f"{', '.join(late)} would be applied out of order, after {max(applied)}: give it a later number")
    return todo


# --- one connection, one runner --------------------------------------------------------------------------------------


@contextmanager
def _backend(connect: Connect, lock_wait: float | None) -> Generator[Backend]:
    with _translated():
        connection = connect()
        try:
            connection.autocommit = True
            _prepare(connection)
            if lock_wait is not None:
                _lock(connection, lock_wait)
            yield Backend(connection)
        finally:
            connection.close()  # and with it goes the lock, however this process ends


def _prepare(connection: psycopg.Connection[Any]) -> None:
    # A server that loses its runner ends the orphaned file at once, and its lock; not every system lets it notice.
    with suppress(psycopg.errors.InvalidParameterValue):
        connection.execute("SET client_connection_check_interval = '500ms'")
    row = connection.execute(_SESSION).fetchone()
    if row is None or row[-1] != connection.info.backend_pid:
        raise MigrationError("migrations need a connection to PostgreSQL itself, not to a pooler: set STORE_MIGRATE_URL")


def _lock(connection: psycopg.Connection[Any], wait: float) -> None:
    # On the connection that runs the files, so that an orphan still at work keeps it. Polled, because a blocked
    # pg_advisory_lock is a snapshot that CREATE INDEX CONCURRENTLY of the other runner would wait for.
    deadline = time.monotonic() + wait
    while connection.execute(_TRY_LOCK, (_LOCK_SPACE, _LOCK)).fetchone() != (True,):
        if time.monotonic() >= deadline:
            holders = connection.execute(_HOLDER, (_LOCK_SPACE, _LOCK % 2**32)).fetchall()
            names = ", ".join(str(holder[0]) for holder in holders) or "gone by now"
            raise MigrationLocked(f"another runner is at work (server process {names}): nothing was done, try again later")
        time.sleep(0.2)


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        if error.sqlstate is None:
            raise Unavailable(f"PostgreSQL cannot be reached: {error}") from None
        raise _store_error(error) from None
    except psycopg.Error as error:
        raise _store_error(error) from None


def _store_error(error: psycopg.Error) -> StoreError:
    return from_postgres(error.sqlstate, constraint=error.diag.constraint_name, primary=error.diag.message_primary)


@contextmanager
def _named(file: str, text: str) -> Generator[None]:
    try:
        yield
    except psycopg.Error as error:
        place = f"{file}:{_line(text, error)}"
        message = error.diag.message_primary or "the connection was lost"
        raise MigrationError(
            f"{place}: {message} (SQLSTATE {error.sqlstate}); nothing of this file is stored",
            sqlstate=error.sqlstate,
            constraint=error.diag.constraint_name,
        ) from None
    except MigrationError as error:
        raise MigrationError(f"{file}: {error}") from error


def _line(text: str, error: psycopg.Error) -> int:
    position = int(error.diag.statement_position or 1)
    return text.count("\n", 0, position - 1) + 1
