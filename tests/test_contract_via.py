"""
What a query touches without naming it: the bodies of SQL functions and the cascades of foreign keys, in contract and `store uses`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from store.contract import check, text, uses
from store.contract.project import own
from tests.test_contract import described, locked, team

__all__ = ["described", "team"]  # fixtures

SCHEMA = """
    CREATE TABLE app.tags (id bigint PRIMARY KEY, note_id bigint REFERENCES app.notes (id) ON DELETE CASCADE);
    CREATE TABLE app.marks (
        id bigint PRIMARY KEY,
        tag_id bigint REFERENCES app.tags (id) ON DELETE SET NULL,
        other_id bigint REFERENCES app.tags (id)
    );
    CREATE FUNCTION app.inner_text(note bigint) RETURNS text LANGUAGE sql STABLE
        AS $$ SELECT n.title FROM app.notes AS n WHERE n.id = note; -- a comment ends it $$;
    CREATE FUNCTION app.atomic(note bigint DEFAULT 1) RETURNS text LANGUAGE sql STABLE
        BEGIN ATOMIC SELECT app.inner_text(t.note_id) FROM app.tags AS t WHERE t.id = note; END;
    CREATE FUNCTION app.purge() RETURNS bigint LANGUAGE sql
        AS $$ DELETE FROM app.notes AS n WHERE n.price = 0; SELECT 1::bigint $$;
    CREATE FUNCTION app.loop(n bigint) RETURNS bigint LANGUAGE sql RETURN n;
    CREATE OR REPLACE FUNCTION app.loop(n bigint) RETURNS bigint LANGUAGE sql RETURN CASE WHEN n > 0 THEN app.loop(n - 1) END;
    CREATE FUNCTION app.procedural() RETURNS bigint LANGUAGE plpgsql
        AS $$ BEGIN RETURN (SELECT count(*) FROM app.owners); END $$;
"""
SQL = """\
-- name: call_atomic(id)^
-- plan: scan nothing, no table
SELECT app.atomic(:id::bigint) AS title, app.loop(2) AS n, app.procedural() AS p;

-- name: delete_note(id)!
DELETE FROM app.notes AS n WHERE n.id = :id::bigint;

-- name: purge_notes()^
SELECT app.purge() AS n;
"""


@pytest.fixture
def via(team: Path, described) -> dict[str, tuple[str, ...]]:
    described.execute(SCHEMA)
    (team / "queries" / "more.sql").write_text(SQL, encoding="utf-8")
    made = locked(team, described)
    path = made.contract_of("more")
    assert check.online(described, made, is_scratch=True)[0].rule == "plan-stale"
    return {each.name: each.facts.via for each in text.parse(path.read_text(encoding="utf-8"), path) if each.facts}


def test_functions_of_sql_are_followed_and_others_are_not(via):
    """
    As text and as BEGIN ATOMIC, through one another, and one that calls itself.
    """
    assert via["call_atomic"] == (
        "app.atomic(...): reads app.tags.id, app.tags.note_id",
        "app.inner_text(...): reads app.notes.id, app.notes.title",
    )


def test_a_delete_cascades_by_every_foreign_key_below(via):
    cascades = ("marks_tag_id_fkey: writes app.marks.tag_id", "tags_note_id_fkey: deletes app.tags")

    assert via["delete_note"] == cascades
    assert via["purge_notes"] == ("app.purge(): deletes app.notes", "app.purge(): reads app.notes.price", *cascades)


def test_a_body_that_changes_is_a_fact_that_differs(team, described):
    described.execute(SCHEMA)
    (team / "queries" / "more.sql").write_text(SQL, encoding="utf-8")
    made = locked(team, described)
    described.execute(
        "CREATE OR REPLACE FUNCTION app.inner_text(note bigint) RETURNS text LANGUAGE sql STABLE"
        " AS 'SELECT n.kind FROM app.notes AS n WHERE n.id = note'"
    )
    found = [str(each.message) for each in check.online(described, made, is_scratch=True) if each.rule == "contract-differs"]

    assert len(found) == 1
    assert (
        "via app.inner_text(...): reads: app.notes.id, app.notes.title in the contract, app.notes.id, app.notes.kind"
        in found[0]
    )


def test_nothing_of_it_stays_in_the_database(team, described):
    described.execute(SCHEMA)
    (team / "queries" / "more.sql").write_text(SQL, encoding="utf-8")
    before = described.execute("SELECT count(*) FROM pg_catalog.pg_proc").fetchone()
    locked(team, described)

    assert before == described.execute("SELECT count(*) FROM pg_catalog.pg_proc").fetchone()


@pytest.mark.serverless
def test_the_store_says_who_breaks_when_a_column_of_a_function_is_renamed():
    found = {each.query: each.via for each in uses.uses(own(), "reservations.expires_at") if each.via}
    deletes = {each.query: (each.verb, each.via) for each in uses.uses(own(), "cart_items") if each.via}

    assert {"catalog.get_product", "catalog.search_products", "catalog.facet_search", "catalog.list_products"} <= found.keys()
    assert set(found.values()) == {"sellable(...)"}
    assert deletes["catalog.delete_product"] == ("deletes", "cart_items_product_id_fkey")
