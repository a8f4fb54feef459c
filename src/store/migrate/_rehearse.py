"""
The files of a folder on a throw-away server that is brought to where a database is: what is pending is tried there first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from store.migrate import _fingerprint
from store.migrate._beside import told_of
from store.migrate._fill import ROWS, Filler
from store.migrate._folder import Folder, SqlMigration
from store.migrate._lint import apply, finish, foundation, readable
from store.migrate._plan import Plan
from store.migrate._report import Clock
from store.migrate._scratch import Scratch
from store.migrate._trace import Refused, trace


@dataclass(frozen=True, slots=True)
class Tried:
    """
    One pending file on the throw-away server: what it did to what was there, how long that took, and what refused it.
    """

    id: str
    duration_ms: int
    rows: int
    """How many rows the tables had."""
    effects: list[str]
    failed: dict[str, Any] | None = None


def rehearse(scratch: Scratch, folder: Path, plan: Plan) -> list[Tried]:
    """
    Apply what the database of a plan has, in that order, and then what is pending, until a file is refused.

    Raises MigrationError where what is applied cannot be applied to an empty database.
    """
    contents = readable(folder)
    due = [each["id"] for each in plan.pending]
    repeatables = [each.as_migration() for each in contents.repeatables]
    known = {each.id: each for each in [*contents.migrations, *repeatables]}
    there = [*(known[name] for name in plan.applied if name in known), *(each for each in repeatables if each.id not in due)]
    tried: list[Tried] = []
    with scratch.database() as connection:
        _build(connection, contents, there)
        filler = Filler(connection)
        for name in due:
            filler.fill()
            tried.append(_try(connection, known[name]))
            if tried[-1].failed:
                break
    return tried


def lines_at(scratch: Scratch, folder: Folder, id_: str, schemas: Sequence[str]) -> list[str]:
    """
    Return the lines of these schemas once the migrations up to this one are applied to an empty database.

    Raises MigrationError where they cannot be.
    """
    with scratch.database() as connection:
        _build(connection, folder, (each for each in folder.migrations if each.id <= id_))
        return _fingerprint.lines(connection, schemas)


def _build(connection: psycopg.Connection[Any], folder: Folder, migrations: Iterable[SqlMigration]) -> None:
    foundation(connection, folder)
    for each in migrations:
        apply(connection, each)


def _try(connection: psycopg.Connection[Any], migration: SqlMigration) -> Tried:
    clock, told, failed = Clock(), list[str](), None
    try:
        effects = trace(connection, migration.up.text, transactional=migration.transactional)
        finish(connection, migration)
        told = [line for effect in effects for line in told_of(effect)]
    except Refused as error:
        place = {"id": migration.id, "file": migration.up.name, "line": error.line, "sqlstate": error.sqlstate}
        failed = place | {"message": str(error)}
    return Tried(migration.id, clock.ms(), ROWS, told, failed)
