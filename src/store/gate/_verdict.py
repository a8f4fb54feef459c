"""
What the gate of a rolling deploy has to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from store.contract.findings import Finding, Severity


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    One query that breaks, or what the release that runs may feel: the line of the migration that does it.

    `queries` are whose; `place` is the file and line of the one that breaks, as its release has it.
    """

    rule: str
    severity: Severity
    path: Path
    line: int
    message: str
    mend: str = ""
    migration: str | None = None
    ddl: str = ""
    queries: tuple[str, ...] = ()
    place: str | None = None
    sqlstate: str | None = None

    @property
    def finding(self) -> Finding:
        """
        Return it in the form in which every check speaks.
        """
        return Finding(self.path, self.line, 1, self.rule, self.message, self.mend, self.severity)

    def as_json(self) -> dict[str, Any]:
        """
        Return it for scripts.
        """
        own = {"migration": self.migration, "ddl": self.ddl, "queries": list(self.queries), "place": self.place}
        return self.finding.as_json() | own | {"sqlstate": self.sqlstate}


@dataclass(frozen=True, slots=True)
class Need:
    """
    A query of the new release that fails on the schema before this migration.
    """

    query: str
    place: str
    migration: str
    message: str


@dataclass(slots=True)
class Gate:
    """
    What was found. `judged` is how many queries of the release that runs were tried.
    """

    pending: list[str]
    judged: int = 0
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    needs: list[Need] = field(default_factory=list[Need])

    @property
    def errors(self) -> list[Verdict]:
        """
        What keeps the gate shut.
        """
        return [each for each in self.verdicts if each.severity == "error"]
