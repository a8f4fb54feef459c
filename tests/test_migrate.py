"""
Migrations: every one whole or not at all, one runner at a time, and no repair by hand after a kill.
"""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
import yoyo
from psycopg.conninfo import conninfo_to_dict

from store import migrate
from store.errors import MigrationError, Unavailable
from tests.databases import Connection, TestServer
from tests.waiting import stopped, until

SOURCE = Path(__file__).resolve().parents[1] / "src"

Connect = Callable[[], Connection]
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """
    Writes migrations, by the number of each; a rollback drops the schema `t<number>`, outside a transaction nothing.
    """

    def write(name: str = "migrations", **texts: str) -> Path:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        for number, text in texts.items():
            (place / f"{number[1:]}_x.sql").write_text(text, encoding="utf-8")
            back = "SELECT 1;" if "transactional: false" in text else f"DROP SCHEMA t{number[1:]};"
            (place / f"{number[1:]}_x.rollback.sql").write_text(back, encoding="utf-8")
        return place

    return write


def schemas(connect: Connect) -> list[str]:
    with connect() as connection:
        rows = connection.execute("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname ~ '^t[0-9]' ORDER BY nspname")
        return [row[0] for row in rows]


def states(connect: Connect, place: Path) -> dict[str, str]:
    return {each.id: each.state for each in migrate.status(connect, place)}


def test_up_down_status(connect: Connect, folder: Folder) -> None:
    place = folder(_0001="CREATE SCHEMA t0001;", _0002="CREATE SCHEMA t0002;", _0003="CREATE SCHEMA t0003;")
    heard: list[str] = []

    assert states(connect, place) == {"0001_x": "pending", "0002_x": "pending", "0003_x": "pending"}
    assert migrate.pending(connect, place) == ["0001_x", "0002_x", "0003_x"]
    assert migrate.up(connect, place, heard.append) == heard == ["0001_x", "0002_x", "0003_x"]
    assert migrate.up(connect, place) == []
    assert migrate.down(connect, place) == ["0003_x"]
    assert migrate.down(connect, place, count=5) == ["0002_x", "0001_x"]
    assert migrate.down(connect, place) == []
    assert schemas(connect) == []


def test_status_tells_when(connect: Connect, folder: Folder) -> None:
    place = folder(_0001="CREATE SCHEMA t0001;")
    migrate.up(connect, place)
    (applied,) = migrate.status(connect, place)
    with connect() as connection:
        row = connection.execute("SELECT %s BETWEEN now() - interval '1 minute' AND now()", (applied.applied_at,)).fetchone()

    assert row == (True,)


def test_status_changes_nothing(connect: Connect, folder: Folder) -> None:
    """
    Asking makes no schema and no table, and works where nothing may be written.
    """

    def read_only() -> Connection:
        connection = connect()
        connection.execute("SET default_transaction_read_only = on")
        return connection

    place = folder(_0001="CREATE SCHEMA t0001;")

    assert migrate.pending(read_only, place) == ["0001_x"]

    with connect() as connection:
        row = connection.execute("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'store_migrations'").fetchone()

    assert row == (0,)


def test_migrations_in_bracketed_path(connect: Connect, folder: Folder) -> None:
    """
    A path is a path, not a pattern.
    """
    place = folder("a[b]*", _0001="CREATE SCHEMA t0001;")

    assert migrate.up(connect, place) == ["0001_x"]
    assert schemas(connect) == ["t0001"]


def test_missing_or_empty_folder_is_refused(connect: Connect, tmp_path: Path) -> None:
    for operation in (migrate.up, migrate.down, migrate.status, migrate.pending):
        with pytest.raises(MigrationError, match="no folder of migrations"):
            operation(connect, tmp_path / "nowhere")
        with pytest.raises(MigrationError, match="no migrations in"):
            operation(connect, tmp_path)


