"""Where a log lies in the object tier, and how it comes there: idempotent, and never over what was promised.

    ledger/TENANT/GENERATION/tile/…               bundles and tiles: what is put here never changes
                             checkpoints/SIZE     every published checkpoint, by size in 19 digits
                             checkpoint           the newest one
                             vkey                 the log's present key
                             rotations            proofs of its changes (`ledger.keychain`)

A tile that the published checkpoint does not cover was promised to nobody: it is the rest of a publication
that a lost database began. It gives way. One that the checkpoint covers stays: which of the two copies fits
the signed root is for `governance.shelf` to say.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import structlog

from tenure.cold.mirror import Mirror
from tenure.cold.objects import Objects
from tenure.errors import Tampered, Unverified
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint, peek_checkpoint
from tenure.ledger.cosignature import merge
from tenure.ledger.note import Verifier
from tenure.ledger.tile import WIDTH, TileId
from tenure.store.log import Log

_DIGITS: Final = 19
"""As many as the largest size has: names sort as sizes do."""

_log = structlog.get_logger(__name__)


def published_logs(tenant_id: str) -> str:
    """Where a tenant's logs lie in the object tier, a folder for each generation."""
    return f"ledger/{tenant_id}"


def published_name(tenant_id: str, generation: int) -> str:
    """Where a log lies in the object tier."""
    return f"{published_logs(tenant_id)}/{generation}"


class Shelf(NamedTuple):
    """A log's place in the object tier and in the mirror. `vkey` is of the key that signs it."""

    objects: Objects
    mirror: Mirror
    tenant_id: str
    generation: int
    vkey: str
    earlier: tuple[str, ...] = ()
    """Keys that signed this generation before this one: what they signed stays signed."""
    ours: bytes = b""
    """A checkpoint that this process put here itself: seen again, its signature is not checked again."""

    @property
    def base(self) -> str:
        """The folder of the log."""
        return published_name(self.tenant_id, self.generation)

    def get(self, name: str) -> bytes | None:
        """An object of the log, or None."""
        return self.objects.get(f"{self.base}/{name}")

    def signed(self, note: bytes) -> Checkpoint | None:
        """What a checkpoint says; None unless a key of this log signed it."""
        if self.ours and note == self.ours:
            return peek_checkpoint(note.decode())
        keys = [Verifier.parse(vkey) for vkey in (self.vkey, *self.earlier)]
        try:
            return open_checkpoint(note.decode("utf-8", "replace"), keys).checkpoint
        except Unverified:
            return None

    def shown(self) -> Checkpoint | None:
        """What the published checkpoint says; None unless there is one that this log's key signed."""
        raw = self.get("checkpoint")
        return self.signed(raw) if raw is not None else None

    def promised(self) -> int:
        """The size that somebody may have seen: published, mirrored, or offered to a witness."""
        there = self.shown()
        heads = (self.mirror.head(self.tenant_id), self.mirror.offered(self.tenant_id))
        sizes = [int(head["size"]) for head in heads if head and int(head["generation"]) == self.generation]
        return max(there.size if there else 0, *sizes, 0)


def extent(tile: TileId) -> int:
    """Entries that a log must have to have this tile."""
    return (tile.n * WIDTH + tile.width) << (8 * max(tile.level, 0))


def put_files(shelf: Shelf, files: Iterable[tuple[str, bytes]]) -> None:
    """Bundles and tiles. One request each, and few more where another content has the name.

    Tampered when one that was promised has another content; it is left as it is.
    """
    for name, data in files:
        if shelf.objects.keep(f"{shelf.base}/{name}", data):
            continue
        if extent(TileId.parse(name)) <= shelf.promised():
            raise Tampered(
                "A published tile is not what the database makes of the log; it was left as it is.",
                rule="tile-mismatch",
                remedy="Run 'tenure ledger repair': it says which of the two fits the signed root.",
            )
        _log.warning("what a lost database had begun to publish gave way", tenant=shelf.tenant_id, name=name)
        shelf.objects.put(f"{shelf.base}/{name}", data)


def put_head(shelf: Shelf, current: Log, note: str) -> str:
    """Checkpoint and mirrored head, unless a newer one is there: published heads only grow.

    The checkpoint with all the signatures that it has by now. Whoever calls does so alone
    (`sequencing.lock_head`): two that look and then put might put the smaller one last.

    A head that is there already is mirrored all the same: a crash may have come between the two. A
    checkpoint that the log's key did not sign is no head and is replaced. Unverified when the key signed
    another root for this size: nothing is published over a fork.
    """
    raw = shelf.get("checkpoint")
    there = shelf.signed(raw) if raw is not None else None
    if raw is not None and there is None:
        _log.warning("the published checkpoint was not this log's and is replaced", tenant=shelf.tenant_id)
    elif raw is not None and there is not None:
        if there.size > current.size:
            return note
        if there.size == current.size:
            note = merge(raw.decode(), note)
    if there is None or (shelf.earlier and shelf.get("vkey") != f"{shelf.vkey}\n".encode()):
        put_key(shelf)
    head, is_new = head_of(current, note), note.encode() != raw
    if is_new:
        put_checkpoint(shelf, current.size, note)
    if is_new or shelf.mirror.head(shelf.tenant_id) != head:
        shelf.mirror.put_head(shelf.tenant_id, head)
    return note


def head_of(current: Log, note: str) -> dict[str, Any]:
    """A head as the mirror keeps it."""
    return {
        "generation": current.generation,
        "origin": current.origin,
        "size": current.size,
        "root": current.root.hex(),
        "checkpoint": note,
    }


def put_key(shelf: Shelf) -> None:
    """The key that verifies the log, for convenience."""
    shelf.objects.put(f"{shelf.base}/vkey", f"{shelf.vkey}\n".encode())


def put_checkpoint(shelf: Shelf, size: int, note: str) -> None:
    """The checkpoint, among all that there ever were and then as the newest."""
    shelf.objects.put(f"{shelf.base}/{archive_name(size)}", note.encode())
    shelf.objects.put(f"{shelf.base}/checkpoint", note.encode())


def archive_name(size: int) -> str:
    """Where the checkpoint of a size is kept, below the log's folder."""
    return f"checkpoints/{size:0{_DIGITS}d}"


def archived(
    objects: Objects, tenant_id: str, generation: int, above: int, below: int
) -> Iterator[tuple[int, bytes]]:
    """(size, content) of the kept checkpoints of sizes between two, in order. One request for each."""
    base = f"{published_name(tenant_id, generation)}/checkpoints"
    for name in objects.names(base):
        digits = name.rpartition("/")[2]
        if digits.isdecimal() and above < int(digits) < below:
            raw = objects.get(name)
            if raw is not None:
                yield int(digits), raw
