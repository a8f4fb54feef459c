"""
Moves a schema up and down and says where it is: one runner at a time, each file whole or not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from store.errors import MigrationDrift, MigrationError, Refusal, StoreError
from store.migrate import _apply, _lock, _preflight
from store.migrate._fingerprint import fingerprint
from store.migrate._folder import Folder, Repeatable, SqlMigration, read
from store.migrate._ledger import Entry, Fingerprint, Last
from store.migrate._report import Options, Report, Step
from store.migrate._seal import check_seal
from store.migrate._session import Connect, Session, opened

Heard = Callable[[str], None]

_log = logging.getLogger("store.migrate")


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """
    One migration: applied, pending, or unknown (applied, but not in the folder).
    """

    id: str
    state: Literal["applied", "pending", "unknown"]
    applied_at: datetime | None


def up(
    connect: Connect,
    folder: Path,
    on_applied: Heard | None = None,
    *,
    to: str | None = None,
    plan: str | None = None,
    options: Options | None = None,
    report: Report | None = None,
) -> list[str]:
    """
    Apply what is pending, in order, and return its ids; `on_applied` hears of each one when it is stored.

    A second runner waits for the first. Raises MigrationError, and leaves the database at the last whole migration, when
    PostgreSQL refuses a file; before anything is applied when the folder and the database do not belong together.
    PermissionDenied for a role that lacks the rights for a file or, before anything is applied, for the record.
    """
    options, report = options or Options(), report or Report("up")
    contents = read(folder)
    with refusing(report), _session(connect, options, report, contents, writes=True) as session:
        check(session, contents, to)
        session.lock()
        check(session, contents, to)  # again: another runner may have been at work until now
        if plan is not None:
            report.plan_hash = plan
            _preflight.refuse(check_seal(session, contents, plan, to))
        session.create_state()
        adopt(session, contents)
        _warn_of_drift(session, strict=options.strict or plan is not None)
        for work in _work(session, contents, to):
            step = work()
            report.applied.append(step)
            del report.pending[0]
            if on_applied is not None:
                on_applied(step.id)
    return [step.id for step in report.applied]


def down(
    connect: Connect,
    folder: Path,
    on_undone: Heard | None = None,
    *,
    count: int = 1,
    to: str | None = None,
    options: Options | None = None,
    report: Report | None = None,
) -> list[str]:
    """
    Take the `count` migrations back that were applied last, latest first, or all that came after `to`; return their ids.

    Raises MigrationError for one that is not in the folder or irreversible, and when PostgreSQL refuses its rollback file.
    """
    options, report = options or Options(), report or Report("down")
    contents = read(folder)
    with refusing(report), _session(connect, options, report, contents, writes=True) as session:
        session.lock()
        applied = [name for name, _ in session.backend.applied()]
        _preflight.target(contents, to, applied)
        names = applied[applied.index(to) + 1 :] if to is not None else applied[max(0, len(applied) - count) :]
        if not names:
            return []
        _preflight.refuse([*_fatal(contents), *_preflight.undoing(contents, names[::-1], session.ledger.recorded())])
        session.create_state()
        adopt(session, contents)
        for migration in _chosen(contents, names[::-1]):
            report.applied.append(_apply.take_back(session, migration))
            if on_undone is not None:
                on_undone(migration.id)
    return [step.id for step in report.applied]


def redo(connect: Connect, folder: Path, *, options: Options | None = None, report: Report | None = None) -> list[str]:
    """
    Take the last migration back and apply it again, under one lock, as its files are now, and return its id.

    Raises MigrationDrift when the schema is not what it was before.
    """
    options, report = options or Options(), report or Report("redo")
    contents = read(folder)
    with refusing(report), _session(connect, options, report, contents, writes=True) as session:
        session.lock()
        names = [name for name, _ in session.backend.applied()][-1:]
        _preflight.refuse([*_fatal(contents), *_preflight.undoing(contents, names, {})])
        session.create_state()
        adopt(session, contents)
        before = session.fingerprint()
        for migration in _chosen(contents, names):
            for half in (_apply.take_back, _apply.apply):  # each is told when it is stored: the second may fail
                report.applied.append(half(session, migration))
        if session.fingerprint() != before:
            raise MigrationDrift(
                f"{names[0]} was applied again, and the schema is not what it was before: is its rollback whole?"
            )
    return names


def status(
    connect: Connect, folder: Path, *, options: Options | None = None, report: Report | None = None
) -> list[MigrationStatus]:
    """
    Return every migration of the folder and of the database with its state; only reads, and takes no lock.

    `report.refusals` then holds what would keep `up` from beginning.
    """
    options, report = options or Options(), report or Report("status")
    contents = read(folder)
    with _session(connect, options, report, contents, writes=False) as session:
        applied = dict(session.backend.applied())
        recorded = session.ledger.recorded()
        report.refusals = tuple(_all(contents, list(applied), recorded, options))
        report.holders = [str(each) for each in _lock.holders(session.connection, options.state_schema)]
    known = {migration.id for migration in contents.migrations}
    found = [MigrationStatus(name, "unknown", at) for name, at in applied.items() if name not in known]
    found += [
        MigrationStatus(each.id, "applied" if each.id in applied else "pending", applied.get(each.id))
        for each in contents.migrations
    ]
    changed = {each.id for each in _changed(contents, recorded)}
    found += [MigrationStatus(r.id, "pending" if r.id in changed else "applied", None) for r in contents.repeatables]
    report.pending = [{"id": each.id} for each in found if each.state == "pending"]
    return found


def pending(connect: Connect, folder: Path) -> list[str]:
    """
    Return the ids that `up` would apply, in order; only reads, and takes no lock.
    """
    return [each.id for each in status(connect, folder) if each.state == "pending"]


# --- shared with the other commands ----------------------------------------------------------------------------------


def check(session: Session, folder: Folder, to: str | None = None) -> None:
    """
    Raise one MigrationError for everything that keeps `up` from beginning.
    """
    applied = [name for name, _ in session.backend.applied()]
    _preflight.target(folder, to, [migration.id for migration in folder.migrations])
    _preflight.refuse(_all(folder, applied, session.ledger.recorded(), session.options))


def adopt(session: Session, folder: Folder) -> None:
    """
    Enter into the ledger what was applied before there was one, or by plain yoyo: with the content its file has now.
    """
    recorded = session.ledger.recorded()
    known = {migration.id: migration for migration in folder.migrations}
    for name, _ in session.backend.applied():
        if name in known and (name not in recorded or recorded[name].operation == "down"):
            migration = known[name]
            down_hash = migration.down.sha256 if migration.down else None
            session.ledger.write(Entry(name, "adopt", migration.up.sha256, down_hash), "done")
            _log.info("%s was applied before there was a ledger: recorded as its file is now", name)


@contextmanager
def _session(connect: Connect, options: Options, report: Report, folder: Folder, *, writes: bool) -> Generator[Session]:
    with ExitStack() as stack:
        try:
            session = stack.enter_context(opened(connect, options, report, writes=writes))
        except StoreError:
            _preflight.refuse(folder.refusals)  # what is wrong with the files is told also where no server answers
            raise
        session.cover(folder.schemas)
        yield session


class refusing:  # noqa: N801 (used like a function)
    """
    A block whose refusals end up in the report.
    """

    def __init__(self, report: Report) -> None:
        self._report = report

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MigrationError):
            self._report.refusals = error.refusals


def _all(folder: Folder, applied: list[str], recorded: dict[str, Last], options: Options) -> list[Refusal]:
    if other := list(_preflight.elsewhere(folder, applied, recorded, options.state_schema)):
        return [*folder.refusals, *other]  # what else could be said of these files would mislead
    return [
        *folder.refusals,
        *_preflight.history(folder, applied, recorded),
        *_preflight.order(folder, applied, options.allow_out_of_order),
    ]


def _fatal(folder: Folder) -> list[Refusal]:
    return [refusal for refusal in folder.refusals if refusal.exit_code == 2]


def _chosen(folder: Folder, names: Iterable[str]) -> list[SqlMigration]:
    known = {migration.id: migration for migration in folder.migrations}
    return [known[name] for name in names]


def _changed(folder: Folder, recorded: dict[str, Last]) -> list[Repeatable]:
    return [each for each in folder.repeatables if each.id not in recorded or recorded[each.id].sha256 != each.up.sha256]


def todo(session: Session, folder: Folder, to: str | None) -> tuple[list[SqlMigration], list[Repeatable]]:
    """
    Return what is to be done, in order: what a killed `down` left half taken back, the pending files, the changed repeatables.
    """
    applied = {name for name, _ in session.backend.applied()}
    newest = session.ledger.newest()

    def is_due(migration: SqlMigration) -> bool:
        last = newest.get(migration.id)
        half = last is not None and last.operation == "down" and last.outcome != "done" and not migration.transactional
        return migration.id not in applied or half

    migrations = [each for each in folder.migrations if (to is None or each.id <= to) and is_due(each)]
    return migrations, [] if to is not None else _changed(folder, session.ledger.recorded())


def _work(session: Session, folder: Folder, to: str | None) -> list[Callable[[], Step]]:
    applied = {name for name, _ in session.backend.applied()}
    migrations, repeatables = todo(session, folder, to)
    names = [each.id for each in migrations] + [each.id for each in repeatables]
    session.report.pending = [{"id": name} for name in names]
    return [
        *(
            _bound(session, each, out_of_order=each.id < max(applied, default=""), repaired=each.id in applied)
            for each in migrations
        ),
        *(_bound_repeatable(session, each) for each in repeatables),
    ]


def _bound(
    session: Session, migration: SqlMigration, *, out_of_order: bool = False, repaired: bool = False
) -> Callable[[], Step]:
    return lambda: _apply.apply(session, migration, out_of_order=out_of_order, repaired=repaired)


def _bound_repeatable(session: Session, repeatable: Repeatable) -> Callable[[], Step]:
    return lambda: _apply.repeat(session, repeatable)


def drifted(expected: Fingerprint, found: str) -> str:
    """
    Return the sentence that says so.
    """
    names = ", ".join(expected.schemas)
    return f"schema {names} is not what the last migration left: fingerprint {found[:12]}, recorded {expected.hash[:12]}"


def _warn_of_drift(session: Session, *, strict: bool) -> None:
    expected, found = session.ledger.fingerprint(), session.fingerprint()
    if expected is None:
        return
    if expected.schemas != found.schemas:  # the files make more by now, or the options name others: what was recorded counts
        found = Fingerprint(fingerprint(session.connection, expected.schemas), expected.schemas)
    if expected == found:
        return
    message = drifted(expected, found.hash)
    if strict:
        _preflight.refuse([Refusal("drift", 8, message)])
    session.report.warnings.append(message)
    _log.warning("%s; going on", message)
