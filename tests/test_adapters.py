"""
Running loaded statements: the same answers in both colours, what is refused before the wire, one prepared statement a query.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest
from psycopg.adapt import PyFormat
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from store._queries import Namespaces, Statement, bind, load
from store.errors import NotFound, QueryFileError, TooManyRows, WrongParameters

Refusal = TypeVar("Refusal", bound=Exception)

SQL = """\
-- name: add_note(note)!
-- Store a note.
-- null: note
INSERT INTO notes (note) VALUES (:note::text);

-- name: add_returning(note)^
-- Store a note and return it.
INSERT INTO notes (note) VALUES (:note) RETURNING note, length(note) AS size;

-- name: count_percent()$
-- Count with a plain % in the text and no parameter.
-- 100% of them.
SELECT count(*) FROM notes WHERE note LIKE 'a%' OR note LIKE '%%' AND 7 % 4 = 3;

-- name: echo_percent(note)$
-- The same with a parameter.
SELECT note FROM notes WHERE note LIKE 'a%' AND note = :note;

-- name: find_note(note)^
-- Find a note.
SELECT note, 1 AS one FROM notes WHERE note = :note;

-- name: list_notes()
-- List them.
SELECT note FROM notes ORDER BY note ASC;

-- name: one_value(note)$
-- Return one value.
SELECT nullif(note, 'null') FROM notes WHERE note = :note;

-- name: silent()
-- Promises rows and has none.
DO $$ BEGIN NULL; END $$;

-- name: slow_divide(a, b)$
-- Fail
-- on the server.

SELECT
    :a::bigint / :b::bigint;
