"""
Parse and Describe: what PostgreSQL says of a statement without planning or running it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection, pq

from store.contract.facts import Rejection

_UNTYPED = "42P18"
_TYPE_IT = " (write its type: `:name::text`)"


@dataclass(frozen=True, slots=True)
class DescribedColumn:
    """
    One column as the protocol describes it: a domain stands there as its base type.
    """

    name: str
    type: int
    modifier: int
    table: int
    """The table's OID, 0 for an expression."""
    attribute: int


@dataclass(frozen=True, slots=True)
class Description:
    """
    The types of a statement's parameters, by OID, and the columns of its answer.
    """

    parameters: tuple[int, ...]
    columns: tuple[DescribedColumn, ...]


def describe(connection: Connection[Any], text: str) -> Description | Rejection:
    """
    Return what one statement takes and gives, or why PostgreSQL refuses it; two statements in one text are refused.

    A refusal aborts the transaction it happens in, if there is one.
    """
    pg = connection.pgconn
    encoding = connection.info.encoding
    parsed = pg.prepare(b"", text.encode(encoding), None)
    if parsed.status != pq.ExecStatus.COMMAND_OK:
        return refusal(parsed, encoding)
    described = pg.describe_prepared(b"")
    if described.status != pq.ExecStatus.COMMAND_OK:
        return refusal(described, encoding)
    parameters = tuple(described.param_type(number) for number in range(described.nparams))
    columns = tuple(
        DescribedColumn(
            (described.fname(number) or b"").decode(encoding),
            described.ftype(number),
            described.fmod(number),
            described.ftable(number),
            described.ftablecol(number),
        )
        for number in range(described.nfields)
    )
    return Description(parameters, columns)


def refusal(result: pq.abc.PGresult, encoding: str) -> Rejection:
    """
    Return an error of the server as a finding.
    """
    field = pq.DiagnosticField
    sqlstate = (result.error_field(field.SQLSTATE) or b"XX000").decode()
    message = (result.error_field(field.MESSAGE_PRIMARY) or b"the connection was lost").decode(encoding, "replace")
    position = int(result.error_field(field.STATEMENT_POSITION) or 0) or None
    return Rejection(sqlstate, message + _TYPE_IT if sqlstate == _UNTYPED else message, position)
