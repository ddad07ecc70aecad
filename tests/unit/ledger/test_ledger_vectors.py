"""The frozen formats, checked by a second implementation.

Until the last test nothing here comes from Tenure: it is written from docs/spec/ledger.md with the standard
library, `cryptography` for Ed25519 and `rfc8785` for canonical JSON.
"""

import hashlib
import hmac
import json
import struct
from base64 import b64decode, b64encode
from importlib import util
from pathlib import Path

import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FOLDER = Path(__file__).parents[2] / "vectors/ledger"
VECTORS = json.loads((FOLDER / "ledger.json").read_text("utf-8"))
LOG = {path: b64decode(content) for path, content in VECTORS["log"].items()}


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mth(leaves):
    """MTH of RFC 6962 §2.1 over leaf hashes."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha(b"\x01", mth(leaves[:split]), mth(leaves[split:]))


def root_from_path(leaf, index, size, path):
    """Recompute the root by walking down RFC 6962's recursion, then up again."""
    if size == 1:
        assert not path
        return leaf
    split = 1
    while split * 2 < size:
        split *= 2
    *below, sibling = path
    if index < split:
        return sha(b"\x01", root_from_path(leaf, index, split, below), sibling)
    return sha(b"\x01", sibling, root_from_path(leaf, index - split, size - split, below))


def key_of(vkey):
    name, key_id, encoded = vkey.split("+", 2)
    raw = b64decode(encoded)
    assert sha(name.encode(), b"\n", raw)[:4].hex() == key_id
    return name, bytes.fromhex(key_id), raw[0], Ed25519PublicKey.from_public_bytes(raw[1:])


def opened(note, vkey):
    """The text of a note that this key signed."""
    name, key_id, algorithm, public = key_of(vkey)
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    for line in lines.splitlines():
        dash, signer, encoded = line.split(" ")
        blob = b64decode(encoded)
        if (dash, signer, blob[:4]) == ("\u2014", name, key_id):
            if algorithm == 4:
                (time,) = struct.unpack(">Q", blob[4:12])
                public.verify(blob[12:], f"cosignature/v1\ntime {time}\n{text}".encode())
            else:
                public.verify(blob[4:], text.encode())
            return text
    raise AssertionError("not signed by this key")


def bundled(raw):
    entries = []
    while raw:
        (length,) = struct.unpack(">H", raw[:2])
        entries.append(raw[2 : 2 + length])
        raw = raw[2 + length :]
    return entries


def test_the_key():
    name, _, algorithm, public = key_of(VECTORS["vkey"])
    seed = b64decode(VECTORS["seed"])
    assert (name, algorithm) == ("tenure.test/log/7d1f", 1)
    assert Ed25519PrivateKey.from_private_bytes(seed).public_key() == public


@pytest.mark.parametrize("name", sorted(VECTORS["entries"]))
def test_entries_are_canonical_and_hash_to_their_leaf(name):
    vector = VECTORS["entries"][name]
    raw = vector["raw"].encode()
    entry = json.loads(raw)
    assert rfc8785.dumps(entry) == raw
    assert sha(b"\x00", raw).hex() == vector["leaf"]
    assert ("list" in vector) == ("accesses_sha256" in entry) == (name == "long")
    if "list" in vector:
        assert hashlib.sha256(vector["list"].encode()).hexdigest() == entry["accesses_sha256"]
        assert rfc8785.dumps(json.loads(vector["list"])) == vector["list"].encode()
        assert len(json.loads(vector["list"])) == entry["accesses_count"]


def test_commitments():
    for vector in VECTORS["commitments"]:
        parts = [
            b"tenure/v1",
            vector["tenant"].encode(),
            (vector["decision"] or "").encode(),
            vector["record"].encode(),
            struct.pack(">Q", vector["version"]),
            vector["content"].encode(),
        ]
        message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
        made = hmac.new(b64decode(vector["salt"]), message, hashlib.sha256).digest()
        assert b64encode(made).decode() == vector["commitment"]


