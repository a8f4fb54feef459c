"""
How the runner reaches the database: STORE_MIGRATE_URL, else DATABASE_URL.
"""

from __future__ import annotations

from typing import Any

import psycopg

from store import _connection, _failures
from store.migrate._runner import Connect
from store.settings import Settings


def connector(settings: Settings, *, read_only: bool = False, migrate: bool = True) -> Connect:
    """
    Return a function that opens the connection migrations run on; not `migrate`: the one the application has.

    It raises Unavailable or PermissionDenied, saying where and why.
    """

    def connect() -> psycopg.Connection[Any]:
        where = _connection.address(settings, migrate=migrate)
        keywords = _connection.keywords(settings, where, migrate=migrate, read_only=read_only)
        try:
            return psycopg.connect(**keywords, autocommit=True)
        except psycopg.Error as error:
            failure = _failures.connect_failure(error, _connection.describe(where))
        raise failure

    return connect