def test_a_stray_file_is_refused(connect: Connect, folder: Folder) -> None:
    """
    The whole folder is read before anything is sent.
    """
    for name, text, message in (
        ("0002_y.sql", "SELECT 1;", "0002_y.rollback.sql is missing"),
        ("0002_y.rollback.sql", "SELECT 1;", "nothing to roll back"),
        ("0002_y.py", "steps = []", "NNNN_words.sql"),
        ("2_y.sql", "SELECT 1;", "NNNN_words.sql"),
        ("post-apply.sql", "SELECT 1;", "NNNN_words.sql"),
        ("0002_y.SQL", "SELECT 1;", "NNNN_words.sql"),
    ):
        place = folder(_0001="CREATE SCHEMA t0001;")
        (place / name).write_text(text, encoding="utf-8")
        with pytest.raises(MigrationError, match=message):
            migrate.up(connect, place)
        (place / name).unlink()

    assert schemas(connect) == []


@pytest.mark.parametrize(
    "text",
    [
        "CREATE SCHEMA t0001; COMMIT;",
        "BEGIN; CREATE SCHEMA t0001;",
        "/* why */ start transaction; CREATE SCHEMA t0001;",
        "CREATE SCHEMA t0001; -- then\nROLLBACK",
        "SAVEPOINT a; CREATE SCHEMA t0001;",
        'CREATE SCHEMA t0001; CREATE VIEW t0001.v AS SELECT s."case" FROM (SELECT 1 AS case) AS s; COMMIT; BEGIN;',
        "CREATE SCHEMA t0001; CREATE FUNCTION t0001.f() RETURNS integer BEGIN ATOMIC SELECT 1 AS case; END; COMMIT; BEGIN;",
        "CREATE SCHEMA t0001; CREATE FUNCTION t0001.f() RETURNS integer BEGIN ATOMIC SELECT 1 case; END; COMMIT; BEGIN;",
    ],
)
def test_transaction_control_is_refused(connect: Connect, folder: Folder, text: str) -> None:
    with pytest.raises(MigrationError, match=r"0001_x.sql:\d: the runner begins and ends the transaction"):
        migrate.up(connect, folder(_0001=text))

    assert schemas(connect) == []


def test_a_string_that_hides_a_commit_is_refused(connect: Connect, folder: Folder) -> None:
    with pytest.raises(MigrationError, match="E'' string continued on the next line"):
        migrate.up(connect, folder(_0001="SELECT E'a'\n'\\'' ; CREATE SCHEMA t0001; COMMIT; SELECT ' ';\n-- '"))

    assert schemas(connect) == []


@pytest.mark.parametrize("end", ["END", "END AND CHAIN"])
def test_a_commit_that_nobody_saw_is_told(connect: Connect, folder: Folder, end: str) -> None:
    """
    What the reader takes for the end of a body ends the transaction, even where another begins at once: it is not recorded as
    if it had been one.
    """
    body = "CREATE FUNCTION t0001.f() RETURNS integer BEGIN ATOMIC SELECT 1 case; END"
    with pytest.raises(MigrationError, match="the file ended the transaction itself"):
        migrate.up(connect, folder(_0001=f"CREATE SCHEMA t0001; {body}; {end};"))

    assert ["0001_x"] == migrate.pending(connect, folder(_0001="SELECT 1;"))


def test_begin_and_commit_as_text_are_no_control(connect: Connect, folder: Folder) -> None:
    """
    In bodies, strings, comments and names they are words like any other.
    """
    text = """
    -- COMMIT;
    CREATE SCHEMA t0001;
    CREATE TABLE t0001.a (begin text DEFAULT 'x; COMMIT; y', "rollback;" text);
    CREATE FUNCTION t0001.f() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; END;
    DO $body$ BEGIN PERFORM 1; END $body$;
    """

    assert migrate.up(connect, folder(_0001=text)) == ["0001_x"]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE SCHEMA t0001;\n-- depends: 0000_nothing\n",
        "CREATE SCHEMA t0001;\n-- transactional: false\n",
        "/* first */\n-- depends: 0000_nothing\nCREATE SCHEMA t0001;",
        "-- Transactional: False\nCREATE SCHEMA t0001;",
        "-- transactional: no\nCREATE SCHEMA t0001;",
        "-- depends: 0000_nothing\nCREATE SCHEMA t0001;",
    ],
)
def test_directives_lead_the_file(connect: Connect, folder: Folder, text: str) -> None:
    """
    A directive that would be ignored, or means nothing, is refused.
    """
    with pytest.raises(MigrationError, match="0001_x"):
        migrate.up(connect, folder(_0001=text))

    assert schemas(connect) == []


