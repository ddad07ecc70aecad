"""What a witness decides (C2SP tlog-witness, "add-checkpoint"): cosign a log's head, or refuse and why.

Pure: the caller keeps the heads. Between `decide` and the new head being on disk nobody else may decide for
the same log, and the cosignature leaves only after it: else an older head could come back and a fork pass.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tenure.errors import TenureError, Unverified
from tenure.ledger.base64 import from_base64
from tenure.ledger.checkpoint import MAX_SIZE, Checkpoint, open_checkpoint, peek_checkpoint
from tenure.ledger.merkle import EMPTY_ROOT, HASH_SIZE, verify_consistency
from tenure.ledger.note import ED25519, Verifier

MAX_PROOF = 63
MALFORMED, FORBIDDEN, UNKNOWN, CONFLICT, UNPROVEN = 400, 403, 404, 409, 422
SIZE_TYPE = "text/x.tlog.size"
"""Content type of the answer 409, whose body is the stored size and a newline."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class Head(NamedTuple):
    """The latest cosigned size and root of a log."""

    size: int
    root: bytes


START = Head(0, EMPTY_ROOT)
"""Of a log that was never cosigned."""

Logs = Mapping[str, Sequence[Verifier]]
"""Origin → the log's keys."""


class Request(NamedTuple):
    """A parsed `add-checkpoint` body: the old size, the proof from it, and the checkpoint (signed note)."""

    old: int
    proof: tuple[bytes, ...]
    note: str
    checkpoint: Checkpoint


class Refused(TenureError):
    """The witness does not cosign. `status` is the HTTP status; `size` the stored size, with 409 only."""

    def __init__(self, status: int, rule: str, detail: str, *, size: int | None = None) -> None:
        super().__init__(detail, rule=rule)
        self.status = status
        self.size = size


def parse_request(raw: bytes) -> Request:
    """Read an `add-checkpoint` body. Raises `Refused` (400)."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _malformed("The body is not UTF-8.") from None
    head, blank, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    old = _OLD.fullmatch(first)
    if not blank or old is None or int(old[1]) > MAX_SIZE:
        raise _malformed("The body begins with the line `old SIZE`, then proof lines and an empty line.")
    if len(lines) > MAX_PROOF:
        raise _malformed(f"A proof has at most {MAX_PROOF} lines.")
    try:
        proof = tuple(map(from_base64, lines))
    except ValueError:
        raise _malformed("A proof line is not one hash in base64.") from None
    if any(len(digest) != HASH_SIZE for digest in proof):
        raise _malformed("A proof line is not one hash of 32 bytes.")
    try:
        return Request(int(old[1]), proof, note, peek_checkpoint(note))
    except Unverified as failure:
        raise _malformed(failure.detail) from None


def authenticate(request: Request, logs: Logs) -> None:
    """Whether a known log signed it. Raises `Refused`: 404 unknown origin, 403 no good signature."""
    origin = request.checkpoint.origin
    # A witness's key must not pass for a log's: it signs other texts.
    keys = [key for key in logs.get(origin, ()) if key.algorithm == ED25519]
    if not keys:
        raise Refused(UNKNOWN, "origin", "This witness does not know the log. Have it registered first.")
    try:
        open_checkpoint(request.note, keys)
    except Unverified as failure:
        raise Refused(FORBIDDEN, failure.check, f"{failure.detail} Nothing was cosigned.") from None


def decide(request: Request, stored: Head) -> Head:
    """The head to store and then to cosign, for an authenticated request.

    Raises `Refused`: 400 old size above the checkpoint's, 409 old size is not the stored one, 422 another
    past. In the order of the document, so that a refusal tells a lagging log from a forked one.
    """
    new = Head(request.checkpoint.size, request.checkpoint.root)
    if request.old > new.size:
        raise _malformed("The old size is above the checkpoint's size.")
    if request.old != stored.size:
        raise Refused(CONFLICT, "old-size", "Another size was cosigned last.", size=stored.size)
    if new.size == 0 and new.root != EMPTY_ROOT:
        raise _unproven("An empty log has the root of the empty tree.")
    if request.old == 0 and request.proof:
        raise _unproven("Nothing is to be proven from size 0; the proof must be empty.")
    # `stored.root`, never a root that the request brings: this is what makes a fork fail.
    if request.old and not verify_consistency(stored.size, new.size, stored.root, new.root, request.proof):
        raise _unproven("The checkpoint is not shown to extend the one that was cosigned last.")
    return new


def _malformed(detail: str) -> Refused:
    return Refused(MALFORMED, "add-checkpoint", f"{detail} Nothing was cosigned. See C2SP tlog-witness.")


def _unproven(detail: str) -> Refused:
    return Refused(UNPROVEN, "consistency", f"{detail} Nothing was cosigned.")
