"""
Opening a store: what is in force on its connections, and which servers and schemas it refuses.
"""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from store import AsyncStore, Store, _connection, _files, migrate
from store.contract.door import rolled_back
from store.errors import (
    DatabaseError,
    PermissionDenied,
    ReadOnly,
    SchemaDiffers,
    SchemaMissing,
    SchemaTooOld,
    ServerTooOld,
    StoreClosed,
    Unavailable,
)
from tests.both import both, colours
from tests.databases import Connection, TestServer
from tests.samples import product, settings, user


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


@pytest.mark.serverless
@pytest.mark.parametrize("kind", [Store, AsyncStore])
def test_a_store_shows_its_verbs_alone(kind: type) -> None:
    """
    What an editor offers behind `shop.` is what somebody may call.
    """
    domains = {"addresses", "carts", "catalog", "inventory", "orders", "outbox", "payments", "users"}
    ways_in = {"acting_as", "guest", "run", "session", "transaction"}

    assert {name for name in dir(kind) if not name.startswith("_")} == domains | ways_in | {"close", "open", "runtime", "start"}


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
    with pytest.raises(Unavailable, match="read-only: a standby, or a role .* read only"), Store.open(settings(reports)):
        raise AssertionError("opened")


def test_schema_missing_or_old(empty_dsn: str, dsn: str, connect_admin: Connection) -> None:
    """
    A database without the schema, with an older one or without the right to use it is refused at the door, by name.
    """
    with pytest.raises(SchemaMissing, match="store migrate up"), Store.open(settings(empty_dsn)):
        raise AssertionError("opened")
    connect_admin.execute(
        "CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text LANGUAGE sql IMMUTABLE RETURN '0001_x'"
    )
    with (
        pytest.raises(SchemaTooOld, match=r"at 0001_x and 0\d{3}_\w+ is needed: run `store migrate up`"),
        Store.open(settings(dsn)),
    ):
        raise AssertionError("opened")
    connect_admin.execute(
        "CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text LANGUAGE sql IMMUTABLE RETURN '9999_x'"
    )
    with Store.open(settings(dsn)) as shop:  # what came later is the gate's business
        assert len(shop.users.list()) == 0
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
    with (
        pytest.raises(DatabaseError, match=r"i\.reserved does not exist in \w+\.\w+ \(SQLSTATE 42703\)"),
        Store.open(settings(dsn), check=True),
    ):
        raise AssertionError("opened")


@colours
def test_check_names_the_query_that_is_refused(dsn: str, connect_admin: Connection, colour: str) -> None:
    """
    Of all that go in one round trip, and whatever was prepared before it.
    """
    connect_admin.execute("ALTER TABLE store.users RENAME COLUMN created_at TO made_at")
    with pytest.raises(DatabaseError, match=r"created_at. does not exist in users\.\w+ \(SQLSTATE 42703\)"):
        if colour == "async":
            asyncio.run(AsyncStore.open(settings(dsn), check=True).start())
        else:
            Store.open(settings(dsn), check=True).start()


@colours
def test_check_holds_every_statement_to_its_contract(dsn: str, connect_admin: Connection, colour: str) -> None:
    """
    A column of another type, which every query takes without a word, is refused by name.
    """
    connect_admin.execute("ALTER TABLE store.stock_movements ALTER COLUMN reason TYPE varchar(500)")
    with pytest.raises(SchemaDiffers, match=r"inventory\.list_movements: column reason is character varying, not text"):
        if colour == "async":
            asyncio.run(AsyncStore.open(settings(dsn), check=True).start())
        else:
            Store.open(settings(dsn), check=True).start()


def test_an_old_server_is_refused(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No server below 16 can be had from PyPI: the floor is raised above this one instead.
    """
    monkeypatch.setattr(_connection, "MIN_SERVER_VERSION", 990000)
    with pytest.raises(ServerTooOld, match="this server is 1[678]"), Store.open(settings(dsn)):
        raise AssertionError("opened")


def test_an_old_server_is_refused_by_all(dsn: str, admin_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Migrations and contracts ask for the same version as the store.
    """
    monkeypatch.setattr(_connection, "MIN_SERVER_VERSION", 990000)
    with psycopg.connect(dsn, autocommit=True) as connection, pytest.raises(ServerTooOld), rolled_back(connection, ""):
        raise AssertionError("analysed")
    with pytest.raises(ServerTooOld, match="the server is 1[678]"):
        migrate.status(lambda: psycopg.connect(admin_dsn), _files.folder("migrations"))


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
