"""
What the statistics of a large database make of every plan: costs and ways to the tables, reported and never gated.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from store._queries import Statement
from store.contract import places, plans
from store.contract.database import Connection
from store.contract.findings import Finding
from store.contract.project import Project
from store.contract.stats import Stats, overlay


@dataclass(frozen=True, slots=True)
class Scaled:
    """
    The generic plan of one text, on empty tables and on large ones.
    """

    query: str
    cost_before: float
    cost: float
    rows: float
    before: tuple[str, ...]
    """How each table is reached on empty ones, whole tables being the last resort: what the contract says."""
    ways: tuple[str, ...]
    """How it is reached on large ones, where the planner is free."""

    @property
    def moved(self) -> tuple[str, ...]:
        """
        Return the ways that only the large database has.
        """
        return tuple(way for way in self.ways if way not in self.before)


@dataclass(frozen=True, slots=True)
class Report:
    """
    Every text, the dearest first, and what was left out.
    """

    queries: tuple[Scaled, ...]
    unknown: tuple[str, ...]
    """The relations of the statistics that are not in this schema."""
    unseen: tuple[str, ...] = ()
    """The tables of which the statistics say nothing: they are planned as empty ones."""
    refused: tuple[Finding, ...] = ()
    """Why a text cannot be planned."""


def scale(connection: Connection, project: Project, stats: Stats) -> Report:
    """
    Plan every query of a project twice, on a scratch server that is nobody else's. Nothing is run.

    Raises CannotAnalyse before PostgreSQL 18.
    """
    texts = [text for each in project.statements if each.kind == "query" for text in each.texts()]
    known = plans.indexes(connection)
    connection.execute("SET max_parallel_workers_per_gather = 0")  # as store_app has it
    before, refused = _plans(connection, texts)
    costs = {text: plans.explain(connection, text, reach=False)["Total Cost"] for text in before}
    unknown = overlay(connection, stats)
    found: list[Scaled] = []
    for text in before:
        plan = plans.explain(connection, text, reach=False)
        small, large = (plans.verdicts(text, plans.accesses(each, known)) for each in (before[text], plan))
        found.append(Scaled(text.title, costs[text], plan["Total Cost"], plan["Plan Rows"], small, large))
    read = {each.relation for plan in before.values() for each in plans.accesses(plan, known)}
    unseen = sorted(read - {name.removeprefix("store.") for name in stats.relations})
    dearest = sorted(found, key=lambda each: (-each.cost, each.query))
    return Report(tuple(dearest), tuple(unknown), tuple(unseen), tuple(refused))


def _plans(connection: Connection, texts: list[Statement]) -> tuple[dict[Statement, plans.Plan], list[Finding]]:
    found: dict[Statement, plans.Plan] = {}
    refused: list[Finding] = []
    for text in texts:
        try:
            found[text] = plans.explain(connection, text)
        except psycopg.Error as error:
            refused.append(places.finding_of_error(text, error))
    return found, refused
