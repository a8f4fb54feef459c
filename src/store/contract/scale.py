"""
What the statistics of a large database make of every plan: costs and ways to the tables, reported and never gated.
"""

from __future__ import annotations

from dataclasses import dataclass

from store.contract import plans
from store.contract.database import Connection
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
    Every text, the dearest first, and the relations of the statistics that are not in this schema.
    """

    queries: tuple[Scaled, ...]
    unknown: tuple[str, ...]


def scale(connection: Connection, project: Project, stats: Stats) -> Report:
    """
    Plan every query of a project twice, on a scratch server that is nobody else's. Nothing is run.

    Raises CannotAnalyse before PostgreSQL 18, and psycopg.Error for a query that cannot be prepared.
    """
    texts = [text for each in project.statements if each.kind == "query" for text in each.texts()]
    known = plans.indexes(connection)
    connection.execute("SET max_parallel_workers_per_gather = 0")  # as store_app has it
    before = {text: plans.explain(connection, text) for text in texts}
    costs = {text: plans.explain(connection, text, reach=False)["Total Cost"] for text in texts}
    unknown = overlay(connection, stats)
    found: list[Scaled] = []
    for text in texts:
        plan = plans.explain(connection, text, reach=False)
        small, large = (plans.verdicts(text, plans.accesses(each, known)) for each in (before[text], plan))
        found.append(Scaled(text.title, costs[text], plan["Total Cost"], plan["Plan Rows"], small, large))
    return Report(tuple(sorted(found, key=lambda each: (-each.cost, each.query))), tuple(unknown))
