"""
The front door: an open pool of connections with the verbs of every domain.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg

from store import _connection, _files, _retry
from store._acompat import asleep
from store._async.domains import AsyncDomains
from store._async.pool import AsyncPool
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store._async.session import AsyncSession, AsyncUnit
from store._runtime import EVERYTHING, Runtime, Scope
from store.errors import DatabaseError, SchemaMissing, SchemaTooOld, ServerTooOld, SettingsError, StoreError
from store.settings import Settings

T = TypeVar("T")


class AsyncStore(AsyncDomains):
    """
    A shop's data. Every verb is one statement on a connection of the pool, or joins the caller's transaction.

    `async with AsyncStore.open() as shop:`, or start() and close() in an application's lifespan.
    """

    def __init__(self, settings: Settings, *, check: bool = False, read_only: bool = False) -> None:
        self._check = check
        self._pool = AsyncPool(settings, read_only=read_only)
        self._everything = _Lender(self._pool, EVERYTHING)

    @classmethod
    def open(cls, settings: Settings | None = None, *, check: bool = False, read_only: bool = False) -> Self:
        """
        Return a store that connects when it is entered. Without settings they are read from the environment and `.env`.

        With `check` every statement is held against the schema and its contract on entering; with `read_only` a standby will
        do and nothing can be written. Raises SettingsError, which names the variable.
        """
        return cls(Settings.load() if settings is None else _settings(settings), check=check, read_only=read_only)

    @property
    def runtime(self) -> Runtime:
        """
        What all sessions of the store share.
        """
        return self._pool.runtime

    async def start(self) -> None:
        """
        Connect, look at server and schema, and open the pool.

        Raises Unavailable, PermissionDenied, ServerTooOld, SchemaMissing or SchemaTooOld, which name the way out; with `check`
        SchemaDiffers, or DatabaseError for a query that PostgreSQL refuses.
        """
        await self._pool.open(self._look_at)

    async def close(self) -> None:
        """
        Close the pool. Safe to call again.
        """
        await self._pool.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[AsyncSession]:
        """
        Lend a connection: several verbs on one connection, or a team's own queries. Each statement commits by itself.

        Raises NestedCheckout inside another one of the same task, Overloaded when none becomes free in time.
        """
        async with self._pool.lend(EVERYTHING) as session:
            yield session

    @asynccontextmanager
    async def transaction(self, *, is_patient: bool = False) -> AsyncGenerator[AsyncSession]:
        """
        Lend a connection with a transaction on it: committed when the block ends, rolled back when it raises.

        Raises NestedCheckout, Overloaded, TransactionAborted, CommitUnknown. With `is_patient` nothing in it times out.
        """
        async with self._everything.transaction(is_patient=is_patient) as tx:
            yield tx

    async def run(
        self, work: Callable[[AsyncSession], Awaitable[T]], *, seconds: float = 10.0, is_repeatable: bool = False
    ) -> T:
        """
        Run a unit of work in a transaction and return what it returns. Run it anew, from fresh reads, when it was rolled back
        by a serialization failure, a deadlock, a timeout or a connection lost before COMMIT, but not by somebody who cancelled
        it: at most five tries, with full jitter, none begun after so many seconds; then the last error is raised.

        `work` must do nothing outside the database that must not happen twice. Where the answer to COMMIT was lost it may
        have been stored: only work that `is_repeatable` (placing a cart, payments with their keys) is then run again; the
        rest is CommitUnknown.
        """
        deadline = time.monotonic() + seconds
        tries = 0
        while True:
            tries += 1
            try:
                async with self.transaction() as tx:
                    return await work(tx)
            except StoreError as error:
                found = _retry.verdict(error)
                wait = _retry.pause(tries)
                is_over = tries >= _retry.MAX_TRIES or time.monotonic() + wait > deadline
                if is_over or found == "never" or (found == "unknown" and not is_repeatable):
                    raise
            await asleep(wait)

    @property
    def _runner(self) -> AsyncRunner:
        return self._everything

    async def _look_at(self, connection: psycopg.AsyncConnection[Any]) -> None:
        if connection.info.server_version < _connection.MIN_SERVER_VERSION:
            message = f"PostgreSQL 16 or newer is needed; this server is {connection.info.server_version // 10000}"
            raise ServerTooOld(message)
        needed = _files.latest_migration()
        session = AsyncSession(AsyncUnit(connection), self.runtime)
        try:
            found = str(await session.value(queries.version.schema_version))
        except DatabaseError as error:
            raise SchemaTooOld from error
        except SchemaMissing as error:
            message = f"the database has no schema `store` (needed: {needed}): run `store migrate up`"
            raise SchemaMissing(message, sqlstate=error.sqlstate) from None
        if found < needed:
            message = f"the schema is at {found} and {needed} is needed: run `store migrate up`"
            raise SchemaTooOld(message)
        if self._check:
            from store._async.held import hold_to_contracts  # reads contracts, which an application otherwise does without

            with self.runtime.watching(connection, "the queries"):
                await hold_to_contracts(connection, queries.texts)


class _Lender(AsyncRunner):
    """
    Runs each call and each unit of work on a connection of the pool, as somebody sees the shop.
    """

    def __init__(self, pool: AsyncPool, scope: Scope) -> None:
        self._pool = pool
        self.scope = scope

    @property
    def runtime(self) -> Runtime:
        return self._pool.runtime

    async def call(self, function: Any, parameters: dict[str, Any]) -> Any:
        async with self._pool.lend(self.scope) as session:
            return await session.call(function, parameters)

    def scoped(self, scope: Scope) -> AsyncRunner:
        return _Lender(self._pool, scope)

    @asynccontextmanager
    async def transaction(self, *, is_patient: bool = False) -> AsyncGenerator[AsyncSession]:
        async with self._pool.lend(self.scope) as session, session.transaction(is_patient=is_patient) as tx:
            yield tx


def _settings(given: object) -> Settings:
    if isinstance(given, Settings):
        return given
    raise SettingsError("settings: must be Settings: set DATABASE_URL, or pass Settings.load(database_url=...)")
