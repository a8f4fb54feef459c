"""
The database of the corpus.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest

from tests.contract.corpus import CASES, SCHEMA, Case
from tests.databases import Connection, TestServer, create_database

_number = itertools.count(1)
OpenCorpus = Callable[[], AbstractContextManager[Connection]]


@pytest.fixture(scope="session")
def open_corpus(server: TestServer) -> OpenCorpus:
    """
    Lends an autocommit connection, as superuser, to a new database that holds the schema of the corpus.
    """

    @contextmanager
    def opened() -> Iterator[Connection]:
        with (
            create_database(server, f"store_test_corpus_{next(_number)}_{os.getpid()}") as name,
            psycopg.connect(server.dsn(name), autocommit=True) as connection,
        ):
            connection.execute(SCHEMA.encode())
            yield connection

    return opened


@pytest.fixture
def corpus(open_corpus: OpenCorpus) -> Iterator[Connection]:
    """
    A connection to such a database, for one test.
    """
    with open_corpus() as connection:
        yield connection


def in_turn(connection: Connection) -> Iterator[list[Case]]:
    """
    Iterate over the cases this server knows: all that take the schema as it is, then each that changes it first.
    """
    known = [case for case in CASES if case.since <= connection.info.server_version // 10000]
    yield [case for case in known if case.before is None]
    for case in known:
        if case.before is not None:
            connection.execute(case.before.encode())
            yield [case]
