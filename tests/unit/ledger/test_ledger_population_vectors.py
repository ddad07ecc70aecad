"""Populations and openings, frozen, checked by a second implementation.

Until the last tests nothing here comes from Tenure: it is written from docs/spec/ledger.md.
"""

import hashlib
import hmac
import json
import struct
from base64 import b64decode
from importlib import util
from pathlib import Path

import rfc8785

FOLDER = Path(__file__).parents[2] / "vectors/ledger"
VECTORS = json.loads((FOLDER / "population.json").read_text("utf-8"))


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root_of(page, size):
    """The walk of "Range proof", over (low, high)."""
    left = [b64decode(text) for text in page["left"]]
    right = [b64decode(text) for text in page["right"]]
    leaves = [sha(b"\0", b64decode(text)) for text in page["entries"]]

    def walk(low, high):
        if high <= page["first"]:
            return left.pop(0)
        if low >= page["end"]:
            return right.pop(0)
        if high - low == 1:
            return leaves[low - page["first"]]
        k = 1
        while k * 2 < high - low:
            k *= 2
        return sha(b"\x01", walk(low, low + k), walk(low + k, high))

    root = walk(0, size)
    assert (left, right) == ([], [])
    return root


def test_pages_are_canonical_chain_and_fold_into_the_signed_root():
    pages = [json.loads(line) for line in VECTORS["population"].splitlines()]
    at = pages[0]["range"]["first"]
    for page, line in zip(pages, VECTORS["population"].splitlines(), strict=True):
        assert rfc8785.dumps(page) == line.encode()
        assert (page["range"], page["filter"]) == (pages[0]["range"], pages[0]["filter"])
        _origin, size, root = page["checkpoint"].split("\n")[:3]
        assert page["first"] == at
        at = page["end"]
        assert (page["next"] is None) == (at == page["range"]["end"])
        assert root_of(page, int(size)) == b64decode(root)
    assert at == pages[0]["range"]["end"]


def test_the_filter_takes_what_is_named():
    found = []
    for page in map(json.loads, VECTORS["population"].splitlines()):
        wanted = page["filter"]
        for index, raw in enumerate(page["entries"], page["first"]):
            entry = json.loads(b64decode(raw))
            if (
                entry["kind"] == wanted["kind"]
                and entry["at"] >= wanted["from"]
                and any(access["action"] == wanted["action"] for access in entry["accesses"])
            ):
                found.append(index)
                assert index in page["matches"]
        assert [index for index in found if index >= page["first"]] == page["matches"]
    assert found == VECTORS["takes"]


def test_an_opening_makes_the_commitment_of_the_receipt():
    extra = json.loads(b64decode(VECTORS["receipt"].splitlines()[1].removeprefix("extra ")))
    entry = json.loads(b64decode(extra["entry"]))
    item, erased = VECTORS["openings"]["items"]
    access = next(one for one in entry["accesses"] if one["record"] == item["record"])
    assert (access["version"], access["entry"]) == (item["version"], item["entry_nonce"])
    parts = [
        b"tenure/v1",
        item["tenant"].encode(),
        item["decision"].encode(),
        item["record"].encode(),
        struct.pack(">Q", item["version"]),
        rfc8785.dumps(item["content"]),
    ]
    message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    made = hmac.digest(b64decode(item["salt"]), message, "sha256")
    assert made == b64decode(access["commitment"])
    assert "salt" not in erased


def test_the_code_still_makes_them():
    spec = util.spec_from_file_location("make_population", FOLDER / "make_population.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.vectors() == VECTORS


def test_the_code_verifies_them():
    from tenure.client.verify import verify_text
    from tenure.ledger.note import Verifier
    from tenure.ledger.opening import verify_openings

    keys = [Verifier.parse(VECTORS["vkey"])]
    population = verify_text(VECTORS["population"], keys).report
    assert population.ok, population.failures
    assert [one.place for one in population.found] == VECTORS["takes"]
    receipt = verify_text(VECTORS["receipt"], keys).report
    opened = verify_openings(json.dumps(VECTORS["openings"]), receipt)
    assert opened.ok, opened.failures
    assert [one.erased for one in opened.seen] == [False, True]
