"""
Events for other systems.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from store._arguments import checked, several
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store.models import Batch, ClaimedEvent, Count, HoldSeconds, Id, Instant, OutboxEvent


class AsyncOutbox:
    """
    What happened, written with the fact it tells. An event may be delivered more than once, never not at all.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def acknowledge(self, ids: Iterable[int], *, claimed_until: datetime | None = None) -> int:
        """
        Say that events have been dealt with, and return of how many nobody had said so before.

        With `claimed_until`, as claim() gave it, only those that this claim still holds: what another consumer has taken since
        is left to it. A consumer whose work is in the same transaction rolls it back when the count falls short, and has then
        done each event once.
        """
        given = several("ids", Id, ids)
        claim = {} if claimed_until is None else {"claimed_until": checked("claimed_until", Instant, claimed_until)}
        return await self._runner.affected(queries.outbox.acknowledge_events, ids=given, **claim) if given else 0

    async def claim(self, *, batch: int = 100, seconds: int = 60) -> tuple[ClaimedEvent, ...]:
        """
        Take the oldest events that nobody has dealt with, for so many seconds; consumers at once get different ones. What is
        not acknowledged in time is given out again.
        """
        batch, seconds = checked("batch", Batch, batch), checked("seconds", HoldSeconds, seconds)
        found = await self._runner.many(ClaimedEvent, queries.outbox.claim_events, batch=batch, seconds=seconds)
        return tuple(sorted(found, key=lambda event: event.id))

    async def read(self, *, after_txid: int = 0, after_id: int = 0, batch: int = 100) -> tuple[OutboxEvent, ...]:
        """
        Return the next events behind the position (txid, id) of the last one read, in order. Of transactions that still run
        nothing is returned, nor of any that began after them: so no event that commits late is passed over. A transaction left
        open holds this back, in any database of the cluster. Positions are those of this cluster: after a restore from a dump
        into another one, claim() what is not acknowledged, and begin at the newest position.
        """
        return tuple(
            await self._runner.many(
                OutboxEvent,
                queries.outbox.read_events,
                after_txid=str(checked("after_txid", Count, after_txid)),
                after_id=checked("after_id", Count, after_id),
                batch=checked("batch", Batch, batch),
            )
        )
