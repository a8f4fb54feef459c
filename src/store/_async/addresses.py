"""
Address books: everybody's for the back office, the own one for a shopper.
"""

from __future__ import annotations

from store._arguments import checked, existing
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store._cursors import decode, encode
from store.errors import NotFound
from store.models import Address, Id, Page, PageSize, Postal, PostalAddress, Text


class AsyncAddressBook:
    """
    What may be done with addresses that one may see. Orders keep copies: nothing here changes one.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def delete(self, address_id: int) -> None:
        """
        Delete an address. Raises NotFound.
        """
        address_id = checked("address_id", Id, address_id)
        if not await self._runner.affected(queries.addresses.delete_address, address_id=address_id):
            raise NotFound.of("address", address_id)

    async def get(self, address_id: int) -> Address:
        """
        Return an address. Raises NotFound.
        """
        address_id = checked("address_id", Id, address_id)
        row = await self._runner.one_or_none(Address, queries.addresses.get_address, address_id=address_id)
        return existing("address", row, address_id)

    async def replace(self, address_id: int, address: PostalAddress) -> Address:
        """
        Replace an address as a whole. Raises NotFound.
        """
        address_id, new = checked("address_id", Id, address_id), checked("address", Postal, address)
        row = await self._runner.one_or_none(
            Address, queries.addresses.replace_address, address_id=address_id, **new.model_dump()
        )
        return existing("address", row, address_id)

    async def _create(self, user_id: int, address: PostalAddress) -> Address:
        new = checked("address", Postal, address)
        row = await self._runner.one_or_none(Address, queries.addresses.create_address, user_id=user_id, **new.model_dump())
        return existing("user", row, user_id)

    async def _page(self, user_id: int, cursor: str | None, page_size: int) -> Page[Address]:
        page_size = checked("page_size", PageSize, page_size)
        after = 0 if cursor is None else decode("addresses", Text, cursor)[1]
        found = await self._runner.many(
            Address, queries.addresses.list_addresses, user_id=user_id, after_id=after, page_size=page_size
        )
        page = tuple(found[:page_size])
        return Page(page, encode("addresses", "", page[-1].id) if len(found) > page_size else None)


class AsyncAddresses(AsyncAddressBook):
    """
    Everybody's addresses.
    """

    async def create(self, user_id: int, address: PostalAddress) -> Address:
        """
        Add an address to the book of a user. Raises NotFound.
        """
        return await self._create(checked("user_id", Id, user_id), address)

    async def list_for_user(self, user_id: int, *, cursor: str | None = None, page_size: int = 50) -> Page[Address]:
        """
        Return a page of the addresses of a user, oldest first. Raises InvalidCursor for a cursor of something else.
        """
        return await self._page(checked("user_id", Id, user_id), cursor, page_size)


class AsyncOwnAddresses(AsyncAddressBook):
    """
    The addresses of one shopper. A guest has none.
    """

    async def create(self, address: PostalAddress) -> Address:
        """
        Add an address to the own book. Raises NotFound for a guest.
        """
        return await self._create(self._id(), address)

    async def list(self, *, cursor: str | None = None, page_size: int = 50) -> Page[Address]:
        """
        Return a page of the own addresses, oldest first. Raises NotFound for a guest, and InvalidCursor for a cursor of
        something else.
        """
        return await self._page(self._id(), cursor, page_size)

    def _id(self) -> int:
        if self._runner.scope.user_id is None:
            message = "a guest has no address book"
            raise NotFound(message)
        return self._runner.scope.user_id
