"""
A proxy between a store and its server that can cut the wire at a chosen statement.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

Cut = Literal["before", "after"] | None


class Proxy:
    """
    Passes bytes on until a client sends a message that holds `word`; then it cuts, before or after the server has it.
    """

    def __init__(self, directory: Path, upstream: Path) -> None:
        self.directory = directory
        self.word = b""
        self.cut: Cut = None
        self.cuts = 0
        self.spared = 0
        """How many messages with the word pass before one is cut."""
        self.swap: tuple[bytes, bytes] = (b"", b"")
        """What the server is told instead of what."""
        self._upstream = upstream
        self._ends: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / ".s.PGSQL.5432"))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, cut: Cut, word: bytes, *, spare: int = 0) -> None:
        """
        Cut at the next message that holds this word, once so many of them have passed.
        """
        self.word, self.cut, self.spared = word, cut, spare

    def close(self) -> None:
        """
        Cut what is left and take no more connections.
        """
        _shut(self._listener)
        self._listener.close()
        for end in self._ends:
            _shut(end)
        for pump in self._pumps:
            pump.join(5)
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._upstream / ".s.PGSQL.5432"))
                state = threading.Event()
                self._ends += [client, server]
                for pump in (self._forth, self._back):
                    self._pumps.append(threading.Thread(target=pump, args=(client, server, state), daemon=True))
                    self._pumps[-1].start()

    def _forth(self, client: socket.socket, server: socket.socket, is_cut: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.cut is not None and self.word in data and self.spared > 0:
                    self.spared -= 1
                elif self.cut is not None and self.word in data:
                    cut, self.cut = self.cut, None
                    self.cuts += 1
                    is_cut.set()
                    if cut == "before":
                        _shut(client)
                        break
                server.sendall(data.replace(*self.swap))
        _shut(server)

    def _back(self, client: socket.socket, server: socket.socket, is_cut: threading.Event) -> None:
        with suppress(OSError):
            while (data := server.recv(65536)) and not is_cut.is_set():  # what is answered after the cut, nobody will know
                client.sendall(data)
        _shut(client)
        _shut(server)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(directory: Path, upstream: Path) -> Iterator[Proxy]:
    """
    Lend a proxy whose socket is in `directory`.
    """
    made = Proxy(directory, upstream)
    try:
        yield made
    finally:
        made.close()
