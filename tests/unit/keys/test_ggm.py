"""Puncturing: what is gone is gone, everything else is as it was, and nobody can widen a state unseen."""

import keys_second as second
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Invalid, KeyFailure, Shredded, Tampered
from tenure.keys.ggm import LEAF_BITS, Node, PuncturedState, Shard, leaf_number

SEED = bytes(range(32))
FRESH = PuncturedState.fresh(SEED)
TINY = 400  # bytes: forces shards to split

# Leaves that share long prefixes, short ones, and the ends.
leaf = st.one_of(
    st.integers(0, 40),
    st.integers(2**40 - 10, 2**40 - 1),
    st.integers(0, 2**40 - 1),
    st.builds(leaf_number, st.integers(0, 3), st.integers(4097, 4110)),
)
leaves = st.sets(leaf, max_size=12)
limits = st.sampled_from([1, TINY, 2_000, 10**6])


@given(leaf)
def test_keys_are_those_of_the_specification(number):
    assert FRESH.derive(number) == second.leaf_key(SEED, number)


@given(leaves, leaves, limits)
def test_punctured_leaves_have_no_key_and_the_others_keep_theirs(gone, others, limit):
    state = FRESH.puncture(gone, shard_limit=limit)
    for number in gone:
        assert state.is_punctured(number)
        with pytest.raises(Shredded):
            state.derive(number)
    for number in others - gone:
        assert not state.is_punctured(number)
        assert state.derive(number) == FRESH.derive(number)
    assert state.leaf_count == 2**40 - len(gone)


@given(st.lists(leaf, max_size=8, unique=True), st.randoms(use_true_random=False))
def test_neither_order_nor_grouping_of_punctures_matters(numbers, random):
    one_by_one = FRESH
    shuffled = list(numbers)
    random.shuffle(shuffled)
    for number in shuffled:
        one_by_one = one_by_one.puncture([number])
    assert one_by_one == FRESH.puncture(numbers)
    assert one_by_one.puncture(numbers) == one_by_one


@given(leaves, limits)
def test_splitting_moves_nodes_and_changes_none(gone, limit):
    whole = FRESH.puncture(gone)
    parts = FRESH.puncture(gone, shard_limit=limit)
    nodes = [tuple(node) for shard in parts.shards for node in shard.nodes]
    assert nodes == [tuple(node) for shard in whole.shards for node in shard.nodes]
    assert nodes == second.cover(SEED, sorted(gone))
    assert all(shard.size_bytes <= limit or len(shard) == 1 for shard in parts.shards)
    assert all(shard.size_bytes == len(shard.encode()) for shard in parts.shards)
    assert parts.size_bytes == sum(len(shard.encode()) for shard in parts.shards)


def test_a_subtree_that_is_wholly_punctured_leaves_no_node():
    gone = range(64, 128)
    assert FRESH.puncture(gone).leaf_count == 2**40 - 64
    last = Node(39, 2**39 - 1, SEED)
    state = PuncturedState([Shard.of(39, 2**39 - 1, [last])])
    empty = state.puncture([2**40 - 2]).puncture([2**40 - 1])
    assert empty.shards == ()
    assert empty.is_punctured(0)
    with pytest.raises(Shredded):
        empty.derive(2**40 - 1)


def test_untouched_shards_are_the_same_objects():
    state = FRESH.puncture([5000, leaf_number(200, 1)], shard_limit=TINY)
    after = state.puncture([5001], shard_limit=TINY)
    same = [shard for shard in after.shards if any(shard is old for old in state.shards)]
    assert len(same) == len(state.shards) - 1


@pytest.mark.parametrize("number", [-1, 2**40])
def test_what_is_no_leaf_number_is_refused(number):
    for call in (FRESH.derive, FRESH.is_punctured, lambda one: FRESH.puncture([one])):
        with pytest.raises(Invalid):
            call(number)


@pytest.mark.parametrize(("epoch", "sequence"), [(256, 0), (-1, 0), (0, 2**32), (0, -1)])
def test_a_sequence_that_ran_out_never_wraps_into_another_leaf(epoch, sequence):
    with pytest.raises(Invalid):
        leaf_number(epoch, sequence)


