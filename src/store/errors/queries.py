"""
Queries in .sql files, and how they are called.
"""

from __future__ import annotations

from store.errors.base import StoreError


class QueryFileError(StoreError):
    """
    A .sql file cannot be loaded.
    """


class WrongParameters(StoreError, TypeError):
    """
    A query was called with other parameters than its header declares.
    """


class RowMismatch(StoreError):
    """
    PostgreSQL returned a row that its DTO does not take: the code and the schema disagree.
    """


class TooManyRows(StoreError):
    """
    A query that promises at most one row returned more.
    """


class CannotAnalyse(StoreError):
    """
    The queries cannot be analysed over this connection.
    """
