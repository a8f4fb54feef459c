"""
Users: what makes one, what is known of one.
"""

from __future__ import annotations

from pydantic import AwareDatetime, Field, SecretStr

from store.models.values import UNSET, Dto, Email, Id, Input, PasswordHash, Username


class NewUser(Input, frozen=True):
    """
    A user to be created. The hash is made by the caller, or by `users.register` from a password.
    """

    username: Username = Field(repr=False)
    email: Email = Field(repr=False)
    password_hash: PasswordHash = Field(exclude=True, repr=False)


class UserUpdate(Dto, frozen=True):
    """
    What changes of a user: a field that is not set stays.
    """

    username: Username = Field(default=UNSET, repr=False)
    email: Email = Field(default=UNSET, repr=False)


class User(Dto, frozen=True):
    """
    A user. The password hash is not part of it.
    """

    id: Id
    username: str = Field(repr=False)
    email: str = Field(repr=False)
    is_active: bool
    created_at: AwareDatetime
    updated_at: AwareDatetime


class Credentials(User, frozen=True):
    """
    A user with the hash to verify; never handed out.
    """

    password_hash: SecretStr = Field(exclude=True, repr=False)
