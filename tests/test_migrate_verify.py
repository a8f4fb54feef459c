"""
`store migrate verify`, `fingerprint` and `lint` as commands: what drifted is named, half-done work is found, nothing is written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from store import _files, embedded, migrate
from store.cli import app
from store.errors import MigrationError
from store.migrate import review
from tests.databases import Connection, TestServer

Connect = Callable[[], Connection]

FOLDER = _files.folder("migrations")
DOCS = Path(__file__).resolve().parents[1] / "docs" / "migrations.md"


@pytest.fixture
def scratch(server: TestServer) -> review.Scratch:
    return review.Scratch(server.dsn)


@pytest.fixture
def connect(server: TestServer, database: str) -> Connect:
    """
    Opens connections to a migrated database as a role that may only read.
    """

    def open_() -> Connection:
        connection = psycopg.connect(server.dsn(database, "store_readonly"), autocommit=True)
        connection.execute("SET default_transaction_read_only = on")
        return connection

    return open_


def rules(faults: list[Any]) -> list[tuple[str, int]]:
    return [(fault.rule, fault.exit_code) for fault in faults]


def folder_of(place: Path, **texts: str) -> Path:
    """
    Write migrations and their rollbacks: `_0001=(up, down)`.
    """
    place.mkdir()
    for number, text in texts.items():
        up, _, down = text.partition(" <- ")
        (place / f"{number[1:]}_x.sql").write_text(up, encoding="utf-8")
        (place / f"{number[1:]}_x.rollback.sql").write_text(down, encoding="utf-8")
    return place


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_examples_of_the_page_pass_the_lint(scratch: review.Scratch, tmp_path: Path) -> None:
    """
    What docs/migrations.md shows first, after our own migrations: nothing is found.
    """
    place = tmp_path / "migrations"
    shutil.copytree(FOLDER, place)
    text = DOCS.read_text(encoding="utf-8")
    text = text[text.index("### What a file may be") : text.index("### Locks")]
    examples = re.findall(r"^```sql\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    downs = ("ALTER TABLE store.orders DROP COLUMN gift_note;", "SELECT 1;")
    for number, (up, down) in enumerate(zip(examples, downs, strict=True), 9001):
        (place / f"{number}_x.sql").write_text(up, encoding="utf-8")
        (place / f"{number}_x.rollback.sql").write_text(down, encoding="utf-8")
    made = review.review(scratch, place)

    assert made.findings == []


# --- the database in use ---------------------------------------------------------------------------------------------


def test_migrated_database_is_well(connect: Connect) -> None:
    """
    Asked by a role that may only read, in a session that may not write.
    """
    found = review.verify_live(connect, FOLDER)

    assert found.faults == []
    assert found.expected == review.digest(found.lines)
    assert found.pending == []
    assert len(found.applied) == len(list(FOLDER.glob("*.rollback.sql")))


def test_drift_is_named_object_by_object(connect: Connect, connect_admin: Connection, scratch: review.Scratch) -> None:
    """
    The record keeps a hash; a throw-away server makes of the files what should be there.
    """
    connect_admin.execute("DROP INDEX store.orders_number_key; ALTER TABLE store.users ADD COLUMN note text")
    connect_admin.execute("ALTER TABLE store.carts ALTER COLUMN created_at DROP DEFAULT")
    found = review.verify_live(connect, FOLDER)

    assert rules(found.faults) == [("drift", 8)]

    last, column = found.applied[-1], "6 timestamp with time zone not null"
    told = [fault.message for fault in review.verify_scratch(scratch, FOLDER, found)]

    assert told == [
        f"column store.carts.created_at differs: expected '{column} default now()', found '{column}' (after {last})",
        f"column store.users.note is unexpected (after {last})",
        f"index store.orders_number_key is missing (after {last})",
    ]


def test_invalid_index_is_found(connect: Connect, connect_admin: Connection) -> None:
    connect_admin.execute(
        "UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = 'store.products_price_id_idx'::regclass"
    )
    found = review.verify_live(connect, FOLDER)

    assert rules(found.faults) == [("invalid-index", 8), ("drift", 8)]
    assert "store.products_price_id_idx is INVALID" in found.faults[0].message


def test_forgotten_not_valid_is_found(connect: Connect, connect_admin: Connection) -> None:
    connect_admin.execute("ALTER TABLE store.users ADD CONSTRAINT users_note CHECK (id > 0) NOT VALID")
    found = review.verify_live(connect, FOLDER)

    assert rules(found.faults) == [("not-valid", 8), ("drift", 8)]
    assert "store.users.users_note is NOT VALID" in found.faults[0].message


def test_not_enforced_is_not_forgotten(connect: Connect, connect_admin: Connection) -> None:
    """
    From PostgreSQL 18 on a constraint may be meant not to hold; before, there is no such thing.
    """
    if connect_admin.info.server_version < 180000:
        with pytest.raises(psycopg.errors.SyntaxError):
            connect_admin.execute("ALTER TABLE store.users ADD CONSTRAINT n CHECK (id > 0) NOT ENFORCED")
        return
    connect_admin.execute("ALTER TABLE store.users ADD CONSTRAINT n CHECK (id > 0) NOT ENFORCED")

    assert rules(review.verify_live(connect, FOLDER).faults) == [("drift", 8)]


def test_not_valid_may_wait_for_the_next_file(server: TestServer, empty_dsn: str, tmp_path: Path) -> None:
    """
    While migrations are pending, one of them may be the one that validates.
    """

    def connect() -> Connection:
        return psycopg.connect(empty_dsn, autocommit=True)

    place = folder_of(
        tmp_path / "m",
        _0001="CREATE SCHEMA store; CREATE TABLE store.a (id bigint); "
        "ALTER TABLE store.a ADD CONSTRAINT c CHECK (id > 0) NOT VALID; <- DROP SCHEMA store CASCADE;",
    )
    migrate.up(connect, place)

    assert rules(review.verify_live(connect, place).faults) == [("not-valid", 8)]

    (place / "0002_x.sql").write_text("ALTER TABLE store.a VALIDATE CONSTRAINT c;", encoding="utf-8")
    (place / "0002_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")

    assert review.verify_live(connect, place).faults == []


def test_edited_file_is_a_mismatch(connect: Connect, tmp_path: Path) -> None:
    place = tmp_path / "migrations"
    place.mkdir()
    for path in FOLDER.glob("*.sql"):
        text = path.read_text(encoding="utf-8")
        (place / path.name).write_text(text + "-- later" * path.name.startswith("0002_create_users.sql"), encoding="utf-8")
    found = review.verify_live(connect, place)

    assert [fault.exit_code for fault in found.faults] == [7]
    assert "0002_create_users" in found.faults[0].message


# --- the files -------------------------------------------------------------------------------------------------------


def test_our_files_hold_together(scratch: review.Scratch) -> None:
    """
    Each migration goes up, down and up to the same fingerprint, and sql/schema is what they make.
    """
    assert review.verify_scratch(scratch, FOLDER) == []


def test_folder_of_a_team_stands_on_ours(scratch: review.Scratch, tmp_path: Path) -> None:
    place = folder_of(
        tmp_path / "m",
        _0001="CREATE SCHEMA mine; CREATE TABLE mine.a (id bigint REFERENCES store.users (id)); <- DROP SCHEMA mine CASCADE;",
    )

    assert review.verify_scratch(scratch, place) == []


def test_rollback_that_forgets_is_named(scratch: review.Scratch, tmp_path: Path) -> None:
    place = folder_of(
        tmp_path / "m",
        _0001="CREATE SCHEMA mine; <- DROP SCHEMA mine;",
        _0002="CREATE TABLE mine.a (id bigint); CREATE SEQUENCE IF NOT EXISTS mine.s; <- DROP TABLE mine.a;",
    )
    (fault,) = review.verify_scratch(scratch, place)

    assert (fault.rule, fault.exit_code) == ("rollback-incomplete", 9)
    assert fault.message == "0002_x.rollback.sql does not take all back: sequence mine.s is unexpected"


def test_second_time_that_differs_is_named(scratch: review.Scratch, tmp_path: Path) -> None:
    """
    What a rollback leaves outside our schemas may change what the migration makes the next time.
    """
    place = folder_of(
        tmp_path / "m",
        _0001="CREATE SCHEMA mine; CREATE TABLE IF NOT EXISTS public.seen (id bigint);"
        " DO $$ BEGIN IF EXISTS (SELECT FROM public.seen) THEN CREATE TABLE mine.again (id bigint); END IF; END $$;"
        " <- INSERT INTO public.seen VALUES (1); DROP SCHEMA mine CASCADE;",
    )
    told = [fault.message for fault in review.verify_scratch(scratch, place)]

    assert told == [
        "0001_x.sql makes something else the second time: column mine.again.id is unexpected",
        "0001_x.sql makes something else the second time: table mine.again is unexpected",
    ]


def test_repeatables_belong_to_the_schema(scratch: review.Scratch, empty_dsn: str, tmp_path: Path) -> None:
    """
    What they make is expected, in sql/schema and in the database in use.
    """
    place = folder_of(tmp_path / "m", _0001="CREATE SCHEMA store; <- DROP SCHEMA store;")
    (place / "repeatable").mkdir()
    (place / "repeatable" / "v.sql").write_text("CREATE OR REPLACE VIEW store.v AS SELECT 1 AS a;", encoding="utf-8")
    (tmp_path / "sql" / "schema").mkdir(parents=True)
    text = "CREATE SCHEMA store; CREATE VIEW store.v AS SELECT 1 AS a;"
    (tmp_path / "sql" / "schema" / "a.sql").write_text(text, encoding="utf-8")
    migrate.up(lambda: psycopg.connect(empty_dsn), place)
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE store.beside (id bigint)")
    found = review.verify_live(lambda: psycopg.connect(empty_dsn), place)

    assert [fault.message for fault in review.verify_scratch(scratch, place, found)] == [
        "column store.beside.id is unexpected (after 0001_x)",
        "table store.beside is unexpected (after 0001_x)",
    ]


def test_refused_file_is_a_fault(scratch: review.Scratch, tmp_path: Path) -> None:
    place = folder_of(tmp_path / "m", _0001="CREATE SCHEMA mine; <- DROP SCHEMA nobody;")
    (fault,) = review.verify_scratch(scratch, place)

    assert (fault.rule, fault.exit_code) == ("does-not-apply", 9)
    assert fault.message == '0001_x.rollback.sql:1: schema "nobody" does not exist (SQLSTATE 3F000)'


def test_schema_files_are_compared(scratch: review.Scratch, tmp_path: Path) -> None:
    """
    The files for reading stand beside the folder, in sql/schema.
    """
    place = folder_of(tmp_path / "m", _0001="CREATE SCHEMA mine; CREATE TABLE mine.a (id bigint); <- DROP SCHEMA mine CASCADE;")
    (tmp_path / "sql" / "schema").mkdir(parents=True)
    (tmp_path / "sql" / "schema" / "a.sql").write_text("CREATE SCHEMA mine; CREATE TABLE mine.a (id int);", encoding="utf-8")
    (fault,) = review.verify_scratch(scratch, place)

    assert (fault.rule, fault.exit_code) == ("schema-files", 9)
    assert fault.message == (
        "sql/schema is not what the migrations make: column mine.a.id differs: expected '1 bigint', found '1 integer'"
    )

    (tmp_path / "sql" / "schema" / "a.sql").write_text("CREATE TABLE mine.a (id int);", encoding="utf-8")

    assert [fault.message for fault in review.verify_scratch(scratch, place)] == [
        'sql/schema/a.sql: schema "mine" does not exist'
    ]


def test_scratch_server_leaves_nothing() -> None:
    """
    The throw-away server is of the version asked for, and its directory is gone with it, also after an error.
    """
    version = int(os.environ.get("STORE_TEST_PG", "18"))
    seen: list[Path] = []
    with pytest.raises(MigrationError), review.scratch(version) as made:
        with made.database() as connection:
            row = connection.execute("SELECT current_setting('data_directory')").fetchone()

            assert connection.info.server_version // 10000 == version

        seen.append(Path(row[0]))
        raise MigrationError("on the way")
    (directory,) = seen

    assert not directory.parent.exists()
    assert not embedded.status(directory).running


# --- the commands ----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(server: TestServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, Any]]:
    """
    Run a command of `store migrate` on the servers of the tests; return its exit code and its JSON.
    """

    @contextmanager
    def made(_: int | None = None) -> Iterator[review.Scratch]:
        yield review.Scratch(server.dsn)

    monkeypatch.setattr(review, "scratch", made)
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, dsn: str | None = None, text: bool = False) -> tuple[int, Any]:
        environment = {} if dsn is None else {"DATABASE_URL": dsn}
        done = CliRunner().invoke(app, ["migrate", *arguments, *(["--no-json"] if text else ["--json"])], env=environment)
        return done.exit_code, done.output if text else json.loads(done.stdout)

    return invoke


def test_lint_command(run: Callable[..., tuple[int, Any]], tmp_path: Path) -> None:
    """
    Stale ledgers refuse until they are written; an error refuses, and then nothing is written.
    """
    place = folder_of(
        tmp_path / "m", _0001="CREATE SCHEMA mine; CREATE TABLE mine.a (id bigint PRIMARY KEY); <- DROP SCHEMA mine CASCADE;"
    )
    code, said = run("lint", str(place))

    assert (code, said["exit_code"], said["findings"]) == (9, 9, [])
    assert said["stale"] == ["0001_x.locks.txt", "MANIFEST"]

    code, said = run("lint", str(place), "--write")

    assert (code, said["outcome"], said["written"]) == (0, "done", ["0001_x.locks.txt", "MANIFEST"])
    assert run("lint", str(place))[0] == 0

    (place / "0002_x.sql").write_text("LOCK TABLE mine.a;", encoding="utf-8")
    (place / "0002_x.rollback.sql").write_text("SELECT 1;", encoding="utf-8")
    code, output = run("lint", str(place), "--write", text=True)

    assert code == 9
    assert "0002_x.sql:1  error lock-table  a lock by hand" in output
    assert not (place / "0002_x.locks.txt").exists()

    (place / "0002_x.rollback.sql").unlink()
    code, said = run("lint", str(place))

    assert (code, said["outcome"]) == (9, "refused")
    assert "0002_x.rollback.sql is missing" in said["error"]["message"]

    code, said = run("lint", str(tmp_path / "nowhere"))

    assert (code, said["error"]["type"]) == (2, "MigrationFolderError")


def test_unwritable_place_is_told(run: Callable[..., tuple[int, Any]], tmp_path: Path) -> None:
    place = folder_of(tmp_path / "m", _0001="CREATE SCHEMA mine; <- DROP SCHEMA mine;")
    (place / "MANIFEST").symlink_to(tmp_path / "nowhere" / "MANIFEST")
    code, said = run("lint", str(place), "--write")

    assert code == 2
    assert "MANIFEST cannot be written: No such file or directory" in said["error"]["message"]


def test_fingerprint_command(
    run: Callable[..., tuple[int, Any]], admin_dsn: str, connect_admin: Connection, tmp_path: Path
) -> None:
    """
    The hash, its lines, and what differs from lines that were kept.
    """
    code, said = run("fingerprint", "--lines", dsn=admin_dsn)

    assert code == 0
    assert said["fingerprint"] == review.digest(said["lines"])

    kept = tmp_path / "kept.txt"
    kept.write_text(run("fingerprint", "--lines", dsn=admin_dsn, text=True)[1], encoding="utf-8")

    assert run("fingerprint", "--diff", str(kept), dsn=admin_dsn)[1]["differences"] == []
    assert run("fingerprint", dsn=admin_dsn, text=True) == (0, said["fingerprint"] + "\n")

    connect_admin.execute("DROP INDEX store.orders_number_key")

    assert run("fingerprint", "--diff", str(kept), dsn=admin_dsn, text=True) == (
        8,
        "index store.orders_number_key is missing\n",
    )
    assert run("fingerprint", "--diff", str(tmp_path / "nothing"), dsn=admin_dsn)[0] == 2
    for other in ("# A page\n\nWords: and more.\n", json.dumps(said), "", "words: and words\n"):
        kept.write_text(other, encoding="utf-8")
        code, refused = run("fingerprint", "--diff", str(kept), dsn=admin_dsn)
        assert (code, "--lines --no-json" in refused["error"]["message"]) == (2, True), other
    assert run("fingerprint", dsn="postgresql://nobody@127.0.0.1:1/x")[0] == 10


def test_the_fingerprint_of_a_schema_that_is_not_there_is_refused(
    run: Callable[..., tuple[int, Any]], admin_dsn: str, connect_admin: Connection
) -> None:
    """
    One that was named and is missing is told; names that SQL quotes are found.
    """
    code, said = run("fingerprint", "--schema", "nope", "--schema", "store", dsn=admin_dsn)

    assert (code, said["error"]["message"]) == (2, "there is no schema nope in this database: name one that is there")
    assert run("fingerprint", "--schema", 'my "app"', dsn=admin_dsn)[0] == 2
    connect_admin.execute('CREATE SCHEMA "my ""app"""')
    assert run("fingerprint", "--schema", 'my "app"', dsn=admin_dsn)[0] == 0


