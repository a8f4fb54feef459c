"""
The last resort against a server that is there and does not answer.

A stopped backend keeps its socket alive: no timeout of libpq, of the kernel or of PostgreSQL itself then ends the wait. One
thread a store closes the socket of a statement that has outlived its deadline, and the waiting caller gets its error.
"""

from __future__ import annotations

import heapq
import os
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import count


class _Watch:
    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor


class Watchdog:
    """
    Closes the connections of statements that are past their deadline.
    """

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._heap: list[tuple[float, int, _Watch]] = []
        self._order = count()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def watching(self, descriptor: int, seconds: float) -> Generator[None]:
        """
        Shut the socket of this descriptor down unless the block ends within so many seconds. 0: wait for ever.
        """
        if seconds <= 0 or descriptor < 0:
            yield
            return
        watch = _Watch(descriptor)
        with self._wake:
            deadline = time.monotonic() + seconds
            heapq.heappush(self._heap, (deadline, next(self._order), watch))
            if self._thread is None:
                self._start()
            elif self._heap[0][2] is watch:
                self._wake.notify()
        try:
            yield
        finally:
            with self._wake:
                watch.descriptor = -1

    def close(self) -> None:
        """
        End the thread.
        """
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="store-watchdog", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._wake:
            while not self._closed:
                while self._heap and (self._heap[0][2].descriptor < 0 or self._heap[0][0] <= time.monotonic()):
                    _shut_down(heapq.heappop(self._heap)[2])
                self._wake.wait(self._heap[0][0] - time.monotonic() if self._heap else None)


def _shut_down(watch: _Watch) -> None:
    # Under the lock: the block cannot end, and the descriptor cannot become another connection's, in between.
    if watch.descriptor < 0:
        return
    with suppress(OSError):
        copy = socket.socket(fileno=os.dup(watch.descriptor))
        try:
            copy.shutdown(socket.SHUT_RDWR)
        finally:
            copy.close()
