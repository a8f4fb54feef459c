"""
A disk that is full: nothing of the file is stored, no INVALID index stays, and the next run goes on when there is room again.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from store import embedded
from tests.migrate_faults import PATIENT, Stage

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def own_server(server_directory: Path) -> Iterator[embedded.Server]:
    """
    A server whose processes may be bounded.
    """
    directory = server_directory / "disk"
    yield embedded.start(directory, int(os.environ.get("STORE_TEST_PG", "18")))
    embedded.remove(directory)


@pytest.fixture
def stage(own_server: embedded.Server, tmp_path: Path) -> Callable[..., Stage]:
    def make(kind: str, text: str) -> Stage:
        made = Stage(own_server, f"store_test_disk_{next(_numbers)}", tmp_path / "m", kind)
        made.prepare()
        (made.folder / "0002_more.sql").write_text(text, encoding="utf-8")
        return made

    return make


# --- a real disk, as root --------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(own_server: embedded.Server, server_directory: Path) -> Iterator[Path]:
    """
    A tablespace `small` on a file system of its own, of 2 MB.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    place = server_directory / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("this root may not mount a small disk")
    try:
        data = (place / "data").absolute()
        data.mkdir()
        owner = own_server.directory.stat()
        os.chown(data, owner.st_uid, owner.st_gid)
        server_directory.chmod(0o711)
        place.chmod(0o711)
        with psycopg.connect(own_server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{data}'".encode())
        yield place
        with psycopg.connect(own_server.dsn("postgres"), autocommit=True) as connection:
            for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'store_test_disk_%'"):
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            connection.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def fill(disk: Path) -> Path:
    junk = disk / "junk"
    with junk.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return junk


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        ("transactional", "CREATE TABLE t.b TABLESPACE small AS SELECT id, repeat('x', 100) AS x FROM t.a;", 5),
        (
            "concurrent index",
            "-- transactional: false\nCREATE UNIQUE INDEX CONCURRENTLY a_idx ON t.a (id, times) TABLESPACE small;",
            6,
        ),
    ],
)
def test_a_full_disk(stage: Callable[..., Stage], small_disk: Path, kind: str, text: str, code: int) -> None:
    """
    53100 while it is full, with nothing left behind; then room is made, and the same command is run again.
    """
    made = stage(kind, text)
    made.release()
    junk = fill(small_disk)
    first = made.run(*PATIENT)

    assert (code, True) == (first.returncode, "53100" in first.stdout), first.stdout + first.stderr
    assert [] == made.query("SELECT FROM pg_index WHERE NOT indisvalid")
    assert [(None, None)] == made.query("SELECT to_regclass('t.b'), to_regclass('t.a_idx')")

    junk.unlink()
    again = made.run(*PATIENT)

    assert (0, []) == (again.returncode, made.what_is_wrong()), again.stdout + again.stderr


# --- a bound on the process, everywhere ------------------------------------------------------------------------------


def test_a_write_that_does_not_fit(stage: Callable[..., Stage]) -> None:
    """
    The server process may write no file beyond 20 MB (RLIMIT_FSIZE), set while it is in the middle of the file.
    """
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        pytest.skip("prlimit (util-linux) is not installed")
    text = "SELECT control.brake(700);\nCREATE TABLE t.b AS SELECT n AS id, repeat('x', 900) AS x FROM generate_series(1, 30000) AS n;"
    made = stage("transactional", text)
    process = made.start(*PATIENT)
    made.wait_until_braked(process)
    owner = made.server.directory.stat()  # it alone may bound its processes, where root may not
    who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    for pid in made.backends():
        subprocess.run([prlimit, f"--pid={pid}", f"--fsize={20 << 20}"], check=True, **who)
    made.release()
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 5, output + errors
    assert "could not extend file" in output
    assert [(None,)] == made.query("SELECT to_regclass('t.b')")

    again = made.run(*PATIENT)

    assert (0, []) == (again.returncode, made.what_is_wrong()), again.stdout + again.stderr
