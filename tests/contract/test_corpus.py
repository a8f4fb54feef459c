"""
What the analyser says of the corpus, against what SQL says; and what a walk of the plan would say.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from store.contract.analyse import analyse
from store.contract.facts import Facts
from tests.contract.conftest import OpenCorpus, in_turn
from tests.contract.corpus import CASES
from tests.contract.plan_walk import not_null_columns

# Columns that are never NULL, for reasons the analyser does not know. What is proven one day is taken off; nothing is added.
NEEDLESS = {
    "ctes.recursive_cycle is_cycle",
    "expressions.array_slice a",
    "expressions.case_that_tests note",
    "expressions.generated_and_identity cents",
    "groups.ordered_set_aggregate median",
    "joins.left_join_lateral_aggregate orders",
    "joins.left_join_on_foreign_key email",
    "parameters.window_frame n",
    "sets.union_in_scalar_subquery n",
    "since18.virtual_column shown",
}
# Parameters without which nothing is found and nothing is changed, for reasons it does not know.
UNPROVEN = {"writes.insert_union"}  # both arms have a row for certain
DECLARED = {"expressions.declared"}  # by the author of the statement: there is nothing to find
each = pytest.mark.parametrize("name", [case.title for case in CASES])


@dataclass
class Score:
    """
    How a reading of the columns differs from what SQL says.
    """

    wrong: int = 0
    """Called NOT NULL, and may be NULL."""
    needless: int = 0
    """Called nullable, and is never NULL."""
    unknown: int = 0
    """Nothing said of it, and it is never NULL."""

    def add(self, expected: list[bool], found: Sequence[bool | None]) -> None:
        for is_not_null, said in zip(expected, found, strict=True):
            self.wrong += said is True and not is_not_null
            self.needless += said is False and is_not_null
            self.unknown += said is None and is_not_null


@pytest.fixture(scope="module")
def verdicts(open_corpus: OpenCorpus) -> dict[str, Facts]:
    """
    What the analyser says of every case.
    """
    found: dict[str, Facts] = {}
    with open_corpus() as connection:
        for cases in in_turn(connection):
            for name, facts in analyse(connection, cases).items():
                assert isinstance(facts, Facts), f"{name}: {facts}"
                found[name] = facts
    return found


@pytest.mark.serverless
def test_the_corpus_has_its_size() -> None:
    """
    Statements have names of their own, and there are many.
    """
    assert len(CASES) == len({case.title for case in CASES})
    assert len(CASES) >= 260


@each
def test_what_is_called_not_null_is_not_null(verdicts: dict[str, Facts], name: str) -> None:
    """
    No column that may be NULL is called NOT NULL; one that is never NULL is called nullable only where it is listed.
    """
    case = next(case for case in CASES if case.title == name)
    if name not in verdicts:
        assert case.since > 16  # known to later servers only
        return
    found = {column.name: not column.is_nullable for column in verdicts[name].columns}
    expected = {column: is_not_null and f"{name} {column}" not in NEEDLESS for column, is_not_null in case.columns}

    assert expected == found


@each
def test_parameters(verdicts: dict[str, Facts], name: str) -> None:
    """
    A parameter is required where None can only be refused, or find nothing and change nothing.
    """
    case = next(case for case in CASES if case.title == name)
    if name in verdicts:
        found = tuple(one.is_required for one in verdicts[name].parameters)
        assert found == (case.required if name not in UNPROVEN else (False,) * len(found))
    else:
        assert case.since > 16


def test_how_it_compares(open_corpus: OpenCorpus, verdicts: dict[str, Facts], capsys: pytest.CaptureFixture[str]) -> None:
    """
    The analyser is never wrong, and needlessly careful in one column of fifty; a walk of the plan is both. See docs/contract.md.
    """
    ours, walk, columns = Score(), Score(), 0
    with open_corpus() as connection:
        for case in (case for cases in in_turn(connection) for case in cases):
            if case.title not in DECLARED:
                expected = [is_not_null for _, is_not_null in case.columns]
                columns += len(expected)
                ours.add(expected, [not column.is_nullable for column in verdicts[case.title].columns])
                walk.add(expected, not_null_columns(connection, case.text))
        version = connection.info.server_version // 10000
    with capsys.disabled():
        sys.stdout.write(f"\nPostgreSQL {version}, {columns} columns\n  analyser   {ours}\n  plan walk  {walk}\n")

    assert ours.wrong == ours.unknown == 0
    assert ours.needless <= len(NEEDLESS)
    assert walk.wrong >= 10
    assert walk.needless >= 10
    assert walk.unknown >= 100
