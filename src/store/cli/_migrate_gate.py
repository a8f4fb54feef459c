"""
`store migrate gate`: will the release that runs survive the migrations of the next one?
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from store import _files
from store import gate as _gate
from store.cli._migrating import ServerVersion, folder_of, reporting, say
from store.cli._output import COLOURS, AsForm, AsJson, counted, err, form_of, out, print_json
from store.contract.findings import shown
from store.migrate import Report
from store.migrate import review as _review

_REFUSED = 9


def gate(
    *,
    previous: Annotated[
        str,
        typer.Option(
            "--previous",
            metavar="REF",
            help="The release that runs: a tag, branch or commit, a .whl file, or a folder. A file or folder comes first.",
        ),
    ],
    sql: Annotated[
        Path | None,
        typer.Option("--sql", metavar="DIR", help="A folder of .sql files of your own; with --migrations."),
    ] = None,
    migrations: Annotated[
        Path | None,
        typer.Option(
            "--migrations", metavar="DIR", help="Your migrations, applied after the store's. REF has both at these paths."
        ),
    ] = None,
    pg: ServerVersion = None,
    form: AsForm = None,
    as_json: AsJson = None,
) -> None:
    """
    Will the release that runs survive the pending migrations? While a deploy rolls, its queries meet the new schema: each is
    tried on a throw-away server after each migration that REF does not have. Named are the query and the line of the migration
    that has it refused, changes a type of it, lets null into its answer, or demands a column that its INSERT does not give.

    Where nothing but time has to pass, the file says so: [bold]-- store: contract-after: 1.8.0[/] allows its breaks as soon as
    the release that runs is newer than 1.8.0. Warnings are what no query is refused for, and somebody may feel: a new CHECK, a
    trigger, a lost index.

    For the way back it also lists the new queries that need a migration: migrate first, deploy then; and before `store migrate
    down`, roll the code back.

    Exit codes: 0 nothing breaks, or nothing is pending, 2 REF or a folder cannot be read, or there is no such VERSION, 7 a
    migration of REF was edited or is missing here, 9 a query breaks, or cannot be judged. The database in use has no part in
    it.

    Example: [bold]store migrate gate --previous v1.8.0[/]
    """
    chosen = form_of(form, as_json)
    if (sql is None) != (migrations is None):
        raise typer.BadParameter("--sql and --migrations belong together: queries, and the schema they run on")
    queries, folder = (sql, migrations) if sql and migrations else (_files.folder("sql") / "queries", folder_of(None))
    with reporting(Report("gate"), as_json=chosen == "json"):
        _review.check_version(pg)
        layouts = _gate.OWN if sql is None else _layouts(queries, folder)
        with _gate.previous(previous, queries, folder, layouts) as running:
            made = _gate.Gate([])
            if steps := _gate.pending(running, folder):
                err.print(f"trying {counted(len(steps), 'pending migration')} on a throw-away server")
                with _review.scratch(pg) as server:
                    made = _gate.gate(server, running, folder, steps, queries, prefix="app" if sql else "store")
    code = _REFUSED if made.errors else 0
    if chosen == "json":
        print_json(_object(running, made, code))
    elif chosen == "github":
        for each in made.verdicts:
            out.print(each.finding.as_github(), markup=False, soft_wrap=True)
    else:
        _print(running, made)
    if code:
        raise typer.Exit(code)


def _layouts(queries: Path, folder: Path) -> tuple[_gate.Layout, ...]:
    # A wheel leaves out the `src` of a checkout.
    here = Path.cwd().resolve()
    names = [path.resolve().relative_to(here).as_posix() for path in (queries, folder) if path.resolve().is_relative_to(here)]
    if len(names) < 2:
        raise typer.BadParameter("--sql and --migrations lie below the working directory, as they do in REF")
    whole, bare = _gate.Layout(*names), _gate.Layout(*(name.removeprefix("src/") for name in names))
    return (whole, bare)


def _object(running: _gate.Previous, made: _gate.Gate, code: int) -> dict[str, Any]:
    return {
        "command": "gate",
        "outcome": "refused" if code else "done",
        "exit_code": code,
        "previous": {"ref": running.ref, "version": running.version},
        "pending": made.pending,
        "judged": made.judged,
        "findings": [each.as_json() for each in made.verdicts],
        "needs": [
            {"query": each.query, "place": each.place, "migration": each.migration, "message": each.message}
            for each in made.needs
        ],
    }


def _print(running: _gate.Previous, made: _gate.Gate) -> None:
    if not made.pending:
        say(f"nothing to do: {running.ref} has every migration")
        return
    for (_, line, ddl), group in groupby(made.verdicts, lambda each: (each.path, each.line, each.ddl)):
        found = list(group)
        say(f"{shown(found[0].path)}:{line}  {ddl}".rstrip())
        for each in found:
            out.print(f"  [{COLOURS[each.severity]}]{each.severity}[/] [bold]{each.rule}[/]  ", end="")
            say(f"{each.message}{f' ({each.place})' if each.place else ''}")
        for mend in dict.fromkeys(each.mend for each in found if each.mend):
            say(f"  instead: {mend}")
    if made.needs:
        say("migrate first, deploy then; before `store migrate down`, roll the code back:")
        waiting: dict[tuple[str, str], list[str]] = {}
        for need in made.needs:
            waiting.setdefault((need.migration, need.message), []).append(need.query)
        for (migration, message), queries in waiting.items():
            say(f"  without {migration}: {message}: {', '.join(queries)}")
    errors, warnings = len(made.errors), len(made.verdicts) - len(made.errors)
    judged, pending = counted(made.judged, "query", "queries"), counted(len(made.pending), "pending migration")
    say(f"{judged} of {running.ref}, {pending}: {counted(errors, 'error')}, {counted(warnings, 'warning')}")
