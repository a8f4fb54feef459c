"""
`store sql`, `store uses` and `store explain`: the queries, as a DBA asks for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from store.cli._output import AsJson, Dsn, is_json, out, print_json, printable, reported
from store.cli.contract import Sql, project_of
from store.contract import explain as _explain
from store.contract import page as _page
from store.contract import uses as _uses
from store.contract.database import connected_to
from store.contract.findings import shown

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The query, as in orders.get_orders; NAME[LABEL] is one of its texts.")
]


def sql(
    name: Name,
    *,
    variant: Annotated[
        str | None,
        typer.Option("--variant", metavar="LABEL", help="The text with these filters and this sort, as in status+newest."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every text that the query can send, each under its name.")] = False,
    folder: Sql = None,
) -> None:
    """
    Print the text that runs, to the byte: what pg_stat_statements and the log show.

    Of a query with optional filters or declared sorts that is the file's own: all filters on, the first sort. Of a FILE, as in
    `catalog`, its queries by name.

    Example: [bold]store sql catalog.list_products --variant price+newest[/]
    """
    if every and (variant is not None or "[" in name):
        raise typer.BadParameter("--all prints every text: leave out the label")
    with reported():
        project = project_of(folder)
        if variant is None and (listed := [each for each in project.statements if each.domain == name]):
            for each in listed:
                out.print(f"{each.full_name}{each.mark}  {' '.join(each.doc.split())}", markup=False, soft_wrap=True)
            return
        statement = _uses.find(project, name if variant is None else f"{name}[{variant}]")
    if not every:
        typer.echo(statement.text)
        return
    typer.echo("\n\n".join(f"-- {text.title}\n{text.text}" for text in statement.texts()))


def uses(
    target: Annotated[str, typer.Argument(metavar="TABLE[.COLUMN]", help="A table or one of its columns.")],
    *,
    folder: Sql = None,
    as_json: AsJson = None,
) -> None:
    """
    List who writes, deletes, locks and reads a table or column, from the contracts: who to ask before it is changed.

    Also through the SQL functions that a query calls and the foreign keys that its DELETE cascades by (`via`).

    Example: [bold]store uses orders.total[/]
    """
    json = is_json(as_json)
    with reported(as_json=json):
        found = _uses.uses(project_of(folder), target)
    if json:
        rows = [
            {
                "verb": u.verb,
                "query": u.query,
                "file": str(u.path),
                "line": u.line,
                "columns": list(u.columns),
                "via": u.via or None,
            }
            for u in found
        ]
        print_json({"command": "uses", "target": target, "uses": rows})
        return
    width = max(len(each.query) for each in found)
    for each in found:
        place = f"{shown(each.path)}:{each.line}"
        via = f"via {each.via}" if each.via else ""
        line = "  ".join(
            part for part in (f"{each.verb:<7}", f"{each.query:<{width}}", place, ", ".join(each.columns), via) if part
        )
        out.print(line, markup=False, soft_wrap=True)


def explain(
    name: Name,
    *,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A value for a parameter. Repeat it for each.")
    ] = None,
    analyze: Annotated[
        bool, typer.Option("--analyze", help="Run it, in a transaction that is rolled back, and show times, rows and buffers.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write it as a page that a browser draws, and print nothing but its name."),
    ] = None,
    folder: Sql = None,
    dsn: Dsn = None,
) -> None:
    """
    Print the plan of a query on the server of DATABASE_URL: the generic one, or that of the values given.

    With --analyze the query really runs: its locks are held, triggers fire, sequences move; its rows are taken back.

    The page of --html holds the plan, with the values of --param that stand in it. Its scripts (pev2) come from
    cdn.jsdelivr.net, by version and hash, and send nothing; without them it shows the text.

    Example: [bold]store explain catalog.get_product --analyze --param product_id=7 --param active='{true}'[/]
    """
    values = _values(param or [])
    with reported():
        statement = _uses.find(project_of(folder), name)
        with connected_to(dsn) as connection:
            plan = _explain.explain(connection, statement, values, analyze=analyze)
        if page is not None:
            _page.write(page, _page.render(statement.title, statement.text, plan))
    typer.echo(printable(plan) if page is None else f"wrote {page}")


def _values(given: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if any(not (name and sign) for name, sign, _ in pairs):
        raise typer.BadParameter("--param takes NAME=VALUE, as in --param order_id=7")
    return {name: value for name, _, value in pairs}
