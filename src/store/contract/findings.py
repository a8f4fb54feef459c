"""
What a check has to say, and the forms in which it says it. Never a traceback: a place, a rule, the way out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Severity = Literal["error", "warning"]
DIFFERS = 8
REFUSED = 9


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """
    One fault: where, against which rule, and how it is mended.
    """

    path: Path
    line: int
    column: int
    rule: str
    message: str
    mend: str = ""
    severity: Severity = "error"

    @property
    def text(self) -> str:
        """
        Return the message and the mend.
        """
        return f"{self.message}: {self.mend}" if self.mend else self.message

    def __str__(self) -> str:
        word = "warning: " if self.severity == "warning" else ""
        return f"{shown(self.path)}:{self.line}:{self.column}: {word}{self.rule}: {self.text}"

    def as_json(self) -> dict[str, Any]:
        """
        Return the finding for scripts.
        """
        return {
            "file": shown(self.path),
            "line": self.line,
            "column": self.column,
            "rule": self.rule,
            "severity": self.severity,
            "message": self.message,
            "mend": self.mend,
        }

    def as_github(self) -> str:
        """
        Return the workflow command that GitHub shows beside the line.
        """
        place = f"file={_property(shown(self.path))},line={self.line},col={self.column},title={_property(self.rule)}"
        return f"::{self.severity} {place}::{_data(self.text)}"


def exit_code(findings: Iterable[Finding]) -> int:
    """
    Return 0 without an error, 8 where a contract differs, 9 where a rule is broken; the lowest that is not 0 counts.
    """
    codes = {DIFFERS if each.rule.startswith("contract-") else REFUSED for each in findings if each.severity == "error"}
    return min(codes, default=0)


def shown(path: Path) -> str:
    """
    Return a path as people type it: below the working directory without that.
    """
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
