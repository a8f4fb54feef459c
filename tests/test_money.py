"""
Money and numbers: exact, bounded, rounded in one place, and never a float.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from typing import Any, get_args, get_type_hints

import hypothesis
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from psycopg.errors import CheckViolation
from pydantic import BaseModel, ValidationError

from store import NewProduct, ProductUpdate, Queries, Store, models
from store.errors import InvalidInput
from tests.databases import Connection
from tests.samples import product, settings

INSERT = "INSERT INTO store.products (sku, name, price, currency) VALUES ('A', 'Lamp', {}, 'EUR')"
MINOR_UNITS = {"EUR": 2, "USD": 2, "JPY": 0, "KRW": 0, "CLP": 0, "BHD": 3, "KWD": 3, "TND": 3}
BAD_AMOUNTS = ("NaN", "Infinity", "-Infinity", "-0.0001", "1000000000000", "0.00001", "19.99999")
DTOS = [kind for _, kind in inspect.getmembers(models, inspect.isclass) if issubclass(kind, BaseModel)]


@pytest.fixture
def shop(dsn: str) -> Iterator[Store]:
    """
    A store of one connection.
    """
    with Store.open(settings(dsn, pool_size=1)) as opened:
        yield opened


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
def test_nan_infinity_and_extra_decimals_are_refused_by_the_table(connect_admin: Connection, amount: str) -> None:
    """
    Whatever the client is, the column takes no NaN, no Infinity, no fifth decimal and nothing out of range; nothing is rounded.
    """
    with pytest.raises(CheckViolation) as caught:
        connect_admin.execute(INSERT.format(f"'{amount}'::numeric").encode())

    assert caught.value.diag.constraint_name == "amount_in_range"
    assert connect_admin.execute("SELECT count(*) FROM store.products").fetchone() == (0,)


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
def test_nan_infinity_and_extra_decimals_are_refused_by_the_dto(amount: str) -> None:
    with pytest.raises(ValidationError):
        product(price=Decimal(amount))


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
def test_the_tables_refusal_is_named(shop: Store, tmp_path: Path, amount: str) -> None:
    """
    Where no DTO stands before the table, its refusal is an InvalidInput that names the rule.
    """
    (tmp_path / "own.sql").write_text(f"-- name: put(price)!\n-- Put.\n{INSERT.format(':price::numeric')};\n")
    queries = Queries.load(tmp_path)
    with shop.session() as session, pytest.raises(InvalidInput, match="amount: must be 0 or more") as caught:
        queries.own.put(session, price=Decimal(amount))

    assert caught.value.constraint == "amount_in_range"


def test_no_nullable_money(connect_admin: Connection) -> None:
    """
    NULL passes every CHECK, so no column of money, stock or state takes one.
    """
    nullable = connect_admin.execute(
        """
        SELECT table_name || '.' || column_name FROM information_schema.columns
        WHERE table_schema = 'store' AND is_nullable = 'YES'
            AND table_name || '.' || column_name NOT IN ('order_imports.line_no', 'order_imports.turn') -- counted while staged
            AND (domain_name = 'amount' OR data_type IN ('numeric', 'integer', 'boolean') OR column_name IN ('status', 'currency'))
        """
    ).fetchall()

    assert nullable == []


def test_giant_decimal_refused(shop: Store) -> None:
    """
    A number of a hundred thousand digits is refused at the door, whatever notation it hides in.
    """
    for giant in ("1e100000", "1e999999", "0e999999", "1e-999999", "-0e-999999", "9" * 100_000):
        for build in (lambda giant=giant: product(price=Decimal(giant)), lambda giant=giant: product(price=giant)):
            try:
                made = build()
            except ValidationError:
                continue
            assert made.price == 0
            assert len(str(made.price)) < 20
    with pytest.raises(InvalidInput):
        shop.catalog.list(price_from=Decimal("1e100000"))


@pytest.mark.parametrize(
    ("given_price", "stored"),
    [
        (Decimal("19.990000"), "19.9900"),
        (Decimal("19.99"), "19.99"),
        ("19.99", "19.99"),
        ("007.50", "7.50"),
        (Decimal("1E+2"), "100"),
        (Decimal("-0"), "0"),
        (Decimal("0.0001"), "0.0001"),
        (Decimal("999999999999.9999"), "999999999999.9999"),
        ("0." + "0" * 20, "0.0000"),
    ],
)
def test_what_is_stored_is_what_was_given(shop: Store, given_price: Any, stored: str) -> None:
    """
    Zeros behind the fourth decimal are cut; nothing else changes on the way in and out.
    """
    created = shop.catalog.create(product(price=given_price))

    assert (created.price, str(abs(created.price))) == (Decimal(given_price), stored)
    assert shop.catalog.get(created.id).price == created.price


AMOUNTS = st.decimals(min_value=0, max_value=Decimal("999999999999.9999"), places=4)


@hypothesis.settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(quantity=st.integers(1, 9999), price=AMOUNTS, discount=AMOUNTS, currency=st.sampled_from(sorted(MINOR_UNITS)))
@example(quantity=1, price=Decimal("0.125"), discount=Decimal(0), currency="EUR")
@example(quantity=1, price=Decimal("0.5"), discount=Decimal(0), currency="JPY")
@example(quantity=1, price=Decimal("0.005"), discount=Decimal("0.01"), currency="EUR")
@example(quantity=9999, price=Decimal("999999999999.9999"), discount=Decimal(0), currency="BHD")
def test_python_and_sql_round_alike(
    connect_admin: Connection, quantity: int, price: Decimal, discount: Decimal, currency: str
) -> None:
    """
    A line costs in SQL what it costs by ROUND_HALF_UP, to the minor unit of its currency.
    """
    row = connect_admin.execute(
        "SELECT store.line_total(%s::integer, %s::numeric, %s::numeric, %s)", (quantity, price, discount, currency)
    ).fetchone()
    with localcontext(prec=60):
        expected = (quantity * price - discount).quantize(Decimal(1).scaleb(-MINOR_UNITS[currency]), ROUND_HALF_UP)

    assert row == (expected,)


def test_rounding_happens_in_one_place() -> None:
    """
    No query and no verb rounds: line_total does.
    """
    root = Path(__file__).resolve().parent.parent
    sources = [*(root / "src" / "store" / "_async").glob("*.py"), *(root / "sql" / "queries").glob("*.sql")]
    words = ("round(", "ROUND_", "trunc(", "ceil(", "quantize(")
    rounding = [path.name for path in sources for word in words if word in path.read_text()]

    assert len(sources) > 10
    assert rounding == []


def kinds(hint: Any) -> Iterator[Any]:
    """
    Yield every type inside a type.
    """
    yield hint
    for argument in get_args(hint):
        yield from kinds(argument)


@pytest.mark.parametrize("forbidden", [float, timedelta])
def test_no_float_in_dtos(forbidden: type) -> None:
    """
    No field of a DTO is a float, which rounds, or an interval, which overflows.
    """
    found = [f"{dto.__name__}.{name}" for dto in DTOS for name, hint in get_type_hints(dto).items() if forbidden in kinds(hint)]

    assert len(DTOS) > 15
    assert found == []


def test_no_interval_or_float_in_the_schema(connect_admin: Connection) -> None:
    odd = connect_admin.execute(
        """
        SELECT table_name || '.' || column_name FROM information_schema.columns
        WHERE table_schema = 'store' AND data_type IN ('interval', 'real', 'double precision', 'money')
        """
    ).fetchall()

    assert odd == []


def test_json_money_is_decimal(shop: Store) -> None:
    """
    Prices and totals that travel inside JSON arrive exact, with every digit.
    """
    lamp = shop.catalog.create(product(price=Decimal("123456789012.3456")))
    cart = shop.carts.create_guest()
    shop.carts.add_item(cart.id, product_id=lamp.id, quantity=9999)
    read = shop.carts.get(cart.id)
    facets = shop.catalog.facets()

    assert read.lines[0].unit_price == Decimal("123456789012.3456")
    assert read.lines[0].line_total == read.subtotal == Decimal("1234444433334443.65")
    assert {type(value) for value in (read.lines[0].unit_price, read.lines[0].line_total, read.subtotal)} == {Decimal}
    assert (type(facets.price_min), facets.price_max) == (Decimal, Decimal("123456789012.3456"))


def test_bool_is_not_a_quantity(shop: Store) -> None:
    """
    True is not one, "1_000" is not a thousand, and 1.0 is not a count.
    """
    lamp = shop.catalog.create(product())
    cart = shop.carts.create_guest()
    wrong: list[Any] = [True, "1", "1_000", 1.0, Decimal(1)]
    for bad in wrong:
        for call in (
            lambda bad=bad: shop.carts.add_item(cart.id, product_id=lamp.id, quantity=bad),
            lambda bad=bad: shop.carts.set_quantity(cart.id, product_id=lamp.id, quantity=bad),
            lambda bad=bad: shop.inventory.set(lamp.id, quantity=bad),
            lambda bad=bad: shop.inventory.adjust(lamp.id, delta=bad),
        ):
            with pytest.raises(InvalidInput):
                call()
        with pytest.raises(ValidationError):
            product(on_hand=bad)

    assert shop.carts.get(cart.id) == cart
    assert shop.inventory.get(lamp.id).on_hand == 10


def test_a_price_is_never_a_float() -> None:
    for bad in (1.5, 1, True, float("nan"), "1_000", "1e3", "\uff11", "+1", "-1", " 1", "1.", ".5", "", None):
        with pytest.raises(ValidationError):
            NewProduct.model_validate({"sku": "A", "name": "Lamp", "price": bad})
        with pytest.raises(ValidationError):
            ProductUpdate.model_validate({"price": bad})


def test_a_total_does_not_depend_on_the_callers_context(shop: Store) -> None:
    """
    A caller who works with five digits still stores and reads twelve.
    """
    with localcontext(prec=5):
        created = shop.catalog.create(product(price=Decimal("123456789.125000")))

        assert shop.catalog.get(created.id).price == Decimal("123456789.125")


@pytest.mark.parametrize(
    "instant", ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01", "1999-12-31 23:59:59+00", "2200-01-01 00:00:00+00"]
)
@pytest.mark.parametrize("column", ["users.created_at", "products.updated_at", "carts.expires_at", "cart_items.added_at"])
def test_timestamps_are_bounded(shop: Store, connect_admin: Connection, column: str, instant: str) -> None:
    """
    No row can hold an instant that Python cannot, as it would spoil every page that it is on.
    """
    table, _, name = column.partition(".")
    lamp = shop.catalog.create(product())
    shop.users.register("ada", "ada@example.org", "correct horse")
    shop.carts.add_item(shop.carts.create_guest().id, product_id=lamp.id)
    with pytest.raises(CheckViolation):
        connect_admin.execute(f"UPDATE store.{table} SET {name} = '{instant}'".encode())
