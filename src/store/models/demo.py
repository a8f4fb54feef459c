"""
What the demonstration asks of a database.
"""

from __future__ import annotations

from store.models.values import Dto


class Contents(Dto, frozen=True):
    """
    Whether a database holds rows, and whether they are the demonstration's.
    """

    has_rows: bool
    is_demo: bool
