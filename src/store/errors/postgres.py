"""
Which error a refusal of PostgreSQL becomes: by constraint name, then by SQLSTATE. Decided here and nowhere else.
"""

from __future__ import annotations

from store.errors.arguments import InvalidInput, NotFound
from store.errors.base import StoreError
from store.errors.rules import (
    AmountExceeded,
    Conflict,
    DuplicateEmail,
    DuplicateOrder,
    DuplicatePayment,
    DuplicateSku,
    DuplicateUsername,
    IdempotencyKeyReused,
    OutOfStock,
    ProductInUse,
)
from store.errors.server import DatabaseError, Overloaded, PermissionDenied, ReadOnly, SchemaMissing, Unavailable
from store.errors.transactions import (
    DeadlockDetected,
    LockTimeout,
    SerializationFailure,
    StatementCancelled,
    StatementTimeout,
    TransactionAborted,
)

_TAKEN: dict[str, type[Conflict]] = {
    "carts_one_open_per_user": Conflict,
    "imported_cancellations_product_id_fkey": ProductInUse,
    "inventory_reserved_within_on_hand": OutOfStock,
    "order_items_product_id_fkey": ProductInUse,
    "orders_external_ref_key": DuplicateOrder,
    "payment_events_idempotency_key_key": IdempotencyKeyReused,
    "payments_captured_within_authorized": AmountExceeded,
    "payments_provider_ref_key": DuplicatePayment,
    "payments_refunded_within_captured": AmountExceeded,
    "products_sku_key": DuplicateSku,
    "reservations_cart_id_fkey": Conflict,
    "reservations_product_id_fkey": ProductInUse,
    "stock_movements_product_id_fkey": ProductInUse,
    "users_email_key": DuplicateEmail,
    "users_username_key": DuplicateUsername,
}

_PRINTABLE = "free of control characters and of characters that cannot be seen"

