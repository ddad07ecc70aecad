"""A checkpoint in the cell's log: it verifies from the receipt alone, and nothing may be exchanged."""

import json
from base64 import b64decode, b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import Unverified
from tenure.ledger import cellproof
from tenure.ledger.canonical import canonical
from tenure.ledger.cellproof import CellProof, commit, entry_data, fold
from tenure.ledger.checkpoint import Checkpoint, peek_checkpoint, sign_checkpoint
from tenure.ledger.cosignature import Cosigner, gather
from tenure.ledger.entry import EntryDraft, Kind
from tenure.ledger.merkle import leaf_hash, node_hash
from tenure.ledger.note import Signer, note_body
from tenure.ledger.receipt import build_receipt, parse_receipt, verify_receipt
from tenure.ledger.tree import Tree, inclusion
from unit.ledger.logs import AT, SIGNER, WRITER, entries, publish

CELL = Signer("tenure.test/cell", bytes(range(32)))
WITNESS = Cosigner("witness.test/w", bytes(32))
OTHERS = [bytes([n]) * 32 for n in range(4)]


def a_proof(checkpoint, *, kind=Kind.TENANT_CHECKPOINT, witnessed=True, salt=bytes(range(32))):
    """The checkpoint third of five in its batch, the batch's entry second of three in the cell's log."""
    root, paths = fold([*OTHERS[:2], commit(salt, peek_checkpoint(checkpoint)), *OTHERS[2:]])
    entry = EntryDraft(kind, AT, "ok", data=entry_data(root), nonce=bytes(16)).encode(WRITER, 1)
    raw = [b"before", entry, b"after"]
    tree = Tree()
    writes = {(write.level, write.n): write.data for write in tree.append(map(leaf_hash, raw))}
    note = sign_checkpoint(Checkpoint(CELL.name, 3, tree.root()), [CELL])
    if witnessed:
        note = gather(note, WITNESS.cosign(note_body(note), 1_800_000_000), [WITNESS.verifier])
    proof = inclusion(1, 3, lambda level, n: writes[level, n])
    return CellProof(salt, 2, paths[2], entry, 1, tuple(proof), note)


LOG = publish(entries(5))


def a_receipt(cell=None):
    proof = inclusion(3, 5, LOG.read_tile)
    return build_receipt(LOG.entries[3], 3, proof, LOG.checkpoint, None, cell or a_proof(LOG.checkpoint))


def verified(text, *cell_keys):
    return verify_receipt(text, [SIGNER.verifier, WITNESS.verifier], cell_keys)


def checks(report):
    return [failure.check for failure in report.failures]


def test_it_verifies_and_its_witnesses_count():
    report = verified(a_receipt(), CELL.verifier)
    assert report.ok, report.failures
    assert (report.cell.origin, report.cell.size, report.cell.index) == (CELL.name, 3, 1)
    assert report.cell.signed
    assert report.witnesses == ()
    assert report.watched == ("witness.test/w",)
    assert any("another past of this log" in sentence for sentence in report.not_checked)


def test_without_the_cells_key_its_witnesses_do_not_count_and_it_is_said():
    report = verified(a_receipt())
    assert report.ok
    assert not report.cell.signed
    assert report.watched == ()
    assert any("--cell-vkey" in sentence for sentence in report.not_checked)


def test_a_receipt_without_the_part_stays_valid_and_says_so():
    text = build_receipt(LOG.entries[3], 3, inclusion(3, 5, LOG.read_tile), LOG.checkpoint)
    report = verified(text, CELL.verifier)
    assert report.ok
    assert report.cell is None
    assert any("no part about it" in sentence for sentence in report.not_checked)


def test_the_part_of_another_checkpoint_is_refused():
    other = publish(entries(4)).checkpoint
    assert checks(verified(a_receipt(a_proof(other)), CELL.verifier)) == ["cell-not-included"]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"salt": bytes(32)}, "cell-not-included"),
        ({"place": 3}, "cell-not-included"),
        ({"place": 10}, "cell-not-included"),
        ({"batch": ()}, "cell-not-included"),
        ({"index": 0}, "cell-not-included"),
        ({"proof": ()}, "cell-not-included"),
        ({"entry": b"{}"}, "entry-schema"),
        ({"entry": b"before"}, "entry-not-canonical"),
    ],
)
def test_a_changed_part_is_named(change, check):
    proof = replace(a_proof(LOG.checkpoint), **change)
    assert check in checks(verified(a_receipt(proof), CELL.verifier))


