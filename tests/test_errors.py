"""
The error tree, and which of it a refusal of PostgreSQL becomes.
"""

from __future__ import annotations

import inspect
from decimal import Decimal
from typing import Any

import pytest

from store import errors
from store._retry import verdict
from store.errors import StoreError, postgres
from tests.databases import Connection

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, StoreError)]

DETAILS: dict[type[StoreError], dict[str, Any]] = {
    errors.IllegalTransition: {"from_status": "placed", "to_status": "shipped"},
    errors.PriceChanged: {"expected": Decimal(1), "total": Decimal(2)},
}

STATES = {
    None: errors.Unavailable,
    "08006": errors.Unavailable,
    "0A000": errors.DatabaseError,
    "22001": errors.InvalidInput,
    "22003": errors.InvalidInput,
    "22P02": errors.InvalidInput,
    "23502": errors.InvalidInput,
    "23503": errors.InvalidInput,
    "23505": errors.InvalidInput,
    "23514": errors.InvalidInput,
    "25006": errors.ReadOnly,
    "25P02": errors.TransactionAborted,
    "25P03": errors.Unavailable,
    "25P04": errors.Unavailable,
    "28P01": errors.PermissionDenied,
    "3F000": errors.SchemaMissing,
    "40001": errors.SerializationFailure,
    "40P01": errors.DeadlockDetected,
    "42501": errors.PermissionDenied,
    "42601": errors.DatabaseError,
    "42703": errors.DatabaseError,
    "42P01": errors.SchemaMissing,
    "53100": errors.DatabaseError,
    "53200": errors.DatabaseError,
    "53300": errors.Overloaded,
    "54000": errors.DatabaseError,
    "55P03": errors.LockTimeout,
    "57014": errors.StatementTimeout,
    "57P01": errors.Unavailable,
    "57P03": errors.Unavailable,
    "XX000": errors.DatabaseError,
}

RETRYABLE = {
    errors.DeadlockDetected,
    errors.LockTimeout,
    errors.SerializationFailure,
    errors.StatementTimeout,
    errors.Unavailable,
}

# Constraints of the schema that no caller of a verb can violate, each with the reason.
UNREACHABLE = {
    "addresses_pkey": "the identity column makes the key",
    "cart_items_pkey": "every insert into cart_items is an upsert on it",
    "carts_pkey": "the identity column makes the key",
    "carts_public_id_key": "gen_random_uuid() makes the key",
    "imported_cancellations_pkey": "what is known is not inserted, and a second import meets the order first",
    "imported_orders_pkey": "made beside its order",
    "inventory_pkey": "made beside its product",
    "order_events_pkey": "counted on under the lock of the order",
    "order_imports_pkey": "the line number of a file",
    "order_items_pkey": "numbered by the statement that places the order",
    "order_transitions_pkey": "written by a migration only",
    "orders_number_key": "made of the key",
    "orders_pkey": "the id of a cart, which is locked and ordered once",
    "orders_public_id_key": "the public_id of that cart",
    "outbox_pkey": "the identity column makes the key",
    "payment_events_pkey": "counted on under the lock of the order",
    "payments_pkey": "counted on under the lock of the order",
    "product_imports_pkey": "the line number of a file",
    "products_pkey": "the identity column makes the key",
    "reservations_pkey": "a hold is made under the lock of its cart, by a statement that sees those made before",
    "stock_movements_pkey": "the identity column makes the key",
    "users_pkey": "the identity column makes the key",
}


@pytest.mark.serverless
@pytest.mark.parametrize(("state", "expected"), STATES.items())
def test_retry_table_by_sqlstate(state: str | None, expected: type[StoreError]) -> None:
    """
    SQLSTATE decides, and only where PostgreSQL has rolled everything back may a unit be run again. The error says what run()
    does; but that a server is read-only is for run() alone to hope better of, on another connection.
    """
    error = errors.from_postgres(state, primary="secret in line 1", query="users.get_user")

    assert type(error) is expected
    assert error.sqlstate == state
    assert error.retryable is (expected in RETRYABLE)
    assert (verdict(error) == "again") is (error.retryable or state == "25006")
    assert "secret" not in str(error) or state in {"42601", "42703", "42501", "42P01"}  # what names the statement alone


