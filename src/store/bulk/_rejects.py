"""
The rows an import refused, as a CSV file: line, column, value, reason and the row as it was read.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from store.bulk._cells import printable
from store.bulk._files import written

HEADER = ("line", "column", "value", "reason", "row")

_OF_A_ROW = re.compile(
    r"(?<=^the row has )\d+|(?<= \(lines )\d+ to \d+|^\d+(?= units)|(?<=with )-?\d+(?= units)"
    r"|U\+[0-9A-F]{4,6}(, U\+[0-9A-F]{4,6})*"
)
_LONGEST_VALUE = 200
_LONGEST_ROW = 100_000  # csv refuses fields of more than 131,072 characters, and this file is to be read again


def csv_row(fields: Iterable[object]) -> str:
    """
    Return the fields as one row of CSV, for the rejects to quote.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def kind_of(reason: str) -> str:
    """
    Return a reason without what it says of one row: numbers and code points. So there are few.
    """
    return _OF_A_ROW.sub("…", reason)


class Rejects:
    """
    Counts and writes refused rows. The file is begun with the first one and appears under its name when the block ends well; an
    import that ends in an error or by Ctrl-C leaves what was there before. Without a path it only counts.
    """

    def __init__(self, path: Path | None) -> None:
        self.count = 0
        self._reasons: Counter[str] = Counter()
        self._path = path
        self._stack = ExitStack()
        self._text: io.TextIOWrapper | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def path(self) -> Path | None:
        """
        Return where the rows are; None when there are none, or nobody wanted them.
        """
        return self._path if self._text is not None else None

    @property
    def reasons(self) -> dict[str, int]:
        """
        Return how often each reason was given, the most frequent first.
        """
        return dict(self._reasons.most_common())

    def add(self, line: int, column: str, value: str, reason: str, row: str) -> None:
        """
        Write one. Raises StoreError when the file cannot be written.
        """
        self.count += 1
        self._reasons[kind_of(reason)] += 1
        if self._path is None:
            return
        if self._text is None:
            file = self._stack.enter_context(written(self._path, is_private=True))
            self._text = self._stack.enter_context(io.TextIOWrapper(file, encoding="utf-8", newline=""))
            self._text.write(",".join(HEADER) + "\n")
        fields = (
            line,
            printable(column, _LONGEST_VALUE),
            printable(value, _LONGEST_VALUE),
            reason,
            printable(row, _LONGEST_ROW),
        )
        rows = csv.writer(self._text, lineterminator="\n")
        rows.writerow([str(field).replace("\r", "\\r") for field in fields])  # a bare one would end the row for a reader

    def flush(self) -> None:
        """
        Put on disk what has been written, so that a full one is known before anything is stored.
        """
        if self._text is not None:
            self._text.flush()