def test_an_entry_of_another_kind_holds_no_checkpoints():
    """Whoever can have an entry written must not be able to pass it off as a round's."""
    assert checks(verified(a_receipt(a_proof(LOG.checkpoint, kind=Kind.ACCESS)), CELL.verifier)) == [
        "cell-not-included"
    ]


@pytest.mark.parametrize(
    ("witnessed", "check"),
    [(True, "origin-mismatch"), (False, "unknown-key")],  # some known key signed; none did
)
@pytest.mark.parametrize("name", [CELL.name, "tenure.test/another"])
def test_another_cells_signature_is_refused(name, witnessed, check):
    stranger = Signer(name, bytes(32))
    proof = a_proof(LOG.checkpoint, witnessed=witnessed)
    assert checks(verified(a_receipt(proof), stranger.verifier)) == [check]


def test_every_flipped_byte_of_the_part_is_found():
    text = a_receipt(a_proof(LOG.checkpoint, witnessed=False))
    head, extra, rest = text.split("\n", 2)
    raw = b64decode(extra.removeprefix("extra "))
    members = json.loads(raw)
    for name in ("salt", "entry"):
        value = bytearray(b64decode(members["cell"][name]))
        for at in range(len(value)):
            value[at] ^= 1
            changed = {**members, "cell": {**members["cell"], name: b64encode(value).decode()}}
            value[at] ^= 1
            again = "\n".join((head, "extra " + b64encode(canonical(changed)).decode(), rest))
            assert not verified(again, CELL.verifier).ok, (name, at)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"more": 1},
        {"salt": "AAAA"},
        {"salt": 1},
        {"place": -1},
        {"place": True},
        {"index": "1"},
        {"batch": ["AAAA"]},
        {"batch": "AAAA"},
        {"proof": [1]},
        {"checkpoint": 7},
        {"batch": ["A" * 43 + "="] * 33},
    ],
)
def test_what_is_no_part_is_no_receipt(wrong):
    members = {**a_proof(LOG.checkpoint).members(), **wrong} if wrong else wrong
    extra = {"entry": b64encode(LOG.entries[3]).decode(), "cell": members}
    text = "\n".join(("c2sp.org/tlog-proof@v1", "extra " + b64encode(canonical(extra)).decode(), "index 3"))
    with pytest.raises(Unverified, match="not a receipt"):
        parse_receipt(f"{text}\n\n{LOG.checkpoint}")


def test_round_trip():
    proof = a_proof(LOG.checkpoint)
    assert parse_receipt(a_receipt(proof)).cell == proof
    assert CellProof.parse(json.loads(json.dumps(proof.members()))) == proof


@given(st.integers(1, 70))
def test_every_place_of_a_batch_is_provable_and_its_number_hidden(count):
    commitments = [n.to_bytes(32) for n in range(count)]
    root, paths = fold(commitments)
    again, _ = fold(commitments)
    assert (root == again) == (count & (count - 1) == 0), "filled up with fresh randomness"
    for place, path in enumerate(paths):
        node = leaf_hash(commitments[place])
        for height, sibling in enumerate(path):
            pair = (sibling, node) if place >> height & 1 else (node, sibling)
            node = node_hash(*pair)
        assert node == root
    assert {2 ** len(path) for path in paths} == {1 << (count - 1).bit_length()}


def test_an_empty_batch_is_none():
    with pytest.raises(ValueError, match="at least one"):
        fold([])


def test_equal_checkpoints_never_link():
    checkpoint = peek_checkpoint(LOG.checkpoint)
    assert commit(bytes(32), checkpoint) != commit(bytes([1]) * 32, checkpoint)
    assert commit(bytes(32), checkpoint) != commit(bytes(32), checkpoint._replace(size=6))
    assert commit(bytes(32), checkpoint) != commit(bytes(32), checkpoint._replace(root=bytes(32)))
    assert commit(bytes(32), checkpoint) != commit(bytes(32), checkpoint._replace(origin="o"))
    assert cellproof.SALT_BYTES == 32
