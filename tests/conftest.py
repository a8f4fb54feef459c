"""
A real PostgreSQL for every test: one server a session, one migrated template, one clone of it a test.

The server is the embedded one, of the version STORE_TEST_PG (18 unless set), in a directory that is deleted at the end. With
STORE_TEST_DSN it is that server instead, as a superuser; store_app, store_migrator and store_readonly must be let in there by
trust or by the same password, and the roles stay behind. Only databases called store_test_* are created, and dropped.

The tests read no other setting: DATABASE_URL, PG* and STORE_* are taken out of the environment first, and the working directory
is an empty one, so that no .env is read. Paths in tests start from `Path(__file__)`.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from store import embedded
from store.migrate import Connect
from tests.databases import Connection, TestServer, create_database, migrate_up, prepare_roles

for name in list(os.environ):
    if name == "DATABASE_URL" or name.startswith("PG") or (name.startswith("STORE_") and not name.startswith("STORE_TEST_")):
        del os.environ[name]

_number = itertools.count(1)
_FAST = {
    "autovacuum": "off",
    "dynamic_shared_memory_type": "mmap",  # in the data: nothing stays in /dev/shm of a server that was killed
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "synchronous_commit": "off",
}
_MEMORY = Path("/dev/shm")  # noqa: S108 (a directory of its own is made in it)
_MEMORY_NEEDED = 3 << 30  # a server of each of four workers, with whatever its tests start beside it


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Work in an empty directory, where no .env is.
    """
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """
    A directory for servers of this session; whatever still runs in it at the end is stopped and deleted.
    """
    # Root's server is another user, which every folder above has to let through: pytest's own temporary folders do not.
    # In memory where there is room: most of a clone's time is its thousand files.
    is_roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_NEEDED
    directory = Path(tempfile.mkdtemp(prefix="store-test-", dir=_MEMORY if is_roomy else "/var/tmp"))  # noqa: S108 (mkdtemp names it)
    try:
        yield directory
    finally:
        for mark in list(directory.glob("**/plainstore.embedded")):
            embedded.remove(mark.parent)
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> TestServer:
    """
    The PostgreSQL of this session.
    """
    if foreign := os.environ.get("STORE_TEST_DSN"):
        return TestServer(foreign, None)
    directory: Path = request.getfixturevalue("server_directory") / "pg"
    started = embedded.start(directory, int(os.environ.get("STORE_TEST_PG", "18")))
    with psycopg.connect(started.dsn("postgres"), autocommit=True) as connection:
        for name, value in _FAST.items():
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
    embedded.stop(directory)  # max_connections takes effect at start
    started = embedded.start(directory)
    return TestServer(started.dsn("postgres"), started)


@pytest.fixture(scope="session")
def template(server: TestServer) -> Iterator[str]:
    """
    The migrated database that the others are clones of; nobody stays connected to it.
    """
    with create_database(server, f"store_test_template_{os.getpid()}") as name:
        prepare_roles(server, name)
        migrate_up(server, name)
        yield name


@pytest.fixture
def database(server: TestServer, template: str) -> Iterator[str]:
    """
    A fresh clone of the template.
    """
    with create_database(server, f"store_test_{next(_number)}_{os.getpid()}", template) as name:
        yield name


@pytest.fixture
def dsn(server: TestServer, database: str) -> str:
    """
    The clone, as the application sees it: role store_app.
    """
    return server.dsn(database, "store_app")


@pytest.fixture
def admin_dsn(server: TestServer, database: str) -> str:
    """
    The same clone, as superuser.
    """
    return server.dsn(database)


@pytest.fixture
def empty_database(server: TestServer) -> Iterator[str]:
    """
    A database without anything of ours in it.
    """
    with create_database(server, f"store_test_{next(_number)}_{os.getpid()}") as name:
        yield name


@pytest.fixture
def empty_dsn(server: TestServer, empty_database: str) -> str:
    """
    The empty database, as superuser.
    """
    return server.dsn(empty_database)


@pytest.fixture
def connect(empty_dsn: str) -> Connect:
    """
    Opens connections to the empty database, as superuser: what the runner of migrations is given.
    """
    return lambda: psycopg.connect(empty_dsn, autocommit=True)


@pytest.fixture
def connect_admin(server: TestServer, database: str) -> Iterator[Connection]:
    """
    An autocommit connection to the clone, as superuser.
    """
    with server.connect(database) as connection:
        yield connection


@pytest.fixture
def connect_as(server: TestServer, database: str) -> Iterator[Callable[[str], Connection]]:
    """
    Opens autocommit connections to the clone as any role; they are closed at the end.
    """
    opened: list[Connection] = []

    def connect(user: str) -> Connection:
        opened.append(psycopg.connect(server.dsn(database, user), autocommit=True))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()
