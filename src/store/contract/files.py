"""
The contract files of a folder as they stand: listed and read here only, by the checks and by whoever runs the queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from store.contract import schema, text
from store.contract.schema import Schema
from store.contract.text import Stanza


@dataclass(frozen=True, slots=True)
class ContractFile:
    """
    One of them: the stanzas of its queries or, in schema.contract, the schema.
    """

    path: Path
    content: str
    stanzas: tuple[Stanza, ...] = ()
    schema: Schema | None = None

    @property
    def by_query(self) -> Mapping[str, Stanza]:
        """
        Return its stanzas by 'orders.get_order'.
        """
        return {f"{self.path.stem}.{each.name}": each for each in self.stanzas}

    @property
    def rendered(self) -> str:
        """
        Return what `store lock` writes of the same facts.
        """
        return text.render(self.stanzas) if self.schema is None else schema.render(self.schema)


def listed(folder: Path) -> list[Path]:
    """
    Return the contract files of a folder, schema.contract among them.
    """
    return sorted(folder.glob("*.contract"))


def read(path: Path) -> ContractFile:
    """
    Return what a contract file says. Raises ContractFileError, with file and line, for what `store lock` does not write.

    A file that is missing or cannot be read is an OSError or UnicodeDecodeError: the way out of it is another for each reader.
    """
    content = path.read_text(encoding="utf-8")
    if path.name == schema.FILE:
        return ContractFile(path, content, schema=schema.parse(content, path))
    return ContractFile(path, content, tuple(text.parse(content, path)))
