"""
Optional filters and declared sorts: the texts of an entry, what a call chooses, what is refused, and the file in psql.
"""

from __future__ import annotations

import asyncio
import inspect
import shutil
import subprocess
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.pq import ExecStatus

from store import Store
from store._queries import Namespaces, Statement, load
from store._queries.choice import choose
from store._queries.entry import read_statements
from store._sync.queries import queries as own
from store._tokens import tokenize
from store.errors import QueryFileError, WrongParameters
from tests.databases import TestServer
from tests.samples import product, settings

ORDERS = """\
-- name: list_orders(user_id, status, low, high, bonus)
-- List the orders of a user.
-- null: status
SELECT
    o.id, -- of the cart
    :bonus::bigint + o.total AS total
FROM (
    VALUES (1, 7, 'paid', 5), (2, 7, 'placed', 9), (3, 7, 'paid', 9), (4, 7, 'paid', 1), (5, 8, 'paid', 5)
) AS o (id, user_id, status, total) /* a plain comment */
/*? range */
CROSS JOIN (SELECT :low::bigint AS low) AS bound
/*?*/
WHERE
    o.user_id = :user_id::bigint
    /*? status */ AND o.status IS NOT DISTINCT FROM :status::text /*?*/
    /*? range */ AND o.total /*: newest */ >= /*| dearest >= | oldest > */ bound.low
    AND o.total + 0 * :bonus::bigint <= :high::bigint -- both ends
    /*?*/
ORDER BY /*: newest */ o.id DESC
    /*| dearest o.total DESC, o.id ASC
      | oldest  o.id || '', -- as text
                (1 | 2) */
    , 1;
"""
ROWS = {1: ("paid", 5), 2: ("placed", 9), 3: ("paid", 9), 4: ("paid", 1)}
FILTERS: dict[str, dict[str, Any]] = {"status": {"status": "paid"}, "range": {"low": 5, "high": 8}}


def write(folder: Path, text: str) -> Path:
    """
    Write a folder with one file of queries and return it.
    """
    folder.mkdir(exist_ok=True)
    (folder / "orders.sql").write_text(text, encoding="utf-8")
    return folder


def only(tmp_path: Path, text: str) -> Statement:
    """
    Return the one statement of a file.
    """
    [statement] = load(write(tmp_path, text), colour="sync").statements
    return statement


class Colours:
    """
    The folder in both colours.
    """

    def __init__(self, folder: Path, dsn: str) -> None:
        self.sync: Namespaces = load(folder, colour="sync")
        self.other: Namespaces = load(folder, colour="async")
        self.dsn = dsn

    def ask(self, **parameters: object) -> Any:
        """
        Return the ids of the orders, or the error, which both colours agree on.
        """

        async def asked() -> Any:
            async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
                return await self.other.orders.list_orders(connection, **parameters)

        with psycopg.connect(self.dsn, autocommit=True) as connection:
            first = outcome(lambda: self.sync.orders.list_orders(connection, **parameters))
        second = outcome(lambda: asyncio.run(asked()))
        assert first == second
        return first


def outcome(ask: Callable[[], Any]) -> Any:
    try:
        return [row[0] for row in ask()[1]]
    except WrongParameters as error:
        return str(error)


@pytest.fixture
def colours(tmp_path: Path, server: TestServer) -> Colours:
    return Colours(write(tmp_path, ORDERS), server.dsn())


def test_texts_are_filters_times_sorts(tmp_path: Path, server: TestServer) -> None:
    """
    Each text parses, takes the parameters it says it takes, returns the same columns, and bears the one constant name.
    """
    statement = only(tmp_path, ORDERS)

    assert [text.label for text in statement.texts()] == [
        label.strip("+")
        for sort in ("newest", "dearest", "oldest")
        for label in (f"range+status+{sort}", f"range+{sort}", f"status+{sort}", sort)
    ]
    assert statement is statement.texts()[0]
    assert statement.texts()[1].title == "orders.list_orders[range+newest]"
    assert len({text.text for text in statement.texts()}) == 12
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        for text in statement.texts():
            assert text.text.startswith("/* app:orders.list_orders */ SELECT")
            assert text.full_name == "orders.list_orders"
            parsed = connection.pgconn.prepare(b"", text.text.encode())
            assert parsed.status == ExecStatus.COMMAND_OK, parsed.error_message.decode()
            described = connection.pgconn.describe_prepared(b"")
            assert [described.fname(column) for column in range(described.nfields)] == [b"id", b"total"]
            assert described.nparams == len(text.parameters)
            assert set(text.oids) == set(text.parameters)
            assert text.nullable == {"status"} & set(text.parameters)


