"""Writes ledger.json beside this file. The formats are frozen: a difference is a break, not an update.

Run with `app` and `tests` on the path. tests/unit/ledger/test_ledger_vectors.py checks the file with an
implementation of its own, and that the code still makes it.
"""

import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from tenure.ledger.certificate import issue_certificate
from tenure.ledger.commitment import commitment
from tenure.ledger.entry import Access, Action, EntryDraft, Kind
from tenure.ledger.merkle import leaf_hash
from tenure.ledger.note import COSIGNATURE, Signer
from tenure.ledger.receipt import build_receipt
from tenure.ledger.tree import consistency, inclusion
from unit.ledger.logs import AT, ORIGIN, SEED, SIGNER, WRITER, a_draft, an_id, entries, publish

TIME = 1679315147
LARGE_TILES = ("tile/0/000", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1")
FILE = Path(__file__).with_name("ledger.json")

DRAFTS = {
    "smallest": EntryDraft(Kind.PURGE, AT, "done", nonce=bytes(16)),
    "typical": a_draft(2, decision=an_id(9)),
    "denied": a_draft(3, outcome="denied", accesses=[Access(an_id(1), 4, Action.DENIED)], rules=()),
    "seal": a_draft(
        4,
        kind=Kind.DECISION_SEAL,
        outcome="refund-granted",
        accesses=[Access(an_id(1), 2, Action.RETURNED, bytes(32), bytes(16))],
        data={"model": "sha256:" + "cd" * 32, "flags": ["a", "b"], "replayed": False, "tokens": 12},
    ),
    "long": a_draft(5, accesses=[Access(an_id(n), n, Action.RETURNED, bytes([n]) * 32) for n in range(70)]),
}
CERTIFICATE = {
    "v": 1,
    "kind": "erasure-certificate",
    "id": an_id(1),
    "tenant": an_id(2),
    "origin": ORIGIN,
    "shred": an_id(3),
    "issued_at": "2026-09-21T14:13:20.000002Z",
    "steps": [{"step": "destroy", "at": "2026-09-21T14:13:19.000000Z"}],
    "keys": {"provider": "files", "root_version": 1},
    "proves": ["The operator stated the destruction."],
    "does_not_prove": ["That nobody copied the content before."],
    "entry": "00112233445566ff-9",
}


def vectors() -> dict[str, Any]:
    """Everything in the file, from the code as it is."""
    small, large = publish(entries(5)), publish([b"%d" % n for n in range(70_000)])
    witness = Signer("witness.test/w", bytes(range(32)), COSIGNATURE)
    body = small.checkpoint.split("\n\n")[0] + "\n"
    salt = bytes(range(32))
    return {
        "seed": b64encode(SEED).decode(),
        "vkey": SIGNER.vkey,
        "entries": {name: _entry(draft) for name, draft in DRAFTS.items()},
        "commitments": [
            {
                "salt": b64encode(salt).decode(),
                "tenant": an_id(1),
                "decision": decision,
                "record": an_id(2),
                "version": 7,
                "content": '{"a":1}',
                "commitment": b64encode(
                    commitment(
                        salt,
                        tenant=an_id(1),
                        decision=decision,
                        record=an_id(2),
                        version=7,
                        content=b'{"a":1}',
                    )
                ).decode(),
            }
            for decision in (None, an_id(3))
        ],
        "log": {path: b64encode(content).decode() for path, content in sorted(small.files.items())},
        "cosignature": {"vkey": witness.vkey, "time": TIME, "line": witness.signature_line(body, TIME)},
        "large": {
            "root": large.tree.root().hex(),
            "tiles": {path: hashlib.sha256(large.files[path]).hexdigest() for path in LARGE_TILES},
            "inclusion_69999": [digest.hex() for digest in inclusion(69_999, 70_000, large.read_tile)],
            "consistency_300": [digest.hex() for digest in consistency(300, 70_000, large.read_tile)],
        },
        "receipt": build_receipt(small.entries[3], 3, inclusion(3, 5, small.read_tile), small.checkpoint),
        "certificate": issue_certificate(CERTIFICATE, SIGNER),
    }


def _entry(draft: EntryDraft) -> dict[str, Any]:
    raw = draft.encode(WRITER, 7)
    separate = draft.separate_list()
    members = {"raw": raw.decode(), "leaf": leaf_hash(raw).hex()}
    return members | ({"list": separate[1].decode()} if separate else {})


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", "utf-8")
