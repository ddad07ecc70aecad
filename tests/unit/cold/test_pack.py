"""Packs as bytes: what goes in comes out, in one spelling; whatever else lies there is refused."""

import random
import uuid

import pack_second as second
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.cold import pack
from tenure.cold.pack import (
    Front,
    Member,
    Place,
    decode,
    decode_index,
    decode_member,
    encode,
    find,
    tail_length,
)
from tenure.errors import Invalid, Tampered, TooLarge

FRONT = Front(str(uuid.UUID(int=1)), str(uuid.UUID(int=2)), "a90-x365")
RECORD = str(uuid.UUID(int=3))

ids = st.uuids().map(str)
names = st.from_regex(r"[a-z0-9][a-z0-9/-]{0,62}", fullmatch=True)
parts = st.dictionaries(names, st.binary(max_size=200), min_size=1, max_size=5)
# Few records and numbers, so that neighbours differ in the number alone.
addresses = st.tuples(
    st.one_of(ids, st.sampled_from([RECORD])), st.integers(0, 2**63 - 1) | st.integers(0, 3)
)
contents = st.dictionaries(addresses, parts, min_size=1, max_size=6)
fronts = st.builds(Front, ids, ids, st.from_regex(r"[a-z0-9][a-z0-9.-]{0,62}", fullmatch=True))


def made(content):
    return [Member(*key, given_parts) for key, given_parts in content.items()]


def small(front=FRONT):
    return encode(
        front,
        [
            Member(RECORD, 1, {"head": b"\0" * 40, "content": b"\xff" * 90}),
            Member(RECORD, 2, {"head": b"h", "content": b""}),
            Member(str(uuid.UUID(int=4)), 1, {"content": b"c" * 30}),
        ],
    )


@given(fronts, contents, st.randoms())
def test_what_goes_in_comes_out(front, content, shuffled):
    members = made(content)
    packed = encode(front, members)
    shuffled.shuffle(members)
    assert encode(front, members) == packed, "the order in which they come is of no account"
    found = decode(front, packed.data)
    assert sorted(found) == sorted(members)
    assert [one[:2] for one in found] == [place[:2] for place in packed.places]
    three = (front.tenant, front.pack, front.retention_class)
    assert second.read(*three, packed.data) == content
    assert second.write(*three, content) == packed.data


@given(fronts, contents)
def test_a_member_is_had_by_two_ranges(front, content):
    packed = encode(front, made(content))
    tail = packed.data[-tail_length(len(content)) :]
    places = decode_index(front, len(packed.data), tail)
    assert places == packed.places
    for key, expected in content.items():
        place = find(places, *key)
        body = packed.data[place.offset : place.offset + place.length]
        assert decode_member(place, body) == Member(*key, expected)
    assert find(places, str(uuid.UUID(int=7)), 7) is None or (str(uuid.UUID(int=7)), 7) in content


def test_every_flipped_bit_is_found():
    packed = small()
    for at in range(len(packed.data)):
        for bit in range(8):
            other = bytearray(packed.data)
            other[at] ^= 1 << bit
            with pytest.raises(Tampered):
                decode(FRONT, other)


def test_every_flipped_bit_of_index_and_trailer_is_found_without_the_rest():
    packed = small()
    tail = packed.data[-tail_length(3) :]
    for at in range(len(tail)):
        for bit in range(8):
            other = bytearray(tail)
            other[at] ^= 1 << bit
            with pytest.raises(Tampered):
                decode_index(FRONT, len(packed.data), other)


def test_every_cut_is_found():
    packed = small()
    for at in range(len(packed.data)):
        for cut in (packed.data[:at], packed.data[at + 1 :], packed.data[:at] + packed.data[at + 1 :]):
            with pytest.raises(Tampered):
                decode(FRONT, cut)
    tail = packed.data[-tail_length(3) :]
    for at in range(len(tail)):
        with pytest.raises(Tampered):
            decode_index(FRONT, len(packed.data), tail[at + 1 :])


@given(st.binary(max_size=400))
def test_anything_else_is_refused(noise):
    begin = FRONT.encode()
    for data in (noise, begin + noise, begin + noise + b"TNPE"):
        with pytest.raises(Tampered):
            decode(FRONT, data)
        with pytest.raises(Tampered):
            decode_index(FRONT, len(data), data)


@given(contents, st.data())
def test_bytes_that_were_moved_about_are_refused(content, data):
    """Two stretches change places: whatever the pack then says, it is not believed."""
    whole = encode(FRONT, made(content)).data
    a, b, c, d = sorted(data.draw(st.lists(st.integers(0, len(whole)), min_size=4, max_size=4)))
    other = whole[:a] + whole[c:d] + whole[b:c] + whole[a:b] + whole[d:]
    if other != whole:
        with pytest.raises(Tampered):
            decode(FRONT, other)


