"""
A throw-away server for trying migrations: made, filled and deleted here, whatever DATABASE_URL says.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from store import _files, _pgbin
from store._throwaway import throwaway

_NAMES = itertools.count(1)
_SESSION = """
    SELECT pg_catalog.set_config('search_path', '', false), pg_catalog.set_config('client_min_messages', 'error', false),
        pg_catalog.set_config('max_parallel_maintenance_workers', '0', false), pg_catalog.set_config('jit', 'off', false)
"""


@dataclass(frozen=True, slots=True)
class Scratch:
    """
    A server on which databases may come and go; `dsn` names one of them, for a superuser.
    """

    dsn: Callable[[str], str]
    prefix: str = field(default_factory=lambda: f"store_test_scratch_{os.getpid()}")

    @contextmanager
    def database(self) -> Generator[psycopg.Connection[Any]]:
        """
        Lend a connection to a new, empty database that has the roles of sql/roles.sql; it is dropped afterwards.
        """
        name = f"{self.prefix}_{next(_NAMES)}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            try:
                with psycopg.connect(self.dsn(name), autocommit=True, prepare_threshold=None) as connection:
                    connection.execute((_files.folder("sql") / "roles.sql").read_bytes())
                    connection.execute(_SESSION)
                    yield connection
            finally:
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def scratch(version: int | None = None) -> Generator[Scratch]:
    """
    Lend an embedded server of this version (the newest there is, unless named); nothing of it stays.

    Raises MissingExtra without the extra `embedded`.
    """
    with throwaway(version) as server:
        yield Scratch(server.dsn)


def check_version(version: int | None) -> None:
    """
    Refuse a version of which there is no embedded server, before anything is done that may need none.

    Raises SettingsError, naming those there are.
    """
    if version is not None:
        _pgbin.binaries(version)


def version_like(server: str | None) -> int | None:
    """
    Return the version of this server where there is an embedded one of it, else None: the newest.
    """
    major = int((server or "0").partition(".")[0])
    return major if major in _pgbin.known() else None


def schemas(connection: psycopg.Connection[Any]) -> list[str]:
    """
    Return the schemas that migrations made or may fill: all but the system's, public and the one of the state tables.
    """
    rows = connection.execute(
        "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^(pg_|(information_schema|public|store_migrations)$)'"
        " ORDER BY nspname"
    )
    return [row[0] for row in rows]
