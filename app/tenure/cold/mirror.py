"""The mirror: where a restore of the data does not reach.

Append-only copies of every sealed key state, the journal of erasures, the headers that a batch re-wrapped,
each log's newest published head and the one that was last offered to witnesses, and the list of restores.
It holds nothing in the clear but opaque ids, numbers and the grounds of holds, and nothing that opens without
the root store. `02-keys.md` says why it must not share a backup with the data.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tenure.cold.objects import Objects
from tenure.errors import Tampered
from tenure.keys.state import ShardRef
from tenure.store.keystate import SealedShard


@dataclass(frozen=True, slots=True)
class MirroredManifest:
    """One mirrored L1 version. There may be several of one `seq` after a crash; only one was made live."""

    seq: int
    digest: str
    name: str


class Mirror:
    """Typed names over an object folder."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    # ── key state ────────────────────────────────────────────────────────────────────────────────
    def put_manifest(self, seq: int, digest: bytes, blob: bytes) -> None:
        """Keep an L1 version. Tampered when another content stands in its place."""
        self._keep(f"manifests/{seq:012d}-{digest.hex()[:32]}", blob)

    def manifests(self) -> list[MirroredManifest]:
        """Every kept L1 version, newest first."""
        found = []
        for name in self.objects.names("manifests"):
            seq, _, digest = name.removeprefix("manifests/").partition("-")
            found.append(MirroredManifest(int(seq), digest, name))
        return sorted(found, key=lambda one: one.seq, reverse=True)

    def manifest(self, seq: int, digest: bytes) -> bytes | None:
        """One L1 version."""
        return self.objects.get(f"manifests/{seq:012d}-{digest.hex()[:32]}")

    def put_pointer(self, seq: int, digest: bytes) -> None:
        """Remember which L1 version was made live last; an older one than is known changes nothing."""
        known = self.pointer()
        if known is not None and known[0] > seq:
            return
        self.objects.put("pointer", json.dumps({"seq": seq, "digest": digest.hex()}).encode())

    def pointer(self) -> tuple[int, bytes] | None:
        """(seq, digest) of the L1 version that was made live last."""
        raw = self.objects.get("pointer")
        named = json.loads(raw) if raw else None
        return (named["seq"], bytes.fromhex(named["digest"])) if named else None

    def put_shard(self, tenant_id: str, shard: SealedShard) -> None:
        """Keep an L2 version. Tampered when another content stands in its place."""
        digest = sha256(shard.blob).digest()
        self._keep(_shard_name(tenant_id, shard.depth, shard.prefix, shard.seq, digest), shard.blob)

    def shard(self, tenant_id: str, ref: ShardRef) -> bytes | None:
        """One L2 version."""
        return self.objects.get(_shard_name(tenant_id, ref.depth, ref.prefix, ref.seq, ref.digest))

    # ── the journal of erasures ──────────────────────────────────────────────────────────────────
    def put_intent(self, op_id: str, plan: dict[str, Any]) -> None:
        """Journal a batch of erasures before its first irrevocable step."""
        self.objects.put(f"journal/{op_id}", json.dumps(plan, sort_keys=True).encode())

    def intents(self) -> dict[str, dict[str, Any]]:
        """Every journalled batch, oldest first (batch ids sort by time)."""
        return {
            name.removeprefix("journal/"): json.loads(self.objects.get(name) or b"{}")
            for name in self.objects.names("journal")
        }

    def put_certificate(self, shred_id: str, certificate_id: str, envelope: str) -> None:
        """Keep a certificate: a restored database must still name it."""
        self.objects.put(
            f"certificates/{shred_id}", json.dumps({"id": certificate_id, "envelope": envelope}).encode()
        )

    def certificate(self, shred_id: str) -> tuple[str, str] | None:
        """(id, envelope) of an erasure's certificate."""
        raw = self.objects.get(f"certificates/{shred_id}")
        kept = json.loads(raw) if raw else None
        return (kept["id"], kept["envelope"]) if kept else None

    def has_intent(self, op_id: str) -> bool:
        """Whether a batch is journalled."""
        return self.objects.get(f"journal/{op_id}") is not None

    def put_rewrapped(self, name: str, content: dict[str, Any]) -> None:
        """Keep headers that a batch re-wrapped; `name` is OP/TENANT/PART."""
        self.objects.put(f"rewrapped/{name}", json.dumps(content, sort_keys=True).encode())

    def rewrapped_names(self, op_id: str, tenant_id: str) -> list[str]:
        """Names of what is kept of a batch and tenant."""
        found = self.objects.names(f"rewrapped/{op_id}/{tenant_id}")
        return [name.removeprefix("rewrapped/") for name in found]

    def rewrapped(self, name: str) -> dict[str, Any]:
        """What was kept under a name."""
        content: dict[str, Any] = json.loads(self.objects.get(f"rewrapped/{name}") or b"{}")
        return content

    # ── heads and restores ───────────────────────────────────────────────────────────────────────
    def put_head(self, tenant_id: str, head: dict[str, Any]) -> None:
        """Remember a log's newest published head."""
        self.objects.put(f"heads/{tenant_id}", json.dumps(head, sort_keys=True).encode())

    def head(self, tenant_id: str) -> dict[str, Any] | None:
        """A log's newest published head: generation, origin, size, root (hex), checkpoint."""
        raw = self.objects.get(f"heads/{tenant_id}")
        return json.loads(raw) if raw else None

    def put_offered(self, tenant_id: str, head: dict[str, Any]) -> None:
        """Remember the head that is about to be shown to witnesses, before it is published."""
        self.objects.put(f"offered/{tenant_id}", json.dumps(head, sort_keys=True).encode())

    def offered(self, tenant_id: str) -> dict[str, Any] | None:
        """The head that was shown to witnesses last; of the form of `head`."""
        raw = self.objects.get(f"offered/{tenant_id}")
        return json.loads(raw) if raw else None

    def put_restore(self, epoch: int, facts: dict[str, Any]) -> None:
        """Record that a restore was detected and that leaf epoch `epoch` begins."""
        self.objects.put(f"restores/{epoch:03d}", json.dumps(facts, sort_keys=True).encode())

    def leaf_epoch(self) -> int:
        """The present restore epoch: 0 before any restore."""
        return max(
            (int(name.removeprefix("restores/")) for name in self.objects.names("restores")), default=0
        )

    def _keep(self, name: str, blob: bytes) -> None:
        if not self.objects.keep(name, blob):
            raise Tampered(
                "A key state in the mirror is not the one that was put there; it was left as it is.",
                remedy="Find out who changed the mirror. Put its own backup beside it, under another name.",
            )


def _shard_name(tenant_id: str, depth: int, prefix: int, seq: int, digest: bytes) -> str:
    # With the digest: two attempts at one seq never overwrite each other.
    return f"shards/{tenant_id}/{depth:02d}-{prefix:010x}-{seq:012d}-{digest.hex()[:32]}"
