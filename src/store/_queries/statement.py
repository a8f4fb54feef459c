"""
One named query: what its header promises and the text that goes to the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mark = Literal["", "^", "$", "!"]
Kind = Literal["query", "copy"]


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """
    A query of a .sql file: the same object for as long as the file stays loaded.
    """

    domain: str
    """The file's stem."""
    name: str
    mark: Mark
    """Many rows (none), at most one row (^), one value ($), a count (!)."""
    parameters: tuple[str, ...]
    """In the order of $1, $2, ..."""
    nullable: frozenset[str]
    """The parameters that may be None (`-- null:`)."""
    oids: Mapping[str, int]
    """The type each cast parameter is cast to, where it is one of PostgreSQL's own."""
    row: str | None
    rows: str | None
    plan: tuple[str, ...]
    kind: Kind
    writes: bool
    """Whether it holds an INSERT, UPDATE, DELETE or MERGE, at any depth, or a CALL."""
    text: str
    """What goes to the server, and nothing else does."""
    doc: str
    path: Path
    line: int
    """The line of `-- name:`."""
    first_line: int
    """The line on which the SQL begins."""

    @property
    def full_name(self) -> str:
        """
        Return the name as it is called: 'users.get_user'.
        """
        return f"{self.domain}.{self.name}"

    def line_of(self, position: int) -> int:
        """
        Return the line of the file for a position the server reports (1 is the first character of the text).
        """
        return self.first_line + self.text.count("\n", 0, max(position - 1, 0))
