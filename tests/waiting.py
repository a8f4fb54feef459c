"""
Two at once, in a known order: the one waits for a lock, and the other goes on. A wait that does not come fails the test.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.databases import Connection

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def until(condition: Callable[[], object], what: str) -> None:
    """
    Return when the condition holds.
    """
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited 60 s for {what}"
        time.sleep(0.02)


def wait_for_lock(connection: Connection, count: int = 1) -> None:
    """
    Return when so many sessions of this database wait for a lock.
    """
    until(lambda: _waiting(connection) >= count, f"{count} to wait for a lock")


def beside(connect_admin: Connection, call: Callable[[], Any], then: Callable[[], Any]) -> list[Any]:
    """
    Start a call, wait until it waits for a lock, do something else, and return what the call returned or raised.
    """
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:  # noqa: BLE001  # is the answer
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until(lambda: _waiting(connect_admin) or not thread.is_alive(), "the call to wait for a lock")
    if found:
        pytest.fail(f"the call was to wait for a lock, and came back without: {found[0]!r}")
    then()
    thread.join(timeout=30)
    if not found:
        pytest.fail("the call still waits, with the lock let go")
    return found


def _waiting(connection: Connection) -> int:
    ((count,),) = connection.execute(_WAITING.encode()).fetchall()
    return int(count)


def unmeasured(**more: str) -> dict[str, str]:
    """
    Return the environment of a process that a signal may interrupt anywhere: coverage takes a lock at moments, and would never
    get it again.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")} | more


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """
    Stop a backend for the length of a block: its socket stays open, and nothing is answered. At most for 20 s, so that a test
    fails and does not hang.
    """
    os.kill(pid, signal.SIGSTOP)
    limit = threading.Timer(20, os.kill, (pid, signal.SIGCONT))
    limit.start()
    try:
        yield
    finally:
        limit.cancel()
        os.kill(pid, signal.SIGCONT)
