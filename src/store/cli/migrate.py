"""
`store migrate up`, `down`, `redo` and `status`: the schema moves.
"""

from __future__ import annotations

from typing import Annotated

import typer

from store import migrate
from store.cli._migrating import (
    AllowDown,
    AsJson,
    Folder,
    LockTimeout,
    LockWait,
    LongTimeout,
    Role,
    Schemas,
    SearchPath,
    StatementTimeout,
    StateSchema,
    UpTo,
    Wait,
    finish,
    folder_of,
    heard,
    is_json,
    reporting,
    say,
)
from store.errors import MigrationRefused
from store.migrate import Options, Report
from store.settings import Settings

_D = Options()


def up(
    *,
    to: UpTo = None,
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="HASH", help="Apply only what `plan` printed under this hash.")
    ] = None,
    strict: Annotated[bool, typer.Option(help="Refuse a schema changed beside the migrations.")] = False,
    allow_out_of_order: Annotated[
        list[str] | None, typer.Option("--allow-out-of-order", metavar="ID", help="Apply this one below the highest applied.")
    ] = None,
    wait: Wait = 0.0,
    lock_wait: LockWait = _D.lock_wait,
    lock_timeout: LockTimeout = _D.lock_timeout,
    statement_timeout: StatementTimeout = _D.statement_timeout,
    long_timeout: LongTimeout = _D.long_timeout,
    role: Role = None,
    state_schema: StateSchema = _D.state_schema,
    schema: Schemas = None,
    search_path: SearchPath = "",
    folder: Folder = None,
    as_json: AsJson = None,
) -> None:
    """
    Apply every pending migration, in order. Running it again changes nothing; two at once wait for each other.
    """
    json, report = is_json(as_json), Report("up")
    options = Options(
        lock_wait=lock_wait,
        lock_timeout=lock_timeout,
        statement_timeout=statement_timeout,
        long_timeout=long_timeout,
        state_schema=state_schema,
        schemas=tuple(schema or ()),
        search_path=search_path,
        allow_out_of_order=frozenset(allow_out_of_order or ()),
        strict=strict,
    )
    with reporting(report, as_json=json):
        connect = migrate.connector(Settings.load(), wait=wait, role=role)
        told = heard("applied", as_json=json)
        done = migrate.up(connect, folder_of(folder), told, to=to, plan=plan, options=options, report=report)
    if not (json or done):
        say("nothing to do: the schema is up to date")
    finish(report, as_json=json)


def down(
    *,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many migrations to take back, the latest first.")] = 1,
    to: Annotated[str | None, typer.Option("--to", metavar="ID", help="Take back all that was applied after this one.")] = None,
    allow_down: AllowDown = False,
    wait: Wait = 0.0,
    lock_wait: LockWait = _D.lock_wait,
    lock_timeout: LockTimeout = _D.lock_timeout,
    statement_timeout: StatementTimeout = _D.statement_timeout,
    long_timeout: LongTimeout = _D.long_timeout,
    role: Role = None,
    state_schema: StateSchema = _D.state_schema,
    schema: Schemas = None,
    search_path: SearchPath = "",
    folder: Folder = None,
    as_json: AsJson = None,
) -> None:
    """
    Take the latest migration back by its .rollback.sql file. What its tables held is lost.
    """
    json, report = is_json(as_json), Report("down")
    options = Options(
        lock_wait=lock_wait,
        lock_timeout=lock_timeout,
        statement_timeout=statement_timeout,
        long_timeout=long_timeout,
        state_schema=state_schema,
        schemas=tuple(schema or ()),
        search_path=search_path,
    )
    with reporting(report, as_json=json):
        settings = Settings.load()
        _refuse_down(settings, allowed=allow_down)
        connect = migrate.connector(settings, wait=wait, role=role)
        told = heard("took back", as_json=json)
        done = migrate.down(connect, folder_of(folder), told, count=count, to=to, options=options, report=report)
    if not (json or done):
        say("nothing to do: no migration is applied")
    finish(report, as_json=json)


def redo(
    *,
    allow_down: AllowDown = False,
    wait: Wait = 0.0,
    lock_wait: LockWait = _D.lock_wait,
    statement_timeout: StatementTimeout = _D.statement_timeout,
    long_timeout: LongTimeout = _D.long_timeout,
    role: Role = None,
    state_schema: StateSchema = _D.state_schema,
    schema: Schemas = None,
    search_path: SearchPath = "",
    folder: Folder = None,
    as_json: AsJson = None,
) -> None:
    """
    Take the latest migration back and apply it again, under one lock; 8 when the schema is not what it was.
    """
    json, report = is_json(as_json), Report("redo")
    options = Options(
        lock_wait=lock_wait,
        statement_timeout=statement_timeout,
        long_timeout=long_timeout,
        state_schema=state_schema,
        schemas=tuple(schema or ()),
        search_path=search_path,
    )
    with reporting(report, as_json=json):
        settings = Settings.load()
        _refuse_down(settings, allowed=allow_down)
        done = migrate.redo(
            migrate.connector(settings, wait=wait, role=role), folder_of(folder), options=options, report=report
        )
    if not json:
        say(f"applied {done[0]} again" if done else "nothing to do: no migration is applied")
    finish(report, as_json=json)


def status(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 3 (pending), or with what would keep `up` from it: 2, 7, 9.")
    ] = False,
    wait: Wait = 0.0,
    state_schema: StateSchema = _D.state_schema,
    folder: Folder = None,
    as_json: AsJson = None,
) -> None:
    """
    Say which migrations are applied and which are pending. Only reads, takes no lock, and works for a read-only role and on a
    standby (an embedded server is started for it).
    """
    json, report = is_json(as_json), Report("status")
    with reporting(report, as_json=json):
        connect = migrate.connector(Settings.load(), read_only=True, wait=wait)
        found = migrate.status(connect, folder_of(folder), options=Options(state_schema=state_schema), report=report)
    if not json:
        for each in found:
            say(f"{each.state:8} {each.id}" + (f"  {each.applied_at:%Y-%m-%d %H:%M:%S} UTC" if each.applied_at else ""))
        for refusal in report.refusals:
            say(f"{refusal.rule}: {refusal.message}")
        for holder in report.holders:
            say(f"at work: {holder}")
    rows = [{"id": each.id, "state": each.state, "applied_at": each.applied_at} for each in found]
    applied = [{"id": row["id"], "applied_at": row["applied_at"]} for row in rows if row["state"] != "pending"]
    refused = min((refusal.exit_code for refusal in report.refusals), default=None)  # what `up` would exit with
    code = refused or (3 if report.pending else 0)
    finish(report, as_json=json, code=code if check else 0, applied=applied, migrations=rows)


def _refuse_down(settings: Settings, *, allowed: bool) -> None:
    if not (allowed or settings.is_embedded):
        raise MigrationRefused("taking a migration back loses data; say --allow-down when that is what you want")
