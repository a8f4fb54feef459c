"""
What findings say: the fault itself, once, and a way out that does not lead astray.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from store.contract import check, derive, text
from store.contract.compare import compare
from store.contract.facts import Column
from store.contract.findings import Finding
from store.contract.project import Project
from store.contract.schema import Schema
from tests.databases import Connection
from tests.test_cli import store
from tests.test_contract import described, locked, project, team

__all__ = ["described", "team"]  # fixtures


def found(team: Path, connection: Connection, sql: str) -> list[Finding]:
    """
    What is said of a folder with these queries, but for contracts that are missing.
    """
    (team / "queries" / "notes.sql").write_text(sql, encoding="utf-8")
    return [each for each in check.online(connection, project(team), is_scratch=True) if not each.rule.startswith("contract")]


def test_a_column_without_a_name_is_asked_for_one(team, described):
    sql = '-- name: a()\nSELECT 4;\n-- name: b()$\nSELECT 4;\n-- name: c()\nSELECT 4 AS "four?";\n'
    (one,) = found(team, described, sql)
    derived = derive.derive(described, project(team))
    a, _, c = (each.facts.columns[0] for each in derived.stanzas["notes"] if each.facts is not None)

    assert ("query-unnamed", 1, True) == (one.rule, one.line, "notes.a: a column has no name" in one.text)
    assert [("?column?", False, None), ("four", True, "declared")] == [
        (each.name, each.is_nullable, each.note) for each in (a, c)
    ]


def test_a_refused_query_keeps_the_marks_of_its_plan(team, described):
    """
    A mark that is needed once the query is mended is not called stale, whichever of its texts is refused.
    """
    whole = "-- name: a()\n-- plan: scan app.notes, few of them\nSELECT n.{} FROM app.notes AS n;\n"
    sorts = (
        "-- name: a()\n-- plan: scan app.notes, few of them\n"
        "SELECT n.id FROM app.notes AS n ORDER BY /*: one */ n.id LIMIT 1 /*| two n.gone */;\n"
    )

    assert [] == found(team, described, whole.format("title"))
    assert ["query-refused"] == [each.rule for each in found(team, described, whole.format("gone"))]
    assert ["query-refused"] == [each.rule for each in found(team, described, sorts)]


def test_a_fault_inside_a_function_is_said_to_be_there_and_once(team, described):
    described.execute(
        "CREATE FUNCTION app.broken(n bigint) RETURNS TABLE (a bigint) LANGUAGE sql STABLE"
        " AS 'SELECT r.id FROM app.notes AS r WHERE r.id = n'"
    )
    described.execute("ALTER TABLE app.notes RENAME COLUMN id TO number")
    sql = (
        "-- name: a(n)\nSELECT b.a FROM app.broken(:n::bigint) AS b\nORDER BY /*: one */ b.a /*| two b.a DESC */ LIMIT 5;\n"
        "-- name: b(n)\nSELECT b.a FROM app.broken(:n::bigint) AS b;\n"
    )
    one, two = found(team, described, sql)

    assert one.text == (
        'notes.a[one] (and 1 more of its texts): column r.id does not exist, in SQL function "broken" during inlining (42703): '
        "correct what is named there"
    )
    assert two.message.startswith("notes.b: column r.id does not exist, in SQL function")


def test_rows_that_are_declared_stand_in_the_contract(team, described):
    sql = (
        "-- name: a(k)^\n-- rows: at most one (few of a kind)\nSELECT n.id FROM app.notes AS n WHERE n.owner_id = :k::bigint;\n"
    )
    assert found(team, described, sql) == []
    path = locked(team, described).contract_of("notes")

    assert "\n  rows   at most one (declared: few of a kind)\n" in path.read_text(encoding="utf-8")
    assert [] == check.online(described, project(team), is_scratch=True)
    assert text.parse(path.read_text(encoding="utf-8"), path)[0].facts.at_most_one == "declared: few of a kind"


@pytest.mark.serverless
def test_money_that_can_be_null_is_told_one_type():
    model = type("Bad", (BaseModel,), {"__annotations__": {"total": float}})
    mends = [each.mend for each in compare([Column("total", "numeric(12,2)", is_nullable=True)], model, Schema(""))]

    assert mends == ["make it Decimal | None, or coalesce in SQL", "money is exact: make it Decimal | None"]


@pytest.fixture
def rows(team: Path) -> Path:
    """
    A folder whose one row is a dataclass of the standard library.
    """
    (team / "row_models.py").write_text("from dataclasses import dataclass\n\n@dataclass\nclass Outer:\n    a: int\n")
    (team / "queries" / "notes.sql").write_text("-- name: a()\n-- row: Outer\nSELECT 4 AS a;\n", encoding="utf-8")
    return team


def test_a_dataclass_is_no_dto(rows):
    wrote = store("lock", "--sql", "queries", "--models", "row_models", "--stubs", "--json", cwd=rows)
    checked = store("check", "--sql", "queries", "--models", "row_models", "--json", cwd=rows)
    bare = store("check", "--sql", "queries", "--json", cwd=rows)
    (warning,) = json.loads(wrote.stdout)["findings"]
    (error,) = json.loads(checked.stdout)["findings"]
    (unchecked,) = json.loads(bare.stdout)["findings"]

    assert (0, 9, 0) == (wrote.returncode, checked.returncode, bare.returncode)
    assert "notes.a returns Any: Outer is a dataclass: a DTO is a pydantic model" in warning["message"]
    assert ("dto-missing", True) == (error["rule"], "Outer is a dataclass: a DTO is a pydantic model" in error["message"])
    assert ("dto-unchecked", "warning", "1 row not checked: no --models") == tuple(
        unchecked[key] for key in ("rule", "severity", "message")
    )


def test_migrations_that_were_forgotten_are_asked_for(team, described):
    locked(team, described)
    (moved,) = check.offline(Project(**{**vars(project(team)), "migrations": project(team).migrations[:1]}))

    assert ("contract-migrations", True) == (moved.rule, "name your own migrations with --migrations" in moved.mend)
