"""
What an import or export says at its end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    How many rows there were, and how long it took.
    """

    rows: int
    seconds: float

    def as_json(self) -> str:
        """
        Return it as one JSON object.
        """
        return json.dumps(asdict(self), default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport(Report):
    """
    What became of the rows of a file: rows = accepted + rejected.
    """

    accepted: int
    rejected: int
    reasons: Mapping[str, int]
    """How many rows were refused for which reason, the most frequent first; what stands in a row is in none of them."""
    unchanged: int
    """What an earlier import has stored: products, or lines of invoices."""
    dry_run: bool
    """Whether all this was taken back at the end."""
    rejects: Path | None
    """The file with the refused rows, where there are any."""
    ignored: tuple[str, ...]
    """Columns of the file that are not read."""
