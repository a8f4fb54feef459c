"""
`store verify`: do the sums of the shop add up? Each invariant of sql/checks/ is a query whose rows are faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from store import _files
from store._failures import RIGHTS, is_denied
from store._queries import load
from store._sync.store import Store
from store.errors import StoreError, Unavailable
from store.models import Dto


class Fault(Dto, frozen=True):
    """
    What breaks an invariant: the id of the product, order or cart, and what was found.
    """

    subject: int
    fault: str


@dataclass(frozen=True, slots=True)
class Checked:
    """
    An invariant, the sentence it stands for, and what breaks it; with a `failure` it could not be looked at.
    """

    name: str
    promise: str
    faults: tuple[Fault, ...]
    failure: str | None = None


NOT_APPLICABLE = {"c06": "there are no coupons", "c11": "there is no history of prices"}
"""Invariants of the design whose tables this version does not have."""


def verify(store: Store) -> Iterator[Checked]:
    """
    Yield every invariant with its faults; none of them is a shop whose books are right. Only reads, beside live traffic too.

    One that cannot be looked at says so, and the others are. Takes what store_app may; store_readonly may not see all of it.
    """
    checks = load(_files.folder("sql") / "checks", prefix="store", colour="sync")
    with store.transaction(is_patient=True) as tx:
        for statement in checks.statements:
            function: Any = getattr(getattr(checks, statement.domain), statement.name)
            promise = " ".join(statement.doc.split())
            try:
                with tx.transaction():
                    found = tuple(tx.many(Fault, function))
            except Unavailable:
                raise
            except StoreError as error:
                yield Checked(statement.name, promise, (), f"{error}: {RIGHTS}" if is_denied(error) else str(error))
            else:
                yield Checked(statement.name, promise, found)
