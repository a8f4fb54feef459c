"""
What ends a unit of work.
"""

from __future__ import annotations

from store.errors.base import StoreError


class TransactionAborted(StoreError):
    """
    A statement failed inside this unit of work and its error was swallowed: nothing was stored. Let the error leave the block,
    or wrap the statement that may fail in a transaction() of its own.
    """


class CommitUnknown(StoreError):
    """
    The connection was lost while COMMIT was under way: it may have been applied. Read before you repeat.
    """


class SerializationFailure(StoreError):
    """
    A concurrent transaction got in the way: nothing was stored, run the unit again.
    """

    retryable = True


class DeadlockDetected(StoreError):
    """
    Two transactions waited for each other and this one was ended: nothing was stored, run the unit again.
    """

    retryable = True


class LockTimeout(StoreError):
    """
    A row stayed locked by somebody else for longer than lock_timeout.
    """

    retryable = True


class StatementTimeout(StoreError):
    """
    The statement took longer than statement_timeout: nothing of it was stored. Run the unit again only if there is time for it.
    """

    retryable = True


class StatementCancelled(StatementTimeout):
    """
    Somebody cancelled the statement (pg_cancel_backend): nothing of it was stored. Ask them before the unit is run again.
    """

    retryable = False


class NestedCheckout(StoreError):
    """
    This task already holds a connection of this store: use the session or transaction it has (`tx.users`, not `shop.users`).
    """
