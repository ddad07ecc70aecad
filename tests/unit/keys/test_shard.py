"""One state, one encoding: whatever is not canonical is refused, as the second implementation refuses it."""

import keys_second as second
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import Tampered
from tenure.keys.ggm import Node, PuncturedState, Shard

SEED = bytes(range(32))
leaves = st.sets(st.one_of(st.integers(0, 30), st.integers(0, 2**40 - 1)), max_size=6)


def both_refuse(encoded):
    with pytest.raises(Tampered):
        Shard.decode(encoded)
    with pytest.raises(second.Refused):
        second.decode_shard(encoded)


@given(leaves, st.sampled_from([1, 500, 10**6]))
def test_round_trip(gone, limit):
    for shard in PuncturedState.fresh(SEED).puncture(gone, shard_limit=limit).shards:
        encoded = shard.encode()
        assert Shard.decode(encoded) == shard
        assert Shard.decode(encoded).encode() == encoded
        assert second.decode_shard(encoded) == (shard.depth, shard.prefix, [tuple(n) for n in shard.nodes])


@given(st.sets(st.integers(0, 2**40 - 1), min_size=1, max_size=3), st.data())
def test_whatever_decodes_encodes_back_and_both_implementations_agree(gone, data):
    """Any one changed byte: either both refuse it, or it is another canonical shard."""
    encoded = bytearray(PuncturedState.fresh(SEED).puncture(gone).shards[0].encode())
    head = 15 + 9 * ((len(encoded) - 15) // 41)
    at = data.draw(st.integers(0, head - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        shard = Shard.decode(bytes(encoded))
    except Tampered:
        both_refuse(bytes(encoded))
    else:
        assert shard.encode() == encoded
        assert second.decode_shard(bytes(encoded))


@given(
    st.integers(0, 3),
    st.integers(0, 7),
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 2, 3, 4, 38, 39, 40, 41, 255]),
            st.one_of(
                st.integers(0, 8).map(lambda eighth: eighth << 37),  # where nodes of small depth begin
                st.integers(0, 6),
                st.sampled_from([2**40 - 1, 2**62, 2**63 - 2, 2**63, 2**64 - 1]),
            ),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_any_columns_are_refused_by_both_implementations_or_by_none(depth, prefix, nodes, ordered):
    nodes = sorted(nodes, key=lambda node: node[1]) if ordered else nodes
    encoded = b"".join(
        (
            b"TNKS\x01",
            depth.to_bytes(1),
            prefix.to_bytes(5),
            len(nodes).to_bytes(4),
            bytes(node[0] for node in nodes),
            *(node[1].to_bytes(8) for node in nodes),
            SEED * len(nodes),
        )
    )
    try:
        second.decode_shard(encoded)
    except second.Refused:
        both_refuse(encoded)
    else:
        assert Shard.decode(encoded).encode() == encoded


ROOT = Node(0, 0, SEED)
LEFT, RIGHT = ROOT.child(0), ROOT.child(1)
RIGHT_LEFT = RIGHT.child(0)


@pytest.mark.parametrize(
    ("depth", "prefix", "nodes"),
    [
        pytest.param(0, 0, [], id="no node"),
        pytest.param(0, 0, [RIGHT_LEFT, LEFT], id="out of order"),
        pytest.param(0, 0, [LEFT, LEFT], id="twice"),
        pytest.param(0, 0, [ROOT, RIGHT_LEFT], id="overlap"),
        pytest.param(0, 0, [LEFT, RIGHT], id="siblings"),
        pytest.param(1, 1, [LEFT], id="left of the subtree"),
        pytest.param(1, 0, [RIGHT_LEFT], id="right of the subtree"),
        pytest.param(1, 0, [ROOT], id="above the subtree"),
        pytest.param(1, 2, [RIGHT], id="prefix too large"),
        pytest.param(41, 0, [LEFT], id="too deep a subtree"),
    ],
)
def test_what_is_not_the_minimal_cover_of_a_subtree_is_refused(depth, prefix, nodes):
    both_refuse(second.encode_shard(depth, prefix, [tuple(node) for node in nodes]))
    with pytest.raises(Tampered):
        Shard.of(depth, prefix, nodes)


def test_a_misaligned_node_is_refused():
    encoded = bytearray(second.encode_shard(0, 0, [tuple(RIGHT_LEFT)]))
    encoded[15 + 1 + 7] ^= 1  # first leaf
    both_refuse(bytes(encoded))


def test_bytes_after_the_end_a_cut_and_another_version_are_refused():
    encoded = second.encode_shard(0, 0, [tuple(LEFT)])
    assert Shard.decode(encoded)
    both_refuse(encoded + b"\x00")
    both_refuse(encoded[:-1])
    both_refuse(encoded[:4] + b"\x02" + encoded[5:])
