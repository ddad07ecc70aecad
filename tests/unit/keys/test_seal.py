"""A sealed version opens for its own leaves, in its own place, whole; or it says why not."""

import keys_second as second
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Invalid, KeyFailure, Shredded, Tampered
from tenure.keys import slots as headers
from tenure.keys.seal import Binding, header_leaves, open_key, seal

BINDING = Binding("acme", "support.conversations", "record-1", 7)
PARTS = {"head": b'{"key":"k"}', "content": b'{"name":"Ada"}'}
KEYS = {leaf: bytes([leaf % 251]) * 32 for leaf in range(5000, 5010)}


def slot(*leaves):
    return {leaf: KEYS[leaf] for leaf in leaves}


def alive(*leaves):
    """The leaf keys of a state in which only these leaves live."""

    def leaf_key(leaf):
        if leaf not in leaves:
            raise Shredded("gone")
        return KEYS[leaf]

    return leaf_key


ALL = alive(*KEYS)


def sealed(*slots, binding=BINDING, parts=PARTS):
    return seal(binding, slots or [slot(5000)], parts)[0]


def opened_parts(opened, version):
    return {name: opened.open(name, part) for name, part in version.parts.items()}


words = st.text(max_size=12)
bindings = st.builds(Binding, words, words, words, st.integers(0, 2**64 - 1))
leaf_sets = st.lists(
    st.frozensets(st.sampled_from(sorted(KEYS)), min_size=1, max_size=3), min_size=1, max_size=3, unique=True
)
part_maps = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name not in {"dek", "rewrap", "header"}),
    st.binary(max_size=300),
    max_size=3,
)


@settings(max_examples=60)
@given(bindings, leaf_sets, part_maps)
def test_what_is_sealed_opens_here_and_with_the_second_implementation(binding, sets, parts):
    version, at_once = seal(binding, [slot(*leaves) for leaves in sets], parts)
    opened = open_key(binding, version.header, ALL)
    theirs = second.Record(
        binding.tenant, binding.scope, binding.record, binding.version, version.header, KEYS
    )
    for one in (at_once, opened):
        assert opened_parts(one, version) == parts
        assert one.opening_salt(b"n" * 16, "r", 3) == theirs.salt(b"n" * 16, "r", 3)
    assert {name: theirs.part(name, part) for name, part in version.parts.items()} == parts
    assert header_leaves(version.header) == tuple(tuple(sorted(leaves)) for leaves in sets)


def test_any_of_two_erased_kills_one_slot_of_both():
    version = sealed(slot(5000, 5001))
    assert opened_parts(open_key(BINDING, version.header, alive(5000, 5001)), version) == PARTS
    for left in (5000, 5001):
        with pytest.raises(Shredded):
            open_key(BINDING, version.header, alive(left))


def test_all_of_two_must_be_erased_to_kill_two_slots():
    version = sealed(slot(5000), slot(5001))
    for left in (5000, 5001):
        assert opened_parts(open_key(BINDING, version.header, alive(left)), version) == PARTS
    with pytest.raises(Shredded):
        open_key(BINDING, version.header, alive())


def test_every_changed_byte_is_noticed():
    """In the header of a version with two slots and a hold, also in the slots that are not used."""
    version, opened = seal(BINDING, [slot(5000, 5001), slot(5002)], PARTS)
    header = opened.add_slot(version.header, slot(5003))
    for at in range(len(header)):
        for bit in (1, 0x80):
            changed = header[:at] + bytes([header[at] ^ bit]) + header[at + 1 :]
            with pytest.raises(Tampered):
                open_key(BINDING, changed, lambda leaf: KEYS.get(leaf, bytes(32)))
    part = version.parts["content"]
    for at in range(len(part)):
        with pytest.raises(Tampered):
            opened.open("content", part[:at] + bytes([part[at] ^ 1]) + part[at + 1 :])


def test_a_cut_or_longer_header_is_noticed():
    header = sealed(slot(5000, 5001), slot(5002)).header
    for end in range(len(header)):
        with pytest.raises(Tampered):
            open_key(BINDING, header[:end], ALL)
    with pytest.raises(Tampered):
        open_key(BINDING, header + b"\x00", ALL)


@pytest.mark.parametrize(
    "other",
    [
        Binding("bolt", "support.conversations", "record-1", 7),
        Binding("acme", "support.tickets", "record-1", 7),
        Binding("acme", "support.conversations", "record-2", 7),
        Binding("acme", "support.conversations", "record-1", 8),
        Binding("acmesupport.conversations", "", "record-1", 7),
    ],
)
def test_in_another_place_nothing_opens(other):
    version = sealed()
    with pytest.raises(Tampered):
        open_key(other, version.header, ALL)


def test_parts_do_not_trade_places():
    first, second_ = sealed(), sealed()
    opened = open_key(BINDING, first.header, ALL)
    with pytest.raises(Tampered):
        opened.open("content", first.parts["head"])
    with pytest.raises(Tampered):
        opened.open("content", second_.parts["content"])


def test_the_same_data_never_seals_to_the_same_bytes():
    one, two = sealed(), sealed()
    assert one.header != two.header
    assert one.parts["content"] != two.parts["content"]
    assert len(set(one.parts.values())) == len(one.parts)


def test_a_wrong_leaf_key_is_noticed_before_anything_is_decrypted():
    with pytest.raises(Tampered, match="commitment"):
        open_key(BINDING, sealed().header, lambda _: bytes(32))


