"""cell.json, checked with nothing of Tenure: hashlib, hmac and Ed25519, from docs/spec/ledger.md alone."""

import hashlib
import hmac
import json
import struct
from base64 import b64decode
from importlib import util
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FOLDER = Path(__file__).parents[2] / "vectors" / "ledger"
VECTORS = json.loads((FOLDER / "cell.json").read_text("utf-8"))


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def parts_of(receipt):
    head, _, checkpoint = receipt.partition("\n\n")
    first, extra, index, *proof = head.split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    members = json.loads(b64decode(extra.removeprefix("extra ")))
    return members, int(index.removeprefix("index ")), [b64decode(line) for line in proof], checkpoint


def climb(leaf, index, size, path):
    """RFC 9162 §2.1.3.2."""
    node, last, made = index, size - 1, leaf
    for sibling in path:
        assert last
        if node & 1 or node == last:
            made = sha(b"\x01", sibling, made)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            made = sha(b"\x01", made, sibling)
        node, last = node >> 1, last >> 1
    assert last == 0
    return made


def signed_by(note, vkey):
    """Whether a log's or witness's key signed; raises when its signature does not hold."""
    name, key_id, key = vkey.split("+", 2)
    kind, public = b64decode(key)[0], b64decode(key)[1:]
    body, _, lines = note.rpartition("\n\n")
    for line in lines.splitlines():
        _, who, blob = line.split(" ")
        raw = b64decode(blob)
        if (who, raw[:4].hex()) == (name, key_id):
            text, signature = f"{body}\n".encode(), raw[4:]
            if kind == 4:
                time = struct.unpack(">Q", signature[:8])[0]
                text, signature = f"cosignature/v1\ntime {time}\n".encode() + text, signature[8:]
            Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
            return True
    return False


def commitment(salt, origin, size, root):
    parts = (b"tenure/v1/checkpoint", origin.encode(), struct.pack(">Q", size), root)
    message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return hmac.new(salt, message, hashlib.sha256).digest()


def test_commitments_and_their_batch():
    made = []
    for one in VECTORS["commitments"]:
        found = commitment(b64decode(one["salt"]), one["origin"], one["size"], b64decode(one["root"]))
        assert found == b64decode(one["commitment"])
        made.append(sha(b"\x00", found))
    left, right = sha(b"\x01", made[0], made[1]), sha(b"\x01", made[2], made[3])
    assert sha(b"\x01", left, right).hex() == VECTORS["batch_root"]


def test_the_receipt_leads_to_the_cells_cosigned_checkpoint():
    members, _, _, note = parts_of(VECTORS["receipt"])
    assert signed_by(note, VECTORS["vkey"])
    origin, size, root = note.splitlines()[:3]
    cell = members["cell"]
    made = commitment(b64decode(cell["salt"]), origin, int(size), b64decode(root))
    batch = [b64decode(one) for one in cell["batch"]]
    entry = b64decode(cell["entry"])
    said = json.loads(entry)
    assert said["kind"] == "tenant.checkpoint"
    assert (
        climb(sha(b"\x00", made), cell["place"], 2 ** len(batch), batch).hex() == said["data"]["checkpoints"]
    )
    cells_origin, cells_size, cells_root = cell["checkpoint"].splitlines()[:3]
    path = [b64decode(one) for one in cell["proof"]]
    assert climb(sha(b"\x00", entry), cell["index"], int(cells_size), path) == b64decode(cells_root)
    assert cells_origin == VECTORS["cell_vkey"].partition("+")[0]
    assert signed_by(cell["checkpoint"], VECTORS["cell_vkey"])
    assert signed_by(cell["checkpoint"], VECTORS["witness"])
    assert not signed_by(note, VECTORS["witness"])


def test_the_change_of_key():
    members, index, path, note = parts_of(VECTORS["rotations"])
    entry = b64decode(members["entry"])
    _, size, root = note.splitlines()[:3]
    assert climb(sha(b"\x00", entry), index, int(size), path) == b64decode(root)
    said = json.loads(entry)
    assert said["kind"] == "key.rotate"
    name, old_id, _ = VECTORS["vkey"].split("+", 2)
    _, new_id, key = VECTORS["next_vkey"].split("+", 2)
    public = bytes.fromhex(said["data"]["public"])
    assert (said["data"]["old_key"], said["data"]["new_key"]) == (old_id, new_id)
    assert public == b64decode(key)
    assert sha(name.encode() + b"\n" + public)[:4].hex() == new_id
    assert signed_by(note, VECTORS["vkey"])
    assert signed_by(note, VECTORS["next_vkey"])


def test_the_code_still_makes_the_frozen_file():
    spec = util.spec_from_file_location("make_cell_vectors", FOLDER / "make_cell.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.vectors() == VECTORS, "a frozen format changed: receipts given out would not verify"
