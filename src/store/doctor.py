"""
The doctor: looks at everything between a program and its data, changes nothing, and says what to do.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Literal

import psycopg
from psycopg import pq

from store import _connection, _distribution, _files, embedded, migrate
from store._sync.queries import queries
from store._sync.store import Store
from store.errors import StoreError, Unavailable
from store.settings import Settings

Outcome = Literal["ok", "warning", "wrong", "unreachable"]

_PACKAGES = ("psycopg", "psycopg-pool", "aiosql", "pydantic", "pydantic-settings", "yoyo-migrations")


@dataclass(frozen=True, slots=True)
class Examined:
    """
    One thing looked at: what it is, how it is, and the way out when it is not well.
    """

    what: str
    outcome: Outcome
    detail: str


def examine(database_url: str | None = None) -> Iterator[Examined]:
    """
    Yield what is found from the program outwards to the data; stop where nothing further can be seen.
    """
    yield from _program()
    try:
        settings = Settings.load(database_url=database_url)
        yield Examined("settings", "ok", _shown(settings))
        own = _connection.embedded_address(settings)
        if own is not None and not embedded.status(own.directory).running:
            way_out = "it is started by the commands that need it, or by `store embedded start`"
            yield Examined("embedded server", "unreachable", f"{own.directory}: not running; {way_out}")
            return
        where = _connection.address(settings)
    except StoreError as error:
        yield Examined("settings", "wrong", str(error))
        return
    yield Examined("address", "ok", _connection.describe(where))
    try:
        with migrate.connector(settings, read_only=True, migrate=False)() as connection:
            yield from _server(connection)
            yield _transport(connection, settings, where)
        yield from _schema(settings)
        yield _attempt("store", lambda: _verbs(settings))
    except Unavailable as error:
        yield Examined("server", "unreachable", str(error))
    except StoreError as error:
        yield Examined("server", "wrong", str(error))


def as_json(findings: list[Examined]) -> dict[str, Any]:
    """
    Return findings as one JSON object, with the exit code they stand for.
    """
    return {"command": "doctor", "exit_code": exit_code(findings), "findings": [asdict(finding) for finding in findings]}


def exit_code(findings: list[Examined]) -> int:
    """
    Return 0 when all is well, 10 when the server cannot be reached, 9 when something else is wrong.
    """
    outcomes = {finding.outcome for finding in findings}
    return 10 if "unreachable" in outcomes else 9 if "wrong" in outcomes else 0


def _program() -> Iterator[Examined]:
    yield Examined("python", "ok", platform.python_version())
    yield Examined(_distribution.name(), "ok", _distribution.version())
    yield Examined("packages", "ok", ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES))
    detail = f"libpq {pq.version() // 10000}.{pq.version() % 10000}, psycopg.pq.__impl__ is {pq.__impl__}"
    if pq.__impl__ == "python":
        detail += f': pip install "{_distribution.name()}[binary]" is several times faster'
    yield Examined("driver", "warning" if pq.__impl__ == "python" else "ok", detail)


def _shown(settings: Settings) -> str:
    """
    Return the settings that differ from their defaults; what is secret is a row of stars.
    """
    dump = settings.model_dump(mode="json", exclude_defaults=True)
    shown = [f"{Settings.model_fields[name].validation_alias}={value}" for name, value in dump.items()]
    return ", ".join(shown) or "all at their defaults"


def _server(connection: psycopg.Connection[Any]) -> Iterator[Examined]:
    version = connection.info.server_version
    shown = connection.info.parameter_status("server_version")
    if version < _connection.MIN_SERVER_VERSION:
        yield Examined("server", "wrong", f"PostgreSQL {shown}: 16 or newer is needed")
        return
    yield Examined("server", "ok", f"PostgreSQL {shown}, user {connection.info.user}, database {connection.info.dbname}")
    superuser = connection.info.parameter_status("is_superuser") == "on"
    if superuser:
        yield Examined(
            "role",
            "warning",
            "a superuser: constraints hold, privileges do not. Applications log in as store_app (sql/roles.sql)",
        )
    if connection.info.parameter_status("in_hot_standby") == "on":
        yield Examined("standby", "warning", "this server is a standby: only read-only stores can use it")


def _transport(connection: psycopg.Connection[Any], settings: Settings, where: dict[str, Any]) -> Examined:
    if _connection.is_local(where, settings.pg_hostaddr or settings.pg_host):
        return Examined("transport", "ok", "Unix socket or loopback: no network in between")
    mode = _connection.keywords(settings, where).get("sslmode", "libpq's default")
    if not connection.pgconn.ssl_in_use:
        return Examined("transport", "wrong", f"not encrypted (sslmode {mode}): set sslmode=verify-full in DATABASE_URL")
    if mode != "verify-full":
        return Examined("transport", "warning", f"encrypted, but sslmode {mode} does not verify who answers: use verify-full")
    return Examined("transport", "ok", "encrypted and verified")


def _schema(settings: Settings) -> Iterator[Examined]:
    try:
        found = migrate.status(migrate.connector(settings, read_only=True), _files.folder("migrations"))
    except Unavailable:
        raise
    except StoreError as error:
        yield Examined("migrations", "warning", f"the record of migrations cannot be read by this role: {error}")
        return
    pending = [each.id for each in found if each.state == "pending"]
    unknown = [each.id for each in found if each.state == "unknown"]
    if pending:
        yield Examined("migrations", "wrong", f"pending: {', '.join(pending)}; run `store migrate up`")
    elif unknown:
        yield Examined("migrations", "warning", f"applied by a newer version: {', '.join(unknown)}")
    else:
        yield Examined("migrations", "ok", f"{len(found)} applied, none pending")


def _verbs(settings: Settings) -> Examined:
    with Store.open(settings, check=True, read_only=True) as shop:
        shop.users.list(page_size=1)
        shop.catalog.list(page_size=1)
    return Examined(
        "store", "ok", f"opens; all {len(queries.statements)} statements fit the schema; users and catalog can be read"
    )


def _attempt(what: str, check: Callable[[], Examined]) -> Examined:
    try:
        return check()
    except StoreError as error:
        return Examined(what, "wrong", str(error))
