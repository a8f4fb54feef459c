"""
Compares the files with the record before anything is locked or changed, and names everything that does not belong together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from store.errors import (
    MigrationDrift,
    MigrationError,
    MigrationFolderError,
    MigrationHistoryError,
    MigrationRefused,
    Refusal,
)
from store.migrate._folder import Folder, SqlMigration
from store.migrate._ledger import Last

_KINDS: dict[int, type[MigrationError]] = {
    2: MigrationFolderError,
    7: MigrationHistoryError,
    8: MigrationDrift,
    9: MigrationRefused,
}


def refuse(refusals: Iterable[Refusal]) -> None:
    """
    Raise one error for all of these, of the class whose exit code is the lowest; none, nothing happens.
    """
    found = tuple(dict.fromkeys(refusals))
    if not found:
        return
    error = _KINDS[min(each.exit_code for each in found)]("\n".join(each.message for each in found))
    error.refusals = found
    raise error


def elsewhere(folder: Folder, applied: list[str], recorded: dict[str, Last], schema: str) -> Iterator[Refusal]:
    """
    Yield one refusal for a record that is of another folder: nothing of it is here, neither by its name nor by its content.
    """
    names = {each.id for each in folder.migrations} | {refusal.id for refusal in folder.refusals}
    contents = {each.up.sha256 for each in folder.migrations}
    if (
        applied
        and not names & set(applied)
        and not any(name in recorded and recorded[name].sha256 in contents for name in applied)
    ):
        found = sorted(applied)
        listed = found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"
        message = (
            f"nothing of what is recorded in the schema {schema} ({listed}) is in {folder.path}: it is of another folder; name "
            "that one with --folder, or where this one keeps its own record with --state-schema"
        )
        yield Refusal("other-folder", 7, message)


def history(folder: Folder, applied: list[str], recorded: dict[str, Last]) -> Iterator[Refusal]:
    """
    Yield what was applied and is now edited, renamed, missing or from a later version.
    """
    known = {migration.id: migration for migration in folder.migrations}
    unread = {refusal.id for refusal in folder.refusals}
    newest = max(known, default="")
    pending = [migration for migration in folder.migrations if migration.id not in applied]
    for name in sorted(set(applied)):
        last = recorded.get(name)
        sha256 = last.sha256 if last else None
        if name not in known:
            if name not in unread:
                yield _unknown(name, newest, sha256, pending)
        else:
            yield from edited(known[name], last)


def edited(migration: SqlMigration, last: Last | None) -> Iterator[Refusal]:
    """
    Yield the files of an applied migration that are not what they were when it was applied, its rollback file included.
    """
    recorded = (last.sha256, last.sha256_down) if last else (None, None)
    for file, sha256 in zip((migration.up, migration.down), recorded, strict=True):
        if file is not None and sha256 is not None and sha256 != file.sha256:
            message = f"{file.name} was edited after it was applied: restore it, and write a new migration"
            yield Refusal("edited", 7, message, migration.id)


def order(folder: Folder, applied: list[str], allowed: frozenset[str]) -> Iterator[Refusal]:
    """
    Yield what is pending below the highest applied number and was not allowed to be.
    """
    for migration in folder.migrations:
        if applied and migration.id not in applied and migration.id < max(applied) and migration.id not in allowed:
            yield Refusal(
                "out-of-order",
                7,
                f"{migration.id} would be applied out of order, after {max(applied)}: give it a later number, or say "
                f"--allow-out-of-order {migration.id}",
                migration.id,
            )


def undoing(folder: Folder, names: list[str], recorded: dict[str, Last]) -> Iterator[Refusal]:
    """
    Yield what cannot be taken back, and what would be by other files than those that were applied.
    """
    known = {migration.id: migration for migration in folder.migrations}
    for name in names:
        migration = known.get(name)
        if migration is None:
            yield Refusal("unknown", 7, f"{name} was applied, but is not in {folder.path}: it cannot be taken back", name)
        elif migration.down is None or migration.up.headers.irreversible is not None:
            reason = migration.up.headers.irreversible or "it has no rollback file"
            yield Refusal("irreversible", 9, f"{name} cannot be taken back: {reason}", name)
        if migration is not None:
            yield from edited(migration, recorded.get(name))


def target(folder: Folder, to: str | None, among: Iterable[str], said: str = "--to ") -> None:
    """
    Raise MigrationFolderError for an id that names none of these; `said` is what stands before it on the command line.
    """
    if to is not None and to not in among:
        is_here = any(each.id == to for each in folder.migrations)
        fault = "it is not applied" if is_here else f"there is no such migration in {folder.path}"
        refuse([Refusal("no-such-id", 2, f"{said}{to}: {fault}", to)])


def _unknown(name: str, newest: str, sha256: str | None, pending: list[SqlMigration]) -> Refusal:
    same = next((each.id for each in pending if sha256 is not None and each.up.sha256 == sha256), None)
    if same is not None:
        return Refusal("renamed", 7, f"{name} was applied and is called {same} now: give it its name back", name)
    if name > newest:
        message = f"the database has {name} applied, which this folder does not know: is it older than the database?"
        return Refusal("newer-database", 7, message, name)
    return Refusal("missing", 7, f"{name} was applied, and its file is missing: restore it", name)
