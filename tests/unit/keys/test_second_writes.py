"""The second implementation as a writer: it makes the frozen bytes again, and what it makes opens with ours.

Everything random in a vector lies in the clear (salts, nonces) or can be opened (keys), so that each file can
be made once more, from the specification's text alone, to the last byte.
"""

import base64
import json
from pathlib import Path

import keys_second as second
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import Shredded, Tampered
from tenure.keys import segments
from tenure.keys.ggm import PuncturedState
from tenure.keys.manifest import open_manifest
from tenure.keys.seal import Binding, Sealed, header_leaves, open_key
from tenure.keys.segments import SealedSegment
from tenure.rootstore.files import FilesRootStore

VECTORS = Path(__file__).parents[2] / "vectors" / "keys"
RECORDS = json.loads((VECTORS / "sealed-record.json").read_text())
STATE = json.loads((VECTORS / "state.json").read_text())
SEED = bytes.fromhex(RECORDS["seed"])
PLACE = ("acme", "support.conversations", "record-1", 7)
LEAVES = range(5000, 5006)
KEYS = {leaf: second.leaf_key(SEED, leaf) for leaf in LEAVES}


def opened(case, header):
    leaves = {leaf for slot in case["slots"] for leaf in slot}
    keys = {leaf: second.leaf_key(SEED, leaf) for leaf in leaves}
    place = (case["tenant"], case["scope"], case["record"], case["version"])
    return place, keys, second.Record(*place, header, keys)


@pytest.mark.parametrize("case", RECORDS["cases"], ids=lambda case: case["name"])
def test_records_are_made_again_to_the_byte(case):
    header = bytes.fromhex(case["header"])
    place, keys, record = opened(case, header)
    inp = second.Input(header[6:])
    founding = [(slot[0], slot[1]) for slot in second.read_slots(inp)]
    added = [(slot[0], slot[1]) for slot in second.read_slots(inp)]
    assert [leaves for leaves, _ in founding + added] == case["slots"]
    sealed = {part["name"]: base64.b64decode(part["sealed"]) for part in case["parts"]}
    data = {name: record.part(name, one) for name, one in sealed.items()}
    assert second.write_record(place, record.dek, founding, added, data, keys) == (header, sealed)


def test_there_are_vectors_with_several_slots_of_both_kinds():
    counts = []
    for case in RECORDS["cases"]:
        inp = second.Input(bytes.fromhex(case["header"])[6:])
        counts.append((len(second.read_slots(inp)), len(second.read_slots(inp))))
    assert {(1, 0), (2, 0), (1, 1), (3, 2)} <= set(counts)


@pytest.mark.parametrize("number", [0, 1])
def test_manifests_and_shards_are_made_again_to_the_byte(number):
    files = [second.root_key(bytes.fromhex(file)) for file in STATE["root_files"]]
    roots = {version: key for version, _, _, key in files}
    blob = bytes.fromhex(STATE["manifests"][number])
    seq, tenants = second.open_manifest(blob, roots)
    inp = second.Input(blob[5:])
    inp.take(8)
    version, sealed_key, nonce = inp.u(8), inp.lp(), inp.take(12)
    place = seq.to_bytes(8, "big") + version.to_bytes(8, "big")
    cell_key = second.root_unseal(roots[version], version, sealed_key, second.lp("tenure/v1/cell-key", place))
    nonces = (sealed_key[:12], nonce)
    assert second.write_manifest(seq, tenants, version, roots[version], cell_key, nonces) == blob
    blobs = {
        (s["tenant"], s["depth"], s["prefix"], s["seq"]): bytes.fromhex(s["blob"]) for s in STATE["shards"]
    }
    for name, (_, _, shards) in tenants.items():
        for depth, prefix, shard_seq, key, digest in shards:
            sealed = blobs[name, depth, prefix, shard_seq]
            nodes = second.open_shard(sealed, name, depth, prefix, shard_seq, key, digest)
            assert second.write_shard((depth, prefix, nodes), name, shard_seq, key, sealed[5:17]) == sealed


SLOTS = st.lists(st.frozensets(st.sampled_from(LEAVES), min_size=1), min_size=1, max_size=5, unique=True)
BYTES32 = st.binary(min_size=32, max_size=32)


@given(
    slots=SLOTS,
    founding=st.integers(1, 5),
    salts=st.lists(BYTES32, min_size=5, max_size=5),
    dek=BYTES32,
    parts=st.dictionaries(st.sampled_from(["head", "content", "ß"]), st.binary(max_size=300), max_size=3),
    alive=st.frozensets(st.sampled_from(LEAVES)),
)
def test_what_the_second_writes_opens_with_ours(slots, founding, salts, dek, parts, alive):
    """With any subset of the leaves alive: exactly when all leaves of some slot are."""
    each = [(sorted(leaves), salt) for leaves, salt in zip(slots, salts, strict=False)]
    header, sealed = second.write_record(PLACE, dek, each[:founding], each[founding:], parts, KEYS)
    assert header_leaves(header) == tuple(tuple(leaves) for leaves, _ in each)

    def leaf_key(leaf):
        if leaf not in alive:
            raise Shredded("gone")
        return KEYS[leaf]

    if not any(leaves <= alive for leaves in slots):
        with pytest.raises(Shredded):
            open_key(Binding(*PLACE), header, leaf_key)
        with pytest.raises(second.Refused, match="shredded"):
            second.Record(*PLACE, header, {leaf: KEYS[leaf] for leaf in alive})
        return
    key = open_key(Binding(*PLACE), header, leaf_key)
    assert {name: key.open(name, one) for name, one in Sealed(header, sealed).parts.items()} == parts


