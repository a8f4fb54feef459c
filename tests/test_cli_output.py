"""
What is printed is shown as it is: nothing of a name or a file is obeyed by the terminal or read as markup.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from rich.table import Table

from store.cli._output import counted, err, out, reported
from store.errors import NotFound, PermissionDenied, Unavailable
from tests.test_cli import store

pytestmark = pytest.mark.serverless

NASTY = "app.:rocket: \x1b[2J\x9b\u202e[red]x[/red]"
SHOWN = r"app.:rocket: \x1b[2J\x9b\u202e[red]x[/red]"


@pytest.mark.parametrize("console", [out, err])
def test_a_name_of_the_database_is_shown_and_not_obeyed(console):
    with console.capture() as printed:
        console.print(NASTY, markup=False, soft_wrap=True)

    assert printed.get() == SHOWN + "\n"


def test_cells_of_tables_too():
    table = Table(show_header=False, show_edge=False)
    table.add_row(":rocket: \x1b[2J")
    with out.capture() as printed:
        out.print(table)

    assert printed.get().strip() == r":rocket: \x1b[2J"


def test_a_refusal_names_the_parameter_as_it_is_written(tmp_path: Path):
    (tmp_path / "one.sql").write_text("-- name: get_it()\nSELECT :label::text AS a;\n", encoding="utf-8")
    done = store("sql", "get_it", "--sql", ".", cwd=tmp_path)

    assert (2, True) == (done.returncode, "undeclared parameter :label: declare it" in done.stderr), done.stderr


def test_one_of_a_thing_is_one():
    assert [counted(number, "error") for number in (0, 1, 2)] == ["0 errors", "1 error", "2 errors"]
    assert [counted(number, "query", "queries") for number in (0, 1, 2)] == ["0 queries", "1 query", "2 queries"]


@pytest.mark.parametrize(
    "command",
    [
        "check --sql nowhere",
        "embedded start",
        "embedded status",
        "export products x.csv",
        "import products nowhere.csv",
        "lock --sql nowhere",
        "migrate lint nowhere",
        "migrate unlock",
        "migrate up",
        "plans --stats nowhere.json",
        "sweep",
        "uses nowhere",
        "verify",
    ],
)
def test_an_error_has_one_form_in_json(command: str, tmp_path: Path):
    done = store(*command.split(), "--json", cwd=tmp_path)
    said = json.loads(done.stdout)

    assert list(said)[:3] == ["outcome", "exit_code", "error"]
    assert (said["outcome"], said["exit_code"]) == ({1: "error", 2: "refused"}[done.returncode], done.returncode)
    assert list(said["error"]) == ["type", "message", "sqlstate"]
    assert said["error"]["message"]


@pytest.mark.parametrize(
    ("error", "outcome", "code", "kind"),
    [
        (NotFound("x"), "error", 1, "NotFound"),
        (Unavailable("x"), "unreachable", 10, "Unavailable"),
        (PermissionDenied("x"), "unreachable", 10, "PermissionDenied"),
        (KeyboardInterrupt(), "interrupted", 5, "Interrupted"),
    ],
)
def test_the_outcome_in_json_is_that_of_the_exit_code(
    error: BaseException, outcome: str, code: int, kind: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(typer.Exit) as raised, reported(as_json=True, interrupted=5):
        raise error
    said = json.loads(capsys.readouterr().out)

    assert (raised.value.exit_code, said["outcome"], said["exit_code"]) == (code, outcome, code)
    assert said["error"]["type"] == kind
