"""
What is installed: the distribution's own name and version, and which extra a missing part belongs to.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata

from store.errors import MissingExtra

_NAME = "plainstore"


@cache
def name() -> str:
    """
    Return the name to install by: that of the distribution which brings our command.
    """
    try:
        return metadata.metadata(_NAME)["Name"]
    except metadata.PackageNotFoundError:  # installed under another name
        found = metadata.entry_points(group="console_scripts", value="_store_command:main")
        return next((each.dist.name for each in found if each.dist is not None), _NAME)


def version() -> str:
    """
    Return the installed version; from sources that were never installed there is none.
    """
    try:
        return metadata.version(name())
    except metadata.PackageNotFoundError:
        return "not installed"


def missing_extra(extra: str, purpose: str) -> MissingExtra:
    """
    Return the error for an extra that is not installed, with the command that installs it.
    """
    return MissingExtra(f'{purpose} needs the extra `{extra}`: pip install "{name()}[{extra}]"')