@pytest.mark.serverless
def test_parameters_are_numbered_text_by_text(tmp_path: Path) -> None:
    numbered = {text.label: text.parameters for text in only(tmp_path, ORDERS).texts()}

    assert numbered["range+status+newest"] == ("bonus", "low", "user_id", "status", "high")
    assert numbered["status+dearest"] == ("bonus", "user_id", "status")
    assert numbered["range+oldest"] == ("bonus", "low", "user_id", "high")


@pytest.mark.serverless
def test_a_statement_without_marks_is_its_only_text(tmp_path: Path) -> None:
    statement = only(tmp_path, "-- name: get_a(x)\nSELECT :x::int /* ? a *//**//* : b */ ;")

    assert statement.texts() == (statement,)
    assert (statement.label, statement.title, statement.variants) == ("", "orders.get_a", {})


@pytest.mark.serverless
def test_lines_stay_true_in_every_text(tmp_path: Path) -> None:
    """
    Whatever was left out: a position in a text is the line of the file where that word stands.
    """
    lines = ORDERS.splitlines()
    marks = {
        "CROSS": 1,
        "user_id": 1,
        "status": 1,
        "bound.low": 1,
        "dearest": 0,
        "o.total DESC": 1,
        "|| ''": 1,
        "(1 | 2)": 1,
        ", 1": 1,
    }
    for text in only(tmp_path, ORDERS).texts():
        for word, is_sql in marks.items():
            at = text.text.rfind(word)
            assert is_sql or at < 0
            assert at < 0 or word in lines[text.line_of(at + 1) - 1], (text.label, word)


@pytest.mark.serverless
def test_a_text_may_begin_with_a_choice(tmp_path: Path) -> None:
    both = only(tmp_path, "-- name: get_a(x)\n-- Purpose.\n/*: one */ SELECT 1, :x::int\n/*| two\nSELECT :x::int, 2 */").texts()

    assert [(text.text.partition("*/ ")[2], text.first_line) for text in both] == [
        ("SELECT 1, $1::int", 3),
        ("SELECT $1::int, 2", 5),
    ]
    assert both[1].doc == "Purpose."


class Sort(StrEnum):
    """
    The closed names as a caller may hold them.
    """

    NEWEST = "newest"
    DEAREST = "dearest"
    OLDEST = "oldest"


def expected(filters: tuple[str, ...], sort: Sort) -> list[int]:
    """
    Return what Python makes of the rows.
    """
    kept = dict(ROWS)
    if "status" in filters:
        kept = {key: row for key, row in kept.items() if row[0] == "paid"}
    if "range" in filters:
        kept = {key: row for key, row in kept.items() if (row[1] > 5 if sort == "oldest" else row[1] >= 5) and row[1] <= 8}
    keys = {"newest": lambda key: -key, "dearest": lambda key: (-ROWS[key][1], key), "oldest": lambda key: key}
    return sorted(kept, key=keys[sort])


@pytest.mark.parametrize("sort", Sort)
def test_filters_are_on_when_their_parameters_are_passed(colours: Colours, sort: Sort) -> None:
    """
    Every choice returns its rows in its order, in both colours; the order of the keywords makes no difference.
    """
    for number in range(3):
        for filters in combinations(FILTERS, number):
            given = {"sort": sort, "bonus": 0} | {name: value for one in filters for name, value in FILTERS[one].items()}

            assert colours.ask(user_id=7, **given) == expected(filters, sort)
            assert colours.ask(**dict(reversed(given.items())), user_id=7) == expected(filters, sort)


def test_the_first_sort_is_the_default(colours: Colours) -> None:
    assert colours.ask(user_id=7, bonus=0) == [4, 3, 2, 1] == colours.ask(user_id=7, bonus=0, sort="newest")


def test_none_switches_on_and_needs_leave(colours: Colours) -> None:
    """
    None is a value where the header allows it, and refused elsewhere: only a name that is absent is off.
    """
    assert colours.ask(user_id=7, bonus=0, status=None) == []
    assert "low may not be None" in colours.ask(user_id=7, bonus=0, low=None, high=8)


