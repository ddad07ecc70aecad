"""That a checkpoint of a tenant's log is in the cell's log: so witnesses need to know one log only.

    salt, checkpoint ─► commitment ─► batch of one round ─► entry `tenant.checkpoint` ─► cell's checkpoint

Readers of the cell's log see one random-looking root for each round: neither which tenants there are, nor
how many, nor how large their logs. Whoever holds a salt can open its own. Format: docs/spec/ledger.md,
"Cell log".
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tenure.errors import Unverified
from tenure.ledger.base64 import from_base64, to_base64
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint, peek_checkpoint
from tenure.ledger.entry import Kind, parse_entry
from tenure.ledger.merkle import HASH_SIZE, leaf_hash, node_hash, verify_inclusion
from tenure.ledger.note import COSIGNATURE, Verifier
from tenure.ledger.report import Failure
from tenure.mac import hmac_sha256

SALT_BYTES: Final = 32
MAX_BATCH_HEIGHT: Final = 32
DATA: Final = "checkpoints"
"""The member of the entry's `data` that holds the batch's root, in hex."""

_DOMAIN = b"tenure/v1/checkpoint"
_MAX_PROOF = 63
_MEMBERS = frozenset({"salt", "place", "batch", "entry", "index", "proof", "checkpoint"})


@dataclass(frozen=True, slots=True)
class CellProof:
    """What opens one checkpoint's place in the cell's log."""

    salt: bytes
    place: int
    """The commitment's place in its batch, from 0."""
    batch: tuple[bytes, ...]
    """From the commitment to the batch's root, its sibling first; the batch has 2^len places."""
    entry: bytes
    """The cell's entry, its exact bytes."""
    index: int
    proof: tuple[bytes, ...]
    checkpoint: str
    """The cell's signed checkpoint, with its cosignatures."""

    def members(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "salt": to_base64(self.salt),
            "place": self.place,
            "batch": [to_base64(one) for one in self.batch],
            "entry": to_base64(self.entry),
            "index": self.index,
            "proof": [to_base64(one) for one in self.proof],
            "checkpoint": self.checkpoint,
        }

    @classmethod
    def parse(cls, members: object) -> "CellProof":
        """Read the JSON form. ValueError when it is none; the set of members is closed."""
        if type(members) is not dict or members.keys() != _MEMBERS:
            raise ValueError("not a cell proof")
        if type(members["checkpoint"]) is not str:
            raise ValueError("the cell's checkpoint is not text")
        return cls(
            _exactly(from_base64(_text(members["salt"])), SALT_BYTES),
            _count(members["place"]),
            _hashes(members["batch"], MAX_BATCH_HEIGHT),
            from_base64(_text(members["entry"])),
            _count(members["index"]),
            _hashes(members["proof"], _MAX_PROOF),
            members["checkpoint"],
        )


@dataclass(frozen=True, slots=True)
class CellReport:
    """What a cell proof showed. `signed` only when a key of the cell's log was given and holds."""

    origin: str
    size: int
    index: int
    at: str
    """When the cell took the checkpoint in, by its own clock."""
    signed: bool
    witnesses: tuple[str, ...]


def commit(salt: bytes, checkpoint: Checkpoint) -> bytes:
    """HMAC-SHA256 (32 bytes) over origin, size and root, under a fresh salt of 32 bytes.

    Every part is preceded by its length (u32, big-endian); the size is u64.
    """
    parts = (_DOMAIN, checkpoint.origin.encode(), checkpoint.size.to_bytes(8), checkpoint.root)
    return hmac_sha256(salt, b"".join(len(part).to_bytes(4) + part for part in parts))


def fold(commitments: Sequence[bytes]) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """A round's batch: its root, and each commitment's path to it.

    The tree is RFC 6962's, over a number of leaves that is a power of two: it is filled up with random ones,
    so that a path tells no more than the order of magnitude of how many there were. ValueError for an empty
    batch.
    """
    if not commitments:
        raise ValueError("a batch has at least one commitment")
    width = 1 << (len(commitments) - 1).bit_length()
    filling = [secrets.token_bytes(HASH_SIZE) for _ in range(width - len(commitments))]
    level = [leaf_hash(one) for one in (*commitments, *filling)]
    paths: list[list[bytes]] = [[] for _ in commitments]
    height = 0
    while len(level) > 1:
        for place, path in enumerate(paths):
            path.append(level[(place >> height) ^ 1])
        level = [node_hash(level[n], level[n + 1]) for n in range(0, len(level), 2)]
        height += 1
    return level[0], [tuple(path) for path in paths]


def check(
    proof: CellProof, checkpoint: Checkpoint, verifiers: Sequence[Verifier]
) -> tuple[CellReport | None, list[Failure]]:
    """Whether `checkpoint` (of a tenant's log) is in the cell's log as the proof says.

    `verifiers` are keys of the cell's log, and of witnesses. Without one of the cell's log its signature is
    not checked, and the report says so. Failures: "cell-not-included", those of an entry, and those of
    `open_checkpoint`.
    """
    failures: list[Failure] = []
    signed = False
    witnesses: tuple[str, ...] = ()
    try:
        if any(key.algorithm != COSIGNATURE for key in verifiers):
            opened = open_checkpoint(proof.checkpoint, verifiers)
            cell, signed = opened.checkpoint, True
            witnesses = tuple(line.name for line in opened.cosignatures)
        else:
            cell = peek_checkpoint(proof.checkpoint)
        entry = parse_entry(proof.entry)
    except Unverified as failure:
        failures.append(Failure(failure.check, f"The cell's log: {failure.detail}"))
        return None, failures
    width = 1 << len(proof.batch)
    named = entry.get("data", {}).get(DATA)
    root = bytes.fromhex(named) if entry["kind"] == Kind.TENANT_CHECKPOINT and _is_hash(named) else b""
    if not verify_inclusion(leaf_hash(commit(proof.salt, checkpoint)), proof.place, width, proof.batch, root):
        failures.append(Failure("cell-not-included", "The checkpoint is not in the batch of its entry."))
    if not verify_inclusion(leaf_hash(proof.entry), proof.index, cell.size, proof.proof, cell.root):
        failures.append(Failure("cell-not-included", "The entry is not at its index of the cell's log."))
    if failures:
        return None, failures
    return CellReport(cell.origin, cell.size, proof.index, entry["at"], signed, witnesses), []


def entry_data(root: bytes) -> Mapping[str, str]:
    """The `data` of the cell's entry for a batch's root."""
    return {DATA: root.hex()}


def _is_hash(value: object) -> bool:
    return type(value) is str and len(value) == 2 * HASH_SIZE and set(value) <= set("0123456789abcdef")


def _hashes(value: object, most: int) -> tuple[bytes, ...]:
    if type(value) is not list or len(value) > most:
        raise ValueError("not a list of hashes")
    return tuple(_exactly(from_base64(_text(one)), HASH_SIZE) for one in value)


def _exactly(raw: bytes, size: int) -> bytes:
    if len(raw) != size:
        raise ValueError("not of its length")
    return raw


def _text(value: object) -> str:
    if type(value) is not str:
        raise ValueError("not text")
    return value


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a count")
    return value
