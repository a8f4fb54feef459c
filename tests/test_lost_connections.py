"""
Connections that fall silent or are cut: what is known to be stored, what is not, and how long it takes to know.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from store import Queries, Store, _failures
from store._connection import MIN_TRANSACTION_TIMEOUT_VERSION
from store.errors import CommitUnknown, StoreError, TransactionAborted, Unavailable, from_postgres
from tests.both import both, colours, lasting
from tests.databases import Connection, TestServer
from tests.samples import product, settings
from tests.waiting import stopped
from tests.wire import proxy


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
        with stopped(row[0]), lasting(1), pytest.raises(Unavailable):
            shop.users()

        assert shop.users() == 0


@colours
def test_stopped_backend_is_bounded_on_an_idle_connection(
    dsn: str, server: TestServer, connect_admin: Connection, colour: str
) -> None:
    """
    The look at a connection that was idle for a while is bounded like a statement.
    """
    if server.embedded is None:
        pytest.fail("this test stops a backend: run it without STORE_TEST_DSN")
    find = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'store'"
    with both(colour, settings(dsn, statement_timeout_ms=500, pool_size=1)) as shop:
        shop.users()
        time.sleep(0.7)
        row = connect_admin.execute(find).fetchone()
        assert row is not None
        with stopped(row[0]), lasting(1):
            assert shop.users() == 0


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_lone_write_that_is_cut_is_unknown(dsn: str, server: TestServer, tmp_path: Path, cut: Any) -> None:
    """
    Outside a transaction a statement is its own COMMIT: once it was sent, a cut wire means that nobody knows. A read is repeatable.
    """
    if server.embedded is None:
        pytest.fail("this test needs the server's socket: run it without STORE_TEST_DSN")
    with (
        proxy(tmp_path, server.embedded.socket_dir) as wire,
        Store.open(settings(make_conninfo(dsn, host=str(tmp_path)))) as shop,
    ):
        lamp = shop.catalog.create(product())
        with shop.session() as session:
            session.inventory.adjust(lamp.id, delta=0)  # from now on it is prepared, and what is cut is its execution
            wire.arm(cut, b"_pg3_")
            with pytest.raises(CommitUnknown):
                session.inventory.adjust(lamp.id, delta=5)
        expected = 15 if cut == "after" else 10
        for _ in range(50):  # the server may need a moment to see the cut
            if shop.inventory.get(lamp.id).on_hand == expected:
                break
            time.sleep(0.02)
        stored = shop.inventory.get(lamp.id).on_hand
        wire.arm(cut, b"users.list_users")
        with pytest.raises(Unavailable) as caught:
            shop.users.list()

        assert expected == stored
        assert caught.value.retryable


COPIES = """
-- name: numbers_in()
-- Take numbers in.
-- kind: copy
COPY store.probe FROM STDIN;

