"""
What stands in the contract files and what is checked without a database: text, hashes, DTOs, callers, findings.
"""

from __future__ import annotations

import textwrap
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field, NaiveDatetime, SecretStr

from store._queries import load
from store.contract import callers, digest, schema, text
from store.contract.compare import compare
from store.contract.facts import Column, Facts, Parameter
from store.contract.findings import Finding, exit_code
from store.contract.schema import Named, Schema
from store.contract.text import Stanza
from store.errors import ContractFileError

pytestmark = pytest.mark.serverless

FACTS = Facts(
    parameters=(Parameter("order_id", "bigint", is_required=True), Parameter("note", "text[]", is_required=False)),
    columns=(
        Column("id", "bigint", is_nullable=False, origin="orders.id"),
        Column("email", "text", is_nullable=True, origin="users.email", note="left join"),
        Column("two words", "timestamp with time zone", is_nullable=True),
        Column("n", "amount", is_nullable=False, note="declared"),
    ),
    reads=("orders.id", "orders.note", "users.email"),
    writes=("orders (delete)", "orders.note"),
    via=("notes_order_id_fkey: deletes notes", "sellable(...): reads holds, holds.until"),
    functions=("in_scope(bigint, uuid) stable", "now() stable"),
    locks=("orders FOR NO KEY UPDATE",),
    mode="write (row lock)",
    at_most_one="orders_pkey",
    plan=("index orders_pkey", "scan users, few of them, always"),
)
TEXT = """\
# Written by `store lock`: what PostgreSQL understands of each query. Review the diff; do not edit.

query get_order  ^  sha256:00ff  facts:71c420d4
  row    Order
  param  order_id  bigint  required
  param  note      text[]  optional
  out    id           bigint                    not null  orders.id
  out    email        text                      null      users.email  (left join)
  out    "two words"  timestamp with time zone  null
  out    n            amount                    not null               (declared)
  reads  orders.id, orders.note
  reads  users.email
  writes orders (delete)
  writes orders.note
  via    notes_order_id_fkey: deletes notes
  via    sellable(...): reads holds, holds.until
  funcs  in_scope(bigint, uuid) stable
  funcs  now() stable
  locks  orders FOR NO KEY UPDATE
  mode   write (row lock)
  rows   at most one (orders_pkey)
  plan   index orders_pkey
  plan   scan users, few of them, always

query load  !  sha256:01  facts:322d51ea
  kind   copy
"""
STANZAS = [Stanza("get_order", "^", "sha256:00ff", "Order", FACTS), Stanza("load", "!", "sha256:01", None, None)]
SCHEMA = Schema(
    "sha256:12",
    {
        "amount": Named("numeric", is_not_null=True, checks="CHECK (((VALUE < '1000'::numeric) AND (scale(VALUE) <= 2)))"),
        "mood": Named("enum", labels=("it's", "bad")),
    },
    {"orders.status": ("paid", "placed")},
    {"orders.total": 'it\'s "gross", C:\\new'},
)


def test_a_contract_reads_like_this():
    assert text.render(STANZAS) == TEXT


def test_a_contract_is_read_back():
    assert text.parse(TEXT, Path("x")) == STANZAS
    assert [3, 25] == [each.line for each in text.parse(TEXT, Path("x"))]


names = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=8)
words = st.sampled_from(["bigint", "numeric(12,2)", "timestamp(3) with time zone", 'app."Odd"[]'])
columns = st.builds(
    Column,
    names,
    words,
    st.booleans(),
    st.none() | st.just("orders.id"),
    st.none() | st.sampled_from(["left join", "declared"]),
)


@given(st.lists(columns, max_size=4), st.lists(st.builds(Parameter, names, words, st.booleans()), max_size=3))
def test_whatever_a_column_is_called_it_is_read_back(columns, parameters):
    stanza = Stanza("q", "", "sha256:0", None, Facts(tuple(parameters), tuple(columns)))

    assert text.parse(text.render([stanza]), Path("x")) == [stanza]


@pytest.mark.parametrize(
    "line",
    ["what", "query get_order", "  out  id", "  param  a  bigint  perhaps", "  out  id  bigint  maybe", "  colour  red"],
)
def test_a_line_of_another_hand_is_named(line):
    broken = TEXT.replace("  row    Order", line)
    with pytest.raises(ContractFileError, match=r"^orders\.contract:4: .*store lock") as caught:
        text.parse(broken, Path("orders.contract"))

    assert "Traceback" not in str(caught.value)


