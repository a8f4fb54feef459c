"""
A team's own folder of .sql files, called with a session.
"""

from __future__ import annotations

import logging
import types
from pathlib import Path
from textwrap import dedent
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel, ConfigDict

from store import AsyncQueries, AsyncStore
from store._queries import load
from store.contract import digest, schema, text
from store.contract.facts import Column, Facts, Parameter
from store.contract.text import Stanza
from store.errors import (
    CommitUnknown,
    InvalidInput,
    NotFound,
    QueryFileError,
    RowMismatch,
    SchemaMissing,
    SettingsError,
    StatementTimeout,
    StoreError,
    TooManyRows,
    TransactionAborted,
    Unavailable,
    WrongParameters,
)
from tests.databases import Connection
from tests.samples import product, settings, user

REPORTS = """
-- name: count_products()$
-- Count them.
SELECT count(*) FROM store.products;

-- name: mine(user_id, scope, scope_user_id)
-- Return the ids of carts, seen as the caller may.
-- null: scope_user_id
SELECT c.id FROM store.carts AS c WHERE c.user_id = :user_id::bigint AND store.in_scope(c.user_id, NULL, :scope::text, :scope_user_id::bigint, NULL);

-- name: mistake()
-- Name a column that is not there.
SELECT p.nothing FROM store.products AS p;

-- name: nap(seconds)$
-- Sleep.
SELECT pg_sleep(:seconds::float8) IS NULL;

-- name: no_table()
-- Name a table that is not there.
SELECT 1 FROM store.nothing;

-- name: next_number(number)$
-- Add one.
SELECT :number::bigint + 1;

-- name: raise_stock(product_id, delta)!
-- Add to the stock.
UPDATE store.inventory SET on_hand = on_hand + :delta::bigint WHERE product_id = :product_id::bigint;

-- name: rows_wanted(how_many)^
-- Return as many rows as wanted.
SELECT n AS number, 'x' AS "class" FROM generate_series(1, :how_many::bigint) AS n;

-- name: top(page_size)
-- Return the dearest products.
-- row: Top
SELECT p.sku, p.price FROM store.products AS p ORDER BY p.price DESC, p.id ASC LIMIT least(:page_size::bigint, 200);

-- name: untidy()
-- Return a row that is not what its DTO says.
-- row: Top
SELECT 'x' AS sku, 'secret-canary' AS price;
"""


class Top(BaseModel):
    """
    A row of a report.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    sku: str
    price: int


class Number(BaseModel):
    """
    A row of another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: int


@pytest.fixture
def queries(tmp_path: Path) -> AsyncQueries:
    """
    The folder, loaded.
    """
    (tmp_path / "reports.sql").write_text(REPORTS)
    return AsyncQueries.load(tmp_path, rows={"Top": Top})


async def test_rows_are_dtos_where_the_header_names_one(shop: AsyncStore, queries: AsyncQueries) -> None:
    await shop.catalog.create_many([product("A", price="1"), product("B", price="2")])
    async with shop.session() as session:
        assert await queries.reports.top(session, page_size=9) == [Top(sku="B", price=2), Top(sku="A", price=1)]
        assert await queries.reports.top(session, page_size=0) == []


@pytest.mark.parametrize("given", [{"how_many": 2, "number": "n"}, {"how_many": 1, "number": "'secret-canary'"}])
async def test_an_answer_behind_which_commit_was_sent_is_no_refusal(
    shop: AsyncStore, tmp_path: Path, given: dict[str, object]
) -> None:
    """
    The statement and its COMMIT travel together: when the answer is not what it promises, it is stored, and the error says so.
    """
    text = f"""
        -- name: rows(how_many)^
        -- Return rows.
        SELECT {given["number"]} AS number FROM generate_series(1, :how_many::bigint) AS n;
    """
    (tmp_path / "reports.sql").write_text(dedent(text))
    function = load(tmp_path, colour="async").reports.rows
    with pytest.raises(CommitUnknown, match=r"reports\.rows was committed") as caught:
        async with shop.transaction() as tx:
            await tx.users.create(user("ada"))
            await tx.last(Number, function, how_many=given["how_many"])

    assert isinstance(caught.value.__cause__, (TooManyRows, RowMismatch))
    assert "secret-canary" not in str(caught.value.__cause__)
    assert len(await shop.users.list()) == 1


