"""
`store check --db --dsn`: plans are graded on empty tables alone, and what was done by hand is told apart.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from store.contract import check, plans
from store.contract.project import own
from tests.databases import Connection, TestServer
from tests.test_cli import store
from tests.test_contract import described, locked, rules, team

__all__ = ["described", "team"]  # fixtures


def test_a_database_with_rows_has_its_plans_left_alone(team, described):
    """
    What is not a matter of rows is found all the same.
    """
    made = locked(team, described)
    described.execute("INSERT INTO app.owners SELECT n, 'e' FROM generate_series(1, 20) AS n")
    few = check.online(described, made, is_scratch=False)
    described.execute("ANALYZE app.owners")
    described.execute("DROP INDEX app.notes_owner_id_idx")
    many = check.online(described, made, is_scratch=False)

    assert few == []
    assert {"plan-unchecked": "warning", "contract-differs": "error"} == {each.rule: each.severity for each in many}
    assert "plans were not graded: app.owners has rows" in next(each.text for each in many if each.rule == "plan-unchecked")
    assert "its contract goes by notes_owner_id_idx, and there is no such index" in str(many)


def test_a_table_that_grew_without_statistics_counts_too(described):
    described.execute("ALTER TABLE app.owners SET (autovacuum_enabled = off)")
    empty = plans.loaded(described, ["app.owners", "app.notes"])
    described.execute("INSERT INTO app.owners SELECT n, repeat('e', 900) FROM generate_series(1, 200) AS n")

    assert ([], ["app.owners"]) == (empty, plans.loaded(described, ["app.owners", "app.notes"]))


def test_an_index_that_a_contract_names_and_that_is_gone_is_found(team, described):
    """
    Also where another one reaches the table, so that no plan is worse than an index scan.
    """
    described.execute("CREATE INDEX notes_by_owner_idx ON app.notes (owner_id, id)")
    described.execute("CREATE INDEX notes_title_idx ON app.notes (title)")
    (team / "queries" / "more.sql").write_text(
        "-- name: by_title(t)\nSELECT n.id FROM app.notes AS n WHERE n.title = :t::text;\n", encoding="utf-8"
    )
    made = locked(team, described)
    described.execute("DROP INDEX app.notes_by_owner_idx, app.notes_title_idx")
    found = check.online(described, made, is_scratch=False)
    (scan,) = [each for each in found if each.rule == "plan-scan"]

    assert scan.message.endswith("no condition reaches it by an index; its contract goes by notes_title_idx")
    assert {"contract-differs", "plan-scan"} == set(rules(found))
    assert any("notes.list_notes" in each.message and "notes_by_owner_idx" in each.message for each in found)
    assert any("more.by_title" in each.message and each.rule == "contract-differs" for each in found)
    assert all("`store migrate verify`" in each.mend for each in found if each.rule == "contract-differs")


def test_on_the_command_line_it_is_one_line_and_no_error(
    server: TestServer, database: str, connect_admin: Connection, tmp_path: Path
):
    connect_admin.execute("ANALYZE store.order_transitions")
    as_owner = ("check", "--db", "--dsn", server.dsn(database, "store_migrator"))
    connect_admin.execute(f'GRANT TEMPORARY ON DATABASE "{database}" TO PUBLIC'.encode())
    done = store(*as_owner, "--no-json", cwd=tmp_path)
    told = json.loads(store(*as_owner, "--json", cwd=tmp_path).stdout)

    assert (0, 1) == (done.returncode, len(done.stdout.splitlines())), done.stdout
    assert "plan-unchecked: plans were not graded: store.order_transitions has rows, which turn them" in done.stdout
    assert done.stderr == "store check: 0 errors, 1 warning, plans not run\n"
    assert (["plans"], ["plan-unchecked"]) == (told["not_run"], [each["rule"] for each in told["findings"]])


def test_a_team_asks_whether_its_migration_breaks_the_store(tmp_path: Path):
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_more.sql").write_text("ALTER TABLE store.users DROP COLUMN is_active;", encoding="utf-8")
    (folder / "0001_more.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    done = store("check", "--db", "--migrations", "migrations", "--json", cwd=tmp_path)
    refused = store("check", "--migrations", "migrations", cwd=tmp_path)

    assert (8, 2) == (done.returncode, refused.returncode)
    assert "users.get_user" in done.stdout
    assert "contract-migrations" not in done.stdout
    assert "store lock" not in done.stdout
    assert "mend the migration of yours" in done.stdout


@pytest.mark.one_version
def test_a_cascade_that_a_team_adds_is_a_warning_that_names_it(tmp_path: Path):
    folder = tmp_path / "migrations"
    folder.mkdir()
    made = """
        CREATE SCHEMA app;
        CREATE TABLE app.notes (id bigint PRIMARY KEY, user_id bigint REFERENCES store.users (id) ON DELETE CASCADE);
    """
    (folder / "0001_more.sql").write_text(made, encoding="utf-8")
    (folder / "0001_more.rollback.sql").write_text("DROP SCHEMA app CASCADE;", encoding="utf-8")
    done = store("check", "--db", "--migrations", "migrations", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)["findings"]

    assert (0, {("contract-reaches", "warning")}) == (done.returncode, {(each["rule"], each["severity"]) for each in found})
    assert [each["message"] for each in found] == [
        "demo.remove_demo_users now also deletes app.notes (notes_user_id_fkey)",
        "users.delete_user now also deletes app.notes (notes_user_id_fkey)",
    ]


def test_a_cascade_that_is_gone_is_an_error(described):
    """
    Also where it is the team's own migration that takes it away.
    """
    described.execute("ALTER TABLE store.cart_items DROP CONSTRAINT cart_items_product_id_fkey")
    found = check.online(described, dataclasses.replace(own(), is_extended=True, grants=None), is_scratch=True)

    assert any("via cart_items_product_id_fkey: deletes" in each.message for each in found if each.severity == "error")
