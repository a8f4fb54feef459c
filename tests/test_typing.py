"""
The types a program sees: a right one passes both checkers, and every mistake in it is found.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.serverless

ROOT = Path(__file__).resolve().parent.parent
CONSUMER = ROOT / "tests" / "typing" / "consumer.py"
OF_QUERIES = ROOT / "tests" / "typing" / "queries_consumer.py"
consumers = pytest.mark.parametrize("consumer", [CONSUMER, OF_QUERIES], ids=lambda path: path.stem)


def check(*command: str) -> str:
    """
    Run a checker in the checkout and return what it found.
    """
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, check=False, cwd=ROOT, text=True, timeout=300)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@consumers
def test_mypy_passes_the_consumer(consumer: Path) -> None:
    """
    Every promised type holds, and each ignored mistake is one (warn_unused_ignores is part of strict).
    """
    assert check("mypy", str(consumer)) == ""


@consumers
def test_pyright_passes_the_consumer(consumer: Path) -> None:
    assert check("pyright", "--pythonpath", sys.executable, str(consumer)) == ""


@consumers
def test_a_mistake_that_is_not_ignored_is_found(tmp_path: Path, consumer: Path) -> None:
    """
    Without its ignores the same program has an error for each of them.
    """
    text = consumer.read_text(encoding="utf-8")
    (tmp_path / "app").symlink_to(consumer.parent / "app")
    bare = tmp_path / "bare.py"
    bare.write_text(
        "".join(line.partition("  # type: ignore")[0].rstrip("\n") + "\n" for line in text.splitlines(keepends=True))
    )
    found = check("mypy", str(bare))

    assert text.count("# type: ignore[") > 10
    assert found.count(" error: ") >= text.count("# type: ignore[")
