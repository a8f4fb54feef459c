"""
Two at once, in a known order: the one waits for a lock, and the other goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from tests.databases import Connection


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

    thread = threading.Thread(target=run)
    thread.start()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(500):
        if connect_admin.execute(waiting.encode()).fetchone() != (0,):
            break
        time.sleep(0.01)
    then()
    thread.join(timeout=10)
    return found
