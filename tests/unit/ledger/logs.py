"""Whole published logs for tests, made with the pure ledger code: path → content."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.entry import Access, Action, EntryDraft, Kind
from tenure.ledger.merkle import leaf_hash
from tenure.ledger.note import Signer
from tenure.ledger.tile import ENTRIES, WIDTH, TileId, encode_bundle, expected_bundles, expected_tiles
from tenure.ledger.tree import Tree

ORIGIN = "tenure.test/log/7d1f"
SEED = hashlib.sha256(b"a test log's key").digest()
SIGNER = Signer(ORIGIN, SEED)
WRITER = "00112233445566ff"
AT = 1_790_000_000_000_000


def an_id(n: int) -> str:
    raw = hashlib.sha256(b"id%d" % n).hexdigest()
    return f"{raw[:8]}-{raw[8:12]}-7{raw[13:16]}-8{raw[17:20]}-{raw[20:32]}"


def a_draft(n: int = 1, **changes: object) -> EntryDraft:
    access = Access(an_id(n), n + 1, Action.RETURNED, hashlib.sha256(b"c%d" % n).digest())
    members = {
        "kind": Kind.ACCESS,
        "at": AT + n,
        "outcome": "allowed",
        "principal": an_id(0),
        "policy": "sha256:" + "ab" * 32,
        "purpose": "customer-support",
        "rules": ("grant/support#1",),
        "accesses": (access,),
        "nonce": hashlib.sha256(b"n%d" % n).digest()[:16],
    }
    return EntryDraft(**(members | changes))


def entries(count: int, writer: str = WRITER) -> list[bytes]:
    """A log's entries: it opens itself, then one writer's accesses."""
    if not count:
        return []
    first = EntryDraft(
        Kind.LOG_OPEN, AT, "opened", data={"origin": ORIGIN, "generation": 1}, nonce=bytes(16)
    ).encode(writer, 0)
    return [first, *(a_draft(n).encode(writer, n) for n in range(1, count))]


@dataclass
class Log:
    """A log as published. `files` is what a server or a folder gives out."""

    entries: list[bytes]
    signer: Signer = SIGNER
    files: dict[str, bytes] = field(default_factory=dict)
    tree: Tree = field(default_factory=Tree)
    tiles: dict[tuple[int, int], bytes] = field(default_factory=dict)

    @property
    def checkpoint(self) -> str:
        return self.files["checkpoint"].decode()

    def read_tile(self, level: int, n: int) -> bytes:
        return self.tiles[level, n]

    def write(self, directory: Path) -> Path:
        for path, content in self.files.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (directory / "vkey").write_text(self.signer.vkey + "\n")
        return directory


def publish(raw: Sequence[bytes], *, signer: Signer = SIGNER, batches: Iterable[int] = ()) -> Log:
    """Append in batches of the given sizes (the rest in one), then publish what the last size needs."""
    log = Log(list(raw), signer)
    hashes = [leaf_hash(entry) for entry in raw]
    for batch in [*batches, len(hashes)]:
        part, hashes = hashes[:batch], hashes[batch:]
        log.tiles |= {(write.level, write.n): write.data for write in log.tree.append(part)}
    size = len(raw)
    for tile in expected_tiles(size):
        log.files[tile.path] = log.tiles[tile.level, tile.n][: tile.width * 32]
    for bundle in expected_bundles(size):
        start = bundle.n * WIDTH
        log.files[bundle.path] = encode_bundle(raw[start : start + bundle.width])
    head = Checkpoint(signer.name, size, log.tree.root())
    log.files["checkpoint"] = sign_checkpoint(head, [signer]).encode()
    return log


def bundle_path(size: int, index: int) -> str:
    n = index // WIDTH
    return TileId(ENTRIES, n, min(WIDTH, size - n * WIDTH)).path
