"""The frozen packs, read by the second implementation too, and made again to the same bytes."""

import importlib.util
import json
from pathlib import Path

import pack_second as second
import pytest

from tenure.cold.pack import Front, Member, decode, decode_index, decode_member, encode, find, tail_length
from tenure.errors import Tampered

VECTORS = Path(__file__).parents[2] / "vectors" / "packs"


def cases(kind):
    found = json.loads((VECTORS / "packs.json").read_text())[kind]
    return [pytest.param(case["front"], bytes.fromhex(case["pack"]), case, id=case["name"]) for case in found]


def test_the_encoder_still_makes_the_frozen_bytes():
    spec = importlib.util.spec_from_file_location("make_pack_vectors", VECTORS / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert make.rendered(make.everything()) == (VECTORS / "packs.json").read_text()


@pytest.mark.parametrize(("front", "data", "case"), cases("good"))
def test_both_read_the_same_and_write_it_back(front, data, case):
    members = decode(Front(*front), data)
    theirs = second.read(*front, data)
    assert {(one.record, one.number): dict(one.parts) for one in members} == theirs
    assert second.write(*front, theirs) == data
    again = encode(Front(*front), [Member(*key, parts) for key, parts in reversed(theirs.items())])
    assert again.data == data
    assert again.sha256.hex() == case["sha256"] == second.sha(data).hex()
    assert [{**one._asdict(), "sha256": one.sha256.hex()} for one in again.places] == case["places"]


@pytest.mark.parametrize(("front", "data", "case"), cases("good"))
def test_two_ranges_are_enough(front, data, case):
    """The tail gives the places; each place gives its member, and only with its own bytes."""
    tail = data[-tail_length(len(case["places"])) :]
    places = decode_index(Front(*front), len(data), tail)
    for (key, parts), place in zip(second.read(*front, data).items(), places, strict=True):
        assert find(places, *key) == place
        body = data[place.offset : place.offset + place.length]
        assert decode_member(place, body) == Member(*key, parts)


@pytest.mark.parametrize(("front", "data", "case"), cases("bad"))
def test_both_refuse(front, data, case):
    with pytest.raises(Tampered) as refused:
        decode(Front(*front), data)
    assert refused.value.rule == "pack-format"
    with pytest.raises(second.Refused):
        second.read(*front, data)