async def test_a_last_statement_is_refused_like_every_other(
    shop: AsyncStore, connect_admin: Connection, tmp_path: Path
) -> None:
    """
    On a connection that is known to be lost nothing was sent, COMMIT neither; and behind a last statement there is no other.
    """
    (tmp_path / "reports.sql").write_text("-- name: one()^\n-- Return a row.\nSELECT 1::bigint AS number;\n")
    function = load(tmp_path, colour="async").reports.one
    with pytest.raises(Unavailable):
        async with shop.transaction() as tx:
            connect_admin.execute("SELECT pg_terminate_backend(%s, 5000)", (tx.connection.info.backend_pid,))
            with pytest.raises(psycopg.OperationalError):
                await tx.connection.execute("SELECT 1")
            await tx.last(Number, function)
    with pytest.raises(TransactionAborted, match="committed by its last statement"):
        async with shop.transaction() as tx:
            assert await tx.last(Number, function) == Number(number=1)
            await tx.last(Number, function)


async def test_a_last_statement_of_an_inner_block_commits_nothing(shop: AsyncStore, tmp_path: Path) -> None:
    """
    COMMIT rides along in an outermost block alone: elsewhere what was written waits for the block around it.
    """
    (tmp_path / "reports.sql").write_text("-- name: one()^\n-- Return a row.\nSELECT 1::bigint AS number;\n")
    function = load(tmp_path, colour="async").reports.one
    with pytest.raises(ZeroDivisionError):
        async with shop.transaction() as tx:
            async with tx.transaction():
                await tx.users.create(user("ada"))
                assert await tx.last(Number, function) == Number(number=1)
            raise ZeroDivisionError
    async with shop.session() as session:
        assert await session.last(Number, function) == Number(number=1)

    assert len(await shop.users.list()) == 0


async def test_rows_are_named_tuples_otherwise(shop: AsyncStore, queries: AsyncQueries) -> None:
    """
    Fields carry the names of the columns; a name that is a word of Python's is numbered.
    """
    async with shop.session() as session:
        row = await queries.reports.rows_wanted(session, how_many=1)

        assert (row.number, tuple(row), row._fields) == (1, (1, "x"), ("number", "_1"))
        assert await queries.reports.rows_wanted(session, how_many=0) is None
        with pytest.raises(TooManyRows, match=r"reports\.rows_wanted"):
            await queries.reports.rows_wanted(session, how_many=2)


async def test_marks_say_what_comes_back(shop: AsyncStore, queries: AsyncQueries) -> None:
    lamp = await shop.catalog.create(product())
    async with shop.transaction() as tx:
        assert await queries.reports.count_products(tx) == 1
        assert await queries.reports.raise_stock(tx, product_id=lamp.id, delta=5) == 1
        assert await queries.reports.raise_stock(tx, product_id=lamp.id + 1, delta=5) == 0

    assert (await shop.inventory.get(lamp.id)).on_hand == 15


async def test_wrong_parameters_never_reach_the_server(shop: AsyncStore, queries: AsyncQueries) -> None:
    async with shop.session() as session:
        for wrong in ({}, {"page_size": 1, "more": 2}, {"size": 1}, {"page_size": None}):
            with pytest.raises(WrongParameters, match=r"reports\.top"):
                await queries.reports.top(session, **wrong)
        with pytest.raises(TypeError):
            await queries.reports.top(session, 1)


async def test_a_query_wants_one_session_of_its_colour(shop: AsyncStore, queries: AsyncQueries) -> None:
    for given in ((), (shop,), (7,), (None, None)):
        with pytest.raises(
            WrongParameters, match=r"reports\.\w+ takes one \w+ \(.*\), and its parameters by name, and was given"
        ):
            await queries.reports.top(*given, page_size=5)


async def test_settings_are_settings() -> None:
    given: Any = "postgresql://somebody:secret@localhost/shop"
    with pytest.raises(SettingsError, match="must be Settings") as caught:
        AsyncStore.open(given)

    assert "secret" not in str(caught.value)


