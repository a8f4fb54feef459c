"""
`store embedded`: the PostgreSQL that comes from PyPI.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from store import _connection, embedded
from store.cli._output import AsJson, err, is_json, out, print_json, reported
from store.errors import SettingsError
from store.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="The PostgreSQL that comes from PyPI (extra `embedded`), for trying things and for tests; not for production.\n\n"
    "A server is named by DATABASE_URL=embedded:DIR. Without DIR these commands mean that one. It starts when it is needed, "
    "listens on a Unix socket only, trusts whoever reaches it, and runs until it is stopped.",
)

Directory = Annotated[
    Path | None, typer.Argument(help="Its data directory. Default: the one DATABASE_URL names.", show_default=False)
]


@app.command()
def use(
    directory: Annotated[
        Path | None, typer.Argument(help="Where the data shall lie. Default: .data/pg here.", show_default=False)
    ] = None,
) -> None:
    """
    Write DATABASE_URL=embedded:DIR to .env in the working directory, unless it has a DATABASE_URL already.
    """
    with reported():
        target = Path(".env")
        lines = target.read_text(encoding="utf-8").splitlines() if target.exists() else []
        names = {line.removeprefix("export ").partition("=")[0].strip() for line in lines}
        if found := names & {"DATABASE_URL", "PGHOST", "PGSERVICE", "PGDATABASE"}:
            out.print(f".env names a server already ({', '.join(sorted(found))}): left as it is")
            if directory is not None and f"DATABASE_URL=embedded:{directory.expanduser().resolve()}" not in lines:
                raise typer.Exit(1)
            return
        where = (directory or embedded.default_directory(Path.cwd())).expanduser().resolve()
        newline = "\n" if lines and not target.read_text(encoding="utf-8").endswith("\n") else ""
        try:
            with target.open("a", encoding="utf-8") as file:
                file.write(f"{newline}DATABASE_URL=embedded:{where}\n")
        except OSError as error:
            message = f".env cannot be written here: {error.strerror}"
            raise SettingsError(message) from error
        out.print(f"wrote DATABASE_URL=embedded:{where} to .env", markup=False, soft_wrap=True)
        if os.geteuid() == 0:
            out.print(
                "you are root: the server runs as the user pgserver, and the folders above its data let that user pass through"
            )


@app.command()
def start(directory: Directory = None, *, as_json: AsJson = None) -> None:
    """
    Start it when it is not running; create it when it is not there.
    """
    json = is_json(as_json)
    with reported(as_json=json):
        where = _where(directory)
        server = embedded.start(where.directory, where.version)
        if json:
            print_json({"directory": server.directory, "version": server.version, "pid": server.pid, "url": server.url()})
        else:
            out.print(
                f"PostgreSQL {server.version} runs in {server.directory}; it goes on until you stop it",
                markup=False,
                soft_wrap=True,
            )
            out.print(f"{server.bin_path}/psql '{server.url()}'", markup=False, soft_wrap=True)


@app.command()
def status(directory: Directory = None, *, as_json: AsJson = None) -> None:
    """
    Say whether it runs, its version and where, and why it refuses connections where it does. Exit code 1 when it does not run.
    """
    json = is_json(as_json)
    with reported(as_json=json):
        found = embedded.status(_where(directory).directory)
    if json:
        shown = {"directory": found.directory, "version": found.version, "running": found.running, "refusal": found.refusal}
        print_json(shown)
    elif found.version is None:
        out.print(f"{found.directory}: no server was created here yet", markup=False, soft_wrap=True)
    else:
        state = "running" if found.running else "stopped"
        if found.refusal is not None:
            state = f"running, but refuses connections: {found.refusal}"
        out.print(f"{found.directory}: PostgreSQL {found.version}, {state}", markup=False, soft_wrap=True)
    if not found.running:
        raise typer.Exit(1)


@app.command()
def stop(directory: Directory = None) -> None:
    """
    Stop it. The data stay.
    """
    with reported():
        where = _where(directory).directory
        out.print(f"{where}: stopped" if embedded.stop(where) else f"{where}: was not running", markup=False, soft_wrap=True)


@app.command()
def remove(
    directory: Directory = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """
    Stop it and delete its data. Only ever deletes a data directory that this program created.
    """
    with reported():
        where = _where(directory).directory
        if not yes and not typer.confirm(f"Delete the database in {where}, and all that is in it?", default=False):
            err.print("nothing was deleted")
            raise typer.Exit(1)
        embedded.remove(where)
        out.print(f"{where}: removed", markup=False, soft_wrap=True)


def _where(directory: Path | None) -> embedded.EmbeddedAddress:
    if directory is not None:
        return embedded.EmbeddedAddress(directory, None)
    found = _connection.embedded_address(Settings.load())
    if found is None:
        message = "DATABASE_URL does not name an embedded server (embedded:DIR): give the directory"
        raise SettingsError(message)
    return found
