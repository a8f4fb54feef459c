"""
`store migrate gate`: the queries of the release that runs meet each pending migration, and what breaks is named with its line.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest
from typer.testing import CliRunner

from store import _files
from store.cli import app
from store.errors import MigrationFolderError, MigrationHistoryError
from store.migrate import review
from store.migrate._headers import release as number_of
from store.migrate._observe import Rule
from tests.databases import TestServer

QUERIES = _files.folder("sql") / "queries"
MIGRATIONS = _files.folder("migrations")
DOCS = Path(__file__).resolve().parents[1] / "docs" / "migrations.md"
FUNCTION = "CREATE FUNCTION store.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';"
VIEW = "CREATE VIEW store.tagged AS SELECT n.id, n.tag FROM store.notes AS n"
LAYOUT = (review.Layout("sql/queries", "migrations"),)

SCHEMA = """
CREATE SCHEMA store;
CREATE TYPE store.state AS ENUM ('open', 'done');
CREATE TABLE store.notes (id bigint PRIMARY KEY, body text NOT NULL, tag text, state store.state NOT NULL DEFAULT 'open');
CREATE UNIQUE INDEX notes_tag_key ON store.notes (tag);
CREATE TABLE store.links (id bigint PRIMARY KEY, note_id bigint NOT NULL, url text NOT NULL);
CREATE VIEW store.tagged AS SELECT n.id, n.tag FROM store.notes AS n WHERE n.tag IS NOT NULL;
"""
NOTES = """
-- Notes.

-- name: add_note(id, body, tag)!
-- Store a note.
-- null: tag
INSERT INTO store.notes (id, body, tag) VALUES (:id::bigint, :body::text, :tag::text)
ON CONFLICT (tag) DO NOTHING;

-- name: copy_notes()
-- Take notes in.
-- kind: copy
COPY store.notes (id, body) FROM STDIN;

-- name: copy_out()
-- Give notes out.
-- kind: copy
COPY (SELECT n.id, n.body FROM store.notes AS n) TO STDOUT;

-- name: drop_note(id)!
-- Delete a note.
DELETE FROM store.notes AS n WHERE n.id = :id::bigint;

-- name: find_note(tag)^
-- The note of a tag.
SELECT n.id, n.body, n.tag FROM store.notes AS n WHERE n.tag = :tag::text;

-- name: list_links(note_id)
-- Links with their note; the columns are not qualified.
SELECT url, body FROM store.links INNER JOIN store.notes ON note_id = notes.id WHERE note_id = :note_id::bigint;

-- name: list_open()
-- What is open.
SELECT n.id, n.state FROM store.notes AS n WHERE n.state = 'open'::store.state;

-- name: list_tagged()
-- What is tagged.
SELECT t.id FROM store.tagged AS t;