def test_leaf_numbers_are_epoch_then_sequence():
    assert leaf_number(255, 2**32 - 1) == 2**LEAF_BITS - 1
    assert leaf_number(1, 2) == 2**32 + 2


@settings(max_examples=50)
@given(leaves, leaves, limits)
def test_a_punctured_state_narrows_its_past_and_not_its_future(first, then, limit):
    old = FRESH.puncture(first)
    new = old.puncture(then, shard_limit=limit)
    assert new.is_narrowing_of(old)
    assert new.is_narrowing_of(new)
    assert old.is_narrowing_of(new) == (then <= first)


@settings(max_examples=30)
@given(st.sets(leaf, min_size=1, max_size=5), st.data())
def test_a_forged_seed_is_no_narrowing(gone, data):
    new = FRESH.puncture(gone)
    (shard,) = new.shards
    nodes = list(shard.nodes)
    at = data.draw(st.integers(0, len(nodes) - 1))
    flipped = bytes([nodes[at].seed[0] ^ 1]) + nodes[at].seed[1:]
    nodes[at] = nodes[at]._replace(seed=flipped)
    forged = PuncturedState([Shard.of(shard.depth, shard.prefix, nodes)])
    assert new.is_narrowing_of(FRESH)
    assert not forged.is_narrowing_of(FRESH)
    assert not forged.is_narrowing_of(new)


LONG = PuncturedState.fresh(SEED).puncture(range(1, 2000, 20))
"""Hundreds of nodes: what is as it was is compared many nodes at a time."""


@settings(max_examples=50)
@given(st.integers(0, len(LONG.shards[0]) - 1), st.sets(st.integers(0, 2000), max_size=3))
def test_one_forged_seed_among_many_is_no_narrowing(at, gone):
    new = LONG.puncture(gone)
    assert new.is_narrowing_of(LONG)
    (shard,) = new.shards
    nodes = list(shard.nodes)
    at %= len(nodes)
    nodes[at] = nodes[at]._replace(seed=bytes(32))
    assert not PuncturedState([Shard.of(shard.depth, shard.prefix, nodes)]).is_narrowing_of(LONG)


def test_a_state_of_another_seed_is_no_narrowing():
    assert not PuncturedState.fresh(bytes(32)).puncture([7]).is_narrowing_of(FRESH)


def test_two_shards_do_not_prove_the_shard_above_them():
    """From both children nobody can tell the parent's seed: it is refused, not believed."""
    root = Node(0, 0, SEED)
    halves = PuncturedState([Shard.of(1, bit, [root.child(bit)]) for bit in (1, 0)])
    assert [shard.prefix for shard in halves.shards] == [0, 1]
    assert halves.is_narrowing_of(FRESH)
    assert not FRESH.is_narrowing_of(halves)


def test_overlapping_shards_are_refused():
    root = Node(0, 0, SEED)
    with pytest.raises(Tampered, match="overlap"):
        PuncturedState([Shard.of(0, 0, [root]), Shard.of(1, 1, [root.child(1)])])


def test_a_wiped_state_gives_out_nothing():
    """Zeros would be a key that everybody knows."""
    state = PuncturedState.fresh(SEED)
    (shard,) = state.shards
    state.wipe()
    uses = (
        lambda: state.derive(5000),
        lambda: state.puncture([5000]),
        shard.encode,
        lambda: list(shard.nodes),
        lambda: FRESH.puncture([1]).is_narrowing_of(state),
    )
    for use in uses:
        with pytest.raises(KeyFailure, match="wiped"):
            use()


def test_no_repr_shows_a_seed():
    state = PuncturedState.fresh(SEED)
    shown = repr(state) + repr(state.shards[0]) + repr(next(state.shards[0].nodes))
    assert SEED.hex() not in shown
    assert repr(SEED) not in shown
    assert "\\x" not in shown


def test_a_seed_has_32_bytes():
    with pytest.raises(ValueError, match="32"):
        PuncturedState.fresh(b"short")
