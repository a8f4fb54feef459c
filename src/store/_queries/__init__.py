"""
Loads folders of .sql files as functions that run on a psycopg connection: our reader and adapters, aiosql's functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from store._queries.adapter_async import AsyncAdapter
from store._queries.adapter_sync import Adapter
from store._queries.bind import bind
from store._queries.container import Container
from store._queries.header import NAME
from store._queries.loader import Loader
from store._queries.statement import Statement, Taken, Types, by_casts
from store._queries.untyped import teach
from store.errors import QueryFileError

__all__ = ["Container", "Namespaces", "Statement", "Taken", "Types", "bind", "load", "teach"]


class Namespaces:
    """
    The files of one folder, each an attribute: `queries.users.get_user(conn, id=1)`.
    """

    def __init__(self, files: dict[str, Container], statements: tuple[Statement, ...]) -> None:
        self._files = files
        self._statements = statements

    @property
    def statements(self) -> tuple[Statement, ...]:
        """
        Return all statements: the files in alphabetical order, each in its own.
        """
        return self._statements

    @property
    def texts(self) -> tuple[Statement, ...]:
        """
        Return every text that can be sent: of a statement with filters or sorts one for each choice.
        """
        return tuple(text for statement in self._statements for text in statement.texts())

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._files]

    def __getattr__(self, name: str) -> Container:
        files = self.__dict__.get("_files", {})
        if name not in files:
            raise AttributeError(f"there is no file {name}.sql: the folder has {', '.join(files)}", name=name, obj=self)
        found: Container = files[name]
        return found


def load(folder: Path, *, prefix: str = "app", colour: Literal["sync", "async"], types: Types | None = by_casts) -> Namespaces:
    """
    Load every .sql file of the folder. `types` says what the contracts know of parameters; None is for those who only read
    the statements.

    Raises QueryFileError, with file, line and the way out, for the first entry that cannot be loaded.
    """
    if not NAME.fullmatch(prefix):
        raise QueryFileError(f"the prefix {prefix!r} marks statements in the server's statistics: letters, digits, underscores")
    files: dict[str, Container] = {}
    places: dict[str, Statement] = {}
    statements: list[Statement] = []
    for path in _sql_files(folder):
        adapter: Adapter | AsyncAdapter = (AsyncAdapter if colour == "async" else Adapter)(types or by_casts)
        data = Loader(adapter, prefix=prefix).load_query_data_from_file(path)
        for statement in adapter.statements.values():
            if (other := places.setdefault(statement.name, statement)) is not statement:
                raise _duplicate(statement, other)
            if types is not None:
                _check_nulls(statement, types)
        files[path.stem] = Container(adapter).load_from_list(data)
        statements += adapter.statements.values()
    return Namespaces(files, tuple(statements))


def _sql_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise QueryFileError(f"{folder}: there is no such folder: give the one that holds the .sql files")
    seen = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    for path in seen:
        if path.stem in dir(Namespaces):
            raise QueryFileError(f"{path}: a file cannot be called {path.stem} here: choose another name")
        if path.is_dir() and not _holds_contracts(path):
            raise QueryFileError(f"{path}: a folder inside a folder of queries: a file is a namespace, move its files up")
    files = [path for path in seen if path.suffix == ".sql"]
    if not files:
        raise QueryFileError(f"{folder}: there is no .sql file in this folder")
    return files


def _holds_contracts(folder: Path) -> bool:
    """
    Whether this is what `store lock` writes into a folder that is not called `queries`.
    """
    return folder.name == "contracts" and all(each.suffix == ".contract" and each.is_file() for each in folder.iterdir())


def _check_nulls(statement: Statement, types: Types) -> None:
    """
    Refuse a null that would leave a second prepared statement of its query behind: nothing says which type it is.
    """
    for text in statement.texts():
        if (untyped := text.nullable - text.oids.keys()) and (unknown := sorted(untyped - types(text).keys())):
            name = unknown[0]
            raise QueryFileError(
                f"{statement.path}:{statement.line}: {statement.name}: {name} may be null and has no type: cast it to one of "
                f"PostgreSQL's own, as in :{name}::text, or run `store lock`, whose contract knows it"
            )


def _duplicate(statement: Statement, other: Statement) -> QueryFileError:
    return QueryFileError(
        f"{statement.path}:{statement.line}: {statement.name} is already a query in {other.path.name}:{other.line}: "
        "a name stands once in a folder, so that a search finds one place"
    )