"""


def _line(text: str) -> int:
    return next(number for number, line in enumerate(SQL.splitlines(), 1) if line == text)


class Size(IntEnum):
    LARGE = 40000


class Word(StrEnum):
    A = "a"


class Plain(Enum):
    A = "a"


class Colours:
    """
    The same folder in both colours, and a way to ask either.
    """

    def __init__(self, folder: Path, dsn: str) -> None:
        self.sync: Namespaces = load(folder, colour="sync")
        self.both = (self.sync, load(folder, colour="async"))
        self.dsn = dsn
        self.connect: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0}

    def ask(self, name: str, *given: object, **parameters: object) -> Any:
        """
        Return the one answer that both colours give: values, rows, or the class and text of the error.
        """

        async def asked() -> Any:
            async with await psycopg.AsyncConnection.connect(self.dsn, **self.connect) as connection:
                return await getattr(self.both[1].notes, name)(connection, *given, **parameters)

        with psycopg.connect(self.dsn, **self.connect) as connection:
            first = _outcome(lambda: getattr(self.both[0].notes, name)(connection, *given, **parameters))
        second = _outcome(lambda: asyncio.run(asked()))
        assert first == second
        return first


def _outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (psycopg.Error, NotFound, TooManyRows, QueryFileError, WrongParameters) as error:
        return type(error), str(error)


@contextmanager
def refused_unsent(kind: type[Refusal], dsn: str) -> Generator[tuple[psycopg.Connection[Any], pytest.ExceptionInfo[Refusal]]]:
    """
    A block that must be refused before anything is sent: its connection is closed, so that whoever sends is found out.
    """
    with psycopg.connect(dsn) as connection:
        pass
    is_sent = False
    try:
        with pytest.raises(kind) as caught:
            yield connection, caught
    except psycopg.OperationalError:
        is_sent = True
    assert not is_sent, f"it was sent to PostgreSQL, and is to be refused before, with {kind.__name__}"


@pytest.fixture
def colours(tmp_path: Path, empty_dsn: str) -> Colours:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (note text)")
        connection.execute("INSERT INTO notes VALUES ('a'), ('two'), ('two'), ('null')")
    (tmp_path / "notes.sql").write_text(SQL)
    return Colours(tmp_path, empty_dsn)


def test_adapters_answer_alike(colours: Colours):
    assert colours.ask("list_notes") == (("note",), [("a",), ("null",), ("two",), ("two",)])
    assert colours.ask("find_note", note="a") == (("note", "one"), ("a", 1))
    assert colours.ask("find_note", note="no") == (("note", "one"), None)
    assert colours.ask("one_value", note="a") == "a"
    assert colours.ask("add_note", note="b") == 1
    assert colours.ask("add_note", note=None) == 1
    assert colours.ask("add_returning", note="four") == (("note", "size"), ("four", 4))
    assert colours.ask("slow_divide", a=7, b=0)[0] is psycopg.errors.DivisionByZero


def test_second_row_raises(colours: Colours):
    expected = (TooManyRows, "notes.find_note returned more than one row")

    assert colours.ask("find_note", note="two") == expected
    assert colours.ask("one_value", note="two")[0] is TooManyRows


def test_value_tells_null_from_no_row(colours: Colours):
    assert colours.ask("one_value", note="null") is None
    assert colours.ask("one_value", note="no") == (NotFound, "notes.one_value returned no row")


def test_percent_is_plain(colours: Colours):
    assert colours.ask("count_percent") == 4
    assert colours.ask("echo_percent", note="a") == "a"


def test_statement_without_rows_says_so(colours: Colours):
    error, message = colours.ask("silent")

    assert error is QueryFileError
    assert message.endswith(f"notes.sql:{_line('-- name: silent()')}: silent returns no rows: mark it with !")


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("find_note", {}, "notes.find_note: missing note (it takes note)"),
        ("find_note", {"note": "a", "zzz": 3}, "notes.find_note: unknown zzz (it takes note)"),
        ("find_note", {"nope": "a"}, "notes.find_note: missing note; unknown nope (it takes note)"),
        ("list_notes", {"a": 1}, "notes.list_notes: unknown a (it takes nothing)"),
        ("slow_divide", {"a": 1}, "notes.slow_divide: missing b (it takes a, b)"),
        ("find_note", {"note": None}, "notes.find_note: note may not be None (`-- null: note` in its header would allow it)"),
        ("add_note", {}, "notes.add_note: missing note (it takes note)"),
    ],
)
def test_unknown_and_missing_keyword_refused(name: str, parameters: dict[str, Any], message: str, colours: Colours):
    with refused_unsent(WrongParameters, colours.dsn) as (connection, caught):
        getattr(colours.sync.notes, name)(connection, **parameters)

    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError)
    assert colours.ask(name, **parameters) == (WrongParameters, message)


def test_positional_parameter_refused(colours: Colours):
    expected = (WrongParameters, "notes.find_note takes its parameters by name: find_note(note=...)")

    assert colours.ask("find_note", "a") == expected


def test_list_runs_when_called(colours: Colours):
    """
    The rows are those of the moment of the call, in both colours.
    """
    with psycopg.connect(colours.dsn, autocommit=True) as connection:
        _, rows = colours.sync.notes.list_notes(connection)
        connection.execute("DELETE FROM notes")

    assert len(rows) == 4


def test_row_factory_per_call(colours: Colours):
    """
    What the connection is set to makes no difference: neither its rows nor its cursors.
    """
    colours.connect["row_factory"] = dict_row

    assert colours.ask("find_note", note="a") == (("note", "one"), ("a", 1))
    assert colours.ask("one_value", note="a") == "a"
    with psycopg.connect(colours.dsn, autocommit=True, cursor_factory=psycopg.Cursor) as connection:
        assert colours.sync.notes.count_percent(connection) == 4


def test_traceback_names_the_sql_line(colours: Colours):
    """
    File, header line and name of the query, in both colours.
    """

    async def fail() -> None:
        async with await psycopg.AsyncConnection.connect(colours.dsn, autocommit=True) as connection:
            await colours.both[1].notes.slow_divide(connection, a=1, b=0)

    header = "-- name: slow_divide(a, b)$"
    with psycopg.connect(colours.dsn, autocommit=True) as connection:
        for call in (lambda: colours.sync.notes.slow_divide(connection, a=1, b=0), lambda: asyncio.run(fail())):
            with pytest.raises(psycopg.errors.DivisionByZero) as caught:
                call()
            frames = traceback.extract_tb(caught.value.__traceback__)
            [frame] = [frame for frame in frames if frame.filename.endswith("notes.sql")]
            assert (frame.lineno, frame.name, frame.line) == (_line(header), "slow_divide", header)


def test_statements_run_in_the_callers_transaction(colours: Colours):
    with psycopg.connect(colours.dsn, autocommit=True) as connection:
        with connection.transaction(force_rollback=True):
            assert colours.sync.notes.add_note(connection, note="gone") == 1
            assert colours.sync.notes.one_value(connection, note="gone") == "gone"
        with pytest.raises(NotFound):
            colours.sync.notes.one_value(connection, note="gone")


NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE = UUID(int=1)
PREPARED: Mapping[str, list[Any]] = {
    "bigint": [1, 40000, 5 * 10**9, -(2**63), 2**63 - 1, Size.LARGE, None],
    "int": [1, 40000, None, Size.LARGE],
    "smallint": [1, None, -32768],
    "numeric": [Decimal("1.5"), 1, 40000, 5 * 10**9, None, Decimal("1e30")],
    "double precision": [1.5, 1, None, 40000],
    "real": [1.5, None],
    "text": ["a", "", None, "x" * 1000, Word.A],
    "varchar(10)": ["a", None],
    "boolean": [True, False, None],
    "timestamptz": [NOW, None],
    "timestamp with time zone": [NOW, None],
    "timestamp": [NOW.replace(tzinfo=None), None],
    "date": [date(2026, 1, 1), None],
    "interval": [timedelta(days=1), None],
    "uuid": [ONE, None],
    "bytea": [b"a", b"", None],
    "jsonb": [Jsonb({"a": 1}), None],
    "bigint[]": [[1], [40000], [5 * 10**9], [], None, [None], [1, None], [[1, 2], [3, None]]],
    "int[]": [[1], [], None, [40000]],
    "numeric[]": [[Decimal("1.5")], [1], [Decimal("1.5"), 2, None], [], [None], None],
    "double precision[]": [[1.5], [1], [1.5, 2, None], [], None],
    "text[]": [["a"], [], None, [None], ["a", None]],
    "boolean[]": [[True], [], None, [None, False]],
    "timestamptz[]": [[NOW], [], None],
    "date[]": [[date(2026, 1, 1)], [], None],
    "uuid[]": [[ONE], [], [None], None],
}


@pytest.fixture
def plain(server: Any) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(server.dsn(), autocommit=True, prepare_threshold=0) as connection:
        yield connection


def _echo(folder: Path, cast: str, prefix: str = "app") -> Any:
    (folder / "a.sql").write_text(f"-- name: echo(x)$\n-- Return it.\n-- null: x\nSELECT :x::{cast};\n")
    return load(folder, colour="sync", prefix=prefix).a.echo


def _prepared(connection: psycopg.Connection[tuple[Any, ...]]) -> list[str]:
    rows = connection.execute("SELECT statement FROM pg_prepared_statements WHERE statement LIKE '/*%'").fetchall()
    return [statement for (statement,) in rows]


@pytest.mark.parametrize("cast", PREPARED)
def test_one_prepared_statement_per_query(cast: str, tmp_path: Path, plain: psycopg.Connection[tuple[Any, ...]]):
    """
    Whatever the value: it comes back, and the server holds one statement, under the query's constant comment.
    """
    echo = _echo(tmp_path, cast, prefix="store")

    for value in PREPARED[cast]:
        expected = value.obj if isinstance(value, Jsonb) else value
        assert echo(plain, x=value) == expected

    assert _prepared(plain) == [f"/* store:a.echo */ SELECT $1::{cast}"]


def test_prepare_is_left_to_the_connection(tmp_path: Path, plain: psycopg.Connection[tuple[Any, ...]]):
    plain.prepare_threshold = None

    assert _echo(tmp_path, "bigint")(plain, x=1) == 1
    assert _prepared(plain) == []


def test_integer_without_a_cast_is_one_type(tmp_path: Path, plain: psycopg.Connection[tuple[Any, ...]]):
    (tmp_path / "a.sql").write_text(
        "-- name: get_oid(x, y)$\nSELECT count(*) FROM pg_class WHERE oid = :x AND relpages = ANY(:y);\n"
    )
    query = load(tmp_path, colour="sync").a.get_oid

    for value in (1, 40000, 2**31):
        query(plain, x=value, y=[value, 1])

    assert len(_prepared(plain)) == 1


def test_driver_is_left_as_it_was(tmp_path: Path, plain: psycopg.Connection[tuple[Any, ...]]):
    """
    The markers for nulls are known to the adapter's cursor alone.
    """
    echo = _echo(tmp_path, "bigint")
    assert echo(plain, x=None) is None
    [marker] = bind(echo.statement, {"x": None})

    for adapters in (psycopg.adapters, plain.adapters):
        with pytest.raises(psycopg.ProgrammingError, match="cannot adapt"):
            adapters.get_dumper(type(marker), PyFormat.AUTO)


def test_bool_is_no_integer(tmp_path: Path, plain: psycopg.Connection[tuple[Any, ...]]):
    with pytest.raises(psycopg.Error):
        _echo(tmp_path, "numeric")(plain, x=True)


def test_bound_values_follow_the_numbers(tmp_path: Path):
    (tmp_path / "a.sql").write_text("-- name: get_a(x, y)\nSELECT :y::int, :x::text;\n")
    [statement] = load(tmp_path, colour="sync").statements

    assert isinstance(statement, Statement)
    assert bind(statement, {"x": "b", "y": 1}) == [1, "b"]


@pytest.mark.parametrize("value", [Word.A, Plain.A, "a"])
def test_strings_and_enums_share_a_statement(value: object, tmp_path: Path, plain: psycopg.Connection[tuple[Any, ...]]):
    echo = _echo(tmp_path, "text")
    echo(plain, x="a")
    echo(plain, x=value)

    assert len(_prepared(plain)) == 1


def test_error_position_leads_to_the_line_of_the_file(tmp_path: Path, plain: psycopg.Connection[tuple[Any, ...]]):
    """
    The server's errors pass through, and a position in the text is a line of the file.
    """
    (tmp_path / "a.sql").write_text("-- name: get_a(x)$\n-- Purpose.\nSELECT\n    /* a\n */ nope, :x::int;\n")
    query = load(tmp_path, colour="sync").a.get_a

    with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
        query(plain, x=1)

    assert query.statement.line_of(int(caught.value.diag.statement_position or 0)) == 5


def test_null_test_alone_has_no_type(tmp_path: Path, plain: psycopg.Connection[tuple[Any, ...]]):
    """
    `:x IS NULL` is refused by the server and, as it may be null, by the loader, which names the way out: `:x::text IS NULL`.
    """
    (tmp_path / "a.sql").write_text("-- name: get_a(x)$\nSELECT :x IS NULL;\n")
    with pytest.raises(psycopg.errors.IndeterminateDatatype):
        load(tmp_path, colour="sync").a.get_a(plain, x="a")
    (tmp_path / "a.sql").write_text("-- name: get_a(x)$\n-- null: x\nSELECT :x IS NULL;\n")
    with pytest.raises(QueryFileError, match=":x::text"):
        load(tmp_path, colour="sync")
    (tmp_path / "a.sql").write_text("-- name: get_a(x)$\n-- null: x\nSELECT :x::text IS NULL;\n")
    query = load(tmp_path, colour="sync").a.get_a

    assert [True, False] == [query(plain, x=None), query(plain, x="a")]
