"""
The types of the contract in the run: a parameter without a cast is bound as what PostgreSQL says it is, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from store import Queries, Store, _files
from store._contracts import types_of
from store._queries import Namespaces, load
from store._queries.sent import Unfit, sent
from store.contract import digest, pytypes, schema, text
from store.contract.project import foreign
from store.errors import InvalidInput, QueryFileError, WrongParameters
from tests.databases import Connection
from tests.samples import settings
from tests.test_adapters import NOW, ONE, Plain, Size, Word, refused_unsent
from tests.test_contract import described, locked, team

__all__ = ["described", "team"]  # fixtures

NAIVE = NOW.replace(tzinfo=None)
VALUES: dict[str, list[Any]] = {
    "smallint": [1, None, -(2**15), 2**15 - 1],
    "integer": [1, 40000, None, Size.LARGE, 2**31 - 1],
    "bigint": [1, 40000, 5 * 10**9, None, -(2**63), 2**63 - 1, Size.LARGE],
    "oid": [1, None, 2**32 - 1],
    "numeric": [Decimal("1.5"), 1, 40000, 5 * 10**9, None, Decimal("1e30")],
    "store.amount": [Decimal("1.5"), 1, None],
    "real": [1.5, None, 2],
    "double precision": [1.5, 1, None, 40000],
    "boolean": [True, None, False],
    "text": ["a", "", None, "x" * 1000, Word.A],
    "varchar(10)": ["a", None],
    "app.mood": ["glad", None],
    "uuid": [ONE, None],
    "bytea": [b"a", b"", None],
    "timestamptz": [NOW, None],
    "timestamp": [NAIVE, None],
    "date": [date(2026, 1, 1), None],
    "time": [time(12), None],
    "timetz": [time(12, tzinfo=UTC), None],
    "interval": [timedelta(days=1), None],
    "inet": [ip_address("10.0.0.1"), None],
    "cidr": [ip_network("10.0.0.0/8"), None],
    "jsonb": [Jsonb({"a": 1}), None],
    "bigint[]": [[1], [40000], [5 * 10**9], [], None, [None], [1, None], [[1, 2], [3, None]]],
    "integer[]": [[1], [], None, [40000]],
    "numeric[]": [[Decimal("1.5")], [1], [Decimal("1.5"), 2, None], [], [None], None],
    "store.amount[]": [[Decimal("1.5")], [1], [], None],
    "text[]": [["a"], [], None, [None], ["a", None]],
    "timestamptz[]": [[NOW], [], None],
}
COLUMNS = {f"c{number}": kind for number, kind in enumerate(VALUES)}
SCHEMA = f"""
    CREATE SCHEMA app;
    CREATE TYPE app.mood AS ENUM ('glad', 'sad');
    CREATE TABLE app.things (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        owner_id bigint NOT NULL DEFAULT 0,
        {", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())}
    );
"""
ECHO = "-- name: echo_{name}(x)$\n-- null: x\nINSERT INTO app.things ({name}) VALUES (:x) RETURNING {name}::{kind};\n"
KEY = "-- name: count_things(id, owner_ids)$\nSELECT count(*) FROM app.things WHERE id = :id AND owner_id = ANY(:owner_ids);\n"
FIND = "-- name: find_thing(id, owner_ids)$\nSELECT id FROM app.things WHERE id = :id AND owner_id = ANY(:owner_ids);\n"


@pytest.fixture
def things(team: Path, server: Any, database: str) -> Namespaces:
    """
    A folder without a single cast, its contracts, and its table in the database of this test.
    """
    # Arrays of domains come back as text.
    kinds = {name: kind.replace("store.amount", "numeric") for name, kind in COLUMNS.items()}
    echoes = [ECHO.format(name=name, kind=kind) for name, kind in kinds.items()]
    (team / "queries" / "notes.sql").unlink()
    (team / "queries" / "things.sql").write_text("\n".join([*echoes, KEY, FIND]))
    (team / "migrations" / "0001_app.sql").write_text(SCHEMA)
    with server.connect(database) as connection:
        connection.execute(SCHEMA)
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        locked(team, connection)
    return of(team)


def of(team: Path) -> Namespaces:
    return load(team / "queries", colour="sync", types=types_of(team / "queries"))


@pytest.fixture
def admin(server: Any, database: str) -> Any:
    with psycopg.connect(server.dsn(database), autocommit=True, prepare_threshold=0) as connection:
        yield connection


def prepared(connection: psycopg.Connection[Any], name: str) -> int:
    like = f"/* app:things.{name} */%"
    row = connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", [like]).fetchone()
    assert row is not None
    return int(row[0])


def test_one_prepared_statement_without_a_cast(things: Namespaces, admin: psycopg.Connection[Any]):
    """
    Whatever the value, of every type, domains and enums among them: it is stored as it is, and the server holds one statement.
    """
    left = {}
    for name, kind in COLUMNS.items():
        for value in VALUES[kind]:
            expected = value.obj if isinstance(value, Jsonb) else value
            assert getattr(things.things, f"echo_{name}")(admin, x=value) == expected
        left[kind] = prepared(admin, f"echo_{name}")

    assert left == dict.fromkeys(VALUES, 1)


REFUSED: dict[str, list[tuple[object, str]]] = {
    "smallint": [(2**15, "an int from -32768 to 32767, not one out of range"), (True, "32767, not a bool")],
    "integer": [(2**31, "not one out of range")],
    "bigint": [
        ("SECRET", "bigint and takes an int from -9223372036854775808 to 9223372036854775807, not a str"),
        (2**63, "not one out of range"),
        (1.0, "not a float"),
    ],
    "oid": [(-1, "not one out of range")],
    "numeric": [(1.5, "numeric and takes a Decimal or an int, not a float"), ("1.5", "not a str"), (True, "not a bool")],
    "store.amount": [(1.5, "amount and takes a Decimal or an int, not a float")],
    "real": [(1e300, "real and takes a float or an int, not one out of range"), (Decimal(1), "not a Decimal")],
    "double precision": [("1", "not a str"), (10**400, "not one out of range")],
    "boolean": [(1, "boolean and takes a bool, not an int"), ("true", "not a str")],
    "text": [(1, "text and takes a str, not an int"), (b"SECRET", "not a bytes")],
    "app.mood": [(1, "app.mood and takes a str, not an int")],
    "uuid": [(str(ONE), "uuid and takes a UUID, not a str")],
    "bytea": [("SECRET", "bytea and takes bytes, not a str")],
    "timestamptz": [
        (NAIVE, "timestamp with time zone and takes a datetime with a time zone, not one without a time zone"),
        (date(2026, 1, 1), "not a date"),
        ("2026-01-01", "not a str"),
    ],
    "timestamp": [(NOW, "a datetime without a time zone, not one with a time zone")],
    "date": [(NOW, "date and takes a date, not a datetime")],
    "time": [(time(12, tzinfo=UTC), "not one with a time zone")],
    "timetz": [(time(12), "not one without a time zone")],
    "interval": [(5, "not an int")],
    "bigint[]": [
        ((1, 2), "bigint[] and takes a list, each an int from"),
        ([1, "SECRET"], "not a list with a str"),
        ([[2**63]], "not a list with one out of range"),
        ([None, 1.5], "not a list with a float"),
    ],
    "store.amount[]": [([1.5], "amount[] and takes a list, each a Decimal or an int, not a list with a float")],
    "text[]": [("SECRET", "text[] and takes a list, each a str, not a str")],
}


def test_what_is_none_of_the_type_is_refused_before_the_wire(things: Namespaces, dsn: str):
    """
    By query, parameter and type, and without the value.
    """
    names = {kind: name for name, kind in COLUMNS.items()}

    for kind, values in REFUSED.items():
        for value, words in values:
            with refused_unsent(InvalidInput, dsn) as (connection, caught):
                getattr(things.things, f"echo_{names[kind]}")(connection, x=value)

            assert str(caught.value).startswith(f"things.echo_{names[kind]}: x is ")
            assert words in str(caught.value)
            assert caught.value.field == "x"
            assert "SECRET" not in str(caught.value)
            assert caught.value.__cause__ is None


def test_none_that_can_never_be_meant_is_refused_before_the_wire(things: Namespaces, team: Path, dsn: str):
    """
    With the type, and the way out that there is: the mark where PostgreSQL could take it, a value where it could not.
    """
    never = "(PostgreSQL can never take NULL for it: pass a value)"
    expected = {
        "id": f"things.find_thing: id is bigint and may not be None {never}",
        "owner_ids": f"things.find_thing: owner_ids is bigint[] and may not be None {never}",
    }

    for name, message in expected.items():
        with refused_unsent(WrongParameters, dsn) as (connection, caught):
            things.things.find_thing(connection, **{"id": 1, "owner_ids": [1], name: None})
        assert str(caught.value) == message
    unmarked = rewritten(team, "-- name: echo_c2(x)$\n-- null: x\n", "-- name: echo_c2(x)$\n")
    with refused_unsent(WrongParameters, dsn) as (connection, caught):
        unmarked.things.echo_c2(connection, x=None)
    assert str(caught.value) == "things.echo_c2: x is bigint and may not be None (`-- null: x` in its header would allow it)"
    marked = rewritten(team, "-- name: find_thing(id, owner_ids)$\n", "-- name: find_thing(id, owner_ids)$\n-- null: id\n")
    with refused_unsent(WrongParameters, dsn) as (connection, caught):
        marked.things.find_thing(connection, id=None, owner_ids=[1])
    assert "can never take NULL" in str(caught.value)


def rewritten(team: Path, before: str, after: str) -> Namespaces:
    """
    Change a header, and the hashes of the contract with it: the facts stay what they are.
    """
    path = team / "queries" / "things.sql"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    made = foreign(team / "queries")
    contract = made.contract_of("things")
    digests = {each.name: digest.of_statement(each) for each in made.statements}
    stanzas = [replace(each, digest=digests[each.name]) for each in text.parse(contract.read_text(), contract)]
    contract.write_text(text.render(stanzas))
    return of(team)


def _edited(team: Path) -> None:
    path = team / "queries" / "things.sql"
    path.write_text(path.read_text().replace("WHERE id = :id AND", "WHERE :id = id AND"))


def _missing(team: Path) -> None:
    (team / "contracts" / "things.contract").unlink()


def _broken(team: Path) -> None:
    path = team / "contracts" / "things.contract"
    path.write_text(path.read_text().replace("query", "<<<<<<< ours\nquery", 1))


def _without_schema(team: Path) -> None:
    (team / "contracts" / schema.FILE).unlink()


@pytest.mark.parametrize("change", [_edited, _missing, _broken, _without_schema])
def test_a_contract_that_does_not_hold_says_nothing(
    change: Callable[[Path], None],
    team: Path,
    things: Namespaces,
    admin: psycopg.Connection[Any],
):
    """
    Then the server decides, as it does without contracts; `store check` says that one is missing.
    """
    with pytest.raises(InvalidInput):
        things.things.count_things(admin, id=Decimal("1.5"), owner_ids=[1])
    (team / "queries" / "things.sql").write_text(KEY)
    change(team)
    count = of(team).things.count_things

    assert count(admin, id=Decimal("1.5"), owner_ids=[1]) == 0


def test_comments_and_blanks_leave_a_contract_as_it_is(team: Path, things: Namespaces, admin: Any):
    path = team / "queries" / "things.sql"
    path.write_text(path.read_text().replace("WHERE id = :id AND", "\n    WHERE id   =   :id AND -- why\n"))

    with pytest.raises(InvalidInput):
        of(team).things.count_things(admin, id=Decimal("1.5"), owner_ids=[1])


def test_a_null_without_cast_and_contract_is_refused_when_it_is_loaded(team: Path, things: Namespaces):
    """
    Until `store lock` has run; which itself needs no cast.
    """
    _missing(team)

    with pytest.raises(QueryFileError, match="may be null and has no type: cast it .* or run `store lock`"):
        of(team)
    assert len(foreign(team / "queries").statements) == len(COLUMNS) + 2


def test_texts_of_one_entry_have_their_own_parameters(team: Path, described: Connection):
    """
    A filter's parameter is known where the filter is on; one text may need what another does without.
    """
    (team / "queries" / "notes.sql").write_text(
        "-- name: list_notes(owner_id, title)\n"
        "SELECT n.id FROM app.notes AS n\n"
        "WHERE n.owner_id = :owner_id /*? title */ AND n.title = :title /*?*/\nORDER BY n.id ASC;\n"
    )
    locked(team, described)
    query = of(team).notes.list_notes

    assert query(described, owner_id=1) == (("id",), [])
    assert query(described, owner_id=1, title="a") == (("id",), [])
    for given in ({"owner_id": "1"}, {"owner_id": 1, "title": 5}, {"owner_id": "1", "title": "a"}):
        with pytest.raises(InvalidInput, match=r"notes.list_notes: (owner_id is bigint|title is text)"):
            query(described, **given)


def test_a_folder_is_served_with_its_contracts(things: Namespaces, team: Path, admin_dsn: str):
    """
    Queries.load finds them by itself; nothing is sent, so the unit of work goes on.
    """
    queries = Queries.load(team / "queries")

    with Store.open(settings(admin_dsn)) as shop, shop.transaction() as session:
        with pytest.raises(InvalidInput, match="id is bigint and takes an int"):
            queries.things.count_things(session, id="1", owner_ids=[1])
        with pytest.raises(WrongParameters, match="id is bigint and may not be None"):
            queries.things.count_things(session, id=None, owner_ids=[1])
        assert queries.things.count_things(session, id=1, owner_ids=[]) == 0


@pytest.mark.serverless
def test_the_store_knows_the_types_of_its_own_queries():
    """
    A contract of the store that says nothing would be one that nobody wrote anew.
    """
    folder = _files.folder("sql") / "queries"
    types = types_of(folder)
    texts = load(folder, prefix="store", colour="sync").texts

    assert [each.title for each in texts if each.kind == "query" and set(types(each)) != set(each.parameters)] == []


@pytest.mark.serverless
def test_what_stubs_allow_is_sent():
    """
    The type that a stub writes for a parameter is taken in the run.
    """
    samples: dict[type, list[object]] = {
        bool: [True], bytes: [b"a"], date: [date(2026, 1, 1)], datetime: [NOW, NAIVE], Decimal: [Decimal(1)], float: [1.5],
        int: [1], str: ["a", Word.A, Plain.A], time: [time(12), time(12, tzinfo=UTC)], timedelta: [timedelta(1)], UUID: [ONE],
        type(ip_address("::1")): [ip_address("::1")], type(ip_address("1.1.1.1")): [ip_address("1.1.1.1")],
        type(ip_network("10.0.0.0/8")): [ip_network("10.0.0.0/8")],
    }  # fmt: skip
    for name in pytypes._TABLE:
        kind = pytypes.first(name)
        taken = [value for value in samples[kind] if _is_taken(name, value)] if kind else ["anything"]

        assert taken, name


def _is_taken(name: str, value: object) -> bool:
    try:
        sent(name).send(value)
    except Unfit:
        return False
    return True
