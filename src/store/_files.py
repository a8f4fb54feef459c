"""
Where the .sql files are: inside the package when installed, beside it in a checkout. The only module that knows.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from store.errors import StoreError

_PACKAGE = Path(__file__).resolve().parent


def folder(name: Literal["sql", "migrations"]) -> Path:
    """
    Return the folder `sql` or `migrations` of this installation.

    Raises StoreError when it is in neither place: the installation is incomplete.
    """
    places = (_PACKAGE / name, _PACKAGE.parents[1] / name)
    for place in places:
        if place.is_dir():
            return place
    raise StoreError(f"the folder {name} is missing: looked for {places[0]} and {places[1]}; install the distribution again")


def contracts_of(queries: Path) -> Path:
    """
    Return where the contracts of a folder of .sql files stand: beside one that is called `queries`, else in it.
    """
    found = queries.resolve()
    return (found.parent if found.name == "queries" else found) / "contracts"


@cache
def latest_migration() -> str:
    """
    Return the name of the newest migration of this version, which is what store.schema_version() says once it is applied.
    """
    names = [path.stem for path in folder("migrations").glob("[0-9]*.sql") if not path.stem.endswith(".rollback")]
    if not names:
        raise StoreError(f"there is no migration in {folder('migrations')}: install the distribution again")
    return max(names)
