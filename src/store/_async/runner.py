"""
What a domain runs its statements on: an open store, or a session inside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from store import _rows
from store._runtime import Runtime, Scope
from store.errors import NotFound

if TYPE_CHECKING:
    from store._async.session import AsyncSession

M = TypeVar("M", bound=BaseModel)


class AsyncRunner(ABC):
    """
    Runs named statements and returns DTOs. Each call is one statement and one validation of its whole result.
    """

    scope: Scope

    @property
    @abstractmethod
    def runtime(self) -> Runtime:
        """
        What all sessions of the store share.
        """

    @abstractmethod
    async def call(self, function: Any, parameters: dict[str, Any]) -> Any:
        """
        Run a loaded query and return what its adapter does.
        """

    @abstractmethod
    def scoped(self, scope: Scope) -> AsyncRunner:
        """
        Return a runner that sees only what this scope owns.
        """

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """
        Open a unit of work: a transaction, or a savepoint inside the caller's.
        """

    async def many(self, model: type[M], function: Any, **parameters: Any) -> list[M]:
        """
        Return every row.
        """
        names, rows = await self.call(function, parameters)
        return _rows.as_models(model, names, rows)

    async def one(self, model: type[M], function: Any, **parameters: Any) -> M:
        """
        Return the row of a statement that always has one. Raises NotFound when there is none.
        """
        row = await self.one_or_none(model, function, **parameters)
        if row is None:
            raise NotFound
        return row

    async def one_or_none(self, model: type[M], function: Any, **parameters: Any) -> M | None:
        """
        Return the row, or None.
        """
        names, row = await self.call(function, parameters)
        return None if row is None else _rows.as_models(model, names, (row,))[0]

    async def value(self, function: Any, **parameters: Any) -> Any:
        """
        Return the one value of the one row.
        """
        return await self.call(function, parameters)

    async def affected(self, function: Any, **parameters: Any) -> int:
        """
        Return how many rows the statement changed.
        """
        changed: int = await self.call(function, parameters)
        return changed
