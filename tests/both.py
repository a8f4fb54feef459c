"""
A shop in either colour, for tests that wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from store import AsyncStore, Settings, Store
from tests.samples import user

colours = pytest.mark.parametrize("colour", ["sync", "async"])


class Both:
    """
    One shop in either colour, for tests that wait: each call runs to its end and returns.
    """

    def __init__(self, colour: str, given: Settings) -> None:
        self._runner = asyncio.Runner() if colour == "async" else None
        self.shop: Any = AsyncStore.open(given) if self._runner else Store.open(given)
        try:
            self.run(self.shop.start)
        except BaseException:
            self.close()
            raise

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """
        Call a function or coroutine function.
        """
        return self._runner.run(function(*arguments)) if self._runner else function(*arguments)

    def create(self, name: str, before_commit: Callable[[int], object] = bool) -> None:
        """
        Create a user in a transaction; `before_commit` gets the backend's process id.
        """
        self.run(self._acreate if self._runner else self._create, name, before_commit)

    def _create(self, name: str, before_commit: Callable[[int], object]) -> None:
        with self.shop.transaction() as tx:
            tx.users.create(user(name))
            before_commit(tx.connection.info.backend_pid)

    async def _acreate(self, name: str, before_commit: Callable[[int], object]) -> None:
        async with self.shop.transaction() as tx:
            await tx.users.create(user(name))
            before_commit(tx.connection.info.backend_pid)

    def users(self) -> int:
        """
        Return how many users there are.
        """
        return len(self.run(self.shop.users.list))

    def close(self) -> None:
        """
        Close the shop, and the loop.
        """
        self.run(self.shop.close)
        if self._runner:
            self._runner.close()


@contextmanager
def both(colour: str, given: Settings) -> Iterator[Both]:
    """
    Lend a shop in this colour.
    """
    made = Both(colour, given)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """
    Expect a block to last at least this long: it waited, and did not fail for another reason.
    """
    started = time.monotonic()
    yield

    assert time.monotonic() - started >= seconds
