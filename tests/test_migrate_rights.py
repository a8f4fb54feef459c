"""
A role without rights ends with 10, names itself and the way out, and leaves the database as it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from store import migrate
from store.errors import PermissionDenied
from tests.databases import Connection, TestServer
from tests.migrations import write

Connect = Callable[[], Connection]
ROLE = "store_test_looker"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    write(folder, "0001_x", "CREATE SCHEMA t0001; CREATE TABLE t0001.a (id bigint);")
    return folder


@pytest.fixture
def reader(connect: Connect, place: Path, server: TestServer, empty_database: str) -> Iterator[str]:
    """
    A login that may read everything and write nothing, on a database with one migration applied and one pending.
    """
    with connect() as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN".encode())
        try:
            migrate.up(connect, place)
            write(place, "0002_y", "SELECT 1;\n\nALTER TABLE t0001.a ADD COLUMN b bigint;")
            connection.execute(f"GRANT USAGE ON SCHEMA t0001, store_migrations TO {ROLE}".encode())
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA t0001, store_migrations TO {ROLE}".encode())
            yield server.dsn(empty_database, ROLE)
        finally:
            connection.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}".encode())


def store(dsn: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "store", "migrate", *arguments],
        env=os.environ | {"DATABASE_URL": dsn}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["exit_code"] == done.returncode
    return found


@pytest.mark.parametrize("named", [False, True], ids=["login", "--role"])
def test_who_may_not_keep_the_record_is_refused_before_anything_runs(
    connect: Connect, place: Path, empty_dsn: str, reader: str, named: bool
) -> None:
    arguments = ["--role", ROLE] if named else []
    found = store(empty_dsn if named else reader, "up", "--folder", str(place), *arguments)
    said = found["error"]["message"]

    assert (10, None) == (found["exit_code"], found["failed"])
    assert f"the role {ROLE}" in said
    assert "INSERT on store_migrations._yoyo_migration" in said
    assert "--role" in said
    assert "STORE_MIGRATE_URL" in said
    with connect() as connection:
        assert (1,) == connection.execute("SELECT count(*) FROM store_migrations.store_migration").fetchone()


@pytest.mark.parametrize("header", ["", "-- transactional: false\n"], ids=["transaction", "outside"])
def test_a_file_that_the_role_may_not_run_is_10(
    connect: Connect, place: Path, reader: str, empty_dsn: str, header: str
) -> None:
    """
    It keeps the record, but the tables are not its own: nothing is stored, and the owner goes on.
    """
    text = f"{header}CREATE INDEX {'CONCURRENTLY ' if header else ''}a_idx ON t0001.a (id);"
    write(place, "0002_y", text)
    with connect() as connection:
        connection.execute(f"GRANT INSERT ON ALL TABLES IN SCHEMA store_migrations TO {ROLE}".encode())
    found = store(reader, "up", "--folder", str(place))
    said = found["error"]["message"]

    assert (10, "42501") == (found["exit_code"], found["error"]["sqlstate"])
    assert ("0002_y", text.count("\n") + 1) == (found["failed"]["id"], found["failed"]["line"])
    assert "must be owner of table a" in said
    assert f"the role {ROLE} may not do this" in said
    assert "--role" in said
    assert "STORE_MIGRATE_URL" in said
    with connect() as connection:
        assert (None,) == connection.execute("SELECT to_regclass('t0001.a_idx')").fetchone()
    assert 0 == store(empty_dsn, "up", "--folder", str(place))["exit_code"]


def test_who_may_not_make_the_record_is_refused(place: Path, connect: Connect, reader: str) -> None:
    """
    Where there is none yet, and where a part of it is missing.
    """

    def refused() -> str:
        with pytest.raises(PermissionDenied) as caught:
            migrate.up(lambda: psycopg.connect(reader, autocommit=True), place)
        return str(caught.value)

    with connect() as connection:
        connection.execute("DROP TABLE store_migrations._yoyo_log")
        assert "INSERT on store_migrations._yoyo_migration" in refused()
        connection.execute(f"GRANT INSERT ON ALL TABLES IN SCHEMA store_migrations TO {ROLE}".encode())
        assert "CREATE on the schema store_migrations" in refused()
        connection.execute("DROP SCHEMA store_migrations CASCADE")
        assert "CREATE on the database" in refused()