def test_a_broken_slot_is_not_passed_over_for_the_next():
    version = sealed(slot(5000), slot(5001))
    with pytest.raises(Tampered):
        open_key(BINDING, version.header, lambda leaf: bytes(32) if leaf == 5000 else KEYS[leaf])


def test_a_sealer_cannot_show_two_contents_to_two_people():
    """Slots that wrap different keys: each opens by itself, and the header's tag fits one of them only."""
    bound = BINDING.encode()
    front = bound + second.lp("dek")
    deks = b"\x01" * 32, b"\x02" * 32
    made = [headers.new_slot(slot(leaf), dek, front) for leaf, dek in zip((5000, 5001), deks, strict=True)]
    body = headers.MAGIC + headers.encode_section(one.encode() for one in made) + bytes(2)
    tag_key = second.hkdf(deks[0], None, b"tenure/v1/header", 32)
    header = body + second.mac(tag_key, bound + second.lp("header", body))
    assert open_key(BINDING, header, alive(5000))
    with pytest.raises(Tampered, match="tag"):
        open_key(BINDING, header, alive(5001))


# ── adding a slot ────────────────────────────────────────────────────────────────────────────────
def test_a_hold_opens_after_the_persons_leaf_is_gone_and_the_parts_stay():
    version, opened = seal(BINDING, [slot(5000)], PARTS)
    held = opened.add_slot(version.header, slot(5003))
    twice = open_key(BINDING, held, ALL).add_slot(held, slot(5004, 5005))
    assert header_leaves(twice) == ((5000,), (5003,), (5004, 5005))
    for left in ((5000,), (5003,), (5004, 5005)):
        assert opened_parts(open_key(BINDING, twice, alive(*left)), version) == PARTS
    theirs = second.Record(
        "acme", "support.conversations", "record-1", 7, twice, {n: KEYS[n] for n in (5004, 5005)}
    )
    assert theirs.part("content", version.parts["content"]) == PARTS["content"]
    with pytest.raises(Shredded):
        open_key(BINDING, twice, alive(5005))


def test_a_slot_is_added_to_its_own_header_only_and_once():
    version, opened = seal(BINDING, [slot(5000)], PARTS)
    other = sealed(binding=Binding("acme", "support.conversations", "record-1", 8))
    with pytest.raises(Tampered):
        opened.add_slot(other.header, slot(5003))
    with pytest.raises(Invalid):
        opened.add_slot(version.header, slot(5000))
    with pytest.raises(Invalid):
        opened.add_slot(version.header, {})


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "slots",
    [
        pytest.param([], id="no slot"),
        pytest.param([{}], id="a slot that anybody opens"),
        pytest.param([{1: bytes(32)}, {}], id="one of them"),
        pytest.param([{1: bytes(32)}, {1: bytes(32)}], id="twice the same leaves"),
        pytest.param([{1: b""}], id="an empty key"),
        pytest.param([{1: bytes(31)}], id="a short key"),
        pytest.param([{-1: bytes(32)}], id="a negative leaf"),
        pytest.param([{2**40: bytes(32)}], id="a leaf of 41 bits"),
    ],
)
def test_slots_that_do_not_protect_are_refused(slots):
    with pytest.raises(Invalid):
        seal(BINDING, slots, PARTS)


@pytest.mark.parametrize("name", ["", "dek", "rewrap", "header"])
def test_reserved_part_names_are_refused(name):
    with pytest.raises(Invalid):
        seal(BINDING, [slot(5000)], {name: b""})


def with_slots(*leaf_lists, added=()):
    """A header with these leaves, everything else zero."""

    def section(lists):
        return headers.encode_section(headers.encode_leaves(leaves) + bytes(112) for leaves in lists)

    return headers.MAGIC + section(leaf_lists) + section(added) + bytes(32)


def test_a_header_that_is_not_canonical_is_refused():
    assert header_leaves(with_slots([1, 2], [3], added=[[4]])) == ((1, 2), (3,), (4,))
    for wrong in (
        with_slots(),
        with_slots([]),
        with_slots([2, 1]),
        with_slots([1, 1]),
        with_slots([1], [1]),
        with_slots([1], added=[[1]]),
        headers.MAGIC + b"\xff" * 40,
        b"",
    ):
        with pytest.raises(Tampered):
            header_leaves(wrong)


def test_a_wiped_key_gives_out_nothing():
    version, opened = seal(BINDING, [slot(5000)], PARTS)
    opened.wipe()
    for use in (
        lambda: opened.open("content", version.parts["content"]),
        lambda: opened.seal("more", b""),
        lambda: opened.opening_salt(b"n", "r", 1),
        lambda: opened.add_slot(version.header, slot(5001)),
    ):
        with pytest.raises(KeyFailure, match="wiped"):
            use()


def test_an_opening_salt_depends_on_everything_it_is_for():
    version, opened = seal(BINDING, [slot(5000)], PARTS)
    _, other = seal(BINDING, [slot(5000)], PARTS)
    salts = [
        opened.opening_salt(b"n", "r", 1),
        opened.opening_salt(b"m", "r", 1),
        opened.opening_salt(b"n", "s", 1),
        opened.opening_salt(b"n", "r", 2),
        opened.opening_salt(b"nr", "", 1),
        other.opening_salt(b"n", "r", 1),
    ]
    assert len(set(map(bytes, salts))) == len(salts)
    assert open_key(BINDING, version.header, ALL).opening_salt(b"n", "r", 1) == salts[0]


def test_no_repr_shows_the_key():
    _, opened = seal(BINDING, [slot(5000)], PARTS)
    assert repr(opened) == "OpenedKey()"