-- name: numbers_out()
-- Give numbers out.
-- kind: copy
COPY store.probe TO STDOUT;
"""


def make_copies(folder: Path, admin: Connection) -> Any:
    """
    Return two COPY statements and make their table, which the application may use.
    """
    admin.execute("CREATE TABLE store.probe (n bigint); GRANT SELECT, INSERT ON store.probe TO store_app")
    (folder / "copies.sql").write_text(COPIES)
    return Queries.load(folder).copies


def count_probe(connection: Connection, expected: int) -> int:
    """
    Return how many rows the table has; the server may need a moment to see a cut.
    """
    found = -1
    for _ in range(50):
        row = connection.execute("SELECT count(*) FROM store.probe").fetchone()
        found = row[0] if row else -1
        if found == expected:
            break
        time.sleep(0.02)
    return found


@pytest.mark.parametrize(("cut", "stored"), [("before", 0), ("after", 2)])
def test_a_lone_copy_that_is_cut_is_unknown(
    dsn: str, server: TestServer, connect_admin: Connection, tmp_path: Path, cut: Any, stored: int
) -> None:
    """
    Rows that are copied in outside a transaction commit by themselves; inside one nothing is stored, and reading is repeatable.
    """
    if server.embedded is None:
        pytest.fail("this test needs the server's socket: run it without STORE_TEST_DSN")
    copies = make_copies(tmp_path, connect_admin)
    with (
        proxy(tmp_path, server.embedded.socket_dir) as wire,
        Store.open(settings(make_conninfo(dsn, host=str(tmp_path)))) as shop,
    ):
        wire.arm(cut, b"4711")
        with pytest.raises(Unavailable), shop.transaction() as tx, tx.copy(copies.numbers_in) as copy:
            copy.write("4711\n4712\n")
        assert count_probe(connect_admin, 0) == 0

        wire.arm(cut, b"4711")
        with pytest.raises(CommitUnknown), shop.session() as session, session.copy(copies.numbers_in) as copy:
            copy.write("4711\n4712\n")
        assert count_probe(connect_admin, stored) == stored

        wire.arm(cut, b"copies.numbers_out")
        with pytest.raises(Unavailable), shop.session() as session, session.copy(copies.numbers_out) as copy:
            list(copy)
        assert wire.cuts == 3


def test_a_copy_into_silence_is_bounded(dsn: str, server: TestServer, connect_admin: Connection, tmp_path: Path) -> None:
    """
    A server that stops while rows are copied costs what it costs a statement.
    """
    if server.embedded is None:
        pytest.fail("this test stops a backend: run it without STORE_TEST_DSN")
    copies = make_copies(tmp_path, connect_admin)
    with (
        ExitStack() as stops,
        Store.open(settings(dsn, statement_timeout_ms=500)) as shop,
        shop.session() as session,
    ):
        pid = session.connection.info.backend_pid
        with lasting(1), pytest.raises(CommitUnknown), session.copy(copies.numbers_in) as copy:
            copy.write("1\n")
            stops.enter_context(stopped(pid))
        stops.close()

    assert connect_admin.execute("SELECT count(*) FROM store.probe").fetchone() in {(0,), (1,)}


@colours
def test_stopped_backend_in_commit_is_unknown(dsn: str, server: TestServer, colour: str) -> None:
    """
    Silence after COMMIT is bounded too, and is not called a failure.
    """
    if server.embedded is None:
        pytest.fail("this test stops a backend: run it without STORE_TEST_DSN")
    with ExitStack() as stops, both(colour, settings(dsn, statement_timeout_ms=500)) as shop:
        with lasting(1), pytest.raises(CommitUnknown):
            shop.create("ada", lambda pid: stops.enter_context(stopped(pid)))
        stops.close()

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
    with (
        proxy(tmp_path, server.embedded.socket_dir) as wire,
        both(colour, settings(make_conninfo(dsn, host=str(tmp_path)))) as shop,
    ):
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


def test_a_commit_that_is_answered_with_rollback_is_no_success(dsn: str, server: TestServer, tmp_path: Path) -> None:
    """
    Whatever stands between: what was not committed is not reported as stored, neither by the block nor by its last statement.
    """
    if server.embedded is None:
        pytest.fail("this test needs the server's socket: run it without STORE_TEST_DSN")
    with (
        proxy(tmp_path, server.embedded.socket_dir) as wire,
        Store.open(settings(make_conninfo(dsn, host=str(tmp_path)))) as shop,
    ):
        lamp, cart = shop.catalog.create(product()), shop.carts.create_guest()
        shop.carts.add_item(cart.id, product_id=lamp.id)
        wire.swap = (b"Q\0\0\0\x0bCOMMIT\0", b"Q\0\0\0\x0dROLLBACK\0")
        with pytest.raises(TransactionAborted), shop.transaction() as tx:
            tx.inventory.adjust(lamp.id, delta=5)
        wire.swap = (b"P\0\0\0\x0e\0COMMIT\0", b"P\0\0\0\x10\0ROLLBACK\0")
        with pytest.raises(TransactionAborted):
            shop.orders.place(cart.id, email="ada@example.org")
        wire.swap = (b"", b"")

        assert shop.inventory.get(lamp.id).on_hand == 10
        assert not shop.orders.place(cart.id, email="ada@example.org").replayed


def test_a_server_that_said_why_it_left_stored_nothing(dsn: str, connect_admin: Connection) -> None:
    """
    A lone write that ran into a timeout of the server is in no doubt, also where the timeout takes the connection with it.
    """
    given = settings(dsn, transaction_timeout_ms=300, statement_timeout_ms=1500, lock_timeout_ms=5000)
    with Store.open(given) as shop:
        lamp = shop.catalog.create(product())
        with connect_admin.transaction():
            connect_admin.execute("SELECT FROM store.inventory FOR UPDATE")
            with pytest.raises(StoreError) as caught:
                shop.inventory.adjust(lamp.id, delta=5)

        has_transaction_timeout = connect_admin.info.server_version >= MIN_TRANSACTION_TIMEOUT_VERSION
        assert caught.value.sqlstate == ("25P04" if has_transaction_timeout else "57014")
        assert shop.inventory.get(lamp.id).on_hand == 10


@pytest.mark.parametrize(("state", "expected"), [("25P03", False), ("25P04", False), ("57P01", False), ("57P02", True)])
def test_which_parting_words_say_that_nothing_was_stored(dsn: str, state: str, expected: bool) -> None:
    """
    The same on every version; a crash says nothing of what it interrupted.
    """
    with psycopg.connect(dsn) as connection:
        assert not _failures.is_unknown(from_postgres(state), connection)

    assert _failures.is_unknown(from_postgres(state), connection) is expected
