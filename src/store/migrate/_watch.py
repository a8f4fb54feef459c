"""
Names who holds a migration up: a second connection looks on while a file waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.rows import class_row

_log = logging.getLogger("store.migrate")
_AFTER = 0.3  # seconds; most files are done before anybody needs to look
_EVERY = 0.25
# The owner of a database chooses the path of its sessions, and with it whose functions would run with our rights.
_PINNED = "SELECT pg_catalog.set_config('search_path', '', false)"
_BLOCKERS = """
    SELECT
        a.pid, a.usename AS user, a.application_name AS application, a.client_addr::text AS address, a.state,
        round(extract(epoch FROM clock_timestamp() - a.xact_start))::bigint AS age
    FROM unnest(pg_catalog.pg_blocking_pids(%s)) AS blocking (pid)
    INNER JOIN pg_catalog.pg_stat_activity AS a ON a.pid = blocking.pid
"""


@dataclass(frozen=True, slots=True)
class Backend:
    """
    A process of the server, as far as this role may see it; `age` is that of its transaction or of itself, in seconds.
    """

    pid: int
    user: str | None
    application: str | None
    address: str | None
    state: str | None
    age: int | None

    def __str__(self) -> str:
        known = (
            self.user and f"user {self.user}",
            self.application,
            self.address,
            self.state,
            self.age and f"for {self.age} s",
        )
        return ", ".join([f"server process {self.pid}", *(part for part in known if part)])


class Watcher:
    """
    A block during which somebody looks who blocks this server process; `blockers` holds whom it saw.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], pid: int, what: str) -> None:
        self._connect = connect
        self._pid = pid
        self._what = what
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="store-migrate-watch", daemon=True)
        self.blockers: dict[int, Backend] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(5)

    def _look(self) -> None:
        if self._over.wait(_AFTER):
            return
        try:
            with self._connect() as connection, connection.cursor(row_factory=class_row(Backend)) as cursor:
                connection.autocommit = True
                connection.execute(_PINNED)
                while not self._over.wait(_EVERY):
                    for found in cursor.execute(_BLOCKERS, (self._pid,)):
                        self._note(found)
        except Exception:  # noqa: BLE001 (whoever looks on must not end what it looks at)
            _log.debug("cannot see who blocks %s", self._what, exc_info=True)

    def _note(self, found: Backend) -> None:
        if found.pid not in self.blockers:
            _log.warning("%s waits for %s", self._what, found)
        self.blockers[found.pid] = found
