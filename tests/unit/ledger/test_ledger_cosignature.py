"""Cosignatures: made, gathered from an answer, merged."""

import json
from base64 import b64decode
from pathlib import Path

import pytest

from tenure.errors import Malformed, Unverified
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from tenure.ledger.cosignature import Cosigner, cosigned_by, gather, merge
from tenure.ledger.note import MAX_TIME, Signature, Verifier, cosigned_message, note_body, note_signatures
from unit.ledger.logs import ORIGIN, SIGNER

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/ledger/ledger.json").read_text())
VECTOR = VECTORS["cosignature"]
ONE, TWO = (Cosigner(f"witness.test/{name}", bytes([n]) * 32) for n, name in enumerate(("one", "two")))
NOTE = sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), [SIGNER])
BODY = note_body(NOTE)


def test_the_known_answer():
    body = note_body(b64decode(VECTORS["log"]["checkpoint"]).decode())
    witness = Cosigner("witness.test/w", bytes(range(32)))
    assert witness.vkey == VECTOR["vkey"]
    assert witness.cosign(body, VECTOR["time"]) == VECTOR["line"]


@pytest.mark.parametrize("time", [1, 1_679_315_147, MAX_TIME])
def test_round_trip(time):
    signed = open_checkpoint(NOTE + ONE.cosign(BODY, time), [SIGNER.verifier, Verifier.parse(ONE.vkey)])
    assert [(line.name, line.time) for line in signed.cosignatures] == [(ONE.name, time)]


@pytest.mark.parametrize("time", [0, -1, MAX_TIME + 1])
def test_a_time_that_is_none_is_not_signed(time):
    with pytest.raises(Malformed, match="Nothing was signed"):
        ONE.cosign(BODY, time)


def test_a_time_beyond_the_largest_does_not_verify():
    late = MAX_TIME + 1
    blob = late.to_bytes(8) + ONE.sign_bytes(cosigned_message(BODY, late))
    assert not ONE.verifier.verify(BODY, blob)
    assert not ONE.verifier.verify(BODY, blob[:5])


def test_an_answer_is_gathered_and_strangers_are_left_out():
    answer = TWO.cosign(BODY, 5) + ONE.cosign(BODY, 5)
    got = gather(NOTE, answer, [ONE.verifier])
    assert got == NOTE + ONE.cosign(BODY, 5)
    assert cosigned_by(got, [ONE.verifier, TWO.verifier]) == (ONE.verifier,)
    assert cosigned_by("", [ONE.verifier]) == ()


@pytest.mark.parametrize(
    ("answer", "check"),
    [
        ("", "note-format"),
        ("nonsense\n", "note-format"),
        (TWO.cosign(BODY, 5), "unknown-key"),
        (ONE.cosign(BODY + "more\n", 5), "bad-signature"),
        (ONE.signature_line(BODY, 0), "bad-signature"),
        # The witness's key id on what is only the log's kind of signature.
        (Signature(ONE.name, ONE.verifier.key_id, ONE.sign_bytes(BODY.encode())).line, "bad-signature"),
    ],
)
def test_what_is_no_cosignature_is_not_taken(answer, check):
    with pytest.raises(Unverified) as caught:
        gather(NOTE, answer, [ONE.verifier])
    assert caught.value.check == check


def test_merging_keeps_one_line_for_each_key_and_the_later():
    early, late = (NOTE + ONE.cosign(BODY, time) for time in (5, 6))
    both = merge(merge(early, late), NOTE + TWO.cosign(BODY, 1))
    assert [(line.name, line.time) for line in note_signatures(both)] == [
        (ORIGIN, None),
        (ONE.name, 6),
        (TWO.name, 1),
    ]
    assert merge(late, early) == late
    assert merge(both, both) == both


def test_notes_of_two_texts_are_never_merged():
    other = sign_checkpoint(Checkpoint(ORIGIN, 8, bytes(32)), [SIGNER])
    with pytest.raises(Unverified, match="stay apart"):
        merge(NOTE, other)
