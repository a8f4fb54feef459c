"""
How commands speak: to people on a terminal, in JSON to scripts; errors and exit codes alike everywhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from store._connection import has_password
from store._failures import RIGHTS, is_denied
from store.errors import (
    CannotAnalyse,
    MigrationError,
    MigrationFolderError,
    MigrationLocked,
    MissingExtra,
    PermissionDenied,
    QueryFileError,
    SchemaMissing,
    ServerTooOld,
    SettingsError,
    StoreError,
    Unavailable,
)


class _Terminal(Console):
    """
    A console that shows what names and files hold, and obeys none of it: no escape sequences, no :emoji:.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """
        Return what is shown of any text that is printed, cells of tables included.
        """
        return super().render_str(printable(text), **options)


out = _Terminal()
err = _Terminal(stderr=True)

AsJson = Annotated[
    bool | None, typer.Option("--json/--no-json", help="JSON on stdout, or text. Without it: JSON when stdout is no terminal.")
]


def _without_password(dsn: str | None) -> str | None:
    # Whatever stands in the arguments, every user of the machine can read in the list of processes.
    if dsn is not None and has_password(dsn):
        message = "a password in --dsn is seen by everybody on this machine: set DATABASE_URL, or put it into ~/.pgpass"
        raise typer.BadParameter(message)
    return dsn


def _dsn(words: str) -> Any:
    text = f"{words} No password in it: that goes into DATABASE_URL or ~/.pgpass."
    return typer.Option("--dsn", metavar="DSN", callback=_without_password, help=text)


Dsn = Annotated[str | None, _dsn("Use this server instead of the one of DATABASE_URL.")]
Form = Literal["text", "json", "github"]
AsForm = Annotated[Form | None, typer.Option("--format", help="How findings are printed.")]
OtherThanScratch = Annotated[str | None, _dsn("Ask this server instead of a scratch one; DATABASE_URL is not read.")]

COLOURS = {"error": "red", "warning": "yellow"}
FAILED = 1
INTERRUPTED = 130
_CODES: tuple[tuple[type[StoreError], int], ...] = (
    (SettingsError, 2),
    (MissingExtra, 2),
    (MigrationFolderError, 2),
    (QueryFileError, 2),
    (MigrationLocked, 4),
    (MigrationError, 5),
    (CannotAnalyse, 10),
    (PermissionDenied, 10),
    (ServerTooOld, 10),
    (Unavailable, 10),
)
OUTCOMES = {
    0: "done",
    1: "error",
    2: "refused",
    3: "pending",
    4: "locked",
    5: "failed",
    6: "resumable",
    7: "refused",
    8: "drift",
    9: "refused",
    10: "unreachable",
}


def is_json(wanted: bool | None) -> bool:
    """
    Whether to print JSON.
    """
    return not sys.stdout.isatty() if wanted is None else wanted


def form_of(form: Form | None, wanted: bool | None) -> Form:
    """
    Return the form that was named, else the one in which the other commands speak here.
    """
    return form or ("json" if is_json(wanted) else "text")


def print_json(value: Any) -> None:
    """
    Print one JSON value on stdout.
    """
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")


def failed(code: int, message: str, error: StoreError | None) -> dict[str, Any]:
    """
    Return how the JSON of every command that fails begins; without an error it was interrupted.
    """
    kind = "Interrupted" if error is None else type(error).__name__
    told = {"type": kind, "message": message, "sqlstate": None if error is None else error.sqlstate}
    return {"outcome": "interrupted" if error is None else OUTCOMES[code], "exit_code": code, "error": told}


@contextmanager
def reported(*, as_json: bool = False, interrupted: int = INTERRUPTED) -> Generator[None]:
    """
    A block whose StoreError becomes one message and an exit code, and whose Ctrl-C ends quietly.
    """
    try:
        yield
    except StoreError as error:
        failure = error
    except KeyboardInterrupt:
        message = "interrupted: nothing half done was left behind"
        err.print(message)
        if as_json:
            print_json(failed(interrupted, message, None))
        raise typer.Exit(interrupted) from None
    else:
        return
    code, message = exit_code(failure), f"{failure}{_way_out(failure)}"
    if as_json:
        print_json(failed(code, message, failure))
    else:
        err.print(f"[bold red]store:[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(code)


def _way_out(error: StoreError) -> str:
    if is_denied(error):
        return f": {RIGHTS}"
    if isinstance(error, SchemaMissing) and error.sqlstate is not None and "migrate up" not in str(error):
        return ": run `store migrate up`"
    return ""


def exit_code(error: StoreError) -> int:
    """
    Return the exit code for an error: 2 what was given is wrong, 4 locked, 5 failed and undone, 10 no connection, or a server
    or role that will not do, 1 the rest.
    """
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return FAILED


def counted(number: int, word: str, words: str = "") -> str:
    """
    Return `1 fault` or `2 faults`; what has another plural than with an s gives it.
    """
    return f"{number} {word if number == 1 else words or f'{word}s'}"


def printable(text: str) -> str:
    """
    Return text without what a terminal would obey: it may come from a file.
    """
    return "".join(character if character.isprintable() or character in "\n\t" else repr(character)[1:-1] for character in text)
