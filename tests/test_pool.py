"""
The pool: what a caller sees while the server is away, deaf or full, and what is left when callers go.
"""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from store import AsyncStore, Store, embedded
from store.errors import (
    Overloaded,
    StoreError,
    Unavailable,
)
from tests.both import Both, both, colours, lasting
from tests.databases import Connection, TestServer, migrate_up, prepare_roles
from tests.samples import settings, user


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
def test_the_first_call_after_a_restart_succeeds(own_server: TestServer, colour: str) -> None:
    """
    The first call after a restart succeeds at once, although every connection of the pool is dead.
    """
    assert own_server.embedded is not None
    with both(colour, settings(own_server.dsn("store", "store_app"), pool_size=8)) as shop:
        shop.users()
        time.sleep(0.6)
        embedded.stop(own_server.embedded.directory)
        embedded.start(own_server.embedded.directory)
        for _ in range(9):
            shop.users()


@colours
def test_calls_succeed_soon_after_an_outage(own_server: TestServer, colour: str) -> None:
    """
    While the server is away callers get Unavailable in time; when it is back a call succeeds after a few at most.
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
            with pytest.raises(StoreError) as caught:
                shop.users()
            refused.add(type(caught.value))
            time.sleep(0.2)
        embedded.start(own_server.embedded.directory)
        late = 0
        while late < 10:
            try:
                shop.users()
            except Unavailable:
                late += 1
            else:
                break

    assert refused == {Unavailable}
    assert late < 5


@contextmanager
def hung_up_after(seconds: float, listener: socket.socket) -> Iterator[None]:
    """
    End a wait that nothing else ends, so that a test fails and does not hang.
    """
    limit = threading.Timer(seconds, listener.close)
    limit.start()
    try:
        yield
    finally:
        limit.cancel()


@colours
def test_connect_to_deaf_port_is_bounded(colour: str) -> None:
    """
    A port that accepts and never answers costs connect_timeout, and the error says where and why.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener, hung_up_after(20, listener):
        url = f"postgresql://app:secret@127.0.0.1:{listener.getsockname()[1]}/shop"
        with lasting(1.5), pytest.raises(Unavailable, match=r"host=127\.0\.0\.1 .*no answer in time") as caught:
            Both(colour, settings(url, connect_timeout=2))

    assert "secret" not in str(caught.value)


def test_overload_is_rejected_in_time(dsn: str) -> None:
    """
    Who waits for a connection gives up after pool_timeout; who would wait behind too many is refused at once.
    """
    failures: list[StoreError] = []
    with Store.open(settings(dsn, pool_size=1, pool_max_waiting=1, pool_timeout=0.5)) as shop:

        def wait() -> None:
            with lasting(0.4), pytest.raises(Overloaded) as caught:
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
    with pytest.raises(Overloaded, match="too many callers") as caught:
        shop.users.list()
    return caught.value


async def test_overload_is_rejected_in_time_async(dsn: str) -> None:
    async with AsyncStore.open(settings(dsn, pool_size=1, pool_max_waiting=1, pool_timeout=0.5)) as shop:
        async with shop.session():
            results = await asyncio.gather(*(shop.users.list() for _ in range(5)), return_exceptions=True)

        assert [type(result) for result in results] == [Overloaded] * 5
        assert len(await shop.users.list()) == 0


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
            try:
                session.users.list()
            except StoreClosed:
                os._exit(code)
            os._exit(8)
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
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, dsn],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )

    assert done.stderr == ""
    assert done.stdout == "7 3\n"


@asynccontextmanager
async def counted(dsn: str, size: int) -> AsyncIterator[AsyncStore]:
    """
    Lend a store and expect all its connections back, idle and the same in number.
    """
    async with AsyncStore.open(settings(dsn, pool_size=size, pool_max_waiting=5000, pool_timeout=30.0)) as shop:
        yield shop
        assert shop._pool._pool is not None
        await shop._pool._pool.wait(10)
        stats = shop._pool._pool.get_stats()

        assert (stats["pool_size"], stats["pool_available"], stats.get("requests_waiting", 0)) == (size, size, 0)


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
        left = set(threading.enumerate()) - before
        if row == (0,) and not left:
            return
        time.sleep(0.02)
    pytest.fail("a connection or a thread is left")