async def test_the_scope_is_not_the_callers_to_give(shop: AsyncStore, queries: AsyncQueries) -> None:
    """
    The session fills the scope by itself, and refuses one that is handed in.
    """
    ada, bob = await shop.users.create_many([user("ada"), user("bob")])
    cart = await shop.carts.get_or_create(user_id=ada.id)
    async with shop.session() as session:
        assert await queries.reports.mine(session, user_id=ada.id) == [(cart.id,)]
        for theirs in ({"scope": "all"}, {"scope_user_id": ada.id}, {"scope_public_id": None}):
            with pytest.raises(WrongParameters, match="scope is not the caller's"):
                await queries.reports.mine(session, user_id=ada.id, **theirs)
        scoped = session.acting_as(bob.id).carts._runner
        assert await queries.reports.mine(scoped, user_id=ada.id) == []


async def test_refusals_are_the_stores(shop: AsyncStore, queries: AsyncQueries) -> None:
    """
    PostgreSQL's refusals arrive as StoreErrors that name the query; the next statement works.
    """
    lamp = await shop.catalog.create(product())
    async with shop.session() as session:
        with pytest.raises(StoreError, match=r"nothing.*reports\.mistake") as caught:
            await queries.reports.mistake(session)
        assert caught.value.sqlstate == "42703"
        with pytest.raises(SchemaMissing):
            await queries.reports.no_table(session)
        with pytest.raises(InvalidInput):
            await queries.reports.raise_stock(session, product_id=lamp.id, delta=2**62)
        assert await queries.reports.count_products(session) == 1


async def test_a_row_that_does_not_fit_its_dto(shop: AsyncStore, queries: AsyncQueries) -> None:
    async with shop.session() as session:
        with pytest.raises(RowMismatch, match=r"Top: price: Input should be a valid integer") as caught:
            await queries.reports.untidy(session)

    assert "canary" not in repr(caught.value)
    assert caught.value.__context__ is None


async def test_a_statement_has_its_time(dsn: str, queries: AsyncQueries, caplog: pytest.LogCaptureFixture) -> None:
    """
    What outlives statement_timeout is ended; what is merely slow is logged by name, duration and rows, without values.
    """
    async with AsyncStore.open(settings(dsn, statement_timeout_ms=300, slow_query_ms=50)) as shop, shop.session() as session:
        with caplog.at_level(logging.WARNING, "store"):
            await queries.reports.nap(session, seconds=0.1)
        with pytest.raises(StatementTimeout):
            await queries.reports.nap(session, seconds=5)
        assert await queries.reports.count_products(session) == 0

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("slow query reports.nap: 1")
    assert caplog.records[0].name == "store.query"


async def test_one_prepared_statement_per_query(shop: AsyncStore, queries: AsyncQueries) -> None:
    """
    Small, large and zero numbers share one statement, which carries the name of the query.
    """
    async with shop.session() as session:
        for number in (0, 1, 2**15, 2**31, 2**40):
            assert await queries.reports.next_number(session, number=number) == number + 1
        cursor = await session.connection.execute("SELECT statement FROM pg_prepared_statements")
        statements = [row[0] for row in await cursor.fetchall() if "reports" in row[0]]

    assert len(statements) == 1
    assert statements[0].startswith("/* app:reports.next_number */")


async def test_a_contract_types_what_has_no_cast(shop: AsyncStore, tmp_path: Path) -> None:
    """
    Beside the folder it is found, and what is none of its types is refused by name; one statement stays prepared.
    """
    (tmp_path / "typed.sql").write_text("-- name: same(x)$\n-- Return it.\n-- null: x\nSELECT coalesce(:x, 7::bigint);\n")
    [statement] = load(tmp_path, colour="sync", types=None).statements
    facts = Facts((Parameter("x", "bigint", is_required=False),), (Column("coalesce", "bigint", is_nullable=False),))
    (tmp_path / "contracts").mkdir()
    stanza = Stanza("same", "$", digest.of_statement(statement), None, facts)
    (tmp_path / "contracts" / "typed.contract").write_text(text.render([stanza]))
    (tmp_path / "contracts" / schema.FILE).write_text(schema.render(schema.Schema("sha256:0")))
    loaded = AsyncQueries.load(tmp_path)

    async with shop.session() as session:
        assert [await loaded.typed.same(session, x=number) for number in (1, 40000, 5 * 10**9, None)] == [
            1,
            40000,
            5 * 10**9,
            7,
        ]
        with pytest.raises(InvalidInput, match=r"^typed\.same: x is bigint and takes an int .*, not a str$"):
            await loaded.typed.same(session, x="1")
        cursor = await session.connection.execute("SELECT statement FROM pg_prepared_statements")
        assert ["typed.same" in row[0] for row in await cursor.fetchall()].count(True) == 1


