"""
Settings: where they come from, what is refused, and what becomes of them on a connection.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from store import Settings, Store, _connection
from store.errors import SettingsError, StoreError
from tests.databases import TestServer
from tests.samples import settings

serverless = pytest.mark.serverless
URL = "postgresql://app:secret@db.example.org:6432/shop"


@pytest.fixture(autouse=True)
def _empty_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    Work where no .env is, until a test writes one.
    """
    monkeypatch.chdir(tmp_path)


def keywords(given: Settings | str, **how: Any) -> dict[str, Any]:
    """
    Return what a connection would be opened with; nothing connects.
    """
    made = Settings.load(database_url=given) if isinstance(given, str) else given
    return _connection.keywords(made, _connection.address(made), **how)


def options(given: dict[str, Any]) -> dict[str, str]:
    """
    Return the start-up options among the keywords.
    """
    return dict(part.split("=", 1) for part in given["options"].replace(r"\ ", "~").replace("-c ", "").split())


@serverless
@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_database_url_in_both_schemes(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", URL.replace("postgresql", scheme))
    found = keywords(Settings.load())

    assert {key: found[key] for key in ("host", "port", "user", "password", "dbname")} == {
        "host": "db.example.org",
        "port": "6432",
        "user": "app",
        "password": "secret",
        "dbname": "shop",
    }


@serverless
def test_pg_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without DATABASE_URL the variables of libpq name the server, from the environment or from .env.
    """
    Path(".env").write_text("PGPASSWORD=from-file\nPGDATABASE=shop\n")
    monkeypatch.setenv("PGHOST", "db.example.org")
    monkeypatch.setenv("PGPORT", "6432")
    monkeypatch.setenv("PGUSER", "app")
    found = keywords(Settings.load())

    assert {key: found[key] for key in ("host", "port", "user", "password", "dbname")} == {
        "host": "db.example.org",
        "port": "6432",
        "user": "app",
        "password": "from-file",
        "dbname": "shop",
    }


@serverless
def test_nothing_set_names_the_variable() -> None:
    for load in (Settings.load, Store.open):
        with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set"):
            load()


@serverless
def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("STORE_POOL_SIZE", "")
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set"):
        Settings.load()

    assert Settings.load(database_url=URL).pool_size == 8


@serverless
def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"DATABASE_URL={URL}\nSTORE_POOL_SIZE=3\nSTORE_POOL_TIMEOUT=1.5\n")
    monkeypatch.setenv("STORE_POOL_SIZE", "5")
    found = Settings.load()

    assert (found.pool_size, found.pool_timeout, found.max_waiting) == (5, 1.5, 20)
    assert found.database_url is not None
    assert found.database_url.get_secret_value() == URL
    assert not found.is_url_from_environment


@serverless
def test_foreign_keys_of_a_file_are_ignored() -> None:
    """
    A .env file belongs to the application: what is not ours neither disturbs nor sets anything.
    """
    Path(".env").write_text(
        f"DATABASE_URL={URL}\nSECRET_KEY=x\nPOOL_SIZE=77\nCURRENCY=none\nPOOLER=odd\nAPPLICATION_NAME=theirs\nPG_HOST=elsewhere\n"
    )
    found = Settings.load()

    assert (found.pool_size, found.currency, found.pooler, found.application_name, found.pg_host) == (
        8,
        "EUR",
        "none",
        "store",
        None,
    )


@serverless
@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("STORE_POOL_SIZE", "0", "greater than or equal to 1"),
        ("STORE_POOL_SIZE", "many", "valid integer"),
        ("STORE_POOL_TIMEOUT", "nan", ""),
        ("STORE_POOL_TIMEOUT", "0", "greater than 0"),
        ("STORE_POOL_MAX_WAITING", "0", "greater than or equal to 1"),
        ("STORE_STATEMENT_TIMEOUT_MS", "-1", "greater than or equal to 0"),
        ("STORE_CURRENCY", "euro", "pattern"),
        ("STORE_POOLER", "session", "'none' or 'transaction'"),
        ("STORE_CONNECT_TIMEOUT", "1", "greater than or equal to 2"),
        ("STORE_APPLICATION_NAME", "x" * 64, "at most 63"),
    ],
)
def test_a_malformed_setting_names_variable_and_rule(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, rule: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}: .*{rule}") as caught:
        Settings.load()

    assert "secret" not in str(caught.value)


@serverless
@pytest.mark.parametrize(
    "url", ["mysql://h/db", "h/db", "sqlite://", "postgresql://h:port/db", "postgresql://[::1/db", "http://h", "embedded:"]
)
def test_a_malformed_address_names_the_variable(url: str) -> None:
    with pytest.raises(SettingsError, match=r"DATABASE_URL|embedded:"):
        _connection.address(Settings.load(database_url=url))


@serverless
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, ("verify-full", "system")),
        ("postgresql://10.0.0.5/shop", ("verify-full", "system")),
        ("host=db.example.org dbname=shop", ("verify-full", "system")),
        ("postgresql://localhost,db.example.org/shop", ("verify-full", "system")),
        ("postgresql://localhost.example.org/shop", ("verify-full", "system")),
        ("postgresql://127.example.org/shop", ("verify-full", "system")),
        ("postgresql://db/shop?hostaddr=10.0.0.5", ("verify-full", "system")),
        (f"{URL}?sslmode=require", ("require", None)),
        (f"{URL}?sslmode=disable", ("disable", None)),
        ("postgresql://localhost/shop", (None, None)),
        ("postgresql://127.0.0.1:5432/shop", (None, None)),
        ("postgresql://[::1]/shop", (None, None)),
        ("postgresql:///shop?host=/run/postgresql", (None, None)),
        ("postgresql:///shop", (None, None)),
    ],
)
def test_production_settings_verify_tls(url: str, expected: tuple[str | None, str | None]) -> None:
    """
    What the address says wins; else nothing on a socket or loopback, and over a network the server must prove itself.
    """
    found = keywords(url)

    assert (found.get("sslmode"), found.get("sslrootcert")) == expected


@serverless
def test_sslmode_of_the_environment_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    PGSSLMODE, also from .env where libpq itself does not look, decides where the address is silent.
    """
    Path(".env").write_text(f"DATABASE_URL={URL}\nPGSSLMODE=verify-ca\n")

    assert keywords(Settings.load())["sslmode"] == "verify-ca"

    monkeypatch.setenv("PGHOST", "db.example.org")

    assert keywords("postgresql:///shop")["sslmode"] == "verify-ca"

    Path(".env").unlink()

    assert keywords("postgresql:///shop")["sslmode"] == "verify-full"

    monkeypatch.delenv("PGHOST")
    monkeypatch.setenv("PGHOSTADDR", "10.0.0.5")

    assert keywords("postgresql:///shop")["sslmode"] == "verify-full"


@serverless
def test_strict_authentication_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_DB_STRICT_AUTH", "1")
    found = keywords(URL)

    assert (found["require_auth"], found["channel_binding"]) == ("scram-sha-256", "require")
    monkeypatch.delenv("STORE_DB_STRICT_AUTH")
    assert "require_auth" not in keywords(URL)


@serverless
def test_what_travels_at_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Timeouts are start-up options; transaction_timeout only for a server that has it; the address's own options come first.
    """
    monkeypatch.setenv("STORE_STATEMENT_TIMEOUT_MS", "1234")
    found = options(keywords(f"{URL}?options=-c%20work_mem%3D1MB", server_version=180000))

    assert next(iter(found)) == "work_mem"
    assert (found["statement_timeout"], found["lock_timeout"]) == ("1234", "2000")
    assert (found["idle_in_transaction_session_timeout"], found["transaction_timeout"]) == ("10000", "15000")
    assert (found["search_path"], found["client_connection_check_interval"]) == ("store,pg_temp", "5000")
    assert "transaction_timeout" not in options(keywords(URL, server_version=160004))
    assert "transaction_timeout" not in options(keywords(URL))


@serverless
def test_behind_a_transaction_pooler_nothing_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_POOLER", "transaction")

    assert "options" not in keywords(URL, server_version=180000)


@serverless
def test_connect_keywords_are_bounded() -> None:
    found = keywords(URL)

    assert (found["connect_timeout"], found["gssencmode"], found["client_encoding"]) == (3, "disable", "UTF8")
    assert (found["keepalives_idle"], found["tcp_user_timeout"], found["application_name"]) == (30, 10_000, "store")
    assert keywords(f"{URL}?connect_timeout=9")["connect_timeout"] == "9"


@serverless
def test_write_path_is_read_write() -> None:
    """
    A store that writes refuses a standby at the door; one that only reads takes any and cannot write.
    """
    assert keywords(URL)["target_session_attrs"] == "read-write"
    reading = keywords(URL, read_only=True)

    assert "target_session_attrs" not in reading
    assert options(reading)["default_transaction_read_only"] == "on"


@serverless
def test_migrations_may_have_an_address_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    before = Settings.load()
    monkeypatch.setenv("STORE_MIGRATE_URL", "postgresql://migrator@db.example.org/shop")
    after = Settings.load()

    assert _connection.address(before, migrate=True)["user"] == "app"
    assert _connection.address(after, migrate=True)["user"] == "migrator"
    assert _connection.address(after)["user"] == "app"
    monkeypatch.setenv("STORE_MIGRATE_URL", "nonsense")
    with pytest.raises(SettingsError, match="^STORE_MIGRATE_URL"):
        _connection.address(Settings.load(), migrate=True)


@serverless
def test_migrations_need_no_address_but_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A job that only migrates is given one secret; the application is not let in by it.
    """
    monkeypatch.setenv("STORE_MIGRATE_URL", "postgresql://migrator@db.example.org/shop")
    settings = Settings.load()

    assert _connection.address(settings, migrate=True)["user"] == "migrator"
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set"):
        _connection.address(settings)


@serverless
def test_secrets_are_secret() -> None:
    shown = repr(Settings.load(database_url=URL)) + Settings.load(database_url=URL).model_dump_json()

    assert "secret" not in shown.replace("SecretStr", "")
    assert "db.example.org" not in shown


def test_embedded_address(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A relative directory starts where .env is; a running server is found and not started again.
    """
    if server.embedded is None:
        pytest.fail("this test needs the embedded server: run it without STORE_TEST_DSN")
    directory = server.embedded.directory
    monkeypatch.chdir(directory.parent)
    Path(".env").write_text(f"DATABASE_URL=embedded:{directory.name}\n")
    found = _connection.address(Settings.load())
    Path(".env").unlink()

    assert found == conninfo_to_dict(server.embedded.dsn())
    assert _connection.address(Settings.load(database_url=f"embedded:{directory}")) == found
    with pytest.raises(SettingsError, match="version 15"):
        _connection.address(Settings.load(database_url=f"embedded:{directory}?version=15"))


@serverless
def test_opening_nothing_reads_settings_only() -> None:
    """
    A Store that is made and not entered has done nothing; entering one that reaches no server says where to and why.
    """
    shop = Store.open(settings("postgresql://app:secret@127.0.0.1:1/shop"))
    with pytest.raises(StoreError, match="127.0.0.1 port=1 .*nothing listens there"):
        shop.start()
