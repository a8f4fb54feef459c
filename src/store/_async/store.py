"""
The front door: an open pool of connections with the verbs of every domain.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from threading import BoundedSemaphore
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from store import _connection, _failures, _files, _forks, _retry
from store._acompat import acurrent, asleep, ato_thread
from store._async.domains import AsyncDomains
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store._async.session import AsyncSession, AsyncUnit
from store._runtime import EVERYTHING, Runtime, Scope
from store._watchdog import Watchdog
from store.errors import (
    DatabaseError,
    NestedCheckout,
    Overloaded,
    ReadOnly,
    SchemaMissing,
    SchemaTooOld,
    ServerTooOld,
    StoreClosed,
    StoreError,
    Unavailable,
)
from store.settings import Settings

_log = logging.getLogger("store.pool")

T = TypeVar("T")

# What DISCARD ALL does, but for the prepared statements; ALL goes back to the start-up options.
_CLEAN = (
    "CLOSE ALL",
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET ALL",
    "UNLISTEN *",
    "SELECT pg_advisory_unlock_all()",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
)

_FRESH_SECONDS = 0.5
# The pool's back-off doubles up to this; when it gives up, the next caller makes it try at once. So this is what a caller may
# wait for in vain after the server has come back.
_RECONNECT_SECONDS = 0.5
_ALERT_SECONDS = 5.0
_DRAIN_SECONDS = 1.0


class AsyncStore(AsyncDomains, AsyncRunner):
    """
    A shop's data. Every verb is one statement on a connection of the pool, or joins the caller's transaction.

    `async with AsyncStore.open() as shop:`, or start() and close() in an application's lifespan.
    """

    scope = EVERYTHING

    def __init__(self, settings: Settings, *, check: bool = False, read_only: bool = False) -> None:
        self._runtime = Runtime(settings, Watchdog())
        self._check = check
        self._read_only = read_only
        self._where: dict[str, Any] = {}
        self._server_version: int | None = None
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] | None = None
        self._holder: ContextVar[object | None] = ContextVar("holder", default=None)
        self._known_errors = 0
        self._places = BoundedSemaphore(settings.pool_size + settings.max_waiting)
        self._last_used: WeakKeyDictionary[psycopg.AsyncConnection[Any], float] = WeakKeyDictionary()
        self._last_drain = 0.0
        self._last_alert = 0.0

    @classmethod
    def open(cls, settings: Settings | None = None, *, check: bool = False, read_only: bool = False) -> Self:
        """
        Return a store that connects when it is entered. Without settings they are read from the environment and `.env`.

        With `check` every statement is held against the schema and its contract on entering; with `read_only` a standby will
        do and nothing can be written. Raises SettingsError, which names the variable.
        """
        return cls(settings or Settings.load(), check=check, read_only=read_only)

    @property
    def runtime(self) -> Runtime:
        """
        What all sessions of the store share.
        """
        return self._runtime

    async def start(self) -> None:
        """
        Connect, look at server and schema, and open the pool.

        Raises Unavailable, PermissionDenied, ServerTooOld, SchemaMissing or SchemaTooOld, which name the way out; with `check`
        SchemaDiffers, or DatabaseError for a query that PostgreSQL refuses.
        """
        if self._pool is not None:
            return
        self._runtime = Runtime(self._runtime.settings, Watchdog())
        try:
            await self._probe()
        except BaseException:
            self._runtime.watchdog.close()
            raise
        self._pool = self._make_pool()
        await self._pool.open()
        _forks.register(self)

    async def close(self) -> None:
        """
        Close the pool. Safe to call again.
        """
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()
        self._runtime.watchdog.close()

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
        async with self.lend(EVERYTHING) as session:
            yield session

    @asynccontextmanager
    async def transaction(self, *, is_patient: bool = False) -> AsyncGenerator[AsyncSession]:
        """
        Lend a connection with a transaction on it: committed when the block ends, rolled back when it raises.

        Raises NestedCheckout, Overloaded, TransactionAborted, CommitUnknown. With `is_patient` nothing in it times out.
        """
        async with self.lend(EVERYTHING) as session, session.transaction(is_patient=is_patient) as tx:
            yield tx

    async def run(
        self, work: Callable[[AsyncSession], Awaitable[T]], *, seconds: float = 10.0, is_repeatable: bool = False
    ) -> T:
        """
        Run a unit of work in a transaction and return what it returns. Run it anew, from fresh reads, when it was rolled back
        by a serialization failure, a deadlock, a timeout or a connection lost before COMMIT: at most five tries, with full
        jitter, none begun after so many seconds; then the last error is raised.

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

    def scoped(self, scope: Scope) -> AsyncRunner:
        """
        Return the store as somebody sees it.
        """
        return _ScopedStore(self, scope)

    async def call(self, function: Any, parameters: dict[str, Any]) -> Any:
        """
        Run a loaded query on a connection of the pool.
        """
        async with self.lend(EVERYTHING) as session:
            return await session.call(function, parameters)

    @asynccontextmanager
    async def lend(self, scope: Scope) -> AsyncGenerator[AsyncSession]:
        """
        Lend a connection to this task, which may hold no other one.
        """
        pool, task = self._opened(), acurrent()
        # By context and by task: a thread of a pool serves many requests, and a child task is not its parent.
        outer = self._holder.get()
        if outer is not None and outer == task:
            raise NestedCheckout
        if not self._places.acquire(blocking=False):
            raise self._no_place(pool)
        try:
            connection = await self._take(pool)
            unit = AsyncUnit(connection)
            self._holder.set(task)
            try:
                yield AsyncSession(unit, self._runtime, scope)
            except ReadOnly as error:
                # A primary that has become a standby: the other connections are to the same server.
                if error.sqlstate is not None and not self._read_only:
                    await self._replace_all()
                raise
            finally:
                self._holder.set(outer)
                unit.connection = None
                if unit.process == os.getpid():
                    await self._give_back(pool, connection, is_handed_out=unit.is_handed_out)
        finally:
            self._places.release()

    def forked(self) -> Any:
        """
        Mark the store closed in a child process and return what must not be finalised there.
        """
        inherited, self._pool = self._pool, None
        return inherited

    def _opened(self) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
        if self._pool is None:
            raise StoreClosed
        return self._pool

    async def _take(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]]) -> psycopg.AsyncConnection[Any]:
        cause: Exception
        try:
            return await pool.getconn()
        except PoolTimeout as error:
            cause, failure = error, self._no_place(pool, Overloaded())
        except PoolClosed as error:
            cause, failure = error, StoreClosed()
        raise failure from cause

    def _no_place(
        self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]], otherwise: StoreError | None = None
    ) -> StoreError:
        if pool.get_stats().get("connections_errors", 0) > self._known_errors:
            return Unavailable(f"no connection to PostgreSQL at {_connection.describe(self._where)} could be made in time")
        return otherwise or Overloaded("too many callers wait for a connection already: shed load, or raise STORE_POOL_SIZE")

    async def _give_back(
        self,
        pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]],
        connection: psycopg.AsyncConnection[Any],
        *,
        is_handed_out: bool,
    ) -> None:
        """
        Return a connection as it came: what was set on one that its borrower had in hand does not reach the next.
        """
        try:
            if is_handed_out and not connection.closed:
                if connection.info.transaction_status != TransactionStatus.IDLE:
                    await connection.rollback()
                await connection.set_autocommit(True)
                connection.row_factory = tuple_row
                with self._runtime.watchdog.watching(_failures.descriptor(connection), self._runtime.patience):
                    for command in _CLEAN:
                        await connection.execute(command, prepare=False)
        except psycopg.Error:
            await connection.close()
        finally:
            self._last_used[connection] = time.monotonic()
            await pool.putconn(connection)

    def _make_pool(self) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
        settings = self._runtime.settings
        return AsyncConnectionPool(
            kwargs=self._keywords,
            open=False,
            name=settings.application_name,
            min_size=settings.pool_size,
            max_size=settings.pool_size,
            timeout=settings.pool_timeout,
            max_waiting=0,  # counted here: the pool also counts those who have given up, and then never connects again
            max_lifetime=settings.pool_max_lifetime,
            max_idle=settings.pool_max_idle,
            reconnect_timeout=_RECONNECT_SECONDS,
            reconnect_failed=self._alert,
            configure=self._configure,
            check=self._refuse_stale,
        )

    def _keywords(self) -> dict[str, Any]:
        settings = self._runtime.settings
        return {
            **_connection.keywords(settings, self._where, read_only=self._read_only, server_version=self._server_version),
            "autocommit": True,
            "prepare_threshold": None if settings.pooler == "transaction" else 0,
        }

    async def _configure(self, connection: psycopg.AsyncConnection[Any]) -> None:
        if self._pool is not None:
            self._known_errors = self._pool.get_stats().get("connections_errors", 0)
        connection.prepared_max = 2 * len(queries.texts) + 100

    async def _refuse_stale(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """
        Ask a connection that has been idle whether it still works. When it does not, the others are as old: replace them all.
        """
        if time.monotonic() - self._last_used.get(connection, 0.0) < _FRESH_SECONDS:
            return
        try:
            with self._runtime.watchdog.watching(_failures.descriptor(connection), self._runtime.patience):
                await AsyncConnectionPool.check_connection(connection)
        except psycopg.Error:
            await self._replace_all()
            raise

    async def _replace_all(self) -> None:
        """
        Have every connection made anew, at most once a second.
        """
        if self._pool is not None and time.monotonic() - self._last_drain >= _DRAIN_SECONDS:
            self._last_drain = time.monotonic()
            await self._pool.drain()

    async def _alert(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]]) -> None:
        if time.monotonic() - self._last_alert >= _ALERT_SECONDS:
            self._last_alert = time.monotonic()
            where = _connection.describe(self._where)
            _log.error("pool %s: no connection to PostgreSQL at %s; each caller makes it try again", pool.name, where)

    async def _probe(self) -> None:
        self._where = await ato_thread(_connection.address, self._runtime.settings)  # may have to start an embedded server
        connection = None
        failure: StoreError = Unavailable()
        try:
            connection = await psycopg.AsyncConnection.connect(**self._keywords())
        except psycopg.Error as error:
            failure = _failures.connect_failure(error, _connection.describe(self._where))
        if connection is None:
            raise failure  # not inside `except`: libpq's message may quote a part of the connection string
        async with connection:
            self._server_version = connection.info.server_version
            await self._look_at(connection)

    async def _look_at(self, connection: psycopg.AsyncConnection[Any]) -> None:
        if connection.info.server_version < _connection.MIN_SERVER_VERSION:
            message = f"PostgreSQL 16 or newer is needed; this server is {connection.info.server_version // 10000}"
            raise ServerTooOld(message)
        needed = _files.latest_migration()
        session = AsyncSession(AsyncUnit(connection), self._runtime)
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

            with self._runtime.watchdog.watching(_failures.descriptor(connection), self._runtime.patience):
                await hold_to_contracts(connection, queries.texts)


class _ScopedStore(AsyncRunner):
    """
    An open store of which one shopper sees their part.
    """

    def __init__(self, store: AsyncStore, scope: Scope) -> None:
        self._store = store
        self.scope = scope

    @property
    def runtime(self) -> Runtime:
        return self._store.runtime

    async def call(self, function: Any, parameters: dict[str, Any]) -> Any:
        async with self._store.lend(self.scope) as session:
            return await session.call(function, parameters)

    def scoped(self, scope: Scope) -> AsyncRunner:
        return _ScopedStore(self._store, scope)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        async with self._store.lend(self.scope) as session, session.transaction() as tx:
            yield tx
