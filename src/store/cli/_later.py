"""
Commands that are imported when they are called: a command waits for its own parts, and `--help` and `--version` for none.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Later(TyperCommand):
    """
    Stands for a command in the list of commands; when it is called, the command itself takes its place.
    """

    def __init__(self, name: str, place: str, line: str) -> None:
        super().__init__(name, help=line)
        self._place = place

    def load(self) -> Any:
        """
        Import the command: a function, or a group with commands of its own.
        """
        module, _, attribute = self._place.partition(":")
        found = getattr(import_module(module), attribute)
        around = typer.Typer(add_completion=False, rich_markup_mode="rich")
        around.callback()(lambda: None)  # a group, though it has one command
        if isinstance(found, typer.Typer):
            around.add_typer(found, name=self.name)
        else:
            around.command(self.name)(found)
        return typer.main.get_group(around).commands[str(self.name)]

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """
        Hand the arguments over to the command itself.
        """
        return self.load().make_context(*arguments, **options)


def listed(package: str, commands: Mapping[str, tuple[str, str]]) -> type[TyperGroup]:
    """
    Return the class of a group of such commands: for each name where it is in the package, `module:attribute`, and what the
    list says of it, whole sentences that its help begins with.
    """

    class Listed(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            for name, (place, line) in commands.items():
                self.add_command(Later(name, f"{package}.{place}", line))

    return Listed
