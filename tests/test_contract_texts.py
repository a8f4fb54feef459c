"""
The contract of an entry with several texts: all of them are described, must agree, and say only what differs from the first.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store._queries import load
from store.contract import check, derive, digest, schema, stubs, text, uses
from store.contract.facts import Column, Facts, Parameter, merged
from store.contract.project import Project, foreign
from store.contract.schema import Schema
from store.contract.text import Stanza
from store.errors import NotFound
from tests.test_cli import store
from tests.test_contract import described, locked, rules, team

__all__ = ["described", "team"]  # fixtures

SQL = """\
-- name: list_notes(owner_id, title, after_id, after_title)
-- Return the notes of an owner.
SELECT n.id, n.title
FROM app.notes AS n
WHERE
    n.owner_id = :owner_id::bigint
    /*? title */ AND n.title = :title::text /*?*/
    /*: by_id */ AND n.id > :after_id::bigint
    /*| by_price AND n.price + 0 > 1 AND n.title > :after_title::text */
ORDER BY n.id;
"""
UNOWNED = SQL.replace("(owner_id, title", "(title").replace("n.owner_id = :owner_id::bigint\n", "n.price >= 0\n")
LABELS = ["title+by_id", "by_id", "title+by_price", "by_price"]


@pytest.fixture
def several(team: Path) -> Path:
    """
    The team's folder with one entry of four texts.
    """
    (team / "queries" / "notes.sql").write_text(SQL, encoding="utf-8")
    return team


def change(folder: Path, before: str, after: str) -> Project:
    (folder / "queries" / "notes.sql").write_text(SQL.replace(before, after), encoding="utf-8")
    assert before in SQL
    return foreign(folder / "queries", migrations=[folder / "migrations"])


def test_every_text_stands_in_the_contract_by_what_differs(several, described):
    made = locked(several, described)
    written = made.contract_of("notes").read_text(encoding="utf-8")
    (stanza,) = text.parse(written, Path("x"))

    assert list(stanza.texts) == LABELS
    assert ["owner_id", "title", "after_id"] == [each.name for each in stanza.texts["title+by_id"].parameters]
    assert {"owner_id", "after_title"} == {each.name for each in stanza.texts["by_price"].parameters}
    assert "  text   [by_id]\n  -      param  title  text  required\n  text" in written
    assert "  +      reads  app.notes.id, app.notes.owner_id, app.notes.price, app.notes.title\n" in written
    assert check.online(described, made, is_scratch=True) == []
    assert check.offline(made) == []
    assert text.render([stanza]) == written


def test_a_column_that_one_sort_reads_has_a_user(several, described):
    made = locked(several, described)

    assert ["notes.list_notes"] == [each.query for each in uses.uses(made, "app.notes.price")]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("SELECT n.id, n.title", "SELECT n.id /*? title */, n.title /*?*/", "[by_id]: its columns are id bigint, and of"),
        ("SELECT n.id, n.title", "SELECT n.id /*: by_id */, n.title /*| by_price , 1 AS title */", "title integer"),
        ("n.title > :after_title::text", "n.title > :after_title::text AND :after_id::int > 1", "after_id is integer in it"),
    ],
)
def test_texts_that_disagree_are_found_and_not_locked(several, described, before, after, words):
    made = change(several, before, after)
    found = [each for each in check.online(described, made, is_scratch=True) if each.rule == "query-texts"]

    assert 1 == len(found)
    assert words in found[0].message
    assert [found[0]] == list(derive.derive(described, made).undescribed)


def test_a_text_that_is_refused_is_named(several, described):
    found = check.online(described, change(several, "n.price + 0", "n.prize"), is_scratch=True)
    refused = [each for each in found if each.rule == "query-refused"]

    assert ["notes.list_notes[title+by_price] (and 1 more of its texts)"] == [e.message.partition(":")[0] for e in refused]
    assert {(9, "42703")} == {(each.line, each.message[-6:-1]) for each in refused}


def test_a_plan_that_only_one_sort_has_is_graded_once(several, described):
    (several / "queries" / "notes.sql").write_text(UNOWNED, encoding="utf-8")
    made = foreign(several / "queries", migrations=[several / "migrations"])
    found = [each for each in check.online(described, made, is_scratch=True) if each.rule == "plan-scan"]

    assert 1 == len(found)
    assert "notes.list_notes[title+by_price] (and 1 more of its texts) reads app.notes whole" in found[0].message


def test_leave_for_a_scan_is_not_stale_while_one_text_needs_it(several, described):
    sql = UNOWNED.replace("owner.\n", "owner.\n-- plan: scan app.notes, few\n")
    (several / "queries" / "notes.sql").write_text(sql, encoding="utf-8")
    made = foreign(several / "queries", migrations=[several / "migrations"])

    assert [] == [each for each in rules(check.online(described, made, is_scratch=True)) if each.startswith("plan")]


def test_a_schema_that_moves_under_one_sort_is_found_in_it(several, described):
    made = locked(several, described)
    written = made.contract_of("notes").read_text(encoding="utf-8")
    made.contract_of("notes").write_text(written.replace("after_title  text", "after_title  uuid"), encoding="utf-8")
    edited, found = check.online(described, made, is_scratch=True)

    assert edited.rule == "contract-edited"
    assert "notes.list_notes[title+by_price]: param after_title: uuid required in the contract, text req" in found.message
    assert "  text   [title+by_price]" == written.splitlines()[found.line - 1]


def test_optional_parameters_and_sorts_are_typed(several, described):
    made = locked(several, described)
    derived = derive.derive(described, made)
    facts = {f"notes.{each.name}": each.whole for each in derived.stanzas["notes"]}
    written = stubs.render(made, facts, derived.schema)

    assert "from typing import Literal, NamedTuple\n" in written
    assert (
        "def list_notes(self, session: Session, /, *, owner_id: int, title: str = ..., after_id: int = ..., "
        'after_title: str = ..., sort: Literal["by_id", "by_price"] = ...) -> list[ListNotesRow]: ...'
    ) in written


@pytest.mark.serverless
def test_the_hash_is_of_every_text(tmp_path):
    def hashed(sql: str) -> str:
        (tmp_path / "f.sql").write_text(sql, encoding="utf-8")
        return digest.of_statement(load(tmp_path, colour="sync").statements[0])

    kept = hashed(SQL)
    assert kept == hashed(SQL.replace("n.price + 0", "n.price  +  0"))
    assert kept != hashed(SQL.replace("n.price + 0", "n.price + 2"))
    assert kept != hashed(SQL.replace("by_price", "by_prices"))
    assert kept != hashed(SQL.replace("/*? title */", "").replace(" /*?*/", ""))


@pytest.mark.serverless
def test_a_renamed_parameter_is_found_offline(tmp_path):
    made = _written(tmp_path, "-- name: get_a(a)\nSELECT :a::text AS b;\n", Facts((Parameter("a", "text", is_required=False),)))
    assert rules(check.offline(made)) == []
    (tmp_path / "queries" / "f.sql").write_text("-- name: get_a(c)\nSELECT :c::text AS b;\n", encoding="utf-8")

    assert rules(check.offline(foreign(tmp_path / "queries"))) == ["contract-stale"]


def _written(folder: Path, sql: str, facts: Facts) -> Project:
    (folder / "queries").mkdir()
    (folder / "contracts").mkdir()
    (folder / "queries" / "f.sql").write_text(sql, encoding="utf-8")
    made = foreign(folder / "queries")
    (statement,) = made.statements
    stanza = Stanza(statement.name, statement.mark, digest.of_statement(statement), None, facts)
    made.contract_of("f").write_text(text.render([stanza]), encoding="utf-8")
    migrations = Schema(digest.of_migrations(made.migrations))
    (made.contracts / schema.FILE).write_text(schema.render(migrations), encoding="utf-8")
    return made


@pytest.mark.serverless
def test_sql_prints_the_text_that_is_asked_for(several):
    def printed(*arguments: str) -> str:
        return store("sql", *arguments, "--sql", "queries", cwd=several).stdout

    own, other = printed("list_notes"), printed("notes.list_notes", "--variant", "by_price")
    wrong = store("sql", "list_notes[nothing]", "--sql", "queries", cwd=several)

    assert "n.id > $3" in own
    assert "after_title" not in other
    assert other == printed("list_notes[by_price]")
    assert "n.title > $2" in other
    assert [f"-- notes.list_notes[{label}]" for label in LABELS] == [
        line for line in printed("list_notes", "--all").splitlines() if line.startswith("--")
    ]
    assert (wrong.returncode, "[title+by_id], [by_id], [title+by_price], [by_price]" in wrong.stdout + wrong.stderr) == (
        1,
        True,
    )
    assert 2 == store("sql", "list_notes[by_id]", "--all", "--sql", "queries", cwd=several).returncode


@pytest.mark.serverless
def test_one_text_has_no_label(tmp_path):
    made = _written(tmp_path, "-- name: get_a()\nSELECT 1 AS b;\n", Facts())

    assert uses.find(made, "get_a[]").text == uses.find(made, "f.get_a").text
    with pytest.raises(NotFound, match="it has but one"):
        uses.find(made, "get_a[x]")


def test_explain_takes_a_label(admin_dsn, tmp_path):
    done = store("explain", "catalog.list_products[name_down]", "--dsn", admin_dsn, cwd=tmp_path)

    assert "Index Scan Backward using products_name_id_idx" in done.stdout


names = st.sampled_from(["a", "b", "c", "two words"])
kinds = st.sampled_from(["bigint", "numeric(12,2)"])
items = (
    st.lists(st.sampled_from(["orders", "orders.id", "orders.total", "users.id", "users (delete)"]), unique=True)
    .map(sorted)
    .map(tuple)
)
facts = st.builds(
    Facts,
    st.lists(st.builds(Parameter, names, kinds, st.booleans()), unique_by=lambda each: each.name).map(tuple),
    st.tuples(
        *(
            st.builds(Column, st.just(name), kinds, st.booleans(), st.none() | st.just("t.a"), st.none() | st.just("left join"))
            for name in ("a", "two words")
        )
    ),
    items,
    items,
    items,
    items,
    st.sampled_from(["read", "write"]),
    st.none() | st.just("orders_pkey"),
    items,
)


def as_sets(found: Facts) -> list[object]:
    return [set(text.said(found)), found.reads, found.writes, found.functions, found.locks, found.plan]


@pytest.mark.serverless
@given(facts, st.dictionaries(st.sampled_from(["", "x", "x+y"]), facts))
def test_whatever_differs_is_read_back(first, others):
    stanza = Stanza("q", "", "sha256:0", None, first, label="first", others=others)
    written = text.render([stanza])
    (found,) = text.parse(written, Path("x"))

    assert text.render([found]) == written
    assert {label: as_sets(each) for label, each in stanza.texts.items()} == {
        label: as_sets(each) for label, each in found.texts.items()
    }


@pytest.mark.serverless
def test_of_several_texts_the_weakest_promise_holds():
    one = Facts((Parameter("a", "int", is_required=True),), (Column("c", "int", is_nullable=False),), at_most_one="key")
    two = Facts((Parameter("b", "int", is_required=False),), (Column("c", "int", is_nullable=True),), ("t.x",), mode="write")

    assert merged([one, two]) == Facts(
        (Parameter("a", "int", is_required=True), Parameter("b", "int", is_required=False)),
        (Column("c", "int", is_nullable=True),),
        ("t.x",),
        mode="write",
    )
    assert merged([two, one]).at_most_one is None
    optional = Facts((Parameter("a", "int", is_required=False),))
    assert [False] == [each.is_required for each in merged([Facts(one.parameters), optional]).parameters]
    assert merged([one, one]) == one


@pytest.mark.parametrize(
    ("sql", "places"),
    [
        ("json_build_object('price', n.price)", "argument 2 of json_build_object is numeric"),
        ("jsonb_build_object('a', 1, 'price', :a::numeric)", "argument 4 of jsonb_build_object is numeric"),
        ("json_agg(n.price)", "argument 1 of json_agg is numeric"),
        ("to_jsonb(array_agg(n.price))", "argument 1 of to_jsonb is numeric"),
        ("json_build_array(sum(n.price), n.id)", "argument 1 of json_build_array is numeric"),
        ("json_build_array(coalesce(n.price * 2, 0))", "argument 1 of json_build_array is numeric"),
        ("JSON_OBJECT('price': n.price)", "argument 2 of a JSON constructor is numeric"),
        ("json_agg(n)", "argument 1 of json_agg is numeric"),
        ("row_to_json(n)", "argument 1 of row_to_json is numeric"),
        ("to_jsonb(array_agg(n))", "argument 1 of to_jsonb is numeric"),
        ("to_json(ROW(n.id, n.price))", "a column of argument 1 of to_json is numeric"),
        ("array_to_json(ARRAY[n.price])", "argument 1 of array_to_json is numeric"),
        ("to_json(ARRAY(SELECT m.price FROM app.notes AS m))", "a column of argument 1 of to_json is numeric"),
        (
            "(SELECT json_agg(t) FROM (SELECT m.id, m.price FROM app.notes AS m) AS t)",
            "a column of argument 1 of json_agg is num",
        ),
        ("(SELECT to_jsonb(t) FROM (VALUES (1, 2.5)) AS t (a, b))", "a column of argument 1 of to_jsonb is numeric"),
        ("(WITH t AS (SELECT n.price) SELECT jsonb_agg(t) FROM t)", "a column of argument 1 of jsonb_agg is numeric"),
        (
            "(SELECT json_agg(t) FROM (SELECT u FROM (SELECT n.price) AS u) AS t)",
            "a column of argument 1 of json_agg is numeric",
        ),
        ("(SELECT json_agg(t) FROM (SELECT n.price UNION SELECT 1) AS t)", "a column of argument 1 of json_agg is numeric"),
        ("(SELECT json_agg(t) FROM (SELECT m.id, m.price::text FROM app.notes AS m) AS t)", None),
        ("(SELECT json_agg(o) FROM app.owners AS o)", None),
        ("to_json(ROW(n.id, n.price::text))", None),
        ("json_build_object('price', n.price::text, 'id', n.id)", None),
        ("json_agg(n.title)", None),
    ],
)
def test_a_numeric_in_json_is_found(team, described, sql, places):
    """
    As text it stays exact; as a JSON number it is a float for whoever reads it.
    """
    name = "list_a(a)" if ":a" in sql else "list_a()"
    (team / "queries" / "notes.sql").write_text(
        f"-- name: {name}\nSELECT {sql} AS doc FROM app.notes AS n WHERE n.id = 1 GROUP BY n.id;\n", encoding="utf-8"
    )
    made = foreign(team / "queries", migrations=[team / "migrations"])
    found = [each for each in check.online(described, made, is_scratch=True) if not each.rule.startswith(("contract", "plan"))]

    assert [each.rule for each in found] == (["json-numeric"] if places else [])
    assert all(places in each.message for each in found)
