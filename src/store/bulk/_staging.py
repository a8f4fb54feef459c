"""
What imports share: the way of a file's rows into a staging table, and how far it has come.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeVar

from store._sync.session import Session
from store._sync.store import Store
from store.bulk._cells import Refused
from store.bulk._files import Place, Source
from store.bulk._readers import Broken, Table
from store.bulk._rejects import Rejects
from store.bulk._reports import FileReport
from store.errors import InvalidInput

Step = Literal["reading", "checking", "merging", "writing"]

R = TypeVar("R", bound=FileReport)

PAGE = 1000
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Tick:
    """
    How far an import or export is. `size` is None where nobody knows it; `position` counts bytes as they lie on disk.
    """

    step: Step
    rows: int
    position: int = 0
    size: int | None = None


Progress = Callable[[Tick], object]


class Staging:
    """
    Lays the rows of a file down under an id of its own; refused ones go to the rejects instead.
    """

    def __init__(self, file: Source, table: Table, rejects: Rejects, progress: Progress | None) -> None:
        self.id = uuid.uuid4()
        self.rows = 0
        self.rejects = rejects
        self._file = file
        self._table = table
        self._progress = progress

    def copy(self, tx: Session, statement: Any, staged: Callable[[Sequence[str]], str]) -> None:
        """
        Copy what `staged` makes of each record, in COPY's text format behind id and line. It raises Refused for a bad one.
        """
        block: list[str] = []
        size = 0
        with tx.copy(statement) as copy:
            for record in self._table:
                self.rows += 1
                row = self._row(record, staged)
                if row is None:
                    continue
                block.append(row)
                size += len(row)
                if size >= _BLOCK:
                    copy.write("".join(block))
                    block.clear()
                    size = 0
                    self.report("reading")
            copy.write("".join(block))
        self.report("reading")

    def report(self, step: Step) -> None:
        """
        Tell how far it is.
        """
        if self._progress is not None:
            self._progress(Tick(step, self.rows, self._file.position, self._file.size))

    def _row(self, record: list[str] | Broken, staged: Callable[[Sequence[str]], str]) -> str | None:
        table = self._table
        if isinstance(record, Broken):
            self.rejects.add(table.line, "", "", record.reason, table.raw())
            return None
        try:
            return f"{self.id}\t{table.line}\t{staged(record)}\n"
        except Refused as refusal:
            self.rejects.add(table.line, refusal.column, refusal.value, refusal.reason, table.raw())
            return None


class _Undone(Exception):
    """
    The end of a dry run.
    """


def run_whole(store: Store, work: Callable[[Session], R], *, dry_run: bool) -> R:
    """
    Do the work of an import in one transaction and return its report; a dry run takes everything back.
    """
    reports: list[R] = []
    with suppress(_Undone), store.transaction(is_patient=True) as tx:
        reports.append(replace(work(tx), dry_run=dry_run))
        if dry_run:
            raise _Undone
    return reports[0]


def refuse_same(source: Place, rejects: Path | None) -> None:
    """
    Raise InvalidInput where the rejects would be written over the file that is read.
    """
    if rejects is not None and isinstance(source, (str, PathLike)) and Path(source).resolve() == rejects.resolve():
        raise InvalidInput(f"{rejects} is the file to read: choose another one for the rejects", field="rejects")
