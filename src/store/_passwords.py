"""
Passwords: hashed and verified with argon2id (extra `auth`).

Nothing here is fast on purpose, and nothing tells a login that exists from one that does not: a verification always runs,
against a hash of nobody's password where there is none.
"""

from __future__ import annotations

from contextlib import suppress
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
    return _hasher()[0].hash(password)


def verify(expected: str | None, password: object) -> Verdict:
    """
    Return whether this is the password behind a hash; always as slow as one verification with today's parameters.

    Raises InvalidInput for what is no text.
    """
    from argon2.exceptions import Argon2Error, InvalidHashError  # the extra may be absent

    if not isinstance(password, str):
        message = "password: must be text"
        raise InvalidInput(message, field="password")
    is_usable = len(password) <= MAX_LENGTH and _is_text(password)
    given = password if is_usable else ""
    hasher, nobodys_hash = _hasher()
    is_right = is_current = False
    try:
        is_current = expected is not None and not hasher.check_needs_rehash(expected)
        hasher.verify(expected or nobodys_hash, given)
        is_right = expected is not None and is_usable
    except (Argon2Error, InvalidHashError):
        is_right = False
    if not is_right:
        if expected is not None and not is_current:
            # Another kind of hash, or weaker parameters, answers sooner: that would tell that this login exists.
            with suppress(Argon2Error):
                hasher.verify(nobodys_hash, given)
        return Verdict(is_right=False)
    return Verdict(is_right=True, new_hash=None if is_current else hasher.hash(given))


@cache
def _hasher() -> tuple[PasswordHasher, str]:
    """
    Return the hasher and the hash that stands in for users who do not exist, made together: no login is the first to wait.
    """
    try:
        from argon2 import PasswordHasher  # the extra may be absent
    except ImportError:
        raise missing_extra("auth", "registering and authenticating users") from None
    hasher = PasswordHasher()
    return hasher, hasher.hash("nobody has this password")


def _is_text(password: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in password)
