"""
The gate on the store's own queries: what each kind of migration does to them.
"""

from __future__ import annotations

import shutil

import pytest

from store import _files, gate
from store.migrate import review
from tests.gate_project import scratch

__all__ = ["scratch"]  # fixtures

QUERIES = _files.folder("sql") / "queries"
MIGRATIONS = _files.folder("migrations")

OWN = {
    "0101_drop_column": "-- Why.\n\nALTER TABLE store.users ADD COLUMN nick text;\nALTER TABLE store.addresses DROP COLUMN region;",
    "0102_rename_column": "ALTER TABLE store.outbox RENAME COLUMN claimed_until TO held_until;",
    "0103_change_type": "ALTER TABLE store.outbox ALTER COLUMN topic TYPE varchar(200);",
    "0104_add_required": "ALTER TABLE store.payments ADD COLUMN channel text NOT NULL;",
    "0105_drop_arbiter": "DROP INDEX store.carts_one_open_per_user;",
    "0106_allow_null": "ALTER TABLE store.users ALTER COLUMN email DROP NOT NULL;",
    "0107_rename_table": "ALTER TABLE store.product_imports RENAME TO staged_products;",
    "0108_drop_proof": "-- transactional: false\nDROP INDEX CONCURRENTLY store.orders_number_key;",
    "0109_add_rules": (
        "ALTER TABLE store.inventory ADD CONSTRAINT inventory_small CHECK (on_hand < 1000000) NOT VALID;\n"
        "CREATE FUNCTION store.noop() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$ BEGIN RETURN NEW; END $$;\n"
        "CREATE TRIGGER stock_seen BEFORE INSERT ON store.stock_movements FOR EACH ROW EXECUTE FUNCTION store.noop();\n"
        "REVOKE SELECT ON store.carts FROM store_readonly;"
    ),
    "0110_harmless": (
        "CREATE TABLE store.gifts (id bigint PRIMARY KEY, order_id bigint NOT NULL);\n"
        "CREATE INDEX gifts_order_id_idx ON store.gifts (order_id);\n"
        "ALTER TABLE store.orders ADD COLUMN gift_note text, ADD COLUMN gift_count integer NOT NULL DEFAULT 0;\n"
        "CREATE INDEX orders_gift_note_idx ON store.orders (gift_note);\n"
        "COMMENT ON TABLE store.orders IS 'Orders.';\nCOMMENT ON FUNCTION store.schema_version() IS 'Where we are.';\n"
        "CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text LANGUAGE sql IMMUTABLE RETURN '0110_harmless';\n"
        "ALTER TABLE store.inventory VALIDATE CONSTRAINT inventory_small;"
    ),
    "0111_drop_table": "DROP TABLE store.order_imports CASCADE;",
}


@pytest.fixture(scope="module")
def own(scratch: review.Scratch, tmp_path_factory: pytest.TempPathFactory) -> gate.Gate:
    """
    What the gate says when the store's own release meets one migration of each kind.
    """
    place = tmp_path_factory.mktemp("own") / "migrations"
    shutil.copytree(MIGRATIONS, place)
    for name, text in OWN.items():
        (place / f"{name}.sql").write_text(text, encoding="utf-8")
        (place / f"{name}.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    with gate.previous(str(QUERIES.parents[1]), QUERIES, place, gate.OWN) as running:
        return gate.gate(scratch, running, place, gate.pending(running, place), QUERIES, prefix="store")


@pytest.mark.parametrize(
    ("migration", "rule", "queries", "line", "sqlstate"),
    [
        (
            "0101_drop_column",
            "query-refused",
            "addresses.create_address, addresses.get_address, addresses.list_addresses, addresses.replace_address",
            4,
            "42703",
        ),
        ("0102_rename_column", "query-refused", "outbox.claim_events", 1, "42703"),
        ("0103_change_type", "query-type", "outbox.read_events", 1, None),
        ("0104_add_required", "query-refused", "order_imports.record_imported_sales, payments.authorize_payment", 1, "23502"),
        ("0105_drop_arbiter", "query-refused", "carts.get_or_create_cart", 1, "42P10"),
        ("0106_allow_null", "query-null", "users.get_user", 1, None),
        ("0107_rename_table", "query-refused", "imports.copy_products_in", 1, "42P01"),
        ("0111_drop_table", "query-refused", "order_imports.copy_order_lines_in", 1, "42P01"),
    ],
)
def test_break_of_the_store_s_own_queries_is_named(
    own: gate.Gate, migration: str, rule: str, queries: str, line: int, sqlstate: str | None
) -> None:
    """
    By query, migration and line; in a file of two statements the line is that of the second, which does it.
    """
    found = [each for each in own.errors if each.migration == migration]
    names = {name for each in found for name in each.queries}

    assert set(queries.split(", ")) <= names
    assert {(each.rule, each.line, each.sqlstate) for each in found if set(each.queries) & set(queries.split(", "))} == {
        (rule, line, sqlstate)
    }


def test_dropped_column_breaks_nothing_else(own: gate.Gate) -> None:
    names = {each.queries for each in own.errors if each.migration == "0101_drop_column"}

    assert {name.partition(".")[0] for (name,) in names} == {"addresses"}
    assert "sql/queries/addresses.sql:" in str(own.errors[0].place)


def test_harmless_migration_breaks_nothing(own: gate.Gate) -> None:
    """
    New tables, columns that may be null or have a default, indexes, comments, a validated CHECK.
    """
    assert [each.message for each in own.verdicts if each.migration == "0110_harmless"] == []


def test_lost_proof_and_index_are_warnings(own: gate.Gate) -> None:
    """
    Outside a transaction too, and only where nothing else keeps the query to one row.
    """
    found = {(each.rule, each.severity) for each in own.verdicts if each.migration == "0108_drop_proof"}

    assert found == {("query-rows", "warning"), ("query-plan", "warning")}


def test_what_may_be_felt_is_listed(own: gate.Gate) -> None:
    found = [each for each in own.verdicts if each.migration == "0109_add_rules"]

    assert {(each.rule, each.severity) for each in found} == {("may-change", "warning")}
    assert [each.line for each in found] == [1, 3, 4]
    assert "store.inventory has the rule inventory_small: CHECK ((on_hand < 1000000)) NOT VALID" in found[0].message
    assert {"inventory.adjust_stock", "inventory.set_stock"} <= set(found[0].queries)
    assert "the trigger stock_seen of store.stock_movements is new" in found[1].message
    assert "fewer rights" in found[2].message


def test_the_store_s_new_release_needs_nothing_it_does_not_use(own: gate.Gate) -> None:
    assert own.needs == []
    assert own.judged > 90
