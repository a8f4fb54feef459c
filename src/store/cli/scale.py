"""
`store stats dump` and `store plans`: the plans of the queries at the size of a real database, without its data.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from store.cli._output import AsJson, Dsn, err, is_json, out, print_json, reported
from store.cli.contract import Migrations, Sql, project_of
from store.contract import scale as _scale
from store.contract import stats as _stats
from store.contract.database import connected_to, opened
from store.contract.findings import REFUSED
from store.contract.lock import replace
from store.errors import SettingsError

stats_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="How large the database is, as its planner sees it; no value of a row."
)


@stats_app.callback()
def _stats_main() -> None:
    pass


@stats_app.command()
def dump(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Where to write. Default: standard output.")] = None,
    *,
    schema: Annotated[list[str] | None, typer.Option("--schema", help="A schema. Repeat it for each. Default: store.")] = None,
    dsn: Dsn = None,
) -> None:
    """
    Write the statistics of tables, indexes and columns as JSON, for [bold]store plans --stats[/]. Only reads.

    Of columns only those that the role may read; no most common values, no histograms.

    Exit codes: 0 written (tables that were never analysed are named and left out), 1 none ever was, 2 the file cannot be
    written, 10 the server cannot be reached.
    """
    with reported(), connected_to(dsn) as connection:
        found = _stats.dump(connection, schema or ["store"])
        text = found.model_dump_json(indent=1, exclude_none=True) + "\n"
        if file is not None:
            _write(file, text)
        left = _stats.unseen(connection, schema or ["store"])
    if left:
        err.print(f"never analysed, and left out: {', '.join(left)}", markup=False, soft_wrap=True)
    if file is None:
        typer.echo(text, nl=False)


def plans(
    *,
    stats: Annotated[Path, typer.Option("--stats", metavar="FILE", help="What `store stats dump` wrote.")],
    sql: Sql = None,
    migrations: Migrations = None,
    as_json: AsJson = None,
) -> None:
    """
    Show what each query would cost at the size of another database, and where its plan moves, on an embedded scratch server.

    The dearest first: the cost on empty tables, the cost at that size, and the ways to its tables that the contract does not
    name. Costs are reported, and gate nothing; [bold]store check --db[/] gates the plans.

    Exit codes: 0 shown, 1 no such statistics, 9 a query cannot be planned, 10 the scratch server does not start.

    Example: [bold]store stats dump prod.json && store plans --stats prod.json[/]
    """
    json = is_json(as_json)
    with reported(as_json=json):
        project = project_of(sql, None, migrations)
        found = _stats.load(stats)
        with opened(None, project.migrations) as connection:
            report = _scale.scale(connection, project, found)
    if json:
        rows = [{**dataclasses.asdict(each), "moved": each.moved} for each in report.queries]
        findings = [each.as_json() for each in report.refused]
        told = {"queries": rows, "unknown": report.unknown, "unseen": report.unseen, "findings": findings}
        print_json({"command": "plans", **told})
    else:
        _print(report)
    if report.refused:
        raise typer.Exit(REFUSED)


def _write(file: Path, text: str) -> None:
    try:
        replace(file, text)
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}"
        raise SettingsError(message) from None


def _print(report: _scale.Report) -> None:
    width = max((len(each.query) for each in report.queries), default=5)
    out.print(f"{'query':<{width}}  {'empty tables':>12} -> {'at that size':>14}  other ways to its tables", soft_wrap=True)
    for each in report.queries:
        line = f"{each.query:<{width}}  {each.cost_before:>12.2f} -> {each.cost:>14.2f}  {'; '.join(each.moved)}"
        out.print(line.rstrip(), markup=False, soft_wrap=True)
    for finding in report.refused:
        out.print(str(finding), markup=False, soft_wrap=True)
    if report.unseen:
        err.print(f"not in the statistics, planned as empty: {', '.join(report.unseen)}", markup=False, soft_wrap=True)
    if report.unknown:
        err.print(f"not in this schema: {', '.join(report.unknown)}", markup=False, soft_wrap=True)
