"""
The reader of SQL: every case is what PostgreSQL itself reads, asked by Parse where the text is valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg.pq import ExecStatus

from store._queries.entry import read_statements
from store._tokens import TRIVIA, resolve, tokenize
from store.errors import QueryFileError

V = "FROM (VALUES (ARRAY[1, 2, 3, 4], 1, 2)) AS v (a, lo, hi)"

# What stands in the file; what PostgreSQL gets; the parameters in between.
CASES = {
    "slice": (f"SELECT a[1:2] {V}", f"SELECT a[1:2] {V}", ""),
    "slice of columns": (f"SELECT a[lo:hi] {V}", f"SELECT a[lo:hi] {V}", ""),
    "slice without an end": (f"SELECT a[lo:], a[:hi], a[:] {V}", f"SELECT a[lo:], a[:hi], a[:] {V}", ""),
    "slice with a cast": (f"SELECT a[lo::int:hi] {V}", f"SELECT a[lo::int:hi] {V}", ""),
    "slice of quoted columns": (f'SELECT a["lo":"hi"] {V}', f'SELECT a["lo":"hi"] {V}', ""),
    "slice of parameters": (f"SELECT a[(:lo):(:hi)] {V}", f"SELECT a[($1):($2)] {V}", "lo, hi"),
    "slice of a call": (f"SELECT a[abs(:lo):2] {V}", f"SELECT a[abs($1):2] {V}", "lo"),
    "slice within a constructor": (f"SELECT ARRAY[a[lo:hi], (a)[lo:hi]] {V}", f"SELECT ARRAY[a[lo:hi], (a)[lo:hi]] {V}", ""),
    "parameter behind a slice": (f"SELECT a[lo:hi] {V} WHERE hi = :x", f"SELECT a[lo:hi] {V} WHERE hi = $1", "x"),
    "array constructor": ("SELECT ARRAY[:a, :b] || 1::text", "SELECT ARRAY[$1, $2] || 1::text", "a, b"),
    "nested constructor": ("SELECT array[[:a, 1], [2, :b]]", "SELECT array[[$1, 1], [2, $2]]", "a, b"),
    "constructor of constructors": ("SELECT ARRAY[ARRAY[:a::int]]", "SELECT ARRAY[ARRAY[$1::int]]", "a"),
    "trailing comment with a colon": ("SELECT :x::int -- see :bar\n", "SELECT $1::int", "x"),
    "trailing comment with an apostrophe": ("SELECT 1 -- don't\n , :x::int", "SELECT 1 \n , $1::int", "x"),
    "percent in a comment": ("SELECT 1 -- 100% off\n + :x", "SELECT 1 \n + $1", "x"),
    "tagged dollar quote": ("SELECT $q$ :no $q$, :x::int", "SELECT $q$ :no $q$, $1::int", "x"),
    "plain dollar quote": ("SELECT $$ :no -- 'no $$, :x::int", "SELECT $$ :no -- 'no $$, $1::int", "x"),
    "nested dollar quotes": ("SELECT $a$ $b$ :no $b$ $$ ' $$ $a$, :x::int", "SELECT $a$ $b$ :no $b$ $$ ' $$ $a$, $1::int", "x"),
    "almost the same tag": ("SELECT $a$ $ab$ $A$ :no $a$, :x::int", "SELECT $a$ $ab$ $A$ :no $a$, $1::int", "x"),
    "block with a body": ("DO $$ BEGIN PERFORM '--:no'; END $$", "DO $$ BEGIN PERFORM '--:no'; END $$", ""),
    "escape string": (r"SELECT E'it\'s :no', e'\\', :x::int", r"SELECT E'it\'s :no', e'\\', $1::int", "x"),
    "backslash in a plain string": (r"SELECT '\', ':no', :x::int", r"SELECT '\', ':no', $1::int", "x"),
    "doubled apostrophe": ("SELECT 'it''s :no', :x::int", "SELECT 'it''s :no', $1::int", "x"),
    "unicode string": (
        r"SELECT U&'\0041 :no', U&'!0041' UESCAPE '!', :x::int",
        r"SELECT U&'\0041 :no', U&'!0041' UESCAPE '!', $1::int",
        "x",
    ),
    "bit and national strings": ("SELECT B'01', x'1F', N':no', :x::int", "SELECT B'01', x'1F', N':no', $1::int", "x"),
    "like": ("SELECT 'a' LIKE 'a%'", "SELECT 'a' LIKE 'a%'", ""),
    "like with a parameter": ("SELECT :x LIKE 'a%'", "SELECT $1 LIKE 'a%'", "x"),
    "modulo": ("SELECT 7 % :x, 7%3", "SELECT 7 % $1, 7%3", "x"),
    "dashes on a line of a string": ("SELECT 'a\n-- b :no' || :x", "SELECT 'a\n-- b :no' || $1", "x"),
    "header in a string": ("SELECT '\n-- name: no()\n' || :x", "SELECT '\n-- name: no()\n' || $1", "x"),
    "header in a block comment": ("SELECT /*\n-- name: no()\n*/ :x::int", "SELECT  \n\n $1::int", "x"),
    "cast": ("SELECT :x::bigint, :x :: text", "SELECT $1::bigint, $1 :: text", "x"),
    "named notation": ("SELECT make_interval(days := :x)", "SELECT make_interval(days := $1)", "x"),
    "named notation, close": ("SELECT make_interval(days:=:x,mins=>:y)", "SELECT make_interval(days:=$1,mins=>$2)", "x, y"),
    "time of day": ("SELECT '12:30', :x::int", "SELECT '12:30', $1::int", "x"),
    "quoted name with a colon": (
        'SELECT 1 AS "a:b", 2 AS "say ""c:d""", :x::int',
        'SELECT 1 AS "a:b", 2 AS "say ""c:d""", $1::int',
        "x",
    ),
    "jsonb operators": (
        """SELECT '{"a":1}'::jsonb ? :x, '{}'::jsonb @? '$.a'""",
        """SELECT '{"a":1}'::jsonb ? $1, '{}'::jsonb @? '$.a'""",
        "x",
    ),
    "nested comments": ("SELECT /* a /* :b */ ' */ :x::int", "SELECT   $1::int", "x"),
    "comment between tokens": ("SELECT a/**/AS b FROM (VALUES (1)) AS v (a)", "SELECT a AS b FROM (VALUES (1)) AS v (a)", ""),
    "comment within an operator": ("SELECT 1 -/**/- 1, 2 +-- two\n :x", "SELECT 1 - - 1, 2 +\n $1", "x"),
    "typed literal": ("SELECT date'2020-01-01', :x::int", "SELECT date'2020-01-01', $1::int", "x"),
    "dollars in a name": (
        "SELECT a$b$c, :x::int FROM (VALUES (1)) AS v (a$b$c)",
        "SELECT a$b$c, $1::int FROM (VALUES (1)) AS v (a$b$c)",
        "x",
    ),
    "continued string": ("SELECT 'a:no'\n  ':no', :x::int", "SELECT 'a:no'\n  ':no', $1::int", "x"),
    "string continued behind a comment": ("SELECT 'a' -- :no\n 'b', :x::int", "SELECT 'a' \n 'b', $1::int", "x"),
    "json object": ("SELECT JSON_OBJECT('k': :v::int, 'l': 1)", "SELECT JSON_OBJECT('k': $1::int, 'l': 1)", "v"),
    "json object of a column": (f"SELECT JSON_OBJECT('k': lo) {V}", f"SELECT JSON_OBJECT('k': lo) {V}", ""),
    "the same name twice": ("SELECT :x::int, :y::int, :x", "SELECT $1::int, $2::int, $1", "y, x"),
    "a parameter at a word": ("SELECT:x::int", "SELECT $1::int", "x"),
    "names that begin alike": ("SELECT :x::int, :x_1::int, :x1::int", "SELECT $1::int, $2::int, $3::int", "x, x_1, x1"),
    "name beyond ASCII": ("SELECT é, :x::int FROM (VALUES (1)) AS v (é)", "SELECT é, $1::int FROM (VALUES (1)) AS v (é)", "x"),
    "carriage returns": ("SELECT 1 -- a\r\n + :x\r\n", "SELECT 1 \r\n + $1", "x"),
    "the semicolon": ("SELECT ';', $$;$$, :x::int -- ;\n ; -- done", "SELECT ';', $$;$$, $1::int", "x"),
}


