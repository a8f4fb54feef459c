"""
What the fixtures are made of: the server of a session, and databases in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from store import _files, embedded, migrate

# A clone does not inherit who may come in.
_COME_IN = """
    UPDATE pg_database AS d SET datacl = t.datacl
    FROM pg_database AS t
    WHERE d.datname = %s AND t.datname = %s AND t.datacl IS NOT NULL AND NOT t.datistemplate"""

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class TestServer:
    """
    The server of this session; `embedded` is None where it is not ours to kill.
    """

    __test__ = False

    superuser: str
    embedded: embedded.Server | None

    def dsn(self, database: str = "postgres", user: str | None = None) -> str:
        """
        Return the conninfo of a database, as the superuser unless another role is named.
        """
        named = {} if user is None else {"user": user}
        return make_conninfo(self.superuser, dbname=database, **named)

    @contextmanager
    def connect(self, database: str = "postgres", user: str | None = None) -> Iterator[Connection]:
        """
        Lend an autocommit connection.
        """
        with psycopg.connect(self.dsn(database, user), autocommit=True) as connection:
            yield connection


@contextmanager
def create_database(server: TestServer, name: str, template: str = "template0") -> Iterator[str]:
    """
    Lend a database that is dropped afterwards, whoever is still connected. A clone lets in whom its template does.
    """
    assert name.startswith("store_test_")
    # FILE_COPY copies the files as they are; the other way writes each page into the log as well.
    create = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
    with server.connect() as connection:
        connection.execute(sql.SQL(create).format(sql.Identifier(name), sql.Identifier(template)))
        connection.execute(_COME_IN, (name, template))
    try:
        yield name
    finally:
        with server.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def prepare_roles(server: TestServer, database: str) -> None:
    """
    Run sql/roles.sql, as the administrator does.
    """
    with server.connect(database) as connection:
        connection.execute((_files.folder("sql") / "roles.sql").read_bytes())


def migrate_up(server: TestServer, database: str, folder: Path | None = None) -> None:
    """
    Apply the migrations as store_migrator, then the grants.
    """
    migrate.up(lambda: psycopg.connect(server.dsn(database, "store_migrator")), folder or _files.folder("migrations"))
    with server.connect(database, "store_migrator") as connection:
        connection.execute((_files.folder("sql") / "grants.sql").read_bytes())
