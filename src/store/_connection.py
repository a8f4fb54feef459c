"""
From settings to the keywords of one connection: address, transport security, timeouts. Colourless, and the only place that
reads a connection string.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo

from store import embedded
from store.errors import SettingsError
from store.settings import NO_SERVER, Settings

MIN_SERVER_VERSION = 160000
MIN_TRANSACTION_TIMEOUT_VERSION = 170000

_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 10_000}


def address(settings: Settings, *, migrate: bool = False) -> dict[str, Any]:
    """
    Return where to connect, as libpq keywords. An `embedded:` address starts its server when that is not running.

    Raises SettingsError, naming the variable and never the value.
    """
    variable, secret = "DATABASE_URL", settings.database_url
    if migrate and settings.migrate_url is not None:
        variable, secret = "STORE_MIGRATE_URL", settings.migrate_url
    if secret is None:
        if not settings.names_server:
            raise SettingsError(NO_SERVER)
        return _from_pg_variables(settings)
    url = secret.get_secret_value().strip()
    if url.startswith("embedded:"):
        where = embedded.parse_url(url, Path.cwd())
        server = embedded.start(where.directory, where.version)
        return dict(conninfo.conninfo_to_dict(server.dsn()))
    return _parse(variable, url)


def embedded_address(settings: Settings) -> embedded.EmbeddedAddress | None:
    """
    Return the embedded server that DATABASE_URL names, or None. A relative directory starts where .env is, in the working
    directory.
    """
    url = settings.database_url.get_secret_value().strip() if settings.database_url else ""
    return embedded.parse_url(url, Path.cwd()) if url.startswith("embedded:") else None


def keywords(
    settings: Settings,
    where: dict[str, Any],
    *,
    migrate: bool = False,
    read_only: bool = False,
    server_version: int | None = None,
) -> dict[str, Any]:
    """
    Return the keywords of a connection to this address, with every setting that the address itself does not make.

    Timeouts travel as start-up options, but not through a transaction pooler, where those of the role count. A server is sent
    `transaction_timeout` when it is known to have it (PostgreSQL 17); an older one would refuse the connection.
    """
    ours: dict[str, Any] = {
        "application_name": settings.application_name,
        "client_encoding": "UTF8",
        "connect_timeout": settings.connect_timeout,
        "gssencmode": "disable",
        **_KEEPALIVE,
    }
    if not read_only:
        ours["target_session_attrs"] = "read-write"
    if settings.pg_sslmode is not None:
        ours["sslmode"] = settings.pg_sslmode
    elif "sslmode" not in where and "service" not in where and not is_local(where, settings.pg_hostaddr or settings.pg_host):
        ours |= {"sslmode": "verify-full", "sslrootcert": "system"}
    if settings.strict_auth:
        ours |= {"require_auth": "scram-sha-256", "channel_binding": "require"}
    if not migrate and settings.pooler == "none":
        options = [where.get("options"), *_options(settings, read_only=read_only, server_version=server_version)]
        where = where | {"options": " ".join(option for option in options if option)}
    return ours | where


def is_local(where: dict[str, Any], default_host: str | None = None) -> bool:
    """
    Whether an address is a Unix socket or the loopback interface, where no network lies between.
    """
    hosts = str(where.get("hostaddr") or where.get("host") or default_host or "").split(",")
    return all(not host or host == "localhost" or host.startswith(("/", "@")) or _is_loopback(host) for host in hosts)


def is_direct(connection: psycopg.Connection[Any]) -> bool:
    """
    Whether PostgreSQL itself answers, and no pooler that lends a server process to many.
    """
    return connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone() == (connection.info.backend_pid,)


def has_password(dsn: str) -> bool:
    """
    Whether a connection string holds a password: of the server, or of a key.
    """
    try:
        found = conninfo.conninfo_to_dict(dsn)
        return any(found.get(secret) for secret in ("password", "sslpassword", "oauth_client_secret"))
    except psycopg.Error:
        return "password" in dsn or "@" in dsn


def describe(where: dict[str, Any]) -> str:
    """
    Return an address for people: no password, no other secret.
    """
    shown = {key: where[key] for key in ("service", "host", "port", "dbname", "user") if where.get(key)}
    return " ".join(f"{key}={value}" for key, value in shown.items()) or "libpq's defaults"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _from_pg_variables(settings: Settings) -> dict[str, Any]:
    found = {
        "host": settings.pg_host,
        "hostaddr": settings.pg_hostaddr,
        "port": settings.pg_port,
        "user": settings.pg_user,
        "password": settings.pg_password.get_secret_value() if settings.pg_password else None,
        "dbname": settings.pg_database,
        "service": settings.pg_service,
        "sslmode": settings.pg_sslmode,
    }
    return {key: value for key, value in found.items() if value is not None}


def _parse(variable: str, url: str) -> dict[str, Any]:
    scheme = url.partition(":")[0] if "://" in url else ""
    if scheme not in {"postgres", "postgresql", ""} or (not scheme and "=" not in url):
        raise SettingsError(
            f"{variable} must begin with postgresql://, postgres:// or embedded:, or be libpq keywords (host=... dbname=...)"
        )
    try:
        found: dict[str, Any] | None = dict(conninfo.conninfo_to_dict(url))
        if scheme:
            _ = urlsplit(url).port
    except (psycopg.Error, ValueError):
        found = None
    if found and any("@" in str(found.get(part) or "") for part in ("host", "port", "dbname", "user")):
        found = None  # an @ or / of a password that was not encoded: what stands behind it would be printed as the address
    if found is None:
        raise SettingsError(
            f"{variable} is malformed: check brackets, port, and that special characters of the password are percent-encoded"
        )
    return found


def _options(settings: Settings, *, read_only: bool, server_version: int | None) -> list[str]:
    values: dict[str, str | int] = {
        "search_path": "store,pg_temp",
        "timezone": "UTC",
        "statement_timeout": settings.statement_timeout_ms,
        "lock_timeout": settings.lock_timeout_ms,
        "idle_in_transaction_session_timeout": settings.idle_timeout_ms,
        "client_connection_check_interval": 5_000,
        "default_transaction_isolation": r"read\ committed",
        "max_parallel_workers_per_gather": 0,
    }
    if server_version is not None and server_version >= MIN_TRANSACTION_TIMEOUT_VERSION:
        values["transaction_timeout"] = settings.transaction_timeout_ms
    if read_only:
        values["default_transaction_read_only"] = "on"
    return [f"-c {name}={value}" for name, value in values.items()]
