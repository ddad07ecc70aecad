"""Makes the vectors beside it: `python tests/vectors/keys/make.py`. Randomness counts, the clock stands.

The formats are frozen: a run must leave the files as they are. `tests/unit/keys/test_vectors.py` checks that,
and opens every vector with the second implementation.
"""

import hashlib
import json
import tempfile
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

from tenure.keys import blind, manifest, seal, sealed_shard, secret, segments, slots, state
from tenure.keys.ggm import PuncturedState, leaf_number
from tenure.rootstore.files import FilesRootStore

HERE = Path(__file__).parent
SEED = bytes(range(32))
TENANT = "0192f0c1-5a00-7000-8000-000000000001"
OTHER = "0192f0c1-5a00-7000-8000-000000000002"
RECORD = "0192f0c1-5a00-7000-8000-00000000beef"


class Counter:
    """Random bytes that are the same each time."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, length: int) -> bytes:
        self.count += 1
        return hashlib.shake_256(b"tenure test vectors" + self.count.to_bytes(8)).digest(length)


def everything() -> dict[str, object]:
    """File name → content."""
    counter = Counter()
    with ExitStack() as patches:
        for module in (secret, slots, sealed_shard, manifest):
            patches.enter_context(mock.patch.object(module, "urandom", counter))
        patches.enter_context(mock.patch("os.urandom", counter))
        patches.enter_context(mock.patch("tenure.ids.now", return_value=1_795_000_000_000_000))
        return {
            "ggm.json": ggm(),
            "shard.json": shards(),
            "state.json": sealed_state(),
            "sealed-record.json": sealed_records(),
            "blind-index.json": blind_indexes(),
            "segments.json": segments_of_one_version(),
        }


def ggm() -> object:
    state_ = PuncturedState.fresh(SEED)
    leaves = [0, 1, 4096, 4097, 2**32 - 1, leaf_number(1, 0), leaf_number(7, 123_456), 2**40 - 1]
    return {"seed": SEED.hex(), "keys": [{"leaf": n, "key": state_.derive(n).hex()} for n in leaves]}


def shards() -> object:
    cases = []
    for name, leaves, limit in (
        ("nothing punctured", [], 10**6),
        ("the first leaf", [0], 10**6),
        ("the last leaf", [2**40 - 1], 10**6),
        ("two siblings and a stranger", [4098, 4099, leaf_number(3, 77)], 10**6),
        ("split into halves above 1000 bytes", [5000, leaf_number(200, 1)], 1000),
    ):
        after = PuncturedState.fresh(SEED).puncture(leaves, shard_limit=limit)
        cases.append(
            {
                "name": name,
                "punctured": leaves,
                "shards": [
                    {"depth": one.depth, "prefix": one.prefix, "encoded": one.encode().hex()}
                    for one in after.shards
                ],
            }
        )
    return {"seed": SEED.hex(), "cases": cases}


def sealed_state() -> object:
    """Two tenants, then a batch on one of them: both manifests, all shards, both root key files."""
    with tempfile.TemporaryDirectory() as directory:
        root = FilesRootStore(Path(directory))
        first = root.create("op-first")
        one = state.new_tenant(state.CellManifest(0, {}), TENANT, SEED, b"\x11" * 32)
        two = state.new_tenant(one.manifest, OTHER, SEED[::-1], b"\x22" * 32, ledger_generation=3)
        before = state.seal_manifest(two.manifest, root, first)
        second = root.create("op-second")
        next_ = state.next_state(two.manifest, one.states, {TENANT: [4097, 4100]}, shard_limit=1500)
        after = state.seal_manifest(next_.manifest, root, second)
        files = [path.read_bytes().hex() for path in sorted(Path(directory).glob("root-*.key"))]
        sealed = [
            {"tenant": tenant, "depth": ref.depth, "prefix": ref.prefix, "seq": ref.seq, "blob": blob.hex()}
            for made in (one, two, next_)
            for tenant, blobs in made.blobs.items()
            for ref, blob in blobs.items()
        ]
    return {
        "seeds": {TENANT: SEED.hex(), OTHER: SEED[::-1].hex()},
        "ledger": {TENANT: ["11" * 32, 1], OTHER: ["22" * 32, 3]},
        "erased": {TENANT: [4097, 4100]},
        "root_files": files,
        "root_op_ids": ["op-first", "op-second"],
        "manifests": [before.hex(), after.hex()],
        "shards": sealed,
    }


def sealed_records() -> object:
    derive = PuncturedState.fresh(SEED).derive
    cases = []
    for name, leaf_sets, holds, parts in (
        ("one leaf", [[5000]], [], {"head": b'{"key":"k"}', "content": b'{"name":"Ada"}'}),
        ("any of two persons erases", [[5000, 5001]], [], {"content": b""}),
        ("all of two persons must be erased", [[5000], [5001]], [], {"content": b"x" * 1000}),
        ("held", [[5000]], [[6000]], {"content": b"kept for the court"}),
        ("two chunks", [[5000]], [], {"content": b"tenure" * 10_930}),
        (
            "several slots, held twice",
            [[5000, 5001], [5002], [4097, 5003, leaf_number(3, 7)]],
            [[6000], [6001, 6002]],
            {"head": b"{}", "content": b"of many"},
        ),
    ):
        binding = seal.Binding(TENANT, "support.conversations", RECORD, 7)
        keys = [{leaf: bytes(derive(leaf)) for leaf in leaves} for leaves in leaf_sets]
        sealed, opened = seal.seal(binding, keys, parts)
        header = sealed.header
        for hold in holds:
            header = opened.add_slot(header, {leaf: bytes(derive(leaf)) for leaf in hold})
        cases.append(
            {
                "name": name,
                "tenant": TENANT,
                "scope": "support.conversations",
                "record": RECORD,
                "version": 7,
                "slots": leaf_sets + holds,
                "header": header.hex(),
                "parts": [
                    {"name": part, "data": digest(data), "sealed": b64encode(sealed.parts[part]).decode()}
                    for part, data in parts.items()
                ],
                "opening": {"nonce": "07" * 16, "salt": opened.opening_salt(b"\x07" * 16, RECORD, 7).hex()},
            }
        )
    return {"seed": SEED.hex(), "cases": cases}


def segments_of_one_version() -> object:
    """Three people's segments, and the same once the second person's was purged."""
    derive = PuncturedState.fresh(SEED).derive
    whole = seal.Binding(TENANT, "support.conversations", RECORD, 7)
    places: list[segments.SealedSegment | None] = []
    said = []
    for place, leaves in enumerate(([5000], [5001], [5000, 5002])):
        parts = {"head": b'{"subjects":[]}', "content": b'"part %d"' % place}
        keys = {leaf: bytes(derive(leaf)) for leaf in leaves}
        sealed, _ = seal.seal(whole.segment(place), [keys], parts)
        places.append(segments.SealedSegment(sealed.header, sealed.parts["head"], sealed.parts["content"]))
        said.append({"leaves": leaves, **{name: data.decode() for name, data in parts.items()}})
    purged = [places[0], None, places[2]]
    address = {"tenant": TENANT, "scope": whole.scope, "record": RECORD, "version": 7}
    blobs = [segments.encode(one).hex() for one in (places, purged)]
    return {"seed": SEED.hex(), **address, "segments": said, "stored": blobs[0], "purged": blobs[1]}


def blind_indexes() -> object:
    derive = PuncturedState.fresh(SEED).derive
    cases = []
    for namespace, parts in (
        ("subject", ["user:ada@example.org"]),
        ("subject", [""]),
        ("record", ["support.conversations", "ticket/42"]),
        ("record", ["support", ".conversationsticket/42"]),
        ("idempotency", ["key", TENANT, "retry-1"]),
        ("cursor", ["{}", "page"]),
    ):
        encoded = [part.encode() for part in parts]
        about_person = namespace == "subject"
        bucket = blind.bucket_of(derive(0), encoded[0]) if about_person else None
        key = derive(blind.INDEX_LEAF if bucket is None else blind.bucket_leaf(bucket))
        index = blind.blind_index(key, namespace, *encoded).hex()
        cases.append({"namespace": namespace, "parts": parts, "bucket": bucket, "index": index})
    return {"seed": SEED.hex(), "cases": cases}


def digest(data: bytes) -> dict[str, object]:
    """Long data by length and hash, short data itself."""
    if len(data) <= 64:
        return {"hex": data.hex()}
    return {"length": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def rendered(content: object) -> str:
    """The text of a vector file."""
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for file, content in everything().items():
        (HERE / file).write_text(rendered(content))
