"""Checkpoints (C2SP tlog-checkpoint): the signed head of a log's tree."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tenure.errors import Malformed, Unverified
from tenure.ledger.base64 import from_base64, to_base64
from tenure.ledger.merkle import HASH_SIZE
from tenure.ledger.note import (
    COSIGNATURE,
    Signature,
    Signer,
    Verifier,
    is_name,
    note_body,
    open_note,
    sign_note,
)

MAX_SIZE = 2**63 - 1

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LINES = 3


class Checkpoint(NamedTuple):
    """Origin (the log's identity), number of entries, and root hash (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def body(self) -> str:
        """The note text: three lines, no extension lines."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"

    @classmethod
    def parse(cls, body: str) -> "Checkpoint":
        """Read a note text. Extension lines are tolerated. Raises `Unverified` ("checkpoint-format")."""
        lines = body.removesuffix("\n").split("\n")
        if body.endswith("\n") and len(lines) >= _LINES and all(lines) and _SIZE.fullmatch(lines[1]):
            try:
                checkpoint = cls(lines[0], int(lines[1]), from_base64(lines[2]))
            except ValueError:
                checkpoint = None
            if checkpoint and len(checkpoint.root) == HASH_SIZE and checkpoint.size <= MAX_SIZE:
                return checkpoint
        raise Unverified("checkpoint-format", "The note is not a checkpoint (C2SP tlog-checkpoint).")


class SignedCheckpoint(NamedTuple):
    """A checkpoint whose log signature holds, and the cosignatures that hold too."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]
    cosignatures: tuple[Signature, ...]


def sign_checkpoint(checkpoint: Checkpoint, signers: Iterable[Signer]) -> str:
    """The signed note. Raises `Malformed` when the origin cannot name a key (spaces, `+`)."""
    if not is_name(checkpoint.origin):
        raise Malformed(
            "A log's origin is not empty and has no spaces and no `+`. Nothing was signed.", rule="origin"
        )
    return sign_note(checkpoint.body, signers)


def open_checkpoint(text: str, verifiers: Sequence[Verifier]) -> SignedCheckpoint:
    """Check a checkpoint's signatures and read it.

    The log's key has the log's origin as its name, so a key of one log vouches for no other: a checkpoint
    that only keys of other names signed raises `Unverified` ("origin-mismatch"). Also raises what
    `open_note` and `Checkpoint.parse` raise.
    """
    note = open_note(text, verifiers)
    checkpoint = Checkpoint.parse(note.body)
    witnesses = {(key.name, key.key_id) for key in verifiers if key.algorithm == COSIGNATURE}
    cosignatures = tuple(line for line in note.verified if line[:2] in witnesses)
    signatures = tuple(
        line for line in note.verified if line not in cosignatures and line.name == checkpoint.origin
    )
    if not signatures:
        raise Unverified("origin-mismatch", "The checkpoint is of another log than the key is for.")
    return SignedCheckpoint(checkpoint, signatures, cosignatures)


def peek_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint without checking signatures: for messages and routing, never for trust."""
    return Checkpoint.parse(note_body(text))