TAKES = "(it takes bonus, user_id; optional low, status, high; sort newest, dearest, oldest)"
WRONG: dict[str, dict[str, Any]] = {
    f"there is no sort 'cheapest' {TAKES}": {"sort": "cheapest"},
    f"there is no sort None {TAKES}": {"sort": None},
    f"there is no sort [] {TAKES}": {"sort": []},
    f"low and high go together: missing high in the sort newest {TAKES}": {"low": 1},
    f"low and high go together: missing low in the sort oldest {TAKES}": {"high": 1, "sort": "oldest"},
    f"unknown filters, range in the sort newest {TAKES}": {"range": True, "filters": ["status"]},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_choice_that_is_not_there_is_refused_before_the_wire(message: str, colours: Colours) -> None:
    with psycopg.connect(colours.dsn) as closed:
        pass

    with pytest.raises(WrongParameters) as caught:
        colours.sync.orders.list_orders(closed, user_id=7, bonus=0, **WRONG[message])

    assert str(caught.value) == f"orders.list_orders: {message}"
    assert colours.ask(user_id=7, bonus=0, **WRONG[message]) == str(caught.value)


def test_what_is_used_outside_a_filter_is_required(colours: Colours) -> None:
    """
    `bonus` stands inside a filter too, and switches nothing.
    """
    assert colours.ask(user_id=7, low=1, high=2) == f"orders.list_orders: missing bonus in the sort newest {TAKES}"


@pytest.mark.serverless
def test_the_signature_shows_what_is_optional(tmp_path: Path) -> None:
    function = load(write(tmp_path, ORDERS), colour="sync").orders.list_orders
    optional = [name for name, one in inspect.signature(function).parameters.items() if one.default is ...]

    assert optional == ["low", "status", "high"]
    assert str(inspect.signature(function)).endswith("sort: Literal['newest', 'dearest', 'oldest'] = 'newest')")
    with pytest.raises(WrongParameters, match=r"list_orders\(bonus=..., user_id=..., low=..., status=..., high=...\)"):
        function(None, 1)


@pytest.mark.serverless
def test_a_sort_may_have_parameters_of_its_own(tmp_path: Path) -> None:
    """
    They are required in that sort and unknown in the others.
    """
    text = "-- name: get_a(x, y)\nSELECT 1 ORDER BY /*: one */ :x::int /*| two :y::text */"
    statement = only(tmp_path, text)

    assert [text.parameters for text in statement.texts()] == [("x",), ("y",)]
    assert choose(statement, {"y": "a", "sort": "two"}) == (statement.texts()[1], {"y": "a"})
    with pytest.raises(WrongParameters, match="missing y in the sort two; unknown x in the sort two"):
        choose(statement, {"x": 1, "sort": "two"})


# The text of an entry behind its header, the line that is named, the words of the message.
REFUSED = {
    "filter in a filter": ("SELECT 1 /*? a */ + :x\n/*? b */ + :y /*?*/ /*?*/", 3, "filters do not nest: end a first"),
    "filter that is never closed": ("SELECT 1\n/*? a */ + :x + :y", 3, "the filter a is never closed"),
    "end without a filter": ("SELECT :x + :y\n/*?*/", 3, "none is open"),
    "filter without SQL": ("SELECT :x + :y\n/*? a */ -- nothing\n/*?*/", 3, "the filter a is empty"),
    "filter without a name": ("SELECT :x\n/*? */ + :y /*?*/", 3, "is no mark"),
    "name in upper case": ("SELECT :x\n/*? A */ + :y /*?*/", 3, "is no mark"),
    "name with words behind it": ("SELECT :x\n/*? a filter */ + :y /*?*/", 3, "a plain comment has a blank"),
    "filter without a parameter": ("SELECT :x + :y\n/*? a */ + 1 /*?*/", 3, "the filter a has no parameter of its own:"),
    "filter with required ones": ("SELECT :x + :y\n/*? a */ + :x /*?*/", 3, "no parameter of its own"),
    "filter without one in a sort": (
        "SELECT :x\n/*? a */ + /*: one */ :y /*| two 2 */ /*?*/",
        3,
        "the filter a has no parameter of its own in the sort two",
    ),
    "parameter of two filters": ("SELECT :x /*? a */ + :y /*?*/\n/*? b */ + :y /*?*/", 3, "y would switch two filters, a and b"),
    "filter across a sort": ("SELECT :y /*: one */ +\n/*? a */ :x /*| two + */ 2 /*?*/", 3, "inside the sort one"),
    "end across a sort": ("SELECT :y /*? a */ + /*: one */ :x\n/*?*/ /*| two + 2 */", 3, "inside the sort one"),
    "sort alone": ("SELECT :x\n/*: one */ + :y", 3, "the sort one stands alone"),
    "sort in a sort": ("SELECT :x /*: one */ + :y\n/*: two */ + 2 /*| three 3 */", 3, "the sort one is still open"),
    "others without a first": ("SELECT :x + :y\n/*| two + 2 */", 3, "begins that"),
    "first sort without SQL": ("SELECT :x + :y\n/*: one */\n/*| two + 2 */", 3, "the sort one is empty"),
    "other sort without SQL": ("SELECT :x /*: one */ + :y\n/*| two\n | three + 2 */", 3, "the sort two is empty"),
    "other sort without a name": ("SELECT :x /*: one */ + :y\n/*| + 2 */", 3, "not of the form"),
    "other sort that ends early": ("SELECT :x /*: one */ + :y\n/*| two + 2 | */", 3, "not of the form"),
    "sorts with an operator": ("SELECT :x /*: one */ + :y\n/*|| two + 2 */", 3, "an operator | wants parentheses"),
    "sort with a name in upper case": ("SELECT :x /*: one */ + :y\n/*| TWO + 2 */", 3, "not of the form"),
    "sort twice": ("SELECT :x /*: one */ + :y\n/*| two + 2\n| one + 3 */", 4, "the sort one is declared twice"),
    "mark in a sort": ("SELECT :x /*: one */ + :y\n/*| two /*? a */ + 2 */", 3, "marks do not nest"),
    "open string in a sort": ("SELECT :x /*: one */ + :y\n/*| two\n'a */", 4, "string is never closed"),
    "undeclared in a sort": ("SELECT :x /*: one */ + :y\n/*| two\n+ :z */", 4, "undeclared parameter :z"),
    "second statement in a sort": ("SELECT :x /*: one */ + :y\n/*| two\n; SELECT 1 */", 4, "more than one statement"),
    "other names at another place": (
        "SELECT :x /*: one */ + :y /*| two + 2 */\n/*: one */ + 1 /*| three + 3 */",
        3,
        "one, three here and one, two in line 2",
    ),
    "other first name": ("SELECT :x /*: one */ + :y /*| two + 2 */\n/*: two */ + 1 /*| one + 3 */", 3, "two, one here"),
    "mark above the statement": ("/*? a plain box */\nSELECT :x + :y", 2, "is no mark"),
    "what a sort steers": ("/*: one */ SELECT :x, :y\n/*| two\nCOMMIT */", 4, "steers the transaction"),
}  # fmt: skip


@pytest.mark.serverless
@pytest.mark.parametrize("case", REFUSED)
def test_marks_out_of_place_are_refused_with_their_line(case: str, tmp_path: Path) -> None:
    text, line, message = REFUSED[case]

    with pytest.raises(QueryFileError, match=message.replace("|", r"\|")) as caught:
        load(write(tmp_path, f"-- name: a_b(x, y)\n{text};"), colour="sync")

    assert str(caught.value).startswith(f"{tmp_path / 'orders.sql'}:{line}: ")


@pytest.mark.serverless
def test_sort_is_no_parameter_beside_sorts(tmp_path: Path) -> None:
    text = "-- name: a_b(sort)\nSELECT :sort /*: one */ + 1 /*| two + 2 */"

    with pytest.raises(QueryFileError, match=r"orders\.sql:1: a_b: `sort` chooses"):
        load(write(tmp_path, text), colour="sync")
    assert only(tmp_path, "-- name: a_b(sort, x)\nSELECT :sort::int /*? x */ + :x::int /*?*/").texts()[1].parameters == (
        "sort",
    )


@pytest.mark.serverless
def test_a_copy_has_one_text(tmp_path: Path) -> None:
    text = "-- name: a_b()\n-- kind: copy\nCOPY (SELECT /*: one */ 1 /*| two 2 */) TO STDOUT"

    with pytest.raises(QueryFileError, match=r"orders\.sql:1: a_b: a COPY has one text"):
        load(write(tmp_path, text), colour="sync")


def many(filters: int, sorts: int) -> str:
    """
    Return an entry with so many filters and sorts.
    """
    names = [f"p{number}" for number in range(filters)]
    others = " ".join(f"| s{number} {number}" for number in range(1, sorts))
    switched = "\n".join(f"/*? f{name} */ + :{name}::int /*?*/" for name in names)
    chosen = f"/*: s0 */ 0 /*{others} */" if sorts > 1 else "1"
    return f"-- name: a_b({', '.join(names)})\nSELECT {chosen}\n{switched}"


@pytest.mark.serverless
@pytest.mark.parametrize(("filters", "sorts"), [(6, 1), (4, 4), (0, 64), (5, 2)])
def test_sixty_four_texts_are_allowed(filters: int, sorts: int, tmp_path: Path) -> None:
    assert len(only(tmp_path, many(filters, sorts)).texts()) == 2**filters * sorts


@pytest.mark.serverless
@pytest.mark.parametrize(("filters", "sorts", "number"), [(7, 1, 128), (5, 3, 96), (0, 65, 65), (60, 1, 2**60)])
def test_more_are_refused_with_their_number(filters: int, sorts: int, number: int, tmp_path: Path) -> None:
    with pytest.raises(
        QueryFileError, match=rf"orders\.sql:[23]: 2\^{filters} filters x {sorts} sorts are {number} texts.*: make"
    ):
        only(tmp_path, many(filters, sorts))


def psql(server: TestServer, database: str, file: Path, values: dict[str, str]) -> list[int]:
    """
    Run a file in psql and return the first column of what it prints.
    """
    program = str(server.embedded.bin_path / "psql") if server.embedded else shutil.which("psql")
    assert program, "psql is wanted beside the server"
    options = [part for name, value in values.items() for part in ("-v", f"{name}={value}")]
    command = [program, "-XqtA", "-v", "ON_ERROR_STOP=1", *options, "-f", str(file), "-d", server.dsn(database)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")
    return [int(line.partition("|")[0]) for line in ran.stdout.splitlines()]


def test_psql_runs_the_file_as_it_stands(colours: Colours, tmp_path: Path, server: TestServer) -> None:
    """
    To psql the marks are comments: all filters on, first sort.
    """
    values = {"user_id": "7", "bonus": "0", "status": "'paid'", "low": "5", "high": "9"}

    assert psql(server, "postgres", tmp_path / "orders.sql", values) == [3, 1]
    assert colours.ask(user_id=7, bonus=0, status="paid", low=5, high=9) == [3, 1]


def test_psql_runs_a_listing_of_ours(dsn: str, database: str, tmp_path: Path, server: TestServer) -> None:
    """
    What a DBA sees in psql is what a shopper gets with every filter on.
    """
    with Store.open(settings(dsn)) as shop:
        shop.catalog.create_many(product(f"S{n}", price=str(n), on_hand=n % 2) for n in range(9))
        listed = [one.id for one in shop.catalog.list(price_from=Decimal(2), price_to=Decimal(7), in_stock=True)]
    statement = own.catalog.list_products.statement
    entry = statement.path.read_text(encoding="utf-8").splitlines()[statement.line - 1 :]
    (tmp_path / "entry.sql").write_text("\n".join(entry).partition(";")[0] + ";", encoding="utf-8")
    values = {"after_created_at": "'-infinity'", "after_name": "''", "after_id": "0", "price_from": "2", "price_to": "7"}
    values |= {"min_available": "1", "active": "'{true}'", "page_size": "50"}

    assert len(listed) == 3
    assert psql(server, database, tmp_path / "entry.sql", values) == listed


def test_a_connection_keeps_every_text_prepared(dsn: str) -> None:
    """
    More statements are kept than there are texts, of filters and sorts too, so that none is ever prepared anew.
    """
    with Store.open(settings(dsn)) as shop, shop.session() as session:
        assert session.connection.prepared_max == 2 * len(own.texts) + 100


WORDS = st.sampled_from(["a", ",", "'x y'", "\n", "(1 | 2)", "|| b", "$$ | $$", "-- c |\n", "::int", "/* ' */"])
SOME = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


@given(SOME, SOME, SOME, SOME)
def test_texts_are_the_parts_they_are_made_of(before: str, filtered: str, first: str, other: str) -> None:
    """
    Whatever the parts hold, each text has the tokens of its parts and of no other, in the lines where they stand.
    """
    entry = (
        f"-- name: a(x)\nSELECT {before}\n /*? f */ , :x {filtered}\n /*?*/\n/*: one */ alpha {first}\n/*| two beta {other}\n*/"
    )
    starts = {"one": "alpha", "two": "beta"}
    parts = {True: f", $1 {filtered}\n", False: "", "one": f"alpha {first}\n", "two": f"beta {other}\n"}

    for text in read_statements(entry, Path("x.sql"), "app")[0].texts():
        assert text.sort is not None
        assert significant(text.text) == significant(f"SELECT {before}\n" + parts[bool(text.filters)] + parts[text.sort])
        at = text.text.index(starts[text.sort])
        assert text.line_of(at + 1) == 1 + entry[: entry.index(starts[text.sort])].count("\n")


def significant(sql: str) -> list[str]:
    """
    Return the tokens that PostgreSQL sees; a number by hand stands for a parameter.
    """
    return [token.text for token in tokenize(sql.replace("$1", ":p1")) if token.kind not in {"blank", "block", "comment"}]