REFUSED = {
    "escape string continued": ("SELECT E'a'\n'b'", 2, r"E'' string continued"),
    "escape string continued behind a comment": ("SELECT E'a' -- c\n  'b'", 2, r"E'' string continued"),
    "number by hand": ("SELECT\n$1", 2, r"\$1 is written by hand"),
    "psql literal": ("SELECT :'x'", 1, "psql"),
    "psql identifier": ('SELECT 1 AS :"x"', 1, "psql"),
    "psql test": ("SELECT :{?x}", 1, "psql"),
    "open string": ("SELECT 1,\n 'a''", 2, "string is never closed"),
    "open escape string": (r"SELECT E'a\'", 1, "string is never closed"),
    "open name": ('SELECT "a', 1, "quoted identifier is never closed"),
    "open block comment": ("SELECT 1\n/* /* */", 2, "block comment is never closed"),
    "open dollar quote": ("SELECT 1,\n\n$q$ $Q$ $$", 3, r"dollar quote is never closed: \$q\$"),
    "zero byte": ("SELECT 'a', \0 1", 1, "zero byte"),
    "zero byte in a string": ("SELECT\n'a\0b'", 2, "zero byte"),
    "json object without the blank": ("SELECT JSON_OBJECT('k':v)", 1, r"JSON_OBJECT\('k': v\)"),
    "parameter behind a parameter": ("SELECT JSON_OBJECT(:k:v)", 1, r"JSON_OBJECT\('k': v\)"),
}


