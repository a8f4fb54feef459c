"""
The fingerprint of the schema, as the ledger keeps it.
"""

from __future__ import annotations

from typing import Any

import psycopg


def fingerprint(connection: psycopg.Connection[Any]) -> str | None:  # noqa: ARG001
    """
    Return the fingerprint.
    """
    return None