@given(data=st.data())
def test_both_refuse_the_same_headers(data):
    """Every byte of a header counts, for both, whichever slot opens it."""
    header, _ = second.write_record(
        PLACE, b"d" * 32, [([5000, 5001], b"s" * 32), ([5002], b"t" * 32)], [([5003], b"u" * 32)], {}, KEYS
    )
    at = data.draw(st.integers(0, len(header) - 1))
    wrong = bytearray(header)
    wrong[at] ^= data.draw(st.integers(1, 255))
    alive = data.draw(st.sampled_from([{5000, 5001}, {5002}, {5003}, set(LEAVES)]))

    def leaf_key(leaf):
        if leaf not in alive:
            raise Shredded("gone")
        return KEYS[leaf]

    with pytest.raises((Tampered, Shredded)):
        open_key(Binding(*PLACE), bytes(wrong), leaf_key)
    with pytest.raises((second.Refused, InvalidTag)):
        second.Record(*PLACE, bytes(wrong), {leaf: KEYS[leaf] for leaf in alive})


@pytest.mark.parametrize(
    ("founding", "added"),
    [
        ([], []),
        ([([5001, 5000], b"s" * 32)], []),
        ([([5000, 5000], b"s" * 32)], []),
        ([([5000], b"s" * 32), ([5000], b"t" * 32)], []),
        ([([5000], b"s" * 32)], [([5000], b"t" * 32)]),
        ([([], b"s" * 32)], []),
    ],
)
def test_both_refuse_headers_that_only_their_writer_would_make(founding, added):
    """Well sealed, but not as the specification says: unsorted, repeated or no leaves, one slot twice."""
    header, _ = second.write_record(PLACE, b"d" * 32, founding, added, {}, KEYS)
    with pytest.raises(Tampered):
        open_key(Binding(*PLACE), header, KEYS.__getitem__)
    with pytest.raises(second.Refused):
        second.Record(*PLACE, header, KEYS)


def shard_refs(*places):
    return [(depth, prefix, 1, b"k" * 32, b"d" * 32) for depth, prefix in places]


@pytest.mark.parametrize(
    ("tenants", "fits"),
    [
        ({}, True),
        ({"a": shard_refs((0, 0)), "b": shard_refs((1, 0), (1, 1)), "é": shard_refs()}, True),
        ({"a": shard_refs((1, 0), (2, 1))}, False),
        ({"a": shard_refs((1, 1), (1, 0))}, False),
        ({"a": shard_refs((1, 2))}, False),
        ({"a": shard_refs((41, 0))}, False),
    ],
)
def test_manifests_that_the_second_writes(tmp_path, tenants, fits):
    root = FilesRootStore(tmp_path)
    version = root.create("op")
    (file,) = tmp_path.glob("root-*.key")
    _, _, _, key = second.root_key(file.read_bytes())
    content = {name: (b"s" * 32, 3, shards) for name, shards in tenants.items()}
    blob = second.write_manifest(9, content, version, key, b"c" * 32, (b"m" * 12, b"n" * 12))
    if not fits:
        with pytest.raises(Tampered):
            open_manifest(blob, root)
        with pytest.raises(second.Refused):
            second.open_manifest(blob, {version: key})
        return
    manifest = open_manifest(blob, root)
    assert manifest.seq == 9
    assert {
        name: (
            keys.ledger_seed,
            keys.ledger_generation,
            [(r.depth, r.prefix, r.seq, r.key, r.digest) for r in keys.shards],
        )
        for name, keys in manifest.tenants.items()
    } == content
    assert second.open_manifest(blob, {version: key}) == (9, content)


@given(
    batches=st.lists(st.sets(st.integers(0, 2**40 - 1), max_size=5), max_size=3),
    asked=st.lists(st.integers(0, 2**40 - 1), max_size=5),
    limit=st.sampled_from([1, 500, 10**6]),
)
def test_punctures_in_any_batches_and_shards_of_any_size(batches, asked, limit):
    state = PuncturedState.fresh(SEED)
    for batch in batches:
        state = state.puncture(batch, shard_limit=limit)
    gone = sorted(set().union(*batches))
    nodes = [node for shard in state.shards for node in second.decode_shard(shard.encode())[2]]
    assert nodes == second.cover(SEED, gone)
    for leaf in [*asked, *gone, *(leaf ^ 1 for leaf in gone)]:
        theirs = second.derive(nodes, leaf)
        if theirs is None:
            with pytest.raises(Shredded):
                state.derive(leaf)
        else:
            assert state.derive(leaf) == theirs == second.leaf_key(SEED, leaf)


@given(
    st.lists(st.none() | st.tuples(st.binary(min_size=1), st.binary(), st.binary()), max_size=5), st.data()
)
def test_segments_that_the_second_writes(places, data):
    """Both read what either wrote; what is cut, longer or of another format is refused by both."""
    blob = second.write_segments(places)
    ours = [SealedSegment(*one) if one else None for one in places]
    assert segments.encode(ours) == blob
    assert segments.decode(blob) == ours
    at = data.draw(st.integers(0, len(blob) - 1))
    for wrong in (blob[:at], blob + b"\x00", b"X" + blob[1:]):
        with pytest.raises(second.Refused):
            second.read_segments(wrong)
        with pytest.raises(Tampered):
            segments.decode(wrong)
