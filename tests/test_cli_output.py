"""
What is printed is shown as it is: nothing of a name or a file is obeyed by the terminal or read as markup.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.table import Table

from store.cli._output import counted, err, out
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
