"""
The connections of an open store: made, lent one to a task, taken back as they came, and made anew when the server went away.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from threading import BoundedSemaphore
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from store import _connection, _failures, _forks
from store._acompat import acurrent, ato_thread
from store._async.queries import queries
from store._async.session import AsyncSession, AsyncUnit
from store._runtime import Runtime, Scope
from store._watchdog import Watchdog
from store.errors import NestedCheckout, Overloaded, ReadOnly, StoreClosed, StoreError, Unavailable
from store.settings import Settings

_log = logging.getLogger("store.pool")

_Connections = AsyncConnectionPool[psycopg.AsyncConnection[Any]]

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


class AsyncPool:
    """
    Lends sessions. It can be opened again after it was closed.
    """

    def __init__(self, settings: Settings, *, read_only: bool) -> None:
        self.runtime = Runtime(settings, Watchdog())
        self._read_only = read_only
        self._where: dict[str, Any] = {}
        self._server_version: int | None = None
        self._pool: _Connections | None = None
        self._holder: ContextVar[object | None] = ContextVar("holder", default=None)
        self._known_errors = 0
        self._places = BoundedSemaphore(settings.pool_size + settings.max_waiting)
        self._last_used: WeakKeyDictionary[psycopg.AsyncConnection[Any], float] = WeakKeyDictionary()
        self._last_drain = 0.0
        self._last_alert = 0.0

    async def open(self, look_at: Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]]) -> None:
        """
        Connect, have somebody look at server and schema, and make the connections. Nothing is left open when that fails.
        """
        if self._pool is not None:
            return
        self.runtime = Runtime(self.runtime.settings, Watchdog())
        try:
            await self._probe(look_at)
        except BaseException:
            self.runtime.watchdog.close()
            raise
        self._pool = self._make()
        await self._pool.open()
        _forks.register(self)

    async def close(self) -> None:
        """
        Close the connections. Safe to call again.
        """
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()
        self.runtime.watchdog.close()

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
                yield AsyncSession(unit, self.runtime, scope)
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
        Mark it closed in a child process and return what must not be finalised there.
        """
        inherited, self._pool = self._pool, None
        return inherited

    def _opened(self) -> _Connections:
        if self._pool is None:
            raise StoreClosed
        return self._pool

    async def _take(self, pool: _Connections) -> psycopg.AsyncConnection[Any]:
        cause: Exception
        try:
            return await pool.getconn()
        except PoolTimeout as error:
            cause, failure = error, self._no_place(pool, Overloaded())
        except PoolClosed as error:
            cause, failure = error, StoreClosed()
        raise failure from cause

    def _no_place(self, pool: _Connections, otherwise: StoreError | None = None) -> StoreError:
        if pool.get_stats().get("connections_errors", 0) > self._known_errors:
            return Unavailable(f"no connection to PostgreSQL at {_connection.describe(self._where)} could be made in time")
        return otherwise or Overloaded("too many callers wait for a connection already: shed load, or raise STORE_POOL_SIZE")

    async def _give_back(self, pool: _Connections, connection: psycopg.AsyncConnection[Any], *, is_handed_out: bool) -> None:
        """
        Return a connection as it came: what was set on one that its borrower had in hand does not reach the next.
        """
        try:
            if is_handed_out and not connection.closed:
                if connection.info.transaction_status != TransactionStatus.IDLE:
                    await connection.rollback()
                await connection.set_autocommit(True)
                connection.row_factory = tuple_row
                with self.runtime.watchdog.watching(_failures.descriptor(connection), self.runtime.patience):
                    for command in _CLEAN:
                        await connection.execute(command, prepare=False)
        except psycopg.Error:
            await connection.close()
        finally:
            self._last_used[connection] = time.monotonic()
            await pool.putconn(connection)

    def _make(self) -> _Connections:
        settings = self.runtime.settings
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
        settings = self.runtime.settings
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
            with self.runtime.watchdog.watching(_failures.descriptor(connection), self.runtime.patience):
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

    async def _alert(self, pool: _Connections) -> None:
        if time.monotonic() - self._last_alert >= _ALERT_SECONDS:
            self._last_alert = time.monotonic()
            where = _connection.describe(self._where)
            _log.error("pool %s: no connection to PostgreSQL at %s; each caller makes it try again", pool.name, where)

    async def _probe(self, look_at: Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]]) -> None:
        self._where = await ato_thread(_connection.address, self.runtime.settings)  # may have to start an embedded server
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
            await look_at(connection)