@pytest.mark.serverless
@pytest.mark.parametrize("kind", TREE)
def test_every_error_says_what_is_wrong(kind: type[StoreError]) -> None:
    """
    Without a message an error says its docstring, and that ends like a sentence.
    """
    said = str(kind(**DETAILS.get(kind, {})))

    assert said.endswith((".", "?"))
    assert "\n\n" not in said
    assert kind.__doc__ is not None


@pytest.mark.serverless
def test_the_tree() -> None:
    """
    Errors are also what Python calls them, and what must not be retried blindly is not retryable.
    """
    assert {kind for kind in TREE if kind.retryable} == RETRYABLE
    assert issubclass(errors.InvalidInput, ValueError)
    assert issubclass(errors.InvalidCursor, errors.InvalidInput)
    assert issubclass(errors.NotFound, LookupError)
    assert issubclass(errors.WrongParameters, TypeError)
    assert issubclass(errors.MissingExtra, ImportError)
    for taken in (errors.DuplicateEmail, errors.DuplicateSku, errors.DuplicateUsername, errors.OutOfStock, errors.CartClosed):
        assert issubclass(taken, errors.Conflict)


def test_every_constraint_is_known(connect_admin: Connection) -> None:
    """
    Each constraint and unique index of the schema becomes an error of its own, or cannot be violated, with a reason; and no
    error waits for a constraint that does not exist.
    """
    found = connect_admin.execute(
        """
        SELECT conname FROM pg_constraint
        WHERE connamespace = 'store'::regnamespace AND contype <> 'n'
        UNION
        SELECT c.relname FROM pg_index AS i INNER JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'store'::regnamespace AND i.indisunique
        """
    ).fetchall()
    named = {*postgres._TAKEN, *postgres._RULES, *postgres._MISSING}

    assert {name for (name,) in found} == named | UNREACHABLE.keys()
    assert named & UNREACHABLE.keys() == set()


@pytest.mark.serverless
def test_constraints_become_errors() -> None:
    for name, expected in postgres._TAKEN.items():
        assert type(errors.from_postgres("23505", constraint=name)) is expected
    for name, (field, rule) in postgres._RULES.items():
        error = errors.from_postgres("23514", constraint=name)
        assert isinstance(error, errors.InvalidInput)
        assert (error.field, error.constraint, rule in str(error)) == (field, name, True)
    for name, what in postgres._MISSING.items():
        error = errors.from_postgres("23503", constraint=name)
        assert (type(error), what in str(error)) == (errors.NotFound, True)


@pytest.mark.serverless
def test_a_null_is_named_by_its_column() -> None:
    """
    Where PostgreSQL names one: the null of a domain is in no column.
    """
    error = errors.from_postgres("23502", column="title", primary="secret", query="mine.bad")
    other = errors.from_postgres("23502", query="mine.bad")

    assert isinstance(error, errors.InvalidInput)
    assert (str(error), error.field) == ("title must not be null in mine.bad (SQLSTATE 23502)", "title")
    assert isinstance(other, errors.InvalidInput)
    assert (str(other), other.field) == ("a constraint refused the row in mine.bad (SQLSTATE 23502)", None)


@pytest.mark.serverless
@pytest.mark.parametrize("name", [name for name in UNREACHABLE if name.endswith("_pkey")])
def test_a_key_that_is_taken_is_no_fault_of_the_caller(name: str) -> None:
    error = errors.from_postgres("23505", constraint=name)

    assert type(error) is errors.Conflict
    assert (error.sqlstate, error.constraint, error.retryable) == ("23505", name, False)
    assert str(error) == f"somebody else was first: read again, decide again ({name})"
    assert type(errors.from_postgres("23502", constraint=name)) is errors.InvalidInput
