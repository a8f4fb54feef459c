"""
Loading .sql files: what an entry promises, and what is refused with file, line and the way out.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import aiosql
import psycopg
import pytest
from psycopg.pq import ExecStatus

from store._queries import Namespaces, Statement, load
from store._queries.adapter_sync import Adapter
from store._queries.container import Container
from store._queries.loader import Loader
from store.errors import QueryFileError

QUERIES = Path(__file__).resolve().parent.parent / "sql" / "queries"

CORPUS = """\
-- One file that holds every trap at once.
/* -- name: not_a_query()
   :no */

-- name: count_orders(status)$
-- Count them.
--
-- Locks nothing.
-- plan: scan orders_small, a handful of rows
-- plan: scan order_items, the same
SELECT count(*) -- see :bar, don't :no
FROM (VALUES ('a', ARRAY[1, 2, 3])) AS o (status, arr) /* :no
/* nested */ */
WHERE o.status = :status::text
    AND arr[1:2] = ARRAY[1, 2]
    AND 'x
-- name: no()
-- :no' IS NOT NULL
    AND $q$ :no $q$ <> $$
-- name: no()
'$$
    AND E'it\\'s :no' <> 'a%';

-- name: find_order(order_id, order_ids)^
-- Find one.
-- row: Order
-- rows: at most one (orders_pkey)
-- null: order_id
SELECT :order_id::bigint AS id, :order_ids::bigint[] AS ids;
-- name: touch_order()!
UPDATE pg_catalog.pg_class SET relname = relname WHERE false
"""


def write(folder: Path, **files: str) -> Path:
    """
    Write the files of a folder of queries and return it.
    """
    folder.mkdir(exist_ok=True)
    for stem, text in files.items():
        (folder / f"{stem}.sql").write_text(text, encoding="utf-8")
    return folder


def corpus(tmp_path: Path, **options: Any) -> Namespaces:
    """
    Return the corpus, loaded.
    """
    return load(write(tmp_path / "queries", orders=CORPUS), colour="sync", **options)


def test_loader_corpus(tmp_path: Path, server: Any):
    """
    Slices, comments, quotes and names inside literals, all in one file: each text goes through Parse and counts the parameters of its header.
    """
    queries = corpus(tmp_path)

    assert ["count_orders", "find_order", "touch_order"] == [statement.name for statement in queries.statements]
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for statement in queries.statements:
            parsed = connection.pgconn.prepare(b"", statement.text.encode(), None)
            assert parsed.status == ExecStatus.COMMAND_OK, parsed.error_message.decode()
            assert len(statement.parameters) == connection.pgconn.describe_prepared(b"").nparams
        assert queries.orders.count_orders(connection, status="a") == 1
        assert queries.orders.touch_order(connection) == 0


def test_statement_holds_what_its_entry_says(tmp_path: Path):
    count, find, touch = corpus(tmp_path, prefix="shop").statements

    assert count.full_name == "orders.count_orders"
    assert (count.mark, count.parameters, dict(count.oids), count.kind) == ("$", ("status",), {"status": 25}, "query")
    assert count.doc == "Count them.\n\nLocks nothing."
    assert count.plan == ("scan orders_small, a handful of rows", "scan order_items, the same")
    assert (count.line, count.first_line) == (5, 11)
    assert (find.mark, find.row, find.rows) == ("^", "Order", "at most one (orders_pkey)")
    assert (find.nullable, dict(find.oids)) == ({"order_id"}, {"order_id": 20, "order_ids": 1016})
    assert find.text == "/* shop:orders.find_order */ SELECT $1::bigint AS id, $2::bigint[] AS ids"
    assert (touch.mark, touch.parameters, touch.doc, touch.row) == ("!", (), "", None)


def test_a_position_of_the_server_is_a_line_of_the_file(tmp_path: Path):
    count = corpus(tmp_path).statements[0]

    assert count.line_of(1) == 11
    assert count.line_of(count.text.index("arr[1:2]") + 1) == 15
    assert CORPUS.splitlines()[count.line_of(count.text.index("E'it") + 1) - 1].startswith("    AND E'it")


def test_parameters_are_numbered_by_first_appearance(tmp_path: Path):
    folder = write(tmp_path / "q", a="-- name: get_a(x, y)\nSELECT :y::int, :x::int, :y;")

    [statement] = load(folder, colour="sync").statements

    assert statement.parameters == ("y", "x")
    assert statement.text == "/* app:a.get_a */ SELECT $1::int, $2::int, $1"


CASTS = {
    ":a::bigint": 20, ":a :: int8": 20, ":a::int": 23, ":a::integer": 23, ":a::smallint": 21, ":a::numeric(12, 2)": 1700, ":a::decimal": 1700,
    ":a::real": 700, ":a::float": 701, ":a::double precision": 701, ":a::boolean": 16, ":a::bool": 16, ":a::text": 25, ":a::pg_catalog.text": 25,
    ":a::varchar(10)": 1043, ":a::character varying": 1043, ":a::char varying(3)": 1043, ":a::char(3)": 1042, ":a::timestamptz": 1184,
    ":a::timestamp with time zone": 1184, ":a::timestamp(3) with time zone": 1184, ":a::timestamp without time zone": 1114, ":a::timestamp": 1114,
    ":a::time": 1083, ":a::time with time zone": 1266, ":a::date": 1082, ":a::interval": 1186, ":a::uuid": 2950, ":a::jsonb": 3802,
    ":a::bytea": 17, ":a::bit varying(4)": 1562, ":a::text[]": 1009, ":a::bigint[][]": 1016, ":a::int ARRAY": 1007, ":a::uuid [3]": 2951,
    ":a::timestamp with time zone[]": 1185, "(:a)::text": 25, "((:a))::text": 25, "CAST(:a AS text)": 25, "cast( :a AS double precision )": 701,
    "coalesce(:a::bigint, 1)": 20, ":a::/* why */text": 25, ":a::text || 'x'": 25, ":a::TEXT": 25,
}  # fmt: skip
UNTYPED = (
    ":a",
    "':a::text' || :a",
    ":a || 'x'::text",
    ":a::store.amount",
    ":a::text.x",
    ":a::texts.x",
    ':a::"char"',
    ":a::my_type[]",
    "f(:a) AS text",
)


@pytest.mark.parametrize("expression", CASTS)
def test_cast_gives_the_type(expression: str, tmp_path: Path, server: Any):
    [statement] = load(write(tmp_path / "q", a=f"-- name: get_a(a)\nSELECT {expression}"), colour="sync").statements

    assert dict(statement.oids) == {"a": CASTS[expression]}
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.pgconn.prepare(b"", statement.text.encode(), None)
        assert connection.pgconn.describe_prepared(b"").param_type(0) == CASTS[expression]


@pytest.mark.serverless
@pytest.mark.parametrize("expression", UNTYPED)
def test_no_cast_or_a_type_of_ones_own_gives_none(expression: str, tmp_path: Path):
    [statement] = load(write(tmp_path / "q", a=f"-- name: get_a(a)\nSELECT {expression}"), colour="sync").statements

    assert dict(statement.oids) == {}


@pytest.mark.serverless
def test_slice_survives_loading(tmp_path: Path):
    text = _only(tmp_path, "-- name: get_a(lo, hi)\nSELECT (ARRAY[1, 2])[1:2], a[lo:hi], a[(:lo):(:hi)] FROM t").text

    assert text.endswith("SELECT (ARRAY[1, 2])[1:2], a[lo:hi], a[($1):($2)] FROM t")


@pytest.mark.serverless
def test_comment_is_not_sql(tmp_path: Path):
    text = _only(tmp_path, "-- name: get_a(x)\nSELECT 1 -- see :bar\n, 2 -- don't\n, /* :no /* ' */ */ :x").text

    assert text.endswith("SELECT 1 \n, 2 \n,   $1")


@pytest.mark.serverless
def test_quoted_bodies_untouched(tmp_path: Path):
    body = r"""$q$ :no $q$, $$ $1 :no $$, E'it\'s :no', 'a  b', '   ', "a:b" AS c"""

    assert _only(tmp_path, f"-- name: get_a()\nSELECT {body};").text == f"/* app:a.get_a */ SELECT {body}"


@pytest.mark.serverless
def test_dashes_inside_string_survive(tmp_path: Path):
    statement = _only(tmp_path, "-- name: get_a()\n-- Purpose.\nSELECT 'a\n-- b\n  ', $$\n-- c\n$$;")

    assert statement.text.endswith("SELECT 'a\n-- b\n  ', $$\n-- c\n$$")
    assert statement.doc == "Purpose."


@pytest.mark.serverless
def test_name_inside_literal_is_text(tmp_path: Path):
    statement = _only(tmp_path, "-- name: get_a()\nSELECT '\n-- name: b()\n' /*\n-- name: c()\n*/ || $$\n-- name: d()\n$$;")

    assert statement.text.count("-- name") == 2


@pytest.mark.serverless
def test_prose_may_look_like_a_mark(tmp_path: Path):
    statement = _only(
        tmp_path,
        "-- name: get_a()\n-- Plan: none yet.\n-- Name: of the user.\n-- Returns rows: many.\n-- raw: as it was sent\nSELECT 1",
    )

    assert (statement.plan, statement.rows) == ((), None)
    assert statement.doc == "Plan: none yet.\nName: of the user.\nReturns rows: many.\nraw: as it was sent"


def test_copy_is_loaded_as_such(tmp_path: Path):
    statement = _only(tmp_path, "-- name: export_a()\n-- kind: copy\nCOPY (SELECT 1) TO STDOUT;")

    assert (statement.kind, statement.text) == ("copy", "/* app:a.export_a */ COPY (SELECT 1) TO STDOUT")


ALLOWED = [
    "SET LOCAL statement_timeout = 0",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT set_config('a.b', :x, true)",
    "SELECT set_config('a.b', coalesce(:x, 'false'), true) AS a, false AS b",
    "SELECT 'BEGIN; COMMIT', :x::text",
    "(SELECT :x::text)",
    "WITH a AS (INSERT INTO t VALUES (:x) RETURNING id) SELECT id FROM a",
    "SELECT begin, pg_advisory_lock FROM t",
]


@pytest.mark.serverless
@pytest.mark.parametrize("sql", ALLOWED)
def test_harmless_statement_is_loaded(sql: str, tmp_path: Path):
    assert _only(tmp_path, f"-- name: get_a({'x' if ':x' in sql else ''})\n{sql}").text


STATEFUL = [
    "BEGIN", "START TRANSACTION", "COMMIT", "END", "rollback", "SAVEPOINT a", "RELEASE a", "ABORT", "PREPARE a AS SELECT 1", "EXECUTE a",
    "DEALLOCATE ALL", "DISCARD ALL", "RESET ALL", "LISTEN a", "UNLISTEN a", "DECLARE c CURSOR FOR SELECT 1", "SET statement_timeout = 0",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "/* a */ Begin -- b",
]  # fmt: skip
LEFT_BEHIND = {
    "SELECT pg_advisory_lock(1)": "pg_advisory_xact_lock",
    "SELECT a FROM t WHERE pg_try_advisory_lock (1)": "pg_advisory_xact_lock",
    "SELECT Pg_Advisory_Lock_Shared(1)": "pg_advisory_xact_lock",
    "SELECT set_config('a', 'b', false)": "last argument true",
    "SELECT pg_catalog.set_config('a', f('b'), 'f')": "last argument true",
}


@pytest.mark.serverless
@pytest.mark.parametrize("sql", STATEFUL)
def test_statement_that_steers_is_refused(sql: str, tmp_path: Path):
    refused(tmp_path, f"-- name: get_a()\n{sql};", 2, "steers the transaction or leaves something behind")


@pytest.mark.serverless
@pytest.mark.parametrize("sql", LEFT_BEHIND)
def test_statement_that_leaves_state_is_refused(sql: str, tmp_path: Path):
    refused(tmp_path, f"-- name: get_a()\n{sql};", 2, LEFT_BEHIND[sql])


# The text of a file, the line that is named, the words of the message.
REFUSED = {
    "SQL before the first name": ("-- a\n\nSELECT 1;\n-- name: b()\nSELECT 1;", 3, "before the first"),
    "no entry": ("-- only prose\n", 1, "there is no query in this file"),
    "name in the middle of a line": ("-- name: a_b()\nSELECT 1; -- name: b()\nSELECT 2;", 2, "at the start of its line"),
    "empty entry": ("-- name: a_b()\n-- Purpose.\n\n-- name: b_c()\nSELECT 1;", 1, "a_b is empty"),
    "only a semicolon": ("-- name: a_b()\n;", 1, "a_b is empty"),
    "no form at all": ("-- name: a b c(x) d\nSELECT 1", 1, "not of the form"),
    "unknown mark": ("-- name: a_b()?\nSELECT 1", 1, "unknown mark"),
    "type hint": ("-- name: a_b(x: int)\nSELECT :x", 1, "no parameter name"),
    "empty parameter": ("-- name: a_b(x,)\nSELECT :x", 1, "no parameter name"),
    "parameter twice": ("-- name: a_b(x, x)\nSELECT :x", 1, "declared twice"),
    "parameter self": ("-- name: a_b(self)\nSELECT :self", 1, "cannot be called self"),
    "parameter conn": ("-- name: a_b(conn)\nSELECT :conn", 1, "cannot be called conn"),
    "parameter of Python": ("-- name: a_b(from)\nSELECT :from", 1, "cannot be called from"),
    "undeclared parameter": ("-- name: a_b()\nSELECT\n  :x", 3, "undeclared parameter :x: declare it in the header$"),
    "undeclared behind a value": ("-- name: a_b()\nSELECT JSON_OBJECT(k:v) FROM t", 2, r"JSON_OBJECT\('k': v\)"),
    "undeclared behind a literal": ("-- name: a_b()\nSELECT JSON_OBJECT('k':v) FROM t", 2, r"JSON_OBJECT\('k': v\)"),
    "unused parameter": ("-- name: a_b(x)\nSELECT 1 -- :x", 1, "declared and not used: use it or remove it"),
    "parameter as a slice": ("-- name: a_b(x)\nSELECT a[:x] FROM t", 1, r"write \[\(:x\)"),
    "parameter with a dollar": ("-- name: a_b(x)\nSELECT :x$y", 2, r"undeclared parameter :x\$y"),
    "null of a stranger": ("-- name: a_b(x)\n-- null: y\nSELECT :x::int", 2, "which the header does not declare"),
    "null without a cast": ("-- name: a_b(x)\n-- null: x\nSELECT :x", 1, "x may be null and has no type"),
    "null with a type of one's own": ("-- name: a_b(x)\n-- null: x\nSELECT :x::store.amount", 1, "x may be null and has no type"),
    "mark twice": ("-- name: a_b()\n-- row: A\n-- row: B\nSELECT 1", 3, "stands twice"),
    "mark without a value": ("-- name: a_b()\n-- row:\nSELECT 1", 2, "says nothing"),
    "row that is no class": ("-- name: a_b()\n-- row: list[A]\nSELECT 1", 2, "the name of one class"),
    "record class": ("-- name: a_b()\n-- record_class: A\nSELECT 1", 2, "`-- row:`"),
    "row misspelt": ("-- name: a_b()\n-- rwo: Outer\nSELECT 1", 2, "`-- rwo:` is no mark: is it `-- row:`"),
    "rows misspelt": ("-- name: a_b()^\n-- rowss: at most one (why)\nSELECT 1", 2, "is it `-- rows:`"),
    "null misspelt": ("-- name: a_b(x)\n-- Why.\n-- nul: x\nSELECT :x::int", 3, "is it `-- null:`"),
    "plan misspelt": ("-- name: a_b()\n-- pln: scan a, why\nSELECT 1", 2, "is it `-- plan:`"),
    "kind misspelt": ("-- name: a_b()\n-- knid: copy\nSELECT 1", 2, "is it `-- kind:`"),
    "name misspelt": ("-- name: a_b()\n-- nmae: b_c()\nSELECT 1", 2, "is it `-- name:`"),
    "Locks misspelt": ("-- name: a_b()!\n-- Lokcs: a row\nDELETE FROM a", 2, "is it `-- Locks:`"),
    "unknown kind": ("-- name: a_b()\n-- kind: bulk\nSELECT 1", 2, "only `-- kind: copy`"),
    "mark inside the statement": ("-- name: a_b()\nSELECT 1\n-- plan: scan a, why\n, 2", 3, "move it under"),
    "copy without its kind": ("-- name: a_b()\nCOPY t TO STDOUT", 2, "COPY needs `-- kind: copy`"),
    "kind without a copy": ("-- name: a_b()\n-- kind: copy\nSELECT 1", 3, "no COPY"),
    "copy of a server's file": ("-- name: a_b()\n-- kind: copy\nCOPY t FROM '/etc/passwd'", 3, "STDIN"),
    "copy with a parameter": ("-- name: a_b(x)\n-- kind: copy\nCOPY (SELECT :x) TO STDOUT", 1, "no parameters in COPY"),
    "write without rows": ("-- name: a_b()\nDELETE FROM t", 1, "mark it with ! or add RETURNING"),
    "open string": ("-- name: a_b()\nSELECT 1,\n'a", 3, "never closed"),
}  # fmt: skip


@pytest.mark.serverless
@pytest.mark.parametrize("case", REFUSED)
def test_entry_is_refused_with_its_line(case: str, tmp_path: Path):
    refused(tmp_path, *REFUSED[case])


@pytest.mark.serverless
def test_duplicate_query_name_refused(tmp_path: Path):
    """
    In one file and across the files of a folder.
    """
    refused(
        tmp_path / "one", "-- name: a_b()\nSELECT 1;\n-- name: a_b()\nSELECT 2;", 3, "already the name of the query in line 1"
    )
    folder = write(tmp_path / "two", carts="-- name: a_b()\nSELECT 1;", users="\n-- name: a_b()\nSELECT 2;")

    with pytest.raises(QueryFileError, match=r"users\.sql:2: a_b is already a query in carts\.sql:1"):
        load(folder, colour="sync")


@pytest.mark.serverless
@pytest.mark.parametrize("header", ["a_b", "a_b^", "a_b$", "a_b!"])
def test_every_header_has_parameters(header: str, tmp_path: Path):
    refused(tmp_path, f"-- name: {header}\nSELECT 1;", 1, r"write a_b\(\)")


@pytest.mark.serverless
@pytest.mark.parametrize("mark", ["<!", "*!", "#"])
@pytest.mark.parametrize("parameters", ["", "()"])
def test_unused_marks_are_refused(mark: str, parameters: str, tmp_path: Path):
    refused(tmp_path, f"-- name: a_b{parameters}{mark}\nSELECT 1;", 1, "is not used here: use ")


@pytest.mark.serverless
@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SELECT 1;;SELECT 2;", "SELECT 1; DROP TABLE t -- x"])
def test_one_statement_per_name(sql: str, tmp_path: Path):
    refused(tmp_path, f"-- name: a_b()\n{sql}", 2, "more than one statement")


@pytest.mark.serverless
@pytest.mark.parametrize(
    "name", ["get-user", "getUser", "1st", "größe", "", "_a", "get.user", "add_query", "driver_adapter", "class"]
)
def test_query_names(name: str, tmp_path: Path):
    refused(tmp_path, f"-- name: {name}()\nSELECT 1", 1, "the query name|not of the form")


@pytest.mark.serverless
@pytest.mark.parametrize("stem", ["Users", "user-data", "1", "is_aio", "import", "statements"])
def test_file_names(stem: str, tmp_path: Path):
    folder = write(tmp_path / "q", **{stem: "-- name: a_b()\nSELECT 1"})

    with pytest.raises(QueryFileError, match="the file name|a file cannot be called"):
        load(folder, colour="sync")


@pytest.mark.serverless
def test_folder_is_refused_when_it_cannot_be_meant(tmp_path: Path):
    with pytest.raises(QueryFileError, match="there is no such folder"):
        load(tmp_path / "no", colour="sync")
    with pytest.raises(QueryFileError, match=r"there is no \.sql file"):
        load(write(tmp_path / "empty"), colour="sync")
    nested = write(tmp_path / "nested", a="-- name: a_b()\nSELECT 1")
    write(nested / "deep", b="-- name: b_c()\nSELECT 1")
    with pytest.raises(QueryFileError, match="deep: a folder inside a folder"):
        load(nested, colour="sync")
    with pytest.raises(QueryFileError, match="prefix"):
        load(nested, colour="sync", prefix="a */ b")


@pytest.mark.serverless
def test_only_a_folder_of_contracts_may_stand_inside(tmp_path: Path):
    folder = write(tmp_path / "sql", a="-- name: a_b()\nSELECT 1")
    (folder / "contracts").mkdir()
    (folder / "contracts" / "a.contract").write_text("")

    assert list(load(folder, colour="sync")) == ["a"]

    write(folder / "contracts", b="-- name: b_c()\nSELECT 1")
    with pytest.raises(QueryFileError, match="contracts: a folder inside a folder"):
        load(folder, colour="sync")


@pytest.mark.serverless
def test_text_that_is_not_utf8_is_refused(tmp_path: Path):
    folder = write(tmp_path / "q")
    (folder / "a.sql").write_bytes("-- name: a_b()\nSELECT 'é'".encode("latin-1"))

    with pytest.raises(QueryFileError, match=r"a\.sql:2: not UTF-8"):
        load(folder, colour="sync")


@pytest.mark.serverless
def test_byte_order_mark_and_hidden_files_are_no_obstacle(tmp_path: Path):
    folder = write(tmp_path / "q")
    (folder / "a.sql").write_bytes("\ufeff-- name: a_b()\nSELECT 1".encode())
    (folder / "._a.sql").write_bytes(b"\xff")
    (folder / ".idea").mkdir()

    assert [statement.full_name for statement in load(folder, colour="sync").statements] == ["a.a_b"]


@pytest.mark.serverless
def test_functions_carry_their_origin(tmp_path: Path):
    queries = corpus(tmp_path)
    function = queries.orders.find_order

    assert ("find_order", "Find one.") == (function.__name__, function.__doc__)
    assert str(inspect.signature(function)) == "(conn, /, *, order_id, order_ids)"
    assert function.statement is queries.statements[1]
    assert ["count_orders", "find_order", "touch_order"] == queries.orders.available_queries
    assert not hasattr(queries.orders, "find_order_cursor")


@pytest.mark.serverless
def test_files_are_namespaces_in_alphabetical_order(tmp_path: Path):
    folder = write(
        tmp_path / "q", users="-- name: b_c()\nSELECT 1", carts="-- name: z_z()\nSELECT 1;\n-- name: a_b()\nSELECT 1"
    )
    queries = load(folder, colour="async")

    assert list(queries) == ["carts", "users"]
    assert [statement.full_name for statement in queries.statements] == ["carts.z_z", "carts.a_b", "users.b_c"]
    assert {"carts", "users"} <= set(dir(queries))
    with pytest.raises(AttributeError, match=r"no file user\.sql: the folder has carts, users"):
        _ = queries.user
    with pytest.raises(AttributeError, match="no query b: the file has b_c"):
        _ = queries.users.b


@pytest.mark.serverless
def test_doors_of_aiosql_lead_to_the_same(tmp_path: Path):
    """
    loader_cls and queries_cls are aiosql's own: its from_path takes them for a file, and a folder is refused.
    """
    folder = write(tmp_path / "q", orders=CORPUS)
    doors: dict[str, Any] = {"loader_cls": Loader, "queries_cls": Container, "attribute": None}
    adapter: Any = Adapter  # answers with names beside the rows, which aiosql's protocol does not know

    queries = aiosql.from_path(folder / "orders.sql", adapter, **doors)

    assert ["count_orders", "find_order", "touch_order"] == queries.available_queries
    with pytest.raises(QueryFileError, match="a file is a namespace"):
        aiosql.from_path(folder, adapter, **doors)


@pytest.mark.serverless
def test_own_queries_are_alphabetical_and_marked():
    """
    The project's files load; each entry has its purpose, ends with a full stop, and stands in its place.
    """
    statements = load(QUERIES, prefix="store", colour="sync").statements

    assert statements
    for domain in {statement.domain for statement in statements}:
        names = [statement.name for statement in statements if statement.domain == domain]
        assert sorted(names) == names
    assert [] == [s.full_name for s in statements if not re.match(r"[A-Z][^\n]*(\n[^\n]*)*[.:]", s.doc)]


def _only(tmp_path: Path, text: str) -> Statement:
    [statement] = load(write(tmp_path / "queries", a=text), colour="sync").statements
    return statement


def refused(tmp_path: Path, text: str, line: int, message: str) -> None:
    """
    The file is refused at this line, with these words.
    """
    folder = write(tmp_path, a=text)

    with pytest.raises(QueryFileError, match=message) as caught:
        load(folder, colour="sync")

    assert str(caught.value).startswith(f"{folder / 'a.sql'}:{line}: ")
