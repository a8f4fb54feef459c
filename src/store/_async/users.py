"""
Users: all of them for the back office, the own one for a shopper.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from store import _passwords
from store._acompat import ato_thread
from store._arguments import changes, checked, existing, in_order, several
from store._async.queries import queries
from store._async.runner import AsyncRunner
from store._cursors import decode, encode
from store.errors import Conflict, InvalidCredentials, InvalidInput, NotFound, StoreError
from store.models import (
    Credentials,
    Email,
    Id,
    Instant,
    LockedCart,
    NewUser,
    Page,
    PageSize,
    PasswordHash,
    Text,
    User,
    UserUpdate,
)


class AsyncUsers:
    """
    People who can log in.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def activate(self, user_id: int) -> User:
        """
        Let a user log in again. Raises NotFound.
        """
        return await _update(self._runner, user_id, {"is_active": True}, None)

    async def authenticate(self, login: str, password: str) -> User:
        """
        Return the user whose user name or e-mail address and password these are, and store a new hash when the parameters of
        hashing have moved since. Takes as long for a user that does not exist.

        Raises InvalidCredentials, for whatever reason it is; MissingExtra without the extra `auth`.
        """
        found = await self._credentials(login)
        expected = found.password_hash.get_secret_value() if found is not None else None
        verdict = await ato_thread(_passwords.verify, expected, password)
        if found is None or not verdict.is_right or not found.is_active:
            raise InvalidCredentials
        if verdict.new_hash is not None:
            with suppress(StoreError):  # read-only, locked, lost: the login is right all the same, and the next one tries again
                await self._runner.affected(
                    queries.users.rehash_password,
                    user_id=found.id,
                    password_hash=verdict.new_hash,
                    expected_updated_at=found.updated_at,
                )
        return User.model_validate(found.model_dump(exclude={"password_hash"}))

    async def create(self, user: NewUser) -> User:
        """
        Create a user. Raises DuplicateUsername or DuplicateEmail.
        """
        return (await self.create_many((user,)))[0]

    async def create_many(self, users: Iterable[NewUser]) -> tuple[User, ...]:
        """
        Create up to 10,000 users, all or none, and return them in the order given. Raises DuplicateUsername or DuplicateEmail.
        """
        new = several("users", NewUser, users)
        if not new:
            return ()
        created = await self._runner.many(
            User,
            queries.users.create_users,
            usernames=[user.username for user in new],
            emails=[user.email for user in new],
            password_hashes=[user.password_hash.get_secret_value() for user in new],
        )
        return tuple(created)

    async def deactivate(self, user_id: int) -> User:
        """
        Forbid a user to log in; what they have stays. Raises NotFound.
        """
        return await _update(self._runner, user_id, {"is_active": False}, None)

    async def delete(self, user_id: int) -> None:
        """
        Delete a user with their carts, what those hold, and their addresses. Orders stay, without the user and out of reach of
        whoever knew the secret of the cart they were. Locks their carts, orders, the stock by ascending product, the holds, and
        the user.

        Raises NotFound, or Conflict when a cart that they got meanwhile holds something: then nothing was written.
        """
        user_id = checked("user_id", Id, user_id)
        async with self._runner.transaction() as tx:
            await tx.many(LockedCart, queries.users.lock_user_carts, user_id=user_id)
            await tx.affected(queries.users.detach_user_orders, user_id=user_id)
            await tx.affected(queries.users.release_user_holds, user_id=user_id)
            if not await tx.affected(queries.users.delete_user, user_id=user_id):
                raise NotFound.of("user", user_id)

    async def find_by_email(self, email: str) -> User | None:
        """
        Return the user with this e-mail address, in any spelling of it, or None.
        """
        return await self._runner.one_or_none(User, queries.users.find_user_by_email, email=checked("email", Email, email))

    async def find_by_username(self, username: str) -> User | None:
        """
        Return the user with this user name, in any case, or None.
        """
        return await self._runner.one_or_none(
            User, queries.users.find_user_by_username, username=checked("username", Text, username)
        )

    async def get(self, user_id: int) -> User:
        """
        Return a user. Raises NotFound.
        """
        return await _get(self._runner, user_id)

    async def get_many(self, user_ids: Iterable[int]) -> tuple[User, ...]:
        """
        Return up to 10,000 users in the order of their ids. Raises NotFound, naming ids that do not exist.
        """
        ids = several("user_ids", Id, user_ids)
        return in_order("user", ids, await self._runner.many(User, queries.users.get_users, user_ids=ids) if ids else ())

    async def list(self, *, cursor: str | None = None, page_size: int = 50) -> Page[User]:
        """
        Return a page of users, oldest first. Raises InvalidCursor for a cursor of something else.
        """
        page_size = checked("page_size", PageSize, page_size)
        after = 0 if cursor is None else decode("users", Text, cursor)[1]
        found = await self._runner.many(User, queries.users.list_users, after_id=after, page_size=page_size)
        page = tuple(found[:page_size])
        return Page(page, encode("users", "", page[-1].id) if len(found) > page_size else None)

    async def register(self, username: str, email: str, password: str) -> User:
        """
        Create a user from a password of 8 to 1,024 characters, hashed with argon2id.

        Raises DuplicateUsername, DuplicateEmail, InvalidInput; MissingExtra without the extra `auth`.
        """
        fields = {"username": username, "email": email}
        checked("user", NewUser, fields | {"password_hash": _passwords.PLACEHOLDER})
        password_hash = await ato_thread(_passwords.make_hash, password)
        return await self.create(checked("user", NewUser, fields | {"password_hash": password_hash}))

    async def set_password(self, user_id: int, password_hash: str | SecretStr) -> None:
        """
        Replace the password hash of a user. Raises NotFound, or InvalidInput for what is no hash.
        """
        await _set_password(self._runner, user_id, password_hash)

    async def update(self, user_id: int, update: UserUpdate, *, expected_updated_at: datetime | None = None) -> User:
        """
        Change the fields that are set. Raises NotFound; DuplicateUsername or DuplicateEmail; Conflict when the user was changed
        after `expected_updated_at`.
        """
        return await _update(self._runner, user_id, changes(UserUpdate, update), expected_updated_at)

    async def _credentials(self, login: object) -> Credentials | None:
        try:
            name = checked("login", Email if isinstance(login, str) and "@" in login else Text, login)
        except InvalidInput:
            return None  # nobody has such a login; the caller is to learn no more than that
        return await self._runner.one_or_none(Credentials, queries.users.get_credentials, login=name)