def test_schema_is_read_back():
    written = schema.render(SCHEMA)

    assert schema.parse(written, Path("x")) == SCHEMA
    assert "type  mood  enum  'it''s', 'bad'" in written
    assert "comment  orders.total  'it''s \"gross\", C:\\new'" in written
    with pytest.raises(ContractFileError, match=r"schema\.contract:3: "):
        schema.parse(written.replace("migrations", "colour"), Path("schema.contract"))


def hashed(tmp_path, sql, name="q"):
    (tmp_path / "f.sql").write_text(sql, encoding="utf-8")
    return digest.of_statement(load(tmp_path, colour="sync").statements[0])


SQL = "-- name: list_a(a)\n-- null: a\n-- plan: scan x, few\nSELECT 1 AS b -- why\nWHERE :a::text = 'it''s  :so';\n"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("SELECT 1", "SELECT   1"), True),
        (("-- why", "-- because"), True),
        (("SELECT 1", "/* a */ SELECT /* b /* c */ */ 1"), True),
        (("-- null: a", "-- Says why.\n-- null: a"), True),
        (("SELECT 1", "SELECT 2"), False),
        (("'it''s  :so'", "'it''s :so'"), False),
        (("-- null: a\n", ""), False),
        (("scan x, few", "scan x, many"), False),
    ],
)
def test_the_hash_is_of_what_postgresql_reads(tmp_path, change, same):
    assert (hashed(tmp_path, SQL) == hashed(tmp_path, SQL.replace(*change))) is same


def test_the_hash_of_migrations_is_of_names_and_texts(tmp_path):
    (tmp_path / "0001_a.sql").write_text("SELECT 1;")
    (tmp_path / "0001_a.rollback.sql").write_text("SELECT 1;")
    before = digest.of_migrations([tmp_path])
    (tmp_path / "0001_a.rollback.sql").write_text("SELECT 2;")

    assert before == digest.of_migrations([tmp_path])
    (tmp_path / "0001_a.sql").write_text("SELECT 2;")
    assert before != digest.of_migrations([tmp_path])


class Status(Enum):
    PAID = "paid"
    PLACED = "placed"


class Nested(BaseModel):
    price: float


def rules(kind: Any, column: Column) -> list[str]:
    model = type("Row", (BaseModel,), {"__annotations__": {"a": kind}})
    return [each.rule for each in compare([column], model, SCHEMA)]


def column(kind: str, *, null: bool = False, origin: str | None = None) -> Column:
    return Column("a", kind, is_nullable=null, origin=origin)


@pytest.mark.parametrize(
    ("kind", "pg"),
    [
        (int, "bigint"),
        (Annotated[int, Field(ge=1)], "integer"),
        (Decimal, "numeric(12,2)"),
        (Decimal, "amount"),
        (float, "double precision"),
        (str, "character varying(20)"),
        (SecretStr, "text"),
        (str, "mood"),
        (AwareDatetime, "timestamp with time zone"),
        (datetime, "timestamp(3) with time zone"),
        (NaiveDatetime, "timestamp without time zone"),
        (list[int | None], "bigint[]"),
        (list[Any], "bigint[]"),
        (tuple[Decimal | None, ...], "amount[]"),
        (dict[str, Any], "jsonb"),
        (tuple[Nested, ...], "json"),
        (Any, "tsvector"),
        (Literal["bad", "it's"], "mood"),
        (Annotated[Decimal, Field(max_digits=12, decimal_places=2)], "numeric(12,2)"),
    ],
)
def test_what_fits(kind, pg):
    assert rules(kind, column(pg)) == []


@pytest.mark.parametrize(
    ("kind", "pg", "rule"),
    [
        (str, "bigint", "dto-type"),
        (bool, "integer", "dto-type"),
        (int, "boolean", "dto-type"),
        (int, "numeric", "dto-type"),
        (float, "numeric(12,2)", "dto-float"),
        (float, "amount", "dto-float"),
        (list[float | None], "numeric[]", "dto-float"),
        (Annotated[float | int, Field(ge=0)], "numeric", "dto-float"),
        (int, "double precision", "dto-type"),
        (NaiveDatetime, "timestamp with time zone", "dto-type"),
        (AwareDatetime, "timestamp without time zone", "dto-type"),
        (datetime, "date", "dto-type"),
        (int, "bigint[]", "dto-type"),
        (list[str | None], "bigint[]", "dto-type"),
        (list[int], "bigint[]", "dto-null"),
        (Decimal, "jsonb", "dto-type"),
        (str, "tsvector", "dto-type"),
        (int, "text", "dto-type"),
        (dict, "text", "dto-type"),
        (Literal["bad"], "mood", "dto-closed-set"),
        (Annotated[Decimal, Field(max_digits=10)], "numeric(12,2)", "dto-precision"),
        (Annotated[Decimal, Field(decimal_places=1)], "numeric(12,2)", "dto-precision"),
        (Annotated[Decimal, Field(max_digits=4)], "amount", "dto-precision"),
    ],
)
def test_what_does_not_fit(kind, pg, rule):
    assert rules(kind, column(pg)) == [rule]


