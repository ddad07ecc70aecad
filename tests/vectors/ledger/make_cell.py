"""Writes cell.json beside this file: the cell's log, and changes of a log's key. Frozen formats.

Run with `app` and `tests` on the path. tests/unit/ledger/test_ledger_cell_vectors.py checks the file with an
implementation of its own, and that the code still makes it.
"""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from tenure.ledger.cellproof import CellProof, commit, entry_data, fold
from tenure.ledger.checkpoint import Checkpoint, peek_checkpoint, sign_checkpoint
from tenure.ledger.entry import EntryDraft, Kind
from tenure.ledger.keychain import build_chain, rotation_data
from tenure.ledger.note import COSIGNATURE, Signer
from tenure.ledger.receipt import build_receipt
from tenure.ledger.tree import inclusion
from unit.ledger.logs import AT, ORIGIN, SIGNER, WRITER, entries, publish

CELL = Signer("tenure.test/cell/1", bytes(range(1, 33)))
WITNESS = Signer("witness.test/w", bytes(range(32)), COSIGNATURE)
NEXT = Signer(ORIGIN, bytes(range(2, 34)))
TIME = 1679315147
FILE = Path(__file__).with_name("cell.json")


def vectors() -> dict[str, Any]:
    """Everything in the file, from the code as it is."""
    log = publish(entries(5))
    checkpoint = peek_checkpoint(log.checkpoint)
    salts = [bytes([n]) * 32 for n in range(4)]
    checkpoints = [Checkpoint(f"tenure.test/log/{n}", n + 1, bytes([n]) * 32) for n in range(3)]
    checkpoints.insert(2, checkpoint)
    commitments = [commit(salt, one) for salt, one in zip(salts, checkpoints, strict=True)]
    root, paths = fold(commitments)
    entry = EntryDraft(Kind.TENANT_CHECKPOINT, AT, "ok", data=entry_data(root), nonce=bytes(16))
    raw = [b"before", entry.encode(WRITER, 1), b"after"]
    cell = publish(raw, signer=CELL)
    body = cell.checkpoint.split("\n\n")[0] + "\n"
    note = cell.checkpoint + WITNESS.signature_line(body, TIME)
    path = tuple(inclusion(1, 3, cell.read_tile))
    proof = CellProof(salts[2], 2, paths[2], raw[1], 1, path, note)
    return {
        "vkey": SIGNER.vkey,
        "cell_vkey": CELL.vkey,
        "witness": WITNESS.vkey,
        "commitments": [
            {
                "salt": b64encode(salt).decode(),
                "origin": one.origin,
                "size": one.size,
                "root": b64encode(one.root).decode(),
                "commitment": b64encode(made).decode(),
            }
            for salt, one, made in zip(salts, checkpoints, commitments, strict=True)
        ],
        "batch_root": root.hex(),
        "receipt": build_receipt(
            log.entries[3], 3, inclusion(3, 5, log.read_tile), log.checkpoint, cell=proof
        ),
        "next_vkey": NEXT.vkey,
        "rotations": _rotations(),
    }


def _rotations() -> str:
    change = EntryDraft(
        Kind.KEY_ROTATE, AT + 3, "ok", data=rotation_data(SIGNER.verifier, NEXT.verifier), nonce=bytes(16)
    )
    log = publish([*entries(3), change.encode(WRITER, 3)])
    note = sign_checkpoint(Checkpoint(ORIGIN, 4, log.tree.root()), [SIGNER, NEXT])
    return build_chain([build_receipt(log.entries[3], 3, inclusion(3, 4, log.read_tile), note)])


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", "utf-8")