def test_the_small_log():
    assert sorted(LOG) == ["checkpoint", "tile/0/000.p/5", "tile/entries/000.p/5"]
    origin, size, root = opened(LOG["checkpoint"].decode(), VECTORS["vkey"]).splitlines()
    entries = bundled(LOG["tile/entries/000.p/5"])
    leaves = [sha(b"\x00", entry) for entry in entries]
    assert (origin, int(size)) == ("tenure.test/log/7d1f", len(entries))
    assert b64decode(root) == mth(leaves)
    assert LOG["tile/0/000.p/5"] == b"".join(leaves)
    assert [json.loads(entry)["n"] for entry in entries] == [0, 1, 2, 3, 4]


def test_the_cosignature():
    vector = VECTORS["cosignature"]
    checkpoint = LOG["checkpoint"].decode() + vector["line"]
    assert opened(checkpoint, vector["vkey"]) == opened(checkpoint, VECTORS["vkey"])
    assert struct.unpack(">Q", b64decode(vector["line"].split(" ")[2])[4:12]) == (vector["time"],)
    with pytest.raises(InvalidSignature):
        opened("x" + checkpoint, vector["vkey"])


def test_the_receipt():
    head, _, checkpoint = VECTORS["receipt"].partition("\n\n")
    first, extra, index, *proof = head.split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    entry = b64decode(json.loads(b64decode(extra.removeprefix("extra ")))["entry"])
    _, size, root = opened(checkpoint, VECTORS["vkey"]).splitlines()
    place = int(index.removeprefix("index "))
    path = [b64decode(line) for line in proof]
    assert root_from_path(sha(b"\x00", entry), place, int(size), path) == b64decode(root)
    assert entry == bundled(LOG["tile/entries/000.p/5"])[3]


def test_the_large_tree():
    leaves = [sha(b"\x00", b"%d" % n) for n in range(70_000)]
    level1 = [mth(leaves[n : n + 256]) for n in range(0, 70_000 - 255, 256)]
    level2 = [mth(level1[:256])]
    tiles = {
        "tile/0/000": leaves[:256],
        "tile/0/273.p/112": leaves[273 * 256 :],
        "tile/1/000": level1[:256],
        "tile/1/001.p/17": level1[256:],
        "tile/2/000.p/1": level2,
    }
    large = VECTORS["large"]
    assert large["tiles"] == {path: sha(*hashes).hex() for path, hashes in tiles.items()}
    assert large["root"] == mth(leaves).hex()
    path = [bytes.fromhex(digest) for digest in large["inclusion_69999"]]
    assert root_from_path(leaves[-1], 69_999, 70_000, path).hex() == large["root"]
    assert [bytes.fromhex(digest) for digest in large["consistency_300"]] == subproof(300, leaves, whole=True)


def subproof(m, leaves, *, whole):
    """SUBPROOF of RFC 6962 §2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if m <= split:
        return [*subproof(m, leaves[:split], whole=whole), mth(leaves[split:])]
    return [*subproof(m - split, leaves[split:], whole=False), mth(leaves[:split])]


def test_the_certificate():
    envelope = json.loads(VECTORS["certificate"])
    name, key_id, _, public = key_of(VECTORS["vkey"])
    kind, payload = envelope["payloadType"].encode(), b64decode(envelope["payload"])
    (signature,) = envelope["signatures"]
    message = b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])
    public.verify(b64decode(signature["sig"]), message)
    assert signature["keyid"] == f"{name}+{key_id.hex()}"
    assert kind == b"application/vnd.tenure.erasure-certificate+json"
    assert rfc8785.dumps(json.loads(payload)) == payload
    assert json.loads(payload)["origin"] == name


def test_the_code_still_makes_the_frozen_file():
    spec = util.spec_from_file_location("make_ledger_vectors", FOLDER / "make_vectors.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.vectors() == VECTORS, "a frozen format changed: old logs and receipts would not verify"