class AsyncOwnUser:
    """
    The account of the shopper who is logged in. A guest has none: NotFound.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def get(self) -> User:
        """
        Return the own account. Raises NotFound.
        """
        return await _get(self._runner, self._id())

    async def set_password(self, password_hash: str | SecretStr) -> None:
        """
        Replace the own password hash. Raises NotFound, or InvalidInput for what is no hash.
        """
        await _set_password(self._runner, self._id(), password_hash)

    async def update(self, update: UserUpdate, *, expected_updated_at: datetime | None = None) -> User:
        """
        Change the fields that are set. Raises NotFound, DuplicateUsername, DuplicateEmail or Conflict.
        """
        return await _update(self._runner, self._id(), changes(UserUpdate, update), expected_updated_at)

    def _id(self) -> int:
        if self._runner.scope.user_id is None:
            message = "a guest has no account"
            raise NotFound(message)
        return self._runner.scope.user_id


async def _get(runner: AsyncRunner, user_id: int) -> User:
    user_id = checked("user_id", Id, user_id)
    return existing("user", await runner.one_or_none(User, queries.users.get_user, user_id=user_id), user_id)


async def _set_password(runner: AsyncRunner, user_id: int, password_hash: str | SecretStr) -> None:
    user_id = checked("user_id", Id, user_id)
    secret = checked("password_hash", PasswordHash, password_hash).get_secret_value()
    if not await runner.affected(queries.users.set_password_hash, user_id=user_id, password_hash=secret):
        raise NotFound.of("user", user_id)


async def _update(runner: AsyncRunner, user_id: int, given: dict[str, Any], expected: datetime | None) -> User:
    user_id = checked("user_id", Id, user_id)
    expected = checked("expected_updated_at", Instant | None, expected)
    parameters = {"username": None, "email": None, "is_active": None} | given
    updated = await runner.one_or_none(
        User, queries.users.update_user, user_id=user_id, expected_updated_at=expected, **parameters
    )
    if updated is None and expected is not None:
        await _get(runner, user_id)
        message = f"user {user_id} was changed in the meantime"
        raise Conflict(message)
    return existing("user", updated, user_id)
