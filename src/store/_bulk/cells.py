"""
Cells of a file as COPY's text format: what a sku, a name and a price must be, and how a refusal says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from store.models import HIDDEN, hidden_fault

NULL = r"\N"
"""COPY's text format for null."""

_SKU = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_PRICE = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_SPECIAL = re.compile(rf"[{HIDDEN}\\\ud800-\udfff]")
_UNSHOWN = re.compile(rf"(?![\t\n\r])[{HIDDEN}\ud800-\udfff]")
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


class Refused(Exception):
    """
    A row that breaks a rule: its column in the file, the value, and why.
    """

    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.value = value
        self.reason = reason


def as_sku(text: str) -> str:
    """
    Return a sku in COPY's text format. Raises ValueError with the rule it breaks.
    """
    if not _SKU.fullmatch(text) or len(text) > 64:
        raise ValueError(text_fault(text, 64) or "must be printable ASCII")
    return text.replace("\\", r"\\")


def as_name(text: str) -> str:
    """
    Return the name of a product in COPY's text format. Raises ValueError with the rule it breaks.
    """
    if not 1 <= len(text) <= 255 or text.isspace():
        raise ValueError(text_fault(text.strip() and text, 255))
    return escaped(text)


def as_price(text: str) -> str:
    """
    Return a price, digit by digit as it was written. Raises ValueError with the rule it breaks.
    """
    found = _PRICE.fullmatch(text)
    if found is None:
        raise ValueError(_price_fault(text))
    whole, decimals = found[1].lstrip("0"), (found[2] or "")
    if len(whole) > 12:
        raise ValueError("must be below 1000000000000")
    if decimals[4:].strip("0"):
        raise ValueError("must have at most 4 decimals")
    return f"{whole or '0'}.{decimals[:4]}" if decimals else whole or "0"


def escaped(text: str, *, has_lines: bool = False) -> str:
    """
    Return text in COPY's text format. Raises ValueError for what PostgreSQL cannot store and what must not be printed.
    """
    if _SPECIAL.search(text) is None:
        return text
    if fault := character_fault(text, has_lines=has_lines):
        raise ValueError(fault)
    return text.translate(_ESCAPES)


def listed(names: Sequence[str]) -> str:
    """
    Return the first names, and how many more there are.
    """
    shown = ", ".join(printable(name, 40) for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def text_fault(text: str, longest: int) -> str:
    """
    Return what is wrong with a text; nothing when it may stand.
    """
    if not text:
        return "is missing"
    if len(text) > longest:
        return f"must have at most {longest} characters"
    return character_fault(text)


def character_fault(text: str, *, has_lines: bool = False) -> str:
    """
    Return which character a text must not hold; nothing when there is none. Lines keep tabs and line breaks.
    """
    found = _UNSTORABLE.search(text)
    if found is None:
        return hidden_fault(text, has_lines=has_lines)
    return "must not hold a NUL character" if found[0] == "\x00" else "is not UTF-8"


def printable(text: str, longest: int) -> str:
    """
    Return text that any editor shows, with what cannot be seen or is no UTF-8 in hexadecimal, and not more than so many
    characters.
    """
    shown = _UNSHOWN.sub(_in_hexadecimal, text[:longest])
    return shown if len(text) <= longest else f"{shown}… ({len(text)} characters)"


def _price_fault(text: str) -> str:
    if not text:
        return "is missing"
    if re.fullmatch(r"-[0-9.]+", text):
        return "must not be negative"
    return character_fault(text) or "must be plain digits, with a point before the decimals, like 19.99"


def _in_hexadecimal(found: re.Match[str]) -> str:
    code = ord(found[0])
    is_byte = code < 0x80 or 0xDC80 <= code <= 0xDCFF  # so Python keeps a byte that is no UTF-8
    return f"\\x{code & 0xFF:02x}" if is_byte else f"\\u{code:04x}"
