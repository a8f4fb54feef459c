"""
The server, the way to it, and its schema.
"""

from __future__ import annotations

from dataclasses import dataclass

from store.errors.base import StoreError


class SettingsError(StoreError):
    """
    A setting is missing or malformed.
    """


class Unavailable(StoreError):
    """
    PostgreSQL cannot be reached, or the connection was lost before anything was to be stored.
    """

    retryable = True


class Overloaded(StoreError):
    """
    No connection became free in time: shed load, or raise STORE_POOL_SIZE.
    """


class ReadOnly(StoreError):
    """
    The server, the role or this store is read-only.
    """


class PermissionDenied(StoreError):
    """
    The role may not do this: has an administrator run sql/grants.sql?
    """


class ServerTooOld(StoreError):
    """
    PostgreSQL 16 or newer is needed.
    """


class SchemaMissing(StoreError):
    """
    The database has no schema `store`: run `store migrate up`.
    """


class SchemaTooOld(StoreError):
    """
    The database misses migrations this version needs: run `store migrate up`.
    """


class SchemaDiffers(StoreError):
    """
    The schema is not the one the queries were written for: `store check --db` names every difference.
    """


class StoreClosed(StoreError):
    """
    The store is not open: use it inside `with`, or call start() first. After a fork, open a new one in the child.
    """


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    One reason why migrations do not begin: the rule, what is wrong and where, and the exit code of `store migrate`.
    """

    rule: str
    exit_code: int
    message: str
    id: str | None = None


class MigrationError(StoreError):
    """
    The migrations cannot be read or applied.
    """

    refusals: tuple[Refusal, ...] = ()
    """Every reason that was found before anything began, not only the one that gave the error its class."""


class MigrationFolderError(MigrationError):
    """
    The folder of migrations is missing, empty or malformed: nothing was done.
    """


class MigrationLocked(MigrationError):
    """
    Another runner is at work: nothing was done, try again later.
    """


class ContractFileError(StoreError):
    """
    A contract file cannot be read, or cannot be written: `store lock` writes it anew.
    """


class MigrationResumable(MigrationError):
    """
    A step outside a transaction failed or was interrupted: running it again goes on from there.
    """


class MigrationHistoryError(MigrationError):
    """
    The files and the record of what was applied do not belong together: nothing was done.
    """


class MigrationDrift(MigrationError):
    """
    The schema is not what the record says: somebody changed it beside the migrations.
    """


class MigrationRefused(MigrationError):
    """
    A rule forbids it: nothing was done.
    """


class MissingExtra(StoreError, ImportError):
    """
    An optional part of the distribution is not installed.
    """


class DatabaseError(StoreError):
    """
    PostgreSQL refused the statement.
    """
