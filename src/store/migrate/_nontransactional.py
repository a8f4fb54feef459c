"""
Statements that PostgreSQL runs outside a transaction, and backfills in batches: ended at any point, the next run goes on.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any

import psycopg

from store.migrate._folder import SqlFile
from store.migrate._index import Build, drop, sweep
from store.migrate._report import Bounds, Clock, Options, Step, milliseconds
from store.migrate._retry import retried
from store.migrate._session import Session
from store.migrate._text import Statement

_log = logging.getLogger("store.migrate")
_TIMEOUTS = "SELECT set_config('lock_timeout', %s, %s), set_config('statement_timeout', %s, %s)"
_PAUSE = 1.0  # the longest between two batches


def bounds(options: Options, file: SqlFile, *, local: bool) -> Bounds:
    """
    Return the bounds of a file whose statements run in transactions (`local`), or outside one.

    VALIDATE CONSTRAINT queues in front of no writer: it may wait and work longer. A timeout of the lock of CREATE INDEX
    CONCURRENTLY would leave an INVALID index, and who waits for SHARE UPDATE EXCLUSIVE stops no writer.
    """
    gentle = all({"validate", "constraint"} <= set(each.words) for each in file.statements)
    patient = gentle if local else "concurrently" in file.statements[0].words
    lock = 0.0 if patient else options.lock_timeout
    if gentle or not local:
        return Bounds(lock, file.headers.timeout or options.long_timeout, "--long-timeout")
    return Bounds(lock, file.headers.timeout or options.statement_timeout, "--statement-timeout")


def set_timeouts(session: Session, file: SqlFile, *, local: bool) -> None:
    """
    Bound the statements of a file, for one transaction or for the session.
    """
    found = bounds(session.options, file, local=local)
    values = (milliseconds(found.lock), local, milliseconds(found.statement), local)
    session.connection.execute(_TIMEOUTS, values)


def run(session: Session, file: SqlFile, step: Step, *, resumed: bool) -> None:
    """
    Run the one statement of a file outside a transaction, so that in the end it has run once.
    """
    statement = file.statements[0]
    build = Build.of(statement)
    set_timeouts(session, file, local=False)
    if build is not None:
        retried(session, step, file.name, lambda: build.run(session.connection, session.options.state_schema))
    elif statement.begins("drop", "index", "concurrently"):
        retried(session, step, file.name, lambda: drop(session.connection, statement, resumed=resumed))
    elif statement.begins("reindex"):
        retried(session, step, file.name, lambda: _reindex(session.connection, statement))
    elif not (resumed and _is_detached(session.connection, statement)):
        retried(session, step, file.name, lambda: _send(session.connection, statement.text))


def run_batches(session: Session, file: SqlFile, step: Step) -> None:
    """
    Repeat the statement of a file, each time in a transaction of its own, until no row is left for it.
    """
    total = 0
    while True:
        clock = Clock()
        count = retried(session, step, file.name, lambda: _batch(session, file))
        if count == 0:
            return
        total += count
        _log.info("%s: %d rows so far", file.name, total)
        time.sleep(min(_PAUSE, clock.ms() / 1000))  # as much rest as work: replicas and vacuum keep up


def _batch(session: Session, file: SqlFile) -> int:
    with session.connection.transaction():
        set_timeouts(session, file, local=True)
        return _send(session.connection, file.statements[0].text).rowcount


def _reindex(connection: psycopg.Connection[Any], statement: Statement) -> None:
    sweep(connection)
    try:
        _send(connection, statement.text)
    except BaseException:
        with suppress(psycopg.Error):
            sweep(connection)
        raise


def _is_detached(connection: psycopg.Connection[Any], statement: Statement) -> bool:
    """
    Bring a DETACH PARTITION CONCURRENTLY to its end that was ended in the middle; say whether there is nothing left to do.
    """
    words = statement.words
    if not (statement.begins("alter", "table") and {"detach", "partition", "concurrently"} <= set(words)):
        return False
    first, last = words.index("partition") + 1, words.index("concurrently")
    name = statement.text[statement.offsets[first] : statement.offsets[last]].strip()
    found = connection.execute(
        "SELECT inhdetachpending FROM pg_catalog.pg_inherits WHERE inhrelid = to_regclass(%s)", (name,)
    ).fetchone()
    if found == (True,):
        _send(connection, statement.text[: statement.offsets[last]] + "FINALIZE")
    return found in (None, (True,))


def _send(connection: psycopg.Connection[Any], text: str) -> psycopg.Cursor[Any]:
    return connection.execute(text.encode(), prepare=False)
