"""
Runs the loaded statements on a psycopg connection: parameters as $n, rows as plain tuples, driver errors untouched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.rows import tuple_row

from store._queries.bind import bind
from store._queries.choice import choose
from store._queries.results import names
from store._queries.statement import Statement, Types, by_casts
from store._queries.untyped import teach
from store.errors import NotFound, TooManyRows


class AsyncAdapter:
    """
    The adapter of one .sql file. Its cursors are its own: neither a cursor factory nor a row factory of the connection counts.
    """

    is_aio_driver = True

    def __init__(self, types: Types = by_casts) -> None:
        self.statements: dict[str, Statement] = {}
        self._types = types

    async def select(
        self,
        conn: AsyncConnection[Any],
        query_name: str,
        sql: str,
        parameters: Mapping[str, object],
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """
        Run the query now and return the column names and all rows.
        """
        async with AsyncRawCursor(conn, row_factory=tuple_row) as cursor:
            statement = await self._execute(cursor, query_name, sql, parameters)
            return names(cursor, statement), await cursor.fetchall()

    async def select_one(
        self,
        conn: AsyncConnection[Any],
        query_name: str,
        sql: str,
        parameters: Mapping[str, object],
    ) -> tuple[tuple[str, ...], tuple[Any, ...] | None]:
        """
        Return the column names and the row, or None in its place.

        Raises TooManyRows when there is a second one.
        """
        async with AsyncRawCursor(conn, row_factory=tuple_row) as cursor:
            statement = await self._execute(cursor, query_name, sql, parameters)
            columns = names(cursor, statement)
            rows = await cursor.fetchmany(2)
        if len(rows) > 1:
            raise TooManyRows(f"{statement.full_name} returned more than one row")
        return columns, rows[0] if rows else None

    async def select_then(
        self,
        conn: AsyncConnection[Any],
        query_name: str,
        sql: str,
        parameters: Mapping[str, object],
        command: str,
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]], str | None]:
        """
        Do as select with a command right behind the query, in the same round trip; return its status too.
        """
        async with AsyncRawCursor(conn, row_factory=tuple_row) as cursor, AsyncRawCursor(conn, row_factory=tuple_row) as behind:
            async with conn.pipeline():
                statement = await self._execute(cursor, query_name, sql, parameters)
                await behind.execute(command.encode(), prepare=False)
            return names(cursor, statement), await cursor.fetchall(), behind.statusmessage

    async def select_value(
        self, conn: AsyncConnection[Any], query_name: str, sql: str, parameters: Mapping[str, object]
    ) -> Any:
        """
        Return the first column of the one row; None is a null of the database.

        Raises NotFound when there is no row and TooManyRows when there is a second one.
        """
        _, row = await self.select_one(conn, query_name, sql, parameters)
        if row is None:
            raise NotFound(f"{self.statements[query_name].full_name} returned no row")
        return row[0]

    async def insert_update_delete(
        self, conn: AsyncConnection[Any], query_name: str, sql: str, parameters: Mapping[str, object]
    ) -> int:
        """
        Run the statement and return how many rows it touched.
        """
        async with AsyncRawCursor(conn, row_factory=tuple_row) as cursor:
            await self._execute(cursor, query_name, sql, parameters)
            return cursor.rowcount

    async def _execute(
        self, cursor: AsyncRawCursor[Any], query_name: str, sql: str, parameters: Mapping[str, object]
    ) -> Statement:
        statement = self.statements[query_name]
        if statement.variants:
            statement, parameters = choose(statement, parameters)
            sql = statement.text
        bound = bind(statement, parameters, self._types(statement))
        teach(cursor.adapters)
        # Bytes, as the text of a .sql file is no LiteralString; nothing of a caller's can enter it.
        await cursor.execute(sql.encode(cursor.connection.info.encoding), bound)
        return statement
