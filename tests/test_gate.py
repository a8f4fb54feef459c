"""
The gate on a small project, one cause a test: what breaks, what is felt, what the new release needs, what cannot be judged.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from store import gate
from store.migrate import review
from tests.gate_project import LAYOUT, NOTES, SCHEMA, Judge, gated, judge, scratch, told, written

__all__ = ["judge", "scratch"]  # fixtures

FUNCTION = "CREATE FUNCTION store.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';"
VIEW = "CREATE VIEW store.tagged AS SELECT n.id, n.tag FROM store.notes AS n"


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
    with gate.previous(str(old), new / "sql/queries", new / "migrations", LAYOUT) as running:
        made = gated(scratch, running, new)

    assert made.pending == ["0002_x", "repeatable/views"]
    assert told(made) == [("repeatable/views", "notes.list_tagged", 1, "42P01")]
