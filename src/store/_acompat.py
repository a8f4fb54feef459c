"""
What differs between the colours and no word rule can translate: the only module with asyncio.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def ato_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Run a slow function without holding up the event loop.
    """
    return await asyncio.to_thread(function, *args, **kwargs)


def to_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Run it: a thread of its own is only needed where there is a loop.
    """
    return function(*args, **kwargs)


async def asleep(seconds: float) -> None:
    """
    Wait without holding up the event loop.
    """
    await asyncio.sleep(seconds)


def sleep(seconds: float) -> None:
    """
    Wait.
    """
    time.sleep(seconds)


def acurrent() -> object:
    """
    Return what one line of work is in this colour: the task.
    """
    return asyncio.current_task()


def current() -> object:
    """
    Return what one line of work is in this colour: the thread.
    """
    return threading.get_ident()
