"""
What each role may do, and what it may not.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from store import _files, embedded
from tests import catalog
from tests.databases import Connection, TestServer, migrate_up, prepare_roles

ConnectAs = Callable[[str], Connection]

HASH = "$argon2id$v=19$" + "x" * 40
PRODUCT = "INSERT INTO store.products (sku, name, price, currency) VALUES ('A-1', 'Lamp', 9.99, 'EUR') RETURNING id"
USER = f"INSERT INTO store.users (username, email, password_hash) VALUES ('ada', 'ada@example.org', '{HASH}') RETURNING id"


def refused(connection: Connection, statement: str) -> None:
    """
    Expect this statement to need a right that the role has not.
    """
    with pytest.raises(InsufficientPrivilege):
        connection.execute(statement.encode())


def test_temp_table_cannot_shadow(connect_as: ConnectAs, connect_admin: Connection) -> None:
    """
    The application can make no temporary table; and where somebody can, it does not stand in for ours.
    """
    app = connect_as("store_app")
    refused(app, "CREATE TEMPORARY TABLE products (id bigint)")
    connect_admin.execute(PRODUCT)
    connect_admin.execute(
        sql.SQL("GRANT TEMPORARY ON DATABASE {} TO store_app").format(sql.Identifier(connect_admin.info.dbname))
    )
    app.execute("CREATE TEMPORARY TABLE products (id bigint)")

    assert app.execute("SELECT count(*) FROM products").fetchone() == (1,)

    app.execute("SET search_path = store")  # without pg_temp last, PostgreSQL looks there first

    assert app.execute("SELECT count(*) FROM products").fetchone() == (0,)


def created(connection: Connection, statement: str) -> int:
    """
    Return the id that this INSERT made.
    """
    row = connection.execute(statement.encode()).fetchone()

    assert row is not None

    return int(row[0])


def settings(connection: Connection, *names: str) -> dict[str, str | None]:
    return {name: row[0] for name in names for row in connection.execute("SELECT current_setting(%s, true)", (name,))}


def test_role_settings_on_16(connect_as: ConnectAs) -> None:
    """
    The settings of the roles are in force on every version; transaction_timeout where the server knows it.
    """
    app, readonly, migrator = connect_as("store_app"), connect_as("store_readonly"), connect_as("store_migrator")
    expected = {
        "search_path": "store, pg_temp",
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
        "client_connection_check_interval": "5s",
        "default_transaction_isolation": "read committed",
        "max_parallel_workers_per_gather": "0",
        "transaction_timeout": "15s" if app.info.server_version >= 170000 else None,
    }

    assert settings(app, *expected) == expected
    assert settings(readonly, "default_transaction_read_only", "statement_timeout") == {
        "default_transaction_read_only": "on",
        "statement_timeout": "1min",
    }
    assert settings(migrator, "role", "lock_timeout", "statement_timeout") == {
        "role": "store_owner",
        "lock_timeout": "2s",
        "statement_timeout": "0",
    }


def test_app_reads_and_writes_what_it_needs(connect_as: ConnectAs) -> None:
    """
    Identity columns are filled without a right on their sequences.
    """
    app = connect_as("store_app")
    user_id, product_id = created(app, USER), created(app, PRODUCT)
    app.execute("INSERT INTO store.inventory (product_id, on_hand) VALUES (%s, 5)", (product_id,))
    app.execute("UPDATE store.inventory SET on_hand = on_hand + 1, reserved = 1 WHERE product_id = %s", (product_id,))
    cart_id = created(app, f"INSERT INTO store.carts (user_id, currency) VALUES ({user_id}, 'EUR') RETURNING id")
    app.execute("INSERT INTO store.cart_items (cart_id, product_id, quantity) VALUES (%s, %s, 2)", (cart_id, product_id))
    app.execute("UPDATE store.users SET password_hash = %s, updated_at = now() WHERE id = %s", (HASH, user_id))

    assert app.execute("SELECT user_id, password_hash FROM store.credentials('ADA')").fetchone() == (user_id, HASH)
    assert app.execute("SELECT store.line_total(3, 0.335, 0, 'EUR')::text, store.minor_units('JPY')").fetchone() == ("1.01", 0)
    assert app.execute("SELECT store.is_printable('a'), store.is_printable('{}'::jsonb), store.is_blank('a')").fetchone() == (
        True,
        True,
        False,
    )
    assert app.execute("SELECT store.in_scope(%s, NULL, 'user', %s, NULL)", (user_id, user_id)).fetchone() == (True,)

    for table in ("cart_items", "products", "users", "product_imports"):
        app.execute(f"DELETE FROM store.{table}".encode())


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT password_hash FROM store.users",
        "SELECT * FROM store.users",
        "DELETE FROM store.users RETURNING password_hash",
        "UPDATE store.users SET is_active = true WHERE password_hash LIKE '$2%'",
        "UPDATE store.users SET created_at = now()",
        "INSERT INTO store.carts (currency, public_id) VALUES ('EUR', '00000000-0000-0000-0000-000000000000')",
        "UPDATE store.products SET currency = 'USD'",
        "UPDATE store.inventory SET product_id = 2",
        "DELETE FROM store.inventory",
        "INSERT INTO store.inventory (product_id, on_hand, reserved) VALUES (1, 1, 1)",
        "UPDATE store.stock_movements SET quantity = 1",
        "DELETE FROM store.stock_movements",
        "UPDATE store.reservations SET quantity = 1",
        "DELETE FROM store.orders",
        "UPDATE store.orders SET total = 1",
        "UPDATE store.order_items SET quantity = 1",
        "UPDATE store.payment_events SET amount = 1",
        "DELETE FROM store.payments",
        "DELETE FROM store.carts",
        "UPDATE store.carts SET user_id = 1",
        "UPDATE store.cart_items SET cart_id = 2",
        "TRUNCATE store.carts CASCADE",
        "CREATE TABLE store.mine (id bigint)",
        "CREATE TABLE public.mine (id bigint)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION store.mine() RETURNS integer LANGUAGE sql RETURN 1",
        "ALTER TABLE store.users ADD COLUMN mine text",
        "DROP TABLE store.carts",
        "CREATE TEMPORARY TABLE mine (id bigint)",
        "SET ROLE store_owner",
        "SELECT * FROM store_migrations._yoyo_migration",
    ],
)
def test_app_may_not(connect_as: ConnectAs, statement: str) -> None:
    refused(connect_as("store_app"), statement)


def test_readonly_reads_all_but_secrets(connect_as: ConnectAs) -> None:
    readonly = connect_as("store_readonly")
    for table in ("products", "inventory", "cart_items", "order_items", "order_events", "payments", "payment_events"):
        readonly.execute(f"SELECT * FROM store.{table}".encode())
    readonly.execute("SELECT id, user_id, status, currency, created_at, updated_at, expires_at FROM store.carts")
    readonly.execute("SELECT id, username, email, is_active, created_at, updated_at FROM store.users")

    assert readonly.execute("SELECT store.minor_units('KWD')").fetchone() == (3,)

    refused(readonly, "SELECT password_hash FROM store.users")
    refused(readonly, "SELECT public_id FROM store.carts")
    refused(readonly, "SELECT public_id FROM store.orders")
    refused(readonly, "SELECT * FROM store.credentials('ada')")
    refused(readonly, "SELECT * FROM store.product_imports")


def test_readonly_cannot_write(connect_as: ConnectAs) -> None:
    """
    Neither by its setting, nor, where somebody lifts that, by its rights.
    """
    readonly = connect_as("store_readonly")
    with pytest.raises(ReadOnlySqlTransaction):
        readonly.execute(PRODUCT)
    readonly.execute("SET default_transaction_read_only = off")
    for statement in (PRODUCT, "UPDATE store.products SET price = 1", "DELETE FROM store.carts", "CREATE TABLE store.x ()"):
        refused(readonly, statement)


@pytest.mark.parametrize("function", ["is_printable(text)", "is_printable(jsonb)", "is_blank(text)"])
def test_rules_of_texts_are_for_our_roles_alone(connect_admin: Connection, function: str) -> None:
    roles = connect_admin.execute(
        "SELECT grantee::regrole::text FROM pg_catalog.pg_proc, aclexplode(proacl) WHERE oid = %s::regprocedure",
        (f"store.{function}",),
    ).fetchall()

    assert {role for (role,) in roles} == {"store_app", "store_owner", "store_readonly"}


def test_outsiders_stay_outside(server: TestServer, database: str) -> None:
    """
    A role of the same server that is none of ours cannot even connect.
    """
    with server.connect() as connection:
        connection.execute("CREATE ROLE store_test_outsider LOGIN")
        try:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(server.dsn(database, "store_test_outsider"))
        finally:
            connection.execute("DROP ROLE store_test_outsider")


def test_new_function_of_the_owner_is_not_public(connect_as: ConnectAs) -> None:
    """
    The default privileges hold for functions that nobody thought of revoking.
    """
    connect_as("store_migrator").execute("CREATE FUNCTION store.forgotten() RETURNS integer LANGUAGE sql RETURN 1")
    refused(connect_as("store_app"), "SELECT store.forgotten()")


def test_everything_belongs_to_the_owner(connect_admin: Connection) -> None:
    owners = connect_admin.execute(
        """
        SELECT DISTINCT relowner::regrole::text FROM pg_catalog.pg_class
        WHERE relnamespace IN ('store'::regnamespace, 'store_migrations'::regnamespace)
        """
    ).fetchall()

    assert owners == [("store_owner",)]


def test_roles_and_grants_are_idempotent(server: TestServer, database: str, connect_admin: Connection) -> None:
    before = catalog.lines(connect_admin)
    prepare_roles(server, database)
    migrate_up(server, database)

    assert catalog.lines(connect_admin) == before


def test_grants_take_back_what_is_not_theirs(server: TestServer, database: str, connect_admin: Connection) -> None:
    """
    The file is the whole answer: rights given by hand are gone after it.
    """
    before = catalog.lines(connect_admin)
    connect_admin.execute("GRANT SELECT (password_hash) ON store.users TO store_readonly")
    connect_admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA store TO store_app")
    connect_admin.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA store TO PUBLIC")
    connect_admin.execute("GRANT EXECUTE ON FUNCTION store.credentials(text) TO PUBLIC")

    assert catalog.lines(connect_admin) != before

    migrate_up(server, database)

    assert catalog.lines(connect_admin) == before


def test_administrator_without_superuser(server_directory: Path) -> None:
    """
    CREATEROLE and ownership of the database are enough for roles.sql, as on a managed server; twice, and to the last grant.
    """
    own = embedded.start(server_directory / "managed", int(os.environ.get("STORE_TEST_PG", "18")))
    server = TestServer(own.dsn("postgres"), own)
    with server.connect() as connection:
        connection.execute("CREATE ROLE managed LOGIN CREATEROLE CREATEDB")
        connection.execute("ALTER DATABASE store OWNER TO managed")
    try:
        for _ in range(2):
            with server.connect("store", "managed") as connection:
                connection.execute((_files.folder("sql") / "roles.sql").read_bytes())
        migrate_up(server, "store")
        with server.connect("store", "store_app") as connection:
            connection.execute(PRODUCT)
            refused(connection, "SELECT password_hash FROM store.users")
        with server.connect("store", "store_migrator") as connection:
            connection.execute("CREATE FUNCTION store.forgotten() RETURNS integer LANGUAGE sql RETURN 1")
        with server.connect("store", "store_app") as connection:
            refused(connection, "SELECT store.forgotten()")
    finally:
        embedded.remove(own.directory)
