"""
Delimited text as records with line numbers, in constant memory.

What is no record (a quote that is never closed, a field without end, too few fields) is a Broken in its place, and the reading
goes on behind it. Bytes that are not UTF-8 arrive as lone surrogates, so that only the field that holds them is refused.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from store.bulk._files import UNREADABLE, Source, unreadable
from store.errors import InvalidInput

MAX_RECORD = 1 << 20
"""Bytes of one record, ignored columns included."""

_FAULTS = {
    "field larger": "a field is longer than {limit} characters",
    "expected after": "there is text between a closing quote and the next delimiter",
    "new-line character": "a line ends with a carriage return alone",
    "unexpected end": "a quote is opened and never closed",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """
    What stands where a record should, and why it is none.
    """

    reason: str


class Table:
    """
    A file of records under a header. `line` and `raw()` tell of the record that came last.

    Raises InvalidInput when there is no header.
    """

    def __init__(self, source: Source, *, delimiter: str = ",") -> None:
        self.name = source.name
        self.line = 1
        self._lines = _Lines(source)
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)
        self.header = tuple(name.strip() for name in self._read_header())

    def __iter__(self) -> Iterator[list[str] | Broken]:
        width = len(self.header)
        while (fields := self._read()) is not None:
            if isinstance(fields, Broken) or len(fields) == width:
                yield fields
            elif fields:
                yield Broken(f"the row has {len(fields)} fields and the header has {width}{self._extent()}")

    def raw(self) -> str:
        """
        Return the record as it stands in the file; of one that is too long, the beginning.
        """
        return "".join(self._lines.held).rstrip("\r\n")

    def is_quoted(self, field: str) -> bool:
        """
        Whether this field of the record stands in quotes.
        """
        return '"' + field.replace('"', '""') + '"' in "".join(self._lines.held)

    def _read_header(self) -> list[str]:
        while (fields := self._read()) == []:
            pass
        if fields is None:
            raise InvalidInput(f"{self.name} is empty: the first line names the columns")
        if isinstance(fields, Broken):
            raise InvalidInput(f"{self.name}, line {self.line}: {fields.reason}; the first line names the columns")
        return fields

    def _read(self) -> list[str] | Broken | None:
        lines = self._lines
        lines.begin()
        self.line = lines.number + 1
        try:
            return next(self._reader)
        except StopIteration:
            return None
        except csv.Error as error:
            text = str(error)
            if text.startswith("field larger"):
                lines.skip()
            return Broken(_explain(text) + self._extent())
        except _TooLong:
            lines.skip()
            return Broken(f"the row is longer than {MAX_RECORD} bytes{self._extent()}")

    def _extent(self) -> str:
        last = self._lines.number
        return f" (lines {self.line} to {last})" if last > self.line else ""


def _explain(error: str) -> str:
    known = next((text for words, text in _FAULTS.items() if words in error), error)
    return known.format(limit=csv.field_size_limit())


class _TooLong(Exception):
    """
    A record that does not end.
    """


class _Lines:
    """
    The lines of a file, for csv; those of the current record are held.
    """

    def __init__(self, source: Source) -> None:
        self.held: list[str] = []
        self.number = 0
        self._size = 0
        self._name = source.name
        self._readline = source.text.readline

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._next()
        if not line:
            raise StopIteration
        self.number += 1
        self._size += len(line)
        text = line.decode("utf-8", "surrogateescape")
        self.held.append(text)
        if self._size >= MAX_RECORD:
            raise _TooLong
        return text

    def begin(self) -> None:
        """
        Forget the record before.
        """
        self.held.clear()
        self._size = 0

    def skip(self) -> None:
        """
        Read to the end of the record: of its line, and of the quotes it is in.
        """
        quotes = sum(text.count('"') for text in self.held)
        is_whole = self.held[-1].endswith("\n")
        while (not is_whole or quotes % 2) and (line := self._next()):
            self.number += is_whole
            is_whole = line.endswith(b"\n")
            quotes += line.count(b'"')

    def _next(self) -> bytes:
        try:
            return self._readline(MAX_RECORD)
        except UNREADABLE as error:
            raise unreadable(self._name, error) from error