-- name: search_notes(words, tag)
-- With an optional filter.
SELECT n.body FROM store.notes AS n WHERE n.body = :words::text /*? tag */ AND n.tag = :tag::text /*?*/;
"""


def written(root: Path, queries: str = NOTES, *, version: str | None = None, **migrations: str) -> Path:
    """
    Write a release of a small project: its queries, and migrations as `_0002="ALTER ..."`.
    """
    (root / "sql" / "queries").mkdir(parents=True)
    (root / "migrations").mkdir()
    (root / "sql" / "queries" / "notes.sql").write_text(queries, encoding="utf-8")
    for number, text in ({"_0001": SCHEMA} | migrations).items():
        (root / "migrations" / f"{number[1:]}_x.sql").write_text(text, encoding="utf-8")
        (root / "migrations" / f"{number[1:]}_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    if version is not None:
        (root / "pyproject.toml").write_text(f'[project]\nname = "notes"\nversion = "{version}"\n', encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def scratch(server: TestServer) -> review.Scratch:
    return review.Scratch(server.dsn, f"store_test_gate_{os.getpid()}")


def gated(scratch: review.Scratch, running: review.Previous, new: Path) -> review.Gate:
    folder = new / "migrations"
    return review.gate(scratch, running, folder, review.pending(running, folder), new / "sql/queries")


Judge = Callable[..., review.Gate]


@pytest.fixture
def judge(scratch: review.Scratch, tmp_path: Path) -> Judge:
    """
    Put pending migrations on the small project, and return what the gate says of its release.
    """

    def judged(
        queries: str = NOTES, *, version: str | None = None, before: str = NOTES, schema: str = SCHEMA, **migrations: str
    ) -> review.Gate:
        written(tmp_path / "old", before, version=version, _0001=schema)
        new = written(tmp_path / "new", queries, _0001=schema, **migrations)
        with review.previous(str(tmp_path / "old"), new / "sql/queries", new / "migrations", LAYOUT) as running:
            return gated(scratch, running, new)

    return judged


def told(made: review.Gate, rule: str | None = None) -> list[tuple[str | None, str, int, str | None]]:
    """
    Return the migration, the queries, the line and the SQLSTATE of each verdict.
    """
    return [
        (each.migration, ", ".join(each.queries), each.line, each.sqlstate)
        for each in made.verdicts
        if rule is None or each.rule == rule
    ]


# --- the store's own queries -----------------------------------------------------------------------------------------

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
def own(scratch: review.Scratch, tmp_path_factory: pytest.TempPathFactory) -> review.Gate:
    """
    What the gate says when the store's own release meets one migration of each kind.
    """
    place = tmp_path_factory.mktemp("own") / "migrations"
    shutil.copytree(MIGRATIONS, place)
    for name, text in OWN.items():
        (place / f"{name}.sql").write_text(text, encoding="utf-8")
        (place / f"{name}.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    with review.previous(str(QUERIES.parents[1]), QUERIES, place, review.OWN) as running:
        return review.gate(scratch, running, place, review.pending(running, place), QUERIES, prefix="store")


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
    own: review.Gate, migration: str, rule: str, queries: str, line: int, sqlstate: str | None
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


def test_dropped_column_breaks_nothing_else(own: review.Gate) -> None:
    names = {each.queries for each in own.errors if each.migration == "0101_drop_column"}

    assert {name.partition(".")[0] for (name,) in names} == {"addresses"}
    assert "sql/queries/addresses.sql:" in str(own.errors[0].place)


def test_harmless_migration_breaks_nothing(own: review.Gate) -> None:
    """
    New tables, columns that may be null or have a default, indexes, comments, a validated CHECK.
    """
    assert [each.message for each in own.verdicts if each.migration == "0110_harmless"] == []


def test_lost_proof_and_index_are_warnings(own: review.Gate) -> None:
    """
    Outside a transaction too, and only where nothing else keeps the query to one row.
    """
    found = {(each.rule, each.severity) for each in own.verdicts if each.migration == "0108_drop_proof"}

    assert found == {("query-rows", "warning"), ("query-plan", "warning")}


def test_what_may_be_felt_is_listed(own: review.Gate) -> None:
    found = [each for each in own.verdicts if each.migration == "0109_add_rules"]

    assert {(each.rule, each.severity) for each in found} == {("may-change", "warning")}
    assert [each.line for each in found] == [1, 3, 4]
    assert "store.inventory has the rule inventory_small: CHECK ((on_hand < 1000000)) NOT VALID" in found[0].message
    assert {"inventory.adjust_stock", "inventory.set_stock"} <= set(found[0].queries)
    assert "the trigger stock_seen of store.stock_movements is new" in found[1].message
    assert "fewer rights" in found[2].message


def test_the_store_s_new_release_needs_nothing_it_does_not_use(own: review.Gate) -> None:
    assert own.needs == []
    assert own.judged > 90


# --- a small project: one cause a test -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ddl", "rule", "queries", "sqlstate"),
    [
        ("ALTER TABLE store.links ADD COLUMN body text", "query-refused", "notes.list_links", "42702"),
        ("ALTER TYPE store.state RENAME VALUE 'open' TO 'new'", "query-refused", "notes.list_open", "22P02"),
        ("DROP VIEW store.tagged CASCADE", "query-refused", "notes.list_tagged", "42P01"),
        ("DROP INDEX store.notes_tag_key", "query-refused", "notes.add_note", "42P10"),
        ("ALTER TABLE store.notes ALTER COLUMN tag SET NOT NULL", "query-null", "notes.add_note", None),
        ("ALTER TABLE store.notes ADD COLUMN kind text NOT NULL", "query-refused", "notes.add_note, notes.copy_notes", "23502"),
        ("ALTER TABLE store.notes ALTER COLUMN state TYPE text USING state::text", "query-refused", "notes.list_open", "42883"),
        (
            "DROP VIEW store.tagged; ALTER TABLE store.notes ALTER COLUMN id TYPE numeric; " + VIEW,
            "query-type",
            "notes.copy_notes, notes.copy_out, notes.find_note, notes.list_open, notes.list_tagged",
            None,
        ),
    ],
)
def test_break_has_its_query_and_reason(judge: Judge, ddl: str, rule: str, queries: str, sqlstate: str | None) -> None:
    if sqlstate == "42883":
        ddl = f"ALTER TABLE store.notes ALTER COLUMN state DROP DEFAULT; {ddl}"
    made = judge(_0002=f"{ddl};")
    found = [each for each in made.errors if each.rule == rule and each.sqlstate == sqlstate]

    assert ", ".join(sorted({name for each in found for name in each.queries})) == queries
    assert {each.migration for each in found} == {"0002_x"}


def test_what_a_transaction_mends_before_it_ends_is_no_break(judge: Judge) -> None:
    """
    Nobody ever sees the state in between, and nothing is left to allow.
    """
    made = judge(_0002="DROP INDEX store.notes_tag_key;\nCREATE UNIQUE INDEX notes_tag_key ON store.notes (tag);")

    assert made.errors == []


def test_break_that_a_later_file_mends_is_a_break(judge: Judge) -> None:
    """
    Between two files everybody sees what the first one left.
    """
    made = judge(
        _0002="ALTER TABLE store.notes RENAME COLUMN body TO text;", _0003="ALTER TABLE store.notes RENAME COLUMN text TO body;"
    )

    assert {each.migration for each in made.errors} == {"0002_x"}


def test_break_is_said_once(judge: Judge) -> None:
    made = judge(_0002="ALTER TABLE store.links DROP COLUMN url;", _0003="CREATE TABLE store.more (id bigint);")

    assert told(made) == [("0002_x", "notes.list_links", 1, "42703")]


def test_optional_filter_breaks_its_query_once(judge: Judge) -> None:
    """
    Of several texts of one query only some break, and the query is named once for each reason.
    """
    made = judge(_0002="DROP VIEW store.tagged;\nALTER TABLE store.notes DROP COLUMN tag;")

    assert [each for each in told(made) if each[1] == "notes.search_notes"] == [("0002_x", "notes.search_notes", 2, "42703")]


def test_null_is_told_to_those_who_meet_it(judge: Judge) -> None:
    """
    Who reads a column that may be null now; not who only writes it, nor who compares it before.
    """
    made = judge(_0002="ALTER TABLE store.notes ALTER COLUMN body DROP NOT NULL;")

    assert {name for each in made.errors for name in each.queries} == {
        "notes.copy_out",
        "notes.find_note",
        "notes.list_links",
    }


def test_parameter_that_is_never_none_may_become_required(judge: Judge) -> None:
    """
    Without `-- null:` the session refuses None before it is sent.
    """
    queries = NOTES.replace("-- null: tag\n", "")
    made = judge(queries, before=queries, _0002="ALTER TABLE store.notes ALTER COLUMN tag SET NOT NULL;")

    assert [each.rule for each in made.verdicts if "notes.add_note" in each.queries] == ["may-change"]
    assert {name for each in made.errors for name in each.queries} == {"notes.copy_notes"}


def test_star_meets_a_new_column(judge: Judge) -> None:
    """
    A query that names no columns answers others than its DTO has.
    """
    queries = "-- name: list_notes()\n-- All.\nSELECT n.* FROM store.notes AS n;\n"
    made = judge(queries, before=queries, _0002="ALTER TABLE store.notes ADD COLUMN kind text;")

    assert [(each.rule, each.message.partition(": ")[2]) for each in made.errors] == [
        ("query-columns", "it answers other columns: kind is new")
    ]


@pytest.mark.parametrize(
    ("ddl", "message", "queries"),
    [
        (
            "ALTER TABLE store.notes ADD CONSTRAINT notes_short CHECK (length(body) < 9);",
            "store.notes has the rule notes_short: CHECK ((length(body) < 9))",
            {"notes.add_note", "notes.copy_notes"},
        ),
        ("CREATE UNIQUE INDEX links_url_key ON store.links (url);", None, set()),
        (
            "CREATE UNIQUE INDEX one ON store.notes (body);",
            "store.notes has the unique index one",
            {"notes.add_note", "notes.copy_notes"},
        ),
        ("ALTER TABLE store.links ENABLE ROW LEVEL SECURITY;", "store.links has row security", {"notes.list_links"}),
        (
            "CREATE OR REPLACE VIEW store.tagged AS SELECT n.id, n.tag FROM store.notes AS n;",
            "the view store.tagged is another",
            {"notes.list_tagged"},
        ),
        (
            "ALTER TYPE store.state ADD VALUE 'late';",
            "the type store.state is enum 'open', 'done', 'late', and was enum 'open', 'done'",
            {"notes.list_open"},
        ),
        (
            "ALTER TABLE store.notes ALTER COLUMN state SET DEFAULT 'done';",
            "store.notes.state is filled by default 'done'::store.state, and was by default 'open'::store.state",
            {"notes.add_note", "notes.copy_notes"},
        ),
        (
            "ALTER TABLE store.notes ADD CONSTRAINT notes_body_key UNIQUE (body);",
            "store.notes has the rule notes_body_key: UNIQUE (body)",
            {"notes.add_note", "notes.copy_notes"},
        ),
        (
            "ALTER TABLE store.links ADD CONSTRAINT links_note FOREIGN KEY (note_id) REFERENCES store.notes (id) NOT VALID;",
            "store.links has the rule links_note: FOREIGN KEY (note_id) REFERENCES store.notes(id) NOT VALID",
            {"notes.drop_note"},
        ),
        (
            FUNCTION + " CREATE TRIGGER kept BEFORE DELETE ON store.notes FOR EACH ROW EXECUTE FUNCTION store.f();",
            "the trigger kept of store.notes is new",
            {"notes.add_note", "notes.copy_notes", "notes.drop_note"},
        ),
        (
            "REVOKE SELECT ON store.notes FROM PUBLIC; CREATE TABLE store.more (id bigint); REVOKE ALL ON store.more FROM PUBLIC;",
            "a role has fewer rights, and the queries were not tried as that role",
            set(),
        ),
        (
            "CREATE POLICY seen ON store.links USING (true);",
            "the policy seen of store.links is new",
            {"notes.list_links"},
        ),
    ],
)
def test_behaviour_that_may_change(judge: Judge, ddl: str, message: str | None, queries: set[str]) -> None:
    """
    Listed with the queries that feel it, and not at all where none does.
    """
    made = judge(_0002=ddl)

    assert made.errors == []
    assert {name for each in made.verdicts for name in each.queries} == queries
    assert [each.message.partition(" (felt by")[0] for each in made.verdicts] == ([] if message is None else [message])


CALLED = """
CREATE FUNCTION store.note_it(tag text) RETURNS void LANGUAGE sql
    AS $$ INSERT INTO store.notes (id, body, tag) VALUES (1, '', tag) $$;
