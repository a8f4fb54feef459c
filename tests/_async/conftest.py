"""
An open shop for every test of a colour.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from store import AsyncStore
from tests.samples import settings


@pytest.fixture
async def shop(dsn: str) -> AsyncIterator[AsyncStore]:
    """
    A store on a fresh database, as the application's role.
    """
    async with AsyncStore.open(settings(dsn)) as opened:
        yield opened