def test_verify_command(run: Callable[..., tuple[int, Any]], admin_dsn: str, connect_admin: Connection, tmp_path: Path) -> None:
    """
    0 where all holds, 8 and a name where it drifted, 9 for the files alone; the lowest code wins.
    """
    assert run("verify", dsn=admin_dsn) == (
        0,
        {
            "command": "verify",
            "outcome": "done",
            "exit_code": 0,
            "fingerprint": review.digest(review.live_lines(lambda: connect_admin)),
            "faults": [],
        },
    )

    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute("DROP INDEX store.orders_number_key")
    code, output = run("verify", "--scratch", dsn=admin_dsn, text=True)

    assert code == 8
    assert "index store.orders_number_key is missing (after" in output

    place = folder_of(tmp_path / "m", _0001="CREATE SCHEMA mine; <- SELECT 1;")
    code, said = run("verify", "--scratch", "--no-live", "--folder", str(place))

    assert (code, said["outcome"], said["fingerprint"]) == (9, "refused", None)
    assert run("verify", "--scratch", "--no-live") == (
        0,
        {"command": "verify", "outcome": "done", "exit_code": 0, "fingerprint": None, "faults": []},
    )


def test_verify_refuses_what_it_cannot_look_at(
    run: Callable[..., tuple[int, Any]], admin_dsn: str, connect_admin: Connection
) -> None:
    """
    A schema that nobody makes, and a version that there is no throw-away server of, asked for or not.
    """
    code, said = run("verify", "--schema", "nope", "--schema", "store", dsn=admin_dsn)

    assert (code, said["outcome"]) == (2, "refused")
    assert said["error"]["message"] == "--schema: there is no schema nope here, and no file makes it: what they make is store"
    connect_admin.execute("CREATE SCHEMA nope")
    assert run("verify", "--schema", "nope", dsn=admin_dsn)[0] == 0

    code, said = run("verify", "--pg", "15", dsn=admin_dsn)

    assert (code, said["error"]["message"]) == (2, "there is no embedded PostgreSQL 15, only 16 and 18")


