"""
Has a server describe every query when a store opens, all of them in one round trip, and holds the answer to the contracts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from store import _failures
from store._queries import Statement
from store.contract import probe


async def hold_to_contracts(connection: psycopg.AsyncConnection[Any], statements: Sequence[Statement]) -> None:
    """
    Have every text prepared and compared. Raises what PostgreSQL refuses, by the query's name, and SchemaDiffers.
    """
    asked = probe.probes(statements)
    try:
        found = await _at_once(connection, asked)
    except psycopg.Error:
        found = await _one_by_one(connection, asked)
    probe.compare(found, asked)


async def _at_once(connection: psycopg.AsyncConnection[Any], asked: Sequence[probe.Probe]) -> list[probe.Answer]:
    # Up to its one Sync this is one transaction: no pooler gives a statement another server.
    async with connection.pipeline():
        for each in asked:
            await connection.execute(each.prepare, prepare=False)
        cursor = await connection.execute(probe.LOOK, prepare=False)
        for each in asked:
            await connection.execute(each.deallocate, prepare=False)
        probe.contracts()  # read while the server works
    return await cursor.fetchall()


async def _one_by_one(connection: psycopg.AsyncConnection[Any], asked: Sequence[probe.Probe]) -> list[probe.Answer]:
    # Of a batch the server does not say which command it refuses, and what was prepared before that one stays.
    async with connection.transaction():
        for name, *_ in await (await connection.execute(probe.LOOK, prepare=False)).fetchall():
            await connection.execute(probe.deallocate(name), prepare=False)
        for each in asked:
            with _failures.translated(each.statement.title):
                await connection.execute(each.prepare, prepare=False)
        cursor = await connection.execute(probe.LOOK, prepare=False)
        for each in asked:
            await connection.execute(each.deallocate, prepare=False)
    return await cursor.fetchall()
