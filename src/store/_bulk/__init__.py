"""
Catalogues and invoices from and to files, by COPY and in constant memory.
"""

from store._bulk.export import ExportReport, export_products
from store._bulk.orders import OrderImportReport, import_orders
from store._bulk.run import ImportReport, import_products
from store._bulk.staging import Tick

__all__ = ["ExportReport", "ImportReport", "OrderImportReport", "Tick", "export_products", "import_orders", "import_products"]
