"""
The errors of the store: one tree under StoreError.

Everything a verb raises is one of these. A message names the value's field, the rule and the way out; it never carries a
value out of a row, because rows hold secrets and personal data. Which error a refusal of PostgreSQL becomes is decided here, by
constraint name and then by SQLSTATE, and nowhere else.
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


# --- what the caller gave --------------------------------------------------------------------------------------------


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


class InvalidCredentials(StoreError):
    """
    The login or the password is wrong, or the user may not log in.
    """


# --- what the shop's rules refuse ------------------------------------------------------------------------------------


class Conflict(StoreError):
    """
    Somebody else was first: read again, decide again.
    """


class DuplicateEmail(Conflict):
    """
    A user with this e-mail address exists.
    """


class DuplicateUsername(Conflict):
    """
    A user with this user name exists (case does not count).
    """


class DuplicateSku(Conflict):
    """
    A product with this sku exists (case does not count).
    """


class OutOfStock(Conflict):
    """
    Stock cannot fall below zero or below what is reserved.
    """


class CartClosed(Conflict):
    """
    The cart is no longer open: it was ordered, merged or abandoned.
    """


class ProductUnavailable(Conflict):
    """
    The product is archived and not for sale.
    """


class CurrencyMismatch(Conflict):
    """
    The product is sold in another currency than the cart's.
    """


# --- transactions ----------------------------------------------------------------------------------------------------


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
    The statement took longer than statement_timeout, or was cancelled: nothing of it was stored.
    """


class NestedCheckout(StoreError):
    """
    This task already holds a connection of this store: use the session or transaction it has (`tx.users`, not `shop.users`).
    """


# --- the server and the way to it ------------------------------------------------------------------------------------


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


class StoreClosed(StoreError):
    """
    The store is not open: use it inside `with`, or call start() first. After a fork, open a new one in the child.
    """


class MigrationError(StoreError):
    """
    The migrations cannot be read or applied.
    """


class MigrationFolderError(MigrationError):
    """
    The folder of migrations is missing, empty or malformed: nothing was done.
    """


class MigrationLocked(MigrationError):
    """
    Another runner is at work: nothing was done, try again later.
    """


class MissingExtra(StoreError, ImportError):
    """
    An optional part of the distribution is not installed.
    """


class DatabaseError(StoreError):
    """
    PostgreSQL refused the statement.
    """


# --- queries in .sql files -------------------------------------------------------------------------------------------


class QueryFileError(StoreError):
    """
    A .sql file cannot be loaded.
    """


class WrongParameters(StoreError, TypeError):
    """
    A query was called with other parameters than its header declares.
    """


class RowMismatch(StoreError):
    """
    PostgreSQL returned a row that its DTO does not take: the code and the schema disagree.
    """


class TooManyRows(StoreError):
    """
    A query that promises at most one row returned more.
    """


# --- from PostgreSQL -------------------------------------------------------------------------------------------------

_TAKEN: dict[str, type[Conflict]] = {
    "carts_one_open_per_user": Conflict,
    "inventory_reserved_within_on_hand": OutOfStock,
    "products_sku_key": DuplicateSku,
    "users_email_key": DuplicateEmail,
    "users_username_key": DuplicateUsername,
}