def test_numbers_decide(connect: Connect, folder: Folder) -> None:
    """
    The order is that of the numbers; a dependency the other way round, or a number used twice, is refused.
    """
    place = folder(_0001="CREATE SCHEMA t0001;", _0002="-- depends: 0001_x\nCREATE SCHEMA t0002;")

    assert migrate.pending(connect, place) == ["0001_x", "0002_x"]

    folder(_0001="-- depends: 0002_x\nCREATE SCHEMA t0001;")
    with pytest.raises(MigrationError, match="depends on 0002_x, which does not come before"):
        migrate.up(connect, place)
    folder(_0001="CREATE SCHEMA t0001;")
    for name in ("0002_y.sql", "0002_y.rollback.sql"):
        (place / name).write_text("SELECT 1;", encoding="utf-8")
    with pytest.raises(MigrationError, match="0002_x and 0002_y have the same number"):
        migrate.up(connect, place)

    assert schemas(connect) == []


def test_error_names_file_line_and_message(connect: Connect, folder: Folder) -> None:
    """
    What came before stays, nothing of the failing file does, and the next run goes on from there.
    """
    place = folder(
        _0001="CREATE SCHEMA t0001;",
        _0002="CREATE SCHEMA t0002;\n\nCREATE TABLE t0002.a (id bigint,\n  b nonsense);",
        _0003="CREATE SCHEMA t0003;",
    )
    with pytest.raises(MigrationError, match=r'0002_x\.sql:4: type "nonsense" does not exist') as caught:
        migrate.up(connect, place)

    assert caught.value.sqlstate == "42704"
    assert schemas(connect) == ["t0001"]
    assert states(connect, place) == {"0001_x": "applied", "0002_x": "pending", "0003_x": "pending"}

    folder(_0002="CREATE SCHEMA t0002;")

    assert migrate.up(connect, place) == ["0002_x", "0003_x"]


def test_failing_rollback_leaves_it_applied(connect: Connect, folder: Folder) -> None:
    place = folder(_0001="CREATE SCHEMA t0001;")
    (place / "0001_x.rollback.sql").write_text("DROP SCHEMA t0001; DROP SCHEMA nowhere;", encoding="utf-8")
    migrate.up(connect, place)
    with pytest.raises(MigrationError, match=r"0001_x.rollback.sql"):
        migrate.down(connect, place)

    assert schemas(connect) == ["t0001"]
    assert states(connect, place) == {"0001_x": "applied"}


def test_unqualified_ddl_is_an_error(connect: Connect, folder: Folder) -> None:
    """
    A forgotten schema name lands nowhere, whatever search_path the role has.
    """

    def with_path() -> Connection:
        connection = connect()
        connection.execute("SET search_path = public")
        return connection

    with pytest.raises(MigrationError, match="no schema has been selected"):
        migrate.up(with_path, folder(_0001="CREATE TABLE a (id bigint);"))


def test_unknown_migration_is_reported(connect: Connect, folder: Folder) -> None:
    """
    A database ahead of the folder is said to be, and neither moved on nor back.
    """
    place = folder(_0001="CREATE SCHEMA t0001;", _0002="CREATE SCHEMA t0002;")
    migrate.up(connect, place)
    for path in place.glob("0002*"):
        path.unlink()
    folder(_0003="CREATE SCHEMA t0003;")

    assert states(connect, place) == {"0002_x": "unknown", "0001_x": "applied", "0003_x": "pending"}

    with pytest.raises(MigrationError, match="0002_x"):
        migrate.up(connect, place)
    with pytest.raises(MigrationError, match="0002_x"):
        migrate.down(connect, place)

    assert schemas(connect) == ["t0001", "t0002"]