async def test_what_is_not_there(queries: AsyncQueries, tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="no file nothing"):
        _ = queries.nothing
    with pytest.raises(AttributeError, match="no query nothing"):
        _ = queries.reports.nothing
    with pytest.raises(QueryFileError, match=r"reports\.sql:\d+: no DTO 'Top': pass its module in `rows`, or \{'Top': Top\}"):
        AsyncQueries.load(tmp_path)
    for rows in ([Top], Top, "Top"):
        with pytest.raises(InvalidInput, match="rows: must be a module, or a mapping"):
            AsyncQueries.load(tmp_path, rows=rows)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(QueryFileError):
        AsyncQueries.load(tmp_path / "nowhere")

    assert (queries.reports.top.__doc__, queries.reports.top.statement.full_name) == (
        "Return the dearest products.",
        "reports.top",
    )


async def test_a_module_holds_the_dtos(shop: AsyncStore, queries: AsyncQueries, tmp_path: Path) -> None:
    rows = types.ModuleType("rows")
    vars(rows)["Top"] = Top
    loaded = AsyncQueries.load(tmp_path, rows=rows, prefix="team")
    async with shop.session() as session:
        assert await loaded.reports.top(session, page_size=1) == []

    assert loaded.reports.top.statement.text.startswith("/* team:reports.top */")


async def test_a_value_that_is_not_there(shop: AsyncStore, tmp_path: Path) -> None:
    (tmp_path / "one.sql").write_text("-- name: value_of(id)$\n-- Return a value.\nSELECT 1 WHERE :id::bigint = 1;\n")
    queries = AsyncQueries.load(tmp_path)
    async with shop.session() as session:
        assert await queries.one.value_of(session, id=1) == 1
        with pytest.raises(NotFound):
            await queries.one.value_of(session, id=2)


async def test_filters_and_sorts_of_ones_own_folder(shop: AsyncStore, tmp_path: Path) -> None:
    """
    Filters are on when their parameters are passed, sorts are chosen by name, and rows are what the header says.
    """
    (tmp_path / "reports.sql").write_text(
        "-- name: dearest(price_from, page_size)\n-- Return products.\n-- row: Top\n"
        "SELECT p.sku, p.price FROM store.products AS p\n"
        "WHERE true /*? dear */ AND p.price >= :price_from::numeric /*?*/\n"
        "ORDER BY /*: dearest */ p.price DESC /*| cheapest p.price ASC */\n"
        "LIMIT least(:page_size::bigint, 200);\n"
    )
    queries = AsyncQueries.load(tmp_path, rows={"Top": Top})
    await shop.catalog.create_many([product(f"S{n}", price=str(n)) for n in range(4)])
    async with shop.session() as session:

        async def skus(**choice: object) -> list[str]:
            return [top.sku for top in await queries.reports.dearest(session, page_size=9, **choice)]

        assert await skus() == ["S3", "S2", "S1", "S0"]
        assert await skus(sort="cheapest", price_from=2) == ["S2", "S3"]
        with pytest.raises(WrongParameters, match="there is no sort 'price'.*sort dearest, cheapest"):
            await skus(sort="price")
        with pytest.raises(WrongParameters, match="price_from may not be None"):
            await skus(price_from=None)


async def test_a_null_where_none_may_be_names_its_column(shop: AsyncStore, tmp_path: Path) -> None:
    """
    The column and the query, and nothing of the row.
    """
    text = """
        -- name: bad(username, email)!
        -- Make a user.
        -- null: email
        -- Locks: the row
        INSERT INTO store.users (username, email) VALUES (:username::text, :email::text);
    """
    (tmp_path / "mine.sql").write_text(dedent(text))
    queries = AsyncQueries.load(tmp_path)
    async with shop.session() as session:
        with pytest.raises(InvalidInput) as caught:
            await queries.mine.bad(session, username="secret-canary", email=None)

    assert str(caught.value) == "email must not be null in mine.bad (SQLSTATE 23502)"
    assert (caught.value.field, caught.value.sqlstate) == ("email", "23502")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
