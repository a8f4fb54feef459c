"""
One connection: runs statements, translates refusals, and is the only place that says BEGIN and COMMIT.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from pydantic import BaseModel

from store import _failures, _rows
from store._async.domains import AsyncDomains
from store._async.runner import AsyncRunner
from store._connection import MIN_TRANSACTION_TIMEOUT_VERSION
from store._queries import Statement
from store._runtime import EVERYTHING, Runtime, Scope
from store.errors import CommitUnknown, StoreClosed, StoreError, TooManyRows, TransactionAborted, WrongParameters

_log = logging.getLogger("store.query")

M = TypeVar("M", bound=BaseModel)


class AsyncUnit:
    """
    The state of a borrowed connection that all its sessions share.
    """

    __slots__ = ("connection", "depth", "is_committed", "is_handed_out", "is_patient", "process")

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection: psycopg.AsyncConnection[Any] | None = connection
        self.process = os.getpid()
        self.depth = 0
        self.is_committed = False
        self.is_patient = False
        self.is_handed_out = False

    def lent(self) -> psycopg.AsyncConnection[Any]:
        """
        Return the connection. Raises StoreClosed once it has been given back, and in a child process.
        """
        if self.connection is None or self.process != os.getpid():
            message = "this session has ended and its connection is somebody else's: use it inside its `with` block"
            raise StoreClosed(message)
        return self.connection


class AsyncSession(AsyncDomains, AsyncRunner):
    """
    A borrowed connection with the verbs of every domain. Statements commit by themselves outside transaction().
    """

    def __init__(self, unit: AsyncUnit, runtime: Runtime, scope: Scope = EVERYTHING) -> None:
        self._unit = unit
        self._runtime = runtime
        self.scope = scope

    @property
    def runtime(self) -> Runtime:
        """
        What all sessions of the store share.
        """
        return self._runtime

    @property
    def _runner(self) -> AsyncRunner:
        return self

    @property
    def connection(self) -> psycopg.AsyncConnection[Any]:
        """
        The connection itself, for what no verb and no query of a file does. What is set on it is reset when it goes back.

        Raises StoreClosed once it has been given back.
        """
        self._unit.is_handed_out = True
        return self._unit.lent()

    def scoped(self, scope: Scope) -> AsyncSession:
        """
        Return a session on the same connection and in the same transaction that sees only what this scope owns.
        """
        return AsyncSession(self._unit, self._runtime, scope)

    async def call(self, function: Any, parameters: dict[str, Any]) -> Any:
        """
        Run a loaded query and return what its adapter does.

        Raises a StoreError for every refusal; the driver's error stays out of it where it carries values of the row.
        """
        return await self._send(function, parameters)

    async def last(self, model: type[M], function: Any, **parameters: Any) -> M | None:
        """
        Run the last statement of a transaction() block and return its row or None. In an outermost block COMMIT rides behind
        the statement in the same round trip, so that its locks are not held across the network; nothing may follow it. Inside
        another block, and outside of any, it is one_or_none(): what it wrote is stored with the block around it.

        The statement must have written nothing where its row is a refusal. Raises CommitUnknown as the block itself does, and
        where the answer is not what the statement promises: it is stored then.
        """
        if self._unit.depth != 1:
            return await self.one_or_none(model, function, **parameters)
        names, rows, status = await self._send(function, parameters, "COMMIT")
        if status != "COMMIT":
            raise TransactionAborted
        self._unit.is_committed = True
        name = function.statement.full_name
        try:
            found = _rows.as_models(model, names, rows)
            if len(found) > 1:
                raise TooManyRows(f"{name} returned more than one row")
        except StoreError as error:
            message = f"{name} was committed, but its answer is not what it promises: read before you repeat"
            raise CommitUnknown(message) from error
        return found[0] if found else None

    @asynccontextmanager
    async def transaction(self, *, is_patient: bool = False) -> AsyncGenerator[AsyncSession]:
        """
        Open a unit of work at READ COMMITTED: committed when the block ends, rolled back when it raises. Inside another unit it
        is a savepoint. With `is_patient` no statement of it times out (imports, exports): for the outermost block to say.

        Raises TransactionAborted when the block ends well although a statement in it failed, CommitUnknown when the connection
        was lost while COMMIT was under way, and WrongParameters for patience inside a unit that has none.
        """
        if is_patient and self._unit.depth and not self._unit.is_patient:
            message = "is_patient: this unit of work has its timeouts already: give it to the outermost transaction()"
            raise WrongParameters(message)
        block = self._savepoint() if self._unit.depth else self._unit_of_work(is_patient=is_patient)
        async with block:
            yield self

    @asynccontextmanager
    async def copy(self, function: Any) -> AsyncGenerator[psycopg.AsyncCopy]:
        """
        Run a COPY statement of a .sql file; the whole block is one statement, with the timeout of one.

        Raises CommitUnknown where it stores rows by itself, outside transaction(), and the connection was lost with the answer.
        """
        statement, started = function.statement, time.perf_counter()
        if statement.kind != "copy":
            message = f"{statement.full_name} is no COPY: call it, or run it with session.many() and its like"
            raise WrongParameters(message)
        with self._sending(statement) as connection:
            async with connection.cursor() as cursor:
                async with cursor.copy(statement.text) as copy:
                    yield copy
                rows = cursor.rowcount
        self._notice_slow(statement, started, rows)

    async def _send(self, function: Any, parameters: dict[str, Any], then: str | None = None) -> Any:
        """
        Run a loaded query, with a COMMIT right behind it where one is given, and return what its adapter does.
        """
        statement = function.statement
        if statement.kind == "copy":
            message = f"{statement.full_name} is a COPY: run it with session.copy()"
            raise WrongParameters(message)
        parameters = self._with_scope(statement, parameters)
        mark, started = statement.mark, time.perf_counter()
        with self._sending(statement, is_last=then is not None) as connection:
            if then is None:
                result = await function(connection, **parameters)
            else:
                mark = ""  # what comes back is all rows
                result = await function.adapter.select_then(connection, statement.name, statement.text, parameters, then)
        self._notice_slow(statement, started, _failures.row_count(mark, result))
        return result

    @contextmanager
    def _sending(self, statement: Statement, *, is_last: bool = False) -> Generator[psycopg.AsyncConnection[Any]]:
        """
        Lend the connection for one statement, unless that would not be part of what its caller believes.
        """
        connection = self._unit.lent()
        _failures.refuse_lost(connection)
        self._refuse_stray(connection)
        try:
            with self._runtime.watching(connection, statement.full_name, is_patient=self._unit.is_patient):
                yield connection
        except StoreError as error:
            # Whatever the server said in parting: COMMIT was on its way with the last statement and may have been reached.
            # Outside a transaction a statement that writes is its own COMMIT: sent and not answered.
            is_own_commit = statement.writes and not self._unit.depth
            if (is_last and connection.closed) or (is_own_commit and _failures.is_unknown(error, connection)):
                raise CommitUnknown from error
            raise

    @asynccontextmanager
    async def _unit_of_work(self, *, is_patient: bool) -> AsyncGenerator[None]:
        # Counted before BEGIN is sent: cancelled while it is on its way, it may still take effect.
        self._unit.depth = 1
        try:
            await self._control("BEGIN ISOLATION LEVEL READ COMMITTED")
            if is_patient:
                await self._be_patient()
            yield
            if not self._unit.is_committed:
                await self._refuse_unclean(1, "ROLLBACK")
                await self._commit()
        except BaseException:
            await self._roll_back("ROLLBACK")
            raise
        finally:
            self._unit.depth = 0
            self._unit.is_committed = False
            self._unit.is_patient = False

    @asynccontextmanager
    async def _savepoint(self) -> AsyncGenerator[None]:
        depth = self._unit.depth
        name = f"unit_{depth}"
        self._unit.depth = depth + 1
        try:
            await self._control(f"SAVEPOINT {name}")
            yield
            await self._refuse_unclean(depth + 1, f"ROLLBACK TO {name}")
            await self._control(f"RELEASE {name}")
        except BaseException:
            await self._roll_back(f"ROLLBACK TO {name}")
            raise
        finally:
            self._unit.depth = min(self._unit.depth, depth)

    async def _be_patient(self) -> None:
        self._unit.is_patient = True
        await self._control("SET LOCAL statement_timeout = 0")
        await self._control("SET LOCAL idle_in_transaction_session_timeout = '60s'")
        if self._unit.lent().info.server_version >= MIN_TRANSACTION_TIMEOUT_VERSION:
            await self._control("SET LOCAL transaction_timeout = 0")

    async def _refuse_unclean(self, depth: int, undo: str) -> None:
        if self._unit.depth != depth:
            message = "transaction blocks were left in another order than they were entered"
            raise StoreError(message)
        # PostgreSQL answers COMMIT of an aborted transaction with ROLLBACK and no error: nobody would know.
        status = self._unit.lent().info.transaction_status
        if status == TransactionStatus.INERROR:
            await self._roll_back(undo)
            raise TransactionAborted
        if status == TransactionStatus.IDLE:
            message = "the transaction was ended inside its block: what happened since then was not part of it"
            raise TransactionAborted(message)

    def _refuse_stray(self, connection: psycopg.AsyncConnection[Any]) -> None:
        if self._unit.is_committed:
            message = "the transaction was committed by its last statement: what follows it would not be part of it"
            raise TransactionAborted(message)
        if not self._unit.depth and connection.info.transaction_status != TransactionStatus.IDLE:
            message = "a transaction is open that no transaction() block owns: nothing in it would be stored"
            raise TransactionAborted(message)

    async def _commit(self) -> None:
        connection = self._unit.lent()
        _failures.refuse_lost(connection)
        if connection.pgconn.pipeline_status != PipelineStatus.OFF:
            message = (
                "a pipeline is open, in which nobody waits for the answer to COMMIT: keep it inside the transaction() block"
            )
            raise StoreError(message)
        try:
            with self._runtime.watching(connection, "COMMIT"):
                cursor = await connection.execute("COMMIT", prepare=False)
        except StoreError as error:
            if _failures.is_unknown(error, connection):
                raise CommitUnknown from error
            raise
        if cursor.statusmessage != "COMMIT":
            raise TransactionAborted

    async def _roll_back(self, undo: str) -> None:
        connection = self._unit.connection
        if connection is None or connection.closed or self._unit.process != os.getpid():
            return
        if connection.info.transaction_status == TransactionStatus.IDLE:
            return
        try:
            with self._runtime.watchdog.watching(_failures.descriptor(connection), self._runtime.patience):
                await connection.execute(undo.encode(), prepare=False)
        except psycopg.Error:
            # A savepoint may not have been made yet. A connection that cannot even roll back goes, and with it all.
            if not undo.startswith("ROLLBACK TO"):
                await connection.close()

    async def _control(self, command: str) -> None:
        connection = self._unit.lent()
        with self._runtime.watching(connection, command):
            await connection.execute(command.encode(), prepare=False)

    def _with_scope(self, statement: Statement, parameters: dict[str, Any]) -> dict[str, Any]:
        scope = self.scope.parameters()
        if not parameters.keys().isdisjoint(scope):
            message = f"{statement.full_name}: the scope is not the caller's to give"
            raise WrongParameters(message)
        return parameters | {name: scope[name] for name in statement.parameters if name in scope}

    def _notice_slow(self, statement: Statement, started: float, rows: int) -> None:
        elapsed = (time.perf_counter() - started) * 1000
        if elapsed >= self._runtime.settings.slow_query_ms and not self._unit.is_patient:
            _log.warning("slow query %s: %.0f ms, %d rows", statement.full_name, elapsed, rows)
