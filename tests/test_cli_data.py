"""
`store import` and `store export`: options, output and exit codes.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from store.cli import data
from tests.databases import Connection

CSV = "sku;Title;price;junk\nA-1;Lamp;2.50;x\na-1;Lamp;3.50;\nA-2;Bell;x;\n"


@pytest.fixture
def store(dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """
    Runs the command in an empty directory.
    """
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text(CSV)
    app = typer.Typer()
    app.add_typer(data.import_app, name="import")
    app.add_typer(data.export_app, name="export")

    def run(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=given)

    return run


IMPORT = ("import", "products", "in.csv", "--map", "Title=name", "--delimiter", ";")


def test_rejects_are_exit_code_3_and_lie_beside_the_file(store: Callable[..., Result], tmp_path: Path) -> None:
    result = store(*IMPORT)

    assert 3 == result.exit_code, result.output
    report = json.loads(result.stdout)
    assert (3, 1, 1, 1, "in.csv.rejects.csv", ["junk"]) == (
        report["rows"], report["rejected"], report["inserted"], report["duplicates"], report["rejects"], report["ignored"],
    )  # fmt: skip
    assert [1] == list(report["reasons"].values())
    assert "line,column,value,reason,row\n4,price,x," in (tmp_path / "in.csv.rejects.csv").read_text()


def test_text_for_people(store: Callable[..., Result], tmp_path: Path) -> None:
    result = store(*IMPORT, "--no-json", "--dry-run", "--rejects", "bad.csv")

    assert 3 == result.exit_code
    for words in (
        "3 rows in ", "1 products new, 0 changed, 0 as they were", "1 rows count no more", "1 rows refused, with the reasons in bad.csv",
        "        1  must be",
        "columns not read: junk", "dry run: nothing was stored",
    ):  # fmt: skip
        assert words in result.stdout
    assert (tmp_path / "bad.csv").exists()
    assert "0 products in " in store("export", "products", "out.csv", "--no-json").stdout


def test_no_rejects_wanted(store: Callable[..., Result], tmp_path: Path) -> None:
    result = store(*IMPORT, "--no-json", "--rejects", "-")

    assert 3 == result.exit_code
    assert "1 rows refused\n" in result.stdout
    assert ["in.csv"] == [path.name for path in tmp_path.iterdir()]


def test_rejects_that_cannot_be_written_are_known_before_reading(store: Callable[..., Result], tmp_path: Path) -> None:
    for name in ("products", "orders"):
        result = store("import", name, "in.csv", "--rejects", "nowhere/bad.csv", "--no-json")
        assert (1, True) == (result.exit_code, "say --rejects FILE" in result.stderr), result.output
    assert "0 products in " in store("export", "products", "out.csv", "--no-json").stdout


def test_standard_input_and_output(store: Callable[..., Result], tmp_path: Path) -> None:
    result = store(
        "import", "products", "-", "--delimiter", "tab", "--allow-zero-price", given="sku\tname\tprice\nA-1\tLamp\t0\n"
    )
    assert 0 == result.exit_code, result.output
    assert not (tmp_path / "products.rejects.csv").exists()
    result = store("export", "products")

    assert 0 == result.exit_code
    assert 'sku,name,description,price,currency,is_active,on_hand\nA-1,"Lamp",,0,EUR,true,0\n' == result.stdout
    assert 3 == store("import", "products", "-", given="sku\n\nA-9\n").exit_code
    assert (tmp_path / "products.rejects.csv").exists()


def test_export_reports(store: Callable[..., Result], tmp_path: Path) -> None:
    store(*IMPORT)
    result = store("export", "products", "out.csv")

    assert (0, 1, "out.csv") == (result.exit_code, json.loads(result.stdout)["rows"], json.loads(result.stdout)["target"])


INVOICES = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,71053,Lamp,2000,2010-12-01 08:26:00,2.55,17850.0,UK
1,POST,Postage,1,2010-12-01 08:26:00,9,17850.0,UK
C2,71053,Lamp,-1,2010-12-01 09:00:00,2.55,17850.0,UK
"""


