"""
What the sessions of one open store share: its settings, its watchdog, and whose rows they may see.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import psycopg

from store import _failures
from store._watchdog import Watchdog
from store.settings import Settings


@dataclass(frozen=True, slots=True)
class Scope:
    """
    Whose rows a statement may touch. Only a session hands it to a statement.
    """

    kind: Literal["all", "user", "guest"] = "all"
    user_id: int | None = None
    public_id: UUID | None = field(default=None, repr=False)

    def parameters(self) -> dict[str, Any]:
        """
        Return it as the parameters that scoped statements declare.
        """
        return {"scope": self.kind, "scope_user_id": self.user_id, "scope_public_id": self.public_id}


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Runtime:
    """
    The shared part of an open store.
    """

    settings: Settings
    watchdog: Watchdog

    @property
    def patience(self) -> float:
        """
        Seconds until a statement that neither answers nor times out loses its connection; 0 for ever.
        """
        timeout = self.settings.statement_timeout_ms / 1000
        return timeout + 1 if timeout else 0

    @contextmanager
    def watching(self, connection: psycopg.BaseConnection[Any], name: str, *, is_patient: bool = False) -> Generator[None]:
        """
        A block in which a statement runs: the driver's errors become the store's and name it, and silence ends with patience.
        """
        patience = 0 if is_patient else self.patience
        with _failures.translated(name), self.watchdog.watching(_failures.descriptor(connection), patience):
            yield