def test_late_number_is_refused(connect: Connect, folder: Folder) -> None:
    migrate.up(connect, folder(_0002="CREATE SCHEMA t0002;"))
    with pytest.raises(MigrationError, match="0001_x would be applied out of order"):
        migrate.up(connect, folder(_0001="CREATE SCHEMA t0001;"))


def test_nothing_is_printed(connect: Connect, folder: Folder, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Not even the rows of a SELECT in a migration.
    """
    place = folder(_0001="CREATE SCHEMA t0001; SELECT 'secret';", _0002="SELECT nonsense;")
    with pytest.raises(MigrationError):
        migrate.up(connect, place)
    migrate.down(connect, place)

    assert capfd.readouterr() == ("", "")


def test_user_without_a_name(connect: Connect, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In a container the user may have a number only.
    """

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nameless)

    assert migrate.up(connect, folder(_0001="CREATE SCHEMA t0001;")) == ["0001_x"]


def test_plain_yoyo_goes_on(connect: Connect, folder: Folder, empty_database: str, server: TestServer) -> None:
    """
    Whoever leaves this runner finds state and files as yoyo itself would have written them.
    """
    place = folder(_0001="CREATE SCHEMA t0001;", _0002="CREATE SCHEMA t0002;")
    migrate.up(connect, place)
    where = conninfo_to_dict(server.dsn(empty_database)) | {"schema": "store_migrations"}
    backend = yoyo.get_backend(f"postgresql+psycopg:///{where.pop('dbname')}?{urlencode(where)}")
    with backend:
        backend.rollback_migrations(backend.to_rollback(yoyo.read_migrations(str(place))))

    assert schemas(connect) == []
    assert states(connect, place) == {"0001_x": "pending", "0002_x": "pending"}


def test_concurrent_runners_take_turns(connect: Connect, folder: Folder) -> None:
    """
    Each file is applied once, CREATE INDEX CONCURRENTLY included, and nobody fails.
    """
    place = folder(
        _0001="CREATE SCHEMA t0001; CREATE TABLE t0001.a (id bigint); SELECT pg_sleep(0.3);",
        _0002="-- transactional: false\nCREATE INDEX CONCURRENTLY a_id_idx ON t0001.a (id);",
        _0003="CREATE SCHEMA t0003;",
    )
    done: list[str] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.extend(migrate.up(connect, place))
        except BaseException as error:  # noqa: BLE001 (told by the assertion)
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failed == []
    assert sorted(done) == ["0001_x", "0002_x", "0003_x"]


def test_waiting_ends(connect: Connect, folder: Folder) -> None:
    """
    A runner that never gets its turn says who has it.
    """
    place = folder(_0001="CREATE SCHEMA t0001; SELECT pg_sleep(3);")
    first = threading.Thread(target=lambda: migrate.up(connect, place))
    first.start()
    with connect() as connection:
        while (
            connection.execute("SELECT FROM pg_catalog.pg_stat_activity WHERE query LIKE 'CREATE SCHEMA t0001%'").fetchone()
            is None
        ):
            time.sleep(0.02)
        holder = connection.execute(
            "SELECT pid FROM pg_catalog.pg_stat_activity WHERE query LIKE 'CREATE SCHEMA t0001%'"
        ).fetchone()
    with pytest.raises(MigrationError, match=rf"another runner is at work \(server process {holder[0]}, user"):
        migrate.up(connect, place, options=migrate.Options(lock_wait=0.3))
    first.join(30)


RUNNER = """
import sys, psycopg
from pathlib import Path
from store import migrate
print(migrate.up(lambda: psycopg.connect(sys.argv[1]), Path(sys.argv[2])))
"""


