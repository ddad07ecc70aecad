"""Signed notes and checkpoints, against C2SP's rules and vectors of another implementation."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Malformed, Unverified
from tenure.ledger.base64 import from_base64, to_base64
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint, peek_checkpoint, sign_checkpoint
from tenure.ledger.note import COSIGNATURE, Signer, Verifier, cosigned_message, open_note, sign_note

VECTOR = json.loads((Path(__file__).parents[2] / "vectors/ledger/note.json").read_text())
SIGNER = Signer("log.test/a", bytes(range(32)))
OTHER = Signer("log.test/b", bytes(range(1, 33)))
WITNESS = Signer("witness.test/w", bytes(range(2, 34)), COSIGNATURE)
HEAD = Checkpoint("log.test/a", 7, bytes(32))

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="+"), min_size=1
).filter(lambda name: not any(c.isspace() for c in name))
BODIES = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n")).map(lambda text: text + "\n")


def test_a_note_of_another_implementation_opens_and_is_made_alike():
    signer = Signer(VECTOR["name"], from_base64(VECTOR["seed"]))
    assert signer.vkey == VECTOR["vkey"]
    assert sign_note(VECTOR["text"], [signer]) == VECTOR["note"]
    note = open_note(VECTOR["note"], [Verifier.parse(VECTOR["vkey"])])
    assert (note.body, note.unknown) == (VECTOR["text"], ())


@given(NAMES, st.binary(min_size=32, max_size=32), BODIES)
@settings(deadline=None)
def test_round_trip(name, seed, body):
    signer = Signer(name, seed)
    verifier = Verifier.parse(signer.vkey)
    assert verifier == signer.verifier
    note = open_note(sign_note(body, [OTHER, signer]), [verifier])
    assert note.body == body
    assert [line.name for line in note.verified] == [name]
    assert [line.name for line in note.unknown] == [OTHER.name]


@pytest.mark.parametrize("body", ["", "no newline", "a\r\n", "tab\t\n", "\0\n"])
def test_what_cannot_be_a_notes_text_is_not_signed(body):
    with pytest.raises(Malformed):
        sign_note(body, [SIGNER])


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb"])
def test_what_cannot_be_a_keys_name_is_refused(name):
    with pytest.raises(Malformed):
        Signer(name, bytes(32))


def refusal(text, *verifiers):
    with pytest.raises(Unverified) as caught:
        open_note(text, verifiers)
    return caught.value.check


def test_known_keys_must_hold_and_unknown_ones_do_not_matter():
    text = sign_note("hello\n", [SIGNER, OTHER])
    assert refusal(text) == "unknown-key"
    forged = text.replace("hello", "hullo")
    assert refusal(forged, SIGNER.verifier) == "bad-signature"
    # One failing known key rejects the note although another known key holds.
    good, line = sign_note("hello\n", [SIGNER]), sign_note("hullo\n", [OTHER]).split("\n\n")[1]
    assert refusal(good + line, SIGNER.verifier, OTHER.verifier) == "bad-signature"
    assert open_note(good + line, [SIGNER.verifier]).body == "hello\n"
    # Sharing the name, or the id, but not both: unknown.
    renamed = good.replace("log.test/a", "log.test/x")
    assert refusal(renamed, SIGNER.verifier) == "unknown-key"
    assert refusal(good, Signer(SIGNER.name, bytes(32)).verifier) == "unknown-key"


def test_every_flip_in_a_note_by_a_known_key_is_refused():
    raw = sign_note("a\nb\n\nc\n", [SIGNER]).encode()
    for at in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[at] ^= 1 << bit
            assert refusal(bytes(changed).decode("utf-8", "replace"), SIGNER.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "hello\n",
        "hello\n\n",
        "hello\n\n— a AAAA\n",
        "hello\n\n— a AAAAAAA=",
        "hello\n\n— a AAAAAAA=\njunk",
        "hello\n\n- a AAAAAAA=\n",
        "hello\n\n— AAAAAAA=\n",
        "hello\n\n— a+b AAAAAAA=\n",
        "hello\n\n—  AAAAAAA=\n",
        "hello\n\n— a AAAAAAB=\n",
        "hello\n\n— a AAA AAA=\n",
        "hel\rlo\n\n— a AAAAAAA=\n",
        "hello\n\n" + "— a AAAAAAA=\n" * 101,
    ],
)
def test_what_is_not_a_note(text):
    assert refusal(text, SIGNER.verifier) == "note-format"


def test_sixteen_signatures_are_accepted():
    signers = [Signer(f"k{i}", bytes([i]) * 32) for i in range(16)]
    note = open_note(sign_note("x\n", signers), [signer.verifier for signer in signers])
    assert len(note.verified) == 16


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "a",
        "a+b",
        SIGNER.vkey[:-1],
        SIGNER.vkey.replace("log.test/a", "log.test/b"),
        SIGNER.vkey.replace("+", "-", 1),
        "log.test/a+" + "00000000" + SIGNER.vkey[19:],
        Verifier("a", SIGNER.verifier.public, 0x02).vkey,
        Verifier("a", SIGNER.verifier.public[:-1]).vkey,
        Verifier("a b", SIGNER.verifier.public).vkey,
    ],
)
def test_what_is_not_a_key(vkey):
    with pytest.raises(Malformed):
        Verifier.parse(vkey)


# ── checkpoints ────────────────────────────────────────────────────────────────────────────────────
@given(NAMES, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
@settings(deadline=None)
def test_checkpoint_round_trip(origin, size, root):
    head = Checkpoint(origin, size, root)
    assert Checkpoint.parse(head.body) == head
    signer = Signer(origin, bytes(32))
    text = sign_checkpoint(head, [signer])
    assert open_checkpoint(text, [signer.verifier]).checkpoint == peek_checkpoint(text) == head


def test_extension_lines_are_tolerated():
    assert Checkpoint.parse(HEAD.body + "something else\n") == HEAD


@pytest.mark.parametrize(
    "body",
    [
        "",
        HEAD.body[:-1],
        "log.test/a\n7\n",
        f"\n7\n{to_base64(bytes(32))}\n",
        f"log.test/a\n07\n{to_base64(bytes(32))}\n",
        f"log.test/a\n+7\n{to_base64(bytes(32))}\n",
        f"log.test/a\n-7\n{to_base64(bytes(32))}\n",
        f"log.test/a\n\N{ARABIC-INDIC DIGIT SEVEN}\n{to_base64(bytes(32))}\n",
        f"log.test/a\n{2**63}\n{to_base64(bytes(32))}\n",
        f"log.test/a\n7\n{to_base64(bytes(31))}\n",
        "log.test/a\n7\nnot base64\n",
        HEAD.body + "\n",
    ],
)
def test_what_is_not_a_checkpoint(body):
    with pytest.raises(Unverified, match="not a checkpoint"):
        Checkpoint.parse(body)


def test_a_key_of_one_log_vouches_for_no_other():
    text = sign_note(HEAD.body, [OTHER])
    with pytest.raises(Unverified) as caught:
        open_checkpoint(text, [OTHER.verifier])
    assert caught.value.check == "origin-mismatch"


def test_a_witness_is_named_with_its_time_and_alone_is_not_enough():
    text = sign_checkpoint(HEAD, [SIGNER]) + WITNESS.signature_line(HEAD.body, 1_679_315_147)
    signed = open_checkpoint(text, [SIGNER.verifier, Verifier.parse(WITNESS.vkey)])
    assert [(line.name, line.time) for line in signed.cosignatures] == [("witness.test/w", 1_679_315_147)]
    assert cosigned_message(HEAD.body, 5) == b"cosignature/v1\ntime 5\n" + HEAD.body.encode()
    alone = sign_note(HEAD.body, []) + WITNESS.signature_line(HEAD.body, 1)
    with pytest.raises(Unverified):
        open_checkpoint(alone, [SIGNER.verifier, WITNESS.verifier])
    forged = sign_checkpoint(HEAD, [SIGNER]) + WITNESS.signature_line(HEAD.body + "x\n", 1)
    with pytest.raises(Unverified):
        open_checkpoint(forged, [SIGNER.verifier, WITNESS.verifier])


def test_a_checkpoint_of_an_unnameable_log_is_not_signed():
    with pytest.raises(Malformed):
        sign_checkpoint(Checkpoint("a b", 0, bytes(32)), [SIGNER])
