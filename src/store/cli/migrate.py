"""
`store migrate`: the schema moves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from store import _files, migrate
from store.cli._output import AsJson, err, is_json, out, print_json, reported
from store.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Move the schema: plain .sql files, one transaction each, recorded in the schema store_migrations.\n\n"
    "Connects by STORE_MIGRATE_URL, else by DATABASE_URL. Exit codes: 0 done, 2 a setting or the folder is wrong, 3 migrations "
    "are pending (status), 4 another runner is at work, 5 a migration failed and nothing of it is stored, 10 no connection.",
)

Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="A folder of migrations of your own. Default: the ones that come with the package."),
]


@app.command()
def up(*, folder: Folder = None, as_json: AsJson = None) -> None:
    """
    Apply every pending migration, in order. Running it again changes nothing; two at once wait for each other.
    """
    json = is_json(as_json)
    with reported(as_json=json):
        settings, where = Settings.load(), folder or _files.folder("migrations")
        done = migrate.up(migrate.connector(settings), where, None if json else lambda name: out.print(f"applied {name}"))
        if json:
            print_json({"command": "up", "applied": done})
        elif not done:
            out.print("nothing to do: the schema is up to date")


@app.command()
def down(
    *,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many migrations to take back, the latest first.")] = 1,
    allow_down: Annotated[
        bool, typer.Option("--allow-down", help="Needed on any server but the embedded one: most rollbacks lose data.")
    ] = False,
    folder: Folder = None,
    as_json: AsJson = None,
) -> None:
    """
    Take the latest migration back by its .rollback.sql file. What its tables held is lost.
    """
    json = is_json(as_json)
    with reported(as_json=json):
        settings, where = Settings.load(), folder or _files.folder("migrations")
        if not (allow_down or settings.is_embedded):
            err.print("store: taking a migration back loses data; say --allow-down when that is what you want")
            raise typer.Exit(2)
        done = migrate.down(
            migrate.connector(settings), where, None if json else lambda name: out.print(f"took back {name}"), count=count
        )
        if json:
            print_json({"command": "down", "taken_back": done})
        elif not done:
            out.print("nothing to do: no migration is applied")


@app.command()
def status(*, folder: Folder = None, as_json: AsJson = None) -> None:
    """
    Say which migrations are applied and which are pending. Only reads (an embedded server is started for it). Exit code 3 when
    some are pending.
    """
    json = is_json(as_json)
    with reported(as_json=json):
        settings, where = Settings.load(), folder or _files.folder("migrations")
        found = migrate.status(migrate.connector(settings, read_only=True), where)
    pending = [each.id for each in found if each.state == "pending"]
    if json:
        rows = [{"id": each.id, "state": each.state, "applied_at": each.applied_at} for each in found]
        print_json({"command": "status", "pending": len(pending), "migrations": rows})
    else:
        for each in found:
            out.print(f"{each.state:8} {each.id}" + (f"  {each.applied_at:%Y-%m-%d %H:%M:%S} UTC" if each.applied_at else ""))
    if pending:
        raise typer.Exit(3)
