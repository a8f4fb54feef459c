"""
The root of the tree.
"""

from __future__ import annotations

from typing import ClassVar


class StoreError(Exception):
    """
    The store refused, or could not do, what was asked.
    """

    retryable: ClassVar[bool] = False
    """True where PostgreSQL rolled everything back and the same unit of work may succeed when run again."""

    def __init__(self, message: str | None = None, *, sqlstate: str | None = None, constraint: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        self.sqlstate = sqlstate
        self.constraint = constraint
