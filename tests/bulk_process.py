"""
An import or export in a process of its own, to be interrupted or weighed: `bulk_process.py import|orders ROWS LENGTH` or
`... export`.

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
from store.bulk import ExportReport, OrderImportReport, ProductImportReport, export_products, import_orders, import_products


class Generated:
    """
    A file of so many products, with descriptions of this length, that is made while it is read.
    """

    def __init__(self, rows: int, length: int) -> None:
        self._blocks = self._generate(rows, ("a description " * (length // 10 + 1))[:length])
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


class Invoices(Generated):
    """
    A file of so many lines, twenty an invoice, every tenth invoice a cancellation of half of the one before.
    """

    @staticmethod
    def _generate(rows: int, text: str) -> Iterator[bytes]:
        yield b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Note\n"
        for start in range(0, rows, 500):
            yield "".join(Invoices._line(number, text) for number in range(start, min(start + 500, rows))).encode()

    @staticmethod
    def _line(number: int, text: str) -> str:
        invoice = number // 20
        is_cancellation = invoice % 10 == 9
        sold = number - 20 if is_cancellation else number
        code, price, quantity = sold * 7 % 4000, sold % 9 + 1, -1 if is_cancellation else 2
        day = f"2011-{invoice // 20 % 12 + 1:02}-01 08:00:00"
        return f"{'C' * is_cancellation}{invoice},{code + 10000},Lamp,{quantity},{day},{price}.99,{sold // 20 % 5000},{text}\n"


def peak() -> int:
    """
    Return the most memory this program had. On Linux ru_maxrss would do for nothing: exec keeps it, so it tells of the parent.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: in bytes
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def main(command: str, rows: str = "0", length: str = "0") -> None:
    report: ProductImportReport | OrderImportReport | ExportReport
    settings = Settings(database_url=SecretStr(os.environ["STORE_TEST_BULK_DSN"]), pool_size=1)
    with Store.open(settings) as store:
        if command == "import":
            report = import_products(store, Generated(int(rows), int(length)), dry_run=True)  # type: ignore[arg-type]  # it can read
        elif command == "orders":
            report = import_orders(store, Invoices(int(rows), int(length)), dry_run=True)  # type: ignore[arg-type]  # the same
        else:
            report = export_products(store, "/dev/null")
    json.dump({"rows": report.rows, "peak": peak()}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
