"""
A program that uses a team's queries by the types that `store lock --stubs` wrote, read by mypy and pyright and never run.

Each `type: ignore` below is needed, or the checkers complain about it.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, assert_type, cast

from app import models

from store import AsyncQueries, AsyncSession, Queries, Session

if TYPE_CHECKING:
    from app.queries import AsyncQueries as AsyncTyped
    from app.queries import Queries as Typed

queries = cast("Typed", Queries.load("app/queries", rows=models))
later = cast("AsyncTyped", AsyncQueries.load("app/queries", rows=models))


def right(session: Session) -> None:
    """
    What comes back has the type of its row.
    """
    assert_type(
        queries.reports.top_products(session, at_least=Decimal(1), page_size=3),
        list[models.TopProduct],
    )
    assert_type(queries.reports.count_products(session, currency=None), int)
    assert_type(queries.reports.archive_products(session, ids=[1, 2]), int)
    note = queries.reports.find_note(session, sku="A-1")
    if note is not None:
        assert_type(note.id, int)
        assert_type(note.description, str | None)
        assert_type(note.created_at, datetime)


async def right_async(session: AsyncSession) -> None:
    """
    The same, awaited.
    """
    assert_type(
        await later.reports.top_products(session, at_least=Decimal(1), page_size=3),
        list[models.TopProduct],
    )
    assert_type(await later.reports.count_products(session, currency="EUR"), int)


def wrong(session: Session) -> None:
    """
    Each of these is a mistake.
    """
    queries.reports.top_products(session, at_least=1.5, page_size=3)  # type: ignore[arg-type]
    queries.reports.top_products(session, at_least=Decimal(1))  # type: ignore[call-arg]
    queries.reports.top_products(session, at_least=Decimal(1), page_size=3, page=2)  # type: ignore[call-arg]
    queries.reports.archive_products(session, ids=["1"])  # type: ignore[list-item]
    queries.reports.find_note(session, sku=None)  # type: ignore[arg-type]
    queries.reports.find_note("session", sku="A-1")  # type: ignore[arg-type]
    queries.reports.find_notes(session, sku="A-1")  # type: ignore[attr-defined]
    queries.report.find_note(session, sku="A-1")  # type: ignore[attr-defined]
    _ = queries.reports.find_note(session, sku="A-1").id  # type: ignore[union-attr]


async def wrong_async(session: AsyncSession) -> None:
    """
    A session of the other colour, and what was not awaited, are mistakes too.
    """
    queries.reports.find_note(session, sku="A-1")  # type: ignore[arg-type]
    later.reports.find_note(session, sku="A-1")  # type: ignore[unused-coroutine]
