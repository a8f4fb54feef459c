"""
What stands beside a migration, for people to read: what it and its rollback lock, rewrite and read; and its line of MANIFEST.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from store.errors import MigrationFolderError
from store.migrate._folder import SqlMigration
from store.migrate._text import Statement
from store.migrate._trace import Effect, Refused

MAKE = "store migrate lint --write"
"""The command that makes these files."""

_CONFLICT = ("<<<<<<< ", "=======", ">>>>>>> ", "||||||| ")
_SHOWN = 100


def ledger(migration: SqlMigration, effects: Sequence[Effect], back: Sequence[Effect] | Refused) -> str:
    """
    Return the text of a .locks.txt: what the file does to what was there before it, and then its rollback.
    """
    reason, transactional = migration.up.headers.irreversible, "yes" if migration.transactional else "no"
    lines = [
        f"What {migration.id}.sql does to what was there before it, on every supported PostgreSQL.",
        "Made by `store migrate lint --write`: read it, do not edit it.",
        "",
        "batch: a transaction a round" if migration.up.headers.batch else f"transactional: {transactional}",
        f"reversible: {f'no, {reason}' if migration.down is None else f'yes, by {migration.down.name}'}",
        *_told(effects),
    ]
    if migration.down is not None:
        lines += ["", f"-- rollback: {migration.down.name}"]
        lines += ["", f"line {back.line}: PostgreSQL refuses it"] if isinstance(back, Refused) else _told(_tables(back))
    return "\n".join([*lines, ""])


def _told(effects: Sequence[Effect]) -> list[str]:
    lines: list[str] = []
    quiet = 0
    for effect in effects:
        told = told_of(effect)
        lines += ["", *told] if told else []
        quiet += not told
    rest = f"Not listed are {quiet} of {len(effects)} statements: they lock, rewrite, scan and change nothing that was there."
    return [*lines, "", rest if quiet else "Every statement is listed."]


def _tables(effects: Sequence[Effect]) -> list[Effect]:
    # What goes takes its indexes and sequences with it: the tables say it.
    return [replace(each, locks=tuple(lock for lock in each.locks if " " not in lock[0])) for each in effects]


def told_of(effect: Effect) -> list[str]:
    """
    Return the lines that say what a statement does to what was there, its own line first; none where it does nothing to it.
    """
    told = [f"    lock     {mode} on {name}" for name, mode in effect.locks]
    told += [f"    rewrite  {name}" for name in effect.rewrites]
    told += [f"    scan     {name}" for name in effect.scans]
    told += [f"    rows     {name}" for name in effect.rows]
    return [f"line {effect.statement.line}: {summary(effect.statement)}", *told] if told else []


def summary(statement: Statement) -> str:
    """
    Return a statement on one line, cut where it is long.
    """
    text, end = "", 0
    for token, at in zip(statement.tokens, statement.offsets, strict=True):
        text += " " * (at > end > 0) + statement.text[at : at + len(token.text)]
        end = at + len(token.text)
    line = " ".join(text.split()).replace("( ", "(").replace(" )", ")")
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1].rstrip() + "…"


def manifest_line(migration: SqlMigration, fingerprint: str) -> str:
    """
    Return the line of MANIFEST: both hashes, and the fingerprint after it.
    """
    down = "-" if migration.down is None else migration.down.sha256
    return f"{migration.id} up {migration.up.sha256} down {down} fingerprint {fingerprint}"


def kept(path: Path) -> list[str]:
    """
    Return the lines of a file that stands beside the migrations; none where it is missing.

    Raises MigrationFolderError for one that cannot be read, or holds two versions of itself after a merge.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise MigrationFolderError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MigrationFolderError(f"{path} cannot be read: it is not UTF-8; `{MAKE}` makes it anew") from None
    for number, line in enumerate(lines, 1):
        if line.startswith(_CONFLICT):
            raise MigrationFolderError(f"{path}:{number}: a mark of a merge conflict: merge the migrations, then `{MAKE}`")
    return lines
