"""
What a contract is written for: a folder of .sql files, its DTOs, its migrations, its callers. The store's own, or a team's.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel

from store import _files
from store._queries import Statement, load
from store.contract.findings import Finding
from store.errors import QueryFileError, SettingsError, StoreError

_PLACE = re.compile(r"(?P<path>[^\n]*?):(?P<line>\d+): (?P<message>.*)", re.DOTALL)
_OWN_MODELS = ("store.models", "store.bulk._orders", "store.bulk._products")


@dataclass(frozen=True)
class Project:
    """
    A folder of queries and what belongs to it. `callers` is None where nobody says who calls them.
    """

    queries: Path
    contracts: Path
    migrations: Sequence[Path]
    models: Mapping[str, type[BaseModel]] = field(default_factory=dict[str, type[BaseModel]])
    module: str | None = None
    """Where the DTOs are imported from; None where they are not known, and rows not compared."""
    callers: Path | None = None
    prefix: str = "app"
    grants: Path | None = None
    """The file that gives store_app its rights; None where they are not held to the queries."""
    checks: Path | None = None
    """More queries that store_app runs, without contracts."""
    owned: frozenset[str] = frozenset()
    """The files whose queries only the owner of the schema runs."""
    is_extended: bool = False
    """Whether a team's migrations stand after those that the contracts were written from."""

    @property
    def is_foreign(self) -> bool:
        """
        Whether this is a team's folder.
        """
        return self.prefix != "store"

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """
        Return the queries: the files in alphabetical order. Raises QueryFileError.
        """
        loaded = load(self.queries, prefix=self.prefix, colour="sync", types=None).statements
        for statement in loaded:
            if statement.domain == "schema":
                raise QueryFileError(f"{statement.path}:1: schema.contract is a reserved name: call the file something else")
        return loaded

    def no_dto(self, name: str) -> str:
        """
        Return why this is the name of no DTO: 'Outer is a dataclass: ...', 'there is no DTO Outer'.
        """
        kind = getattr(sys.modules.get(self.module or ""), name, None)
        if kind is None:
            return f"there is no DTO {name}"
        return f"{name} is {'a dataclass' if is_dataclass(kind) else 'no pydantic model'}: a DTO is a pydantic model"

    @property
    def rights(self) -> Sequence[Path]:
        """
        Return the files that make the roles and give them their rights, in the order in which they are run.
        """
        return () if self.grants is None else (self.grants.with_name("roles.sql"), self.grants)

    def contract_of(self, domain: str) -> Path:
        """
        Return where the contract of a file of queries stands.
        """
        return self.contracts / f"{domain}.contract"


def own() -> Project:
    """
    Return the store's own queries.
    """
    sql = _files.folder("sql")
    return Project(
        queries=sql / "queries",
        contracts=sql / "contracts",
        migrations=(_files.folder("migrations"),),
        models=_models(importlib.import_module(name) for name in _OWN_MODELS),
        module="store.models",
        callers=Path(__file__).resolve().parents[1],
        prefix="store",
        grants=sql / "grants.sql",
        checks=sql / "checks",
        owned=frozenset({"demo"}),
    )


def foreign(
    queries: Path, *, models: str | None = None, migrations: Sequence[Path] = (), callers: Path | None = None
) -> Project:
    """
    Return a team's folder. `models` names the module with its DTOs, `migrations` what is applied after the store's own.

    Raises QueryFileError for a folder that is missing, SettingsError for a module that cannot be imported.
    """
    if not queries.is_dir():
        raise QueryFileError(f"{queries}: there is no such folder: give the one that holds the .sql files")
    if callers is not None and not callers.is_dir():
        raise QueryFileError(f"{callers}: there is no such folder: give the one with the Python that calls the queries")
    return Project(
        queries=queries.resolve(),
        contracts=_files.contracts_of(queries),
        migrations=(_files.folder("migrations"), *migrations),
        models={} if models is None else _models([_import(models)]),
        module=models,
        callers=callers,
    )


def finding_of(error: StoreError, path: Path, rule: str) -> Finding:
    """
    Return an error of a file as a finding, at the place that its message begins with.
    """
    found = _PLACE.fullmatch(str(error))
    if found is None:
        return Finding(path, 1, 1, rule, str(error))
    return Finding(Path(found["path"]), int(found["line"]), 1, rule, found["message"])


def _models(modules: Iterable[ModuleType]) -> dict[str, type[BaseModel]]:
    return {
        name: kind
        for module in modules
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    }


def _import(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")) or name.endswith(".py"):
        given = name.removesuffix(".py").strip("./").replace("/", ".")
        raise SettingsError(f"{name} is no module: name it as Python imports it{f', {given}' if given else ''}")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: a team's module stands in the working directory
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the module does at import is its own
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            message = f"there is no module {error.name}: run from the directory that holds {name.partition('.')[0]}"
        else:
            message = f"the module {name} fails when it is imported: {type(error).__name__}: {error}"
        raise SettingsError(message) from error
