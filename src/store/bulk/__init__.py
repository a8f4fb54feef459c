"""
Catalogues and invoices from and to files, by COPY and in constant memory.
"""

from store.bulk._export import ExportReport, export_products
from store.bulk._files import Place
from store.bulk._orders import Layout, OrderImportReport, import_orders
from store.bulk._products import Delimiter, ImportReport, import_products
from store.bulk._staging import Progress, Tick

__all__ = [
    "Delimiter",
    "ExportReport",
    "ImportReport",
    "Layout",
    "OrderImportReport",
    "Place",
    "Progress",
    "Tick",
    "export_products",
    "import_orders",
    "import_products",
]
