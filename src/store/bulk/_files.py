"""
Files that come in (plain, gzip, xz, standard input) and files that go out whole or not at all.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import secrets
import stat
import sys
import zlib
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, cast

from store.errors import InvalidInput, StoreError

Place = str | PathLike[str] | BinaryIO

_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"
_UTF8_BOM, _UTF16_BOMS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_BUFFER = 1 << 18

UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error)
"""What reading raises: the file is not there, or it is damaged."""


class Source:
    """
    An open file of UTF-8 text, decompressed, behind its byte order mark.
    """

    def __init__(self, name: str, text: io.BufferedReader, counted: _Counted) -> None:
        self.name = name
        self.text = text
        self._counted = counted

    @property
    def position(self) -> int:
        """
        Return how many bytes have been read, as they lie on disk.
        """
        return self._counted.position

    @property
    def size(self) -> int | None:
        """
        Return how many there are, or None for a pipe.
        """
        return self._counted.size


class _Counted(io.RawIOBase):
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = 0
        self.size = _size(file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        found = self._file.read(len(buffer))
        buffer[: len(found)] = found
        self.position += len(found)
        return len(found)


@contextmanager
def opened(place: Place) -> Generator[Source]:
    """
    Open a file for reading: a path, `-` for standard input, or a binary file, which stays open. Contents tell the compression.

    Raises StoreError when it cannot be read, InvalidInput when it is UTF-16.
    """
    with ExitStack() as stack:
        name, file = _reading(place, stack)
        counted = _Counted(file)
        try:
            text = _decompressed(io.BufferedReader(counted, _BUFFER))
            start = text.peek(len(_UTF8_BOM))
        except UNREADABLE as error:
            raise unreadable(name, error) from error
        if start.startswith(_UTF16_BOMS):
            raise InvalidInput(f"{name} is UTF-16: save it as UTF-8")
        if start.startswith(_UTF8_BOM):
            text.read(len(_UTF8_BOM))
        yield Source(name, text, counted)


def unreadable(name: str, error: Exception) -> StoreError:
    """
    Return the error for a file that cannot be read.
    """
    return StoreError(f"{name} cannot be read: {_reason(error)}")


@contextmanager
def written(path: Path, *, is_private: bool = False) -> Generator[BinaryIO]:
    """
    Write a file that appears under its name when the block ends, and not at all when it raises. A pipe or a device is written
    to as it is. A file that was there keeps its mode; a new one that is private is its owner's alone.

    Raises StoreError when it cannot be written.
    """
    # A link beside the file that is read may have been put there for somebody else's file: replaced, not followed.
    path = path.parent.resolve() / path.name if is_private else path.resolve()
    try:
        if not path.is_symlink() and path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
        else:
            with _replacing(path, is_private=is_private) as file:
                yield file
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {_reason(error)}") from error


@contextmanager
def compressed(file: BinaryIO, name: str) -> Generator[BinaryIO]:
    """
    Compress by the ending of the name, always to the same bytes.
    """
    if name.endswith(".gz"):
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            yield cast("BinaryIO", packed)  # it has all that is used of one
    elif name.endswith(".xz"):
        with lzma.LZMAFile(file, "wb") as stream:
            yield cast("BinaryIO", stream)  # the same
    else:
        yield file


def _reading(place: Place, stack: ExitStack) -> tuple[str, BinaryIO]:
    if place == "-":
        return "standard input", sys.stdin.buffer
    if not isinstance(place, (str, PathLike)):
        return str(getattr(place, "name", "the file")), place
    name = os.fspath(place)
    try:
        return name, stack.enter_context(Path(name).open("rb"))
    except OSError as error:
        raise unreadable(name, error) from error


def _decompressed(file: io.BufferedReader) -> io.BufferedReader:
    start = file.peek(len(_XZ))
    if start.startswith(_GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=file), _BUFFER)
    if start.startswith(_XZ):
        return io.BufferedReader(lzma.LZMAFile(file), _BUFFER)
    return file


def _size(file: BinaryIO) -> int | None:
    try:
        found = os.fstat(file.fileno())
    except (OSError, AttributeError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


@contextmanager
def _replacing(path: Path, *, is_private: bool) -> Generator[BinaryIO]:
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            os.fchmod(file.fileno(), _mode(path, is_private=is_private))
            yield file
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _mode(path: Path, *, is_private: bool) -> int:
    if path.is_file() and not path.is_symlink():
        return stat.S_IMODE(path.stat().st_mode)
    if is_private:
        return 0o600
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
