"""
Holds a live schema to the contracts when a store opens: every query prepared, its types compared, nothing planned or run.

What only data can show, and what is null, is left to `store check --db`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from store import _files
from store._queries import Statement
from store.contract import digest, files, pytypes, schema
from store.contract.facts import Facts
from store.contract.text import Stanza
from store.errors import ContractFileError, SchemaDiffers

_PREFIX = "store_probe_"

LOOK = b"""
    SELECT s.name, s.parameter_types::text[], s.result_types::text[]
    FROM pg_catalog.pg_prepared_statements AS s
    WHERE s.name LIKE 'store_probe_%'
"""
"""What PostgreSQL made of the statements that were prepared."""


Answer = tuple[str, list[str], list[str] | None]
"""A name, the types of its parameters and those of its columns."""


class Probe(NamedTuple):
    """
    One query and the commands that have it described.
    """

    statement: Statement
    name: str

    @property
    def prepare(self) -> bytes:
        """
        Return the command that has PostgreSQL analyse the query.
        """
        return f"PREPARE {self.name} AS {self.statement.text}".encode()

    @property
    def deallocate(self) -> bytes:
        """
        Return the command that forgets it.
        """
        return deallocate(self.name)


def deallocate(name: str) -> bytes:
    """
    Return the command that forgets what was prepared under a name.
    """
    return f"DEALLOCATE {name}".encode()


def probes(statements: Iterable[Statement]) -> list[Probe]:
    """
    Return what is to be prepared; a COPY cannot be.
    """
    return [Probe(each, f"{_PREFIX}{number}") for number, each in enumerate(statements) if each.kind == "query"]


def compare(found: Sequence[Answer], asked: Iterable[Probe]) -> None:
    """
    Raise SchemaDiffers, naming every query whose types are not those of its contract.
    """
    answers = {name: (parameters, results or []) for name, parameters, results in found}
    faults: dict[str, None] = {}
    for statement, name in asked:
        stanza = contracts().get(statement.full_name)
        facts = stanza.texts.get(statement.label) if stanza else None
        wrong = list(_faults(statement, facts, *answers[name])) if facts else []
        # Hashing all of them would cost more than asking the server: of a query that was edited since, a contract says nothing.
        if wrong and stanza and stanza.digest == digest.of_statement(statement):
            faults |= dict.fromkeys(wrong)  # the texts of one entry mostly fail alike
    if faults:
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise SchemaDiffers(f"the schema is not the one the queries were written for: {'; '.join(list(faults)[:5])}{more}")


@cache
def contracts() -> dict[str, Stanza]:
    """
    Return the contracts of this distribution by query. Raises ContractFileError.
    """
    found: dict[str, Stanza] = {}
    for path in files.listed(_files.folder("sql") / "contracts"):
        if path.name == schema.FILE:
            continue
        try:
            found |= files.read(path).by_query
        except (OSError, UnicodeDecodeError) as error:
            raise ContractFileError(f"{path}: cannot be read: install the distribution again") from error
    return found


def _faults(statement: Statement, facts: Facts, parameters: list[str], results: list[str]) -> Iterator[str]:
    name = statement.full_name
    types = {each.name: each.type for each in facts.parameters}
    wanted = [(f"parameter {each}", types[each]) for each in statement.parameters if each in types]
    wanted += [(f"column {each.name}", each.type) for each in facts.columns]
    if (len(parameters), len(results)) != (len(types), len(facts.columns)) or types.keys() != set(statement.parameters):
        yield f"{name} has another number of parameters or columns"
        return
    for (what, kind), live in zip(wanted, [*parameters, *results], strict=True):
        if pytypes.bare(kind) != (found := live.removeprefix("store.")):
            yield f"{name}: {what} is {found}, not {pytypes.bare(kind)}"
