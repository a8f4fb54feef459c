"""
`store lock` and `store check` against a real server: what is written holds, and whatever the schema does to a query is found.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel

from store import Queries, embedded
from store._queries import load
from store.contract import check, database, derive, lock, stubs, text
from store.contract.database import WRITTEN_FROM
from store.contract.project import Project, foreign, own
from store.errors import CannotAnalyse
from tests.databases import Connection, TestServer
from tests.test_cli import store

ROOT = Path(__file__).resolve().parents[1]
VERSION = os.environ.get("STORE_TEST_PG", "18")
SCHEMA = """
    CREATE SCHEMA app;
    CREATE TABLE app.owners (id bigint PRIMARY KEY, email text NOT NULL);
    CREATE TABLE app.notes (
        id bigint PRIMARY KEY,
        owner_id bigint REFERENCES app.owners (id),
        title text NOT NULL,
        price numeric(12, 2) NOT NULL,
        kind text NOT NULL CONSTRAINT notes_kind_known CHECK (kind IN ('plain', 'rich'))
    );
    CREATE INDEX notes_owner_id_idx ON app.notes (owner_id);
"""
SQL = """\
-- name: add_note(id, owner_id, title)!
-- null: owner_id
INSERT INTO app.notes (id, owner_id, title, price, kind)
VALUES (:id::bigint, :owner_id::bigint, :title::text, 0, 'plain');

-- name: get_note(id)^
-- row: Note
SELECT n.id, n.title, n.price, n.kind, email
FROM app.notes AS n
LEFT JOIN app.owners AS o ON o.id = n.owner_id
WHERE n.id = :id::bigint;

-- name: list_notes(owner_id)
SELECT n.id, n.title FROM app.notes AS n WHERE n.owner_id = :owner_id::bigint ORDER BY n.id;
"""
MODELS = """\
from decimal import Decimal
from typing import Literal
from pydantic import BaseModel

class Note(BaseModel):
    id: int
    title: str
    price: Decimal
    kind: Literal["plain", "rich"]
    email: str | None
