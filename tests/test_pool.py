"""
The pool and its server: what a caller sees while the server is away, deaf, stopped, full, or not what it should be.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.databases import Connection, TestServer, migrate_up, prepare_roles
from tests.samples import product, settings, user
from tests.wire import proxy

from store import AsyncStore, Settings, Store, _connection, embedded
from store.errors import (
    CommitUnknown,
    DatabaseError,
    Overloaded,
    PermissionDenied,
    ReadOnly,
    SchemaMissing,
    SchemaTooOld,
    ServerTooOld,
    StoreClosed,
    StoreError,
    Unavailable,
)

colours = pytest.mark.parametrize("colour", ["sync", "async"])


class Both:
    """
    One shop in either colour, for tests that wait: each call runs to its end and returns.
    """

    def __init__(self, colour: str, given: Settings) -> None:
        self._runner = asyncio.Runner() if colour == "async" else None
        self.shop: Any = AsyncStore.open(given) if self._runner else Store.open(given)
        self.run(self.shop.start)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """
        Call a function or coroutine function.
        """
        return self._runner.run(function(*arguments)) if self._runner else function(*arguments)

    def create(self, name: str, before_commit: Callable[[int], None] = lambda pid: None) -> None:
        """
        Create a user in a transaction; `before_commit` gets the backend's process id.
        """
        self.run(self._acreate if self._runner else self._create, name, before_commit)

    def _create(self, name: str, before_commit: Callable[[int], None]) -> None:
        with self.shop.transaction() as tx:
            tx.users.create(user(name))
            before_commit(tx.connection.info.backend_pid)

    async def _acreate(self, name: str, before_commit: Callable[[int], None]) -> None:
        async with self.shop.transaction() as tx:
            await tx.users.create(user(name))
            before_commit(tx.connection.info.backend_pid)

    def users(self) -> int:
        """
        Return how many users there are.
        """
        return len(self.run(self.shop.users.list))

    def close(self) -> None:
        """
        Close the shop, and the loop.
        """
        self.run(self.shop.close)
        if self._runner:
            self._runner.close()


@contextmanager
def both(colour: str, given: Settings) -> Iterator[Both]:
    """
    Lend a shop in this colour.
    """
    made = Both(colour, given)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def within(seconds: float, at_least: float = 0.0) -> Iterator[None]:
    """
    Expect a block to last no longer than this, and no shorter than that.
    """
    started = time.monotonic()
    yield
    elapsed = time.monotonic() - started

    assert at_least <= elapsed <= seconds


@pytest.fixture(scope="module")
def own_server(server: TestServer, server_directory: Path) -> TestServer:
    """
    A server that a test may stop, migrated.
    """
    if server.embedded is None:
        pytest.fail("this test stops its server: run it without STORE_TEST_DSN")
    started = embedded.start(server_directory / "own", server.embedded.version)
    own = TestServer(started.dsn("postgres"), started)
    prepare_roles(own, "store")
    migrate_up(own, "store")
    return own


@colours
def test_first_success_after_restart_within_1s(own_server: TestServer, colour: str) -> None:
    """
    The first call after a restart succeeds at once, although every connection of the pool is dead.
    """
    assert own_server.embedded is not None
    with both(colour, settings(own_server.dsn("store", "store_app"), pool_size=8)) as shop:
        shop.users()
        time.sleep(0.6)
        embedded.stop(own_server.embedded.directory)
        embedded.start(own_server.embedded.directory)
        with within(1):
            shop.users()
        for _ in range(8):
            shop.users()


@colours
def test_first_success_after_outage_within_1s(own_server: TestServer, colour: str) -> None:
    """
    While the server is away callers get Unavailable in time; when it is back the next call succeeds.
    """
    assert own_server.embedded is not None
    given = settings(own_server.dsn("store", "store_app"), pool_timeout=0.5)
    with both(colour, given) as shop:
        shop.users()
        time.sleep(0.6)
        embedded.stop(own_server.embedded.directory)
        until = time.monotonic() + 8
        refused = set()
        while time.monotonic() < until:
            with within(1.5), pytest.raises(StoreError) as caught:
                shop.users()
            refused.add(type(caught.value))
            time.sleep(0.2)
        embedded.start(own_server.embedded.directory)
        with within(1):
            shop.users()

    assert refused == {Unavailable}


@colours
def test_connect_to_deaf_port_is_bounded(colour: str) -> None:
    """
    A port that accepts and never answers costs connect_timeout, and the error says where and why.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        url = f"postgresql://app:secret@127.0.0.1:{listener.getsockname()[1]}/shop"
        with within(4, at_least=1.5), pytest.raises(Unavailable, match=r"host=127\.0\.0\.1 .*no answer in time") as caught:
            Both(colour, settings(url, connect_timeout=2))

    assert "secret" not in str(caught.value)


