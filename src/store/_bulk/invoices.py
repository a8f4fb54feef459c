"""
What a line of an Online Retail file must be to become a line of an order, or a cancellation of one.

The columns are those of the UCI data set "Online Retail": InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice
and CustomerID; others are not read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

from store._bulk.cells import NULL, Refused, as_name, as_price, as_sku, character_fault, listed, printable
from store.errors import InvalidInput
from store.models import MAX_STOCK

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")

_INVOICE = re.compile(r"C?[0-9]{1,20}")
_PRODUCT = re.compile(r"[0-9]{5}[A-Z]*|DCGS[!-~]*|GIFT_[!-~]*", re.IGNORECASE | re.ASCII)
_QUANTITY = re.compile(r"(-?)([0-9]{1,20})")
_CUSTOMER = re.compile(r"([0-9]{1,20})(?:\.0)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_TOO_LARGE = Decimal(10) ** 12
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)


class Money:
    """
    Adds lines up, each rounded half up to the minor unit of the currency: what the database does, without asking it.
    """

    def __init__(self, minor_units: int) -> None:
        self._unit = Decimal(1).scaleb(-minor_units)
        self.sold = self.refunded = Decimal(0).quantize(self._unit)

    def line(self, quantity: int, price: Decimal) -> Decimal:
        """
        Return what a line comes to.
        """
        return _EXACT.quantize(_EXACT.multiply(Decimal(quantity), price), self._unit)

    def add(self, value: Decimal, *, is_cancellation: bool) -> None:
        """
        Count a line; a negative value takes it out again.
        """
        if is_cancellation:
            self.refunded = _EXACT.add(self.refunded, value)
        else:
            self.sold = _EXACT.add(self.sold, value)


class InvoiceRules:
    """
    Turns a record into a row of the staging table, and adds up what the records come to. Blanks around a value are no part
    of it.

    Raises InvalidInput for a header without one of the columns, or with one of them twice.
    """

    def __init__(self, header: Sequence[str], money: Money) -> None:
        for column in COLUMNS:
            if (count := header.count(column)) != 1:
                said = "has no column" if not count else f"has {count} times the column"
                raise InvalidInput(
                    f"the file {said} {column}, but {listed(header)}: online-retail has {', '.join(COLUMNS)}, once each"
                )
        self.ignored = tuple(printable(column, 100) for column in header if column not in COLUMNS)
        self._at = [header.index(column) for column in COLUMNS]
        self._money = money

    def staged(self, record: Sequence[str]) -> str:
        """
        Return the fields of a record in COPY's text format. Raises Refused at the first that breaks a rule.
        """
        cells = [record[at].strip() for at in self._at]
        faulty = 0
        try:
            invoice = _as_invoice(cells[0])
            is_cancellation = invoice.startswith("C")
            faulty = 1
            sku = _as_product(cells[1])
            faulty = 2
            name = as_name(cells[2])
            faulty = 3
            quantity = _as_quantity(cells[3], is_cancellation=is_cancellation)
            faulty = 4
            placed_at = _as_moment(cells[4])
            faulty = 5
            price, value = self._priced(cells[5], quantity)
            faulty = 6
            customer = _as_customer(cells[6])
        except ValueError as error:
            raise Refused(COLUMNS[faulty], record[self._at[faulty]], str(error)) from None
        self._money.add(value, is_cancellation=is_cancellation)
        return f"{invoice}\t{is_cancellation}\t{customer}\t{placed_at}\t{sku}\t{name}\t{quantity}\t{price}"

    def _priced(self, cell: str, quantity: int) -> tuple[str, Decimal]:
        price = as_price(cell)
        if not price.strip("0."):
            raise ValueError("must not be 0: nothing was sold for it")
        value = self._money.line(quantity, Decimal(price))
        if value >= _TOO_LARGE:
            raise ValueError(f"makes the line worth more than an amount can be, with {quantity} units")
        if not value:
            raise ValueError(f"comes to nothing, with {quantity} units")
        return price, value


def _as_invoice(text: str) -> str:
    if not _INVOICE.fullmatch(text):
        raise ValueError(_fault(text, "must be digits, behind a C for a cancellation"))
    return text


def _as_product(text: str) -> str:
    if not _PRODUCT.fullmatch(text):
        raise ValueError(_fault(text, "is no product: five digits and letters, DCGS... or gift_..."))
    return as_sku(text)


def _as_quantity(text: str, *, is_cancellation: bool) -> int:
    found = _QUANTITY.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= MAX_STOCK:
        raise ValueError(_fault(text, f"must be a whole number, not 0, of at most {MAX_STOCK}"))
    if bool(found[1]) != is_cancellation:
        if is_cancellation:
            raise ValueError("must be negative in a cancellation")
        raise ValueError("is negative and the invoice no cancellation: a correction of stock, no sale")
    return int(found[2])


def _as_customer(text: str) -> str:
    if not text:
        return NULL
    found = _CUSTOMER.fullmatch(text)
    if found is None:
        raise ValueError(_fault(text, "must be digits, or empty"))
    return found[1]


@lru_cache(maxsize=1024)
def _as_moment(text: str) -> str:
    fault = "must be a date and time like 2010-12-01 08:26:00, between the years 2000 and 2200"
    if not _DATE.fullmatch(text):
        raise ValueError(_fault(text, fault))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(fault) from None
    if not 2000 <= moment.year < 2200:
        raise ValueError(fault)
    return f"{moment.isoformat(sep=' ')}+00"


def _fault(text: str, otherwise: str) -> str:
    return character_fault(text) or otherwise if text else "is missing"
