"""
What PostgreSQL understands of one query, as plain values: what a contract file says. No I/O here.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    """Why it is (not) nullable where the column alone does not say: 'left join', 'declared'."""


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


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What PostgreSQL refuses in a statement, or would refuse whenever it ran.
    """

    sqlstate: str
    message: str
    """In PostgreSQL's words where it refused; never with a value in it."""
    position: int | None = None
    """The place in the text, 1 for its first character; None where the whole statement is meant."""
