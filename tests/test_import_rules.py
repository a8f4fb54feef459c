"""
What a row must be: the importer's rules by hand, held against the DTO they repeat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from store._bulk.cells import Refused
from store._bulk.products import FIELDS, Columns, ProductRules
from store.errors import InvalidInput
from store.models import NewProduct

pytestmark = pytest.mark.serverless

_GOOD = {
    "sku": "A-1",
    "name": "Lamp",
    "description": "",
    "price": "2.55",
    "currency": "EUR",
    "is_active": "true",
    "on_hand": "3",
}


def rules(*fields: str, zero: bool = True, quoted: bool = False) -> ProductRules:
    columns = Columns(fields or FIELDS, {})
    return ProductRules(columns, currency="EUR", allow_zero_price=zero, is_quoted=lambda _: quoted)


def staged(changes: Mapping[str, str], *, zero: bool = True, quoted: bool = False) -> list[str]:
    row = {**_GOOD, **changes}
    return rules(zero=zero, quoted=quoted).staged([row[field] for field in FIELDS]).split("\t")


def refusal(changes: Mapping[str, str], *, quoted: bool = False) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        staged(changes, zero=False, quoted=quoted)
    return caught.value.column, caught.value.reason


def unescaped(text: str) -> str | None:
    """
    Read a field of COPY's text format as PostgreSQL does.
    """
    if text == r"\N":
        return None
    codes = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
    return re.sub(r"\\(.)", lambda found: codes[found[1]], text)


_TEXTS = st.text(st.characters(codec=None), max_size=40) | st.text("\t\n\r\\ \x00\ud800aA~é\u3000\u200b\u200d\x1b", max_size=8)
_LONG = st.integers(0, 300).map("x".__mul__) | st.integers(9_990, 10_010).map("y".__mul__)
_SKUS = st.text(st.characters(max_codepoint=0x180), max_size=70) | st.from_regex(r"[ -~]{1,66}", fullmatch=True)
_PRICES = (
    st.decimals(allow_nan=True, allow_infinity=True).map(str)
    | st.from_regex(r"-?[0-9]{0,22}(\.[0-9]{0,22})?", fullmatch=True)
    | st.from_regex(r"[0-9]{1,3}\.[0-9]{1,4}0{0,4}", fullmatch=True)
    | st.sampled_from(
        ["", "1,50", "1_000", "1e5", "NaN", "Infinity", "٣", "2.550000", "0.00001", "999999999999.9999", "+1", "½"]
    )
)
_STOCKS = st.integers(-10, 2**70).map(str) | st.sampled_from(["", "+5", "1_000", "5.0", "٣", "007", "1000000000", "1000000001"])


@given(
    st.fixed_dictionaries(
        {
            "sku": _SKUS,
            "name": _TEXTS | _LONG,
            "description": _TEXTS | _LONG,
            "price": _PRICES,
            "currency": st.text(max_size=4) | st.just("USD"),
            "on_hand": _STOCKS,
        }
    )
)
@example({"sku": "A", "name": "\\.", "description": "\\N"})
def test_rules_are_those_of_the_dto(cells: dict[str, str]) -> None:
    """
    Field by field, a cell is taken when NewProduct takes what it says, and means the same then.
    """
    for field, cell in cells.items():
        expected = _by_dto(field, cell.strip())
        try:
            got = staged({field: cell})[FIELDS.index(field)]
        except Refused as refused:
            assert (refused.column, refused.value) == (field, cell)
            assert refused.reason
            assert expected is None, f"{field} {cell!r} is refused ({refused.reason}) and NewProduct takes it"
        else:
            assert expected is not None, f"{field} {cell!r} is taken and NewProduct refuses it"
            assert _meaning(field, got) == getattr(expected, field)


def _by_dto(field: str, text: str) -> NewProduct | None:
    value: object = text
    if field == "on_hand":
        value = int(text) if re.fullmatch("[0-9]{1,20}", text) else text
    elif field in ("description", "currency"):
        value = text or {"currency": "EUR"}.get(field)
    try:
        return NewProduct(**({"sku": "A", "name": "N", "price": Decimal(1)} | {field: value}))  # type: ignore[arg-type]
    except ValidationError:
        return None


def _meaning(field: str, text: str) -> object:
    if field == "price":
        return Decimal(text)
    return int(text) if field == "on_hand" else unescaped(text)


@given(_PRICES)
def test_a_price_is_exact(text: str) -> None:
    try:
        price = staged({"price": text})[3]
    except Refused:
        return

    assert Decimal(text.strip()) == Decimal(price)
    assert len(price.partition(".")[2]) <= 4


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("", "is missing"),
        ("  ", "is missing"),
        ("-1.50", "must not be negative"),
        ("1,50", "must be plain digits"),
        ("1.000,50", "must be plain digits"),
        ("1e5", "must be plain digits"),
        ("NaN", "must be plain digits"),
        ("€ 5", "must be plain digits"),
        ("5.", "must be plain digits"),
        ("0.00001", "must have at most 4 decimals"),
        ("1000000000000", "must be below 1000000000000"),
        ("9" * 10_000, "must be plain digits"),
        ("0", "must not be 0"),
        ("0.0000", "must not be 0"),
        ("\udcff", "is not UTF-8"),
    ],
)
def test_a_price_is_refused_with_the_true_reason(price: str, reason: str) -> None:
    column, said = refusal({"price": price})

    assert column == "price"
    assert said.startswith(reason)


@pytest.mark.parametrize(
    ("cell", "stored"), [("2.55", "2.55"), ("2.550000", "2.5500"), (" 3 ", "3"), ("007.10", "7.10"), ("0.5", "0.5")]
)
def test_a_price_is_stored_as_written(cell: str, stored: str) -> None:
    assert stored == staged({"price": cell})[3]


def test_a_price_of_zero_is_taken_on_request() -> None:
    assert "0.00" == staged({"price": "0.00"})[3]


@pytest.mark.parametrize("cell", ["true", "T", " t ", "1", "YES"])
def test_flags_that_are_true(cell: str) -> None:
    assert "t" == staged({"is_active": cell})[5]


@pytest.mark.parametrize("cell", ["false", "F", "0", "no"])
def test_flags_that_are_false(cell: str) -> None:
    assert "f" == staged({"is_active": cell})[5]


@pytest.mark.parametrize("cell", ["", "2", "on", "tru", "\x00"])
def test_flags_that_are_none(cell: str) -> None:
    assert ("is_active", "must be true or false (or t, f, yes, no, 1, 0)") == refusal({"is_active": cell})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sku": ""}, ("sku", "is missing")),
        ({"sku": "x" * 65}, ("sku", "must have at most 64 characters")),
        ({"sku": "é"}, ("sku", "must be printable ASCII")),
        ({"sku": "a\nb"}, ("sku", "holds U+000A, a control character")),
        ({"sku": "a\u200bb"}, ("sku", "holds U+200B, which cannot be seen")),
        ({"sku": "\udce9"}, ("sku", "is not UTF-8")),
        ({"sku": "a\x00"}, ("sku", "must not hold a NUL character")),
        ({"name": "   "}, ("name", "is missing")),
        ({"name": "x" * 256}, ("name", "must have at most 255 characters")),
        ({"name": "a\x00"}, ("name", "must not hold a NUL character")),
        ({"name": "caf\udce9"}, ("name", "is not UTF-8")),
        ({"name": "a\tb"}, ("name", "holds U+0009, a control character")),
        ({"description": "a\rb"}, ("description", "holds U+000D, a control character")),
        ({"description": "a\u2067b"}, ("description", "holds U+2067, which cannot be seen")),
        ({"currency": "EU\u200bR"}, ("currency", "holds U+200B, which cannot be seen")),
        ({"price": "1\u200b"}, ("price", "holds U+200B, which cannot be seen")),
        ({"description": "x" * 10_001}, ("description", "must have at most 10000 characters")),
        ({"currency": "eur"}, ("currency", "must be three capital letters (ISO 4217)")),
        ({"on_hand": ""}, ("on_hand", "is missing")),
        ({"on_hand": "-1"}, ("on_hand", "must be a whole number from 0 to 1000000000")),
    ],
)
def test_reasons(changes: dict[str, str], expected: tuple[str, str]) -> None:
    assert expected == refusal(changes)


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    row = staged(
        {"sku": " A-1\t", "name": "\u00a0Lamp ", "description": "  ", "price": " 1 ", "currency": " EUR ", "on_hand": " 5 "}
    )

    assert ["A-1", "Lamp", r"\N", "1", "EUR", "t", "5"] == row


def test_blanks_in_quotes_are_part_of_a_name_and_a_description() -> None:
    row = staged({"sku": " A-1 ", "name": " Lamp ", "description": "  "}, quoted=True)

    assert ["A-1", " Lamp ", "  "] == row[:3]
    assert ("name", "is missing") == refusal({"name": "  "}, quoted=True)


def test_without_a_column_nothing_is_checked() -> None:
    assert ["A-1", "-", r"\N", "5", "EUR", "t", "0"] == rules("price", "sku").staged(["5", "A-1"]).split("\t")


def test_the_reason_names_the_column_of_the_file() -> None:
    columns = Columns(["Code", "Price"], {"Code": "sku", "Price": "price"})
    with pytest.raises(Refused) as caught:
        ProductRules(columns, currency="EUR", allow_zero_price=False, is_quoted=lambda _: False).staged(["A", "x"])

    assert ("Price", "x") == (caught.value.column, caught.value.value)


@pytest.mark.parametrize(
    ("header", "mapping", "message"),
    [
        (["name", "price"], {}, "the file has no column sku, but name, price"),
        (["SKU"], {}, "--map COLUMN=sku"),
        (["sku", "price", "price"], {}, "the column price 2 times"),
        (["a", "a"], {"a": "sku"}, "the column a 2 times"),
        (["sku"], {"Code": "name"}, "--map Code=name: the file has no such column, but sku"),
        (["sku", "x"], {"x": "colour"}, "--map x=colour: there is no such field, but sku, name"),
        (["a", "b"], {"a": "sku", "b": "sku"}, "'a' and 'b' would both be sku"),
        (["x" * 100 + "\udcff"] * 30, {}, "and 10 more"),
        (["sku"], {"\ud800\udcff\x00": "sku"}, r"--map \ud800\xff\x00=sku: the file has no such column"),
    ],
)
def test_a_header_that_leaves_it_open_is_refused(header: list[str], mapping: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        Columns(header, mapping)


def test_a_mapped_column_goes_before_one_of_our_name() -> None:
    columns = Columns(["sku", "Code", "name", "extra", "extra"], {"Code": "sku"})

    assert {"sku": "Code", "name": "name"} == columns.names
    assert ("sku", "extra", "extra") == columns.ignored


def test_decimal_would_not_do_for_the_syntax() -> None:
    """
    Why prices have a rule of their own: Decimal takes much that no price list means.
    """
    for text in ("1_000", "٣", "1e5", "NaN"):
        Decimal(text)
        assert refusal({"price": text})[0] == "price"
    with pytest.raises(InvalidOperation):
        Decimal("1,50")
