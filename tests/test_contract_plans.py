"""
The plan gate: what reaches every table by a condition on an index passes on an empty database, what reads one whole does not.
"""

from __future__ import annotations

import pytest

from store._queries import Statement, load
from store._sync.queries import queries
from store.contract import plans
from tests.databases import Connection

SCHEMA = """
    CREATE SCHEMA app;
    CREATE TABLE app.notes (
        id bigint PRIMARY KEY, owner_id bigint NOT NULL, note text, at timestamptz NOT NULL, done boolean NOT NULL, tags text[]
    );
    CREATE INDEX notes_owner_id_at_idx ON app.notes (owner_id, at);
    CREATE INDEX notes_open_idx ON app.notes (id) WHERE NOT done;
    CREATE INDEX notes_tags_idx ON app.notes USING gin (tags);
    CREATE INDEX notes_lower_idx ON app.notes (lower(note));
    CREATE TABLE app.owners (id bigint PRIMARY KEY, name text);
"""


@pytest.fixture
def app(connect_admin: Connection) -> Connection:
    connect_admin.execute(SCHEMA)
    return connect_admin


def statement(tmp_path, sql: str, marks: str = "") -> Statement:
    names = sorted({name for name in ("a", "b") if f":{name}" in sql.replace("::", "  ")})
    (tmp_path / "notes.sql").write_text(f"-- name: list_notes({', '.join(names)})\n{marks}{sql};\n", encoding="utf-8")
    return load(tmp_path, colour="sync").statements[0]


def judged(app: Connection, one: Statement) -> tuple[tuple[str, ...], list[str]]:
    found = plans.accesses(plans.explain(app, one), plans.indexes(app))
    return plans.verdicts(one, found), [each.rule for each in plans.grade(one, {one: found})]


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [
        ("SELECT n.note FROM app.notes AS n WHERE n.id = :a::bigint", "index notes_pkey"),
        ("SELECT n.note FROM app.notes AS n WHERE n.id = ANY(:a::bigint[])", "index notes_pkey"),
        ("SELECT n.note FROM app.notes AS n WHERE n.owner_id = :a::bigint ORDER BY n.at", "index notes_owner_id_at_idx"),
        ("SELECT n.note FROM app.notes AS n WHERE n.tags @> :a::text[]", "index notes_tags_idx"),
        ("SELECT n.note FROM app.notes AS n WHERE lower(n.note) = :a::text", "index notes_lower_idx"),
        ("SELECT n.id FROM app.notes AS n ORDER BY n.id LIMIT 10", "ordered notes_pkey"),
        ("SELECT n.id FROM app.notes AS n WHERE NOT n.done", "partial notes_open_idx"),
        (
            "SELECT n.id FROM app.notes AS n WHERE n.id = :a::bigint AND (:b::text IS NULL OR n.note = :b::text)",
            "index notes_pkey",
        ),
        ("SELECT 1 AS one", None),
    ],
)
def test_what_goes_by_an_index_passes(app, tmp_path, sql, verdict):
    assert judged(app, statement(tmp_path, sql)) == ((verdict,) if verdict else (), [])


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT n.id FROM app.notes AS n",
        "SELECT n.id FROM app.notes AS n WHERE n.note = :a::text",
        # Each of these shows no Seq Scan when sequential scans are off.
        "SELECT n.id FROM app.notes AS n WHERE n.note = :a::text ORDER BY n.id",
        "SELECT n.id FROM app.notes AS n WHERE n.note = :a::text ORDER BY n.id LIMIT 1",
        "SELECT n.id FROM app.notes AS n WHERE n.id % 2 = :a::bigint",
        "SELECT n.id FROM app.notes AS n WHERE n.at > :a::timestamptz",
        "SELECT n.id FROM app.notes AS n WHERE n.id IS NOT NULL",
        "SELECT n.id FROM app.notes AS n WHERE lower(n.note) IS NOT NULL",
        "SELECT n.id FROM app.notes AS n WHERE :a::bigint IS NULL OR n.id = :a::bigint",
        "SELECT n.id FROM app.notes AS n ORDER BY n.note LIMIT 10",
        "SELECT o.id FROM app.owners AS o INNER JOIN app.notes AS n ON n.owner_id = o.id WHERE o.name = :a::text",
    ],
)
def test_what_reads_a_table_whole_is_found(app, tmp_path, sql):
    verdicts, rules = judged(app, statement(tmp_path, sql))

    assert rules == ["plan-scan"]
    assert any(verdict.startswith("scan app.") for verdict in verdicts)


def test_a_scan_is_allowed_with_a_reason_and_only_where_it_happens(app, tmp_path):
    whole = "SELECT n.id FROM app.notes AS n"
    allowed = "-- plan: scan app.notes, few of them\n"

    assert judged(app, statement(tmp_path, whole, allowed)) == (("scan app.notes, few of them",), [])
    assert judged(app, statement(tmp_path, f"{whole} WHERE n.id = :a::bigint", allowed))[1] == ["plan-stale"]
    assert judged(app, statement(tmp_path, whole, "-- plan: whatever\n"))[1] == ["plan-scan", "plan-mark"]


def test_the_contract_tells_a_leave_that_nothing_needs(app, tmp_path):
    """
    As the gate does, but for a partial index that is read whole, whose table the contract does not name.
    """
    leave = "-- plan: scan app.notes, few of them\n"

    for condition, expected in (("", []), (" WHERE n.id = :a::bigint", ["plan-stale"]), (" WHERE NOT n.done", [])):
        one = statement(tmp_path, f"SELECT n.id FROM app.notes AS n{condition}", leave)
        lines, rules = judged(app, one)
        assert rules == expected == [each.rule for each in plans.left(one, lines)], condition


def test_an_index_that_is_dropped_turns_the_gate_red(app, tmp_path):
    one = statement(tmp_path, "SELECT n.note FROM app.notes AS n WHERE n.owner_id = :a::bigint")
    before = judged(app, one)[1]
    app.execute("DROP INDEX app.notes_owner_id_at_idx")

    assert ([], ["plan-scan"]) == (before, judged(app, one)[1])


def test_explaining_leaves_no_setting_behind(app, tmp_path):
    plans.explain(app, statement(tmp_path, "SELECT 1 AS one"))

    assert ("on",) == app.execute("SHOW enable_seqscan").fetchone() == app.execute("SHOW enable_hashjoin").fetchone()


def test_the_store_itself_passes(connect_admin):
    found = {one.title: judged(connect_admin, one)[1] for one in queries.texts if one.kind == "query"}

    assert {} == {name: rules for name, rules in found.items() if rules}
    assert len(found) > 40
