"""Which key signs a generation of a log, from which entry on.

The newest row is the one key that may sign: the sequencer reads it under the log's lock, so a process whose
opened keys are of yesterday signs nothing. A log of before this table has no row until it next grows.
"""

from typing import NamedTuple

from sqlalchemy import bindparam, select

from tenure.errors import TenureError
from tenure.ledger.keychain import build_chain
from tenure.ledger.receipt import build_receipt
from tenure.ledger.tree import inclusion
from tenure.store import log, tables
from tenure.store.session import Tx
from tenure.store.statements import Insert, Select

_k = tables.ledger_keys
_RECORD = Insert(_k)
_ALL = (
    select(_k.c.idx, _k.c.vkey, _k.c.size)
    .where(_k.c.tenant_id == bindparam("tenant_id"), _k.c.generation == bindparam("generation"))
    .order_by(_k.c.idx.desc())
)
_HISTORY, HISTORY_UPTO = Select(_ALL), Select(_ALL.where(_k.c.size <= bindparam("upto")))


class LedgerKey(NamedTuple):
    """A key in force from entry `idx` on; `size` is of the checkpoint that it and the one before signed."""

    idx: int
    vkey: str
    size: int


def history(tx: Tx, generation: int, *, upto: int | None = None) -> list[LedgerKey]:
    """Keys of a generation, newest first; `upto` leaves out those of checkpoints beyond that size."""
    question = _HISTORY if upto is None else HISTORY_UPTO
    return [LedgerKey(*row) for row in tx.look((question, {"generation": generation, "upto": upto}))[0]]


def newest(tx: Tx, generation: int, *, upto: int | None = None) -> str | None:
    """The vkey in force; None when the log has none on record yet. One round trip."""
    found = history(tx, generation, upto=upto)
    return found[0].vkey if found else None


def vkeys(tx: Tx, generation: int, *, upto: int | None = None) -> list[str]:
    """The keys alone, newest first."""
    return [one.vkey for one in history(tx, generation, upto=upto)]


def record(tx: Tx, generation: int, vkey: str, *, idx: int = 0, size: int = 0) -> None:
    """A key comes into force, with the commit; without `idx` and `size` it is the generation's first."""
    tx.put(_RECORD, {"generation": generation, "idx": idx, "vkey": vkey, "size": size})


def rotations(tx: Tx, generation: int, size: int) -> str:
    """The proofs of every change of key up to a published size (`ledger.keychain`); empty without any."""
    receipts = []
    for key in reversed(history(tx, generation, upto=size)):
        if not key.size:
            continue  # the first key follows none
        (body,) = log.bodies(tx, generation, key.idx, 1)
        note = log.checkpoint(tx, generation, size=key.size)
        if note is None:
            raise TenureError("The checkpoint under which the key was changed is missing from the database.")
        proof = inclusion(key.idx, key.size, lambda level, n: log.tile(tx, generation, level, n) or b"")
        receipts.append(build_receipt(body, key.idx, proof, note))
    return build_chain(receipts)