def sent(sql: str, parameters: str = "") -> str:
    """
    Return what goes to the server, without the comment that names the query.
    """
    [statement] = read_statements(f"-- name: a_case({parameters})\n{sql}", Path("cases.sql"), "app")
    return statement.text.removeprefix("/* app:cases.a_case */ ")


@pytest.fixture(scope="module")
def connection(server: Any) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("case", CASES)
def test_case_is_sent_as_expected_and_parses(case: str, connection: psycopg.Connection[tuple[Any, ...]]):
    sql, expected, parameters = CASES[case]

    text = sent(sql, parameters)

    assert expected == text
    parsed = connection.pgconn.prepare(b"", text.encode(), None)
    assert parsed.status == ExecStatus.COMMAND_OK, parsed.error_message.decode()
    described = connection.pgconn.describe_prepared(b"")
    assert described.nparams == len([name for name in parameters.split(",") if name])


@pytest.mark.parametrize("case", REFUSED)
def test_case_is_refused_with_its_line(case: str):
    sql, line, message = REFUSED[case]

    with pytest.raises(QueryFileError, match=message) as caught:
        resolve(tokenize(sql, "orders.sql"), "orders.sql")

    assert str(caught.value).startswith(f"orders.sql:{line}: ")


def test_lines_stay_true():
    sql = "SELECT 1, /* a\n\n*/ 'b\n', $$\n$$ -- c\n, :x"

    lines = {token.text: token.line for token in tokenize(sql)}

    assert {"SELECT": 1, "'b\n'": 3, "$$\n$$": 4, ":x": 6} == {
        text: lines[text] for text in ("SELECT", "'b\n'", "$$\n$$", ":x")
    }