def test_overload_is_rejected_in_time(dsn: str) -> None:
    """
    Who waits for a connection gives up after pool_timeout; who would wait behind too many is refused at once.
    """
    failures: list[StoreError] = []
    with Store.open(settings(dsn, pool_size=1, pool_max_waiting=1, pool_timeout=0.5)) as shop:

        def wait() -> None:
            with within(1, at_least=0.4), pytest.raises(Overloaded) as caught:
                shop.users.list()
            failures.append(caught.value)

        with shop.session():
            waiting = threading.Thread(target=wait)
            waiting.start()
            time.sleep(0.15)
            late = threading.Thread(target=lambda: failures.append(refused_at_once(shop)))
            late.start()
            late.join()
            waiting.join()
        assert len(shop.users.list()) == 0

    assert [type(failure) for failure in failures] == [Overloaded, Overloaded]
    assert not failures[0].retryable


def refused_at_once(shop: Store) -> StoreError:
    with within(0.2), pytest.raises(Overloaded, match="too many callers") as caught:
        shop.users.list()
    return caught.value


async def test_overload_is_rejected_in_time_async(dsn: str) -> None:
    async with AsyncStore.open(settings(dsn, pool_size=1, pool_max_waiting=1, pool_timeout=0.5)) as shop:
        async with shop.session():
            results = await asyncio.gather(*(shop.users.list() for _ in range(5)), return_exceptions=True)

        assert [type(result) for result in results] == [Overloaded] * 5
        assert len(await shop.users.list()) == 0


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """
    Stop a backend for the length of a block: its socket stays open, and nothing is answered.
    """
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@colours
def test_stopped_backend_is_bounded(dsn: str, server: TestServer, connect_admin: Connection, colour: str) -> None:
    """
    A server that is there and silent costs statement_timeout and a second; the connection is thrown away.
    """
    if server.embedded is None:
        pytest.fail("this test stops a backend: run it without STORE_TEST_DSN")
    find = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'store'"
    with both(colour, settings(dsn, statement_timeout_ms=500, pool_size=1)) as shop:
        shop.users()
        row = connect_admin.execute(find).fetchone()
        assert row is not None
        with stopped(row[0]), within(3, at_least=1), pytest.raises(Unavailable):
            shop.users()

        assert shop.users() == 0


@colours
def test_stopped_backend_in_commit_is_unknown(dsn: str, server: TestServer, colour: str) -> None:
    """
    Silence after COMMIT is bounded too, and is not called a failure.
    """
    if server.embedded is None:
        pytest.fail("this test stops a backend: run it without STORE_TEST_DSN")
    pids: list[int] = []

    def stop(pid: int) -> None:
        pids.append(pid)
        os.kill(pid, signal.SIGSTOP)

    with both(colour, settings(dsn, statement_timeout_ms=500)) as shop:
        try:
            with within(3, at_least=1), pytest.raises(CommitUnknown):
                shop.create("ada", stop)
        finally:
            os.kill(pids[0], signal.SIGCONT)

        assert shop.users() in {0, 1}


@colours
@pytest.mark.parametrize(
    ("word", "cut", "expected", "stored"),
    [
        (b"COMMIT\0", "before", CommitUnknown, 0),
        (b"COMMIT\0", "after", CommitUnknown, 1),
        (b"INSERT INTO store.users", "before", Unavailable, 0),
        (b"INSERT INTO store.users", "after", Unavailable, 0),
        (b"BEGIN", "after", Unavailable, 0),
    ],
)
def test_commit_cut_before_and_after(
    dsn: str, server: TestServer, tmp_path: Path, colour: str, word: bytes, cut: Any, expected: type[StoreError], stored: int
) -> None:
    """
    Once COMMIT was sent a cut wire means that nobody knows; before, that nothing was stored. The next call works.
    """
    if server.embedded is None:
        pytest.fail("this test needs the server's socket: run it without STORE_TEST_DSN")
    with proxy(tmp_path, server.embedded.socket_dir) as wire:
        with both(colour, settings(make_conninfo(dsn, host=str(tmp_path)))) as shop:
            wire.arm(cut, word)
            with pytest.raises(expected) as caught:
                shop.create("ada")

            assert wire.cuts == 1
            assert caught.value.retryable is (expected is Unavailable)
            for _ in range(50):  # the server may need a moment to see the cut
                if shop.users() == stored:
                    break
                time.sleep(0.02)
            assert shop.users() == stored
            shop.create("bob")
            assert shop.users() == stored + 1


