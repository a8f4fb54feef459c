"""
The command `store`, and `python -m store`.
"""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def main() -> int:
    """
    Run the command line and return its exit code.
    """
    try:
        return _run()
    except KeyboardInterrupt:  # before a command had begun, or where it has no answer of its own
        return 130


def _run() -> int:
    # What takes time is imported here: at the top of the module, nothing would answer Ctrl-C yet.
    try:
        from store.cli import run  # the extra may be absent
    except ImportError as error:
        if error.name not in {"typer", "rich"}:
            raise
        from store import _distribution

        sys.stderr.write(f"store: {_distribution.missing_extra('cli', 'the command line')}\n")
        return 2
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on a command answers Ctrl-C itself
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)  # a CI that cancels, a container that stops: what was begun is undone
    return run()


def _terminated(_signal: int, _frame: object) -> NoReturn:
    # The first one counts: `timeout` sends two, and the second would end what cleans up after the first.
    signal.signal(signal.SIGTERM, _unheard)
    raise KeyboardInterrupt


def _unheard(_signal: int, _frame: object) -> None:
    # Not SIG_IGN, which the programs that clean up would inherit.
    pass


if __name__ == "__main__":
    sys.exit(main())
