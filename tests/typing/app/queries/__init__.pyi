# Written by `store lock --stubs` for mypy and pyright: do not edit.
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from store import AsyncSession, Session
from app.models import TopProduct

class FindNoteRow(NamedTuple):
    id: int
    description: str | None
    """NULL: none."""
    created_at: datetime

class _Reports:
    def archive_products(self, session: Session, /, *, ids: list[int]) -> int: ...
    def count_products(self, session: Session, /, *, currency: str | None) -> int: ...
    def find_note(self, session: Session, /, *, sku: str) -> FindNoteRow | None: ...
    def top_products(self, session: Session, /, *, at_least: Decimal, page_size: int) -> list[TopProduct]: ...

class Queries:
    reports: _Reports

class _AsyncReports:
    async def archive_products(self, session: AsyncSession, /, *, ids: list[int]) -> int: ...
    async def count_products(self, session: AsyncSession, /, *, currency: str | None) -> int: ...
    async def find_note(self, session: AsyncSession, /, *, sku: str) -> FindNoteRow | None: ...
    async def top_products(self, session: AsyncSession, /, *, at_least: Decimal, page_size: int) -> list[TopProduct]: ...

class AsyncQueries:
    reports: _AsyncReports
