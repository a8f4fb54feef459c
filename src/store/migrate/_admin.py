"""
What a person does around the runs: adopt a database, see who holds the lock, begin a migration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from store.errors import (
    MigrationDrift,
    MigrationFolderError,
    MigrationHistoryError,
    MigrationLocked,
    MigrationRefused,
    MissingExtra,
)
from store.migrate import _lock, _preflight, _runner, _scratch
from store.migrate._beside import MAKE, kept
from store.migrate._fingerprint import difference, lines
from store.migrate._folder import MANIFEST, ROLLBACK, Folder, read
from store.migrate._ledger import Entry
from store.migrate._rehearse import lines_at
from store.migrate._report import Options, Report
from store.migrate._session import APPLICATION, Connect, Session, opened

_END = "SELECT pg_terminate_backend(%s, 5000)"  # milliseconds to wait for its end
_HIGHEST = 9999
_WORDS = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Created:
    """
    The two files of a new migration, and whether the folder was made for them.
    """

    up: Path
    down: Path
    made_folder: bool = False


def baseline(
    connect: Connect, folder: Path, id_: str, *, options: Options | None = None, report: Report | None = None
) -> list[str]:
    """
    Record everything up to this migration as applied, without running it, and return the ids.

    Only where the schema is exactly what these migrations make, by the fingerprint that MANIFEST keeps for this one. Raises
    MigrationDrift where it is not, MigrationHistoryError where something is recorded already, or nothing kept to compare with.
    """
    options, report = options or Options(), report or Report("baseline")
    contents = read(folder)
    with _runner.refusing(report), opened(connect, options, report, writes=True) as session:
        _preflight.refuse(contents.refusals)
        _preflight.target(contents, id_, [migration.id for migration in contents.migrations], said="")
        session.lock()
        if applied := session.backend.applied():
            raise MigrationHistoryError(
                f"{applied[-1][0]} is recorded as applied: a baseline is for a database without a record"
            )
        session.cover(contents.schemas)
        expected, found = _expected(contents, id_), session.fingerprint()
        if expected != found.hash:
            raise MigrationDrift(
                f"the schema is not what {id_} leaves: fingerprint {found.hash[:12]}, expected {expected[:12]}; nothing was "
                f"recorded\n{_difference(session, contents, id_)}"
            )
        session.create_state()
        chosen = [migration for migration in contents.migrations if migration.id <= id_]
        with session.connection.transaction():
            for each in chosen:
                session.backend.record(each, "mark")
                entry = Entry(each.id, "baseline", each.up.sha256, each.down.sha256 if each.down else None, after=found)
                session.ledger.write(entry, "done")
    return [migration.id for migration in chosen]


def unlock(
    connect: Connect, *, terminate: int | None = None, options: Options | None = None, report: Report | None = None
) -> bool:
    """
    Take a stale row of yoyo's own lock away, and end a runner that is named and holds the lock; say whether a row went.

    Raises MigrationLocked, naming the holder, while somebody is at work; MigrationRefused for a process that is no runner.
    """
    options, report = options or Options(), report or Report("unlock")
    with opened(connect, options, report, writes=True) as session:
        holders = _lock.holders(session.connection, options.state_schema)
        if terminate is not None and terminate not in {holder.pid for holder in holders}:
            at_work = "; ".join(map(str, holders)) or "nobody"
            raise MigrationRefused(f"{terminate} is no runner of migrations: nothing is ended. At work: {at_work}")
        for holder in holders:
            if holder.pid != terminate:
                report.holders.append(str(holder))
            elif not (holder.application or "").startswith(APPLICATION):
                raise MigrationRefused(f"{holder} is no runner of migrations: it is not ended")
            elif session.connection.execute(_END, (holder.pid,)).fetchone() != (True,):
                raise MigrationLocked(f"{holder} was told to end, and is at work still: look again in a moment")
        if report.holders:
            raise MigrationLocked(
                f"at work: {'; '.join(report.holders)}; --terminate PID ends a runner. The file it is at is undone, but for "
                "what stands outside a transaction and the rounds of a batch that are done: the next run goes on from there"
            )
        if not session.backend.is_row_locked():
            return False
        session.backend.clear_row_lock()
    return True


def new(folder: Path, words: str) -> Created:
    """
    Write the two files of the next migration, with their headers, and return where they are; the first one makes its folder.

    Raises MigrationFolderError for words that make no name, and for a place that cannot be written.
    """
    name = "_".join(words.lower().split())
    if not _WORDS.fullmatch(name):
        raise MigrationFolderError("a migration is called by words: letters, digits, underscores")
    try:
        migrations = read(folder).migrations
    except MigrationFolderError:  # missing or empty: this is the first one
        migrations = []
    last = migrations[-1].id if migrations else None
    number = int(last[:4]) + 1 if last else 1
    if number > _HIGHEST:
        message = f"{last} has the last number there is: go on in another folder (--folder), with --state-schema of its own"
        raise MigrationFolderError(message)
    up, down = folder / f"{number:04}_{name}.sql", folder / f"{number:04}_{name}{ROLLBACK}"
    depends, made_folder = f"-- depends: {last}\n" if last else "", not folder.is_dir()
    try:
        folder.mkdir(exist_ok=True)
        up.write_text(f"-- Why, in one sentence.\n{depends}\n", encoding="utf-8")
        down.write_text("-- What is lost, in one sentence.\n\n", encoding="utf-8")
    except OSError as error:
        raise MigrationFolderError(f"{error.filename} cannot be written: {error.strerror}") from None
    return Created(up, down, made_folder)


def _difference(session: Session, folder: Folder, id_: str) -> str:
    """
    Return what differs, a line an object: the files up to this one are applied to a throw-away server, and looked at there.
    """
    try:
        with _scratch.scratch(_scratch.version_like(session.report.server_version)) as server:
            expected = lines_at(server, folder, id_, session.schemas)
    except MissingExtra as error:
        return f"to see which objects differ: {error}"
    told = difference(expected, lines(session.connection, session.schemas))
    return "\n".join(told) or f"what {folder.path} makes up to {id_} is there: it is {MANIFEST} that says something else"


def _expected(folder: Folder, id_: str) -> str:
    for line in kept(folder.path / MANIFEST):
        parts = line.split()
        if parts[:1] == [id_]:
            return parts[-1]
    raise MigrationHistoryError(f"{MANIFEST} keeps no fingerprint for {id_}: `{MAKE}` makes it")
