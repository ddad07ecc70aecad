"""The short way writes and reads exactly what the general way does, and accepts nothing else."""

from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenure.errors import Invalid, Unverified
from tenure.ledger import quick
from tenure.ledger.entry import Access, Action, EntryDraft, Kind, parse_entry
from unit.ledger.logs import AT, WRITER, a_draft

ids = st.uuids().map(str)
counts = st.integers(0, 2**53 - 1)
tokens = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/#+=-]{0,199}", fullmatch=True)
hashes, nonces = st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16)
accesses = st.builds(
    Access,
    ids,
    counts,
    st.sampled_from(Action),
    st.none() | hashes,
    st.none() | nonces,
    st.none() | counts,
)
drafts = st.builds(
    EntryDraft,
    kind=st.sampled_from(Kind),
    at=st.integers(0, 4 * AT),
    outcome=tokens,
    principal=st.none() | ids,
    on_behalf_of=st.none() | ids,
    decision=st.none() | ids,
    policy=st.none() | hashes.map(lambda raw: f"sha256:{raw.hex()}"),
    purpose=st.none() | tokens,
    rules=st.lists(tokens, max_size=4),
    accesses=st.lists(accesses, max_size=5),
    nonce=nonces,
)
texts = st.text(max_size=40) | ids | tokens


@given(drafts, counts)
def test_it_writes_the_same_bytes(draft: EntryDraft, n: int) -> None:
    written = quick.write(draft, WRITER, n)
    assert written is not None
    assert written == draft._encode(WRITER, n)[0]
    assert draft.encode(WRITER, n) == written


@given(texts, texts, texts, texts, texts, texts, st.integers(), st.integers(), st.binary(max_size=40))
@example("a b", "x", "x", "x", "x", "x", 1, 1, bytes(16))
def test_what_the_general_way_refuses_is_not_written(
    outcome: str,
    principal: str,
    purpose: str,
    rule: str,
    record: str,
    writer: str,
    n: int,
    at: int,
    raw: bytes,
) -> None:
    access = Access(record, n, Action.RETURNED, raw)
    draft = EntryDraft(
        Kind.ACCESS,
        at,
        outcome,
        principal,
        on_behalf_of=principal,
        purpose=purpose,
        rules=(rule,),
        accesses=(access,),
        nonce=raw,
    )
    try:
        expected = draft._encode(writer, n)[0]
    except (Invalid, ValueError, OverflowError, OSError):
        with pytest.raises((Invalid, ValueError, OverflowError, OSError)):
            draft.encode(writer, n)
    else:
        assert quick.write(draft, writer, n) in (None, expected)


@given(drafts, counts)
def test_it_reads_what_was_written(draft: EntryDraft, n: int) -> None:
    raw = draft.encode(WRITER, n)
    found = quick.read(raw)
    if n < 10**15 and all(max(one.version, one.segment or 0) < 10**15 for one in draft.accesses):
        assert found == (draft.kind.value, n, WRITER)
    else:
        assert found is None, "it is for the general way"
    assert parse_entry(raw)["n"] == n


def _parsed(raw: bytes) -> tuple[str, int, str] | None:
    try:
        entry = parse_entry(raw)
    except Unverified:
        return None
    return entry["kind"], entry["n"], entry["writer"]


@given(drafts, counts, st.data())
def test_nothing_is_recognised_that_does_not_hold(draft: EntryDraft, n: int, data: st.DataObject) -> None:
    """Bytes changed, cut, doubled and moved."""
    raw = bytearray(draft.encode(WRITER, n))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        upto = data.draw(st.integers(at, min(at + 60, len(raw))))
        piece = data.draw(
            st.sampled_from([b"", bytes(raw[at:upto]) * 2, b"0", b"-", b'"', b",", b" ", b"\n"])
        )
        raw[at:upto] = piece
    found = quick.read(bytes(raw))
    assert found in (None, _parsed(bytes(raw)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"n":7', b'"n":07'),
        (b'"n":7', b'"n":-7'),
        (b'"n":7', b'"n":7.0'),
        (b'"v":1', b'"v":2'),
        (b'"v":1,', b'"v":1,"w":1,'),
        (b'"v":1,', b'"v":1,"v":1,'),
        (b'"at":"2', b'"at":"+'),
        (b'"kind":"access"', b'"kind":"' + b"a" * 65 + b'"'),
        (b'"kind":"access"', b'"kind":"access."'),
        (b"}", b"}\n"),
    ],
)
def test_each_of_these_is_left_to_the_general_way_and_fails_there(old: bytes, new: bytes) -> None:
    raw = a_draft(7).encode(WRITER, 7)
    assert quick.read(raw) is not None
    changed = new.join(raw.rsplit(old, 1))
    assert changed != raw
    assert quick.read(changed) is None
    assert _parsed(changed) is None


def test_longer_than_an_entry_may_be_is_not_recognised() -> None:
    one = b'{"action":"returned","record":"00000000-0000-0000-0000-000000000000","version":1}'
    raw = a_draft(7, accesses=()).encode(WRITER, 7)
    head = b'{"accesses":[' + b",".join([one] * 60) + b"],"
    assert quick.read(head + raw[1:]) is None
    assert len(b64encode(head)) > 4095