FORK = """
import os, sys
from store import Store, Settings
from store.errors import StoreClosed
with Store.open(Settings(DATABASE_URL=sys.argv[1], STORE_POOL_SIZE=2)) as shop:
    before = len(shop.users.list())
    with shop.session() as session:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                shop.users.list()
            except StoreClosed:
                code = 7
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        after = len(session.users.list())
    assert (before, after, len(shop.users.list())) == (0, 0, 0)
child = os.fork()
if child == 0:
    with Store.open(Settings(DATABASE_URL=sys.argv[1])) as own:
        os._exit(3 + len(own.users.list()))
print(code, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_pool_refuses_after_fork(dsn: str) -> None:
    """
    A child is told at once, the parent's connections live on, and a child's own store works.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, dsn], capture_output=True, check=False, text=True, timeout=30
    )

    assert done.stderr == ""
    assert done.stdout == "7 3\n"


def test_settings_are_in_force(dsn: str) -> None:
    """
    What the settings say holds on every connection; transaction_timeout where the server knows it.
    """
    given = settings(dsn, statement_timeout_ms=4321, lock_timeout_ms=123, idle_timeout_ms=7000, transaction_timeout_ms=9000)
    expected = {
        "application_name": "store",
        "client_encoding": "UTF8",
        "default_transaction_isolation": "read committed",
        "idle_in_transaction_session_timeout": "7s",
        "lock_timeout": "123ms",
        "search_path": "store,pg_temp",
        "statement_timeout": "4321ms",
        "transaction_timeout": "9s",
    }
    with Store.open(given) as shop, shop.session() as session:
        if session.connection.info.server_version < 170000:
            del expected["transaction_timeout"]
        found = {name: session.connection.execute(f"SHOW {name}".encode()).fetchone() for name in expected}

        assert found == {name: (value,) for name, value in expected.items()}
        assert session.connection.autocommit


def test_query_survives_alter_table(dsn: str, connect_admin: Connection) -> None:
    """
    Prepared statements outlive a new column, DEALLOCATE ALL and DISCARD ALL.
    """
    with Store.open(settings(dsn, pool_size=1)) as shop:
        lamp = shop.catalog.create(product())
        with shop.session() as session:
            assert session.catalog.get(lamp.id) == lamp
            connect_admin.execute("ALTER TABLE store.products ADD COLUMN colour text")
            assert session.catalog.get(lamp.id) == lamp
            session.connection.execute("DEALLOCATE ALL")
            assert session.catalog.get(lamp.id) == lamp
            session.connection.execute("DISCARD ALL")
            assert session.catalog.get(lamp.id) == lamp


def test_a_read_only_store(server: TestServer, database: str, dsn: str) -> None:
    """
    It opens where nothing may be written, and writes nothing where it might; a writing store refuses such a role at the door.
    """
    reports = server.dsn(database, "store_readonly")
    with Store.open(settings(reports), read_only=True, check=False) as shop:
        assert len(shop.users.list()) == 0
        with pytest.raises((ReadOnly, PermissionDenied)):
            shop.users.create(user("ada"))
    with Store.open(settings(dsn), read_only=True) as shop:
        with pytest.raises(ReadOnly):
            shop.users.create(user("ada"))
        with pytest.raises(ReadOnly), shop.transaction() as tx:
            tx.users.create(user("ada"))
        assert len(shop.users.list()) == 0
    with pytest.raises(Unavailable, match="read-only"), Store.open(settings(reports)):
        raise AssertionError("opened")


def test_schema_missing_or_old(empty_dsn: str, dsn: str, connect_admin: Connection) -> None:
    """
    A database without the schema, with an older one or without the right to use it is refused at the door, by name.
    """
    with pytest.raises(SchemaMissing, match="store migrate up"), Store.open(settings(empty_dsn)):
        raise AssertionError("opened")
    connect_admin.execute("CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text LANGUAGE sql IMMUTABLE RETURN '0001_x'")
    with pytest.raises(SchemaTooOld, match=r"at 0001_x and 0\d{3}_\w+ is needed: run `store migrate up`"), Store.open(settings(dsn)):
        raise AssertionError("opened")
    connect_admin.execute("DROP FUNCTION store.schema_version()")
    with pytest.raises(SchemaTooOld), Store.open(settings(dsn)):
        raise AssertionError("opened")
    connect_admin.execute("REVOKE USAGE ON SCHEMA store FROM store_app")
    with pytest.raises(PermissionDenied, match=r"grants\.sql|permission denied"), Store.open(settings(dsn)):
        raise AssertionError("opened")


