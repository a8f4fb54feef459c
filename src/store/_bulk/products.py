"""
What a row of a file must be to become a product: the rules of NewProduct on text, by hand, as a model a row would cost ten
times as much. A test holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from store._bulk.cells import NULL, Refused, as_name, as_price, as_sku, character_fault, escaped, listed, printable, text_fault
from store.errors import InvalidInput
from store.models import MAX_STOCK

FIELDS = ("sku", "name", "description", "price", "currency", "is_active", "on_hand")

_NUMBER = re.compile(r"[0-9]{1,20}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_FLAGS = {"true": "t", "t": "t", "yes": "t", "1": "t", "false": "f", "f": "f", "no": "f", "0": "f"}
# What stands in the staging table for a column the file does not have. Nobody reads it: the merge knows which there are.
_ABSENT = {"name": "-", "description": NULL, "price": "0", "is_active": "t", "on_hand": "0"}


class Columns:
    """
    Which column of a file is which field. `names` are the file's, in the order of FIELDS; `ignored` those that are not read.

    Raises InvalidInput for a mapping or a header that leaves it open, naming the columns.
    """

    def __init__(self, header: Sequence[str], mapping: Mapping[str, str]) -> None:
        _check_mapping(header, mapping)
        of_field = {field: column for column, field in mapping.items()}
        for field in FIELDS:
            if field in header and field not in mapping:
                of_field.setdefault(field, field)
        if "sku" not in of_field:
            way_out = "name it by --map COLUMN=sku (case counts)"
            if len(header) == 1 and (found := next((sign for sign in ";\t" if sign in header[0]), None)):
                way_out = f"its fields seem to be divided by {'tabs' if found == chr(9) else found}: say --delimiter"
            raise InvalidInput(f"the file has no column sku, but {listed(header)}: {way_out}", field="sku")
        for column in of_field.values():
            if header.count(column) > 1:
                raise InvalidInput(f"the file has the column {column} {header.count(column)} times: keep one")
        self.names = {field: of_field[field] for field in FIELDS if field in of_field}
        self.positions = {field: header.index(column) for field, column in self.names.items()}
        self.ignored = tuple(printable(column, 100) for column in header if column not in of_field.values())

    def has(self, field: str) -> bool:
        """
        Whether the file has this field.
        """
        return field in self.names


class ProductRules:
    """
    Turns a record into a row of the staging table.

    Blanks around a value are not part of it, except those of a name or description in quotes.
    """

    def __init__(self, columns: Columns, *, currency: str, allow_zero_price: bool, is_quoted: Callable[[str], bool]) -> None:
        self._columns = columns
        self._currency = currency
        self._allow_zero_price = allow_zero_price
        self._is_quoted = is_quoted
        rules: dict[str, Callable[[str], str]] = {
            "sku": self._of_sku,
            "name": self._of_name,
            "description": self._of_description,
            "price": self._of_price,
            "currency": self._of_currency,
            "is_active": _of_flag,
            "on_hand": _of_stock,
        }
        absent = _ABSENT | {"currency": currency}
        self._steps = [
            (columns.positions[field], rules[field]) if columns.has(field) else (0, _always(absent[field])) for field in FIELDS
        ]

    def staged(self, record: Sequence[str]) -> str:
        """
        Return the fields of a record in COPY's text format, in the order of FIELDS. Raises Refused at the first that breaks a
        rule.
        """
        try:
            return "\t".join([take(record[at]) for at, take in self._steps])
        except ValueError:
            raise self._explained(record) from None

    def _explained(self, record: Sequence[str]) -> Refused:
        for field, (at, take) in zip(FIELDS, self._steps, strict=True):
            try:
                take(record[at])
            except ValueError as error:
                return Refused(self._columns.names[field], record[at], str(error))
        raise AssertionError(record)  # pragma: no cover  # one of them has just refused

    def _of_sku(self, cell: str) -> str:
        return as_sku(cell.strip())

    def _of_name(self, cell: str) -> str:
        return as_name(self._trimmed(cell))

    def _of_description(self, cell: str) -> str:
        text = self._trimmed(cell)
        if not text:
            return NULL
        if len(text) > 10_000:
            raise ValueError(text_fault(text, 10_000))
        return escaped(text, has_lines=True)

    def _of_price(self, cell: str) -> str:
        price = as_price(cell.strip())
        if not self._allow_zero_price and not price.strip("0."):
            raise ValueError("must not be 0 (--allow-zero-price lets it pass)")
        return price

    def _of_currency(self, cell: str) -> str:
        text = cell.strip()
        if not text:
            return self._currency
        if not _CURRENCY.fullmatch(text):
            raise ValueError(character_fault(text) or "must be three capital letters (ISO 4217)")
        return text

    def _trimmed(self, cell: str) -> str:
        text = cell.strip()
        return cell if text != cell and self._is_quoted(cell) else text


def _of_flag(cell: str) -> str:
    flag = _FLAGS.get(cell.strip().lower())
    if flag is None:
        raise ValueError("must be true or false (or t, f, yes, no, 1, 0)")
    return flag


def _of_stock(cell: str) -> str:
    text = cell.strip()
    if not _NUMBER.fullmatch(text) or int(text) > MAX_STOCK:
        raise ValueError("is missing" if not text else f"must be a whole number from 0 to {MAX_STOCK}")
    return text


def _always(value: str) -> Callable[[str], str]:
    return lambda _: value


def _check_mapping(header: Sequence[str], mapping: Mapping[str, str]) -> None:
    for column, field in mapping.items():
        given = f"--map {printable(column, 40)}={printable(field, 40)}"
        if field not in FIELDS:
            raise InvalidInput(f"{given}: there is no such field, but {listed(FIELDS)}")
        if column not in header:
            raise InvalidInput(f"{given}: the file has no such column, but {listed(header)}")
    for field in set(mapping.values()):
        columns = [column for column, other in mapping.items() if other == field]
        if len(columns) > 1:
            raise InvalidInput(f"--map: {' and '.join(map(repr, columns))} would both be {field}: choose one", field=field)
