"""
Looking at migrations and schemas without changing either: lint, fingerprint, verify.
"""

from store.migrate._fingerprint import difference, digest
from store.migrate._lint import Review, review, stale, write
from store.migrate._rules import Finding
from store.migrate._scratch import Scratch, scratch
from store.migrate._verify import Verified, live_lines, verify_live, verify_scratch

__all__ = [
    "Finding",
    "Review",
    "Scratch",
    "Verified",
    "difference",
    "digest",
    "live_lines",
    "review",
    "scratch",
    "stale",
    "verify_live",
    "verify_scratch",
    "write",
]
