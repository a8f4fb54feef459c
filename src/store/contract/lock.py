"""
Writes the contracts: all of a folder's or, where one query cannot be described, none.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from store.contract import schema, text
from store.contract.database import WRITTEN_FROM, Connection
from store.contract.derive import Derived, derive
from store.contract.files import listed
from store.contract.findings import Finding
from store.contract.project import Project, finding_of
from store.errors import CannotAnalyse, ContractFileError, QueryFileError


@dataclass(frozen=True, slots=True)
class Locked:
    """
    What became of a lock: the files that changed and those that were deleted, or why nothing was written.
    """

    written: tuple[Path, ...] = ()
    deleted: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()
    derived: Derived | None = None


def lock(connection: Connection, project: Project) -> Locked:
    """
    Derive every contract and write those that changed; a contract whose queries are gone is deleted.

    Raises CannotAnalyse for a server before 18, whose plans read differently.
    """
    version = connection.info.server_version
    if version < WRITTEN_FROM:
        message = (
            f"contracts are written from PostgreSQL 18 or newer and this is {version // 10000}: leave out --dsn, or use another"
        )
        raise CannotAnalyse(message)
    try:
        derived = derive(connection, project)
    except QueryFileError as error:
        return Locked(findings=(finding_of(error, project.queries, "query-file"),))
    if derived.undescribed:
        return Locked(findings=derived.undescribed)
    files = texts(project, derived)
    changed = [path for path, content in files.items() if not path.is_file() or path.read_bytes() != content.encode()]
    try:
        project.contracts.mkdir(exist_ok=True)
        for path in changed:
            replace(path, files[path])
        left = leftovers(project, files)
        for path in left:
            path.unlink()
    except OSError as error:
        raise ContractFileError(f"{project.contracts}: {error.strerror}") from error
    return Locked(tuple(changed), tuple(left), derived=derived)


def texts(project: Project, derived: Derived) -> dict[Path, str]:
    """
    Return every contract file of a project with its text.
    """
    files = {project.contract_of(domain): text.render(stanzas) for domain, stanzas in derived.stanzas.items()}
    return files | {project.contracts / schema.FILE: schema.render(derived.schema)}


def leftovers(project: Project, files: Mapping[Path, str]) -> list[Path]:
    """
    Return the contracts whose .sql file is gone. A file that `store lock` has not written is nobody's to delete.
    """
    found = [path for path in listed(project.contracts) if path not in files]
    return [path for path in found if path.read_bytes().startswith(text.HEAD.encode())]


def replace(path: Path, content: str) -> None:
    """
    Write a file whole or not at all.
    """
    draft = tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115  # renamed below
    try:
        with draft:
            draft.write(content)
        Path(draft.name).chmod(0o644)
        Path(draft.name).replace(path)
    except BaseException:
        os.unlink(draft.name)  # noqa: PTH108  # may be gone
        raise