CREATE FUNCTION store.known(tag text) RETURNS bigint LANGUAGE sql
    AS $$ SELECT l.id FROM store.links AS l INNER JOIN store.notes AS n ON n.id = l.note_id WHERE n.tag = known.tag $$;
ALTER TABLE store.links ADD FOREIGN KEY (note_id) REFERENCES store.notes (id) ON DELETE CASCADE;
CREATE TABLE store.marks (id bigint PRIMARY KEY, link_id bigint REFERENCES store.links (id) ON DELETE SET NULL);
CREATE TABLE store.others (id bigint PRIMARY KEY);
"""
CALLING = """
-- name: drop_note(id)!
-- Delete a note, and its links with it.
DELETE FROM store.notes AS n WHERE n.id = :id::bigint;

-- name: find_link(tag)^
-- The link of a tag.
SELECT store.known(:tag::text) AS id;

-- name: note_it(tag)
-- Store a note by a function.
SELECT store.note_it(:tag::text) AS done;
"""


@pytest.mark.parametrize(
    ("ddl", "queries"),
    [
        ("ALTER TABLE store.notes ADD CONSTRAINT short CHECK (length(body) < 9);", {"notes.note_it"}),
        ("CREATE UNIQUE INDEX one ON store.notes (body);", {"notes.note_it"}),
        ("ALTER TABLE store.links ENABLE ROW LEVEL SECURITY;", {"notes.drop_note", "notes.find_link"}),
        ("ALTER TABLE store.marks ADD CONSTRAINT bound CHECK (link_id IS NOT NULL);", {"notes.drop_note"}),
        ("ALTER TABLE store.others ADD CONSTRAINT bound CHECK (id > 0);", set()),
        (
            FUNCTION + " CREATE TRIGGER kept BEFORE DELETE ON store.links FOR EACH ROW EXECUTE FUNCTION store.f();",
            {"notes.drop_note"},
        ),
    ],
)
def test_change_is_felt_through_functions_and_cascades(judge: Judge, ddl: str, queries: set[str]) -> None:
    """
    A query feels what happens to a table it does not name: the body of a function in SQL does, or a foreign key.
    """
    made = judge(CALLING, before=CALLING, schema=SCHEMA + CALLED, _0002=ddl)

    assert made.errors == []
    assert {name for each in made.verdicts for name in each.queries} == queries
    assert {each.rule for each in made.verdicts} == ({"may-change"} if queries else set())


# --- what is allowed -------------------------------------------------------------------------------------------------

BREAK = "ALTER TABLE store.links DROP COLUMN url;"
WITHOUT = NOTES.replace("SELECT url, body", "SELECT body")


@pytest.mark.parametrize(
    ("header", "version", "severity", "words"),
    [
        ("", "1.9.0", "error", "`-- store: contract-after: 1.9.0`"),
        ("", None, "error", "`-- store: contract-after: VERSION`; to have the version of "),
        ("", "nightly", "error", "old named, give a tag like v1.8.0, a wheel, or a folder with its pyproject.toml"),
        ("1.8.0", "1.9.0", "warning", "allowed by `contract-after: 1.8.0`, as 1.9.0 is newer"),
        ("1.8.0", "1.8.0", "error", "waits for a release newer than 1.8.0, and 1.8.0 runs"),
        ("1.8.0", "1.7.3", "error", "waits for a release newer than 1.8.0, and 1.7.3 runs"),
        ("1.8.0", "1.10.0", "warning", "allowed"),
        ("1.8.0", None, "error", "cannot be told: give a tag like v1.8.0"),
    ],
)
def test_break_is_allowed_after_a_release(judge: Judge, header: str, version: str | None, severity: str, words: str) -> None:
    """
    The header names the last release that needs what the file takes away.
    """
    head = f"-- store: contract-after: {header}\n" if header else ""
    made = judge(WITHOUT, version=version, _0002=head + BREAK)
    (found,) = made.verdicts

    assert (found.rule, found.severity) == ("query-refused", severity)
    assert words in found.mend


def test_header_allows_no_break_of_the_new_release(judge: Judge) -> None:
    """
    What the release that runs never calls may break; the one that comes must not have it any more.
    """
    made = judge(NOTES, version="1.9.0", _0002=f"-- store: contract-after: 1.8.0\n{BREAK}")

    assert [(each.severity, each.message.partition(":")[0]) for each in made.verdicts] == [
        ("error", "notes.list_links of this release"),
        ("warning", f"notes.list_links of {made.verdicts[1].message.split(' of ')[1].partition(':')[0]}"),
    ]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.8.0", "1.9.0"),
        ("1.9.0", "1.10"),
        ("1.9.0rc1", "1.9.0"),
        ("v1.8", "1.8.1"),
        ("1.8.0.dev3", "1.8"),
        ("1.8.0", "1.8.0.1"),
    ],
)
def test_releases_are_ordered(older: str, newer: str) -> None:
    before, after = number_of(older), number_of(newer)

    assert before is not None
    assert after is not None
    assert before < after


def test_same_release_in_other_words() -> None:
    assert number_of("v1.8") == number_of("1.8.0") == number_of("1.8.0+build.7")
    assert number_of("main") is None


def test_header_that_names_no_release_is_refused(tmp_path: Path) -> None:
    new = written(tmp_path / "new", _0002=f"-- store: contract-after: soon\n{BREAK}")
    with (
        pytest.raises(MigrationFolderError, match="`-- store: contract-after:` is a release, like 1.8.0"),
        review.previous(str(written(tmp_path / "old")), new, new, LAYOUT) as running,
    ):
        review.pending(running, new / "migrations")


# --- the way back ----------------------------------------------------------------------------------------------------


def test_new_query_names_the_migration_it_needs(judge: Judge) -> None:
    """
    That is no break: it says what comes first, on the way there and on the way back.
    """
    queries = NOTES + "\n-- name: take_notes()\n-- Kinds.\nSELECT n.kind FROM store.notes AS n;\n"
    made = judge(
        queries,
        _0002="CREATE TABLE store.more (id bigint);",
        _0003="ALTER TABLE store.notes ADD COLUMN kind text;",
        _0004="CREATE TABLE store.most (id bigint);",
    )

    assert made.verdicts == []
    assert [(each.query, each.migration, each.message) for each in made.needs] == [
        ("notes.take_notes", "0003_x", "column n.kind does not exist (42703)")
    ]
    assert made.needs[0].place.endswith("new/sql/queries/notes.sql:44")


def test_new_label_of_an_enum_is_seen_after_its_commit(judge: Judge) -> None:
    """
    Inside its transaction PostgreSQL refuses it to everybody; the migration that adds it is the one that is needed.
    """
    queries = (
        NOTES + "\n-- name: list_late()\n-- Late.\nSELECT n.id FROM store.notes AS n WHERE n.state = 'late'::store.state;\n"
    )
    made = judge(queries, _0002="ALTER TYPE store.state ADD VALUE 'late';", _0003="CREATE TABLE store.more (id bigint);")

    assert made.errors == []
    assert [(each.query, each.migration) for each in made.needs] == [("notes.list_late", "0002_x")]


def test_new_query_that_the_new_schema_refuses(judge: Judge) -> None:
    queries = NOTES + "\n-- name: take_notes()\n-- Kinds.\nSELECT n.kind FROM store.notes AS n;\n"
    made = judge(queries, _0002="CREATE TABLE store.more (id bigint);")

    assert [(each.rule, each.queries) for each in made.errors] == [("query-refused", ("notes.take_notes",))]


# --- what cannot be judged -------------------------------------------------------------------------------------------


def test_query_that_never_ran_is_no_green(judge: Judge) -> None:
    """
    A release that its own schema refuses was read from the wrong place, or needs something that is not here.
    """
    made = judge(
        before=NOTES.replace("t.id FROM store.tagged", "t.id FROM store.absent"), _0002="CREATE TABLE store.more (id bigint);"
    )

    assert [(each.rule, each.queries, str(each.path)) for each in made.errors] == [
        ("refused-before", ("notes.list_tagged",), "sql/queries/notes.sql")
    ]


def test_file_that_cannot_be_read_is_a_finding(judge: Judge) -> None:
    """
    In the words of the loader, at the place in that release; the other files are judged.
    """
    made = judge(before="-- name: broken(\nSELECT 1;", _0002="CREATE TABLE store.more (id bigint);")

    assert [(each.rule, str(each.path), each.line) for each in made.errors] == [("query-file", "sql/queries/notes.sql", 1)]
    assert "cannot be judged" in made.errors[0].mend


def test_migration_that_does_not_apply(judge: Judge) -> None:
    made = judge(_0002="SELECT 1;\nALTER TABLE store.absent ADD COLUMN a text;", _0003="SELECT 1;")

    assert [(each.rule, each.line, each.severity) for each in made.verdicts] == [("does-not-apply", 2, "error")]


def test_batch_and_repeatable_files_are_steps(scratch: review.Scratch, tmp_path: Path) -> None:
    old, new = (
        written(tmp_path / "old"),
        written(
            tmp_path / "new",
            _0002=(
                "-- store: batch\nUPDATE store.notes SET tag = 'none' WHERE id IN (SELECT id FROM store.notes WHERE tag IS NULL LIMIT 10);"
            ),
        ),
    )
    for root, text in ((old, "SELECT 1;"), (new, "DROP VIEW store.tagged;")):
        (root / "migrations" / "repeatable").mkdir()
        (root / "migrations" / "repeatable" / "views.sql").write_text(text, encoding="utf-8")
    with review.previous(str(old), new / "sql/queries", new / "migrations", LAYOUT) as running:
        made = gated(scratch, running, new)

    assert made.pending == ["0002_x", "repeatable/views"]
    assert told(made) == [("repeatable/views", "notes.list_tagged", 1, "42P01")]


# --- where a release is kept -----------------------------------------------------------------------------------------


def pending(ref: str, new: Path, layouts: Sequence[review.Layout] = review.OWN) -> tuple[str | None, list[str]]:
    """
    Return the version of a release and the ids it has not.
    """
    with review.previous(ref, new / "sql/queries", new / "migrations", layouts) as running:
        return running.version, [each.id for each in review.pending(running, new / "migrations")]


def git(root: Path, *words: str) -> None:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.invalid", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(root), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """
    A repository whose tag v1.8.0 has one migration less than its working tree; .gitattributes hides files from archives.
    """
    root = written(tmp_path / "repository", version="1.8.0")
    (root / ".gitattributes").write_text("*.sql export-ignore\n", encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    git(root, "tag", "v1.8.0")
    (root / "migrations" / "0002_x.sql").write_text(BREAK, encoding="utf-8")
    (root / "migrations" / "0002_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    return root


def test_repeatable_file_of_a_commit(repository: Path) -> None:
    """
    What the release has in the subfolder too is not pending, until it changes.
    """
    (repository / "migrations" / "repeatable").mkdir()
    (repository / "migrations" / "repeatable" / "views.sql").write_text("SELECT 1;", encoding="utf-8")
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "two")

    assert pending("HEAD", repository) == ("1.8.0", [])

    (repository / "migrations" / "repeatable" / "views.sql").write_text("SELECT 2;", encoding="utf-8")

    assert pending("HEAD", repository) == ("1.8.0", ["repeatable/views"])


@pytest.mark.parametrize("ref", ["v1.8.0", "main", "HEAD", "HEAD~0", "refs/tags/v1.8.0"])
def test_commit_of_the_repository_of_the_migrations(repository: Path, ref: str) -> None:
    """
    Whatever the working directory, what is committed counts, and what git would leave out of an archive too.
    """
    assert pending(ref, repository) == ("1.8.0", ["0002_x"])


def test_tag_tells_the_version_where_the_project_does_not(repository: Path) -> None:
    git(repository, "rm", "--quiet", "pyproject.toml")
    git(repository, "commit", "--quiet", "-m", "two")
    git(repository, "tag", "release-next")
    git(repository, "tag", "rel/v1.9.2")

    assert pending("rel/v1.9.2", repository)[0] == "v1.9.2"
    assert pending("release-next", repository)[0] is None


def test_project_below_the_top_of_a_repository(tmp_path: Path) -> None:
    """
    The same paths are looked for in the commit, and the version in the nearest project above them.
    """
    root = written(tmp_path / "all" / "shop", version="2.0")
    git(tmp_path / "all", "init", "--quiet", "--initial-branch=main")
    git(tmp_path / "all", "add", "-A")
    git(tmp_path / "all", "commit", "--quiet", "-m", "one")
    (root / "migrations" / "0002_x.sql").write_text(BREAK, encoding="utf-8")
    (root / "migrations" / "0002_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")

    assert pending("main", root) == ("2.0", ["0002_x"])


def wheel(place: Path, root: Path, **more: str) -> Path:
    """
    Write what hatchling writes: the folders inside the package, and the metadata.
    """
    with zipfile.ZipFile(place, "w") as archive:
        for folder in ("sql", "migrations"):
            for path in (root / folder).rglob("*.sql"):
                archive.write(path, f"store/{path.relative_to(root)}")
        archive.writestr(
            "plainstore-1.7.0.dist-info/METADATA", "Metadata-Version: 2.4\nName: plainstore\nVersion: 1.7.0\n\nText\n"
        )
        for name, text in more.items():
            archive.writestr(name, text)
    return place


def test_wheel(tmp_path: Path) -> None:
    new = written(tmp_path / "new", _0002=BREAK)
    path = wheel(tmp_path / "plainstore-1.7.0-py3-none-any.whl", written(tmp_path / "old"))

    assert pending(str(path), new) == ("1.7.0", ["0002_x"])


def test_wheel_writes_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A name that leads out of the folder is no file of a release.
    """
    new = written(tmp_path / "new", _0002=BREAK)
    outside = {"store/migrations/../../../0009_x.sql": "SELECT 1;", "store/migrations/repeatable/../../x.sql": "SELECT 1;"}
    path = wheel(tmp_path / "evil.whl", written(tmp_path / "old"), **outside)
    (home := tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home))

    assert pending(str(path), new) == ("1.7.0", ["0002_x"])
    assert list(tmp_path.rglob("0009_x.sql")) == []


