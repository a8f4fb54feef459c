"""
What is pending between two releases, and whether the one that runs survives it.

Nothing is guessed from the text of a migration: each is applied to a throw-away database that has the schema of the release
that runs, and PostgreSQL is asked anew about every query of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from store.errors import MigrationError, MigrationFolderError, Refusal
from store.gate._previous import Previous
from store.gate._trial import Release, Trial
from store.gate._verdict import Gate
from store.migrate import _preflight
from store.migrate._folder import Folder, SqlMigration, read
from store.migrate._ledger import Last
from store.migrate._lint import apply, foundation, readable
from store.migrate._scratch import Scratch


def pending(previous: Previous, folder: Path) -> list[SqlMigration]:
    """
    Return what this folder has and that release has not: migrations in their order, then repeatable files that changed.

    Raises MigrationHistoryError where a migration of that release was edited, renamed or is missing here.
    """
    old, new = _old(previous), readable(folder)
    applied = {
        each.id: Last("up", "applied", each.up.sha256, each.down.sha256 if each.down else None) for each in old.migrations
    }
    told = {
        "newer-database": f"is in {previous.ref} and not here: merge it first",
        "missing": f"is in {previous.ref} and not here: restore it",
        "edited": f"is another one in {previous.ref}: restore its files, and write a new migration",
    }
    refusals = [
        Refusal(each.rule, 7, f"{each.id} {told[each.rule]}", each.id) if each.rule in told else each
        for each in _preflight.history(new, list(applied), applied)
    ]
    _preflight.refuse(refusals)
    known = {each.id: each.up.sha256 for each in old.repeatables}
    changed = [each.as_migration() for each in new.repeatables if known.get(each.id) != each.up.sha256]
    return [*(each for each in new.migrations if each.id not in applied), *changed]


def gate(
    scratch: Scratch, previous: Previous, folder: Path, steps: Sequence[SqlMigration], queries: Path, *, prefix: str = "app"
) -> Gate:
    """
    Return whether the queries of the release that runs survive each pending migration, and which new ones wait for one.

    Raises MigrationFolderError for a release whose own migrations do not apply.
    """
    made = Gate([each.id for each in steps])
    old = Release(previous.ref, previous.version, previous.queries, prefix=prefix, place=previous.layout.queries)
    new = Release("this release", None, queries, prefix=prefix)
    made.verdicts += [*old.unread, *new.unread]
    made.judged = len({each.full_name for each in old.texts})
    with scratch.database() as connection:
        _settle(connection, previous, folder)
        Trial(connection, folder, (old, new), made).run(steps)
    made.verdicts.sort(key=lambda each: (each.migration or "", each.path, each.line, each.severity))
    return made


def _old(previous: Previous) -> Folder:
    folder = read(previous.migrations)
    if wrong := [each.message for each in folder.refusals if each.exit_code == 2]:
        raise MigrationFolderError(f"the migrations of {previous.ref} cannot be read: " + "\n".join(wrong))
    return folder


def _settle(connection: psycopg.Connection[Any], previous: Previous, folder: Path) -> None:
    old = _old(previous)
    try:
        foundation(connection, readable(folder))
        for each in (*old.migrations, *(one.as_migration() for one in old.repeatables)):
            apply(connection, each)
    except MigrationError as error:
        raise MigrationFolderError(f"the migrations of {previous.ref} do not apply: {error}") from None
