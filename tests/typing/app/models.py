"""
The rows of the team's queries.
"""

from decimal import Decimal

from pydantic import BaseModel


class TopProduct(BaseModel, frozen=True, extra="forbid"):
    """
    A product and what was sold of it.
    """

    product_id: int
    name: str
    revenue: Decimal
