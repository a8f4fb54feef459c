"""
Applies one migration or takes it back: a file and its record are one transaction, or, outside one, go on where they were ended.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from store.errors import MigrationError, MigrationResumable, StoreError
from store.migrate import _nontransactional
from store.migrate._folder import Repeatable, SqlFile, SqlMigration
from store.migrate._ledger import Entry
from store.migrate._report import Clock, Step
from store.migrate._retry import retried
from store.migrate._session import Session

Record = Callable[[], None]


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

    return _run(session, migration.down, _entry(migration, "down"), record, outside=not migration.transactional)


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
    One file on its way.
    """

    session: Session
    file: SqlFile
    entry: Entry
    record: Record
    step: Step
    clock: Clock = field(default_factory=Clock)

    def inside(self) -> None:
        """
        Run the file and record it in one transaction.
        """
        connection = self.session.connection
        with connection.transaction():
            began = self.session.transaction_id()
            role = _nontransactional.set_timeouts(self.session, self.file, local=True)
            # The whole file in one message, unprepared: nobody has to know where a statement ends. Its rows are of no interest.
            connection.execute(self.file.text.encode(), prepare=False)
            ended = connection.info.transaction_status != TransactionStatus.INTRANS
            if ended or self.session.transaction_id() != began:
                raise MigrationError("the file ended the transaction itself: what it did is stored, and not recorded")
            self.session.check_still_ours(role, self.file.name)
            self._done()

    def outside(self) -> None:
        """
        Run the file outside a transaction, or what an earlier run left of it, and then record it.
        """
        session, entry = self.session, self.entry
        last = session.ledger.newest().get(entry.id)
        resumed = last is not None and last.outcome != "done" and last.operation == entry.operation
        session.report.resumable = True
        role = session.role()
        session.ledger.write(entry, "started")
        if self.file.headers.batch:
            _nontransactional.run_batches(session, self.file, self.step)
        else:
            _nontransactional.run(session, self.file, self.step, resumed=resumed)
        session.check_still_ours(role, self.file.name)
        with session.connection.transaction():
            self._done()

    def note(self, error: StoreError | None, *, line: int | None = None) -> None:
        """
        Keep what went wrong: in the report, and in the ledger when the connection still lives; None is an interruption.
        """
        self.step.duration_ms = self.clock.ms()
        report, entry = self.session.report, self.entry
        self.session.left = None
        message = "interrupted" if error is None else str(error)
        sqlstate = error.sqlstate if error else None
        found: dict[str, Any] = {"id": entry.id, "file": self.file.name, "line": line, "sqlstate": sqlstate}
        report.failed = found | {"message": message, "blockers": []} | (report.failed or {})
        with suppress(psycopg.Error):
            outcome = "interrupted" if error is None else "failed"
            self.session.ledger.write(replace(entry, sqlstate=sqlstate, message=message[:500]), outcome, self.step)

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
        failure = _failure(work.session, work.file, error)
        work.note(failure, line=_line(work.file.text, error))
        raise failure from None
    except MigrationError as error:
        work.note(error)
        raise
    except KeyboardInterrupt:
        work.note(None)
        raise


def _failure(session: Session, file: SqlFile, error: psycopg.Error) -> MigrationError:
    line = _line(file.text, error)
    place = file.name if line is None else f"{file.name}:{line}"
    resumable = session.report.resumable
    if resumable:
        rest = "run it again when that is mended, it goes on from there"
    elif error.sqlstate is None:  # perhaps the COMMIT arrived, and its answer did not
        rest = "run it again: the record knows whether this file is stored"
    else:
        rest = "nothing of this file is stored"
    kind = MigrationResumable if resumable else MigrationError
    return kind(
        f"{place}: {_words(error)} (SQLSTATE {error.sqlstate}); {rest}",
        sqlstate=error.sqlstate,
        constraint=error.diag.constraint_name,
    )


def _words(error: psycopg.Error) -> str:
    state = error.sqlstate or ""
    if state.startswith("22"):  # these messages quote values out of rows
        return f"a value does not fit ({psycopg.errors.lookup(state).__name__})"
    if state:
        return error.diag.message_primary or "PostgreSQL refused it"
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return "the connection was lost"
    return str(error)


def _line(text: str, error: psycopg.Error) -> int | None:
    position = error.diag.statement_position
    return None if position is None else text.count("\n", 0, int(position) - 1) + 1
