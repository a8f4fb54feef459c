"""
What only takes long is judged by the sizes of the real tables, in both directions; what breaks or loses something is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from store.cli import app
from store.migrate import review
from store.migrate._weigh import DURATION
from store.migrate.review import LARGE, SMALL, Breach, Size
from tests.databases import TestServer

BASE = """
CREATE SCHEMA shop;
CREATE TABLE shop.users (id bigint PRIMARY KEY, email text NOT NULL, age bigint);
CREATE TABLE shop.orders (id bigint PRIMARY KEY, user_id bigint NOT NULL);
"""
SCAN = "ALTER TABLE shop.users ADD CONSTRAINT age_there CHECK (age >= 0 OR age IS NULL);"
REWRITE = "ALTER TABLE shop.users ALTER COLUMN age TYPE integer;"
TWO = "ALTER TABLE shop.orders ADD CONSTRAINT o FOREIGN KEY (user_id) REFERENCES shop.users (id);"


@pytest.fixture(scope="module")
def scratch(server: TestServer) -> review.Scratch:
    return review.Scratch(server.dsn)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "migrations"
    place.mkdir()
    return write(place, BASE)


def write(place: Path, text: str) -> Path:
    number = len(list(place.glob("*.rollback.sql"))) + 1
    (place / f"{number:04}_x.sql").write_text(text, encoding="utf-8")
    (place / f"{number:04}_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    return place


def sizes(**rows: float) -> dict[str, Size]:
    return {f"shop.{name}": Size(count, int(count // 40) + 1) for name, count in rows.items()}


def severities(found: list[Breach]) -> dict[str, str]:
    return {each.rule: each.severity for each in found if each.file != "0001_x.sql"}


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        (SCAN, {}, {"scans-under-lock": "error", "constraint-missing-not-valid": "error"}),
        (
            SCAN,
            {"users": SMALL - 1},
            {"scans-under-lock": "warning", "constraint-missing-not-valid": "warning"},
        ),
        (SCAN, {"users": SMALL}, {"scans-under-lock": "error", "constraint-missing-not-valid": "error"}),
        (SCAN, {"orders": 5}, {"scans-under-lock": "error", "constraint-missing-not-valid": "error"}),
        (REWRITE, {"users": 12}, {"rewrites-table": "warning", "changing-column-type": "warning"}),
        (REWRITE, {"users": LARGE}, {"rewrites-table": "error", "changing-column-type": "error"}),
    ],
)
def test_an_error_on_small_tables_is_a_warning(
    scratch: review.Scratch, folder: Path, text: str, known: dict[str, float], expected: dict[str, str]
) -> None:
    found = review.review(scratch, write(folder, text), sizes(**known)).findings

    assert expected == severities(found)


@pytest.mark.parametrize(("rows", "severity"), [(LARGE - 1, "warning"), (LARGE, "error")])
def test_a_warning_on_large_tables_is_an_error(scratch: review.Scratch, folder: Path, rows: int, severity: str) -> None:
    """
    Where the table is read meanwhile: writers wait for as long as it is large.
    """
    found = review.review(scratch, write(folder, TWO), sizes(users=rows, orders=rows)).findings
    told = severities(found)

    assert (severity, "error") == (told["blocks-writes"], told["scans-under-lock"])
    assert "warning" == told["locks-two-tables"]  # it deadlocks at any size


def test_an_instant_under_a_lock_is_as_grave_on_large_tables(scratch: review.Scratch, folder: Path) -> None:
    """
    NOT VALID reads nothing: it waits for its lock, and that is all.
    """
    found = review.review(scratch, write(folder, TWO.replace(";", " NOT VALID;")), sizes(users=9e9, orders=9e9)).findings

    assert "warning" == severities(found)["blocks-writes"]


def test_every_table_has_to_be_small(scratch: review.Scratch, folder: Path) -> None:
    found = review.review(scratch, write(folder, TWO), sizes(users=5, orders=50_000)).findings

    assert "error" == severities(found)["scans-under-lock"]


def test_what_breaks_or_loses_is_grave_at_any_size(scratch: review.Scratch, folder: Path) -> None:
    write(folder, "ALTER TABLE shop.users DROP COLUMN age;\nTRUNCATE shop.orders;\nALTER TABLE shop.users ADD COLUMN k json;")
    plain = severities(review.review(scratch, folder).findings)
    small = review.review(scratch, folder, sizes(users=1, orders=1)).findings

    assert {"ban-drop-column": "error", "empties-table": "error"}.items() <= plain.items()
    assert {rule: each for rule, each in plain.items() if rule not in DURATION} == {
        rule: each for rule, each in severities(small).items() if rule not in DURATION
    }


def test_the_finding_names_rows_and_pages(scratch: review.Scratch, folder: Path) -> None:
    known = {"shop.users": Size(5_000_000, 157_286)}
    (found,) = [each for each in review.review(scratch, write(folder, SCAN), known).findings if each.rule == "scans-under-lock"]

    assert found.why.endswith("(shop.users: 5,000,000 rows, 1.2 GB)")
    assert ["3 rows, 8.0 kB", "3,000 rows, 800 kB"] == [str(Size(3, 1)), str(Size(3000, 100))]


def test_the_command(
    server: TestServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_dsn: str, empty_database: str
) -> None:
    """
    With what `store stats dump` wrote; a file that is applied already is not judged by what its table has become.
    """

    @contextmanager
    def made(_: int | None = None) -> Iterator[review.Scratch]:
        yield review.Scratch(server.dsn)

    def run(*arguments: str) -> tuple[int, Any]:
        done = CliRunner().invoke(app, ["migrate", "lint", str(folder), *arguments, "--json"])
        return done.exit_code, json.loads(done.stdout)

    monkeypatch.setattr(review, "scratch", made)
    with server.connect(empty_database) as connection:
        connection.execute(BASE.encode())
        connection.execute("INSERT INTO shop.users SELECT n, 'x' FROM generate_series(1, 300) AS n")
        connection.execute("ANALYZE shop.users")
    file = tmp_path / "prod.json"
    dumped = CliRunner().invoke(app, ["stats", "dump", str(file), "--schema", "shop"], env={"DATABASE_URL": empty_dsn})

    assert dumped.exit_code == 0

    write(folder, SCAN)
    run("--write")

    assert (9, 0) == (run()[0], run("--stats", str(file), "--write")[0])
    assert "(shop.users: 300 rows," in run("--stats", str(file))[1]["findings"][0]["why"]
    assert 9 == run("--stats", str(file), "--after", "0002_x")[0]

    code, said = run("--stats", str(tmp_path / "nothing"))

    assert (2, "MigrationFolderError") == (code, said["error"]["type"])
    assert 2 == run("--stats", str(file), "--after", "0009_x")[0]


@pytest.mark.serverless
def test_the_page_says_the_rule() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "migration-hazards.md").read_text(encoding="utf-8")

    assert f"{SMALL:,}" in page
    assert f"{LARGE:,}" in page
    assert all(f"`{rule}`" in page.partition("## By size")[2].partition("\n## ")[0] for rule in DURATION)