def test_installed_package(tmp_path: Path) -> None:
    """
    The folder of the package, and the one it was installed into.
    """
    new = written(tmp_path / "new", _0002=BREAK)
    with zipfile.ZipFile(wheel(tmp_path / "a.whl", written(tmp_path / "old"))) as archive:
        archive.extractall(tmp_path / "site-packages")

    assert pending(str(tmp_path / "site-packages" / "store"), new) == ("1.7.0", ["0002_x"])
    assert pending(str(tmp_path / "site-packages"), new) == ("1.7.0", ["0002_x"])


def test_folders_of_a_team(tmp_path: Path) -> None:
    """
    At the paths they have in the working tree; a wheel leaves `src` out.
    """
    old, new = written(tmp_path / "old"), written(tmp_path / "new", _0002=BREAK)
    (old / "app").mkdir()
    shutil.move(old / "sql", old / "app" / "sql")
    layouts = [review.Layout("src/app/sql/queries", "migrations"), review.Layout("app/sql/queries", "migrations")]

    assert pending(str(old), new, layouts) == (None, ["0002_x"])


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("v9.9.9", "no commit of"),
        ("a b\n", "names no release"),
        ("--output=/tmp/x", "names no release"),
        ("-n", "names no release"),
        ("", "names no release"),
        ("HEAD:migrations", "no commit of"),
        ("main..v1.8.0", "no commit of"),
        ("absent.whl", "there is no wheel at absent.whl"),
        ("file.txt", "is no wheel"),
        ("empty.whl", "has no .sql files in sql/queries and migrations or store/sql/queries and store/migrations"),
        ("empty", "has no .sql files in sql/queries and migrations"),
    ],
)
def test_what_names_no_release(repository: Path, ref: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    (repository / "empty").mkdir()
    (repository / "file.txt").write_text("text", encoding="utf-8")
    with zipfile.ZipFile(repository / "empty.whl", "w") as archive:
        archive.writestr("store/__init__.py", "")
    with pytest.raises(MigrationFolderError, match=words):
        pending(ref, repository)


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(MigrationFolderError, match="v1 is no folder and no wheel, and for a commit .* is in no repository"):
        pending("v1", written(tmp_path / "new"))


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MigrationFolderError, match="git, which is not installed"):
        pending("v1", written(tmp_path / "new"))


