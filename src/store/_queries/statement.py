"""
One named query: what its header promises and the text that goes to the server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

Mark = Literal["", "^", "$", "!"]
Kind = Literal["query", "copy"]
Call = tuple[frozenset[str], str | None]
"""What chooses a text: the names of the parameters that are passed, and the sort."""


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """
    A query of a .sql file: the same object for as long as the file stays loaded.

    An entry with optional filters or declared sorts has several texts. Each is a Statement of its own; the entry itself is the
    one that the file shows, with all filters on and the first sort. `texts()` are all that can be sent.
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
    """Whether it holds an INSERT, UPDATE, DELETE or MERGE, at any depth, or is a CALL or a COPY ... FROM STDIN."""
    text: str
    """What goes to the server, and nothing else does."""
    doc: str
    path: Path
    line: int
    """The line of `-- name:`."""
    first_line: int
    """The line on which the SQL begins."""
    filters: tuple[str, ...] = ()
    """The optional filters that are on in this text."""
    sort: str | None = None
    """The declared sort of this text."""
    variants: Mapping[Call, Statement] = field(default_factory=dict[Call, "Statement"], repr=False)
    """All texts of the entry by what chooses them, the file's own first; empty where there is but one text."""

    @property
    def label(self) -> str:
        """
        Return what tells this text from the others of its entry: 'status+newest', or nothing at all.
        """
        return "+".join([*self.filters, *([self.sort] if self.sort else [])])

    @property
    def title(self) -> str:
        """
        Return the full name, and of several texts which one it is: 'orders.list_orders[status+newest]'.
        """
        return f"{self.full_name}[{self.label}]" if self.variants else self.full_name

    def texts(self) -> tuple[Statement, ...]:
        """
        Return every text that the entry can send, the file's own first.
        """
        return tuple(self.variants.values()) or (self,)

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


@dataclass(frozen=True, slots=True)
class Taken:
    """
    What the contract of a query says of a parameter.
    """

    type: str
    """In PostgreSQL's words: 'bigint', 'amount'."""
    base: str
    """The type behind a domain: 'numeric'; 'enum' for every enum."""
    is_required: bool
    """Whether None can never be meant."""


Types = Callable[[Statement], Mapping[str, Taken]]
"""Says of one text what its parameters are, by name; nothing of a query whose contract is missing or not of this SQL."""


def by_casts(_statement: Statement) -> Mapping[str, Taken]:
    """
    Say nothing, for folders without contracts: the casts of the text are all there is.
    """
    return MappingProxyType({})
