"""
Tries a file again when a lock did not come: everything rolled back first, so that nobody queues behind us while we wait.
"""

from __future__ import annotations

import itertools
import logging
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

import psycopg

from store.errors import MigrationLocked
from store.migrate._report import Clock, Step
from store.migrate._session import Session
from store.migrate._watch import Watcher

Result = TypeVar("Result")

_log = logging.getLogger("store.migrate")
_AGAIN = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
)  # nothing else gets better by waiting
_FIRST, _LONGEST = 0.5, 30.0


def retried(session: Session, step: Step, what: str, work: Callable[[], Result]) -> Result:
    """
    Return what `work` returns, trying it again with exponential back-off and full jitter while a lock does not come.

    Raises MigrationLocked, naming who had the locks, when --lock-wait is over.
    """
    waited, deadline = Clock(), time.monotonic() + session.options.lock_wait
    for step.attempts in itertools.count(1):
        step.lock_wait_ms = waited.ms() if step.attempts > 1 else 0
        with Watcher(session.connect, session.connection.info.backend_pid, what) as watcher:
            try:
                return work()
            except _AGAIN as error:
                failure = error
        pause = random.uniform(0, min(_LONGEST, _FIRST * 2 ** (step.attempts - 1)))  # noqa: S311 (not a secret)
        if time.monotonic() + pause >= deadline:
            step.lock_wait_ms = waited.ms()
            raise _locked(session, step, what, watcher, failure)
        _log.warning("%s: attempt %d did not get its locks, the next one in %.1f s", what, step.attempts, pause)
        time.sleep(pause)
    raise AssertionError  # pragma: no cover (count() does not end)


def _locked(session: Session, step: Step, what: str, watcher: Watcher, error: psycopg.Error) -> MigrationLocked:
    blockers = list(watcher.blockers.values())
    session.report.failed = {"blockers": [asdict(each) for each in blockers]}
    names = "; ".join(map(str, blockers)) or "nobody that was seen"
    return MigrationLocked(
        f"{what}: its locks did not come in {step.attempts} attempts, held by {names}; nothing of it is stored, try later",
        sqlstate=error.sqlstate,
    )
