"""
How the runner reaches the database: STORE_MIGRATE_URL, else DATABASE_URL; waiting for it where that is asked for.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import psycopg
from psycopg import sql

from store import _connection, _failures
from store.errors import PermissionDenied
from store.migrate._session import Connect
from store.settings import Settings

_log = logging.getLogger("store.migrate")
# What passes by itself. A wrong password, a missing database and a standby do not.
_PASSES = (
    "connection refused",
    "no such file",
    "timeout expired",
    "timed out",
    "translate host name",
    "resolve host",
    "starting up",
    "shutting down",
    "not yet accepting connections",
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "server closed the connection",
    "connection reset",
)
_EVERY = 0.5


def connector(
    settings: Settings, *, read_only: bool = False, migrate: bool = True, wait: float = 0.0, role: str | None = None
) -> Connect:
    """
    Return a function that opens the connection migrations run on; not `migrate`: the one the application has.

    It tries for `wait` seconds while the server is still coming, acts as `role` where one is named, and raises Unavailable or
    PermissionDenied, saying where and why.
    """

    def connect() -> psycopg.Connection[Any]:
        where = _connection.address(settings, migrate=migrate)
        keywords = _connection.keywords(settings, where, migrate=migrate, read_only=read_only)
        connection = _reached(keywords, _connection.describe(where), time.monotonic() + wait)
        if role is not None:
            _act_as(connection, role)
        return connection

    return connect


def _reached(keywords: dict[str, Any], where: str, deadline: float) -> psycopg.Connection[Any]:
    while True:
        try:
            return psycopg.connect(**keywords, autocommit=True)
        except psycopg.Error as error:
            if "read-only" in str(error).lower() and keywords.get("target_session_attrs") == "read-write":
                keywords = keywords | {"target_session_attrs": "any"}  # the session tells a standby from a role's own setting
                continue
            failure = _failures.connect_failure(error, where)
            passes = any(words in str(error).lower() for words in _PASSES)
        if not passes or time.monotonic() >= deadline:
            raise failure
        _log.info("%s; trying again", failure)
        time.sleep(_EVERY)


def _act_as(connection: psycopg.Connection[Any], role: str) -> None:
    try:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    except psycopg.Error as error:
        connection.close()
        raise PermissionDenied(
            f"--role {role}: there is no such role, or this login is none of it", sqlstate=error.sqlstate
        ) from None
