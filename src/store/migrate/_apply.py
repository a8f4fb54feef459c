"""
Applies one migration or takes it back: a file and its record are one transaction, or, outside one, go on where they were ended.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus, TransactionStatus

from store.errors import MigrationError, MigrationResumable, PermissionDenied, StoreError
from store.migrate import _nontransactional
from store.migrate._folder import Repeatable, SqlFile, SqlMigration
from store.migrate._ledger import Entry
from store.migrate._report import Clock, Step
from store.migrate._retry import retried
from store.migrate._session import WAY_OUT, Session

Record = Callable[[], None]

_FINE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.EMPTY_QUERY)


def apply(session: Session, migration: SqlMigration, *, out_of_order: bool = False, repaired: bool = False) -> Step:
    """
    Apply one migration and record it, both or neither; `repaired` is applied already, and only its schema is mended.
    """
    entry = _entry(migration, "up", out_of_order=out_of_order and not repaired)

    def record() -> None:
        if not repaired:
            session.backend.record(migration, "apply")

    return _run(session, migration.up, entry, record, outside=not migration.transactional or migration.up.headers.batch)


def take_back(session: Session, migration: SqlMigration) -> Step:
    """
    Take one migration back and forget it, both or neither.
    """
    if migration.down is None:
        raise MigrationError(f"{migration.id} has no rollback file")

    def record() -> None:
        session.backend.record(migration, "rollback")

    # The headers of the file that applies it decide for both.
    down = replace(migration.down, headers=replace(migration.down.headers, timeout=migration.up.headers.timeout))
    return _run(session, down, _entry(migration, "down"), record, outside=not migration.transactional)


def repeat(session: Session, repeatable: Repeatable) -> Step:
    """
    Apply a repeatable file and record its content, both or neither.
    """
    entry = Entry(repeatable.id, "repeatable", repeatable.up.sha256)
    return _run(session, repeatable.up, entry, lambda: None, outside=False)


def _entry(migration: SqlMigration, operation: str, *, out_of_order: bool = False) -> Entry:
    down = migration.down.sha256 if migration.down else None
    return Entry(migration.id, operation, migration.up.sha256, down, out_of_order)


@dataclass(slots=True)
class _Work:
    """
    One file on its way; `at` is the statement under way, by its place in the file: None before the first and after the last.
    """

    session: Session
    file: SqlFile
    entry: Entry
    record: Record
    step: Step
    clock: Clock = field(default_factory=Clock)
    at: int | None = None

    def inside(self) -> None:
        """
        Run the file and record it in one transaction.
        """
        connection = self.session.connection
        with connection.transaction():
            before = self.session.standing(_nontransactional.bounds(self.session.options, self.file, local=True))
            self._send()
            ended = connection.info.transaction_status != TransactionStatus.INTRANS
            if ended or self.session.check(before, self.file.name).transaction != before.transaction:
                raise MigrationError("the file ended the transaction itself: what it did is stored, and not recorded")
            self._done()

    def outside(self) -> None:
        """
        Run the file outside a transaction, or what an earlier run left of it, and then record it.
        """
        session, entry = self.session, self.entry
        last = session.ledger.newest().get(entry.id)
        resumed = last is not None and last.outcome != "done" and last.operation == entry.operation
        session.report.resumable = True
        before = session.standing()
        session.ledger.write(entry, "started")
        self.at = 0
        if self.file.headers.batch:
            _nontransactional.run_batches(session, self.file, self.step)
        else:
            _nontransactional.run(session, self.file, self.step, resumed=resumed)
        session.check(before, self.file.name)
        self.at = None
        with session.connection.transaction():
            self._done()

    def note(self, error: StoreError | None, line: int | None = None) -> None:
        """
        Keep what went wrong: in the report, and in the ledger when the connection still lives; None is an interruption.
        """
        self.step.duration_ms = self.clock.ms()
        report, entry = self.session.report, self.entry
        self.session.left = None
        message = "interrupted" if error is None else str(error)
        sqlstate = error.sqlstate if error else None
        # With a SQLSTATE the server itself says that it was rolled back; else nobody has looked at what is there now.
        is_undone = self.step.transactional and sqlstate is not None
        report.fingerprint = entry.before.hash if is_undone and entry.before else None
        found: dict[str, Any] = {"id": entry.id, "file": self.file.name, "line": line, "sqlstate": sqlstate}
        report.failed = found | {"message": message, "blockers": []} | (report.failed or {})
        with suppress(psycopg.Error), self.session.connection.transaction():
            self.session.bound_locks()  # an end must not wait for whoever holds the ledger
            outcome = "interrupted" if error is None else "failed"
            self.session.ledger.write(replace(entry, sqlstate=sqlstate, message=message[:500]), outcome, self.step)

    def line(self, error: psycopg.Error) -> int | None:
        """
        Return the line that PostgreSQL points at, else the one where the statement begins that it refused.
        """
        if self.at is None or self.at >= len(self.file.statements):
            return None
        first, position = self.file.statements[self.at], error.diag.statement_position
        if position is None:
            return first.line
        if self.step.transactional:
            return self.file.text.count("\n", 0, int(position) - 1) + 1
        return first.line + first.text.count("\n", 0, int(position) - 1)

    def _send(self) -> None:
        # The whole file in one message, unprepared: nobody has to know where a statement ends. Its rows are of no interest, but
        # the results before the failing one tell which statement that is.
        connection, self.at = self.session.connection, 0
        with connection.lock:
            connection.pgconn.send_query(self.file.text.encode())
            results = connection.wait(generators.execute(connection.pgconn))
        for self.at, result in enumerate(results):
            if result.status not in _FINE:
                raise psycopg.errors.error_from_result(result)
        self.at = None

    def _done(self) -> None:
        after = self.session.fingerprint()
        self.step.duration_ms = self.clock.ms()
        self.record()
        self.session.ledger.write(replace(self.entry, after=after), "done", self.step)


def _run(session: Session, file: SqlFile, entry: Entry, record: Record, *, outside: bool) -> Step:
    session.name(entry.id)
    entry = replace(entry, before=session.left or session.fingerprint())
    work = _Work(session, file, entry, record, Step(entry.id, entry.operation, transactional=not outside))
    with _told(work):
        if outside:
            work.outside()
        else:
            retried(session, work.step, file.name, work.inside)
    session.report.resumable = False
    return work.step


# --- what goes wrong -------------------------------------------------------------------------------------------------


@contextmanager
def _told(work: _Work) -> Generator[None]:
    try:
        yield
    except psycopg.Error as error:
        line = work.line(error)
        failure = _failure(work, error, line)
        work.note(failure, line)
        raise failure from None
    except MigrationError as error:
        work.note(error)
        raise
    except KeyboardInterrupt:
        work.note(None)
        raise


def _failure(work: _Work, error: psycopg.Error, line: int | None) -> StoreError:
    place = work.file.name if line is None else f"{work.file.name}:{line}"
    resumable, ended = work.session.report.resumable, isinstance(error, psycopg.errors.AdminShutdown)
    if resumable:
        rest = f"run it again{'' if ended else ' when that is mended'}, it goes on from there"
    elif error.sqlstate is None:  # perhaps the COMMIT arrived, and its answer did not
        rest = "run it again: the record knows whether this file is stored"
    else:
        rest = "nothing of this file is stored" + (": run it again" if ended else "")
    kind: type[StoreError] = MigrationResumable if resumable else MigrationError
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        kind, rest = PermissionDenied, f"{rest}; {work.session.role()} may not do this: {WAY_OUT}"
    return kind(
        f"{place}: {_words(error)}{_bound(work, error)} (SQLSTATE {error.sqlstate}); {rest}",
        sqlstate=error.sqlstate,
        constraint=error.diag.constraint_name,
    )


def _words(error: psycopg.Error) -> str:
    state = error.sqlstate or ""
    if state.startswith("22"):  # these messages quote values out of rows
        return f"a value does not fit ({psycopg.errors.lookup(state).__name__})"
    if isinstance(error, psycopg.errors.AdminShutdown):
        return "somebody ended this runner, or the server is shutting down"
    if state:
        return error.diag.message_primary or "PostgreSQL refused it"
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return "the connection was lost"
    return str(error)


def _bound(work: _Work, error: psycopg.Error) -> str:
    # A statement may also be cancelled by somebody; in other languages than English the words alone have to do.
    if not isinstance(error, psycopg.errors.QueryCanceled) or "statement timeout" not in (error.diag.message_primary or ""):
        return ""
    bounds = _nontransactional.bounds(work.session.options, work.file, local=work.step.transactional or work.file.headers.batch)
    option = "" if work.entry.operation == "down" else f", or {bounds.option}"
    return f" after {bounds.statement:g} s, which `-- store: timeout: 15min` above the migration lengthens{option}"
