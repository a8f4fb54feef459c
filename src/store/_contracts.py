"""
The contracts of a folder of queries, for those who call them: nothing is read or imported before the first call.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from store import _files
from store._queries import Statement, Taken, Types

if TYPE_CHECKING:
    from store.contract.taken import Contracts


def types_of(queries: Path) -> Types:
    """
    Return what the contracts of a folder say of the parameters of its queries.
    """
    folder = _files.contracts_of(queries)  # here and not at the first call, when the working directory may be another

    @cache
    def contracts() -> Contracts:
        from store.contract.taken import Contracts  # with the parser, which takes longer to import than to use

        return Contracts(folder)

    def types(statement: Statement) -> Mapping[str, Taken]:
        return contracts()(statement)

    return types
