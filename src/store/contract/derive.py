"""
Everything a contract says, from a database.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from store._queries import Statement
from store.contract import digest, places, plans, schema, texts
from store.contract.analyse import analyse
from store.contract.facts import Facts, Rejection
from store.contract.findings import Finding
from store.contract.project import Project
from store.contract.schema import Schema
from store.contract.text import Stanza
from store.errors import CannotAnalyse


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

    Raises CannotAnalyse for a role that may not run them all: what it may not see would look as if it had changed.
    """
    queries = [each for each in project.statements if each.kind == "query"]
    answers = analyse(connection, [text for each in queries for text in each.texts()])
    known = plans.indexes(connection)
    facts: dict[str, dict[str, Facts]] = {}
    refused: list[Finding] = []
    planned: list[Finding] = []
    for statement in queries:
        found, faults = _seen(connection, statement, answers, known)
        answered = {each: answer for each, (answer, _) in found.items()}
        refused += [*places.grouped(faults), *texts.disagreements(answered)]
        planned += [*texts.inexact(answered), *texts.unnamed(answered)]
        if not faults:  # a mark that only a refused text needs is not stale
            planned += plans.grade(statement, {each: accesses for each, (_, accesses) in found.items()})
            facts[statement.full_name] = {
                each.label: dataclasses.replace(
                    answer,
                    plan=plans.verdicts(each, accesses),
                    at_most_one=answer.at_most_one or texts.declared_rows(statement),
                )
                for each, (answer, accesses) in found.items()
            }
    every = [each for labelled in facts.values() for each in labelled.values()]
    return Derived(
        _stanzas(project, facts),
        schema.read_schema(connection, digest.of_migrations(project.migrations), every),
        tuple(refused),
        tuple(planned),
    )


def _seen(
    connection: psycopg.Connection[Any],
    statement: Statement,
    answers: Mapping[str, Facts | Rejection],
    known: plans.Indexes,
) -> tuple[dict[Statement, tuple[Facts, list[plans.Access]]], list[tuple[Statement, Finding]]]:
    """
    Return facts and plan of each text of an entry, and apart from them the texts that PostgreSQL refuses.
    """
    found: dict[Statement, tuple[Facts, list[plans.Access]]] = {}
    faults: list[tuple[Statement, Finding]] = []
    for each in statement.texts():
        answer = answers[each.title]
        if not isinstance(answer, Facts):
            place = places.finding(each, answer.sqlstate, answer.message, answer.position)
            faults.append((each, _unless_denied(connection, each, answer.sqlstate, place)))
            continue
        try:
            found[each] = answer, plans.accesses(plans.explain(connection, each), known)
        except psycopg.Error as error:
            faults.append((each, _unless_denied(connection, each, error.sqlstate, places.finding_of_error(each, error))))
    return found, faults


def _stanzas(project: Project, facts: Mapping[str, Mapping[str, Facts]]) -> dict[str, tuple[Stanza, ...]]:
    found: dict[str, tuple[Stanza, ...]] = {}
    for statement in project.statements:
        if statement.full_name in facts or statement.kind == "copy":
            made = texts.stanza(statement, facts.get(statement.full_name))
            found[statement.domain] = (*found.get(statement.domain, ()), made)
    return found


def _unless_denied(connection: psycopg.Connection[Any], text: Statement, sqlstate: str | None, found: Finding) -> Finding:
    if sqlstate != psycopg.errors.InsufficientPrivilege.sqlstate:
        return found
    message = (
        f"the role {connection.info.user} lacks the rights for {text.title}, and nothing can be said without all of them: "
        "connect as the owner of the schema (store_migrator)"
    )
    raise CannotAnalyse(message, sqlstate=sqlstate)