def test_release_that_does_not_apply(judge: Judge, tmp_path: Path, scratch: review.Scratch) -> None:
    old, new = (
        written(tmp_path / "old", _0002="SELECT absent;"),
        written(tmp_path / "new", _0002="SELECT absent;", _0003="SELECT 1;"),
    )
    with (
        pytest.raises(MigrationFolderError, match=r"the migrations of .*old do not apply: 0002_x.sql:1: "),
        review.previous(str(old), new / "sql/queries", new / "migrations", LAYOUT) as running,
    ):
        gated(scratch, running, new)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ({"_0002": "SELECT 1;"}, {"_0002": "SELECT 2;"}, "edited"),
        ({"_0002": "SELECT 1;"}, {"_0003": "SELECT 1;"}, "renamed"),
        ({"_0002": "SELECT 1;"}, {"_0003": "SELECT 2;"}, "missing"),
        ({"_0002": "SELECT 1;"}, {}, "newer-database"),
    ],
)
def test_history_that_differs_is_refused(tmp_path: Path, old: dict[str, str], new: dict[str, str], rule: str) -> None:
    """
    With the rule and the code of `up`, which would refuse it too.
    """
    here = written(tmp_path / "new", **new)
    with pytest.raises(MigrationHistoryError) as caught:
        pending(str(written(tmp_path / "old", **old)), here)

    assert [(each.rule, each.exit_code) for each in caught.value.refusals] == [(rule, 7)]
    assert "0002_x" in str(caught.value)


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """
    Run the command on the server of the tests; return its exit code, stdout and stderr.
    """

    @contextmanager
    def made(_: int | None = None) -> Iterator[review.Scratch]:
        yield review.Scratch(server.dsn, f"store_test_gate_{os.getpid()}")

    monkeypatch.setattr(review, "scratch", made)

    def invoke(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["migrate", "gate", *arguments])
        return done.exit_code, done.stdout, done.stderr

    return invoke