def run(dsn: str, place: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, dsn, str(place)],
        env=os.environ | {"PYTHONPATH": str(SOURCE)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_runner_leaves_no_lock(connect: Connect, folder: Folder, empty_dsn: str, kill: signal.Signals) -> None:
    """
    Kill a runner in the middle of a file: the next one converges without a person.
    """
    place = folder(_0001="CREATE SCHEMA t0001;", _0002="CREATE SCHEMA t0002; SELECT pg_sleep(60);")
    with run(empty_dsn, place) as runner, connect() as connection:
        while (
            connection.execute("SELECT FROM pg_catalog.pg_stat_activity WHERE query LIKE 'CREATE SCHEMA t0002%'").fetchone()
            is None
        ):
            assert runner.poll() is None, runner.stderr.read() if runner.stderr else ""
            time.sleep(0.02)
        runner.send_signal(kill)
        runner.communicate()

    assert schemas(connect) == ["t0001"]

    folder(_0002="CREATE SCHEMA t0002;")

    assert migrate.up(connect, place, options=migrate.Options(lock_wait=20)) == ["0002_x"]
    assert schemas(connect) == ["t0001", "t0002"]


@pytest.mark.parametrize("text", ["SELECT 1;", "SELECT pg_sleep(1);"], ids=["before the file", "behind the file"])
def test_ctrl_c_is_told_as_such_when_the_connection_goes_with_it(
    connect: Connect, folder: Folder, empty_dsn: str, text: str
) -> None:
    """
    The driver cancels the statement at Ctrl-C, and what comes of that is not what happened.
    """
    place = folder(_0001="CREATE SCHEMA t; CREATE TABLE t.a (id bigint); CREATE VIEW t.v AS SELECT id FROM t.a;")
    migrate.up(connect, place)
    folder(_0002=text)
    command = [sys.executable, "-m", "store", "migrate", "up", "--json", "--folder", str(place)]
    waits = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND "
    with connect() as connection, connect() as holder:
        connection.autocommit, holder.autocommit = True, False
        if "sleep" not in text:
            holder.execute("LOCK TABLE t.a")
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=os.environ | {"DATABASE_URL": empty_dsn}, stdout=pipe, stderr=pipe, text=True)
        with process:
            if "sleep" in text:
                until(lambda: connection.execute(f"{waits} wait_event = 'PgSleep'").fetchone(), "the file to sleep")
                holder.execute("LOCK TABLE t.a")
            until(lambda: connection.execute(f"{waits} wait_event_type = 'Lock'").fetchone(), "the fingerprint to wait")
            ((pid,),) = connection.execute(f"{waits} wait_event_type = 'Lock'")
            with stopped(pid):
                process.send_signal(signal.SIGINT)
                time.sleep(1)  # for the driver to send its cancel, which the stopped backend keeps
                connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
            output, errors = process.communicate(timeout=60)

    assert (5, "interrupted") == (process.returncode, json.loads(output)["error"]["message"].partition(":")[0]), output
    assert "closing connection" not in errors  # which the driver would say


def test_files_are_utf8_whatever_the_locale(connect: Connect, folder: Folder, empty_dsn: str) -> None:
    place = folder(_0001="-- größer\nCREATE SCHEMA t0001; COMMENT ON SCHEMA t0001 IS 'größer €';")
    with run(empty_dsn, place, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PGCLIENTENCODING="LATIN1") as runner:
        output, errors = runner.communicate()

    assert (output, errors) == ("['0001_x']\n", "")

    with connect() as connection:
        row = connection.execute("SELECT obj_description('t0001'::regnamespace, 'pg_namespace')").fetchone()

    assert row == ("größer €",)


def test_file_that_is_not_utf8_is_refused(connect: Connect, folder: Folder) -> None:
    place = folder(_0001="CREATE SCHEMA t0001;")
    (place / "0001_x.sql").write_bytes(b"COMMENT ON SCHEMA t0001 IS 'gr\xf6sser'")
    with pytest.raises(MigrationError, match=r"0001_x.sql cannot be read as UTF-8"):
        migrate.up(connect, place)


def test_unreachable_server(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        migrate.up(lambda: psycopg.connect(host=str(tmp_path)), folder(_0001="CREATE SCHEMA t0001;"))


def test_lost_connection_stores_nothing(connect: Connect, folder: Folder) -> None:
    """
    A server process that dies in the middle of a file takes the file with it, and the error says which.
    """
    place = folder(_0001="CREATE SCHEMA t0001; SELECT pg_terminate_backend(pg_backend_pid());")
    with pytest.raises(MigrationError, match=r"0001_x.sql"):
        migrate.up(connect, place)

    assert schemas(connect) == []
