"""The witness's decision: every status of the document, and never two pasts of one log."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.ledger import tree
from tenure.ledger.base64 import to_base64
from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.merkle import EMPTY_ROOT, verify_consistency
from tenure.ledger.note import COSIGNATURE, Signer, note_body
from tenure.ledger.tree import Tree
from tenure.ledger.witness import START, Head, Refused, authenticate, decide, parse_request
from unit.ledger.logs import ORIGIN, SEED, SIGNER

LOGS = {ORIGIN: [SIGNER.verifier]}


class Past:
    """One history of a log: leaves as they are appended, tiles kept."""

    def __init__(self, leaves):
        self.leaves = leaves
        grown = Tree()
        self.tiles = {(w.level, w.n): w.data for w in grown.append(leaves)}

    def root(self, size):
        return tree.tree_root(size, lambda *at: self.tiles[at]) if size else EMPTY_ROOT

    def head(self, size):
        return Head(size, self.root(size))

    def note(self, size, signer=SIGNER):
        return sign_checkpoint(Checkpoint(ORIGIN, size, self.root(size)), [signer])

    def body(self, old, size):
        proof = tree.consistency(old, size, lambda *at: self.tiles[at]) if old <= size else []
        return body(old, proof, self.note(size))


def body(old, proof, note):
    return "\n".join([f"old {old}", *map(to_base64, proof)]).encode() + b"\n\n" + note.encode()


def leaf(text):
    return hashlib.sha256(text.encode()).digest()


def past(size, name="a", shared=0):
    """A history of `size` leaves of which `shared` are everybody's."""
    return Past([leaf(f"{'a' if n < shared else name}{n}") for n in range(size)])


A = past(20)
FORK = past(20, "b", shared=4)


def ask(raw, stored=START, logs=LOGS):
    request = parse_request(raw)
    authenticate(request, logs)
    return decide(request, stored)


def refused(raw, stored=START, logs=LOGS):
    with pytest.raises(Refused) as caught:
        ask(raw, stored, logs)
    assert (caught.value.size is not None) == (caught.value.status == 409)
    return caught.value.status


def test_growth_is_cosigned_and_the_same_again():
    head = ask(A.body(0, 5))
    assert head == A.head(5)
    assert ask(A.body(5, 9), head) == A.head(9)
    assert ask(A.body(9, 9), A.head(9)) == A.head(9)
    assert ask(A.body(0, 0)) == START


def test_unknown_log_404():
    assert refused(A.body(0, 5), logs={}) == 404
    assert refused(A.body(0, 5), logs={ORIGIN: []}) == 404


def test_no_good_signature_403():
    stranger = Signer(ORIGIN, bytes(32))
    assert refused(body(0, [], A.note(5, stranger))) == 403
    assert refused(body(0, [], A.note(5).replace("\n5\n", "\n6\n"))) == 403
    # A key of that log under another name, and one of the other type, are no keys of this log.
    assert refused(body(0, [], A.note(5, Signer("log.test/x", SEED)))) == 403
    cosigner = Signer(ORIGIN, SEED, COSIGNATURE)
    assert refused(body(0, [], A.note(5, cosigner)), logs={ORIGIN: [cosigner.verifier]}) == 404


def test_further_signatures_of_strangers_change_nothing():
    note = A.note(5)
    more = note + Signer("stranger.test/x", bytes(32)).signature_line(note_body(note))
    assert ask(body(0, [], more)) == A.head(5)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"old 0\n",
        b"old 0\n\nnothing",
        b"old 0\n\n" + b"a\n5\nb\n\n",
        A.body(0, 5).replace(b"old 0", b"old"),
        A.body(0, 5).replace(b"old 0", b"old 00"),
        A.body(0, 5).replace(b"old 0", b"old -1"),
        A.body(0, 5).replace(b"old 0", b"old  0"),
        A.body(0, 5).replace(b"old 0", b"old 0 "),
        A.body(0, 5).replace(b"old 0", b"Old 0"),
        A.body(0, 5).replace(b"old 0", b"old 0\r"),
        A.body(0, 5).replace(b"old 0", b"old %d" % 2**63),
        A.body(0, 5).replace(b"old 0", "old \N{ARABIC-INDIC DIGIT ONE}".encode()),
        A.body(0, 5).replace(b"old 0\n\n", b"old 0\n"),
        b"\n" + A.body(0, 5),
        body(5, [bytes(31)], A.note(9)),
        body(5, [bytes(32)] * 64, A.note(9)),
        A.body(5, 9).replace(b"=\n", b"\n", 1),
        body(9, [], A.note(5)),
    ],
)
def test_malformed_400(raw):
    assert refused(raw, A.head(5)) == 400


def test_another_old_size_409_with_the_stored_one():
    for old in (0, 4, 7):
        with pytest.raises(Refused) as caught:
            ask(A.body(old, 9), A.head(5))
        assert (caught.value.status, caught.value.size) == (409, 5)


def test_another_past_422():
    assert refused(FORK.body(9, 9), A.head(9)) == 422
    assert refused(FORK.body(9, 12), A.head(9)) == 422
    assert refused(body(5, [], A.note(9)), A.head(5)) == 422
    assert refused(body(0, [bytes(32)], A.note(5))) == 422
    assert refused(body(5, [bytes(32)], A.note(5)), A.head(5)) == 422
    empty = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), [SIGNER])
    assert refused(body(0, [], empty)) == 422


PASTS = [past(40), past(40, "b", shared=13), past(40, "c", shared=0)]


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 40) | st.none(), st.booleans()),
        max_size=25,
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_offered_all_that_was_cosigned_is_one_growing_log(offers):
    """Random growth, forks, rollbacks and replays, with honest and with wrong old sizes."""
    head, cosigned, replays, statuses = START, [], [], set()
    for which, size, old, replay in offers:
        raw = PASTS[which].body(head.size if old is None else old, size)
        raw = replays[size % len(replays)] if replay and replays else raw
        replays.append(raw)
        try:
            head = ask(raw, head)
        except Refused as refusal:
            statuses.add(refusal.status)
        else:
            cosigned.append(head)
    assert statuses <= {400, 409, 422}
    assert [one.size for one in cosigned] == sorted(one.size for one in cosigned)
    assert any(all(one == history.head(one.size) for one in cosigned) for history in PASTS), (
        "two pasts were cosigned"
    )


@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_honest_growth_is_never_refused(old, more):
    size = min(40, old + more)
    stored = PASTS[0].head(old)
    assert ask(PASTS[0].body(old, size), stored) == PASTS[0].head(size)


@given(st.integers(1, 39), st.integers(0, 10), st.integers(0, 255))
@settings(max_examples=50, deadline=None)
def test_a_changed_proof_is_refused(old, at, byte):
    proof = tree.consistency(old, 40, lambda *tile: PASTS[0].tiles[tile])
    n = at % len(proof)
    changed = [*proof]
    changed[n] = bytes([proof[n][0] ^ (byte or 1)]) + proof[n][1:]
    assert verify_consistency(old, 40, PASTS[0].root(old), PASTS[0].root(40), proof)
    assert refused(body(old, changed, PASTS[0].note(40)), PASTS[0].head(old)) == 422
