"""
A small project in two releases, for the tests of the gate: a folder, a repository, a wheel; and what is judged of them.
"""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from store import gate
from store.migrate import review
from tests.databases import TestServer

LAYOUT = (gate.Layout("sql/queries", "migrations"),)

BREAK = "ALTER TABLE store.links DROP COLUMN url;"
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


def gated(scratch: review.Scratch, running: gate.Previous, new: Path) -> gate.Gate:
    folder = new / "migrations"
    return gate.gate(scratch, running, folder, gate.pending(running, folder), new / "sql/queries")


Judge = Callable[..., gate.Gate]


@pytest.fixture
def judge(scratch: review.Scratch, tmp_path: Path) -> Judge:
    """
    Put pending migrations on the small project, and return what the gate says of its release.
    """

    def judged(
        queries: str = NOTES, *, version: str | None = None, before: str = NOTES, schema: str = SCHEMA, **migrations: str
    ) -> gate.Gate:
        written(tmp_path / "old", before, version=version, _0001=schema)
        new = written(tmp_path / "new", queries, _0001=schema, **migrations)
        with gate.previous(str(tmp_path / "old"), new / "sql/queries", new / "migrations", LAYOUT) as running:
            return gated(scratch, running, new)

    return judged


def told(made: gate.Gate, rule: str | None = None) -> list[tuple[str | None, str, int, str | None]]:
    """
    Return the migration, the queries, the line and the SQLSTATE of each verdict.
    """
    return [
        (each.migration, ", ".join(each.queries), each.line, each.sqlstate)
        for each in made.verdicts
        if rule is None or each.rule == rule
    ]


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