@pytest.mark.parametrize("field", ["tenant", "pack", "retention_class"])
def test_a_pack_of_another_is_refused(field):
    own = {"tenant": FRONT.tenant, "pack": FRONT.pack, "retention_class": FRONT.retention_class}
    other = Front(**own | {field: "a90-x366" if field == "retention_class" else str(uuid.UUID(int=9))})
    packed = small(other)
    with pytest.raises(Tampered, match="another tenant, pack, retention class"):
        decode(FRONT, packed.data)
    with pytest.raises(Tampered, match="not the one of this pack"):
        decode_index(FRONT, len(packed.data), packed.data[-tail_length(3) :])


def test_an_index_of_a_longer_or_shorter_object_is_refused():
    packed = small()
    for size in (0, len(packed.data) - 1, len(packed.data) + 1):
        with pytest.raises(Tampered, match="another place of the index"):
            decode_index(FRONT, size, packed.data[-tail_length(3) :])


def test_a_place_gives_its_own_member_only():
    packed = small()
    one, two, _ = packed.places
    bodies = [packed.data[place.offset : place.offset + place.length] for place in packed.places]
    with pytest.raises(Tampered):
        decode_member(one, bodies[1])
    for record, number in ((one.record, 2), (str(uuid.UUID(int=9)), 1)):
        renamed = Place(record, number, *one[2:])
        with pytest.raises(Tampered, match="another version"):
            decode_member(renamed, bodies[0])
    assert decode_member(two, bodies[1]).parts == {"head": b"h", "content": b""}


# ── what is not packed ───────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("members", "field"),
    [
        ([], "members"),
        ([Member(RECORD, 1, {"head": b"1"}), Member(RECORD, 1, {"head": b"2"})], "members"),
        ([Member(RECORD.upper().replace("0", "A"), 1, {"head": b""})], "record"),
        ([Member("ada@example.org", 1, {"head": b""})], "record"),
        ([Member(RECORD, -1, {"head": b""})], "number"),
        ([Member(RECORD, 1 << 63, {"head": b""})], "number"),
        ([Member(RECORD, 1, {})], "parts"),
        ([Member(RECORD, 1, {f"p{n}": b"" for n in range(256)})], "parts"),
        ([Member(RECORD, 1, {"": b""})], "parts"),
        ([Member(RECORD, 1, {"Ada Lovelace": b""})], "parts"),
        ([Member(RECORD, 1, {"head\n": b""})], "parts"),
        ([Member(RECORD, 1, {"x" * 64: b""})], "parts"),
    ],
)
def test_what_has_no_form_is_not_packed(members, field):
    with pytest.raises(Invalid) as refused:
        encode(FRONT, members)
    assert refused.value.field == field
    assert refused.value.rule
    assert refused.value.remedy
    assert "Ada" not in refused.value.detail
    assert "ada" not in refused.value.detail


@pytest.mark.parametrize(
    ("front", "field"),
    [
        (("acme", FRONT.pack, "x"), "tenant"),
        ((FRONT.tenant, "../x", "x"), "pack"),
        ((FRONT.tenant, FRONT.pack, ""), "retention_class"),
        ((FRONT.tenant, FRONT.pack, "kept for Ada"), "retention_class"),
        ((FRONT.tenant, FRONT.pack, "x" * 64), "retention_class"),
    ],
)
def test_a_front_that_is_none_is_refused(front, field):
    for call in (lambda: encode(Front(*front), [Member(RECORD, 1, {"head": b""})]), Front(*front).encode):
        with pytest.raises(Invalid) as refused:
            call()
        assert refused.value.field == field


def test_limits_are_those_of_the_reader(monkeypatch):
    members = [Member(RECORD, n, {"head": b"x"}) for n in range(5)]
    packed = encode(FRONT, members)
    monkeypatch.setattr(pack, "MAX_MEMBERS", 4)
    with pytest.raises(Invalid, match="too many"):
        encode(FRONT, members)
    with pytest.raises(Tampered):
        decode(FRONT, packed.data)
    monkeypatch.undo()
    monkeypatch.setattr(pack, "MAX_BYTES", len(packed.data))
    assert encode(FRONT, members) == packed
    assert len(decode(FRONT, packed.data)) == 5
    monkeypatch.setattr(pack, "MAX_BYTES", len(packed.data) - 1)
    with pytest.raises(TooLarge):
        encode(FRONT, members)
    with pytest.raises(Tampered, match="size limit"):
        decode(FRONT, packed.data)


def test_as_many_members_as_there_may_be():
    order = list(range(pack.MAX_MEMBERS))
    random.Random(1).shuffle(order)
    packed = encode(FRONT, [Member(RECORD, n, {"head": b"x"}) for n in order])
    tail = packed.data[-tail_length(pack.MAX_MEMBERS) :]
    places = decode_index(FRONT, len(packed.data), tail)
    assert [place.number for place in places] == sorted(order)
    assert find(places, RECORD, 40_000) == packed.places[40_000]


def test_errors_show_nothing_of_what_is_packed():
    packed = encode(FRONT, [Member(RECORD, 1, {"head": b"canary-content"})])
    for data in (packed.data[:-1], packed.data.replace(b"canary", b"canard")):
        with pytest.raises(Tampered) as refused:
            decode(FRONT, data)
        said = f"{refused.value.detail} {refused.value.remedy}"
        assert "cana" not in said
        assert RECORD not in said
        assert refused.value.remedy
