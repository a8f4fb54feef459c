"""
What the tests put into a shop.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from psycopg import sql
from pydantic import SecretStr

from store import NewProduct, NewUser, Settings
from tests.databases import Connection

HASH = "$argon2id$v=19$" + "x" * 40


def settings(dsn: str, **changes: Any) -> Settings:
    """
    Return settings for this database: a small pool, and impatient.
    """
    given = {"database_url": SecretStr(dsn), "pool_size": 2, "pool_timeout": 2.0} | changes
    return Settings(**{str(Settings.model_fields[name].validation_alias): value for name, value in given.items()})


def user(name: str = "ada", **changes: Any) -> NewUser:
    """
    Return a user to be created.
    """
    return NewUser(**({"username": name, "email": f"{name}@example.org", "password_hash": SecretStr(HASH)} | changes))


def product(sku: str = "A-1", **changes: Any) -> NewProduct:
    """
    Return a product to be created: ten of it at 2.50.
    """
    return NewProduct(**({"sku": sku, "name": f"Lamp {sku}", "price": Decimal("2.50"), "on_hand": 10} | changes))


def tables(connection: Connection) -> dict[str, bool]:
    """
    Return every table of the schema, and whether the application may add rows to it.
    """
    found = connection.execute(
        """
        SELECT relname, has_any_column_privilege('store_app', oid, 'INSERT') FROM pg_class
        WHERE relnamespace = 'store'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname
        """
    )
    return dict(found.fetchall())


def digest(connection: Connection) -> dict[str, str | None]:
    """
    Return a hash of each table: equal as long as nothing was written.
    """
    statement = "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM store.{} AS t"
    found = {}
    for table in tables(connection):
        row = connection.execute(sql.SQL(statement).format(sql.Identifier(table))).fetchone()
        found[table] = row[0] if row else None
    return found
