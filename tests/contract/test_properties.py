"""
Rows that satisfy the schema of the corpus never put a NULL where the analyser says there is none.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import hypothesis
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.contract.analyse import analyse
from store.contract.facts import Facts
from tests.contract.conftest import OpenCorpus, in_turn
from tests.contract.corpus import Case
from tests.databases import Connection

IDS = ["1", "2", "3"]
TIMES = ["2026-01-01 00:00:00+00", "2026-02-03 04:05:06+00", "infinity", "-infinity"]
TEXTS = ["", "x", "Y@z", "open"]
# The values of a column that may be NULL include it.
USERS = {
    "name": [None, *TEXTS],
    "is_vip": [None, "true", "false"],
    "age": [None, "0", "3", "7"],
    "tags": ["{}", "{x,NULL}", "{a}"],
    "home": [None, "(,)", "(street,)"],
    "profile": ["{}", '{"a": null}', '{"a": 1, "b": [1]}', "3"],
    "referrer_id": [None, "1"],
}
ORDERS = {
    "user_id": [None, *IDS],
    "maker_id": IDS,
    "status": ["open", "paid", "sent"],
    "note": [None],
    "total": ["0", "12.50"],
    "discount": [None, "0", "NaN", "3"],
    "placed_at": TIMES,
    "paid_on": [None, "2026-01-01", "infinity"],
    "span": [None, "empty", "(,)", "[2026-01-01, 2026-03-01)"],
}
ITEMS = {
    "sku": TEXTS,
    "quantity": ["0", "1", "2"],
    "price": ["0", "NaN", "Infinity", "1.5"],
    "remark": [None, *TEXTS],
}
PARAMETERS = {
    "bigint": [None, *IDS],
    "bigint[]": [None, "{}", "{1,NULL}", "{2,3}"],
    "boolean": [None, "true", "false"],
    "date": [None, "2026-01-01", "infinity"],
    "integer": [None, "1", "2"],
    "jsonb": [None, "{}"],
    "numeric": [None, "NaN", "1.5"],
    "text[]": [None, "{}", "{x,NULL}"],
    "timestamp with time zone": [None, *TIMES],
    "amount": [None, "1.5"],
    "code": [None, "c"],
    "shop.amount": [None, "1.5"],
    "shop.code": [None, "c"],
    "shop.state": [None, "open", "sent"],
    "text": [None, *TEXTS],
}


def some(table: dict[str, list[str | None]], most: int) -> st.SearchStrategy[list[dict[str, str | None]]]:
    """
    Up to so many rows of a table.
    """
    return st.lists(st.fixed_dictionaries({name: st.sampled_from(values) for name, values in table.items()}), max_size=most)


ROWS = st.fixed_dictionaries({"users": some(USERS, 3), "orders": some(ORDERS, 4), "items": some(ITEMS, 3)})


class Analysed:
    """
    The statements, what is said of them, and where they run.
    """

    def __init__(self, connection: Connection, statements: list[tuple[Case, Facts]]) -> None:
        self.connection = connection
        self.statements = statements


@pytest.fixture(scope="module")
def analysed(open_corpus: OpenCorpus) -> Iterator[Analysed]:
    """
    The statements that take the schema as it is, with what the analyser says of them.
    """
    with open_corpus() as connection:
        cases = next(in_turn(connection))
        facts = analyse(connection, cases)
        yield Analysed(connection, [(case, one) for case in cases if isinstance(one := facts[case.title], Facts)])


def insert(connection: Connection, rows: dict[str, list[dict[str, str | None]]]) -> None:
    """
    Fill the tables; the order of an item is whichever there is, and one code is NULL in spite of its domain.
    """
    for number, row in enumerate([dict.fromkeys(USERS, None) | {"tags": "{}", "profile": "{}"}] * 3, 1):
        given_row = rows["users"][number - 1] if number <= len(rows["users"]) else row
        put(connection, "users", {"id": str(number), "email": f"u{number}@example.org", **given_row})
    for number, row in enumerate(rows["orders"], 1):
        put(connection, "orders", {"id": str(number), **row})
    for number, row in enumerate(rows["items"] if rows["orders"] else [], 1):
        put(connection, "items", {"order_id": "1", "line_no": str(number), **row})
    put(connection, "codes", {"id": "1", "code": "c", "label": None})
    connection.execute("INSERT INTO shop.codes (id, code) VALUES (2, (SELECT c.code FROM shop.codes AS c WHERE false))")
    put(connection, "children", {"id": "1", "kind": "k", "extra": None})
    put(connection, "events", {"id": "1", "at": TIMES[0], "body": None})


def put(connection: Connection, table: str, row: dict[str, str | None]) -> None:
    names, marks = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
    overriding = "OVERRIDING SYSTEM VALUE" if table == "users" else ""
    text = f"INSERT INTO shop.{table} ({names}) {overriding} VALUES ({marks})"
    psycopg.RawCursor(connection).execute(text.encode(), list(row.values()))


def answer(connection: Connection, case: Case, values: list[str | None]) -> list[list[bool]] | None:
    """
    Return where the answer is NULL, or None where PostgreSQL refuses these rows or values; its changes are undone.
    """
    found: list[list[bool]] | None = None
    try:
        with connection.transaction():
            cursor = psycopg.RawCursor(connection).execute(case.text.encode(), values)
            result = cursor.pgresult  # what the server sent: psycopg makes a None of the null of JSON as well
            assert result is not None
            found = [
                [result.get_value(row, column) is None for column in range(result.nfields)] for row in range(result.ntuples)
            ]
            raise psycopg.Rollback
    except psycopg.Error:
        return None
    return found


# Shrinking would run every statement again and again, for minutes; the message names the statement.
@hypothesis.settings(deadline=None, max_examples=10, phases=[hypothesis.Phase.generate])
@given(rows=ROWS, seed=st.integers(0, 1_000_000))
def test_no_row_has_a_null_where_none_is_said_to_be(
    analysed: Analysed, rows: dict[str, list[dict[str, str | None]]], seed: int
) -> None:
    """
    Every statement is run on every set of rows, with parameters that may be NULL.
    """
    connection = analysed.connection
    answered = 0
    choose = random.Random(seed)
    with connection.transaction(force_rollback=True):
        insert(connection, rows)
        for case, facts in analysed.statements:
            found = answer(connection, case, [choose.choice(PARAMETERS[one.type]) for one in facts.parameters])
            answered += found is not None
            for column, nulls in zip(facts.columns, zip(*(found or []), strict=True), strict=False):
                assert column.is_nullable or column.note == "declared" or not any(nulls), f"{case.title} {column.name}"

    assert answered >= 150


CHANGED = "SELECT sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del) FROM pg_stat_xact_user_tables AS s"


def is_nothing(connection: Connection, case: Case, values: list[str | None]) -> bool:
    """
    Whether PostgreSQL refuses these rows or values, or there is no row and no change.
    """
    found = False
    try:
        with connection.transaction():
            before = connection.execute(CHANGED.encode()).fetchone()
            result = psycopg.RawCursor(connection).execute(case.text.encode(), values).pgresult
            assert result is not None
            found = result.ntuples == 0 and connection.execute(CHANGED.encode()).fetchone() == before
            raise psycopg.Rollback
    except psycopg.Error:
        return True
    return found


@hypothesis.settings(deadline=None, max_examples=5, phases=[hypothesis.Phase.generate])
@given(rows=ROWS, seed=st.integers(0, 1_000_000))
def test_nothing_comes_of_a_required_parameter_that_is_null(
    analysed: Analysed, rows: dict[str, list[dict[str, str | None]]], seed: int
) -> None:
    """
    Every statement is run without each parameter that is required, on every set of rows.
    """
    connection = analysed.connection
    tried = 0
    choose = random.Random(seed)
    with connection.transaction(force_rollback=True):
        insert(connection, rows)
        for case, facts in analysed.statements:
            for missing in (number for number, one in enumerate(facts.parameters) if one.is_required):
                values = [choose.choice(PARAMETERS[one.type]) for one in facts.parameters]
                values[missing] = None
                tried += 1
                assert is_nothing(connection, case, values), f"{case.title} ${missing + 1}"

    assert tried >= 50
