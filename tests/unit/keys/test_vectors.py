"""The frozen vectors, opened by the second implementation, and made again to the same bytes."""

import base64
import hashlib
import importlib.util
import json
from pathlib import Path

import keys_second as second
import pytest
from cryptography.exceptions import InvalidTag

VECTORS = Path(__file__).parents[2] / "vectors" / "keys"


def vector(name):
    return json.loads((VECTORS / name).read_text())


def hexed(text):
    return bytes.fromhex(text)


def cases(name):
    return [pytest.param(vector(name)["seed"], case, id=case.get("name")) for case in vector(name)["cases"]]


def test_the_encoders_still_make_the_frozen_bytes():
    spec = importlib.util.spec_from_file_location("make_key_vectors", VECTORS / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    made = {name: make.rendered(content) for name, content in make.everything().items()}
    assert made == {path.name: path.read_text() for path in VECTORS.glob("*.json")}


def test_leaf_keys():
    ggm = vector("ggm.json")
    for case in ggm["keys"]:
        assert second.leaf_key(hexed(ggm["seed"]), case["leaf"]).hex() == case["key"]


@pytest.mark.parametrize(("seed", "case"), cases("shard.json"))
def test_shards(seed, case):
    """Together the shards are exactly the minimal cover, each node in the shard of its subtree."""
    expected = second.cover(hexed(seed), case["punctured"])
    found = []
    for shard in case["shards"]:
        depth, prefix, nodes = second.decode_shard(hexed(shard["encoded"]))
        assert (depth, prefix) == (shard["depth"], shard["prefix"])
        assert second.encode_shard(depth, prefix, nodes).hex() == shard["encoded"]
        found += nodes
    assert found == expected


def test_sealed_shards_and_manifests():
    """From each root key file down to leaf keys, before and after a batch."""
    state = vector("state.json")
    files = [second.root_key(hexed(file)) for file in state["root_files"]]
    assert [op_id for _, _, op_id, _ in files] == state["root_op_ids"]
    roots = {version: key for version, _, _, key in files}
    blobs = {(s["tenant"], s["depth"], s["prefix"], s["seq"]): hexed(s["blob"]) for s in state["shards"]}
    for blob, seq, erased in (
        (state["manifests"][0], 2, {}),
        (state["manifests"][1], 3, state["erased"]),
    ):
        found_seq, tenants = second.open_manifest(hexed(blob), roots)
        assert found_seq == seq
        assert {name: [s.hex(), g] for name, (s, g, _) in tenants.items()} == state["ledger"]
        for name, (_, _, shards) in tenants.items():
            nodes = []
            for depth, prefix, shard_seq, key, digest in shards:
                shard = blobs[name, depth, prefix, shard_seq]
                nodes += second.open_shard(shard, name, depth, prefix, shard_seq, key, digest)
            assert nodes == second.cover(hexed(state["seeds"][name]), erased.get(name, []))


@pytest.mark.parametrize(("seed", "case"), cases("sealed-record.json"))
def test_sealed_records(seed, case):
    """Every slot alone opens every part, and gives the same opening salt."""
    for slot in case["slots"]:
        record = second.Record(
            case["tenant"],
            case["scope"],
            case["record"],
            case["version"],
            hexed(case["header"]),
            {leaf: second.leaf_key(hexed(seed), leaf) for leaf in slot},
        )
        for part in case["parts"]:
            data = record.part(part["name"], base64.b64decode(part["sealed"]))
            if "hex" in part["data"]:
                assert data == hexed(part["data"]["hex"])
            else:
                assert len(data) == part["data"]["length"]
                assert hashlib.sha256(data).hexdigest() == part["data"]["sha256"]
        salt = record.salt(hexed(case["opening"]["nonce"]), case["record"], case["version"])
        assert salt.hex() == case["opening"]["salt"]


@pytest.mark.parametrize(("seed", "case"), cases("sealed-record.json"))
def test_half_a_slot_opens_nothing(seed, case):
    for slot in case["slots"]:
        some = {leaf: second.leaf_key(hexed(seed), leaf) for leaf in slot[1:]}
        with pytest.raises(second.Refused, match="shredded"):
            second.Record(
                case["tenant"], case["scope"], case["record"], case["version"], hexed(case["header"]), some
            )


def test_segments():
    """Each opens with its own people's leaves, in its own place only; one may be purged."""
    case = vector("segments.json")
    stored, purged = (second.read_segments(hexed(case[name])) for name in ("stored", "purged"))
    assert [one is None for one in purged] == [False, True, False]
    assert [one for one in purged if one] == [stored[0], stored[2]]
    for places, name in ((stored, "stored"), (purged, "purged")):
        assert second.write_segments(places).hex() == case[name]
    for place, (said, (header, head, content)) in enumerate(zip(case["segments"], stored, strict=True)):
        keys = {leaf: second.leaf_key(hexed(case["seed"]), leaf) for leaf in said["leaves"]}
        for tried in range(3):
            address = (case["tenant"], case["scope"], f"{case['record']}/segments/{tried}", case["version"])
            if tried != place:
                with pytest.raises(InvalidTag):
                    second.Record(*address, header, keys)
                continue
            opened = second.Record(*address, header, keys)
            assert opened.part("head", head).decode() == said["head"]
            assert opened.part("content", content).decode() == said["content"]


@pytest.mark.parametrize(("seed", "case"), cases("blind-index.json"))
def test_blind_indexes(seed, case):
    leaf = 4097
    if case["namespace"] == "subject":
        bucket = second.bucket(second.leaf_key(hexed(seed), 0), *case["parts"])
        assert bucket == case["bucket"]
        leaf = 1 + bucket
    key = second.leaf_key(hexed(seed), leaf)
    assert second.index(key, case["namespace"], *case["parts"]).hex() == case["index"]
