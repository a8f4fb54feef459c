"""
What is printed holds nothing that a terminal obeys or hides: one rule, in the database and in the DTOs.
"""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

import hypothesis
import psycopg
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter, ValidationError

from store import Store
from store.models import Actor, Description, Line, Name, Reason, Reference, Short, Word, hidden_fault
from tests.databases import Connection
from tests.samples import settings
from tests.verbs import HOME, make_world

REFUSED = {
    *(chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cc"),
    *"\u200b\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029",
}
LINES = ("name", "line1", "line2", "city", "region", "postal_code", "phone")

# Who holds texts that people print: table, column, the constraint, and the type of the DTOs where there is one.
TEXTS: dict[tuple[str, str], tuple[str, Any]] = {
    ("imported_cancellations", "external_ref"): ("imported_cancellations_texts_printable", None),
    ("imported_cancellations", "source"): ("imported_cancellations_texts_printable", None),
    ("imported_orders", "customer"): ("imported_orders_texts_printable", None),
    ("imported_orders", "source"): ("imported_orders_texts_printable", None),
    ("order_events", "actor"): ("order_events_texts_printable", Actor),
    ("order_events", "reason"): ("order_events_texts_printable", Reason),
    ("order_items", "name"): ("order_items_texts_printable", None),
    ("order_items", "sku"): ("order_items_texts_printable", None),
    ("orders", "external_ref"): ("orders_source_printable", None),
    ("orders", "source"): ("orders_source_printable", None),
    ("payment_events", "actor"): ("payment_events_actor_printable", Actor),
    ("payment_events", "idempotency_key"): ("payment_events_idempotency_key_printable", Reference),
    ("payments", "provider"): ("payments_provider_printable", Word),
    ("payments", "provider_ref"): ("payments_provider_printable", Reference),
    ("products", "description"): ("products_description_printable", Description),
    ("products", "name"): ("products_name_printable", Name),
    ("stock_movements", "actor"): ("stock_movements_texts_printable", Actor),
    ("stock_movements", "reason"): ("stock_movements_texts_printable", Reason),
    **{("addresses", line): ("addresses_texts_printable", Line) for line in LINES},
    ("addresses", "phone"): ("addresses_texts_printable", Short),
    ("addresses", "postal_code"): ("addresses_texts_printable", Short),
}
# Texts that have a rule of their own, or that nobody prints.
NARROWER = {
    "country": "two letters",
    "currency": "three letters",
    "email": "printable ASCII",
    "from_status": "one of order_transitions",
    "kind": "one of a few words",
    "number": "digits, made of the id",
    "password_hash": "printable ASCII",
    "status": "one of a few words",
    "to_status": "one of order_transitions",
    "topic": "a word of the statements",
    "username": "letters and digits",
}
STAGING = {"order_imports", "product_imports"}  # what leaves them meets the rules of the tables it goes to


@pytest.fixture
def rows(dsn: str, connect_admin: Connection) -> Connection:
    """
    A database in which every table of TEXTS has a row.
    """
    with Store.open(settings(dsn, pool_size=1)) as shop:
        made = make_world(shop)
    keys = {"order": made.paid.id, "product": made.product.id}
    connect_admin.execute("INSERT INTO store.imported_orders VALUES (%(order)s, 's', 'c')", keys)
    connect_admin.execute(
        "INSERT INTO store.imported_cancellations VALUES ('s', 'r', 1, %(order)s, %(product)s, 1, 1, now())", keys
    )
    connect_admin.execute("UPDATE store.orders SET source = 's', external_ref = id::text")
    return connect_admin


def refusal(connection: Connection, table: str, column: str, value: object) -> str | None:
    """
    Return the constraint that keeps this value out of one row; nothing when it gets in. It does not stay.
    """
    statement = sql.SQL("UPDATE store.{0} SET {1} = %s WHERE ctid = (SELECT min(ctid) FROM store.{0})")
    try:
        with connection.transaction(force_rollback=True):
            found = connection.execute(statement.format(sql.Identifier(table), sql.Identifier(column)), [value])
            assert found.rowcount == 1
    except psycopg.errors.CheckViolation as error:
        return error.diag.constraint_name
    except (psycopg.DataError, UnicodeEncodeError):  # NUL, and surrogates
        return "unstorable"
    return None


def refused_characters(connection: Connection, condition: str) -> set[str]:
    statement = f"SELECT chr(i) FROM generate_series(1, 1114111) AS i WHERE i NOT BETWEEN 55296 AND 57343 AND {condition}"
    return {row[0] for row in connection.execute(statement.encode())}


def test_the_database_and_the_dtos_refuse_the_same_characters(connect_admin: Connection) -> None:
    """
    Every code point there is: those of the rule, spelled out, and no other. The joiners that Persian and emoji need may stand.
    """
    assert refused_characters(connect_admin, "NOT store.is_printable(chr(i))") == REFUSED - {"\x00"}
    assert {chr(code) for code in range(sys.maxunicode + 1) if hidden_fault(chr(code))} == REFUSED
    assert not REFUSED & set("\u200c\u200d é日🧨\u00ad")


def test_blank_is_what_python_calls_blank(connect_admin: Connection) -> None:
    blank = {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()}

    assert refused_characters(connect_admin, "store.is_blank(chr(i))") == blank
    assert connect_admin.execute("SELECT store.is_blank(''), store.is_blank(E' \\n a '), store.is_blank(NULL)").fetchone() == (
        True,
        False,
        None,
    )


def test_no_locale_has_a_say(connect_admin: Connection) -> None:
    """
    The same answer under every collation this server has for UTF-8, those that take unequal texts for equal included.
    """
    names = [
        row[0]
        for row in connect_admin.execute(
            """
            SELECT DISTINCT quote_ident(collname) FROM pg_catalog.pg_collation
            WHERE collnamespace = 'pg_catalog'::regnamespace AND collencoding IN (-1, 6)
            """
        )
    ]
    assert '"C"' in names
    if '"und-x-icu"' in names:
        connect_admin.execute(
            "CREATE COLLATION public.loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)"
        )
        names.append("public.loose")
    for name in names:
        row = connect_admin.execute(
            f"""
            SELECT
                store.is_printable(U&'a\\200Bb' COLLATE {name}), store.is_printable(E'\\x1b[0m' COLLATE {name}),
                store.is_printable(U&'I\\0131i\\0130 \\200D \\00FF' COLLATE {name}), store.is_blank(U&'\\3000' COLLATE {name})
            """.encode()
        ).fetchone()
        assert row == (False, False, True, True), name


def test_every_text_column_has_the_rule_or_a_narrower_one(connect_admin: Connection) -> None:
    found = connect_admin.execute(
        """
        SELECT c.relname, a.attname
        FROM pg_catalog.pg_attribute AS a INNER JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'store'::regnamespace AND c.relkind = 'r' AND a.atttypid = 'text'::regtype AND a.attnum > 0
        """
    ).fetchall()
    held = {column for column in found if column[1] not in NARROWER and column[0] not in STAGING}

    assert held - {("products", "sku")} == TEXTS.keys()  # printable ASCII


@pytest.mark.parametrize(("table", "column"), TEXTS)
def test_each_column_refuses_what_must_not_be_printed(rows: Connection, table: str, column: str) -> None:
    """
    Whatever the client is; and it takes letters of all kinds, the joiners among them.
    """
    rule = TEXTS[table, column][0]
    for bad in ("\x1b[2J", "a\u200bb", "a\u202eb", "\ufeffa", "a\u2066b", "a\x9bb", "a\x7f", "a\rb", "a\u2028"):
        assert refusal(rows, table, column, bad) == rule, repr(bad)
    for bad in ("a\tb", "a\nb", "a\r\nb"):
        assert refusal(rows, table, column, bad) == (None if column == "description" else rule), repr(bad)
    for good in ("a", "Ünïcode 日本", "\u0645\u06cc\u200c\u062e", "👩\u200d💻"):
        assert refusal(rows, table, column, good) is None


@pytest.mark.parametrize("column", ["ship_to", "bill_to"])
@pytest.mark.parametrize("line", LINES)
def test_addresses_of_orders_too(rows: Connection, column: str, line: str) -> None:
    home = HOME.model_dump()

    assert refusal(rows, "orders", column, Jsonb(home | {line: 'é \\ " 👩\u200d💻'})) is None
    for bad in ("\x1b[2J", "a\nb", "a\u200bb", "\x9b"):
        assert refusal(rows, "orders", column, Jsonb(home | {line: bad})) == "orders_addresses_printable"


@pytest.mark.parametrize("line", LINES)
def test_lines_of_an_address_are_not_blank(rows: Connection, line: str) -> None:
    for bad in (" ", "\u3000\u00a0"):
        assert refusal(rows, "addresses", line, bad) == "addresses_texts_not_blank"
        with pytest.raises(ValidationError, match="must not be blank"):
            type(HOME).model_validate(HOME.model_dump() | {line: bad})


ANY_TEXT = (
    st.text(st.characters(codec=None), max_size=12)
    | st.text(st.sampled_from("a \t\n\r\x1b\x85\u00a0\u200b\u200d\u2028\u3000\ufeff\ud800"), max_size=5)
    | st.sampled_from([30, 31, 32, 33, 63, 64, 65, 99, 100, 101, 254, 255, 256, 499, 500, 501]).map("é".__mul__)
)
TYPED = [place for place, (_, kind) in TEXTS.items() if kind is not None]


@pytest.mark.parametrize(("table", "column"), TYPED)
@hypothesis.settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=ANY_TEXT)
@example(text="\r\r\n\n")
@example(text="\u3000")
@example(text="\x1f")
def test_what_a_dto_takes_the_database_takes(rows: Connection, table: str, column: str, text: str) -> None:
    """
    And the reverse: nothing is refused by one and taken by the other.
    """
    try:
        TypeAdapter(TEXTS[table, column][1]).validate_python(text)
    except ValidationError as error:
        said = error.errors(include_input=False)[0]["msg"]
        assert refusal(rows, table, column, text) is not None, said
    else:
        assert refusal(rows, table, column, text) is None


@pytest.mark.serverless
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secret\u200b", "holds U+200B, which cannot be seen"),
        ("secret\x1b[2J", "holds U+001B, a control character"),
        ("secret\u2028", "holds U+2028, which cannot be seen"),
        ("se\rcret", "holds U+000D, a control character"),
    ],
)
@pytest.mark.parametrize("place", TYPED)
def test_the_message_names_the_character_and_not_the_text(place: tuple[str, str], text: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(TEXTS[place][1]).validate_python(text)

    assert [error["msg"] for error in caught.value.errors()] == [f"Value error, {said}"]
