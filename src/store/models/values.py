"""
The kinds of values and their bounds, and what every DTO is.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

MAX_ID = 2**63 - 1
MIN_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
MAX_INSTANT = datetime(2200, 1, 1, tzinfo=UTC)
MAX_AMOUNT = Decimal(10) ** 12
MAX_DECIMALS = 4
MAX_QUANTITY = 9999
MAX_STOCK = 1_000_000_000
MAX_PAGE = 200
MAX_MANY = 10_000

HIDDEN = r"\x00-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2060\u2066-\u2069\ufeff"
"""
What a terminal obeys or hides, as a class of a regular expression: the characters that store.is_printable() refuses.
"""
_HIDDEN = re.compile(f"[{HIDDEN}]")
_HIDDEN_IN_LINES = re.compile(rf"(?![\t\n]|\r\n)[{HIDDEN}]")


def _storable(text: str) -> str:
    if "\x00" in text:
        msg = "must not hold a NUL character"
        raise ValueError(msg)
    if any("\ud800" <= character <= "\udfff" for character in text):
        msg = "must not hold a lone surrogate"
        raise ValueError(msg)
    return text


def hidden_fault(text: str, *, has_lines: bool = False) -> str:
    """
    Return which character of a text must not be printed; nothing when there is none. Lines keep tabs and line breaks.
    """
    found = (_HIDDEN_IN_LINES if has_lines else _HIDDEN).search(text)
    if found is None:
        return ""
    what = "a control character" if unicodedata.category(found[0]) == "Cc" else "which cannot be seen"
    return f"holds U+{ord(found[0]):04X}, {what}"


def _printable(text: str) -> str:
    if fault := hidden_fault(_storable(text)):
        raise ValueError(fault)
    return text


def _printable_lines(text: str) -> str:
    if fault := hidden_fault(_storable(text), has_lines=True):
        raise ValueError(fault)
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        msg = "must not be blank"
        raise ValueError(msg)
    return text


def canonical_email(address: str) -> str:
    """
    Return the form of an e-mail address that is stored: NFKC, then lower case; what is then not ASCII is refused.

    Two spellings that a reader takes for one (full-width, decomposed, capital) become one. A domain outside ASCII is refused
    rather than converted: conversions disagree on letters like ß, and a guess would name another domain.
    """
    text = unicodedata.normalize("NFKC", address).lower()
    local, _, domain = text.rpartition("@")
    if not domain.isascii():
        msg = "the domain must be ASCII: give the xn-- form"
        raise ValueError(msg)
    if not local.isascii():
        msg = "the part before the @ must be ASCII"
        raise ValueError(msg)
    if not 3 <= len(text) <= 254:
        msg = "must have 3 to 254 characters"
        raise ValueError(msg)
    if not re.fullmatch(r"[!-?\[-~]+@[a-z0-9-]+(\.[a-z0-9-]+)*", text):
        msg = "must be one word, one @ and a domain"
        raise ValueError(msg)
    return text


_EXACT = Context(prec=80)  # not the caller's
_PLAIN_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)


def _exact_amount(value: Any) -> Decimal:
    """
    Take a Decimal or a string of plain digits; cut zeros behind the fourth decimal, and refuse what would need rounding.
    """
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value):
        value = Decimal(value)
    if type(value) is not Decimal:
        msg = "must be a Decimal, or a string of plain digits like '19.99'"
        raise ValueError(msg)
    if not value.is_finite() or value < 0 or value >= MAX_AMOUNT:
        msg = "must be 0 or more and below 1000000000000"
        raise ValueError(msg)
    decimals = -int(value.as_tuple().exponent)
    if decimals <= MAX_DECIMALS:
        return value if decimals >= 0 else Decimal(int(value))
    cut = value.quantize(Decimal("0.0001"), context=_EXACT) if decimals <= 40 else None
    if cut is None or cut != value:
        msg = "must have at most 4 decimals"
        raise ValueError(msg)
    return cut


def _is_hash(secret: SecretStr) -> SecretStr:
    found = secret.get_secret_value()
    if not re.fullmatch(r"\$[a-z0-9-]+\$[!-~]+", found) or not 20 <= len(found) <= 512:
        msg = "must be a hash in the $name$... notation of 20 to 512 characters, not a password"
        raise ValueError(msg)
    return secret


def _is_callers(key: str) -> str:
    if key.startswith("store:"):
        msg = "must not begin with 'store:', which the keys of the store itself do"
        raise ValueError(msg)
    return key


Id = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]
Delta = Annotated[int, Field(strict=True, ge=-MAX_STOCK, le=MAX_STOCK)]
Stock = Annotated[int, Field(strict=True, ge=0, le=MAX_STOCK)]
Count = Annotated[int, Field(strict=True, ge=0, le=MAX_ID)]
PageSize = Annotated[int, Field(strict=True, ge=1, le=MAX_PAGE)]
Flag = Annotated[bool, Field(strict=True)]
Money = Annotated[Decimal, BeforeValidator(_exact_amount)]
Text = Annotated[str, Field(strict=True, max_length=10_000), AfterValidator(_storable)]
Username = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$")]
Email = Annotated[str, Field(strict=True, max_length=1000), AfterValidator(_storable), AfterValidator(canonical_email)]
PasswordHash = Annotated[SecretStr, AfterValidator(_is_hash)]
Sku = Annotated[str, Field(strict=True, max_length=64, pattern=r"^[!-~]([ -~]*[!-~])?$")]
Name = Annotated[str, Field(strict=True, min_length=1, max_length=255), AfterValidator(_printable), AfterValidator(_not_blank)]
Description = Annotated[str, Field(strict=True, min_length=1, max_length=10_000), AfterValidator(_printable_lines)]
Currency = Annotated[str, Field(strict=True, pattern=r"^[A-Z]{3}$")]
Instant = Annotated[AwareDatetime, Field(ge=MIN_INSTANT, lt=MAX_INSTANT)]
PublicId = UUID
SearchText = Annotated[str, Field(strict=True, max_length=1000), AfterValidator(_storable)]

HoldSeconds = Annotated[int, Field(strict=True, ge=1, le=30 * 86_400)]
Held = Annotated[int, Field(strict=True, ge=1, le=MAX_STOCK)]
Actor = Annotated[str, Field(strict=True, min_length=1, max_length=100), AfterValidator(_printable)]
Reason = Annotated[str, Field(strict=True, min_length=1, max_length=500), AfterValidator(_printable)]

Paid = Annotated[Money, Field(gt=0)]
Line = Annotated[str, Field(strict=True, min_length=1, max_length=255), AfterValidator(_printable), AfterValidator(_not_blank)]
Short = Annotated[str, Field(strict=True, min_length=1, max_length=32), AfterValidator(_printable), AfterValidator(_not_blank)]
Word = Annotated[str, Field(strict=True, min_length=1, max_length=64), AfterValidator(_printable)]
Reference = Annotated[str, Field(strict=True, min_length=1, max_length=255), AfterValidator(_printable)]
IdempotencyKey = Annotated[Reference, AfterValidator(_is_callers)]
Batch = Annotated[int, Field(strict=True, ge=1, le=1000)]
Version = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]

CartStatus = Literal["open", "ordered", "merged", "abandoned"]
MergeStrategy = Literal["sum", "max", "keep_user", "keep_guest"]
MovementKind = Literal["received", "sold", "returned", "adjusted", "damaged"]
OrderStatus = Literal["placed", "paid", "shipped", "delivered", "cancelled", "refunded"]
PaymentKind = Literal["authorize", "capture", "void", "refund"]
PaymentStatus = Literal["authorized", "captured", "refunded", "voided"]
ProductSort = Literal["created_at", "name", "price"]


UNSET: Any = None  # never validated and never sent: what counts is whether the field was set


class Dto(BaseModel, frozen=True):
    """
    A closed, frozen model whose errors never quote their input.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class Input(Dto, frozen=True):
    """
    What a caller gives. Validated anew by the verb, so that no subclass or unvalidated instance brings in another field.
    """

    model_config = ConfigDict(revalidate_instances="always")
