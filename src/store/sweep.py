"""
`store sweep`: hygiene for cron. Availability and correctness do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from store._sync.queries import queries
from store._sync.store import Store

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """
    How many expired holds were given back, carts marked abandoned, and old acknowledged events deleted.
    """

    holds: int
    carts: int
    events: int


def sweep(store: Store) -> Swept:
    """
    Sweep in small statements that commit by themselves, until nothing is due. Safe beside live traffic, and twice at once.
    """
    with store.session() as session:
        return Swept(
            holds=_until_done(lambda: int(session.value(queries.sweep.sweep_holds, batch=_BATCH)), least=1),
            carts=_until_done(lambda: session.affected(queries.sweep.sweep_carts, batch=_BATCH)),
            events=_until_done(lambda: session.affected(queries.sweep.sweep_outbox, batch=_BATCH)),
        )


def _until_done(step: Callable[[], int], least: int = _BATCH) -> int:
    done = 0
    while (count := step()) >= least:
        done += count
    return done + count
