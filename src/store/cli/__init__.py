"""
The command line: one module a group of commands, no logic of its own.
"""

from __future__ import annotations

from typing import Annotated

import typer

from store import _distribution
from store.cli.contract import check, grants, lock
from store.cli.data import export_app, import_app
from store.cli.demo import demo
from store.cli.doctor import doctor
from store.cli.embedded import app as embedded_app
from store.cli.migrate_review import app as migrate_app
from store.cli.queries import explain, sql, uses
from store.cli.scale import plans, stats_app
from store.cli.verify import sweep, verify

app = typer.Typer(
    name="store",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    help="The commerce data layer that a person can read.\n\n"
    "What asks a server reads DATABASE_URL (or PGHOST, PGDATABASE, ...) from the environment or from .env in the working "
    "directory and invents none; lock, check, grants, sql, uses, plans and migrate lint need no server of yours. "
    "To try things out: [bold]store embedded use[/], then [bold]store demo[/].",
)
app.add_typer(migrate_app, name="migrate")
app.add_typer(import_app, name="import")
app.add_typer(export_app, name="export")
app.add_typer(embedded_app, name="embedded")
app.add_typer(stats_app, name="stats")
app.command()(check)
app.command()(demo)
app.command()(doctor)
app.command()(explain)
app.command()(grants)
app.command()(lock)
app.command()(plans)
app.command()(sql)
app.command()(sweep)
app.command()(uses)
app.command()(verify)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{_distribution.name()} {_distribution.version()}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass


def run() -> int:
    """
    Run the command line and return its exit code.
    """
    app(prog_name="store")
    return 0
