"""
Passwords: hashed and verified with argon2id (extra `auth`).

Nothing here is fast on purpose, and nothing tells a login that exists from one that does not: a verification always runs,
against a hash of nobody's password where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from store._distribution import missing_extra
from store.errors import InvalidInput

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_LENGTH = 8
MAX_LENGTH = 1024
PLACEHOLDER = "$placeholder$placeholder$"
"""Has the form of a hash and verifies nothing: stands in while the other fields are checked."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Whether a password is right, and a new hash of it when the stored one was made with other parameters.
    """

    is_right: bool
    new_hash: str | None = field(default=None, repr=False)


def make_hash(password: object) -> str:
    """
    Return the argon2id hash of a password. Raises InvalidInput for one that is too short or too long.
    """
    if not isinstance(password, str) or not MIN_LENGTH <= len(password) <= MAX_LENGTH or not _is_text(password):
        message = f"password: must be text of {MIN_LENGTH} to {MAX_LENGTH} characters"
        raise InvalidInput(message, field="password")
    return _hasher().hash(password)


def verify(expected: str | None, password: object) -> Verdict:
    """
    Return whether this is the password behind a hash; always as slow as one verification, also for no hash.
    """
    from argon2.exceptions import Argon2Error, InvalidHashError  # the extra may be absent

    is_usable = isinstance(password, str) and len(password) <= MAX_LENGTH and _is_text(password)
    given = password if isinstance(password, str) and is_usable else ""
    hasher = _hasher()
    try:
        hasher.verify(expected or _nobodys_hash(), given)
    except (Argon2Error, InvalidHashError):
        return Verdict(is_right=False)
    if expected is None or not is_usable:
        return Verdict(is_right=False)
    return Verdict(is_right=True, new_hash=hasher.hash(given) if hasher.check_needs_rehash(expected) else None)


@cache
def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher  # the extra may be absent
    except ImportError:
        raise missing_extra("auth", "registering and authenticating users") from None
    return PasswordHasher()


@cache
def _nobodys_hash() -> str:
    return _hasher().hash("nobody has this password")


def _is_text(password: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in password)
