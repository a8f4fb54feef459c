"""
Reads a folder of migrations, in UTF-8 whatever the locale, and finds everything that is wrong in it, not only the first thing.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from store.errors import MigrationFolderError, QueryFileError, Refusal
from store.migrate import _headers
from store.migrate._headers import Headers
from store.migrate._text import Statement, cut, tokens_of

_NAME = re.compile(r"[0-9]{4}_[a-z0-9_]+")
_REPEATABLE = re.compile(r"[a-z0-9_]+")
ROLLBACK = ".rollback.sql"
MANIFEST = "MANIFEST"
"""The file beside them that keeps the hashes of each migration, and the fingerprint it leaves."""
REPEATABLE = "repeatable"
_CONTROL = frozenset({"abort", "begin", "commit", "end", "release", "rollback", "savepoint", "start"})
# What may run outside a transaction: ended at any point, it can be run again.
_AGAIN = frozenset({"analyze", "checkpoint", "cluster", "reindex", "vacuum"})
_RESUMABLE = (
    ("create", "index", "concurrently"),
    ("drop", "index", "concurrently"),
    ("drop", "if", "exists"),
    ("refresh", "materialized", "view"),
    ("alter", "table", "detach", "concurrently"),
    ("alter", "table", "validate", "constraint"),
    ("alter", "type", "add", "value", "if", "not", "exists"),
    ("alter", "system"),
)
_VERBS = frozenset({"delete", "insert", "merge", "select", "update", "values"})
_TO_CLIENT = frozenset({"stdin", "stdout"})


@dataclass(frozen=True, slots=True)
class SqlFile:
    """
    The text of one file, its statements and its headers. The hash is that of the text, whatever its line ends.
    """

    name: str
    text: str
    statements: tuple[Statement, ...]
    headers: Headers

    @property
    def sha256(self) -> str:
        """
        What the ledger keeps to know an edited file by.
        """
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SqlMigration:
    """
    One migration: the file that applies it, and the one that takes it back where there is one.
    """

    id: str
    up: SqlFile
    down: SqlFile | None

    @property
    def hash(self) -> str:
        """
        What yoyo knows a migration by: the hash of its name.
        """
        return hashlib.sha256(self.id.encode()).hexdigest()

    @property
    def transactional(self) -> bool:
        """
        Whether each of its files runs in one transaction; the header of the file that applies it decides for both.
        """
        return self.up.headers.transactional


@dataclass(frozen=True, slots=True)
class Repeatable:
    """
    A file that is applied whenever its text has changed, after the numbered ones: views, functions.
    """

    id: str
    up: SqlFile

    def as_migration(self) -> SqlMigration:
        """
        Return it as a step among migrations, which nothing takes back.
        """
        return SqlMigration(self.id, self.up, None)


@dataclass(slots=True)
class Folder:
    """
    What is in a folder, and what is wrong with it.
    """

    path: Path
    migrations: list[SqlMigration] = field(default_factory=list[SqlMigration])
    repeatables: list[Repeatable] = field(default_factory=list[Repeatable])
    refusals: list[Refusal] = field(default_factory=list[Refusal])

    @property
    def schemas(self) -> tuple[str, ...]:
        """
        The schemas that its files make, sorted.
        """
        statements = (each for migration in self.migrations for each in migration.up.statements)
        return tuple(sorted({name for each in statements if (name := _schema(each.words)) is not None}))

    def refuse(self, rule: str, message: str, id_: str | None = None, code: int = 2) -> None:
        """
        Note one more thing that is wrong.
        """
        self.refusals.append(Refusal(rule, code, message, id_))


def _schema(words: tuple[str, ...]) -> str | None:
    """
    Return the name of the schema that this statement makes.
    """
    if words[:2] != ("create", "schema"):
        return None
    rest = words[5:] if words[2:5] == ("if", "not", "exists") else words[2:]
    name = rest[1] if rest[0] == "authorization" else rest[0]
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def read(path: Path) -> Folder:
    """
    Return the migrations of a folder in the order in which they apply, that of their numbers, with all refusals.

    Raises MigrationFolderError for a folder that is missing or holds no migration.
    """
    if not path.is_dir():
        raise _nothing("folder-missing", f"there is no folder of migrations at {path}")
    folder = Folder(path)
    paths = sorted(each for each in path.iterdir() if each.suffix.lower() in (".sql", ".py"))
    names = {each.name for each in paths}
    for each in paths:
        if not each.name.endswith(ROLLBACK):
            _add(folder, each, names)
    known = {migration.id + ROLLBACK for migration in folder.migrations} | {p.stem + ROLLBACK for p in paths}
    for name in sorted(each for each in names - known if each.endswith(ROLLBACK)):
        folder.refuse("rollback-alone", f"{name}: there is nothing to roll back")
    if not folder.migrations and not folder.refusals:
        raise _nothing("folder-empty", f"there are no migrations in {path}")
    _check_order(folder)
    _add_repeatables(folder)
    return folder


def forward(path: Path) -> list[SqlFile]:
    """
    Return the files that `up` applies to an empty database, in their order, the repeatable ones last.

    Raises MigrationFolderError, which names everything that is wrong in the folder.
    """
    folder = read(path)
    if folder.refusals:
        raise MigrationFolderError("\n".join(refusal.message for refusal in folder.refusals))
    return [*(each.up for each in folder.migrations), *(each.up for each in folder.repeatables)]


def read_file(path: Path, folder: Folder) -> SqlFile | None:
    """
    Return one file, or None; what is wrong with it is noted in the folder.
    """
    if not path.is_file():  # a pipe would be waited for
        folder.refuse("unreadable", f"{path.name} is no file", path.stem)
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark in front, which PostgreSQL does not take
        tokens = tokens_of(text, path.name)
        found = tuple(cut(text, tokens))
    except (OSError, UnicodeDecodeError):
        folder.refuse("unreadable", f"{path.name} cannot be read as UTF-8", path.stem)
        return None
    except QueryFileError as error:
        folder.refuse("unreadable", str(error), path.stem)
        return None
    headers, faults = _headers.parse(tokens)
    for fault in faults:
        folder.refuse("header", f"{path.name}: {fault}", path.stem)
    for statement in found:
        for rule, message in _forbidden(statement):
            folder.refuse(rule, f"{path.name}:{statement.line}: {message}", path.stem)
    return SqlFile(path.name, text, found, headers)


def _nothing(rule: str, message: str) -> MigrationFolderError:
    error = MigrationFolderError(message)
    error.refusals = (Refusal(rule, 2, message),)
    return error


def _forbidden(statement: Statement) -> Iterator[tuple[str, str]]:
    words = statement.words
    # Inside a body too: no body that PostgreSQL takes has one, so that this body is none.
    starts = [0, *(at + 1 for at, token in enumerate(statement.tokens) if token.kind == "semicolon" and at + 1 < len(words))]
    if any(_is_control(words[at : at + 2], inside=at > 0) for at in starts):
        yield "transaction-control", "the runner begins and ends the transaction, the file must not"
    if words[0] == "copy" and _TO_CLIENT & set(words):
        yield "copy-stdin", "COPY from or to the client has no client here: write INSERT"
    if words[:2] == ("deallocate", "all") or words[:3] == ("deallocate", "prepare", "all"):
        yield "deallocate-all", "it would take the runner's own prepared statements too: deallocate yours by name"


def _is_control(words: tuple[str, ...], *, inside: bool) -> bool:
    return (words[0] in _CONTROL and not (inside and words[0] == "end")) or words == ("prepare", "transaction")


def _add(folder: Folder, path: Path, names: set[str]) -> None:
    name = path.name.removesuffix(".sql")
    if path.suffix == ".py":
        folder.refuse("python-file", f"{path.name}: a migration is SQL, called NNNN_words.sql", path.stem)
        return
    if not _NAME.fullmatch(name):
        folder.refuse("file-name", f"{path.name}: a migration is called NNNN_words.sql, in lower case", path.stem)
        return
    up = read_file(path, folder)
    has_rollback = name + ROLLBACK in names
    down = read_file(path.with_name(name + ROLLBACK), folder) if has_rollback else None
    if up is None:
        return
    migration = SqlMigration(name, up, down)
    _check_files(folder, migration, has_rollback=has_rollback)
    folder.migrations.append(migration)


def _check_files(folder: Folder, migration: SqlMigration, *, has_rollback: bool) -> None:
    headers, name = migration.up.headers, migration.id
    if not has_rollback and headers.irreversible is None:
        message = f"{name}.sql: {name}{ROLLBACK} is missing: write it, or `-- store: irreversible: reason`"
        folder.refuse("rollback-missing", message, name, 9)
    if migration.down is not None and (migration.down.headers != Headers()):
        folder.refuse("header", f"{migration.down.name}: headers belong into {name}.sql, which decides for both", name)
    _check_empty(folder, migration)
    if headers.batch and migration.up.statements:
        _check_batch(folder, migration)
    if not headers.transactional:
        for file in filter(None, (migration.up, migration.down)):
            if len(file.statements) > 1:
                message = f"{file.name}: outside a transaction a file has one statement, this one has {len(file.statements)}"
                folder.refuse("one-statement", message, name)
            elif file.statements:
                _check_outside(folder, file, name)
                _check_concurrently(folder, file, name)


def _check_empty(folder: Folder, migration: SqlMigration) -> None:
    files = [migration.up, migration.down if migration.up.headers.irreversible is None else None]
    for file in filter(None, files):
        if not file.statements:
            folder.refuse("empty", f"{file.name}: there is no statement in it", migration.id)


def _check_outside(folder: Folder, file: SqlFile, name: str) -> None:
    words = file.statements[0].words
    does_nothing = words[0] == "select" and not {"from", "("} & set(words)
    if not (does_nothing or words[0] in _AGAIN or any(set(each) <= set(words) and words[0] == each[0] for each in _RESUMABLE)):
        message = (
            f"{file.name}: outside a transaction a killed run could not go on with this: PostgreSQL runs it inside one, or it "
            "cannot be done twice. There go CREATE, DROP and REINDEX INDEX CONCURRENTLY, DETACH PARTITION CONCURRENTLY, "
            "VALIDATE CONSTRAINT, ADD VALUE IF NOT EXISTS, VACUUM, ANALYZE, CLUSTER, REFRESH, ALTER SYSTEM and, for a rollback "
            "with nothing to do, SELECT 1; a change of many rows is a `-- store: batch`"
        )
        folder.refuse("not-resumable", message, name)


def _check_concurrently(folder: Folder, file: SqlFile, name: str) -> None:
    words = file.statements[0].words
    if words[0] != "create" or "concurrently" not in words[:4]:
        return
    after = words[words.index("concurrently") + 1 :]
    if after[:1] == ("on",):
        folder.refuse("index-name", f"{file.name}: an index built concurrently needs a name, to be found again", name)
    if after[:3] == ("if", "not", "exists"):
        message = f"{file.name}: IF NOT EXISTS would take an INVALID index for a finished one: leave it out"
        folder.refuse("index-if-not-exists", message, name)


def _check_batch(folder: Folder, migration: SqlMigration) -> None:
    found = migration.up.statements
    if len(found) != 1 or "limit" not in found[0].words or _verb(found[0]) not in ("update", "delete", "insert", "merge"):
        message = f"{migration.id}.sql: a batch is one UPDATE, DELETE or INSERT whose rows a LIMIT bounds"
        folder.refuse("batch", message, migration.id)


def _verb(statement: Statement) -> str:
    """
    Return what a statement does, behind its WITH: how many rows it says is what that one did.
    """
    depth = 0
    for token, word in zip(statement.tokens, statement.words, strict=True):
        depth += (token.kind == "open") - (token.kind == "close")
        if depth == 0 and word in _VERBS:
            return word
    return ""


def _check_order(folder: Folder) -> None:
    found = folder.migrations
    for before, each in itertools.pairwise(found):
        if before.id[:4] == each.id[:4]:
            folder.refuse("number-twice", f"{before.id} and {each.id} have the same number", each.id)
    for each in found:
        unmet = each.up.headers.depends - {other.id for other in found if other.id < each.id}
        if unmet:
            message = f"{each.id}.sql depends on {', '.join(sorted(unmet))}, which does not come before it"
            folder.refuse("depends", message, each.id)


def _add_repeatables(folder: Folder) -> None:
    place = folder.path / REPEATABLE
    for path in sorted(place.glob("*")) if place.is_dir() else ():
        if path.suffix != ".sql" or not _REPEATABLE.fullmatch(path.stem):
            folder.refuse("file-name", f"{REPEATABLE}/{path.name}: a repeatable file is called words.sql, in lower case")
        elif (file := read_file(path, folder)) is not None:
            if file.headers != Headers(timeout=file.headers.timeout):
                folder.refuse("header", f"{REPEATABLE}/{path.name}: a repeatable file has no header but `-- store: timeout:`")
            if not file.statements:
                folder.refuse("empty", f"{REPEATABLE}/{path.name}: there is no statement in it")
            folder.repeatables.append(Repeatable(f"{REPEATABLE}/{path.stem}", file))
