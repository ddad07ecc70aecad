"""What the strongest reader could derive: every key state at hand, with every root key that lives.

Not only the live state: whatever manifest the restored database, the live one and the mirror still hold is
tried, and the keys of each that opens are tried on every shard. A leaf that nothing here derives is gone.
"""

import hashlib
from collections.abc import Iterable, Sequence

from tenure.cold.mirror import Mirror
from tenure.errors import RootLost, Shredded, Tampered
from tenure.ids import CELL
from tenure.keys.rootstore import RootStore
from tenure.keys.secret import Secret
from tenure.keys.shard import Shard
from tenure.keys.state import (
    CellManifest,
    ShardRef,
    manifest_digest,
    manifest_root_version,
    open_manifest,
    open_shard,
)
from tenure.store import keystate
from tenure.store.database import Database


class Reach:
    """Every shard of one tenant that opened."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        self._shards = list(shards)

    def covers(self, leaf: int) -> bool:
        """Whether any of them derives a leaf's key."""
        return any(shard.covers(leaf) for shard in self._shards)

    def key(self, leaf: int) -> Secret:
        """A leaf's key; Shredded when none derives it."""
        for shard in self._shards:
            if shard.covers(leaf):
                key = shard.key_of(leaf)
                if key is not None:
                    return key
        raise Shredded("No key at hand derives this leaf.")


class Oracle:
    """Manifests and shards from everywhere, tried once."""

    def __init__(self, roots: RootStore, mirror: Mirror, databases: Sequence[Database]) -> None:
        self._mirror = mirror
        self._databases = databases
        self._opened: dict[bytes, CellManifest] = {}
        self.tried = 0
        self._refused: set[int] = set()
        self._destroyed = {known.version for known in roots.list() if known.state == "destroyed"}
        for database in databases:
            for blob in database.read(CELL, keystate.manifests):
                self._try(blob, roots)
        for one in mirror.manifests():
            if (kept := mirror.objects.get(one.name)) is not None:
                self._try(kept, roots)

    @property
    def opened(self) -> int:
        """How many manifests a live root opens."""
        return len(self._opened)

    def reach(self, tenant_id: str) -> Reach:
        """What can be opened of a tenant's keys."""
        stored = {
            hashlib.sha256(one.blob).digest(): one
            for database in self._databases
            for one in database.read(tenant_id, keystate.shards)
        }
        found: dict[bytes, Shard] = {}
        for manifest in self._opened.values():
            keys = manifest.tenants.get(tenant_id)
            for ref in keys.shards if keys is not None else ():
                mirrored = self._mirror.shard(tenant_id, ref)
                if mirrored is not None:
                    self._open(found, mirrored, tenant_id, ref)
                for digest, one in stored.items():
                    # Under its own name, and under every other shard's key: a key that was used twice opens.
                    self._open(
                        found, one.blob, tenant_id, ShardRef(one.depth, one.prefix, one.seq, ref.key, digest)
                    )
        return Reach(found.values())

    def _open(self, found: dict[bytes, Shard], blob: bytes, tenant_id: str, ref: ShardRef) -> None:
        if ref.digest in found:
            return
        try:
            found[ref.digest] = open_shard(blob, tenant_id, ref)
        except Tampered:
            return

    def _try(self, blob: bytes, roots: RootStore) -> None:
        digest = manifest_digest(blob)
        if digest in self._opened:
            return
        self.tried += 1
        version = manifest_root_version(blob)
        if version in self._destroyed and version in self._refused:
            return  # the store says destroyed, and has refused once: it is not asked for each of a thousand
        try:
            self._opened[digest] = open_manifest(blob, roots)
        except RootLost:
            self._refused.add(version)
        except Tampered:
            return
