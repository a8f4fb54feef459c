"""
Catalogues and invoices from and to files, by COPY and in constant memory.
"""

from store.bulk._export import ExportReport, export_products
from store.bulk._files import Place
from store.bulk._orders import Layout, OrderImportReport, import_orders
from store.bulk._products import Delimiter, ProductImportReport, import_products
from store.bulk._reports import FileReport
from store.bulk._staging import Progress, Tick

__all__ = [
    "Delimiter",
    "ExportReport",
    "FileReport",
    "Layout",
    "OrderImportReport",
    "Place",
    "ProductImportReport",
    "Progress",
    "Tick",
    "export_products",
    "import_orders",
    "import_products",
]
