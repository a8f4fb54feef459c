"""
Addresses: as an order freezes them, as a user keeps them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field

from store.models.values import Id, Input, Line, Short


class PostalAddress(Input, frozen=True):
    """
    Where a parcel or an invoice goes. An order keeps a copy.
    """

    name: Line = Field(repr=False)
    line1: Line = Field(repr=False)
    line2: Line | None = Field(default=None, repr=False)
    city: Line = Field(repr=False)
    region: Line | None = Field(default=None, repr=False)
    postal_code: Short | None = Field(default=None, repr=False)
    country: Annotated[str, Field(strict=True, pattern=r"^[A-Z]{2}$")] = Field(repr=False)
    phone: Short | None = Field(default=None, repr=False)


class Address(PostalAddress, frozen=True):
    """
    An address in the book of a user.
    """

    id: Id
    user_id: Id
    created_at: AwareDatetime
    updated_at: AwareDatetime


def _as_postal(value: Any) -> Any:
    """
    Take an address of a book for the postal address it is.
    """
    if isinstance(value, Address):
        return {name: found for name, found in vars(value).items() if name in PostalAddress.model_fields}
    return value


Postal = Annotated[PostalAddress, BeforeValidator(_as_postal)]
