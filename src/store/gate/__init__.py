"""
The gate of a rolling deploy: does the release that runs survive each pending migration, and what does the new one need?

It stands above the two rooms it brings together: migrations are applied by `store.migrate`, and `store.contract` asks
PostgreSQL about the queries.
"""

from store.gate._deploy import gate, pending
from store.gate._previous import OWN, Layout, Previous, previous
from store.gate._verdict import Gate, Need, Verdict

__all__ = ["OWN", "Gate", "Layout", "Need", "Previous", "Verdict", "gate", "pending", "previous"]
