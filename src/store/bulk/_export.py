"""
The catalog as a file: what an import reads, sorted by sku, the same bytes for the same catalog.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from store._sync.queries import queries
from store._sync.store import Store
from store.bulk._files import Place, compressed, written
from store.bulk._reports import Report
from store.bulk._staging import Progress, Tick

_EVERY = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport(Report):
    """
    What was written, and where to.
    """

    target: str


def export_products(store: Store, target: Place, *, progress: Progress | None = None) -> ExportReport:
    """
    Write every product as CSV to a path, `-` for standard output, or a binary file; compressed if the path ends in .gz or .xz.

    A file appears when it is complete, and not at all otherwise. It shows the catalog at one instant.
    """
    started = time.monotonic()
    rows = -1  # the header is one of the blocks
    with (
        _writing(target) as (name, file),
        store.transaction(is_patient=True) as tx,
        tx.copy(queries.imports.copy_products_out) as copy,
    ):
        for block in copy:
            file.write(block)
            rows += 1
            if progress is not None and rows % _EVERY == 0:
                progress(Tick("writing", rows))
    return ExportReport(rows=rows, seconds=round(time.monotonic() - started, 3), target=name)


@contextmanager
def _writing(target: Place) -> Generator[tuple[str, BinaryIO]]:
    if target == "-":
        yield "-", sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif isinstance(target, (str, PathLike)):
        path = Path(target)
        with written(path) as file, compressed(file, path.name) as packed:
            yield str(path), packed
    else:
        yield str(getattr(target, "name", "")), target
