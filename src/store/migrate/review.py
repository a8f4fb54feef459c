"""
Looking at migrations and schemas without changing either: lint, fingerprint, rehearsal, verify.
"""

from store.migrate._fingerprint import difference, digest
from store.migrate._lint import Review, review, stale, write
from store.migrate._rehearse import Tried, rehearse
from store.migrate._rules import Breach
from store.migrate._scratch import Scratch, check_version, scratch, version_like
from store.migrate._verify import Verified, live_lines, verify_live, verify_scratch
from store.migrate._weigh import LARGE, SMALL, Size

__all__ = [
    "LARGE",
    "SMALL",
    "Breach",
    "Review",
    "Scratch",
    "Size",
    "Tried",
    "Verified",
    "check_version",
    "difference",
    "digest",
    "live_lines",
    "rehearse",
    "review",
    "scratch",
    "stale",
    "verify_live",
    "verify_scratch",
    "version_like",
    "write",
]
