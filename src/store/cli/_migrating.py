"""
What the commands of `store migrate` have in common: their options, what ends them, and the one JSON object they print.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape

from store import _files
from store.cli._output import OUTCOMES, AsJson, err, exit_code, failed, is_json, out, print_json
from store.errors import (
    MigrationDrift,
    MigrationError,
    MigrationHistoryError,
    MigrationRefused,
    MigrationResumable,
    PermissionDenied,
    ReadOnly,
    ServerTooOld,
    StatementCancelled,
    StoreError,
)
from store.migrate import Options, Report

__all__ = [
    "AllowDown",
    "AsJson",
    "Folder",
    "LockTimeout",
    "LockWait",
    "LongTimeout",
    "Role",
    "Schemas",
    "SearchPath",
    "ServerVersion",
    "StateSchema",
    "StatementTimeout",
    "UpTo",
    "Wait",
    "finish",
    "folder_of",
    "heard",
    "is_json",
    "out",
    "reporting",
    "say",
]

_CODES: tuple[tuple[type[StoreError], int], ...] = (
    (MigrationResumable, 6),
    (MigrationHistoryError, 7),
    (MigrationDrift, 8),
    (MigrationRefused, 9),
    (PermissionDenied, 10),
    (ReadOnly, 10),
    (ServerTooOld, 10),
    (StatementCancelled, 5),  # between two files
)
_WRITING = ("up", "down", "redo", "baseline")
_D = Options()
_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(ms|s|min|h|)")
_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}


def _seconds(text: str | float) -> float:
    if not isinstance(text, str):  # the default, which typer also hands over
        return text
    found = _DURATION.fullmatch(text)
    if found is None:
        message = "a number and a unit: 500ms, 60s, 10min, 1h"
        raise typer.BadParameter(message)
    return float(found[1]) * _SECONDS[found[2]]


def _identifier(text: str) -> str:
    if not re.fullmatch(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", text):
        message = "a name in lower case: letters, digits, underscores; not pg_, which PostgreSQL keeps for itself"
        raise typer.BadParameter(message)
    return text


def _spoken(seconds: float) -> str:
    number, unit = (seconds / 60, "min") if seconds >= 60 and seconds % 60 == 0 else (seconds, "s")
    return f"{number:g}{unit}"


def _duration(name: str, default: float, text: str) -> Any:
    # The default as it would be typed: `10min`, not `600.0`.
    return typer.Option(name, metavar="TIME", parser=_seconds, show_default=False, help=f"{text} Default: {_spoken(default)}.")


Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="A folder of migrations of your own. Default: the ones that come with the package."),
]
Wait = Annotated[
    float, _duration("--wait", 0.0, "Wait this long for a server that is still coming. A wrong password never waits.")
]
LockWait = Annotated[
    float, _duration("--lock-wait", _D.lock_wait, "Wait this long for another runner, and for the locks of a file.")
]
LockTimeout = Annotated[
    float, _duration("--lock-timeout", _D.lock_timeout, "How long one attempt may queue for a lock, before it tries later.")
]
StatementTimeout = Annotated[
    float, _duration("--statement-timeout", _D.statement_timeout, "How long a statement may take inside a transaction.")
]
LongTimeout = Annotated[
    float, _duration("--long-timeout", _D.long_timeout, "The same for one that blocks nobody: outside one, and VALIDATE.")
]
Role = Annotated[str | None, typer.Option("--role", help="Act as this role (SET ROLE): what is made belongs to it.")]
StateSchema = Annotated[
    str, typer.Option("--state-schema", parser=_identifier, help="Where the state of this folder is kept; one a folder.")
]
Schemas = Annotated[
    list[str] | None,
    typer.Option(
        "--schema",
        metavar="NAME",
        help="A schema the fingerprint is of; repeat it for each. Default: those that the files make, and those of the record.",
    ),
]
SearchPath = Annotated[
    str, typer.Option("--search-path", help="For folders with unqualified names. Without it, such a name is an error.")
]
UpTo = Annotated[str | None, typer.Option("--to", metavar="ID", help="Stop after this migration.")]
ServerVersion = Annotated[
    int | None, typer.Option("--pg", metavar="VERSION", help="The PostgreSQL to try it on: 16 or 18. Default: the newest.")
]
AllowDown = Annotated[
    bool, typer.Option("--allow-down", help="Needed on any server but the embedded one: most rollbacks lose data.")
]


def folder_of(folder: Path | None) -> Path:
    """
    Return the folder that was named, else the one of the package.
    """
    return folder or _files.folder("migrations")


@contextmanager
def reporting(report: Report, *, as_json: bool) -> Generator[None]:
    """
    A block whose end, whatever it is, becomes an exit code, one sentence or one JSON object. At Ctrl-C and SIGTERM what runs is
    cancelled and rolled back.
    """
    _log_to_stderr()
    try:
        yield
    except StoreError as error:
        if isinstance(error, MigrationError):
            report.refusals = error.refusals
        _fail(report, _code(error), error, as_json=as_json)
    except KeyboardInterrupt:
        _fail(report, 6 if report.resumable else 5, None, as_json=as_json)


def heard(words: str, *, as_json: bool) -> Callable[[str], None] | None:
    """
    Return what tells a person of each migration, or nothing where nobody reads along.
    """
    return None if as_json else lambda name: say(f"{words} {name}")


def say(text: str) -> None:
    """
    Print a line as it is: it may hold names of files and of objects.
    """
    out.print(text, markup=False, soft_wrap=True)


def finish(report: Report, *, as_json: bool, code: int = 0, **more: Any) -> None:
    """
    Print the JSON of a command that came to its end, and exit.
    """
    if as_json:
        print_json({"outcome": OUTCOMES[code], "exit_code": code, "error": None} | report.as_json() | more)
    if code:
        raise typer.Exit(code)


def _fail(report: Report, code: int, error: StoreError | None, *, as_json: bool) -> NoReturn:
    words = _interrupted(report) if error is None else str(error)
    if as_json:
        print_json(failed(code, words, error) | report.as_json())
    else:
        err.print(f"[bold red]store:[/] {escape(words)}", soft_wrap=True)
    raise typer.Exit(code)


def _interrupted(report: Report) -> str:
    if report.resumable:
        return "interrupted outside a transaction: run it again, it goes on from there"
    if report.command in _WRITING:
        return "interrupted: what is recorded is done, the rest was rolled back; run it again"
    return "interrupted"


def _code(error: StoreError) -> int:
    return next((code for kind, code in _CODES if isinstance(error, kind)), None) or exit_code(error)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("store.migrate")
    log.setLevel(logging.INFO)
    log.handlers = [handler]
    log.propagate = False
