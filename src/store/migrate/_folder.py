"""
Reads a folder of migrations, in UTF-8 whatever the locale, and refuses it whole where anything in it is wrong.
"""

# yoyo has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import re
from pathlib import Path

from yoyo.migrations import Migration, parse_metadata_from_sql_comments

from store.errors import MigrationFolderError

_NAME = re.compile(r"[0-9]{4}_[a-z0-9_]+")
_ROLLBACK = ".rollback.sql"
_OPAQUE = re.compile(r"--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
_DIRECTIVE = re.compile(r"^\s*--\s*(depends|transactional)\s*:", re.IGNORECASE | re.MULTILINE)
_CONTROL = re.compile(r"\s*(?:BEGIN|START|COMMIT|ROLLBACK|ABORT|SAVEPOINT|RELEASE)\b", re.IGNORECASE)


class SqlMigration(Migration):  # type: ignore[misc]  # yoyo has no types
    """
    One migration: the text that applies it and the text that takes it back, each sent to the server whole.
    """

    id: str
    hash: str
    use_transactions: bool

    def __init__(self, path: Path) -> None:
        super().__init__(path.name.removesuffix(".sql"), str(path), str(path.parent))
        self.apply_text = _read(path)
        self.rollback_text = _read(path.with_name(self.id + _ROLLBACK))
        directives, _, statements = parse_metadata_from_sql_comments(self.apply_text)
        ignored = _DIRECTIVE.findall(statements + "\n" + self.rollback_text)
        if ignored or not all(name.islower() for name in _DIRECTIVE.findall(self.apply_text)):
            raise MigrationFolderError(f"{path.name}: `-- depends:` and `-- transactional:` lead the file, in lower case")
        self.depends_on = frozenset(directives.get("depends", "").split())
        transactional = directives.get("transactional", "true")
        if transactional not in ("true", "false"):
            raise MigrationFolderError(f"{path.name}: `-- transactional:` is true or false, in lower case")
        self.use_transactions = transactional == "true"
        self.steps = ()  # loaded: yoyo must not read the file again, in the encoding of the locale


def read(folder: Path) -> list[SqlMigration]:
    """
    Return the migrations of a folder in the order in which they apply: that of their numbers.

    Raises MigrationFolderError for a folder that is missing or empty, a name out of pattern, a number used twice, a missing
    rollback file, a dependency that does not come before, and a file that begins or ends transactions itself.
    """
    if not folder.is_dir():
        raise MigrationFolderError(f"there is no folder of migrations at {folder}")
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".sql", ".py"))
    names = {path.name for path in paths}
    found = [_checked(path, names) for path in paths if not path.name.endswith(_ROLLBACK)]
    if not found:
        raise MigrationFolderError(f"there are no migrations in {folder}")
    orphans = {name for name in names if name.endswith(_ROLLBACK)} - {each.id + _ROLLBACK for each in found}
    if orphans:
        raise MigrationFolderError(f"{', '.join(sorted(orphans))}: there is nothing to roll back")
    for before, each in zip([None, *found], found, strict=False):
        if before is not None and before.id[:4] == each.id[:4]:
            raise MigrationFolderError(f"{before.id} and {each.id} have the same number")
        unmet = each.depends_on - {other.id for other in found if other.id < each.id}
        if unmet:
            raise MigrationFolderError(f"{each.id}.sql depends on {', '.join(sorted(unmet))}, which does not come before it")
    return found


def _checked(path: Path, names: set[str]) -> SqlMigration:
    name = path.name.removesuffix(".sql")
    if not _NAME.fullmatch(name):
        raise MigrationFolderError(f"{path.name}: a migration is called NNNN_words.sql, in lower case")
    if name + _ROLLBACK not in names:
        raise MigrationFolderError(f"{path.name}: {name}{_ROLLBACK} is missing")
    return SqlMigration(path)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MigrationFolderError(f"{path.name} cannot be read as UTF-8") from error
    if any(_CONTROL.match(statement) for statement in _OPAQUE.sub(" ", text).split(";")):
        raise MigrationFolderError(f"{path.name}: the runner begins and ends the transaction, the file must not")
    return text
