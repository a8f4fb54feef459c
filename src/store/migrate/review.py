"""
Looking at migrations and schemas without changing either: lint, fingerprint, verify, gate.
"""

from store.migrate._fingerprint import difference, digest
from store.migrate._gate import gate, pending
from store.migrate._lint import Review, review, stale, write
from store.migrate._previous import OWN, Layout, Previous, previous
from store.migrate._rehearse import Tried, rehearse
from store.migrate._rules import Finding
from store.migrate._scratch import Scratch, check_version, scratch, version_like
from store.migrate._verdict import Gate, Need, Verdict
from store.migrate._verify import Verified, live_lines, verify_live, verify_scratch
from store.migrate._weigh import LARGE, SMALL, Size

__all__ = [
    "LARGE",
    "OWN",
    "SMALL",
    "Finding",
    "Gate",
    "Layout",
    "Need",
    "Previous",
    "Review",
    "Scratch",
    "Size",
    "Tried",
    "Verdict",
    "Verified",
    "check_version",
    "difference",
    "digest",
    "gate",
    "live_lines",
    "pending",
    "previous",
    "rehearse",
    "review",
    "scratch",
    "stale",
    "verify_live",
    "verify_scratch",
    "version_like",
    "write",
]
