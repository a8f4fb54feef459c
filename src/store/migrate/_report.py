"""
What a run is told to do and what it did: the options, who runs it, and the report that becomes the JSON of a command.
"""

from __future__ import annotations

import getpass
import os
import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from store import _distribution
from store.errors import Refusal

STATE_SCHEMA = "store_migrations"
_GIT_SHA = ("STORE_GIT_SHA", "GITHUB_SHA", "CI_COMMIT_SHA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    How patient a run is, in seconds, and what it may do that is refused otherwise.
    """

    lock_wait: float = 600.0
    """How long to wait for another runner, and for the locks of one file with all its attempts."""
    lock_timeout: float = 2.0
    """How long one attempt of a file may queue for a lock, and hold up whoever queues behind it."""
    statement_timeout: float = 5.0
    """For one statement; `-- store: timeout: 15min` in a file counts more."""
    long_timeout: float = 1200.0
    """For a statement that blocks nobody: outside a transaction, and VALIDATE CONSTRAINT."""
    state_schema: str = STATE_SCHEMA
    schemas: tuple[str, ...] = ()
    """What the fingerprint is of; unless named, what the files of the folder make, and what the record was of."""
    search_path: str = ""
    allow_out_of_order: frozenset[str] = frozenset()
    strict: bool = False


class Bounds(NamedTuple):
    """
    How long a statement may queue for a lock and how long it may take, in seconds, and the option that says the second.
    """

    lock: float
    statement: float
    option: str


@dataclass(slots=True)
class Step:
    """
    One migration that was applied or taken back.
    """

    id: str
    operation: str
    transactional: bool
    attempts: int = 1
    lock_wait_ms: int = 0
    duration_ms: int = 0


@dataclass(slots=True)
class Report:
    """
    What one command did, kept while it does it, so that also an error leaves it whole.
    """

    command: str = "up"
    run_id: uuid.UUID = field(default_factory=uuid.uuid4)
    schema: str = STATE_SCHEMA
    server_version: str | None = None
    applied: list[Step] = field(default_factory=list[Step])
    pending: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    failed: dict[str, Any] | None = None
    refusals: tuple[Refusal, ...] = ()
    holders: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])
    plan_hash: str | None = None
    fingerprint: str | None = None
    git_sha: str | None = field(default_factory=lambda: next((v for n in _GIT_SHA if (v := os.environ.get(n))), None))
    actor: str = field(default_factory=lambda: os.environ.get("STORE_ACTOR") or user_name())
    app_version: str = field(default_factory=_distribution.version)
    resumable: bool = False
    """True while a step outside a transaction is under way: what ends now is gone on with by the next run."""

    def as_json(self) -> dict[str, Any]:
        """
        Return the report as JSON takes it.
        """
        found = asdict(self)
        for name in ("resumable", "app_version"):
            del found[name]
        return found | {"run_id": str(self.run_id)}


def user_name() -> str:
    """
    Return the name of the user, or the number of one that has no name, as in many containers.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def milliseconds(seconds: float) -> str:
    """
    Return a time as PostgreSQL's settings take it.
    """
    return f"{round(seconds * 1000)}ms"


class Clock:
    """
    Milliseconds since it was made.
    """

    def __init__(self) -> None:
        self._start = time.monotonic()

    def ms(self) -> int:
        """
        Return how many.
        """
        return round((time.monotonic() - self._start) * 1000)