TEAM = ("--sql", "sql/queries", "--migrations", "migrations")


def test_command_speaks_json(
    run: Callable[..., tuple[int, str, str]], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    code, out, err = run("--previous", "v1.8.0", *TEAM, "--json")
    found: dict[str, Any] = json.loads(out)

    assert (code, found["exit_code"], found["outcome"], found["command"]) == (9, 9, "refused", "gate")
    assert found["previous"] == {"ref": "v1.8.0", "version": "1.8.0"}
    assert (found["pending"], found["judged"], found["needs"]) == (["0002_x"], 9, [])
    assert found["findings"] == [
        {
            "file": "migrations/0002_x.sql",
            "line": 1,
            "column": 1,
            "rule": "query-refused",
            "severity": "error",
            "message": 'notes.list_links of v1.8.0: column "url" does not exist (42703)',
            "mend": "first release code that does without, and change the schema one release later, in a file headed "
            "`-- store: contract-after: 1.8.0`",
            "migration": "0002_x",
            "ddl": "ALTER TABLE store.links DROP COLUMN url",
            "queries": ["notes.list_links"],
            "place": "sql/queries/notes.sql:28",
            "sqlstate": "42703",
        }
    ]
    assert "trying 1 pending migration on a throw-away server" in err
    assert "0002_x (1 of 1): 9 queries of v1.8.0" in err


def test_command_speaks_to_people_and_to_github(
    run: Callable[..., tuple[int, str, str]], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    code, out, _ = run("--previous", "v1.8.0", *TEAM, "--no-json")

    assert code == 9
    assert out.splitlines()[:2] == [
        "migrations/0002_x.sql:1  ALTER TABLE store.links DROP COLUMN url",
        '  error query-refused  notes.list_links of v1.8.0: column "url" does not exist (42703) (sql/queries/notes.sql:28)',
    ]
    assert out.splitlines()[-1] == "9 queries of v1.8.0, 1 pending migration: 1 error, 0 warnings"

    code, out, _ = run("--previous", "v1.8.0", *TEAM, "--format", "github")

    assert code == 9
    assert out.startswith("::error file=migrations/0002_x.sql,line=1,col=1,title=query-refused::notes.list_links of v1.8.0: ")


def test_command_says_what_comes_first(
    run: Callable[..., tuple[int, str, str]], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    (repository / "migrations" / "0002_x.sql").write_text("ALTER TABLE store.notes ADD COLUMN kind text;", encoding="utf-8")
    more = "\n-- name: {}()\n-- Kinds.\nSELECT n.kind FROM store.notes AS n;\n"
    text = NOTES + more.format("take_notes") + more.format("type_notes")
    (repository / "sql" / "queries" / "notes.sql").write_text(text, encoding="utf-8")
    code, out, _ = run("--previous", "v1.8.0", *TEAM, "--no-json")

    assert code == 0
    assert out.splitlines() == [
        "migrate first, deploy then; before `store migrate down`, roll the code back:",
        "  without 0002_x: column n.kind does not exist (42703): notes.take_notes, notes.type_notes",
        "9 queries of v1.8.0, 1 pending migration: 0 errors, 0 warnings",
    ]


def test_nothing_pending_needs_no_server(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: int | None = None) -> None:
        raise AssertionError

    monkeypatch.chdir(repository)
    monkeypatch.setattr(review, "scratch", never)
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "two")
    done = CliRunner().invoke(app, ["migrate", "gate", "--previous", "main", *TEAM, "--no-json"])

    assert (done.exit_code, done.stdout) == (0, "nothing to do: main has every migration\n")

    done = CliRunner().invoke(app, ["migrate", "gate", "--previous", "main", *TEAM, "--json"])

    assert (json.loads(done.stdout)["exit_code"], json.loads(done.stdout)["pending"]) == (0, [])


def test_a_version_that_there_is_none_of_is_refused_where_nothing_is_pending(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "two")
    done = CliRunner().invoke(app, ["migrate", "gate", "--previous", "main", *TEAM, "--pg", "15", "--json"])

    assert (done.exit_code, json.loads(done.stdout)["exit_code"]) == (2, 2)
    assert json.loads(done.stdout)["error"]["message"] == "there is no embedded PostgreSQL 15, only 16 and 18"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--previous", "v9", *TEAM), 2),
        (("--previous=-v9", *TEAM), 2),
        (("--previous", "v1.8.0", *TEAM, "--pg", "15"), 2),
        (("--previous", "v1.8.0", "--sql", "sql/queries"), 2),
        (("--previous", "v1.8.0", "--sql", "..", "--migrations", "migrations"), 2),
        (("--previous", "v1.8.0", "--sql", "absent", "--migrations", "migrations"), 2),
        (("--previous", "v1.8.0", "--sql", "sql/queries", "--migrations", "absent"), 2),
        ((), 2),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    run: Callable[..., tuple[int, str, str]],
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
) -> None:
    monkeypatch.chdir(repository)
    found, out, err = run(*arguments)

    assert found == code
    assert "Traceback" not in out + err


def test_edited_history_is_seven(
    run: Callable[..., tuple[int, str, str]], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    (repository / "migrations" / "0001_x.sql").write_text(SCHEMA + "-- more", encoding="utf-8")
    code, out, _ = run("--previous", "v1.8.0", *TEAM, "--json")

    assert code == json.loads(out)["exit_code"] == 7
    assert "0001_x is another one in v1.8.0" in json.loads(out)["error"]["message"]
    assert [each["rule"] for each in json.loads(out)["refusals"]] == ["edited"]


def test_commands_of_the_page_run(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    docs/migrations.md, `Rolling deploys`: in a repository whose tag is one commit back, beside the wheel of the same version.
    """
    text = DOCS.read_text(encoding="utf-8")
    page = text[text.index("## Rolling deploys") : text.index("## Reviewing a migration")]
    commands = re.findall(r"^(?:- run: )?store migrate gate (.*)$", page, re.MULTILINE)
    root = written(tmp_path / "shop")
    shutil.move(root / "sql", root / "app")
    shutil.move(root / "migrations", root / "app" / "migrations")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    git(root, "tag", "v1.8.0")
    (root / "app" / "migrations" / "0002_x.sql").write_text("ALTER TABLE store.notes ADD COLUMN kind text;", encoding="utf-8")
    (root / "app" / "migrations" / "0002_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "two")
    wheel(root / "plainstore-1.8.0-py3-none-any.whl", MIGRATIONS.parent)
    monkeypatch.chdir(root)
    found = [run(*command.split()) for command in commands]

    assert [(code, err.count("(1 of 1)")) for code, _, err in found] == [(0, 1), (0, 0), (0, 1)]


def test_page_names_every_rule() -> None:
    text = DOCS.read_text(encoding="utf-8")
    table = text[text.index("| rule | found |") : text.index("An error is exit code 9")]
    named = {name for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([a-z-]+)`", cell)}
    rules = set(get_args(Rule)) | {"may-change", "does-not-apply", "refused-before", "query-file"}

    assert named == rules


def test_interrupted_gate_leaves_no_server(repository: Path, tmp_path: Path) -> None:
    """
    As a person at a terminal would end it, while a migration takes its time on the throw-away server.
    """
    (repository / "migrations" / "0003_x.sql").write_text("SELECT pg_sleep(600);", encoding="utf-8")
    (repository / "migrations" / "0003_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    (home := tmp_path / "tmp").mkdir()
    mark, version = {"STORE_TEST_MARK": str(home)}, os.environ.get("STORE_TEST_PG", "18")
    command = [sys.executable, "-m", "store", "migrate", "gate", "--previous", "v1.8.0", *TEAM, "--pg", version, "--json"]
    environment = os.environ | mark | {"TMPDIR": str(home)}
    with subprocess.Popen(
        command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as started:
        assert started.stderr is not None
        assert any(line.startswith("0003_x") for line in started.stderr)
        at_work = marked(mark)
        started.send_signal(signal.SIGINT)
        out, _ = started.communicate(timeout=60)

    assert (started.returncode, json.loads(out)["outcome"]) == (5, "interrupted")
    assert "postgres" in {process.info["name"] for process in at_work}
    assert psutil.wait_procs(at_work, timeout=30)[1] == []
    assert list(home.iterdir()) == []


def marked(mark: dict[str, str]) -> list[psutil.Process]:
    """
    Return the processes that were started with this in their environment, and by those.
    """
    found = []
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            if mark.items() <= process.environ().items():
                found.append(process)
    return found
