"""
What the caller gave is not taken.
"""

from __future__ import annotations

from typing import Self

from store.errors.base import StoreError


class InvalidInput(StoreError, ValueError):
    """
    A value is outside what the field takes.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        sqlstate: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(message, sqlstate=sqlstate, constraint=constraint)
        self.field = field


class InvalidCursor(InvalidInput):
    """
    This cursor did not come from a page of this listing: start again without one.
    """


class NotFound(StoreError, LookupError):
    """
    There is no such row, or it belongs to somebody else.
    """

    @classmethod
    def of(cls, what: str, *ids: int) -> Self:
        """
        Return the error for what does not exist, with at most ten of the ids that were asked for; without one where it was
        looked for by what is secret or personal.
        """
        shown = ", ".join(map(str, ids[:10])) + (", ..." if len(ids) > 10 else "")
        return cls(f"there is no {what} {shown}" if ids else f"there is no such {what}")


class InvalidCredentials(StoreError):
    """
    The login or the password is wrong, or the user may not log in.
    """
