"""
The command line: one module a group of commands, no logic of its own.
"""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from store import _distribution
from store.cli._later import listed

_COMMANDS = {
    "check": (
        "contract:check",
        "Hold SQL, DTOs and callers to the contracts. Needs no database; with --db every fact is asked for again.",
    ),
    "demo": (
        "demo:demo",
        (
            "Show the store at work: schema, 10,000 sample products, a user, a search, a cart, its order with payment and "
            "receipt, and two refusals of the database."
        ),
    ),
    "doctor": (
        "doctor:doctor",
        "Look at versions, settings, server, transport, role, migrations and statements; change nothing.",
    ),
    "explain": (
        "queries:explain",
        "Print the plan of a query on the server of DATABASE_URL: the generic one, or that of the values given.",
    ),
    "grants": (
        "contract:grants",
        "Print the least that store_app must be granted to run the queries: schemas, columns, functions, sequences.",
    ),
    "lock": (
        "contract:lock",
        "Write what PostgreSQL understands of every query to contracts/*.contract, for review with `git diff`.",
    ),
    "plans": (
        "scale:plans",
        (
            "Show what each query would cost at the size of another database, and where its plan moves, on an embedded "
            "scratch server."
        ),
    ),
    "sql": ("queries:sql", "Print the text that runs, to the byte: what pg_stat_statements and the log show."),
    "sweep": (
        "verify:sweep",
        (
            "Give back expired holds, mark carts that nobody touched as abandoned, delete old acknowledged events. For cron; "
            "nothing depends on it."
        ),
    ),
    "uses": (
        "queries:uses",
        "List who writes, deletes, locks and reads a table or column, from the contracts: who to ask before it is changed.",
    ),
    "verify": (
        "verify:verify",
        (
            "Check the sums of the shop: stock, holds, totals, payments, steps. A row for each fault; only reads, also beside "
            "traffic."
        ),
    ),
    "migrate": (
        "_migrate_commands:app",
        "Move the schema: plain .sql files, one transaction each, recorded in the schema store_migrations.",
    ),
    "import": ("data:import_app", "Read catalogs and invoices from files, all of a file or nothing."),
    "export": ("data:export_app", "Write catalogs to files that `store import` reads."),
    "embedded": (
        "embedded:app",
        "The PostgreSQL that comes from PyPI (extra `embedded`), for trying things and for tests; not for production.",
    ),
    "stats": ("scale:stats_app", "How large the database is, as its planner sees it; no value of a row."),
}
"""Where each command is, and how its help begins there."""


app = typer.Typer(
    cls=listed(__name__, _COMMANDS),
    name="store",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    help="The commerce data layer that a person can read.\n\n"
    "What asks a server reads DATABASE_URL (or PGHOST, PGDATABASE, ...) from the environment or from .env in the working "
    "directory and invents none; lock, check, grants, sql, uses, plans, migrate lint and migrate gate need no server of yours. "
    "To try things out: [bold]store embedded use[/], then [bold]store demo[/].",
)


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
    logging.getLogger("psycopg").addHandler(logging.NullHandler())  # what it says of a cancelled statement, we say
    app(prog_name="store")
    return 0
