"""An entry's receipt: its bytes, its place, the proof, and the checkpoint it is under (C2SP tlog-proof)."""

from typing import NamedTuple

from tenure.errors import NotYet
from tenure.ledger.cellproof import CellProof
from tenure.ledger.entry import parse_entry
from tenure.ledger.receipt import build_receipt
from tenure.ledger.tree import inclusion
from tenure.store import log
from tenure.store.log import Placed
from tenure.store.session import Tx

RETRY_S = 1


class Published(NamedTuple):
    """A published entry: its bytes and place, and the newest published size of its generation."""

    body: bytes
    generation: int
    idx: int
    size: int


def published(tx: Tx, placed: Placed | None) -> Published:
    """An entry under a published checkpoint, the newest of its generation. NotYet until there is one."""
    current = log.newest(tx)
    if placed is None or placed.idx is None or placed.generation is None or current is None:
        raise _unpublished()
    generation = placed.generation
    size = current.published if generation == current.generation else None
    note = log.checkpoint(tx, generation, newest_upto=size)
    if note is None or (size is not None and size <= placed.idx):
        raise _unpublished()
    return Published(placed.body, generation, placed.idx, int(note.splitlines()[1]))


def receipt_of(tx: Tx, entry: Published, cell: tuple[int, CellProof] | None = None) -> str:
    """The receipt (C2SP tlog-proof) of an entry. `cell`: a size that the cell's log holds, and its proof.

    Round trips: checkpoint, at most two tiles for each level of the tree, a separate list.
    """
    size = cell[0] if cell is not None else entry.size
    note = log.checkpoint(tx, entry.generation, size=size)
    if note is None:
        raise _unpublished()

    def read_tile(level: int, n: int) -> bytes:
        return log.tile(tx, entry.generation, level, n) or b""

    digest = parse_entry(entry.body).get("accesses_sha256")
    accesses = log.access_list(tx, digest) if digest else None
    proof = inclusion(entry.idx, size, read_tile)
    return build_receipt(entry.body, entry.idx, proof, note, accesses, cell[1] if cell else None)


def _unpublished() -> NotYet:
    return NotYet("The receipt is not published yet.", retry_after=RETRY_S)
