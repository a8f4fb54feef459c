"""
How grave a finding is where the sizes of the real tables are known: what only takes long is judged by what it works on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from store.migrate._rules import Breach
from store.migrate._trace import Effect

SMALL = 10_000
"""Rows below which what only takes long is a warning."""
LARGE = 1_000_000
"""Rows from which a warning is an error, where the statement reads or rewrites the table and somebody waits meanwhile."""

# What takes as long as its table is large, and breaks nothing. What loses rows or names, or deadlocks, is grave at any size.
DURATION = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-serial-primary-key-field",
        "blocks-writes",
        "changes-rows",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
        "require-concurrent-partition-detach",
        "require-concurrent-reindex",
        "rewrites-table",
        "scans-under-lock",
        "work-while-locked",
    }
)
_PAGE = 8192
_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Size:
    """
    How large a table is.
    """

    rows: float
    pages: int

    def __str__(self) -> str:
        number, unit = float(self.pages * _PAGE), 0
        while number >= 1024 and unit < len(_UNITS) - 1:
            number, unit = number / 1024, unit + 1
        return f"{self.rows:,.0f} rows, {number:.{0 if number >= 100 else 1}f} {_UNITS[unit]}"


def weighed(finding: Breach, effects: Sequence[Effect], sizes: Mapping[str, Size]) -> Breach:
    """
    Return a finding with the severity its tables deserve, and their sizes; as it is where they are not known, or do not matter.
    """
    if finding.rule not in DURATION:
        return finding
    there = [each for each in effects if each.covers(finding.line)]
    worked = {name for each in there for name in (*each.rewrites, *each.scans, *each.rows)}
    names = {name for name in worked or {name for each in there for name, _ in each.locks} if " " not in name}
    known = {name: size for name in sorted(names) if (size := sizes.get(name.replace('"', ""))) is not None}
    if not known:
        return finding
    severity = finding.severity
    if worked and any(size.rows >= LARGE for size in known.values()):
        severity = "error"
    elif known.keys() == names and all(size.rows < SMALL for size in known.values()):
        severity = "warning"
    told = "; ".join(f"{name}: {size}" for name, size in known.items())
    return replace(finding, severity=severity, why=f"{finding.why} ({told})")
