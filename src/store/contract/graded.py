"""
What a database says of plans, where it can: rows and statistics turn them, so only empty tables are graded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from store.contract import plans
from store.contract.database import WRITTEN_FROM, Connection
from store.contract.derive import Derived
from store.contract.facts import Facts
from store.contract.findings import Finding
from store.contract.project import Project
from store.contract.text import Stanza

UNCHECKED = "plan-unchecked"
"""The rule of the warning that plans were not looked at."""

_OF_DATA = ("plan-scan", "plan-stale")


def graded(
    connection: Connection, project: Project, derived: Derived, written: Mapping[str, Stanza], *, is_scratch: bool
) -> tuple[list[Finding], bool]:
    """
    Return the findings about plans and indexes, and whether the plans can be compared with those of the contracts: on empty
    tables, from 18 on.
    """
    full = [] if is_scratch else plans.loaded(connection, _tables(derived))
    is_comparable = not full and connection.info.server_version >= WRITTEN_FROM
    gone = dict(_gone(connection, written))
    found: list[Finding] = []
    for each in derived.planned:
        if each.rule not in _OF_DATA:
            found.append(each)
        elif not full:
            found.append(_with_index(each, project, gone) if each.rule == "plan-scan" else each)
    if full:
        tables = f"{full[0]} and {len(full) - 1} more tables have rows" if len(full) > 1 else f"{full[0]} has rows"
        message = f"plans were not graded: {tables}, which turn them"
        mend = "leave out --dsn, or name an empty, migrated database"
        found.append(Finding(project.queries, 1, 1, UNCHECKED, message, mend, "warning"))
    if not is_comparable:
        for name, indexes in gone.items():
            message = f"{name}: its contract goes by {', '.join(indexes)}, and there is no such index"
            path, line = project.contract_of(name.partition(".")[0]), written[name].line
            found.append(Finding(path, line, 1, "contract-differs", message, "run `store lock`, and review what changes"))
    return found, is_comparable


def _tables(derived: Derived) -> set[str]:
    facts = [found for stanzas in derived.stanzas.values() for each in stanzas if (found := each.whole) is not None]
    items = {name for one in facts for each in one.touched() for name in each.names}
    return items | {item.rpartition(".")[0] for item in items}


def _gone(connection: Connection, written: Mapping[str, Stanza]) -> Iterator[tuple[str, list[str]]]:
    known = {name for _, name in plans.indexes(connection)}
    for name, stanza in written.items():
        if lost := [each for each in _indexes(stanza.whole) if each not in known]:
            yield name, lost


def _indexes(facts: Facts | None) -> Iterator[str]:
    for line in facts.plan if facts is not None else ():
        verdict, _, by = line.partition(" ")
        if verdict in ("index", "ordered", "partial") and not by.startswith("ctid of "):
            yield from by.split(" or ")


def _with_index(finding: Finding, project: Project, gone: Mapping[str, list[str]]) -> Finding:
    places = {(each.path, each.line): each.full_name for each in project.statements}
    lost = gone.get(places.get((finding.path, finding.line), ""))
    return replace(finding, message=f"{finding.message}; its contract goes by {', '.join(lost)}") if lost else finding
