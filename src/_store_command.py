"""
The way into the command `store`. Not in the package, whose import takes most of the time before a command begins.
"""

from __future__ import annotations

import os
import signal


def _leave(_signal: int, _frame: object) -> None:
    os._exit(130)


def main() -> int:
    """
    Run the command line and return its exit code. Until a command begins, Ctrl-C ends it at once, with 130 and without a word.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, _leave)
    from store.__main__ import main as run

    return run()
