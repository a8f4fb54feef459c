"""
Migrations: plain .sql files, their state in the schema store_migrations, in the format of yoyo.

Whoever stops using this runner goes on with plain yoyo: files and state tables are its own.
"""

from store.migrate._connect import connector
from store.migrate._folder import read
from store.migrate._runner import Connect, MigrationStatus, down, pending, status, up

__all__ = ["Connect", "MigrationStatus", "connector", "down", "pending", "read", "status", "up"]
