"""
What the contracts of a folder say of the parameters of its queries, for those who call them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from store._queries import Statement, Taken
from store.contract import digest, files, schema
from store.contract.files import ContractFile
from store.contract.schema import Schema
from store.contract.text import Stanza
from store.errors import ContractFileError

_NOTHING: Mapping[str, Taken] = MappingProxyType({})


class Contracts:
    """
    The contracts of one folder of queries: a file is read when the first query of it is called, a query looked up once.

    They say nothing of a query whose contract is missing, cannot be read, or was written from other SQL: `store check` tells.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._schema: Schema | None = None
        self._files: dict[str, Mapping[str, Stanza]] = {}
        self._fresh: dict[str, Stanza | None] = {}
        self._taken: dict[Statement, Mapping[str, Taken]] = {}

    def __call__(self, statement: Statement) -> Mapping[str, Taken]:
        """
        Return what is known of the parameters of one text, by name.
        """
        found = self._taken.get(statement)
        if found is None:
            found = self._taken[statement] = self._of_text(statement)
        return found

    def _of_text(self, statement: Statement) -> Mapping[str, Taken]:
        stanza = self._of_query(statement)
        facts = stanza.texts.get(statement.label) if stanza else None
        if facts is None or {each.name for each in facts.parameters} != set(statement.parameters):
            return _NOTHING
        known = self._schema = self._schema or self._of_schema()
        if known is None:
            return _NOTHING
        return {each.name: Taken(each.type, schema.base_type(each.type, known), each.is_required) for each in facts.parameters}

    def _of_query(self, statement: Statement) -> Stanza | None:
        if statement.full_name not in self._fresh:
            if statement.domain not in self._files:
                file = self._read(f"{statement.domain}.contract")
                self._files[statement.domain] = file.by_query if file else {}
            stanza = self._files[statement.domain].get(statement.full_name)
            is_fresh = stanza is not None and stanza.digest == digest.of_statement(statement)
            self._fresh[statement.full_name] = stanza if is_fresh else None
        return self._fresh[statement.full_name]

    def _of_schema(self) -> Schema | None:
        file = self._read(schema.FILE)
        return file.schema if file else None

    def _read(self, name: str) -> ContractFile | None:
        try:
            return files.read(self._folder / name)
        except (OSError, UnicodeDecodeError, ContractFileError):
            return None