def test_check_holds_every_statement_against_the_schema(dsn: str, connect_admin: Connection) -> None:
    with Store.open(settings(dsn), check=True) as shop:
        assert len(shop.users.list()) == 0
    connect_admin.execute("ALTER TABLE store.inventory RENAME COLUMN reserved TO promised")
    with pytest.raises(DatabaseError, match=r"i\.reserved does not exist in \w+\.\w+ \(SQLSTATE 42703\)"), Store.open(settings(dsn), check=True):
        raise AssertionError("opened")


def test_an_old_server_is_refused(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No server below 16 can be had from PyPI: the floor is raised above this one instead.
    """
    monkeypatch.setattr(_connection, "MIN_SERVER_VERSION", 990000)
    with pytest.raises(ServerTooOld, match="this server is 1[678]"), Store.open(settings(dsn)):
        raise AssertionError("opened")


@colours
def test_a_closed_store(dsn: str, colour: str) -> None:
    """
    Before start() and after close() there is no store; it can be started again, and closed twice.
    """
    unopened = Store.open(settings(dsn))
    with pytest.raises(StoreClosed):
        unopened.users.list()
    with both(colour, settings(dsn)) as shop:
        shop.run(shop.shop.start)
        shop.run(shop.shop.close)
        shop.run(shop.shop.close)
        with pytest.raises(StoreClosed):
            shop.users()
        shop.run(shop.shop.start)
        assert shop.users() == 0


@asynccontextmanager
async def counted(dsn: str, size: int) -> AsyncIterator[AsyncStore]:
    """
    Lend a store and expect all its connections back, idle and the same in number.
    """
    async with AsyncStore.open(settings(dsn, pool_size=size, pool_max_waiting=5000, pool_timeout=30.0)) as shop:
        yield shop
        assert shop._pool is not None
        await shop._pool.wait(10)
        stats = shop._pool.get_stats()

        assert (stats["pool_size"], stats["pool_available"], stats.get("requests_waiting", 0)) == (size, size, 0)
        assert shop._busy == set()


async def storm(dsn: str, admin: Connection, cancels: int) -> None:
    """
    Cancel so many transactions at any moment of theirs; what was acknowledged is stored, whole.
    """
    acknowledged: list[int] = []
    chance = random.Random(4711)

    async def pair(shop: AsyncStore, number: int) -> None:
        async with shop.transaction() as tx:
            await tx.users.create(user(f"left{number}"))
            await tx.users.create(user(f"right{number}"))
        acknowledged.append(number)

    async with counted(dsn, 4) as shop:
        tasks = []
        for number in range(cancels):
            tasks.append(asyncio.create_task(pair(shop, number)))
            await asyncio.sleep(chance.random() * 0.004)
            chance.choice(tasks[-8:]).cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
        assert len(await shop.users.list(page_size=1)) == 1
    names = [row[0] for row in admin.execute("SELECT username FROM store.users").fetchall()]
    left, right = ({name[len(side) :] for name in names if name.startswith(side)} for side in ("left", "right"))

    assert left == right
    assert {str(number) for number in acknowledged} <= left
    assert 0 < len(acknowledged) < cancels


async def test_cancels_leave_the_pool_whole(dsn: str, connect_admin: Connection) -> None:
    await storm(dsn, connect_admin, 150)


@pytest.mark.long
async def test_1000_cancels_leave_the_pool_whole(dsn: str, connect_admin: Connection) -> None:
    await storm(dsn, connect_admin, 1000)


def test_nothing_is_left_behind(dsn: str, connect_admin: Connection) -> None:
    """
    A closed store has no connection and no thread.
    """
    before = set(threading.enumerate())
    with Store.open(settings(dsn)) as shop:
        shop.users.list()
    for _ in range(100):
        row = connect_admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'store'"
        ).fetchone()
        if row == (0,) and set(threading.enumerate()) <= before:
            break
        time.sleep(0.02)

    assert row == (0,)
    assert set(threading.enumerate()) <= before
    assert isinstance(connect_admin, psycopg.Connection)