"""


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """
    A team's folder: its SQL, its migration, its DTOs.
    """
    for folder in ("queries", "migrations"):
        (tmp_path / folder).mkdir()
    (tmp_path / "queries" / "notes.sql").write_text(SQL, encoding="utf-8")
    (tmp_path / "migrations" / "0001_app.sql").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "migrations" / "0001_app.rollback.sql").write_text("DROP SCHEMA app CASCADE;", encoding="utf-8")
    (tmp_path / "notes_models.py").write_text(MODELS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def described(server: TestServer, database: str) -> Iterator[Connection]:
    """
    A connection as `store check` has it, to a database with the team's schema.
    """
    with server.connect(database) as connection:
        connection.execute(SCHEMA)
    where = dict(conninfo_to_dict(server.dsn(database)))
    with _database(where) as connection:
        yield connection


_database = database.connected


def project(team: Path) -> Project:
    return foreign(team / "queries", migrations=[team / "migrations"])


def locked(team: Path, connection: Connection) -> Project:
    """
    Write the team's contracts, on 16 too: the tests differ in nothing but plans.
    """
    made = project(team)
    derived = derive.derive(connection, made)
    made.contracts.mkdir(exist_ok=True)
    for path, content in lock.texts(made, derived).items():
        path.write_text(content, encoding="utf-8")
    assert derived.undescribed == ()
    return made


def rules(found) -> list[str]:
    return [each.rule for each in found if each.severity == "error"]


def test_the_contracts_of_the_store_hold_here(server: TestServer, database: str):
    """
    On 16 and 18: every fact of the committed contracts is what this server says; on 18 the plans too.
    """
    where = dict(conninfo_to_dict(server.dsn(database)))
    with _database(where) as connection:
        found = check.online(connection, own(), is_scratch=True)

    assert [str(each) for each in found] == []


@pytest.mark.serverless
def test_the_contracts_of_the_store_hold_offline():
    assert [str(each) for each in check.offline(own())] == []


def test_a_fresh_contract_holds(team, described):
    made = locked(team, described)

    assert check.online(described, made, is_scratch=True) == []
    assert check.offline(project(team)) == []


def test_what_a_contract_says(team, described):
    made = locked(team, described)
    found = text.parse(made.contract_of("notes").read_text(encoding="utf-8"), Path("x"))
    add, get, listed = (each.facts for each in found)

    assert ["required", "optional", "required"] == ["required" if p.is_required else "optional" for p in add.parameters]
    assert ("write", "read") == (add.mode, get.mode)
    assert {"app.notes.id", "app.notes.kind", "app.notes.owner_id", "app.notes.price", "app.notes.title"} == set(add.writes)
    assert [("id", "bigint", False), ("title", "text", False), ("price", "numeric(12,2)", False), ("kind", "text", False),
            ("email", "text", True)] == [(c.name, c.type, c.is_nullable) for c in get.columns]  # fmt: skip
    assert (get.at_most_one, listed.at_most_one) == ("notes_pkey, owners_pkey", None)


@pytest.mark.parametrize(
    ("ddl", "queries"),
    [
        ("ALTER TABLE app.notes ALTER COLUMN price TYPE numeric(14, 3)", {"notes.get_note"}),
        ("ALTER TABLE app.notes ALTER COLUMN title DROP NOT NULL", {"notes.get_note", "notes.list_notes", "notes.add_note"}),
        ("ALTER TABLE app.notes RENAME COLUMN title TO heading", {"notes.get_note", "notes.list_notes", "notes.add_note"}),
        ("ALTER TABLE app.notes ADD COLUMN email text", {"notes.get_note"}),
        ("ALTER TABLE app.notes DROP COLUMN price", {"notes.get_note", "notes.add_note"}),
        ("ALTER TABLE app.notes ADD COLUMN must text NOT NULL", {"notes.add_note"}),
        ("DROP TABLE app.owners CASCADE", {"notes.get_note"}),
        ("DROP INDEX app.notes_owner_id_idx", {"notes.list_notes"}),
        ("ALTER TABLE app.notes DROP CONSTRAINT notes_pkey", {"notes.get_note"}),
    ],
)
def test_a_change_of_the_schema_is_found_in_every_query_it_breaks(team, described, ddl, queries):
    made = locked(team, described)
    described.execute(ddl.encode())
    found = check.online(described, made, is_scratch=True)
    named = {
        name for name in ("notes.add_note", "notes.get_note", "notes.list_notes") for each in found if name in each.message
    }

    assert rules(found) != []
    assert queries <= named
    assert all(each.line > 0 and each.path.name in {"notes.sql", "notes.contract", "schema.contract"} for each in found)


def test_comments_of_columns_stand_in_the_types(team, described):
    """
    Under the attribute of the row that is made for the query, whatever the comment holds; a change of one is a difference.
    """
    comment = 'What it is "called",\n  it\'s \\ C:\\new """and more"""'
    described.execute(sql.SQL("COMMENT ON COLUMN app.notes.title IS {}").format(comment))
    made = locked(team, described)
    derived = derive.derive(described, made)
    written = stubs.render(made, {f"notes.{each.name}": each.whole for each in derived.stanzas["notes"]}, derived.schema)
    (row,) = [each for each in ast.parse(written).body if isinstance(each, ast.ClassDef) and each.name == "ListNotesRow"]

    assert [type(each) for each in row.body] == [ast.AnnAssign, ast.AnnAssign, ast.Expr]
    assert isinstance(row.body[2], ast.Expr)
    assert ast.literal_eval(row.body[2].value) == 'What it is "called", it\'s \\ C:\\new """and more"""'
    assert rules(check.online(described, made, is_scratch=True)) == []
    described.execute("COMMENT ON COLUMN app.notes.title IS 'A title'")
    assert rules(check.online(described, made, is_scratch=True)) == ["contract-differs"] * 2


def test_a_closed_set_that_grows_is_found(team, described):
    made = locked(team, described)
    described.execute("ALTER TABLE app.notes DROP CONSTRAINT notes_kind_known")
    described.execute("ALTER TABLE app.notes ADD CHECK (kind IN ('plain', 'rich', 'odd'))")

    assert rules(check.online(described, made, is_scratch=True)) == ["contract-differs", "contract-differs"]


@pytest.mark.parametrize(
    ("sql", "line", "word"),
    [
        ("-- name: bad()\nSELECT\n    1,,2 AS a;\n", 3, "42601"),
        ("-- name: bad(a)\nSELECT 1 AS one WHERE :a IS NULL;\n", 2, "::text"),
        ("-- name: bad()\nSELECT n.id FROM app.nothing AS n;\n", 2, "app.nothing"),
        ("-- name: bad()\nSELECT n.nothing\nFROM app.notes AS n;\n", 2, "nothing"),
        ("-- name: bad()!\nLOCK TABLE app.notes;\n", 1, ""),
        ("-- name: bad()!\nTRUNCATE app.notes;\n", 1, ""),
        ("-- name: bad()!\nVACUUM app.notes;\n", 1, ""),
        ("-- name: bad()\nSELECT 1 AS a; DROP TABLE app.notes;\n", 2, "more than one statement"),
        ("-- name: bad(a)\nSELECT 1 AS a;\n", 1, "not used"),
    ],
)
def test_bad_sql_is_a_finding_at_its_place(team, described, sql, line, word):
    """
    Never a traceback, nothing written, and the database is as it was.
    """
    (team / "queries" / "notes.sql").write_text(sql, encoding="utf-8")
    before = described.execute("SELECT count(*) FROM pg_class").fetchone()
    found = [each for each in check.online(described, project(team), is_scratch=True) if not each.rule.startswith("contract")]

    assert [("notes.sql", line)] == [(each.path.name, each.line) for each in found]
    assert word in found[0].text
    assert before == described.execute("SELECT count(*) FROM pg_class").fetchone()
    assert described.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert not (team / "contracts").exists()


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("-- name: q(a)^\nSELECT n.id FROM app.notes AS n WHERE n.owner_id = :a::bigint;\n", "one-row"),
        ("-- name: q(a)$\nSELECT n.id, n.title FROM app.notes AS n WHERE n.id = :a::bigint;\n", "one-value"),
        ("-- name: q(a)!\n-- null: a\nUPDATE app.notes AS n SET title = :a::text WHERE n.id = 1;\n", "null-parameter"),
        ("-- name: q(a)^\n-- row: Nothing\nSELECT n.id FROM app.notes AS n WHERE n.id = :a::bigint;\n", "dto-missing"),
        ("-- name: q(a)\nSELECT n.id FROM app.notes AS n WHERE n.title = :a::text;\n", "plan-scan"),
        ("-- name: schema()\nSELECT 1 AS a;\n", None),
    ],
)
def test_a_query_that_does_not_hold_what_its_header_says(team, described, sql, rule):
    (team / "queries" / "notes.sql").write_text(sql, encoding="utf-8")
    found = check.online(described, dataclasses.replace(project(team), module="notes_models"), is_scratch=True)

    assert ([rule] if rule else []) == [each for each in rules(found) if not each.startswith("contract-")]


def test_the_reserved_name_is_refused(team, described):
    (team / "queries" / "notes.sql").rename(team / "queries" / "schema.sql")

    assert (
        ["query-file"] == rules(check.offline(project(team))) == rules(check.online(described, project(team), is_scratch=True))
    )
    if described.info.server_version >= WRITTEN_FROM:
        assert ["query-file"] == rules(lock.lock(described, project(team)).findings)


def test_nothing_is_written_when_one_query_is_refused(team, described):
    if described.info.server_version < WRITTEN_FROM:
        return
    (team / "queries" / "more.sql").write_text("-- name: bad()\nSELECT nothing;\n", encoding="utf-8")
    done = lock.lock(described, project(team))

    assert ((), (), ["query-refused"]) == (done.written, done.deleted, rules(done.findings))
    assert not (team / "contracts").exists()


def test_a_refusal_points_at_the_word_in_the_file(team, described):
    """
    Behind a parameter too, which is shorter in what the server reads than in the file.
    """
    sql = "-- name: bad(a, bee)\nSELECT :a::text AS a, :bee::text AS b, nothing AS c;\n"
    (team / "queries" / "notes.sql").write_text(sql, encoding="utf-8")
    findings = check.online(described, project(team), is_scratch=True)
    assert "query-refused" in rules(findings)
    (found,) = [each for each in findings if each.rule == "query-refused"]

    assert (2, sql.splitlines()[1].index("nothing") + 1) == (found.line, found.column)


def test_contracts_that_are_edited_or_left_behind_are_found(team, described):
    made = locked(team, described)
    path = made.contract_of("notes")
    written = path.read_text(encoding="utf-8")

    path.write_text(written.replace("numeric(12,2)", "numeric(10,2)"), encoding="utf-8")
    assert rules(check.online(described, made, is_scratch=True)) == ["contract-edited", "contract-differs"]
    path.write_text(written.replace("  mode   read", "  mode read"), encoding="utf-8")
    assert rules(check.offline(made)) == ["contract-edited"]
    path.write_text(written + "scribble\n", encoding="utf-8")
    assert rules(check.offline(made)) == ["contract-malformed"]
    path.write_bytes(b"\xff")
    assert rules(check.offline(made)) == ["contract-malformed"]

    path.write_text(written, encoding="utf-8")
    (team / "queries" / "notes.sql").write_text(SQL.partition("-- name: list_notes")[0], encoding="utf-8")
    assert rules(check.offline(project(team))) == ["contract-left"]
    (team / "queries" / "notes.sql").rename(team / "queries" / "others.sql")
    assert rules(check.offline(project(team))) == ["contract-left", "contract-missing", "contract-missing"]


def test_without_the_schema_contract_no_row_is_compared(team, described):
    """
    What is not known of domains and enums is told once, and not as a fault of each DTO.
    """
    described.execute("ALTER TABLE app.notes ALTER COLUMN price TYPE store.amount")
    made = locked(team, described)
    models: dict[str, Any] = {}
    exec(compile(MODELS, "notes_models.py", "exec", dont_inherit=True), models)  # noqa: S102 (the text above)
    typed = dataclasses.replace(made, models={"Note": models["Note"]}, module="notes_models")
    assert rules(check.offline(typed)) == []
    (made.contracts / "schema.contract").unlink()

    assert rules(check.offline(typed)) == ["contract-missing"]


EDITS = [
    ("notes.contract", "n.title", "not null  app.notes.title", "null      app.notes.title"),
    ("notes.contract", "a parameter", "param  id  bigint  required", "param  id  bigint  optional"),
    ("notes.contract", "the plan", "plan   index notes_pkey", "plan   index notes_key"),
    ("notes.contract", "its own hash", "facts:", "facts:0"),
    ("notes.contract", "the row", "row    Note", "row    Other"),
    ("schema.contract", "a closed set", "'plain', 'rich'", "'plain'"),
    ("schema.contract", "no hash", "  facts:", ""),
]
ALSO = {"the row": ["contract-stale"], "no hash": ["contract-migrations"]}


@pytest.mark.parametrize(("name", "what", "before", "after"), EDITS, ids=[f"{name}: {what}" for name, what, *_ in EDITS])
def test_an_edit_by_hand_is_seen_without_a_database(team, described, name, what, before, after):
    """
    However well it is formed: the file, the query and its line are named, and the way out.
    """
    made = locked(team, described)
    path = made.contracts / name
    written = path.read_text(encoding="utf-8")
    assert before in written
    path.write_text(written.replace(before, after), encoding="utf-8")

    findings = check.offline(made)
    assert sorted(rules(findings)) == ["contract-edited", *ALSO.get(what, [])]
    (found,) = [each for each in findings if each.rule == "contract-edited"]
    assert (found.path.name, "store lock" in found.mend) == (name, True)
    if name == "notes.contract":
        query = found.message.split()[0].removeprefix("notes.")
        assert path.read_text(encoding="utf-8").splitlines()[found.line - 1].startswith(f"query {query}  ")


def test_branches_that_change_different_queries_merge(team, described):
    """
    Git puts both changes into one file, and what it makes is what `store lock` would write.
    """
    made = locked(team, described)
    path, queries = made.contract_of("notes"), team / "queries" / "notes.sql"
    versions = {"base": path.read_text(encoding="utf-8")}
    changes = {
        "ours": ("SELECT n.id, n.title FROM", "SELECT n.title, n.id FROM"),
        "theirs": (":title::text, 0,", ":title::text, 1.5,"),
    }
    for name, (before, after) in changes.items():
        queries.write_text(SQL.replace(before, after), encoding="utf-8")
        locked(team, described)
        versions[name] = path.read_text(encoding="utf-8")
    for name, content in versions.items():
        (team / name).write_text(content, encoding="utf-8")
    merged = subprocess.run(["git", "merge-file", "-p", "ours", "base", "theirs"], cwd=team, capture_output=True, check=False)
    sql = SQL
    for before, after in changes.values():
        sql = sql.replace(before, after)
    queries.write_text(sql, encoding="utf-8")
    path.write_bytes(merged.stdout)

    assert (len(set(versions.values())), merged.returncode) == (3, 0)
    assert rules(check.offline(project(team))) == []


def test_a_leave_that_nothing_needs_is_found_offline(team, described):
    """
    Once `store lock` has taken it into the contract; before that the contract is that of another text.
    """
    locked(team, described)
    sql = SQL.replace("-- name: get_note(id)^\n", "-- name: get_note(id)^\n-- plan: scan app.owners, they are few\n")
    (team / "queries" / "notes.sql").write_text(sql, encoding="utf-8")
    before = check.offline(project(team))
    (found,) = check.offline(locked(team, described))

    assert ["contract-stale"] == rules(before)
    assert ("plan-stale", "notes.get_note: `-- plan: scan app.owners` and the plan has no such scan") == (
        found.rule,
        found.message,
    )
    assert rules([found]) == rules(check.online(described, project(team), is_scratch=True))


def test_sql_and_migrations_that_moved_on_are_found_offline(team, described):
    made = locked(team, described)
    (team / "queries" / "notes.sql").write_text(SQL.replace("ORDER BY n.id", "ORDER BY n.title"), encoding="utf-8")
    stale = check.offline(project(team))
    (team / "migrations" / "0001_app.sql").write_text(SCHEMA + "SELECT 1;", encoding="utf-8")

    assert ["contract-stale"] == rules(stale)
    assert ("notes.sql", 13) == (stale[0].path.name, stale[0].line)
    assert ["contract-migrations", "contract-stale"] == sorted(rules(check.offline(project(team))))
    assert made.statements


def test_lock_writes_what_changed_and_deletes_what_is_left(team, described):
    made = project(team)
    if described.info.server_version < WRITTEN_FROM:
        with pytest.raises(CannotAnalyse, match="written from PostgreSQL 18"):
            lock.lock(described, made)
        return
    first, again = lock.lock(described, made), lock.lock(described, made)
    (team / "contracts" / "mine.contract").write_text("not of ours\n")
    (team / "queries" / "notes.sql").rename(team / "queries" / "others.sql")
    moved = lock.lock(described, project(team))

    assert ["notes.contract", "schema.contract"] == sorted(path.name for path in first.written)
    assert (again.written, again.deleted) == ((), ())
    assert (["others.contract"], ["notes.contract"]) == ([p.name for p in moved.written], [p.name for p in moved.deleted])
    assert ["mine.contract", "others.contract", "schema.contract"] == sorted(p.name for p in (team / "contracts").iterdir())


def test_a_role_without_temporary_is_refused_in_words(server: TestServer, database: str, tmp_path: Path):
    with server.connect(database) as connection:
        connection.execute(f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC, store_app'.encode())
    done = store("check", "--dsn", server.dsn(database, "store_app"), "--json", cwd=tmp_path)

    assert done.returncode == 10
    assert "may not make temporary objects" in json.loads(done.stdout)["error"]["message"]


def test_a_role_without_rights_is_told_so_and_not_of_differences(server: TestServer, database: str, tmp_path: Path):
    done = store("check", "--db", "--dsn", server.dsn(database, "store_readonly"), "--json", cwd=tmp_path)
    with server.connect(database) as connection:
        connection.execute(f'GRANT TEMPORARY ON DATABASE "{database}" TO PUBLIC'.encode())
    as_owner = store("check", "--db", "--dsn", server.dsn(database, "store_migrator"), "--json", cwd=tmp_path)
    as_app = store("check", "--db", "--dsn", server.dsn(database, "store_app"), "--json", cwd=tmp_path)

    assert (10, 10) == (done.returncode, as_app.returncode)
    assert "the role store_app lacks the rights for " in json.loads(as_app.stdout)["error"]["message"]
    assert "no longer so" not in as_app.stdout + done.stdout
    assert "error" not in json.loads(as_owner.stdout), as_owner.stdout


def test_explain_on_an_empty_database_says_what_to_run(empty_dsn, tmp_path):
    done = store("explain", "orders.get_orders", "--dsn", empty_dsn, cwd=tmp_path)

    assert (1, True) == (done.returncode, "run `store migrate up`" in done.stderr), done.stderr


def test_a_standby_is_refused_in_words(server_directory: Path, tmp_path: Path):
    """
    A server in recovery, which cannot write, with the exit code for a database that will not do.
    """
    directory = server_directory / "standby"
    embedded.start(directory, int(VERSION))
    embedded.stop(directory)
    (directory / "standby.signal").touch()
    shutil.copystat(directory / "PG_VERSION", directory / "standby.signal")
    try:
        dsn = embedded.start(directory).dsn()
        done = store("check", "--dsn", dsn, "--json", cwd=tmp_path)
    finally:
        embedded.remove(directory)

    assert (done.returncode, "Traceback" in done.stderr) == (10, False)
    assert "standby" in json.loads(done.stdout)["error"]["message"]


def test_a_team_locks_and_checks_from_the_command_line(team):
    """
    With nothing but the embedded server: lock, check, a change, both again, and the forms of a finding.
    """
    options = ("--sql", "queries", "--models", "notes_models", "--migrations", "migrations")
    wrote = store("lock", *options, "--stubs", "--json", cwd=team)
    fine = store("check", *options, cwd=team)
    online = store("check", *options, "--db", "--pg", VERSION, "--json", cwd=team)
    (team / "notes_models.py").write_text(MODELS.replace("price: Decimal", "price: float"), encoding="utf-8")
    wrong = store("check", *options, "--format", "github", cwd=team)
    (team / "notes_models.py").write_text(MODELS, encoding="utf-8")
    stub = team / "queries" / "__init__.pyi"
    stub.write_text(stub.read_text(encoding="utf-8").replace("id: int", "id: str"), encoding="utf-8")
    untyped = store("check", *options, "--json", cwd=team)
    used = store("uses", "app.notes.title", "--sql", "queries", "--no-json", cwd=team)
    unused = store("uses", "xyzzy", "--sql", "queries", "--no-json", cwd=team)
    ran = store("sql", "get_note", "--sql", "queries", cwd=team)

    assert (wrote.returncode, sorted(Path(p).name for p in json.loads(wrote.stdout)["written"])) == (
        0, ["__init__.pyi", "notes.contract", "schema.contract"])  # fmt: skip
    assert (fine.returncode, json.loads(fine.stdout)["findings"]) == (0, [])
    assert (online.returncode, json.loads(online.stdout)["findings"]) == (0, [])
    assert wrong.returncode == 9
    assert (8, ["contract-stubs"]) == (untyped.returncode, [each["rule"] for each in json.loads(untyped.stdout)["findings"]])
    assert wrong.stdout.startswith("::error file=queries/notes.sql,line=6,col=1,title=dto-float::")
    assert (1, "store: no query reads or writes xyzzy: the tables are app.notes, app.owners\n") == (
        unused.returncode,
        unused.stderr,
    )
    assert ["writes", "reads", "reads"] == [line.split()[0] for line in used.stdout.splitlines()]
    assert ran.stdout.startswith("/* app:notes.get_note */ SELECT")


@pytest.mark.one_version
def test_a_folder_of_any_name_holds_its_contracts(team):
    """
    What `store lock` writes into a folder that is not called `queries` is in nobody's way, the second time either.
    """
    (team / "queries").rename(team / "sql")
    options = ("--sql", "sql", "--migrations", "migrations")
    wrote = store("lock", *options, "--stubs", cwd=team)
    again = store("lock", *options, "--stubs", cwd=team)
    checked = store("check", *options, cwd=team)
    ran = store("sql", "get_note", "--sql", "sql", cwd=team)

    assert (wrote.returncode, json.loads(again.stdout)["written"]) == (0, []), again.stdout
    assert sorted(path.name for path in (team / "sql").rglob("*") if path.is_file()) == (
        ["__init__.pyi", "notes.contract", "notes.sql", "schema.contract"])  # fmt: skip
    assert (checked.returncode, [each["rule"] for each in json.loads(checked.stdout)["findings"]]) == (0, ["dto-unchecked"])
    assert ran.stdout.startswith("/* app:notes.get_note */ SELECT")
    assert Queries.load(team / "sql", rows={"Note": type("Note", (BaseModel,), {})}).notes.get_note.statement.name == "get_note"


@pytest.mark.serverless
@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["check", "--dsn", "postgresql://a:secret@localhost/b"], 2, "password"),
        (["check", "--dsn", "host=localhost sslpassword=secret"], 2, "password"),
        (["check", "--sql", "nowhere"], 2, "no such folder"),
        (["check", "--models", "x"], 2, "--sql"),
        (["check", "--sql", ".", "--callers", "nope"], 2, "nope: there is no such folder: give the one with the Python"),
        (["check", "--sql", ".", "--models", "nope"], 2, "there is no module nope: run from the directory that holds nope"),
        (["check", "--sql", ".", "--models", "app.nope"], 2, "there is no module app.nope: run from the directory that"),
        (["check", "--sql", ".", "--models", "app/models.py"], 2, "no module: name it as Python imports it, app.models"),
        (["check", "--sql", ".", "--models", "models.py"], 2, "no module: name it as Python imports it, models"),
        (["check", "--sql", ".", "--models", "app.broken"], 2, "app.broken fails when it is imported: ModuleNotFoundError"),
        (["check", "--sql", ".", "--models", "app.wrong"], 2, "app.wrong fails when it is imported: ZeroDivisionError"),
        (["lock", "--sql", ".", "--models", "nope"], 2, "there is no module nope"),
        (["lock", "--stubs"], 2, "--sql"),
        (["sql", "get_nothing"], 1, "no query"),
        (["sql", "nope"], 1, "or a FILE to see its queries: addresses, carts"),
        (["sql", "orders"], 0, "orders.get_order_by_number^  "),
        (["explain", "orders"], 1, "orders has orders.end_order, orders.get_order_by_number"),
        (["sql", "get_order"], 1, "did you mean orders.get_orders"),
        (["explain", "orders.nope"], 1, "the file has end_order"),
        (["uses", "store.nothing"], 1, "no query reads or writes nothing"),
        (["uses", "xyzzy"], 1, "stock_movements, users. For queries of your own name their folder: --sql DIR"),
        (["uses", "notes"], 1, "? For queries of your own name their folder: --sql DIR"),
        (["uses", "orders.totl"], 1, 'or order_items.total?", "sqlstate"'),
        (["uses", "x", "--sql", "mine"], 1, "there is no contract: write it with `store lock --sql "),
        (["explain", "orders.get_orders", "--param", "x"], 2, "NAME=VALUE"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, arguments, code, word):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "broken.py").write_text("import not_there\n", encoding="utf-8")
    (tmp_path / "app" / "wrong.py").write_text("1 / 0\n", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one.sql").write_text("-- name: get_it()$\n-- One.\nSELECT 1;\n", encoding="utf-8")
    done = store(*arguments, cwd=tmp_path, DATABASE_URL="postgresql://localhost:1/x")

    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert word in done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_explain_shows_plans_and_takes_everything_back(admin_dsn, tmp_path, connect_admin):
    def explain(*arguments):
        return store("explain", *arguments, "--dsn", admin_dsn, cwd=tmp_path)

    generic = explain("orders.get_order_by_number")
    measured = explain("inventory.set_stock", "--analyze", "--param", "product_id=1", "--param", "quantity=2",
                       "--param", "expected=1", "--param", "reason=r", "--param", "actor=a")  # fmt: skip
    made = explain("carts.create_guest_cart", "--analyze", "--param", "currency=EUR")
    missing = explain("orders.get_order_by_number", "--analyze")
    wrong = explain("catalog.get_product", "--param", "product_id=secret", "--param", "active={true}")

    assert "orders_number_key" in generic.stdout
    assert measured.returncode in (0, 1)
    assert (made.returncode, "actual" in made.stdout) == (0, True), made.stderr
    assert connect_admin.execute("SELECT count(*) FROM store.carts").fetchone() == (0,)
    assert missing.returncode == 1
    assert "missing number" in missing.stderr
    assert (wrong.returncode, wrong.stderr) == (1, "store: catalog.get_product: the value of product_id is no bigint\n")


def test_the_types_of_the_sample_are_what_lock_writes(team, connect_admin):
    """
    The stub that tests/typing holds both checkers to is the one this version generates, from 16 as from 18.
    """
    sample = Path(__file__).resolve().parent / "typing" / "app"
    shutil.copytree(sample, team / "sample")
    made = foreign(team / "sample" / "queries")
    models = {"TopProduct": type("TopProduct", (BaseModel,), {})}
    typed = dataclasses.replace(made, models=models, module="app.models")
    derived = derive.derive(connect_admin, typed)
    facts = {f"{domain}.{each.name}": each.facts for domain, stanzas in derived.stanzas.items() for each in stanzas}

    assert (sample / "queries" / "__init__.pyi").read_text(encoding="utf-8") == stubs.render(typed, facts, derived.schema)


def test_a_declared_column_has_its_plain_name(connect_admin, tmp_path):
    (tmp_path / "a.sql").write_text('-- name: get_a()^\nSELECT 1 AS "b!", NULL::text AS "c?", 2 AS "!";\n', encoding="utf-8")
    names, row = load(tmp_path, colour="sync").a.get_a(connect_admin)

    assert (("b", "c", "!"), (1, None, 2)) == (names, row)
