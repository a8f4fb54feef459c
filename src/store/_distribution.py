"""
What is installed: the distribution's own name and version, and which extra a missing part belongs to.
"""

from __future__ import annotations

from importlib import metadata

from store.errors import MissingExtra

_NAME = "plainstore"


def name() -> str:
    """
    Return the name to install by.
    """
    try:
        return metadata.metadata(_NAME)["Name"]
    except metadata.PackageNotFoundError:  # under another name: every file of everything installed is looked through for it
        return (metadata.packages_distributions().get("store") or [_NAME])[0]


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
