"""The memory of another process, searched; and which bytes must not be there once somebody is erased.

The keys are derived here, in the process that looks: the one that is searched holds no needle.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ahocorasick_rs import BytesAhoCorasick, MatchKind

from support.cell import Cell
from tenure.keys import blind
from tenure.keys.encoding import lp
from tenure.keys.hkdf import expand, extract
from tenure.keys.nodes import LEAF_BITS, Node, leaf_key
from tenure.keys.seal import Binding, header_leaves, open_key
from tenure.keys.slots import parse
from tenure.keys.state import open_manifest, open_shard
from tenure.rootstore.files import FilesRootStore

_MAP = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (r)... ")
_PIECE = 16 << 20
_PAGE = 4096
_USERS_END = 1 << 63  # above it lies what is the kernel's
_LAP = 128  # longer than any needle: one that lies across two pieces is found too


def seen(pid: int, needles: Mapping[str, bytes]) -> set[str]:
    """Names of the needles that lie anywhere in a process's readable memory.

    All are looked for at once, in one pass. Of two that begin at the same place the longer one is found: it
    has the other in it.
    """
    texts = list(set(needles.values()))
    automaton = BytesAhoCorasick(texts, matchkind=MatchKind.LeftmostLongest)
    found: set[bytes] = set()
    for piece in _pieces(pid):
        found |= {texts[which] for which, _, _ in automaton.find_matches_as_indexes(piece)}
    return {name for name, needle in needles.items() if any(needle in one for one in found)}


def readable(pid: int) -> bool:
    """Whether this process may read that one's memory: Linux, and the right to trace it."""
    try:
        return next(_pieces(pid), None) is not None
    except OSError:
        return False


def _pieces(pid: int) -> Iterator[bytes]:
    maps = Path(f"/proc/{pid}/maps").read_bytes()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for begin, end, _ in _MAP.findall(maps):
            at, stop = int(begin, 16), int(end, 16)
            while at < min(stop, _USERS_END):
                memory.seek(at)
                try:
                    piece = memory.read(min(_PIECE + _LAP, stop - at))
                except OSError:  # unmapped meanwhile, behind the end of a mapped file, the kernel's own
                    at += _PAGE
                    continue
                if not piece:
                    return  # the process ended
                yield piece
                at += min(len(piece), _PIECE)  # less than asked for: a page in it cannot be read


@dataclass
class Secrets:
    """What opens one person's version, by name."""

    live: dict[str, bytes]
    """What a process that has just read the version has in its caches."""
    passing: dict[str, bytes]
    """What it needed on the way, or what leads there with an old backup: wiped as soon as it was used."""
    tenant: dict[str, bytes]
    """What goes with the whole tenant only."""

    @property
    def every(self) -> dict[str, bytes]:
        """All of them, and the forms in which an HMAC takes the live ones up."""
        padded = {
            f"{name} ^ {pad:#x}": bytes(byte ^ pad for byte in key)
            for name, key in self.live.items()
            for pad in (0x36, 0x5C)
        }
        return self.live | self.passing | padded


def secrets_of(cell: Cell, record: str, tenant: str) -> Secrets:
    """Of a record's first version that is about one person, from the database and the root store alone."""
    roots = FilesRootStore(cell.settings.root_keys)
    (blob,) = cell.rows("SELECT blob FROM key_manifests WHERE seq = (SELECT MAX(seq) FROM key_manifests)")[0]
    cell_keys: list[bytes] = []
    manifest = open_manifest(bytes(blob), _Watched(roots, cell_keys))
    ((scope, header, cohort),) = cell.rows(
        "SELECT scope, header, cohort FROM versions WHERE CAST(record_id AS TEXT) = :r AND version = 1",
        r=record,
    )
    (slot,) = header_leaves(bytes(header))
    (leaf,) = {*slot} - {cohort}
    for ref in manifest.tenants[tenant].shards:
        ((sealed,),) = cell.rows(
            "SELECT blob FROM key_shards WHERE CAST(tenant_id AS TEXT) = :t"
            " AND depth = :d AND prefix = :p AND seq = :s",
            t=tenant,
            d=ref.depth,
            p=ref.prefix,
            s=ref.seq,
        )
        shard = open_shard(bytes(sealed), tenant, ref)
        if (node := shard.node_over(leaf)) is not None:
            break
    assert node is not None
    ((bucket,),) = cell.rows(
        "SELECT bucket FROM subjects WHERE CAST(tenant_id AS TEXT) = :t AND leaf = :l", t=tenant, l=leaf
    )
    leaf_keys = {one: bytes(shard.key_of(one) or b"") for one in slot}
    keys = used(node, leaf, leaf_keys, Binding(tenant, scope, record, 1), bytes(header))
    live = {name: keys.pop(name) for name in ("leaf key", "DEK", "key of the DEK's keys")}
    live |= {
        "covering seed": bytes(node.seed),
        "shard key": bytes(ref.key),
        "key of the person's index": bytes(shard.key_of(blind.bucket_leaf(bucket)) or b""),
    }
    root_files = sorted(cell.settings.root_keys.glob("*.key"))
    return Secrets(
        live,
        passing=keys | {"cell key": cell_keys[0], "root key": root_files[-1].read_bytes()[-32:]},
        tenant={"ledger seed": bytes(manifest.tenants[tenant].ledger_seed)},
    )


def used(
    node: Node, leaf: int, leaf_keys: dict[int, bytes], binding: Binding, header: bytes
) -> dict[str, bytes]:
    """Every key between a covering seed and the parts of a version under one of its leaves.

    `leaf_keys`: of all the leaves of its slot, which are mixed.
    """
    key = bytes(leaf_key(node.seed, node.depth, leaf))
    assert leaf_keys[leaf] == key
    opened = open_key(binding, header, leaf_keys.__getitem__)
    mixed = [one for number in sorted(leaf_keys) for one in (number.to_bytes(5), leaf_keys[number])]
    prk = extract(lp(*mixed), parse(header).slots[0].salt)
    return {
        **{f"seed at depth {one.depth}": bytes(one.seed) for one in _path(node, leaf)},
        "leaf key": key,
        "key of the slot's keys": prk,
        "wrapping key": expand(prk, b"tenure/v1/slot"),
        "DEK": bytes(opened._dek),
        "key of the DEK's keys": bytes(opened._root),
        "key of header tags": expand(opened._root, b"tenure/v1/header"),
        "key of openings": expand(opened._root, b"tenure/v1/opening"),
        **{f"key of {name}": opened._part(name)[0] for name in ("head", "content")},
    }


def _path(node: Node, leaf: int) -> Iterator[Node]:
    """The nodes below a covering one, down to a leaf."""
    while node.depth < LEAF_BITS:
        node = node.child(leaf >> (LEAF_BITS - node.depth - 1) & 1)
        yield node


class _Watched(FilesRootStore):
    """A root store that remembers what it unsealed: the cell key."""

    def __init__(self, store: FilesRootStore, seen_keys: list[bytes]) -> None:
        super().__init__(store._directory)
        self._seen = seen_keys

    def unseal(self, version: int, sealed: bytes, aad: bytes) -> bytes:
        opened = super().unseal(version, sealed, aad)
        self._seen.append(bytes(bytearray(opened)))  # a copy: the other may be overwritten
        return opened