_RULES: dict[str, tuple[str, str]] = {
    "addresses_country_is_code": ("country", "two capital letters (ISO 3166-1)"),
    "addresses_lengths": ("address", "1 to 255 characters a line, 32 for postal code and phone"),
    "addresses_texts_not_blank": ("address", "more than blanks in every line that is given"),
    "addresses_texts_printable": ("address", _PRINTABLE),
    "addresses_timestamps_bounded": ("timestamp", "between the years 2000 and 2200"),
    "amount_in_range": ("amount", "0 or more, below 1000000000000, at most 4 decimals"),
    "cart_items_added_at_bounded": ("added_at", "between the years 2000 and 2200"),
    "cart_items_quantity_in_range": ("quantity", "1 to 9999 in one line of a cart"),
    "carts_currency_is_code": ("currency", "three capital letters (ISO 4217)"),
    "carts_status_known": ("status", "open, ordered, merged or abandoned"),
    "carts_timestamps_bounded": ("timestamp", "between the years 2000 and 2200"),
    "imported_cancellations_cancelled_at_bounded": ("timestamp", "between the years 2000 and 2200"),
    "imported_cancellations_quantity_positive": ("quantity", "1 to 1000000000"),
    "imported_cancellations_texts_bounded": ("external_ref", "1 to 255 characters, its source 1 to 64"),
    "imported_cancellations_texts_printable": ("external_ref", f"{_PRINTABLE}, its source too"),
    "imported_orders_texts_bounded": ("customer", "1 to 64 characters, its source the same"),
    "imported_orders_texts_printable": ("customer", f"{_PRINTABLE}, its source too"),
    "inventory_on_hand_bounded": ("on_hand", "at most 1000000000"),
    "order_events_at_bounded": ("timestamp", "between the years 2000 and 2200"),
    "order_events_first_is_placed": ("from_status", "empty in the first event of an order and nowhere else"),
    "order_events_seq_positive": ("seq", "1 or more"),
    "order_events_texts_bounded": ("reason", "1 to 500 characters, an actor 1 to 100"),
    "order_events_texts_printable": ("reason", f"{_PRINTABLE}, an actor too"),
    "order_events_transition_fkey": ("to_status", "a step of store.order_transitions"),
    "order_imports_placed_at_bounded": ("timestamp", "between the years 2000 and 2200"),
    "order_items_discount_within_price": ("discount", "at most the price of the line"),
    "order_items_line_no_positive": ("line_no", "1 or more"),
    "order_items_quantity_positive": ("quantity", "1 to 1000000000"),
    "order_items_texts_printable": ("name", f"{_PRINTABLE}, the sku too"),
    "orders_addresses_are_bounded": ("ship_to", "an address of at most 16384 bytes"),
    "orders_addresses_are_objects": ("ship_to", "an address"),
    "orders_addresses_printable": ("ship_to", f"{_PRINTABLE}, bill_to too"),
    "orders_amounts_fit_currency": ("amount", "no fraction of the smallest unit of the currency"),
    "orders_currency_is_code": ("currency", "three capital letters (ISO 4217)"),
    "orders_email_canonical": ("email", "lower-case ASCII with one @ and a domain, 3 to 254 characters"),
    "orders_have_a_contact": ("email", "given where the order has neither a user nor an external reference"),
    "orders_id_positive": ("order_id", "1 or more"),
    "orders_source_names_ref": ("external_ref", "given with its source, 1 to 255 characters"),
    "orders_source_printable": ("external_ref", f"{_PRINTABLE}, its source too"),
    "orders_status_known": ("status", "placed, paid, shipped, delivered, cancelled or refunded"),
    "orders_timestamps_bounded": ("timestamp", "between the years 2000 and 2200"),
    "orders_total_adds_up": ("total", "subtotal, less discount, plus shipping and tax"),
    "orders_version_positive": ("version", "1 or more"),
    "outbox_payload_is_object": ("payload", "a JSON object"),
    "outbox_timestamps_bounded": ("timestamp", "between the years 2000 and 2200"),
    "outbox_topic_length": ("topic", "1 to 100 characters"),
    "payment_events_actor_length": ("actor", "1 to 100 characters"),
    "payment_events_actor_printable": ("actor", _PRINTABLE),
    "payment_events_amount_positive": ("amount", "more than 0"),
    "payment_events_at_bounded": ("timestamp", "between the years 2000 and 2200"),
    "payment_events_idempotency_key_length": ("idempotency_key", "1 to 255 characters"),
    "payment_events_idempotency_key_printable": ("idempotency_key", _PRINTABLE),
    "payment_events_kind_known": ("kind", "authorize, capture, void or refund"),
    "payment_events_seq_positive": ("seq", "1 or more"),
    "payments_amounts_fit_currency": ("amount", "no fraction of the smallest unit of the currency"),
    "payments_currency_is_code": ("currency", "three capital letters (ISO 4217)"),
    "payments_payment_no_positive": ("payment_no", "1 or more"),
    "payments_provider_length": ("provider", "1 to 64 characters, its reference 1 to 255"),
    "payments_provider_printable": ("provider", f"{_PRINTABLE}, its reference too"),
    "payments_timestamps_bounded": ("timestamp", "between the years 2000 and 2200"),
    "products_currency_is_code": ("currency", "three capital letters (ISO 4217)"),
    "products_description_length": ("description", "1 to 10000 characters, or none"),
    "products_description_printable": ("description", f"{_PRINTABLE}, but tabs and line breaks"),
    "products_name_length": ("name", "1 to 255 characters, not only blanks"),
    "products_name_printable": ("name", _PRINTABLE),
    "products_sku_characters": ("sku", "printable ASCII, no blank at either end"),
    "products_sku_length": ("sku", "1 to 64 characters"),
    "products_timestamps_bounded": ("timestamp", "between the years 2000 and 2200"),
    "rate_in_range": ("tax_rate", "0 or more, below 10, at most 6 decimals"),
    "reservations_expires_at_bounded": ("timestamp", "between the years 2000 and 2200"),
    "reservations_quantity_in_range": ("quantity", "1 to 1000000000"),
    "stock_movements_created_at_bounded": ("timestamp", "between the years 2000 and 2200"),
    "stock_movements_kind_known": ("kind", "received, sold, returned, adjusted or damaged"),
    "stock_movements_on_hand_after_bounded": ("on_hand", "0 to 1000000000"),
    "stock_movements_sign_fits_kind": (
        "quantity",
        "positive for received and returned, negative for sold and damaged, never 0",
    ),
    "stock_movements_texts_bounded": ("reason", "1 to 500 characters, an actor 1 to 100"),
    "stock_movements_texts_printable": ("reason", f"{_PRINTABLE}, an actor too"),
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
    "addresses_user_id_fkey": "user",
    "cart_items_cart_id_fkey": "cart",
    "cart_items_product_id_fkey": "product",
    "carts_user_id_fkey": "user",
    "imported_cancellations_order_id_fkey": "order",
    "imported_orders_order_id_fkey": "order",
    "inventory_product_id_fkey": "product",
    "order_events_order_id_fkey": "order",
    "order_items_order_id_fkey": "order",
    "orders_user_id_fkey": "user",
    "payment_events_payment_fkey": "payment",
    "payments_order_id_fkey": "order",
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

_CLASSES: dict[str, type[StoreError]] = {"08": Unavailable, "22": InvalidInput, "23": InvalidInput}


def from_postgres(
    sqlstate: str | None,
    *,
    constraint: str | None = None,
    column: str | None = None,
    primary: str | None = None,
    query: str | None = None,
) -> StoreError:
    """
    Return the store's error for a refusal of PostgreSQL: by constraint name, then by SQLSTATE, then by its class.

    `primary` is the server's first line. It is quoted only where it can name nothing but the statement itself (class 42).
    """
    if (failure := _of_constraint(constraint, sqlstate)) is not None:
        return failure
    if sqlstate == "23502" and column is not None:
        where = f" in {query}" if query else ""
        message = f"{column} must not be null{where} (SQLSTATE 23502)"
        return InvalidInput(message, field=column, sqlstate=sqlstate, constraint=constraint)
    if sqlstate is None:
        return Unavailable()
    if sqlstate == "57014" and primary is not None and "user request" in primary:  # a timeout, where messages are not English
        return StatementCancelled(sqlstate=sqlstate)
    kind = _STATES.get(sqlstate) or _CLASSES.get(sqlstate[:2]) or DatabaseError
    return kind(_message(kind, sqlstate, constraint, primary, query), sqlstate=sqlstate, constraint=constraint)


def _of_constraint(constraint: str | None, sqlstate: str | None) -> StoreError | None:
    if constraint in _TAKEN:
        return _TAKEN[constraint](sqlstate=sqlstate, constraint=constraint)
    if constraint in _RULES:
        field, rule = _RULES[constraint]
        return InvalidInput(f"{field}: must be {rule} ({constraint})", field=field, sqlstate=sqlstate, constraint=constraint)
    if constraint in _MISSING:
        return NotFound(f"there is no such {_MISSING[constraint]}", sqlstate=sqlstate, constraint=constraint)
    if sqlstate == "23505" and constraint is not None and constraint.endswith("_pkey"):
        # Keys are made or counted on, never a caller's: it lost a race that a lock should have settled.
        message = f"somebody else was first: read again, decide again ({constraint})"
        return Conflict(message, sqlstate=sqlstate, constraint=constraint)
    return None


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
