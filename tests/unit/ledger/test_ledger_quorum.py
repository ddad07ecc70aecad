"""The file of witnesses, and when a checkpoint has enough of them."""

import json

import pytest

from tenure.errors import Invalid
from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.cosignature import Cosigner
from tenure.ledger.note import note_body
from tenure.ledger.quorum import Quorum, shortfall
from unit.ledger.logs import ORIGIN, SIGNER

ONE, TWO = (Cosigner(f"witness.test/{n}", bytes([n]) * 32) for n in (1, 2))
NOTE = sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), [SIGNER])


def document(quorum=1, keys=(ONE.vkey, TWO.vkey), **more):
    listed = [{"url": f"https://w.test/{n}/", "vkey": key} for n, key in enumerate(keys)]
    return {"quorum": quorum, "witnesses": listed, **more}


def test_it_is_met_by_valid_cosignatures_of_these_witnesses_only():
    quorum = Quorum.parse(json.dumps(document(2)))
    assert [one.url for one in quorum.witnesses] == ["https://w.test/0", "https://w.test/1"]
    body = note_body(NOTE)
    one = NOTE + ONE.cosign(body, 5)
    stranger = one + Cosigner("witness.test/3", bytes(32)).cosign(body, 5)
    false = one + TWO.cosign(body + "more\n", 5)
    twice = one + ONE.cosign(body, 6)
    for note, there in ((NOTE, 0), (one, 1), (stranger, 1), (false, 1), (twice, 1)):
        assert len(quorum.missing(note)) == 2 - there
        assert not quorum.is_met(note)
    assert quorum.is_met(one + TWO.cosign(body, 9))
    assert Quorum.parse(json.dumps(document(0))).is_met(NOTE)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ([], "witnesses"),
        ({}, "witnesses"),
        (document(more=1), "witnesses"),
        (document(3), "quorum"),
        (document(-1), "quorum"),
        (document(True), "quorum"),
        (document("1"), "quorum"),
        (document(0, keys=()), "witnesses"),
        (document(keys=(ONE.vkey, ONE.vkey)), "witnesses"),
        (document(keys=(ONE.vkey, Cosigner("other.test/name", bytes([1]) * 32).vkey)), "witnesses"),
        (document(keys=(SIGNER.vkey,)), "witnesses[0].vkey"),
        (document(keys=("nonsense",)), "vkey"),
        (document(keys=(1,)), "witnesses[0]"),
        ({"quorum": 1, "witnesses": [{"url": "ftp://w.test", "vkey": ONE.vkey}]}, "witnesses[0].url"),
        ({"quorum": 1, "witnesses": [{"vkey": ONE.vkey}]}, "witnesses[0]"),
    ],
)
def test_a_wrong_file_names_what_is_wrong(wrong, field):
    with pytest.raises(Invalid) as caught:
        Quorum.parse(json.dumps(wrong))
    assert caught.value.field == field


def test_what_is_not_json_is_refused():
    with pytest.raises(Invalid, match="not JSON"):
        Quorum.parse("quorum none")


def test_a_name_counts_once():
    assert shortfall(2, ["a", "b"]) is None
    assert shortfall(2, ["a", "a"]).check == "quorum"
    assert shortfall(0, []) is None
