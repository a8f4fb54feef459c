"""
Reviews a folder of migrations: findings by file and line, and for each migration a text that says what it locks.

Every file is applied on a throw-away database whose tables hold rows, in the order of the folder, and read by squawk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from store import _files
from store.errors import MigrationError, MigrationFolderError
from store.migrate import _fingerprint, _preflight, _rules, _squawk
from store.migrate._fill import Filler
from store.migrate._folder import MANIFEST, Folder, SqlMigration, read
from store.migrate._rules import Finding
from store.migrate._scratch import Scratch, schemas
from store.migrate._text import Statement
from store.migrate._trace import Effect, Refused, trace

_ALLOW = re.compile(
    r"^[ \t]*--[ \t]*store:[ \t]*allow:[ \t]*(?P<rule>[a-z-]*)[ \t]*(?::[ \t]*(?P<reason>\S.*))?$", re.MULTILINE
)
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Review:
    """
    What was found, and what belongs beside the files: a text for each migration, and the lines of MANIFEST.

    `unfilled` names the tables for which no rows were found: what happens to their rows is not seen.
    """

    findings: list[Finding]
    ledgers: dict[str, str]
    manifest: list[str]
    unfilled: list[str]

    @property
    def errors(self) -> list[Finding]:
        """
        The findings that refuse a migration.
        """
        return [finding for finding in self.findings if finding.severity == "error"]


def review(scratch: Scratch, folder: Path) -> Review:
    """
    Return the review of a folder; the database in use has no part in it.

    A folder of a team's own is tried on top of the migrations of this package. Raises MigrationFolderError for a folder that
    cannot be read, MissingExtra without squawk.
    """
    contents = readable(folder)
    found: list[Finding] = []
    ledgers: dict[str, str] = {}
    manifest: list[str] = []
    with scratch.database() as connection:
        before = foundation(connection, contents)
        filler, unfilled = Filler(connection), list[str]()
        for migration in contents.migrations:
            unfilled = filler.fill()
            findings, effects = examine(connection, migration)
            found += findings
            if effects is None:
                break
            ledgers[f"{migration.id}.locks.txt"] = _ledger(migration, effects)
            own = [name for name in schemas(connection) if name not in before]
            manifest.append(_manifest_line(migration, _fingerprint.fingerprint(connection, own)))
        else:
            for each in contents.repeatables:
                found += examine(connection, SqlMigration(each.id, each.up, None))[0]
    return Review(sorted(found), ledgers, manifest, unfilled)


def readable(path: Path) -> Folder:
    """
    Return a folder of migrations in which nothing is wrong by itself.

    Raises MigrationFolderError, or MigrationRefused, with all that is.
    """
    folder = read(path)
    _preflight.refuse(folder.refusals)
    return folder


def examine(connection: psycopg.Connection[Any], migration: SqlMigration) -> tuple[list[Finding], list[Effect] | None]:
    """
    Apply one migration and return what is to be said about it, and what each statement did; None where PostgreSQL refused it.
    """
    file, text = migration.up.name, migration.up.text
    found = list(_squawk.findings(file, text, transactional=migration.transactional))
    effects: list[Effect] | None = None
    try:
        effects = trace(connection, text, transactional=migration.transactional, faults=_rules.faults)
        _finish(connection, migration)
    except Refused as error:
        found.append(_rules.told("does-not-apply", file, error.line, str(error)))
    found = [finding for finding in found if not _disproved(finding, effects or ())]
    for effect in effects or ():
        found += _rules.of_effect(file, effect, batch=migration.up.headers.batch)
        found += [_rules.told(rule, file, effect.statement.line, name) for rule, name in sorted(effect.faults)]
    return _allowed(file, text, found), effects


def write(folder: Path, made: Review) -> list[str]:
    """
    Write the ledgers and MANIFEST into the folder where they differ; return the names of the files that did.
    """
    changed: list[str] = []
    for name, text in [*made.ledgers.items(), (MANIFEST, "".join(line + "\n" for line in made.manifest))]:
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
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
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


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
            _finish(connection, migration)
    except Refused as error:
        raise MigrationError(f"{file.name}:{error.line}: {error}") from None


def _finish(connection: psycopg.Connection[Any], migration: SqlMigration) -> None:
    # A batch is repeated until it finds nothing more, so that the next file meets what it left.
    while migration.up.headers.batch and any(effect.rows for effect in trace(connection, migration.up.text)):
        pass


def _disproved(finding: Finding, effects: Sequence[Effect]) -> bool:
    # Text cannot see that a validated CHECK spares SET NOT NULL its scan; the trace did.
    if finding.rule not in _squawk.SEEN_BY_TRACE:
        return False
    there = [
        effect
        for effect in effects
        if effect.statement.line <= finding.line <= effect.statement.line + effect.statement.text.count("\n")
    ]
    return bool(there) and not any(effect.scans or effect.rewrites for effect in there)


def _allowed(file: str, text: str, found: Iterable[Finding]) -> list[Finding]:
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


# --- what stands beside the files ------------------------------------------------------------------------------------


def _ledger(migration: SqlMigration, effects: Sequence[Effect]) -> str:
    reason, transactional = migration.up.headers.irreversible, "yes" if migration.transactional else "no"
    lines = [
        f"What {migration.id}.sql does to what was there before it, on every supported PostgreSQL.",
        "Made by `store migrate lint --write`: read it, do not edit it.",
        "",
        "batch: a transaction a round" if migration.up.headers.batch else f"transactional: {transactional}",
        f"reversible: {f'no, {reason}' if migration.down is None else f'yes, by {migration.down.name}'}",
    ]
    quiet = 0
    for effect in effects:
        told = [f"    lock     {mode} on {name}" for name, mode in effect.locks]
        told += [f"    rewrite  {name}" for name in effect.rewrites]
        told += [f"    scan     {name}" for name in effect.scans]
        told += [f"    rows     {name}" for name in effect.rows]
        if told:
            lines += ["", f"line {effect.statement.line}: {_summary(effect.statement)}", *told]
        quiet += not told
    rest = f"Not listed are {quiet} of {len(effects)} statements: they lock, rewrite, scan and change nothing that was there."
    return "\n".join([*lines, "", rest if quiet else "Every statement is listed.", ""])


def _summary(statement: Statement) -> str:
    text, end = "", 0
    for token, at in zip(statement.tokens, statement.offsets, strict=True):
        text += " " * (at > end > 0) + statement.text[at : at + len(token.text)]
        end = at + len(token.text)
    line = " ".join(text.split()).replace("( ", "(").replace(" )", ")")
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1].rstrip() + "…"


def _manifest_line(migration: SqlMigration, fingerprint: str) -> str:
    down = "-" if migration.down is None else migration.down.sha256
    return f"{migration.id} up {migration.up.sha256} down {down} fingerprint {fingerprint}"
