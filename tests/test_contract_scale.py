"""
Statistics without values, laid over empty tables: what the planner then sees, and what a report says.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from store.contract import scale, stats
from store.contract.database import WRITTEN_FROM
from store.contract.stats import ColumnStats, RelationStats, Stats
from store.errors import CannotAnalyse, InvalidInput
from tests.databases import Connection
from tests.test_cli import store
from tests.test_contract import described, project, team

__all__ = ["described", "team"]  # fixtures

LARGE = Stats(
    server=180000,
    relations={
        "app.notes": RelationStats(
            rows=5_000_000, pages=90_000, columns={"owner_id": ColumnStats(null_frac=0, avg_width=8, n_distinct=-0.5)}
        ),
        "app.owners": RelationStats(rows=1000, pages=10),
        "app.gone": RelationStats(rows=1, pages=1),
    },
)
SCHEMA = """
    SELECT conrelid::regclass::text, contypid::regtype::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'app'::regnamespace ORDER BY 3, 1
"""


def skips(connection: Connection) -> bool:
    """
    Whether this server cannot be told: then it says so.
    """
    if connection.info.server_version >= WRITTEN_FROM:
        return False
    with pytest.raises(CannotAnalyse, match="from PostgreSQL 18 on, and this is 16"):
        stats.overlay(connection, LARGE)
    return True


def test_the_planner_sees_the_rows_and_the_schema_is_as_it_was(described):
    if skips(described):
        return
    before = described.execute(SCHEMA).fetchall()
    unknown = stats.overlay(described, LARGE)
    (whole,) = described.execute("EXPLAIN (FORMAT JSON) SELECT * FROM app.notes").fetchone()
    (one,) = described.execute("EXPLAIN (FORMAT JSON, GENERIC_PLAN) SELECT * FROM app.notes WHERE owner_id = $1").fetchone()

    assert unknown == ["app.gone"]
    assert whole[0]["Plan"]["Plan Rows"] == 5_000_000
    assert (one[0]["Plan"]["Plan Rows"], "notes_owner_id_idx" in json.dumps(one)) == (2, True)
    assert described.execute("SELECT count(*) FROM app.notes").fetchone() == (0,)
    assert before == described.execute(SCHEMA).fetchall()
    assert len(before) >= 3


def test_a_plan_that_moves_is_reported_and_the_dearest_comes_first(team, described):
    if skips(described):
        return
    (team / "queries" / "more.sql").write_text(
        "-- name: count_all()$\n-- plan: scan app.notes, all of them\nSELECT count(*) FROM app.notes AS n;\n"
        "-- name: list_owned(owner_id)\n"
        "SELECT n.id FROM app.owners AS o INNER JOIN app.notes AS n ON n.owner_id = o.id WHERE o.id = ANY(:owner_id::bigint[]);\n",
        encoding="utf-8",
    )
    report = scale.scale(described, project(team), LARGE)
    costs = [each.cost for each in report.queries]
    first = report.queries[0]

    assert (report.unknown, report.unseen, report.refused) == (("app.gone",), (), ())
    assert costs == sorted(costs, reverse=True)
    assert ("more.count_all", True) == (first.query, first.cost > 50 * first.cost_before)
    assert {each.query for each in report.queries} >= {"notes.get_note", "notes.list_notes", "more.list_owned"}


def test_a_query_that_cannot_be_planned_is_a_finding(team, described):
    """
    As where `--migrations` was forgotten; the others are planned, and what the file does not know is said.
    """
    if skips(described):
        return
    (team / "queries" / "more.sql").write_text("-- name: get_a()\nSELECT n.a FROM app.gone AS n;\n", encoding="utf-8")
    report = scale.scale(described, project(team), Stats(server=180000, relations={}))

    assert [("query-refused", "more.sql")] == [(each.rule, each.path.name) for each in report.refused]
    assert report.unseen == ("app.notes", "app.owners")
    assert "notes.get_note" in {each.query for each in report.queries}


def test_statistics_are_dumped_without_a_value(described):
    with pytest.raises(InvalidInput, match=r"no table of app was ever analysed: have their owner run ANALYZE, as in `psql"):
        stats.dump(described, ["app"])
    with pytest.raises(InvalidInput, match="there is no table in nope: correct the name, or run `store migrate up` first"):
        stats.dump(described, ["nope"])
    described.execute("INSERT INTO app.owners SELECT n, 'secret' || n % 3 FROM generate_series(1, 500) AS n")
    described.execute("ANALYZE app.owners")
    assert stats.unseen(described, ["app"]) == ["app.notes"]
    found = stats.dump(described, ["app"])
    described.execute("ANALYZE app.notes")

    assert "app.notes" not in found.relations
    assert stats.dump(described, ["app"]).relations["app.notes"].rows == 0
    assert found.relations["app.owners"].rows == 500
    assert found.relations["app.owners"].columns["email"].n_distinct == 3
    assert "secret" not in found.model_dump_json()
    assert Stats.model_validate_json(found.model_dump_json()) == found


@pytest.mark.serverless
@pytest.mark.parametrize("content", ["", "{}", '{"server": 1, "relations": {"a": {"rows": "many"}}}', None])
def test_a_file_of_another_hand_is_refused(tmp_path: Path, content: str | None):
    path = tmp_path / "s.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"s\.json: no statistics can be read .*store stats dump"):
        stats.load(path)


@pytest.mark.serverless
def test_a_fault_of_a_file_is_named_and_its_value_is_not(tmp_path: Path):
    (tmp_path / "s.json").write_text('{"server": 1, "relations": {"a": {"rows": "many"}}}', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"relations\.a\.rows: .* number.*; relations\.a\.pages: Field required") as caught:
        stats.load(tmp_path / "s.json")

    assert "many" not in str(caught.value)


def test_from_one_server_to_the_report(admin_dsn, connect_admin, tmp_path):
    """
    What one command writes, the other reads; no older scratch server is offered, which could not.
    """
    connect_admin.execute("ANALYZE store.order_transitions")
    wrote = store("stats", "dump", "s.json", "--dsn", admin_dsn, cwd=tmp_path)
    shown = store("plans", "--stats", "s.json", "--json", cwd=tmp_path)
    people = store("plans", "--stats", "s.json", "--no-json", cwd=tmp_path)
    nowhere = store("stats", "dump", "/nope/f.json", "--dsn", admin_dsn, cwd=tmp_path)
    old = store("plans", "--stats", "s.json", "--pg", "16", "--json", cwd=tmp_path)

    assert wrote.returncode == 0, wrote.stderr
    assert "never analysed, and left out: store.addresses, " in wrote.stderr
    assert (2, "store: /nope/f.json cannot be written: No such file or directory\n") == (nowhere.returncode, nowhere.stderr)
    assert people.stdout.split()[:3] == ["query", "empty", "tables"]
    assert "not in the statistics, planned as empty: addresses, cart_items, " in people.stderr
    assert "cart_items" in json.loads(shown.stdout)["unseen"]
    assert {"store.order_transitions"} <= json.loads((tmp_path / "s.json").read_text())["relations"].keys()
    assert shown.returncode == 0, shown.stderr
    assert "catalog.list_products[name_up]" in {each["query"] for each in json.loads(shown.stdout)["queries"]}
    assert (old.returncode, "No such option: --pg" in old.stderr) == (2, True)
