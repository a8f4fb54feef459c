"""
The command `store`, and `python -m store`.
"""

from __future__ import annotations

import signal
import sys

from store import _distribution


def main() -> int:
    """
    Run the command line and return its exit code.
    """
    try:
        return _run()
    except KeyboardInterrupt:  # before a command had begun, or where it has no answer of its own
        return 130


def _run() -> int:
    try:
        from store.cli import run  # the extra may be absent
    except ImportError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.stderr.write(f"store: {_distribution.missing_extra('cli', 'the command line')}\n")
        return 2
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on a command answers Ctrl-C itself
    return run()


if __name__ == "__main__":
    sys.exit(main())
