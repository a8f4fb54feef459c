"""
One runner at a time: an advisory lock on the connection that runs the files, so that an orphan still at work keeps it.
"""

from __future__ import annotations

import logging
import random
import time
import zlib
from typing import Any

import psycopg
from psycopg.rows import class_row

from store.errors import MigrationLocked
from store.migrate._watch import Backend

_log = logging.getLogger("store.migrate")
SPACE = 1937010546  # "stor", the first half of the key
_TRY = "SELECT pg_try_advisory_lock(%s::integer, %s::integer)"
HELD = """
    SELECT FROM pg_catalog.pg_locks
    WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND classid::bigint = %s AND objid::bigint = %s AND objsubid = 2
"""
_HOLDERS = """
    SELECT
        a.pid, a.usename AS user, a.application_name AS application, a.client_addr::text AS address, a.state,
        round(extract(epoch FROM clock_timestamp() - a.backend_start))::bigint AS age
    FROM pg_catalog.pg_locks AS l
    INNER JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.classid::bigint = %s AND l.objid::bigint = %s AND l.objsubid = 2 AND l.granted
        AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""


def acquire(connection: psycopg.Connection[Any], schema: str, wait: float) -> None:
    """
    Take the lock of this state schema, for as long as the connection lives; the log names whom it waits for.

    Raises MigrationLocked, naming who has it. Polled: a blocked pg_advisory_lock is a snapshot that CREATE INDEX CONCURRENTLY
    of the other runner would wait for.
    """
    deadline = time.monotonic() + wait
    told: int | None = None
    while connection.execute(_TRY, (SPACE, key(schema))).fetchone() != (True,):
        found = holders(connection, schema)
        for holder in found:
            if holder.pid != told:
                told = holder.pid
                _log.warning("waits for another runner: %s", holder)
        if time.monotonic() >= deadline:
            names = "; ".join(map(str, found)) or "gone by now"
            raise MigrationLocked(f"another runner is at work ({names}): nothing was done, try again later")
        time.sleep(random.uniform(0.1, 0.3))  # noqa: S311 (not a secret: several that wait shall not ask in step)


def place(schema: str) -> tuple[int, int]:
    """
    Return where pg_locks has the lock of this state schema: its halves, as they are shown there.
    """
    return SPACE, key(schema) % 2**32


def holders(connection: psycopg.Connection[Any], schema: str) -> list[Backend]:
    """
    Return who has the lock.
    """
    with connection.cursor(row_factory=class_row(Backend)) as cursor:
        return cursor.execute(_HOLDERS, place(schema)).fetchall()


def key(schema: str) -> int:
    """
    Return the second half of the key: advisory keys are signed.
    """
    return zlib.crc32(schema.encode()) - 2**31
