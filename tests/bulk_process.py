"""
An import or export in a process of its own, to be interrupted or weighed: `bulk_process.py import ROWS LENGTH` or `... export`.

The DSN comes in STORE_TEST_BULK_DSN. Ends by printing one JSON object: the report and the peak of memory in bytes.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from store import Settings, Store
from store._bulk import export_products, import_products


class Generated:
    """
    A file of so many products, with descriptions of this length, that is made while it is read.
    """

    def __init__(self, rows: int, length: int) -> None:
        self._blocks = self._generate(rows, ("a description " * (length // 10))[:length])
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (block := next(self._blocks, b"")):
            self._rest += block
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    @staticmethod
    def _generate(rows: int, text: str) -> Iterator[bytes]:
        yield b"sku,name,description,price,on_hand\n"
        for start in range(0, rows, 500):
            yield "".join(
                f'P-{number:07},Product {number},"{text}",{number % 900 + 1}.{number % 100:02},{number % 50}\n'
                for number in range(start, min(start + 500, rows))
            ).encode()


def peak() -> int:
    """
    Return the most memory this program had. On Linux ru_maxrss would do for nothing: exec keeps it, so it tells of the parent.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: in bytes
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def main(command: str, rows: str = "0", length: str = "0") -> None:
    settings = Settings(database_url=SecretStr(os.environ["STORE_TEST_BULK_DSN"]), pool_size=1)
    with Store.open(settings) as store:
        if command == "import":
            report = import_products(store, Generated(int(rows), int(length)), dry_run=True)  # type: ignore[arg-type]  # it can read
        else:
            report = export_products(store, "/dev/null")
    json.dump({"rows": report.rows, "peak": peak()}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