def test_null_needs_optional_and_optional_needs_null():
    assert rules(int, column("bigint", null=True)) == ["dto-null"]
    assert rules(int | None, column("bigint")) == ["dto-optional"]
    assert rules(int | None, column("bigint", null=True)) == []


def test_a_closed_set_is_equal():
    status = column("text", origin="orders.status")

    assert rules(Status, status) == rules(Literal["placed", "paid"], status) == rules(str, status) == []
    assert rules(Literal["placed", "lost"], status) == ["dto-closed-set"]


def test_columns_and_fields_are_the_same():
    class Row(BaseModel):
        a: int
        b: int
        c: int = 0
        d: int = Field(alias="dee")

    found = compare([column("bigint"), column("bigint"), Column("dee", "bigint", is_nullable=False),
                     Column("z", "bigint", is_nullable=False)], Row, SCHEMA)  # fmt: skip

    assert ["two columns are called a", "Row.b has no column", "the column z has no field in Row"] == [m.message for m in found]


def test_callers_are_held_to_the_queries(tmp_path):
    queries, code = tmp_path / "queries", tmp_path / "code"
    queries.mkdir()
    code.mkdir()
    (queries / "orders.sql").write_text(
        "-- name: get_order(order_id, note)^\n-- row: Order\nSELECT :order_id::bigint AS id, :note::text AS note;\n"
        "-- name: lost()\nSELECT 1;\n"
    )
    (code / "a.py").write_text(
        textwrap.dedent(
            """
            def get(order_id: str, note: str | None):
                return one(Ordre, queries.orders.get_order, order_id=order_id, note=note)
            def fine(order_id: int, note: str):
                return one(Order, queries.orders.get_order, order_id=order_id, note=note)
            def wrong():
                return queries.orders.get_ordre(session)
            """
        )
    )
    facts = Facts((Parameter("order_id", "bigint", is_required=True), Parameter("note", "text", is_required=False)))
    found = callers.check(load(queries, colour="sync").statements, callers.uses(code), {"orders.get_order": facts}, Schema(""))

    assert [
        ("orders.sql", 4, 1, "query-unused"),
        ("a.py", 3, 23, "caller-row"),
        ("a.py", 3, 23, "caller-argument"),
        ("a.py", 3, 23, "caller-argument"),
        ("a.py", 7, 12, "query-missing"),
    ] == [(each.path.name, each.line, each.column, each.rule) for each in found]


@pytest.mark.parametrize(
    "use",
    [
        "queries.orders.get_order",
        "(queries\n  # the order\n  .orders.get_order)",
        "(queries).orders.get_order",
        "queries \\\n  .orders.get_order",
        "self._queries.orders.get_order",
    ],
)
def test_a_use_is_seen_however_it_is_written(tmp_path, use):
    """
    A file without one is not even parsed.
    """
    (tmp_path / "used.py").write_text(f"found = {use}\n")
    (tmp_path / "other.py").write_text("queries = the .sql files\n")

    assert ["orders.get_order"] == [each.query for each in callers.uses(tmp_path)]


def test_findings_for_people_scripts_and_github(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = Finding(tmp_path / "a, b.sql", 3, 7, "plan-scan", "reads orders\nwhole: 100%", "add an index")

    assert str(found) == "a, b.sql:3:7: plan-scan: reads orders\nwhole: 100%: add an index"
    assert (
        found.as_github() == "::error file=a%2C b.sql,line=3,col=7,title=plan-scan::reads orders%0Awhole: 100%25: add an index"
    )
    assert found.as_json()["file"] == "a, b.sql"


def test_the_lowest_exit_code_wins():
    differs = Finding(Path("a"), 1, 1, "contract-differs", "")
    refused = Finding(Path("a"), 1, 1, "dto-null", "")
    warning = Finding(Path("a"), 1, 1, "dto-optional", "", severity="warning")

    assert [0, 0, 9, 8, 8] == [exit_code(e) for e in ([], [warning], [refused], [refused, differs], [differs])]
