"""
Stores and fork(): a child must not use the connections of its parent.
"""

from __future__ import annotations

import os
from typing import Any, Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """
    An open store.
    """

    def forked(self) -> Any:
        """
        Mark it closed in the child and return what must not be finalised there.
        """


_open: WeakSet[Forkable] = WeakSet()
_inherited: list[Any] = []


def register(store: Forkable) -> None:
    """
    Have an open store marked closed in children of this process.
    """
    _open.add(store)


def _in_child() -> None:
    # Kept for ever: finalising the parent's pools here would end the parent's sessions on the shared sockets.
    _inherited.extend(store.forked() for store in list(_open))
    _open.clear()


os.register_at_fork(after_in_child=_in_child)
