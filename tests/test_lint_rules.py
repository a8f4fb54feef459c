"""
Rules that no linter knows, read from the syntax trees of src/store.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.serverless

ROOT = Path(__file__).resolve().parent.parent
QUOTING = {"ClientCursor", "AsyncClientCursor", "Literal", "mogrify", "quote", "as_string"}
PSYCOPG = {"psycopg", "sql", "psycopg.sql"}


def client_side_quoting(tree):
    """
    Return the lines that build SQL text out of values, in any of the ways psycopg offers.
    """
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "psycopg":
            found += [node.lineno for alias in node.names if alias.name in QUOTING]
        elif isinstance(node, ast.Attribute):
            of_psycopg = ast.unparse(node.value) in PSYCOPG and node.attr in QUOTING
            if of_psycopg or node.attr == "mogrify":
                found.append(node.lineno)
    return found


def bare_cancels(tree):
    """
    Return the lines that call cancel(), which may kill the next statement of the connection; cancel_safe() cannot.
    """
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cancel"
    ]


def faults(rule):
    files = sorted((ROOT / "src" / "store").rglob("*.py"))
    assert files
    return [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        for line in rule(ast.parse(path.read_text(encoding="utf-8"), path.name))
    ]


def test_no_client_side_quoting():
    """
    Values never become text: they travel beside the statement.
    """
    assert faults(client_side_quoting) == []


def test_no_bare_cancel():
    assert faults(bare_cancels) == []


@pytest.mark.parametrize(
    ("rule", "source", "lines"),
    [
        (client_side_quoting, "from psycopg import ClientCursor", [1]),
        (client_side_quoting, "from psycopg.sql import SQL, Literal", [1]),
        (client_side_quoting, "from psycopg import sql\nsql.Literal(1)", [2]),
        (client_side_quoting, "import psycopg\npsycopg.AsyncClientCursor", [2]),
        (client_side_quoting, "cursor.mogrify('x', [1])", [1]),
        (client_side_quoting, "from typing import Literal\nfrom psycopg.sql import SQL, Identifier\nLiteral['a']", []),
        (bare_cancels, "def f(conn):\n    conn.cancel()", [2]),
        (bare_cancels, "async def f(conn):\n    await conn.cancel_safe(timeout=5)", []),
    ],
)
def test_the_rules_see_what_they_forbid(rule, source, lines):
    assert rule(ast.parse(textwrap.dedent(source))) == lines
