"""Changes of a log's key: followed only as the old key says, step by step."""

import hashlib

import pytest

from tenure.errors import Unverified
from tenure.ledger.audit import audit
from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.entry import EntryDraft, Kind
from tenure.ledger.keychain import FILE, build_chain, follow, followed, named_key, parse_chain, rotation_data
from tenure.ledger.note import Signer
from tenure.ledger.receipt import build_receipt
from tenure.ledger.tree import inclusion
from unit.ledger.logs import AT, ORIGIN, SIGNER, WRITER, entries, publish


def a_key(n, origin=ORIGIN):
    return Signer(origin, hashlib.sha256(b"key %d" % n).digest())


KEYS = [SIGNER, a_key(1), a_key(2)]
PINNED = [SIGNER.verifier]


def change(n, old, new, **data):
    return EntryDraft(
        Kind.KEY_ROTATE,
        AT + n,
        "ok",
        data={**rotation_data(old.verifier, new.verifier), **data},
        nonce=bytes(16),
    ).encode(WRITER, n)


def step(raw, place, signers, size=None):
    """The receipt of the entry at `place` under a checkpoint of the first `size` entries."""
    log = publish(raw[: size or place + 1])
    note = sign_checkpoint(Checkpoint(ORIGIN, len(log.entries), log.tree.root()), signers)
    return build_receipt(raw[place], place, inclusion(place, len(log.entries), log.read_tile), note)


def twice():
    """Entries with two changes of key, and the two steps."""
    raw = [*entries(3), change(3, KEYS[0], KEYS[1])]
    raw += [entries(5)[4], change(5, KEYS[1], KEYS[2])]
    return raw, [step(raw, 3, KEYS[:2], 5), step(raw, 5, KEYS[1:])]


def checks(report):
    return [failure.check for failure in report.failures]


def test_each_step_is_followed_from_wherever_it_is_pinned():
    _, steps = twice()
    chain = build_chain(steps)
    assert parse_chain(chain) == steps
    for at, pinned in enumerate(KEYS):
        found = follow(chain, [pinned.verifier])
        assert [one.new for one in found] == [key.verifier for key in KEYS[at + 1 :]]
    assert follow(chain, [a_key(9).verifier]) == []
    assert follow(chain, [a_key(0, "another.test/log").verifier]) == []
    assert follow("", PINNED) == []
    assert followed([chain, chain], PINNED) == tuple(key.verifier for key in KEYS)


def test_a_step_that_the_old_key_did_not_sign_is_not_followed():
    raw, _ = twice()
    assert follow(step(raw, 3, [KEYS[1]]), PINNED) == []


def test_a_step_that_the_new_key_did_not_sign_does_not_hold():
    raw, _ = twice()
    with pytest.raises(Unverified, match="not signed by both") as refused:
        follow(step(raw, 3, [KEYS[0]]), PINNED)
    assert refused.value.check == "rotation"


def test_another_entry_names_no_key():
    raw, _ = twice()
    with pytest.raises(Unverified, match="names no key"):
        follow(step(raw, 1, [*KEYS[:2]], 5), PINNED)


@pytest.mark.parametrize(
    "data", [{"public": "00"}, {"public": "zz"}, {"public": "04" + "00" * 32}, {"new_key": "00000000"}]
)
def test_an_entry_that_names_no_good_key_does_not_hold(data):
    raw = [*entries(3), change(3, KEYS[0], KEYS[1], **data)]
    with pytest.raises(Unverified) as refused:
        follow(step(raw, 3, KEYS[:2]), PINNED)
    assert refused.value.check == "rotation"
    assert "rotation" in checks(audit(publish(raw).files.get, PINNED))


def test_an_order_to_change_a_key_is_no_change():
    assert named_key({"kind": "key.rotate", "data": {"tenant": "x"}}, ORIGIN) is None


def test_the_place_in_the_tree_is_proven():
    _, steps = twice()
    with pytest.raises(Unverified) as refused:
        follow(steps[0].replace("index 3", "index 2"), PINNED)
    assert refused.value.check == "not-included"


@pytest.mark.parametrize("wrong", ["x", "\n", "c2sp.org/tlog-proof@v2\n", "{}"])
def test_what_is_no_chain(wrong):
    with pytest.raises(Unverified) as refused:
        follow(wrong, PINNED)
    assert refused.value.check == "rotation-format"
    with pytest.raises(Unverified):
        follow(build_chain(twice()[1])[:-40], PINNED)


def test_an_audit_from_the_first_key_passes_and_names_the_changes():
    raw, steps = twice()
    log = publish(raw, signer=KEYS[2])
    log.files[FILE] = build_chain(steps).encode()
    report = audit(log.files.get, PINNED)
    assert report.ok, report.failures
    assert len(report.rotations) == 2
    assert "entry 3" in report.rotations[0]
    assert any("no earlier checkpoint" in sentence for sentence in report.not_checked)
    assert KEYS[2].verifier.key_id.hex() in report.rotations[1]


def test_a_chain_of_another_past_is_a_fork():
    raw, _ = twice()
    other = [*entries(2), change(2, KEYS[0], KEYS[2])]
    log = publish(raw, signer=KEYS[2])
    log.files[FILE] = step(other, 2, [KEYS[0], KEYS[2]]).encode()
    assert checks(audit(log.files.get, PINNED)) == ["fork"]


def test_a_replaced_key_that_signs_again_is_named():
    raw, steps = twice()
    log = publish(raw, signer=KEYS[1])
    log.files[FILE] = build_chain(steps).encode()
    assert checks(audit(log.files.get, PINNED)) == ["key-retired"]
    del log.files[FILE]
    assert checks(audit(log.files.get, [KEYS[1].verifier])) == ["key-retired"]


def test_without_the_chain_the_message_says_what_is_needed():
    raw, _ = twice()
    report = audit(publish(raw, signer=KEYS[2]).files.get, PINNED)
    assert checks(report)[0] == "unknown-key"
    assert "--chain" in report.failures[0].detail


def test_a_broken_chain_is_named():
    raw, _ = twice()
    log = publish(raw, signer=KEYS[2])
    log.files[FILE] = b"nonsense"
    assert checks(audit(log.files.get, [KEYS[2].verifier])) == ["rotation-format"]
