"""
Rules for the statements of sql/queries that PostgreSQL does not enforce.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from store import models
from store._async.queries import queries as async_queries
from store._sync.queries import queries
from store.contract import callers
from store.contract.schema import Schema
from tests.databases import Connection

ROOT = Path(__file__).resolve().parent.parent
STATEMENTS = {one.title: one for one in queries.texts}

# Statements on rows that somebody owns without the scope of the caller, each with the reason.
UNSCOPED = {
    "carts.create_guest_cart": "the cart is made for whoever learns its public_id",
    "carts.lock_guest_cart": "the public_id is the right to take the cart over, and it matches guests' carts only",
    "carts.merge_cart_items": "both carts were locked, by scope and by public_id, in the same transaction",
    "catalog.delete_product": "back office; cart_items go by cascade",
    "demo.describe_contents": "an administrator's command",
    "demo.remove_demo_orders": "an administrator's command",
    "demo.remove_demo_products": "an administrator's command",
    "demo.remove_demo_users": "an administrator's command",
    "imports.reclaim_import_holds": "an administrator's command",
    "inventory.adjust_stock": "back office: takes expired holds back",
    "inventory.extend_holds": "back office: no verb of a shopper",
    "inventory.release_holds": "back office: no verb of a shopper",
    "inventory.reserve_stock": "back office: no verb of a shopper",
    "inventory.set_stock": "back office: takes expired holds back",
    "order_imports.insert_imported_items": "an administrator's command",
    "order_imports.insert_imported_orders": "an administrator's command",
    "order_imports.judge_cancellations": "an administrator's command",
    "order_imports.judge_invoices": "an administrator's command",
    "order_imports.lock_cancelled_orders": "an administrator's command",
    "order_imports.match_cancellations": "an administrator's command",
    "order_imports.move_imported_stock": "an administrator's command",
    "order_imports.record_imported_refunds": "an administrator's command",
    "order_imports.record_imported_sales": "an administrator's command",
    "order_imports.sum_order_import": "an administrator's command",
    "orders.end_order": "back office: no verb of a shopper",
    "orders.lock_order": "back office: no verb of a shopper",
    "orders.move_order": "back office: no verb of a shopper",
    "orders.place_order": "lock_cart_to_place has locked the cart, by scope, in the same transaction",
    "payments.authorize_payment": "back office: no verb of a shopper",
    "payments.move_payment": "back office: no verb of a shopper",
    "sweep.sweep_carts": "an administrator's command",
    "sweep.sweep_holds": "an administrator's command",
    "users.create_users": "nobody owns a user who does not exist yet",
    "users.delete_user": "back office: no verb of a shopper",
    "users.detach_user_orders": "back office: no verb of a shopper",
    "users.find_user_by_email": "back office: no verb of a shopper",
    "users.find_user_by_username": "back office: no verb of a shopper",
    "users.get_credentials": "before a login nobody is known",
    "users.get_users": "back office: no verb of a shopper",
    "users.rehash_password": "runs behind the right password of this very user",
    "users.list_users": "back office: no verb of a shopper",
    "users.lock_user_carts": "back office: no verb of a shopper",
    "users.release_user_holds": "back office: no verb of a shopper",
}
OWNED = re.compile(
    r"store\.(users|carts|cart_items|credentials|addresses|reservations|orders|order_items|order_events|payments|payment_events)\b"
)
each = pytest.mark.parametrize("name", STATEMENTS)


def code(statement: Any) -> str:
    """
    Return the text without comments and strings.
    """
    text = re.sub(r"'(?:[^']|'')*'", "''", statement.text)
    return re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


@pytest.mark.serverless
@each
def test_no_not_in_subquery(name: str) -> None:
    """
    NOT IN over a NULL finds nothing at all: NOT EXISTS instead.
    """
    assert not re.search(r"\bNOT\s+IN\s*\(\s*(SELECT|WITH)\b", code(STATEMENTS[name]), re.IGNORECASE)


@pytest.mark.serverless
@each
def test_no_star(name: str) -> None:
    """
    Columns are named one by one, so that a new one leaks nowhere; count(*) counts rows.
    """
    left = re.sub(r"count\(\*\)", "", code(STATEMENTS[name]))

    assert not re.search(r"(\bSELECT|\bRETURNING|,|\.|\()\s*\*", left, re.IGNORECASE)


@pytest.mark.serverless
@each
def test_every_limit_is_bounded(name: str) -> None:
    """
    LIMIT takes a number, or a page size with a ceiling: LIMIT NULL would be all rows.
    """
    for limit in re.findall(r"\bLIMIT\s+([^\n;]+)", code(STATEMENTS[name]), re.IGNORECASE):
        assert re.fullmatch(r"\d+\)?,?|least\(\$\d+::bigint, \d+\)( \+ 1)?\)?", limit.strip())


@pytest.mark.serverless
@each
def test_no_filter_is_switched_off_by_null(name: str) -> None:
    """
    `$1 IS NULL OR ...` plans for the worst of both: a filter of its own text, `/*? name */`, instead.
    """
    assert not re.search(r"\$\d+(::[\w\[\]]+)?\s+IS\s+(NOT\s+)?NULL", code(STATEMENTS[name]), re.IGNORECASE)


@pytest.mark.serverless
@each
def test_no_sort_by_a_parameter(name: str) -> None:
    """
    ORDER BY $1 sorts by a constant and says nothing.
    """
    for order in re.findall(r"\bORDER BY\s+([^\n]+)", code(STATEMENTS[name]), re.IGNORECASE):
        assert not re.match(r"\$\d+", order)
        assert re.search(r"\b(ASC|DESC)\b", order)


@pytest.mark.serverless
@each
def test_every_statement_states_its_purpose(name: str) -> None:
    """
    A sentence says what a statement is for, and its row is a DTO of ours.
    """
    statement = STATEMENTS[name]

    assert re.match(r"[A-Z].*[.:]$", statement.doc.replace("\n", " "))
    assert statement.row is None or hasattr(models, statement.row) or statement.domain in {"demo", "imports", "order_imports"}


@pytest.mark.serverless
@each
def test_a_statement_that_writes_names_its_locks(name: str) -> None:
    """
    Who reads the header knows what waits for what.
    """
    statement = STATEMENTS[name]

    assert not statement.writes or re.search(r"^Locks: .+\.$", statement.doc, re.MULTILINE | re.DOTALL)


LOCKS_AS_IT_FINDS_THEM = {"imports.drop_import_lines": "nobody else sees the rows that an import has staged"}


@pytest.mark.serverless
@each
def test_rows_of_a_list_are_locked_in_order(name: str) -> None:
    """
    Two callers with the same rows in another order must not wait for each other: whoever writes rows of a list locks them first.
    """
    text = code(STATEMENTS[name])
    if STATEMENTS[name].writes and re.search(r"= ANY\(\$", text) and name not in LOCKS_AS_IT_FINDS_THEM:
        assert re.search(r"ORDER BY [^\n]+\n\s*(LIMIT [^\n]+\n\s*)?FOR (NO KEY )?UPDATE", text)


@pytest.mark.serverless
def test_statements_stand_in_alphabetical_order() -> None:
    for domain in {one.domain for one in STATEMENTS.values()}:
        names = [one.name for one in sorted(STATEMENTS.values(), key=lambda one: one.line) if one.domain == domain]

        assert names == sorted(names)


@pytest.mark.serverless
def test_both_colours_load_the_same_statements() -> None:
    assert [one.text for one in queries.texts] == [one.text for one in async_queries.texts]


@pytest.mark.serverless
def test_every_statement_has_a_caller_and_every_call_a_statement() -> None:
    """
    What nobody calls is deleted; arguments and rows are held to the contracts by `store check`, with the same reader.
    """
    found = callers.check(queries.statements, callers.uses(ROOT / "src" / "store"), {}, Schema(""))

    assert [] == [str(each) for each in found]


@pytest.mark.serverless
@each
def test_owned_rows_are_scoped(name: str) -> None:
    """
    A statement on users, carts or their lines carries the scope of the caller, or stands above with the reason why not.
    """
    statement = STATEMENTS[name]
    is_owned = bool(OWNED.search(statement.text))
    is_scoped = "scope" in statement.parameters

    assert is_scoped == ("store.in_scope(" in statement.text)
    assert not is_scoped or is_owned
    assert not is_owned or is_scoped or statement.full_name in UNSCOPED


@pytest.mark.serverless
def test_no_exception_is_stale() -> None:
    unscoped = {one.full_name for one in STATEMENTS.values() if "scope" not in one.parameters}

    assert UNSCOPED.keys() - unscoped == set()


@pytest.mark.serverless
@each
def test_shoppers_run_scoped_statements_only(name: str) -> None:
    """
    A scoped statement always filters by the row's own key too: the scope narrows, it does not find.
    """
    statement = STATEMENTS[name]
    if "scope" in statement.parameters:
        keys = {"address_id", "cart_id", "cart_ids", "number", "order_ids", "public_id", "user_id"}
        assert keys & set(statement.parameters)


def test_every_query_prepares(connect_as: Callable[[str], Connection]) -> None:
    """
    PostgreSQL takes each statement as store_app with an empty search_path: names are qualified, types known, rights granted. The
    texts of one entry return the same columns.
    """
    connection = connect_as("store_app")
    connection.execute("SET search_path = ''")
    refused = {}
    columns: dict[str, set[tuple[Any, ...]]] = {}
    for name, statement in STATEMENTS.items():
        text = statement.text
        if statement.kind == "copy":
            # COPY cannot be prepared; the query inside can, and the tests of imports run the rest.
            inner = re.search(r"COPY\s*\((.*)\)\s*TO", text, re.DOTALL)
            text = inner[1] if inner else "SELECT 1"
        prepared = connection.pgconn.prepare(name.encode(), text.encode())
        if prepared.status != psycopg.pq.ExecStatus.COMMAND_OK:
            refused[name] = prepared.error_message
        rows = connection.pgconn.describe_prepared(name.encode())
        found = tuple((rows.fname(at), rows.ftype(at), rows.fmod(at)) for at in range(rows.nfields))
        columns.setdefault(statement.full_name, set()).add(found)

    assert refused == {}
    assert {name for name, found in columns.items() if len(found) > 1} == set()
    assert len(STATEMENTS) > 40