def test_orders(store: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(INVOICES)
    result = store("import", "orders", "in.csv", "--format", "online-retail", "--dry-run", "--no-json")

    assert 3 == result.exit_code, result.output
    for words in (
        "3 rows in ", "1 orders, 1 products and 1 cancellations new; 0 lines were known", "dry run: nothing was stored",
        "sold              5,100.00 in the file,         5,100.00 in the books, EUR",
        "refunded              2.55 in the file,             2.55 in the books",
        "1 rows refused, with the reasons in in.csv.rejects.csv", "columns not read: Country",
    ):  # fmt: skip
        assert words in result.stdout
    report = json.loads(store("import", "orders", "-", "--rejects", "-", given=INVOICES).stdout)

    assert (3, 2, 1, "5100.00", "5100.00", "2.55", "2.55", None) == (
        report["rows"], report["inserted"], report["rejected"], report["sold_in_file"], report["sold_stored"],
        report["refunded_in_file"], report["refunded_stored"], report["rejects"],
    )  # fmt: skip
    result = store("import", "orders", "in.csv", "--no-json")

    assert 3 == result.exit_code
    assert "0 orders, 0 products and 0 cancellations new; 2 lines were known" in result.stdout
    (tmp_path / "in.csv").write_text("".join(INVOICES.splitlines(keepends=True)[:2]))
    assert 0 == store("import", "orders", "in.csv").exit_code


def test_a_format_that_nobody_knows(store: Callable[..., Result]) -> None:
    result = store("import", "orders", "in.csv", "--format", "xml")

    assert 2 == result.exit_code
    assert "online-retail" in result.stderr


def test_a_column_may_have_an_equals_sign_in_its_name(store: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a=b,name,price\nA-1,Lamp,1\n")

    assert 0 == store("import", "products", "in.csv", "--map", "a=b=sku").exit_code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--map", "Title"), "COLUMN=FIELD"),
        (("--map", "=sku"), "COLUMN=FIELD"),
        (("--map", "a=sku", "--map", "a=name"), "twice"),
        (("--delimiter", "|"), "delimiter"),
    ],
)
def test_wrong_options_are_explained(store: Callable[..., Result], arguments: tuple[str, ...], message: str) -> None:
    result = store("import", "products", "in.csv", *arguments)

    assert 2 == result.exit_code
    assert message in result.output


def test_an_error_is_json_for_scripts_and_a_line_for_people(store: Callable[..., Result]) -> None:
    result = store("import", "products", "missing.csv")
    assert 1 == result.exit_code
    error = json.loads(result.stdout)["error"]
    assert ("StoreError", "missing.csv cannot be read: No such file or directory") == (error["type"], error["message"])
    result = store("import", "products", "missing.csv", "--no-json")

    assert ("", "store: missing.csv cannot be read: No such file or directory\n") == (result.stdout, result.stderr)


def test_without_a_setting_the_variable_is_named(store: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    result = store("export", "products", "--no-json")

    assert 2 == result.exit_code
    assert "DATABASE_URL is not set" in result.stderr


def test_help_teaches(store: Callable[..., Result]) -> None:
    shown = " ".join(store("import", "products", "--help").output.replace("│", " ").split())

    assert "--map StockCode=sku --map Description=name" in shown
    assert "5 interrupted" in " ".join(store("import", "--help").output.split())
    assert "catalog.csv.gz" in store("export", "products", "--help").output


def test_a_bar_on_a_terminal(store: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(data, "err", Console(file=screen, force_terminal=True, width=100))
    store(*IMPORT)
    store("export", "products", "out.csv")

    assert "3 rows, " in screen.getvalue()
    assert "/s" in screen.getvalue()


def test_an_export_into_a_pipe_that_closes_ends_quietly(dsn: str, connect_admin: Connection) -> None:
    connect_admin.execute(
        "INSERT INTO store.products (sku, name, price, currency) SELECT 'P-' || n, repeat('x', 200), 1, 'EUR'"
        " FROM generate_series(1, 5000) AS n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "store", "export", "products"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "DATABASE_URL": dsn},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"sku,name")
        process.stdout.close()
        errors = process.stderr.read()

    assert (1, b"") == (process.returncode, errors)
