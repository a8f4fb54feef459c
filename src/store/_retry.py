"""
Which failed unit of work may be run again. SQLSTATE decides, never its class: disk full and a killed server are the same class.
"""

from __future__ import annotations

import random
from typing import Literal

from store.errors import CommitUnknown, ReadOnly, StatementCancelled, StoreError, Unavailable

MAX_TRIES = 5

Verdict = Literal["again", "unknown", "never"]

_AGAIN = {"40001", "40P01", "55P03", "57014", "25P03", "25P04", "57P01", "57P02", "57P03", "57P05"}
_STANDBY = {"25006"}


def verdict(error: StoreError) -> Verdict:
    """
    Whether the unit that raised this was certainly not stored and may succeed when run again, may have been stored, or neither.
    """
    if isinstance(error, CommitUnknown):
        return "unknown"
    if isinstance(error, StatementCancelled):  # it shares its SQLSTATE with a timeout; whoever cancelled it meant it
        return "never"
    state = error.sqlstate
    if state is None:
        return "again" if isinstance(error, Unavailable) else "never"
    if state in _AGAIN or state.startswith("08"):
        return "again"
    return "again" if state in _STANDBY and isinstance(error, ReadOnly) else "never"


def pause(tries: int) -> float:
    """
    Seconds to wait before the next try: full jitter below 25, 50, 100, 200 ms, so that those who collided do not collide again.
    """
    return random.uniform(0, 0.025 * 2 ** (tries - 1))  # noqa: S311  # jitter is no secret
