"""
What PostgreSQL understands of one query, as plain values: what a contract file says. No I/O here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

NO_NULL_ELEMENTS = "no null elements"
DELETED = " (delete)"
"""What stands behind a table in `Facts.writes` where its rows are deleted."""

_MODES = ("read", "write (row lock)", "write")


@dataclass(frozen=True, slots=True)
class Parameter:
    """
    One parameter, in the order of $1, $2, ...
    """

    name: str
    type: str
    """As format_type writes it, domains of ours without the schema: 'bigint', 'text[]', 'amount'."""
    is_required: bool
    """Whether None can never be meant: stored into a NOT NULL column, or only compared by a strict operator."""


@dataclass(frozen=True, slots=True)
class Column:
    """
    One column of the answer.
    """

    name: str
    type: str
    """With precision and scale where PostgreSQL knows them: 'numeric(12,2)'; the domain where the column has one: 'amount'."""
    is_nullable: bool
    origin: str | None = None
    """The table column it is, 'orders.id', or None for an expression."""
    note: str | None = None
    """Why it is (not) nullable where the column alone does not say: 'left join', 'declared'; and 'no null elements'."""

    @property
    def may_hold_null(self) -> bool:
        """
        Whether it is an array in which a NULL may stand.
        """
        return self.type.endswith("[]") and NO_NULL_ELEMENTS not in (self.note or "").split(", ")


class Need(NamedTuple):
    """
    A right without which a role cannot run a statement.
    """

    kind: Literal["function", "schema", "sequence", "table"]
    name: str
    """As SQL writes it: 'store.users', 'store.is_blank(text)'."""
    privilege: str
    """'SELECT', 'EXECUTE', ...; 'unknown' of a function whose statements cannot be read."""
    column: str = ""
    """'' for the whole of it, and '*' where any column will do: count(*), FOR UPDATE."""


class Touched(NamedTuple):
    """
    What a statement does with tables and columns, itself or by what it calls and deletes.
    """

    verb: str
    """'reads', 'writes' or 'deletes'."""
    names: tuple[str, ...]
    """'orders.id' or 'orders', and of rows that are deleted always the table."""
    via: str = ""
    """The function or the foreign key that does it, where the statement itself does not name the table."""


@dataclass(frozen=True, slots=True)
class Facts:
    """
    Everything PostgreSQL's analyser says of one statement. Sequences are sorted, but for parameters and columns.
    """

    parameters: tuple[Parameter, ...] = ()
    columns: tuple[Column, ...] = ()
    reads: tuple[str, ...] = ()
    """'orders.id', or 'orders' for a table of which no column is read."""
    writes: tuple[str, ...] = ()
    """'orders.status' for INSERT and UPDATE, 'orders (delete)' for DELETE."""
    functions: tuple[str, ...] = ()
    """Those that are not immutable and built in: 'now() stable', 'in_scope(...) stable', by name and volatility."""
    locks: tuple[str, ...] = ()
    """Row locks: 'orders FOR NO KEY UPDATE', 'outbox FOR UPDATE SKIP LOCKED'."""
    mode: str = "read"
    """'read', 'write', or 'write (row lock)' for a statement that changes nothing and locks rows."""
    at_most_one: str | None = None
    """The proof that there is at most one row: a unique index, 'limit 1', 'aggregate', 'single values'; None without proof."""
    plan: tuple[str, ...] = ()
    """A verdict a base relation: 'index orders_pkey', 'ordered products_name_id_idx', 'scan currencies, reason'."""
    json_numbers: tuple[str, ...] = field(default=(), compare=False)
    """Where a numeric goes into JSON as a number. Stands in no contract: it is a fault."""
    needs: frozenset[Need] = field(default=frozenset(), compare=False)
    """The rights it takes, those of the functions it calls included. Stand in no contract: they are sql/grants.sql."""
    via: tuple[str, ...] = ()
    """What it touches without naming it: 'sellable(...): reads reservations.quantity', 'x_fkey: deletes cart_items'."""

    def touched(self) -> Iterator[Touched]:
        """
        Iterate over all that it reads, writes and deletes: first what it names, then what it does not.
        """
        yield Touched("reads", self.reads)
        yield Touched("writes", tuple(each for each in self.writes if not each.endswith(DELETED)))
        yield Touched("deletes", tuple(each.removesuffix(DELETED) for each in self.writes if each.endswith(DELETED)))
        for line in self.via:
            via, _, does = line.rpartition(": ")
            verb, _, names = does.partition(" ")
            yield Touched(verb, tuple(names.split(", ")), via)


@dataclass(frozen=True, slots=True)
class Rejection:
    """
    What PostgreSQL refuses in a statement, or would refuse whenever it ran.
    """

    sqlstate: str
    message: str
    """In PostgreSQL's words where it refused; never with a value in it."""
    position: int | None = None
    """The place in the text, 1 for its first character; None where the whole statement is meant."""


def merged(texts: Sequence[Facts]) -> Facts:
    """
    Return what holds of an entry whichever of its texts is sent: everything any of them takes, touches or leaves open.
    """
    first, *others = texts
    if not others:
        return first
    parameters = {one.name: one for facts in texts for one in facts.parameters}
    given = {one.name for facts in texts for one in facts.parameters if not one.is_required}
    return Facts(
        parameters=tuple(replace(one, is_required=name not in given) for name, one in parameters.items()),
        columns=tuple(_weakest(alike) for alike in zip(*(facts.columns for facts in texts), strict=False)),
        reads=_union(facts.reads for facts in texts),
        writes=_union(facts.writes for facts in texts),
        via=_union(facts.via for facts in texts),
        functions=_union(facts.functions for facts in texts),
        locks=_union(facts.locks for facts in texts),
        mode=max((facts.mode for facts in texts), key=_MODES.index),
        at_most_one=first.at_most_one if all(facts.at_most_one is not None for facts in texts) else None,
        plan=_union(facts.plan for facts in texts),
        needs=frozenset(need for facts in texts for need in facts.needs),
    )


def _weakest(alike: Sequence[Column]) -> Column:
    return next((column for column in alike if column.is_nullable), alike[0])


def _union(parts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted({item for part in parts for item in part}))
