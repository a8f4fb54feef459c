"""
Reviews a folder of migrations: findings by file and line, and for each migration a text that says what it locks.

Every file is applied on a throw-away database whose tables hold rows, in the order of the folder, and read by squawk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from store import _files
from store.errors import MigrationError, MigrationFolderError
from store.migrate import _fingerprint, _preflight, _rules, _squawk
from store.migrate._beside import ledger, manifest_line
from store.migrate._fill import Filler
from store.migrate._folder import MANIFEST, Folder, SqlMigration, read
from store.migrate._rules import Breach
from store.migrate._scratch import Scratch, schemas
from store.migrate._trace import Effect, Refused, trace
from store.migrate._weigh import Size, weighed

_ALLOW = re.compile(
    r"^[ \t]*--[ \t]*store:[ \t]*allow:[ \t]*(?P<rule>[a-z-]*)[ \t]*(?::[ \t]*(?P<reason>\S.*))?$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Review:
    """
    What was found, and what belongs beside the files: a text for each migration, and the lines of MANIFEST.

    `unfilled` names the tables for which no rows were found: what happens to their rows is not seen.
    """

    findings: list[Breach]
    ledgers: dict[str, str]
    manifest: list[str]
    unfilled: list[str]

    @property
    def errors(self) -> list[Breach]:
        """
        The findings that refuse a migration.
        """
        return [finding for finding in self.findings if finding.severity == "error"]


def review(scratch: Scratch, folder: Path, sizes: Mapping[str, Size] | None = None, *, after: str | None = None) -> Review:
    """
    Return the review of a folder; the database in use has no part in it.

    Where the sizes of its tables are given, the severities go by them, in the files after the one that is named. A folder of a
    team's own is tried on top of the migrations of this package. Raises MigrationFolderError for a folder that cannot be read,
    MissingExtra without squawk.
    """
    contents = readable(folder)
    _preflight.target(contents, after, [migration.id for migration in contents.migrations], said="--after ")
    found: list[Breach] = []
    ledgers: dict[str, str] = {}
    manifest: list[str] = []
    with scratch.database() as connection:
        before = foundation(connection, contents)
        filler, unfilled = Filler(connection), list[str]()
        for migration in contents.migrations:
            unfilled = filler.fill()
            weigh = after is None or migration.id > after
            findings, effects = examine(connection, migration, sizes if weigh else None)
            found += findings
            if effects is None:
                break
            filler.fill()
            back = _rollback(connection, migration)
            if isinstance(back, Refused) and migration.down is not None:
                found.append(_rules.told("does-not-apply", migration.down.name, back.line, str(back)))
            ledgers[f"{migration.id}.locks.txt"] = ledger(migration, effects, back)
            own = [name for name in schemas(connection) if name not in before]
            manifest.append(manifest_line(migration, _fingerprint.fingerprint(connection, own)))
        else:
            for each in contents.repeatables:
                found += examine(connection, each.as_migration(), sizes)[0]
    return Review(sorted(found), ledgers, manifest, unfilled)


def readable(path: Path) -> Folder:
    """
    Return a folder of migrations in which nothing is wrong by itself.

    Raises MigrationFolderError, or MigrationRefused, with all that is.
    """
    folder = read(path)
    _preflight.refuse(folder.refusals)
    return folder


def examine(
    connection: psycopg.Connection[Any], migration: SqlMigration, sizes: Mapping[str, Size] | None = None
) -> tuple[list[Breach], list[Effect] | None]:
    """
    Apply one migration and return what is to be said about it, and what each statement did; None where PostgreSQL refused it.
    """
    file, text = migration.up.name, migration.up.text
    found = list(_squawk.findings(file, text, transactional=migration.transactional))
    effects: list[Effect] | None = None
    try:
        effects = trace(connection, text, transactional=migration.transactional, faults=_rules.faults)
        finish(connection, migration)
    except Refused as error:
        found.append(_rules.told("does-not-apply", file, error.line, str(error)))
    found = [finding for finding in found if not _disproved(finding, effects or ())]
    for effect in effects or ():
        found += _rules.of_effect(file, effect, batch=migration.up.headers.batch)
        found += [_rules.told(rule, file, effect.statement.line, name) for rule, name in sorted(effect.faults)]
    return _allowed(file, text, [weighed(each, effects or (), sizes or {}) for each in found]), effects


def write(folder: Path, made: Review) -> list[str]:
    """
    Write the ledgers and MANIFEST into the folder where they differ; return the names of the files that did.
    """
    changed: list[str] = []
    for name, text in [*made.ledgers.items(), (MANIFEST, "".join(line + "\n" for line in made.manifest))]:
        path = folder / name
        if _text(path) != text:
            try:
                path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise MigrationFolderError(f"{path} cannot be written: {error.strerror}") from error
            changed.append(name)
    return changed


def stale(folder: Path, made: Review) -> list[str]:
    """
    Return what beside the migrations is not what they do, or is missing; nothing is written.
    """
    manifest = "".join(line + "\n" for line in made.manifest)
    expected = made.ledgers | {MANIFEST: manifest}
    kept = {path.name for path in folder.glob("*.locks.txt")}
    told = [name for name, text in expected.items() if _text(folder / name) != text]
    return sorted({*told, *(kept - set(expected))})


def _text(path: Path) -> str | None:
    # What is no text is not what the files do either: a new one is written over it.
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise MigrationFolderError(f"{path} cannot be read: {error.strerror}") from None


def foundation(connection: psycopg.Connection[Any], folder: Folder) -> set[str]:
    """
    Apply the migrations of this package, for a folder of a team's own, and return the schemas they made.

    A folder that makes the schema `store` itself, as ours does, stands alone.
    """
    made = [statement.words for migration in folder.migrations for statement in migration.up.statements]
    if any(words[:2] == ("create", "schema") and words[-1] == "store" for words in made):
        return set()
    for migration in readable(_files.folder("migrations")).migrations:
        apply(connection, migration)
    return set(schemas(connection))


def apply(connection: psycopg.Connection[Any], migration: SqlMigration, *, back: bool = False) -> None:
    """
    Apply one migration to a throw-away database, or take it back, and record nothing.

    Raises MigrationError where PostgreSQL refuses it.
    """
    file = migration.down if back else migration.up
    if file is None:
        raise MigrationError(f"{migration.id} has no rollback file")
    try:
        trace(connection, file.text, transactional=migration.transactional)
        if not back:
            finish(connection, migration)
    except Refused as error:
        raise MigrationError(f"{file.name}:{error.line}: {error}") from None


def finish(connection: psycopg.Connection[Any], migration: SqlMigration) -> None:
    """
    Repeat a batch until it finds nothing more, so that the next file meets what it left.
    """
    while migration.up.headers.batch and any(effect.rows for effect in trace(connection, migration.up.text)):
        pass


def _rollback(connection: psycopg.Connection[Any], migration: SqlMigration) -> list[Effect] | Refused:
    # What it takes back is there again afterwards: the next file stands on it.
    if migration.down is None:
        return []
    try:
        if migration.transactional:
            with connection.transaction(force_rollback=True):
                return trace(connection, migration.down.text)
        effects = trace(connection, migration.down.text, transactional=False)
    except Refused as error:
        return error
    apply(connection, migration)
    return effects


def _disproved(finding: Breach, effects: Sequence[Effect]) -> bool:
    # Text cannot see that a validated CHECK spares SET NOT NULL its scan; the trace did.
    if finding.rule not in _squawk.SEEN_BY_TRACE:
        return False
    there = [effect for effect in effects if effect.covers(finding.line)]
    return bool(there) and not any(effect.scans or effect.rewrites for effect in there)


def _allowed(file: str, text: str, found: Iterable[Breach]) -> list[Breach]:
    # What is allowed is one rule of one file, with a reason; allowing what is not there is an error.
    kept = set(found)
    for match in _ALLOW.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        rule, reason = match["rule"], match["reason"]
        allowed = {finding for finding in kept if finding.rule == rule}
        if not rule or not reason:
            kept.add(_rules.told("allow-without-reason", file, line))
        elif allowed:
            kept -= allowed
        else:
            kept.add(_rules.told("allow-unused", file, line, rule))
    for match in re.finditer("squawk-ignore", text):
        kept.add(_rules.told("allow-without-reason", file, text.count("\n", 0, match.start()) + 1))
    return sorted(kept)
