"""
Keyset cursors: where a page ended, as an opaque word.

A cursor names its listing, so that one of another sort is refused, and carries a checksum, so that a damaged or invented one
is. It is no secret and grants nothing: it only says after which row to go on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from pydantic import ValidationError

from store._arguments import checked
from store.errors import InvalidCursor, InvalidInput
from store.models import Id

_MAX_LENGTH = 4000
_CHECKSUM = 6


def encode(listing: str, key: Any, row_id: int) -> str:
    """
    Return the cursor behind this row of this listing.
    """
    body = json.dumps([listing, str(key), row_id], separators=(",", ":"), ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(_checksum(body) + body).rstrip(b"=").decode()


def decode(listing: str, kind: Any, cursor: str) -> tuple[Any, int]:
    """
    Return the sort key and the id that a cursor of this listing holds. Raises InvalidCursor for anything else.
    """
    found = _read(cursor)
    if found is not None and found[0] == listing:
        try:
            return checked("cursor", kind, found[1]), checked("cursor", Id, found[2])
        except (InvalidInput, ValidationError):
            found = None
    raise InvalidCursor(field="cursor")


def _read(cursor: object) -> tuple[Any, Any, Any] | None:
    if type(cursor) is not str or not cursor.isascii() or len(cursor) > _MAX_LENGTH:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        body = raw[_CHECKSUM:]
        if _checksum(body) != raw[:_CHECKSUM]:
            return None
        listing, key, row_id = json.loads(body)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        return None
    return listing, key, row_id


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2s(body, digest_size=_CHECKSUM, person=b"cursor").digest()
