"""
`store migrate plan | baseline | new | unlock`: what people do around a deploy.
"""

from __future__ import annotations

import dataclasses
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
    Schemas,
    SearchPath,
    StatementTimeout,
    StateSchema,
    UpTo,
    Wait,
    finish,
    folder_of,
    is_json,
    reporting,
    say,
)
from store.errors import SettingsError
from store.migrate import Options, Report
from store.migrate import review as _review
from store.settings import Settings

_D = Options()


def plan(
    *,
    to: UpTo = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the plan into this file, as JSON.")
    ] = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Try what is pending on a throw-away server. Needs the extra `embedded`.")
    ] = False,
    wait: Wait = 0.0,
    lock_timeout: LockTimeout = _D.lock_timeout,
    statement_timeout: StatementTimeout = _D.statement_timeout,
    state_schema: StateSchema = _D.state_schema,
    schema: Schemas = None,
    search_path: SearchPath = "",
    folder: Folder = None,
    as_json: AsJson = None,
) -> None:
    """
    Print exactly the SQL that `up` will run, and a hash for `up --plan`. Only reads. Exit code 3 when something is pending.

    With --scratch the files are tried: what is applied by the record, then what is pending, on a throw-away server with rows in
    its tables. Told for each file: how long it took there, and what it locks, rewrites and reads of what was there before. Exit
    code 9 when PostgreSQL refuses a file.
    """
    json, report = is_json(as_json), Report("plan")
    tried: list[_review.Tried] = []
    options = Options(
        lock_timeout=lock_timeout,
        statement_timeout=statement_timeout,
        state_schema=state_schema,
        schemas=tuple(schema or ()),
        search_path=search_path,
    )
    with reporting(report, as_json=json):
        connect = migrate.connector(Settings.load(), read_only=True, wait=wait)
        found = migrate.plan(connect, folder_of(folder), to=to, options=options, report=report)
        if scratch and found.pending:
            with _review.scratch(_review.version_like(report.server_version)) as server:
                tried = _review.rehearse(server, folder_of(folder), found)
            report.failed = tried[-1].failed
        if out_file is not None:
            _write(out_file, {"plan_hash": found.hash, "pending": found.pending, "sql": found.sql})
    if not json:
        typer.echo(found.sql + _told(tried), nl=False)  # what psql reads, to the byte
    code = 9 if report.failed else 3 if found.pending else 0
    finish(report, as_json=json, code=code, sql=found.sql, tried=[dataclasses.asdict(each) for each in tried])


def _told(tried: list[_review.Tried]) -> str:
    # As comments: what is printed is still what psql runs.
    lines: list[str] = []
    for each in tried:
        lines += ["", f"-- tried: {each.id}, {each.duration_ms} ms where tables have {each.rows} rows"]
        lines += [f"--     {line}" for line in each.effects]
        if each.failed is not None:
            lines.append(f"--     refused: {each.failed['file']}:{each.failed['line']}: {each.failed['message']}")
    return "".join(line + "\n" for line in lines)


def _write(path: Path, value: object) -> None:
    try:
        path.write_text(json_format.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--out {path} cannot be written: {error.strerror}") from None


def baseline(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The last migration whose objects are already there.")],
    *,
    wait: Wait = 0.0,
    lock_wait: LockWait = _D.lock_wait,
    role: Role = None,
    state_schema: StateSchema = _D.state_schema,
    schema: Schemas = None,
    folder: Folder = None,
    as_json: AsJson = None,
) -> None:
    """
    Record an existing schema as migrated up to ID, when its fingerprint is the one MANIFEST keeps for it. When it is not, what
    differs is named, an object a line (with the extra `embedded`: the files are applied to a throw-away server for it).
    """
    json, report = is_json(as_json), Report("baseline")
    options = Options(lock_wait=lock_wait, state_schema=state_schema, schemas=tuple(schema or ()))
    with reporting(report, as_json=json):
        connect = migrate.connector(Settings.load(), wait=wait, role=role)
        done = migrate.baseline(connect, folder_of(folder), id_, options=options, report=report)
    if not json:
        for name in done:
            say(f"recorded {name}")
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
        if terminate is not None:
            say(f"ended {terminate}")
        say("a stale row of yoyo's lock is gone" if cleared else "nobody holds the lock")
    finish(report, as_json=json, cleared=cleared, ended=terminate)


def new(
    words: Annotated[str, typer.Argument(help="What it does, in words: 'add gift notes'.")],
    *,
    folder: Annotated[Path, typer.Option("--folder", help="The folder of migrations.")] = Path("migrations"),
    as_json: AsJson = None,
) -> None:
    """
    Write the two files of the next migration, or of the first one; a folder that is missing is made.
    """
    json, report = is_json(as_json), Report("new")
    with reporting(report, as_json=json):
        created = migrate.new(folder, words)
    if not json:
        if created.made_folder:
            say(f"made the folder {folder}")
        say(f"{created.up}\n{created.down}")
    finish(report, as_json=json, files=[str(created.up), str(created.down)], made_folder=created.made_folder)
