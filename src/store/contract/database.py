"""
The database that describes queries: a scratch server with the migrations applied, or the one that --dsn names.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from store import _connection, _failures, embedded, migrate
from store._throwaway import throwaway
from store.errors import StoreError, Unavailable
from store.settings import Settings

Connection = psycopg.Connection[Any]

WRITTEN_FROM = 180000
"""The version contracts are written from; on the others all but the plans are the same."""

# Every name is qualified: until it has run, the path is that of the owner of the database, and so are the functions on it.
_SESSION = """
    SELECT
        pg_catalog.set_config('search_path', '', false),
        pg_catalog.set_config('TimeZone', 'UTC', false),
        pg_catalog.set_config('DateStyle', 'ISO', false),
        pg_catalog.set_config('IntervalStyle', 'postgres', false),
        pg_catalog.set_config('extra_float_digits', '1', false),
        pg_catalog.set_config('quote_all_identifiers', 'off', false),
        pg_catalog.set_config('plan_cache_mode', 'auto', false),
        pg_catalog.set_config('statement_timeout', '60s', false)
"""


@contextmanager
def opened(
    dsn: str | None, migrations: Sequence[Path], *, version: int | None = None, rights: Sequence[Path] = ()
) -> Generator[Connection]:
    """
    Lend a connection in autocommit to a database that can describe queries; without a DSN to a scratch server, deleted after,
    with the files of `rights` run in it.

    Raises Unavailable and the like where nothing answers, MissingExtra where there is no embedded server.
    """
    if dsn is None:
        with scratch(migrations, version) as found, connected(dict(conninfo_to_dict(found))) as connection:
            for file in rights:
                connection.execute(file.read_bytes(), prepare=False)
            yield connection
    else:
        with connected_to(dsn) as connection:
            yield connection


@contextmanager
def connected_to(dsn: str | None) -> Generator[Connection]:
    """
    Lend such a connection to a server by its DSN, or to that of DATABASE_URL.
    """
    settings = Settings.load(database_url=dsn)
    where = _connection.address(settings)
    # Without target_session_attrs: a standby is refused in words of the analyser's.
    with connected(_connection.keywords(settings, where, migrate=True, read_only=True)) as connection:
        yield connection


@contextmanager
def scratch(migrations: Sequence[Path], version: int | None = None) -> Generator[str]:
    """
    Lend the DSN of a server with these folders of migrations applied, the store's own first; it is deleted afterwards.
    """
    with throwaway(version) as server:
        _apply(server, migrations[0], migrations[1:])
        yield server.dsn()


@contextmanager
def connected(keywords: dict[str, Any]) -> Generator[Connection]:
    """
    Lend a connection whose settings are pinned, so that the same schema always gives the same text.
    """
    failure: StoreError = Unavailable()
    connection: Connection | None = None
    try:
        connection = psycopg.connect(**keywords, autocommit=True)
    except psycopg.Error as error:
        failure = _failures.connect_failure(error, _connection.describe(keywords))
    if connection is None:
        raise failure  # not inside `except`: libpq's message may quote a part of the connection string
    with connection:
        connection.execute(_SESSION)
        yield connection


def _apply(server: embedded.Server, first: Path, others: Sequence[Path]) -> None:
    migrate.up(lambda: psycopg.connect(server.dsn(), autocommit=True), first)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("SET search_path = ''")
        for each in [file for folder in others for file in migrate.forward(folder)]:
            with _failures.translated(each.name):
                connection.execute(each.text.encode(), prepare=False)