CONFLICT = b"<<<<<<< HEAD\none\n=======\nother\n>>>>>>> theirs\n"


@pytest.mark.parametrize("content", [b"\xff\x00\xfe", CONFLICT], ids=["binary", "conflict"])
@pytest.mark.parametrize("name", ["0001_x.locks.txt", "MANIFEST"])
def test_what_stands_beside_and_is_no_text_is_stale(
    run: Callable[..., tuple[int, Any]], tmp_path: Path, name: str, content: bytes
) -> None:
    """
    The lint calls it stale, and --write writes it anew.
    """
    place = folder_of(tmp_path / "m", _0001="CREATE SCHEMA mine; <- DROP SCHEMA mine;")
    run("lint", str(place), "--write")
    (place / name).write_bytes(content)
    code, said = run("lint", str(place))

    assert (code, said["stale"]) == (9, [name])
    code, said = run("lint", str(place), "--write")
    assert (code, said["written"], run("lint", str(place))[0]) == (0, [name], 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\x00\xfe", "cannot be read: it is not UTF-8; `store migrate lint --write` makes it anew"),
        (CONFLICT, ":1: a mark of a merge conflict: merge the migrations, then `store migrate lint --write`"),
        (None, "cannot be read: Is a directory"),
    ],
    ids=["binary", "conflict", "directory"],
)
@pytest.mark.parametrize(
    ("name", "command"), [("0001_x.locks.txt", ["plan"]), ("MANIFEST", ["baseline", "0001_x"])], ids=["plan", "baseline"]
)
def test_what_stands_beside_and_cannot_be_read_is_told(
    run: Callable[..., tuple[int, Any]],
    empty_dsn: str,
    tmp_path: Path,
    name: str,
    command: list[str],
    content: bytes | None,
    words: str,
) -> None:
    place = folder_of(tmp_path / "m", _0001="CREATE SCHEMA mine; <- DROP SCHEMA mine;")
    if content is None:
        (place / name).mkdir()
    else:
        (place / name).write_bytes(content)
    code, said = run(*command, "--folder", str(place), dsn=empty_dsn)

    assert (code, said["exit_code"], said["outcome"]) == (2, 2, "refused")
    assert said["error"]["message"] == f"{place / name}{'' if words.startswith(':') else ' '}{words}"
    if content is None:
        assert run("lint", str(place))[0] == 2
