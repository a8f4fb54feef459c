"""
The owner of a database chooses the search_path of its sessions: no function of theirs runs with the rights of whoever looks.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from store import migrate
from store.cli import app
from store.errors import MigrationLocked
from store.migrate import Options
from tests.databases import TestServer

TRAPS = [
    ("set_config(text, text, boolean)", "text"),
    ("pg_backend_pid()", "integer"),
    ("current_setting(text)", "text"),
    ("pg_try_advisory_lock(integer, integer)", "boolean"),
    ("pg_blocking_pids(integer)", "integer[]"),
    ("quote_ident(text)", "text"),
    ("lower(text)", "text"),
    ("pg_get_indexdef(oid)", "text"),
    ("pg_get_constraintdef(oid)", "text"),
    ("obj_description(oid, name)", "text"),
    ("pg_is_in_recovery()", "boolean"),
    ("to_regclass(text)", "regclass"),
    ("pg_relation_size(regclass)", "bigint"),
]
OPERATORS = [("=", "name"), ("=", "text"), ("=", "oid"), ("=", "integer"), ("||", "text"), ("~", "text"), ("!~", "text")]
COMMANDS = [
    ["migrate", "status"],
    ["migrate", "verify"],
    ["migrate", "plan"],
    ["migrate", "fingerprint"],
    ["migrate", "up"],
    ["migrate", "unlock"],
    ["doctor"],
    ["verify"],
    ["stats", "dump", "sizes.json"],
    ["explain", "catalog.get_product"],
    ["check", "--db", "--dsn"],
    ["export", "products", "products.csv"],
]
# No statistics yet, a superuser's warning, and plans are graded by the role that asks.
EXPECTED = {"stats": {0, 1}, "check": {0, 8, 9}}


@pytest.fixture
def hostile(server: TestServer, database: str) -> str:
    """
    A database whose path puts functions and operators before PostgreSQL's own that tell when they run.
    """
    body = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'TRAPPED'; END $$"
    with server.connect(database) as connection:
        connection.execute("CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO public")
        for signature, returns in TRAPS:
            connection.execute(f"CREATE FUNCTION evil.{signature} RETURNS {returns} {body}".encode())
        for number, (operator, kind) in enumerate(OPERATORS):
            returns = "text" if operator == "||" else "boolean"
            connection.execute(f"CREATE FUNCTION evil.f{number}({kind}, {kind}) RETURNS {returns} {body}".encode())
            arguments = f"LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = evil.f{number}"
            connection.execute(f"CREATE OPERATOR evil.{operator} ({arguments})".encode())
        connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = evil, pg_catalog").format(sql.Identifier(database)))
    return server.dsn(database)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_function_of_the_owner_runs(
    hostile: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments[-1] == "--dsn":
        arguments = [*arguments, hostile]
    done = CliRunner().invoke(app, arguments, env={"DATABASE_URL": hostile})

    assert "TRAPPED" not in done.output
    assert done.exit_code in EXPECTED.get(arguments[0], {0}), done.output


def test_no_function_of_the_owner_keeps_the_blocker_from_being_named(hostile: str, tmp_path: Path) -> None:
    """
    A second connection looks who has the lock that a file waits for, and only the log would say what stopped it.
    """
    (tmp_path / "0001_x.sql").write_text("-- store: irreversible: changes nothing\nLOCK TABLE public.held;\n")
    with psycopg.connect(hostile) as holder:
        holder.execute("CREATE TABLE public.held (id bigint)")
        holder.commit()
        holder.execute("LOCK TABLE public.held")
        options = Options(state_schema="of_its_own", lock_timeout=2.0, lock_wait=1.0)
        with pytest.raises(MigrationLocked, match=f"held by server process {holder.info.backend_pid}, "):
            migrate.up(lambda: psycopg.connect(hostile), tmp_path, options=options)


def test_the_trap_works(hostile: str) -> None:
    with psycopg.connect(hostile) as connection, pytest.raises(psycopg.errors.RaiseException, match="TRAPPED"):
        connection.execute("SELECT set_config('search_path', '', false)")
