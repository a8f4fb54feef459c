"""
Catalogues from and to files, by COPY and in constant memory.
"""

from store._bulk.export import ExportReport, export_products
from store._bulk.run import ImportReport, Tick, import_products

__all__ = ["ExportReport", "ImportReport", "Tick", "export_products", "import_products"]