FRAGMENTS = [
    "SELECT", "a$b$c", "é", "_x", "1", "1.5", "0x1F", "1_000", "'it''s :no'", "''", "'\n-- no'", r"E'\' :no'", r"e'\\'", "B'01'", "N':n'",
    r"U&'\0041'", 'U&"a:b"', '"say ""c:d"""', "$$ :no ' $$", "$q$ $$ :no $$ $q$", "$é$ ' $é$", "::", ":=", ":x", ":x_1", ":", "[", "]", "(",
    ")", ";", ",", "+", "-", "/", "*", "@?", "?", "%", "-- don't :no\n", "/* a /* ' */ :no */", "\n", "\t", " ", ".", "\\", "=",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=20))
def test_fragments_stay_intact_beside_each_other(fragments: list[str]):
    """
    Blanks between pieces: each is read as it is read alone, whatever stands around it.
    """
    alone = [token[:2] for fragment in fragments for token in tokenize(fragment) if token.kind != "blank"]

    together = [token[:2] for token in tokenize(" ".join(fragments)) if token.kind != "blank"]

    assert alone == together


@given(
    st.lists(
        st.sampled_from([*FRAGMENTS, "'", '"', "$q$", "/*", "*/", "E", "$1", ":'", "\r", "\0"]) | st.text(max_size=5),
        max_size=20,
    )
)
@example(["SELECT", "E", "'\\'"])
def test_any_text_is_read_whole_or_refused(fragments: list[str]):
    """
    Nothing is lost, nothing is made up, and what cannot be read is a QueryFileError with a line.
    """
    sql = "".join(fragments)
    try:
        tokens = tokenize(sql, "x.sql")
        resolved = resolve(tokens, "x.sql")
    except QueryFileError as error:
        assert str(error).startswith("x.sql:")
        return

    assert sql == "".join(token.text for token in tokens) == "".join(token.text for token in resolved)
    assert sorted(token.line for token in tokens) == [token.line for token in tokens]


@given(st.text(max_size=60))
@example("'-- name: b()\nSELECT 1")
@example("SELECT 1; -- name: b()\n")
def test_any_entry_is_loaded_or_refused(text: str):
    try:
        statements = read_statements(f"-- name: a()\n{text}", Path("x.sql"), "app")
    except QueryFileError as error:
        assert str(error).startswith("x.sql:")
        return

    assert all(token.kind != "comment" for statement in statements for token in tokenize(statement.text))


def _quoted(value: str, style: str) -> str:
    escaped = value.replace("'", "''")
    if style == "plain":
        return f"'{escaped}'"
    if style == "escape":
        return "E'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    tag = {"dollar": "$$", "tagged": "$tag$"}[style]
    return f"'{escaped}'" if tag in value + "$" else f"{tag}{value}{tag}"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(alphabet="ab:$'\"\\-/*[]();%\n é", max_size=8), st.sampled_from(["plain", "escape", "dollar", "tagged"])
        ),
        min_size=1,
        max_size=5,
    )
)
@example([("a':b--$$", "escape"), ("'", "plain"), ("\\", "tagged")])
def test_literals_arrive_as_written(literals: list[tuple[str, str]]):
    """
    Literals of every style, with comments between and parameters behind: the server gets the values that were meant.
    """
    columns = ",\n -- don't :no\n".join(f"{_quoted(value, style)}::text /* ' */" for value, style in literals)
    text = sent(f"SELECT {columns}, :x::int", "x")
    with psycopg.connect(_dsn[0], autocommit=True) as connection:
        row = psycopg.RawCursor(connection).execute(text.encode(), [7]).fetchone()

    assert (*(value for value, _ in literals), 7) == row


_dsn: list[str] = []


@pytest.fixture(autouse=True, scope="module")
def _remember_dsn(server: Any) -> None:
    # hypothesis refuses function-scoped fixtures, and a fixture argument would repeat in every example's report
    _dsn[:] = [server.dsn()]


def test_trivia_is_what_the_grammar_does_not_see():
    assert {"blank", "block", "comment"} == TRIVIA
