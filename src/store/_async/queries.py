"""
The loaded .sql files: the store's own, and the folders of those who embed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self, cast

from pydantic import BaseModel

from store import _files, _rows
from store._async.runner import AsyncRunner
from store._contracts import types_of
from store._queries import load
from store.errors import InvalidInput, QueryFileError, WrongParameters

if TYPE_CHECKING:
    from store._async.session import AsyncSession

_OWN = _files.folder("sql") / "queries"

queries = load(_OWN, prefix="store", colour="async", types=types_of(_OWN))


class AsyncQueries:
    """
    A folder of .sql files as functions that take a session: `await queries.reports.top_products(session, limit=3)`.

    A file is a namespace. A statement's mark says what comes back: none a list, `^` a row or None, `$` a value, `!` how many
    rows changed. Rows are DTOs where the header names one (`-- row: Report`), named tuples otherwise. A filter of the file
    (`/*? name */`) is on when its parameters are passed, a declared sort is chosen by `sort`.
    """

    def __init__(self, folder: Path, rows: Mapping[str, type[BaseModel]], prefix: str) -> None:
        self._loaded = load(folder, prefix=prefix, colour="async", types=types_of(folder))
        for statement in self._loaded.statements:
            if statement.row is not None and statement.row not in rows:
                message = (
                    f"{statement.path}:{statement.line}: no DTO {statement.row!r}: pass its module in `rows`, "
                    f"or {{{statement.row!r}: {statement.row}}}"
                )
                raise QueryFileError(message)
            namespace = self.__dict__.setdefault(statement.domain, _Namespace())
            function = getattr(getattr(self._loaded, statement.domain), statement.name)
            model = rows[statement.row] if statement.row is not None else None
            setattr(namespace, statement.name, _Function(function, model))

    @classmethod
    def load(
        cls,
        folder: str | PathLike[str],
        *,
        rows: Mapping[str, type[BaseModel]] | ModuleType | None = None,
        prefix: str = "app",
    ) -> Self:
        """
        Load a folder. `rows` holds the DTOs that headers name; `prefix` is what the log and pg_stat_statements show of them.

        Raises QueryFileError, naming file and line, for what cannot be loaded, and InvalidInput for other `rows`.
        """
        return cls(Path(folder), _models(rows), prefix)

    def __getattr__(self, name: str) -> Any:
        message = f"there is no file {name}.sql in this folder"
        raise AttributeError(message)


def _models(rows: object) -> dict[str, type[BaseModel]]:
    found = vars(rows) if isinstance(rows, ModuleType) else {} if rows is None else rows
    if not isinstance(found, Mapping):
        message = f"rows: must be a module, or a mapping of names to DTOs as in {{'Report': Report}}, not {rows!r:.100}"
        raise InvalidInput(message, field="rows")
    pairs = cast("Mapping[str, object]", found).items()
    return {name: kind for name, kind in pairs if isinstance(kind, type) and issubclass(kind, BaseModel)}


class _Namespace:
    def __getattr__(self, name: str) -> Any:
        message = f"there is no query {name} in this file"
        raise AttributeError(message)


class _Function:
    def __init__(self, function: Any, model: type[BaseModel] | None) -> None:
        self._function = function
        self._model = model
        self.statement = function.statement
        self.__doc__ = self.statement.doc

    async def __call__(self, /, *given: AsyncSession, **parameters: Any) -> Any:
        session = self._session(given)
        result = await session.call(self._function, parameters)
        if self.statement.mark in {"$", "!"}:
            return result
        names, found = result
        rows = found if self.statement.mark == "" else [] if found is None else [found]
        if self._model is None:
            made = _rows.as_tuples(self.statement.name, names, rows)
        else:
            made = list(_rows.as_models(self._model, names, rows))
        return made if self.statement.mark == "" else made[0] if made else None

    def _session(self, given: tuple[object, ...]) -> AsyncSession:
        session = given[0] if given else None
        if len(given) == 1 and isinstance(session, AsyncRunner) and hasattr(session, "call"):
            return cast("AsyncSession", session)
        name = self.statement.full_name
        wanted = f"{name} takes one AsyncSession (AsyncStore.session, .transaction), and its parameters by name"
        raise WrongParameters(f"{wanted}, and was given {', '.join(type(each).__name__ for each in given) or 'none'}")
