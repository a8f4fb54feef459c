"""
What other systems are told.
"""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime

from store.models.values import Count, Dto, Id


class OutboxEvent(Dto, frozen=True):
    """
    What happened to an order (`key`), for other systems; `txid` and `id` are its place in the order of reading.
    """

    key: Id
    id: Id
    txid: Count
    topic: str
    payload: dict[str, Any]
    created_at: AwareDatetime


class ClaimedEvent(OutboxEvent, frozen=True):
    """
    An event that one consumer has for a while. `claimed_until` tells its claim from every other one of the event.
    """

    claimed_until: AwareDatetime
