"""
Everything a contract says, from a database.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from store.contract import digest, places, plans, schema
from store.contract.analyse import analyse
from store.contract.facts import Facts
from store.contract.findings import Finding
from store.contract.project import Project
from store.contract.schema import Schema
from store.contract.text import Stanza


@dataclass(frozen=True, slots=True)
class Derived:
    """
    The contracts as this database has them, and what cannot be described or is read whole without leave.
    """

    stanzas: Mapping[str, tuple[Stanza, ...]]
    """By file, in the order of the file; a query that cannot be described is not there."""
    schema: Schema
    undescribed: tuple[Finding, ...]
    planned: tuple[Finding, ...]


def derive(connection: psycopg.Connection[Any], project: Project) -> Derived:
    """
    Ask the database about every query of a project. What it writes is rolled back.
    """
    queries = [each for each in project.statements if each.kind == "query"]
    answers = analyse(connection, queries)
    known = plans.indexes(connection)
    facts: dict[str, Facts] = {}
    refused: list[Finding] = []
    planned: list[Finding] = []
    for statement in queries:
        answer = answers[statement.full_name]
        if not isinstance(answer, Facts):
            refused.append(places.finding(statement, answer.sqlstate, answer.message, answer.position))
            continue
        try:
            found = plans.accesses(plans.explain(connection, statement), known)
        except psycopg.Error as error:
            refused.append(places.finding_of_error(statement, error))
            continue
        planned += plans.grade(statement, found)
        facts[statement.full_name] = dataclasses.replace(answer, plan=plans.verdicts(statement, found))
    stanzas: dict[str, tuple[Stanza, ...]] = {}
    for statement in project.statements:
        if statement.full_name in facts or statement.kind == "copy":
            hashed = digest.of_statement(statement)
            made = Stanza(statement.name, statement.mark, hashed, statement.row, facts.get(statement.full_name))
            stanzas[statement.domain] = (*stanzas.get(statement.domain, ()), made)
    return Derived(
        stanzas,
        schema.read_schema(connection, digest.of_migrations(project.migrations), facts.values()),
        tuple(refused),
        tuple(planned),
    )
