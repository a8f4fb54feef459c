"""
`store migrate lint`, `fingerprint` and `verify`: what a person looks at before and after the schema moves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from store.cli._migrating import Folder, Schemas, ServerVersion, StateSchema, Wait, folder_of, reporting, say
from store.cli._output import COLOURS, OUTCOMES, AsJson, counted, err, is_json, out, print_json
from store.contract import stats as _stats
from store.errors import InvalidInput, MigrationFolderError, Refusal, SettingsError
from store.migrate import Options, Report, connector
from store.migrate import review as _review
from store.settings import Settings

STATE_SCHEMA = Options().state_schema
_DRIFT = 8
_REFUSED = 9


def lint(
    place: Annotated[Path | None, typer.Argument(metavar="FOLDER", help="Default: the migrations of the package.")] = None,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Write the .locks.txt beside each migration, and MANIFEST, from what was seen.")
    ] = False,
    stats: Annotated[
        Path | None,
        typer.Option(
            "--stats", metavar="FILE", help="Judge by the sizes that `store stats dump FILE` wrote where the tables are."
        ),
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="With --stats: judge only what comes after this one.")
    ] = None,
    pg: ServerVersion = None,
    as_json: AsJson = None,
) -> None:
    """
    Review migrations before anybody runs them: by their text (squawk), and by what they lock, rewrite, read and change on a
    throw-away server that is made for it. The database in use has no part in it.

    With --stats, a finding about what takes long names rows and size of its tables, and goes by them: an error is a warning
    where each table is known to have fewer than 10,000 rows, a warning is an error where the statement reads or rewrites one of
    1,000,000 or more. A table that FILE does not have (empty, new, or never analysed) is judged as without --stats, and what
    breaks queries, loses rows or deadlocks is as grave at any size.

    Exit codes: 0 nothing forbidden (warnings included), 2 the folder cannot be read, 9 an error was found, or a .locks.txt or
    MANIFEST beside the files is not what they do.
    """
    json, folder = is_json(as_json), folder_of(place)
    with reporting(Report("lint"), as_json=json):
        sizes = None if stats is None else _sizes(stats)
    with reporting(Report("lint"), as_json=json), _review.scratch(pg) as server:
        made = _review.review(server, folder, sizes, after=after)
        written = _review.write(folder, made) if write and not made.errors else []
        stale = _review.stale(folder, made)
    code = _REFUSED if made.errors or stale else 0
    if json:
        findings = [dataclasses.asdict(finding) for finding in made.findings]
        _object("lint", code, findings=findings, stale=stale, written=written, unfilled=made.unfilled)
    else:
        _print_review(made, stale, written)
    _end(code)


def fingerprint(
    *,
    lines: Annotated[bool, typer.Option("--lines", help="Print what the hash is made of, one line an object.")] = False,
    diff: Annotated[
        Path | None, typer.Option("--diff", metavar="FILE", help="Compare with the output of --lines, and name what differs.")
    ] = None,
    schema: Annotated[
        list[str] | None, typer.Option("--schema", metavar="NAME", help="A schema. Repeat it for each. Default: store.")
    ] = None,
    wait: Wait = 0.0,
    as_json: AsJson = None,
) -> None:
    """
    Print the hash of the schema in use: the same on every PostgreSQL, and moved by every change of an object. Only reads.

    Exit codes: 0 done, or nothing differs, 2 a schema that was named is not there, or FILE is no such output, 8 something
    differs from FILE, 10 the server cannot be reached.
    """
    json = is_json(as_json)
    with reporting(Report("fingerprint"), as_json=json):
        expected = None if diff is None else _lines_of(diff)
        found = _review.live_lines(connector(Settings.load(), read_only=True, wait=wait), schema or ("store",))
        if absent := _absent(found, schema or ()):
            raise SettingsError(f"there is no schema {', '.join(absent)} in this database: name one that is there")
        told = [] if expected is None else _review.difference(expected, found)
        if not found:
            message = "nothing of schema store is in this database: this is the fingerprint of nothing"
            err.print(message, soft_wrap=True, markup=False)
    code = _DRIFT if told else 0
    if json:
        more = {"lines": found} if lines else {}
        _object("fingerprint", code, fingerprint=_review.digest(found), differences=told, **more)
    else:
        for line in told if diff is not None else found if lines else [_review.digest(found)]:
            typer.echo(line)
    _end(code)


def verify(
    *,
    scratch: Annotated[
        bool,
        typer.Option("--scratch", help="Also try the files on a throw-away server: up, down, up; against sql/schema."),
    ] = False,
    live: Annotated[
        bool, typer.Option("--live/--no-live", help="Look at the database in use. --no-live is for CI, with --scratch.")
    ] = True,
    pg: ServerVersion = None,
    state_schema: StateSchema = STATE_SCHEMA,
    schema: Schemas = None,
    wait: Wait = 0.0,
    folder: Folder = None,
    as_json: AsJson = None,
) -> None:
    """
    Is the schema what the migrations made? Files against their record, the schema against the fingerprint that the last
    migration left, INVALID indexes, constraints that are NOT VALID still. With --scratch also: every rollback takes back what
    its migration did, sql/schema is what the migrations make, and what drifted is named. Only reads.

    `store verify` looks at the sums of the shop, `store check` at the queries. Exit codes: 0 all of it holds, 2 there is no
    such schema or version, 7 files and record disagree, 8 the schema drifted or is half done, 9 the files do not hold together,
    10 no connection.
    """
    json, place = is_json(as_json), folder_of(folder)
    faults: list[Refusal] = []
    found: _review.Verified | None = None
    with reporting(Report("verify"), as_json=json):
        _review.check_version(pg)
        if live:
            connect = connector(Settings.load(), read_only=True, wait=wait)
            found = _review.verify_live(connect, place, Options(state_schema=state_schema, schemas=tuple(schema or ())))
            faults += found.faults
        if scratch:
            with _review.scratch(pg) as server:
                faults += _review.verify_scratch(server, place, found)
    code = min((fault.exit_code for fault in faults), default=0)
    if json:
        rows = [dataclasses.asdict(fault) for fault in faults]
        _object("verify", code, fingerprint=None if found is None else _review.digest(found.lines), faults=rows)
    else:
        for fault in faults:
            out.print(f"[red]{fault.rule}[/]  ", end="")
            say(fault.message)
        out.print("[green]ok[/]" if not faults else counted(len(faults), "fault"))
    _end(code)


def _object(command: str, code: int, **more: Any) -> None:
    print_json({"command": command, "outcome": OUTCOMES[code], "exit_code": code, **more})


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)


def _sizes(path: Path) -> dict[str, _review.Size]:
    try:
        found = _stats.load(path)
    except InvalidInput as error:
        raise MigrationFolderError(str(error)) from None
    return {name: _review.Size(each.rows, each.pages) for name, each in found.relations.items()}


def _lines_of(path: Path) -> list[str]:
    try:
        found = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise MigrationFolderError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    if not _schemas(found) or not all(": " in f"{line} " for line in found):
        raise MigrationFolderError(
            f"{path} is not what `store migrate fingerprint --lines --no-json` prints: keep that, and compare"
        )
    return found


def _absent(found: Sequence[str], names: Sequence[str]) -> list[str]:
    there = _schemas(found)
    return [name for name in names if there.isdisjoint({name, '"' + name.replace('"', '""') + '"'})]


def _schemas(found: Sequence[str]) -> set[str]:
    names = (line.removeprefix("schema ").partition(": ")[0] for line in found if line.startswith("schema "))
    return {name.removesuffix(":") for name in names}


def _print_review(made: _review.Review, stale: list[str], written: list[str]) -> None:
    for finding in made.findings:
        colour = COLOURS[finding.severity]
        place = escape(f"{finding.file}:{finding.line}")
        out.print(f"{place}  [{colour}]{finding.severity}[/] [bold]{escape(finding.rule)}[/]  ", end="")
        say(finding.why)
        say(f"    instead: {finding.safe}")
    for name in written:
        say(f"wrote {name}")
    for name in stale:
        out.print("[red]stale[/]  ", end="")
        say(f"{name} is missing, or not what the files do: `store migrate lint --write`")
    for name in made.unfilled:
        say(f"no row fits {name}: what happens to its rows was not seen")
    warnings = counted(len(made.findings) - len(made.errors), "warning")
    say(f"{counted(len(made.ledgers), 'migration')}: {counted(len(made.errors), 'error')}, {warnings}")
