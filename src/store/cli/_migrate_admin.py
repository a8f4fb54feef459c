"""
`store migrate plan | baseline | new | unlock`: what people do around a deploy.
"""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from store import migrate
from store.cli._migrating import (
    AsJson,
    Folder,
    LockTimeout,
    LockWait,
    Role,
    SearchPath,
    StatementTimeout,
    StateSchema,
    Wait,
    finish,
    folder_of,
    is_json,
    out,
    reporting,
)
from store.migrate import Options, Report
from store.settings import Settings

_D = Options()


def plan(
    *,
    to: Annotated[str | None, typer.Option("--to", metavar="ID", help="Stop after this migration.")] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the plan into this file, as JSON.")
    ] = None,
    wait: Wait = 0.0,
    lock_timeout: LockTimeout = _D.lock_timeout,
    statement_timeout: StatementTimeout = _D.statement_timeout,
    state_schema: StateSchema = _D.state_schema,
    search_path: SearchPath = "",
    folder: Folder = None,
    as_json: AsJson = None,
) -> None:
    """
    Print exactly the SQL that `up` will run, and a hash for `up --plan`. Only reads. Exit code 3 when something is pending.
    """
    json, report = is_json(as_json), Report("plan")
    options = Options(
        lock_timeout=lock_timeout, statement_timeout=statement_timeout, state_schema=state_schema, search_path=search_path
    )
    with reporting(report, as_json=json):
        connect = migrate.connector(Settings.load(), read_only=True, wait=wait)
        found = migrate.plan(connect, folder_of(folder), to=to, options=options, report=report)
    if out_file is not None:
        told = {"plan_hash": found.hash, "pending": found.pending, "sql": found.sql}
        out_file.write_text(json_format.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if not json:
        typer.echo(found.sql, nl=False)  # what psql reads, to the byte
    finish(report, as_json=json, code=3 if found.pending else 0, sql=found.sql)


def baseline(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The last migration whose objects are already there.")],
    *,
    wait: Wait = 0.0,
    lock_wait: LockWait = _D.lock_wait,
    role: Role = None,
    state_schema: StateSchema = _D.state_schema,
    folder: Folder = None,
    as_json: AsJson = None,
) -> None:
    """
    Record an existing schema as migrated up to ID, when its fingerprint is the one MANIFEST keeps for it.
    """
    json, report = is_json(as_json), Report("baseline")
    options = Options(lock_wait=lock_wait, state_schema=state_schema)
    with reporting(report, as_json=json):
        connect = migrate.connector(Settings.load(), wait=wait, role=role)
        done = migrate.baseline(connect, folder_of(folder), id_, options=options, report=report)
    if not json:
        for name in done:
            out.print(f"recorded {name}", markup=False)
    finish(report, as_json=json, recorded=done)


def unlock(
    *,
    terminate: Annotated[int | None, typer.Option("--terminate", metavar="PID", help="End this runner.")] = None,
    wait: Wait = 0.0,
    state_schema: StateSchema = _D.state_schema,
    as_json: AsJson = None,
) -> None:
    """
    Show who holds the lock (exit code 4), and take a stale row of yoyo's own lock away. Our lock ends with its holder.
    """
    json, report = is_json(as_json), Report("unlock")
    with reporting(report, as_json=json):
        connect = migrate.connector(Settings.load(), wait=wait)
        cleared = migrate.unlock(connect, terminate=terminate, options=Options(state_schema=state_schema), report=report)
    if not json:
        out.print("a stale row of yoyo's lock is gone" if cleared else "nobody holds the lock")
    finish(report, as_json=json, cleared=cleared)


def new(
    words: Annotated[str, typer.Argument(help="What it does, in words: 'add gift notes'.")],
    *,
    folder: Annotated[Path, typer.Option("--folder", help="The folder of migrations.")] = Path("migrations"),
    as_json: AsJson = None,
) -> None:
    """
    Write the two files of the next migration.
    """
    json, report = is_json(as_json), Report("new")
    with reporting(report, as_json=json):
        created = migrate.new(folder, words)
    if not json:
        out.print(f"{created.up}\n{created.down}", markup=False, soft_wrap=True)
    finish(report, as_json=json, files=[str(created.up), str(created.down)])
