"""Writes population.json beside this file: a population and openings. Frozen, as ledger.json is.

Run with `app` and `tests` on the path. tests/unit/ledger/test_ledger_population_vectors.py checks it with an
implementation of its own, and that the code still makes it.
"""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from tenure.ledger.canonical import canonical
from tenure.ledger.commitment import commitment
from tenure.ledger.entry import Access, Action, Kind
from tenure.ledger.population import Place, build_page
from tenure.ledger.receipt import build_receipt
from tenure.ledger.selection import Selection
from tenure.ledger.tree import inclusion, subtree_reader
from unit.ledger.logs import SIGNER, WRITER, a_draft, an_id, entries, publish

FILE = Path(__file__).with_name("population.json")
SELECTION = Selection(kind="access", since="2026-09-21T14:13:20.000003Z", action="returned")
SALT, NONCE = bytes(range(32)), bytes(range(16))
CONTENT = {"b": [1.5, "é"], "a": None}


def vectors() -> dict[str, Any]:
    """Everything in the file, from the code as it is."""
    log = publish(entries(11))
    read = subtree_reader(log.read_tile)
    places = ((3, 6, "1.11.6"), (6, 10, None))
    pages = [
        build_page(
            Place(first, end, 3, 10), SELECTION, log.checkpoint, log.entries[first:end], {}, read, following
        ).decode()
        for first, end, following in places
    ]
    promise = commitment(
        SALT, tenant=an_id(1), decision=an_id(2), record=an_id(3), version=4, content=canonical(CONTENT)
    )
    seen = Access(an_id(3), 4, Action.RETURNED, promise, NONCE)
    gone = Access(an_id(4), 1, Action.RETURNED, bytes(32), NONCE)
    seal = a_draft(1, kind=Kind.DECISION_SEAL, decision=an_id(2), accesses=[seen, gone])
    sealed = publish([entries(1)[0], seal.encode(WRITER, 1)])
    item = {
        "record": an_id(3),
        "version": 4,
        "entry_nonce": b64encode(NONCE).decode(),
        "salt": b64encode(SALT).decode(),
        "tenant": an_id(1),
        "decision": an_id(2),
        "content": CONTENT,
    }
    erased = {"record": an_id(4), "version": 1, "state": "erased", "certificate": an_id(5)}
    return {
        "vkey": SIGNER.vkey,
        "population": "\n".join(pages) + "\n",
        "takes": [3, 4, 5, 6, 7, 8, 9],
        "receipt": build_receipt(sealed.entries[1], 1, inclusion(1, 2, sealed.read_tile), sealed.checkpoint),
        "openings": {"decision": an_id(2), "withheld": 0, "items": [item, erased]},
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", "utf-8")
