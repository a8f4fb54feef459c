"""
The rights derived from the queries: PostgreSQL itself says that they are enough, and that none is too many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from store.contract import check, derive, grants
from store.contract.database import connected
from store.contract.project import foreign, own
from tests.databases import Connection, TestServer
from tests.test_cli import store

VERSION = os.environ.get("STORE_TEST_PG", "18")
SCHEMA = """
    CREATE SCHEMA app;
    CREATE TABLE app.notes (id bigserial PRIMARY KEY, title text NOT NULL, note text, seen integer NOT NULL DEFAULT 0);
    CREATE TABLE app.words (word text PRIMARY KEY);
    CREATE FUNCTION app.is_short(value text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN length(value) < 100;
    ALTER TABLE app.notes ADD CHECK (app.is_short(title));
    CREATE FUNCTION app.known(value text) RETURNS boolean LANGUAGE sql STABLE
        AS $$ SELECT EXISTS (SELECT FROM app.words AS w WHERE w.word = known.value AND app.is_short(value)) $$;
    CREATE FUNCTION app.all_words() RETURNS SETOF text LANGUAGE sql STABLE SECURITY DEFINER
        BEGIN ATOMIC SELECT w.word FROM app.words AS w; END;
    CREATE FUNCTION app.opaque() RETURNS integer LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
    CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER notes_stamp BEFORE INSERT ON app.words FOR EACH ROW EXECUTE FUNCTION app.stamp();
"""
QUERIES = {
    "INSERT INTO app.notes (title) VALUES ('a')": {
        ("table", "app.notes", "INSERT", "title"),
        ("sequence", "app.notes_id_seq", "USAGE", ""),
        ("function", "app.is_short(text)", "EXECUTE", ""),
    },
    "INSERT INTO app.notes (id, title) VALUES (1, 'a')": {
        ("table", "app.notes", "INSERT", "id"),
        ("table", "app.notes", "INSERT", "title"),
        ("function", "app.is_short(text)", "EXECUTE", ""),
    },
    "UPDATE app.notes SET note = title WHERE seen > 1": {
        ("table", "app.notes", "UPDATE", "note"),
        ("table", "app.notes", "SELECT", "title"),
        ("table", "app.notes", "SELECT", "seen"),
        ("function", "app.is_short(text)", "EXECUTE", ""),
    },
    "DELETE FROM app.words": {("table", "app.words", "DELETE", ""), ("function", "app.stamp()", "unknown", "")},
    "SELECT count(*) AS n FROM app.notes": {("table", "app.notes", "SELECT", "*")},
    "SELECT w AS word FROM app.words AS w": {("table", "app.words", "SELECT", "word")},
    "SELECT w.word FROM app.words AS w FOR SHARE": {
        ("table", "app.words", "SELECT", "word"),
        ("table", "app.words", "UPDATE", "*"),
    },
    "SELECT app.known('a') AS is_known": {
        ("function", "app.known(text)", "EXECUTE", ""),
        ("function", "app.is_short(text)", "EXECUTE", ""),
        ("table", "app.words", "SELECT", "word"),
    },
    "SELECT word FROM app.all_words() AS word": {("function", "app.all_words()", "EXECUTE", "")},
    "SELECT app.opaque() AS n": {("function", "app.opaque()", "EXECUTE", ""), ("function", "app.opaque()", "unknown", "")},
    "SELECT nextval('app.notes_id_seq') AS id": {("sequence", "app.notes_id_seq", "USAGE", "")},
}


@pytest.fixture
def admin(server: TestServer, database: str) -> Iterator[Connection]:
    with connected(dict(conninfo_to_dict(server.dsn(database)))) as connection:
        yield connection


def team(folder: Path, queries: list[str]):
    (folder / "queries").mkdir()
    marks = ["" if text.startswith("SELECT") else "!" for text in queries]
    texts = [f"-- name: query_{number}(){marks[number]}\n{text};\n" for number, text in enumerate(queries)]
    (folder / "queries" / "notes.sql").write_text("\n".join(texts), encoding="utf-8")
    return foreign(folder / "queries")


def explained(connection: Connection, text: str) -> bool:
    """
    Whether store_app may: PostgreSQL looks at the rights before it shows a plan.
    """
    try:
        connection.execute(b"SET LOCAL ROLE store_app")
        connection.execute(f"EXPLAIN (GENERIC_PLAN) {text}".encode(), prepare=False)
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def test_what_each_kind_of_statement_needs(admin, tmp_path):
    admin.execute(SCHEMA)
    made = team(tmp_path, list(QUERIES))
    derived = derive.derive(admin, made)
    found = [set(each.whole.needs) for each in derived.stanzas["notes"]]

    assert derived.undescribed == ()
    assert [{tuple(need) for need in needs} for needs in found] == list(QUERIES.values())


def test_the_derived_rights_are_enough_and_none_is_too_many(admin):
    """
    With nothing but these every statement of the store is let through; without any one of them the query that needs it is not.
    """
    made = own()
    needs = grants.needed(admin, made, derive.derive(admin, made))
    columns = [need for need in needs.rights if need.kind == "table" and need.column != "*"]
    with admin.transaction(force_rollback=True):
        admin.execute("REVOKE ALL ON ALL TABLES IN SCHEMA store FROM store_app")
        admin.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA store FROM store_app")
        admin.execute("REVOKE ALL ON SCHEMA store FROM store_app")
        admin.execute(grants.render(needs).encode(), prepare=False)
        for statement in {*made.statements, *needs.rights.values()}:
            if statement.domain not in made.owned and statement.kind == "query":
                for text in statement.texts():
                    with admin.transaction(force_rollback=True):
                        assert explained(admin, text.text), text.title

        for need in columns:
            with admin.transaction(force_rollback=True):
                of = f"({need.column})" if need.column else ""
                admin.execute(f"REVOKE {need.privilege} {of} ON {need.name} FROM store_app".encode())
                assert not all(explained(admin, text.text) for text in needs.rights[need].texts()), need

    assert len(columns) > 200
    assert needs.unknown == ()


@pytest.mark.parametrize(
    ("change", "rule", "words"),
    [
        ("REVOKE USAGE ON SCHEMA store FROM store_app", "grant-missing", "USAGE on store, and store_app has it not"),
        ("REVOKE SELECT ON store.products FROM store_app", "grant-missing", "SELECT (sku) on store.products"),
        ("REVOKE DELETE ON store.addresses FROM store_app", "grant-missing", "addresses.delete_address needs DELETE"),
        ("REVOKE EXECUTE ON FUNCTION store.minor_units FROM store_app", "grant-missing", "store.minor_units(text)"),
        ("REVOKE SELECT ON store.reservations FROM store_app", "grant-missing", "SELECT (expires_at) on store.reservations"),
        ("REVOKE USAGE ON SEQUENCE store.carts_id_seq FROM store_app", "grant-missing", "order_imports."),
        ("REVOKE INSERT ON store.product_imports FROM store_app", "grant-missing", "imports.copy_products_in"),
        ("GRANT UPDATE ON store.orders TO store_app", "grant-unused", "UPDATE (bill_to, currency, discount"),
        ("GRANT UPDATE (actor) ON store.order_events TO store_app", "grant-unused", "UPDATE (actor) on store.order_events"),
        ("GRANT TRUNCATE ON store.carts TO store_app", "grant-unused", "TRUNCATE on store.carts"),
    ],
)
def test_rights_that_are_not_those_of_the_queries_are_found(admin, change, rule, words):
    admin.execute(change.encode())
    found = check.online(admin, own(), is_scratch=True)

    assert {rule} == {each.rule for each in found}
    assert any(words in each.message for each in found), [each.message for each in found]


def test_without_the_role_nothing_is_compared(admin, monkeypatch):
    monkeypatch.setattr(grants, "ROLE", "store_nobody")
    (found,) = check.online(admin, own(), is_scratch=True)

    assert ("grant-unchecked", "warning") == (found.rule, found.severity)


def test_the_command_prints_grants_that_postgresql_takes(server, database, tmp_path, admin):
    """
    What cannot be followed is named, and is no part of the SQL.
    """
    admin.execute(SCHEMA)
    made = team(tmp_path, list(QUERIES))
    where = f"postgresql://postgres@/{database}?host={admin.info.host}&port={admin.info.port}"
    done = store("grants", "--sql", str(made.queries), "--dsn", where, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "-- not followed: app.opaque(), called by notes.query_9" in done.stdout
    assert "GRANT USAGE ON SEQUENCE app.notes_id_seq TO store_app;" in done.stdout
    admin.execute(done.stdout.encode(), prepare=False)
    assert admin.execute("SELECT has_table_privilege('store_app', 'app.words', 'DELETE')").fetchone() == (True,)


def test_the_printed_grants_alone_let_the_role_in(admin, tmp_path):
    """
    Each schema before what is in it, as its name is spelled; then every query runs as store_app.
    """
    admin.execute(SCHEMA)
    admin.execute('CREATE SCHEMA "my.app"; CREATE TABLE "my.app".notes (id bigint); REVOKE ALL ON SCHEMA store FROM store_app')
    queries = [
        "SELECT id FROM app.notes",
        'SELECT id FROM "my.app".notes',
        "SELECT id FROM store.products",
        "SELECT app.known('a')",
    ]
    made = team(tmp_path, queries)
    text = grants.render(grants.needed(admin, made, derive.derive(admin, made)))
    with admin.transaction(force_rollback=True):
        assert not explained(admin, queries[0])
    admin.execute(text.encode(), prepare=False)

    assert [line for line in text.splitlines() if "ON SCHEMA" in line] == text.splitlines()[:3]
    assert 'GRANT USAGE ON SCHEMA "my.app" TO store_app;' in text
    for each in queries:
        with admin.transaction(force_rollback=True):
            assert explained(admin, each), each