_RULES: dict[str, tuple[str, str]] = {
    "amount_in_range": ("amount", "0 or more, below 1000000000000, at most 4 decimals"),
    "cart_items_added_at_bounded": ("added_at", "between the years 2000 and 2200"),
    "cart_items_quantity_in_range": ("quantity", "1 to 9999 in one line of a cart"),
    "carts_currency_is_code": ("currency", "three capital letters (ISO 4217)"),
    "carts_status_known": ("status", "open, ordered, merged or abandoned"),
    "carts_timestamps_bounded": ("timestamp", "between the years 2000 and 2200"),
    "inventory_on_hand_bounded": ("on_hand", "at most 1000000000"),
    "products_currency_is_code": ("currency", "three capital letters (ISO 4217)"),
    "products_description_length": ("description", "1 to 10000 characters, or none"),
    "products_name_length": ("name", "1 to 255 characters, not only blanks"),
    "products_sku_characters": ("sku", "printable ASCII, no blank at either end"),
    "products_sku_length": ("sku", "1 to 64 characters"),
    "products_timestamps_bounded": ("timestamp", "between the years 2000 and 2200"),
    "users_email_canonical": ("email", "lower-case ASCII with one @ and a domain"),
    "users_email_length": ("email", "3 to 254 characters"),
    "users_password_hash_is_hash": (
        "password_hash",
        "a hash in the $name$... notation of 20 to 512 characters, not a password",
    ),
    "users_timestamps_bounded": ("timestamp", "between the years 2000 and 2200"),
    "users_username_characters": ("username", "ASCII letters, digits, dot, underscore, dash; the first a letter or digit"),
    "users_username_length": ("username", "3 to 64 characters"),
}

_MISSING: dict[str, str] = {
    "cart_items_cart_id_fkey": "cart",
    "cart_items_product_id_fkey": "product",
    "carts_user_id_fkey": "user",
    "inventory_product_id_fkey": "product",
}

_STATES: dict[str, type[StoreError]] = {
    "0A000": DatabaseError,
    "22003": InvalidInput,
    "25006": ReadOnly,
    "25P02": TransactionAborted,
    "25P03": Unavailable,
    "25P04": Unavailable,
    "28000": PermissionDenied,
    "28P01": PermissionDenied,
    "3F000": SchemaMissing,
    "40001": SerializationFailure,
    "40P01": DeadlockDetected,
    "42501": PermissionDenied,
    "42P01": SchemaMissing,
    "53300": Overloaded,
    "55P03": LockTimeout,
    "57014": StatementTimeout,
    "57P01": Unavailable,
    "57P02": Unavailable,
    "57P03": Unavailable,
    "57P05": Unavailable,
}

_CLASSES: dict[str, type[StoreError]] = {"08": Unavailable, "22": InvalidInput, "23": InvalidInput, "53": Unavailable}


def from_postgres(
    sqlstate: str | None, *, constraint: str | None = None, primary: str | None = None, query: str | None = None
) -> StoreError:
    """
    Return the store's error for a refusal of PostgreSQL: by constraint name, then by SQLSTATE, then by its class.

    `primary` is the server's first line. It is quoted only where it can name nothing but the statement itself (class 42).
    """
    if constraint in _TAKEN:
        return _TAKEN[constraint](sqlstate=sqlstate, constraint=constraint)
    if constraint in _RULES:
        field, rule = _RULES[constraint]
        return InvalidInput(f"{field}: must be {rule} ({constraint})", field=field, sqlstate=sqlstate, constraint=constraint)
    if constraint in _MISSING:
        return NotFound(f"there is no such {_MISSING[constraint]}", sqlstate=sqlstate, constraint=constraint)
    if sqlstate is None:
        return Unavailable()
    kind = _STATES.get(sqlstate) or _CLASSES.get(sqlstate[:2]) or DatabaseError
    return kind(_message(kind, sqlstate, constraint, primary, query), sqlstate=sqlstate, constraint=constraint)


def _message(
    kind: type[StoreError], sqlstate: str, constraint: str | None, primary: str | None, query: str | None
) -> str | None:
    where = f" in {query}" if query else ""
    if sqlstate == "22003":
        return f"a number is out of range{where} (SQLSTATE 22003)"
    if sqlstate[:2] == "23":
        rule = f"constraint {constraint}" if constraint else "a constraint"
        return f"{rule} refused the row{where} (SQLSTATE {sqlstate})"
    if sqlstate[:2] == "22":
        return f"PostgreSQL refused a value{where} (SQLSTATE {sqlstate})"
    if sqlstate[:2] == "42" and primary:
        return f"{primary}{where} (SQLSTATE {sqlstate})"
    if kind is DatabaseError:
        return f"PostgreSQL refused the statement{where} (SQLSTATE {sqlstate})"
    return None
