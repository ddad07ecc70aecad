"""Receipts: they verify from the text alone, and a changed byte is found."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Unverified
from tenure.ledger.canonical import canonical
from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.entry import Access, Action
from tenure.ledger.note import COSIGNATURE, Signer
from tenure.ledger.receipt import build_receipt, parse_receipt, verify_receipt
from tenure.ledger.tree import inclusion
from unit.ledger.logs import ORIGIN, SEED, SIGNER, WRITER, a_draft, an_id, entries, publish

KEYS = [SIGNER.verifier]
WITNESS = Signer("witness.test/w", bytes(32), COSIGNATURE)
MANY = a_draft(accesses=[Access(an_id(n), 1, Action.RETURNED, bytes(32)) for n in range(70)])


def a_receipt(size=5, index=3, last=None):
    raw = entries(size)
    listed = None
    if last is not None:
        raw[index] = last.encode(WRITER, index)
        listed = last.separate_list()
    log = publish(raw)
    proof = inclusion(index, size, log.read_tile)
    return build_receipt(raw[index], index, proof, log.checkpoint, listed[1] if listed else None)


def checks(report):
    return [failure.check for failure in report.failures]


@pytest.mark.parametrize(("size", "index"), [(1, 0), (2, 1), (5, 3), (256, 255), (300, 0), (300, 299)])
def test_a_receipt_verifies(size, index):
    text = a_receipt(size, index)
    report = verify_receipt(text, KEYS)
    assert report.ok, report.failures
    assert report.checkpoint == (ORIGIN, size, report.checkpoint.root)
    assert (report.index, report.entry["n"], report.signers) == (index, index, (ORIGIN,))
    assert any("audit" in sentence for sentence in report.not_checked)
    assert any("witness" in sentence for sentence in report.not_checked)


def test_the_format_is_tlog_proof():
    text = a_receipt()
    raw = entries(5)
    head, checkpoint = text.split("\n\n", 1)
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    extra = json.loads(base64.b64decode(lines[1].removeprefix("extra ")))
    assert extra == {"entry": base64.b64encode(raw[3]).decode()}
    assert lines[2] == "index 3"
    assert [len(base64.b64decode(line)) for line in lines[3:]] == [32, 32, 32]
    assert checkpoint == publish(raw).checkpoint


@given(
    st.binary(max_size=50),
    st.integers(0, 2**62),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.none() | st.binary(max_size=50),
)
@settings(deadline=None)
def test_round_trip(entry, index, proof, listed):
    receipt = parse_receipt(build_receipt(entry, index, proof, "text\n\n— a AAAA\n", listed))
    assert (receipt.entry, receipt.index, list(receipt.proof)) == (entry, index, proof)
    assert (receipt.checkpoint, receipt.accesses) == ("text\n\n— a AAAA\n", listed)


@pytest.mark.parametrize("text", [a_receipt(3, 1), a_receipt(3, 1, last=MANY)], ids=["inline", "separate"])
def test_every_flipped_byte_is_found(text):
    raw = text.encode()
    step = 1 if len(raw) < 3000 else 7
    for at in range(0, len(raw), step):
        changed = bytearray(raw)
        changed[at] ^= 1 << at % 8
        assert not verify_receipt(changed.decode("utf-8", "replace"), KEYS).ok, at


def test_only_what_nobody_signed_may_change():
    """A flip in a line by a key that is not trusted changes nothing that the receipt claims."""
    text = a_receipt()
    body = text.split("\n\n", 1)[1].split("\n\n")[0] + "\n"
    cosigned = text + WITNESS.signature_line(body, 1_700_000_000)
    at = len(cosigned) - 20
    flipped = cosigned[:at] + ("A" if cosigned[at] != "A" else "B") + cosigned[at + 1 :]
    assert verify_receipt(flipped, KEYS).ok
    assert checks(verify_receipt(flipped, [*KEYS, WITNESS.verifier])) == ["bad-signature"]
    report = verify_receipt(cosigned, [*KEYS, WITNESS.verifier])
    assert report.ok
    assert report.witnesses == ("witness.test/w",)
    assert not any("witness" in sentence for sentence in report.not_checked)


def test_separate_access_list_is_bound_and_its_absence_is_said():
    text = a_receipt(5, 3, last=MANY)
    report = verify_receipt(text, KEYS)
    assert report.ok
    assert len(report.accesses) == 70
    receipt = parse_receipt(text)
    without = build_receipt(receipt.entry, receipt.index, receipt.proof, receipt.checkpoint)
    report = verify_receipt(without, KEYS)
    assert report.ok
    assert any("access list" in sentence for sentence in report.not_checked)
    other = canonical(json.loads(receipt.accesses)[1:])
    swapped = build_receipt(receipt.entry, receipt.index, receipt.proof, receipt.checkpoint, other)
    assert checks(verify_receipt(swapped, KEYS)) == ["access-list"]
    plain = parse_receipt(a_receipt())
    added = build_receipt(plain.entry, plain.index, plain.proof, plain.checkpoint, receipt.accesses)
    assert checks(verify_receipt(added, KEYS)) == ["access-list"]


def test_each_failure_has_its_name():
    receipt = parse_receipt(a_receipt())
    parts = (receipt.entry, receipt.index, receipt.proof, receipt.checkpoint)

    def rebuilt(**changes):
        names = ("entry", "index", "proof", "checkpoint")
        return verify_receipt(build_receipt(**{**dict(zip(names, parts, strict=True)), **changes}), KEYS)

    assert rebuilt().ok
    assert checks(rebuilt(entry=entries(5)[2])) == ["not-included"]
    assert checks(rebuilt(index=2)) == checks(rebuilt(proof=receipt.proof[:-1])) == ["not-included"]
    assert checks(rebuilt(entry=receipt.entry + b" ")) == ["not-included", "entry-not-canonical"]
    assert checks(rebuilt(checkpoint="nothing\n")) == ["note-format"]
    assert checks(verify_receipt(a_receipt(), [Signer(ORIGIN, bytes(32)).verifier])) == ["unknown-key"]
    elsewhere = Signer("tenure.test/log/other", SEED)
    moved = sign_checkpoint(Checkpoint(ORIGIN, 5, publish(entries(5)).tree.root()), [elsewhere])
    again = build_receipt(*parts[:3], moved)
    assert checks(verify_receipt(again, [elsewhere.verifier])) == ["origin-mismatch"]


@pytest.mark.parametrize("entry", [b"not json", b"{}", b'{"a": 1}'])
def test_an_entry_that_is_none_is_found_although_it_is_logged(entry):
    log = publish([*entries(2), entry])
    text = build_receipt(entry, 2, inclusion(2, 3, log.read_tile), log.checkpoint)
    (check,) = checks(verify_receipt(text, KEYS))
    assert check in {"entry-not-canonical", "entry-schema"}


EXTRA = base64.b64encode(b'{"entry":""}').decode()
BAD_EXTRAS = (b"[]", b"{}", b'{"entry": ""}', b'{"entry":1}', b'{"entry":"","more":""}', b'{"entry":"!"}')
LINE = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "head",
    [
        "",
        "c2sp.org/tlog-proof@v2\nextra {e}\nindex 0",
        "c2sp.org/tlog-proof@v1\nindex 0",
        "c2sp.org/tlog-proof@v1\nextra {e}",
        "c2sp.org/tlog-proof@v1\nextra  {e}\nindex 0",
        "c2sp.org/tlog-proof@v1\nextra {e}\nindex 00",
        "c2sp.org/tlog-proof@v1\nextra {e}\nindex -1",
        "c2sp.org/tlog-proof@v1\nextra {e}\nindex 0\n" + LINE[4:],
        "c2sp.org/tlog-proof@v1\nextra {e}\nindex 0" + f"\n{LINE}" * 64,
        "c2sp.org/tlog-proof@v1\nextra !!\nindex 0",
        *(
            f"c2sp.org/tlog-proof@v1\nextra {base64.b64encode(extra).decode()}\nindex 0"
            for extra in (
                b"[]",
                b"{}",
                b'{"entry": ""}',
                b'{"entry":1}',
                b'{"entry":"","more":""}',
                b'{"entry":"!"}',
            )
        ),
    ],
)
def test_what_is_not_a_receipt(head):
    with pytest.raises(Unverified, match="not a receipt"):
        parse_receipt(head.replace("{e}", EXTRA) + "\n\ntext\n\n— a AAAA\n")
    assert checks(verify_receipt(head, KEYS)) == ["receipt-format"]
