"""The live keys of this process: opened lazily, cached briefly, wiped when the key epoch moves.

    root store (L0) ─opens─► cell manifest (L1) ─opens─► a tenant's shards (L2) ─derive─► leaf keys

Nothing here writes. The batch of erasures (`governance.shred`) and tenant creation make new states; this
module notices through the key epoch that every transaction reads first.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tenure.errors import KeyFailure, RootLost, Shredded, Tampered
from tenure.ids import CELL
from tenure.keys import blind
from tenure.keys.ggm import PuncturedState
from tenure.keys.rootstore import RootStore
from tenure.keys.seal import Binding, OpenedKey, open_key
from tenure.keys.secret import Secret
from tenure.keys.state import (
    CellManifest,
    ShardRef,
    TenantKeys,
    manifest_digest,
    manifest_root_version,
    open_manifest,
    open_shard,
)
from tenure.ledger.note import Signer
from tenure.store import cohorts, holds, keystate, subjects
from tenure.store.database import Database
from tenure.store.session import Tx

KEY_TTL_S = 60.0
_GRACE_S = 30.0
MAX_LEAVES = 20_000
MAX_OPENED = 20_000
MAX_INDEXES = 4_096


@dataclass(slots=True)
class TenantKeyring:
    """One tenant's keys at one key epoch."""

    tenant_id: str
    state: PuncturedState
    seq: int
    """The key state's number."""
    withheld: frozenset[int]
    """Leaves that no key is given out for: of people whose erasure has begun, cohorts that end, holds."""
    buckets: Mapping[int, int]
    """Blind-index bucket → its leaf, for buckets that an erasure moved."""
    _leaves: dict[int, tuple[float, Secret]] = field(default_factory=dict)
    _opened: dict[Binding, tuple[float, bytes, OpenedKey]] = field(default_factory=dict)
    _buckets: dict[int, Secret] = field(default_factory=dict)
    _indexes: dict[tuple[str, ...], str] = field(default_factory=dict)
    """They name people and threads in the clear, and so go with the keys: no erasure leaves them behind."""
    _selector: Secret | None = None
    _index: Secret | None = None
    _wiped: bool = False

    @property
    def wiped(self) -> bool:
        """Whether these keys were given up: whoever still works with them begins anew."""
        return self._wiped

    def leaf_key(self, leaf: int) -> Secret:
        """A leaf's key, 32 bytes, shared and not to be wiped; Shredded when it is being or was erased."""
        if leaf in self.withheld:
            raise Shredded("This key is being destroyed, or only kept for a hold; nothing was read.")
        cached = self._leaves.get(leaf)
        now = time.monotonic()
        if cached is not None and cached[0] > now:
            return cached[1]
        key = self.state.derive(leaf)
        if not self._wiped:
            if len(self._leaves) >= MAX_LEAVES:
                self._leaves.clear()
            self._leaves[leaf] = (now + KEY_TTL_S, key)
        return key

    def open_version(self, binding: Binding, header: bytes) -> OpenedKey:
        """The open key of a version, kept for a minute: unwrapping it costs more than what it opens.

        Shredded when every slot has lost a leaf, Tampered when the header is not as sealed.
        """
        now = time.monotonic()
        kept = self._opened.get(binding)
        if kept is not None and kept[0] > now and kept[1] == header:
            return kept[2]
        opened = open_key(binding, header, self.leaf_key)
        if len(self._opened) >= MAX_OPENED:
            self._opened.clear()  # not wiped at once: another thread may be using one
        self._opened[binding] = (now + KEY_TTL_S, header, opened)
        return opened

    def blind_index(self, namespace: str, *parts: str) -> str:
        """The keyed index under which a record key or a subject reference is found."""
        encoded = [part.encode() for part in parts]
        if namespace == "subject":
            key = self._bucket_key(self.bucket(parts[0]))
        else:
            key = self._index or self.state.derive(blind.INDEX_LEAF)
            if not self._wiped:
                self._index = key
        index = blind.blind_index(key, namespace, *encoded)
        self._alive()  # the key may have been overwritten under way
        return index.hex()

    def known_index(self, *what: str) -> str:
        """`blind_index` of what is asked for again and again, made once for these keys."""
        index = self._indexes.get(what)
        if index is None:
            index = self.blind_index(*what)
            if len(self._indexes) >= MAX_INDEXES:
                self._indexes.clear()
            self._indexes[what] = index
        return index

    def is_withheld(self, slot: Iterable[int]) -> bool:
        """Whether no key is given out for one of these leaves."""
        return not self.withheld.isdisjoint(slot)

    def is_gone(self, slot: Iterable[int]) -> bool:
        """Whether a slot opens nothing any more, or nothing for anybody."""
        return self.is_withheld(slot) or any(map(self.state.is_punctured, slot))

    def bucket(self, reference: str) -> int:
        """The blind-index bucket of a subject reference, 0 to 4095."""
        selector = self._selector or self.state.derive(blind.SELECTOR_LEAF)
        if not self._wiped:
            self._selector = selector
        bucket = blind.bucket_of(selector, reference.encode())
        self._alive()
        return bucket

    def bucket_leaf(self, bucket: int) -> int:
        """The leaf that a bucket's key is now."""
        return self.buckets.get(bucket) or blind.bucket_leaf(bucket)

    def _bucket_key(self, bucket: int) -> Secret:
        key = self._buckets.get(bucket) or self.state.derive(self.bucket_leaf(bucket))
        if not self._wiped:
            self._buckets[bucket] = key
        return key

    def _alive(self) -> None:
        if self._wiped:
            raise KeyFailure("These keys were given up for newer ones; nothing was derived. Begin again.")

    def wipe(self) -> None:
        """Give up every key, once and for all: seeds, and whatever was cached.

        Seeds and version keys are overwritten now, shared keys when whoever works with one is done. A thread
        still using this object fails with KeyFailure, and begins anew with the live keys.
        """
        self._wiped = True
        self.state.wipe()
        opened, self._opened = self._opened, {}
        for _, _, version_key in opened.values():
            version_key.wipe()
        self._leaves, self._buckets, self._indexes = {}, {}, {}
        self._selector = self._index = None

    def sweep(self) -> None:
        """Wipe cached keys whose minute is over, and that nobody can be using any more."""
        over = time.monotonic() - _GRACE_S
        for leaf, (until, _) in list(self._leaves.items()):
            if until < over:
                self._leaves.pop(leaf, None)
        for binding, (until, _, opened) in list(self._opened.items()):
            if until < over and self._opened.pop(binding, None) is not None:
                opened.wipe()


class Live(NamedTuple):
    """The key state that the pointer names, opened."""

    pointer: keystate.Pointer
    manifest: CellManifest
    root_version: int


class Keyring:
    """The cell's keys: one opened manifest, shared by all tenants."""

    def __init__(self, database: Database, roots: RootStore) -> None:
        self._database = database
        self._roots = roots
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._signers: dict[str, Signer] = {}

    def tenant(self, tx: Tx) -> TenantKeyring:
        """Open the keys of the transaction's tenant as they are now.

        Four further statements and one read of the root store; only when the key epoch moved. Raises
        RootLost or Tampered, and then nothing is served.
        """
        live = self.live()
        keys = live.manifest.tenants.get(tx.tenant_id)
        if keys is None:
            raise RootLost("This tenant has no keys in the live key state; nothing was opened.")
        return TenantKeyring(
            tenant_id=tx.tenant_id,
            state=stored_state(tx, keys),
            seq=live.pointer.seq,
            withheld=frozenset([*subjects.erasing(tx), *cohorts.withheld(tx), *holds.leaves(tx)]),
            buckets=subjects.bucket_leaves(tx),
        )

    def manifest(self) -> CellManifest:
        """The live cell manifest."""
        return self.live().manifest

    def signer(self, tenant_id: str, origin: str, vkey: str | None = None) -> Signer:
        """What signs a tenant's log, kept until the key state moves. RootLost when the tenant has no keys.

        `vkey` is the key that the log itself names, read under its lock. KeyFailure when the live key state
        has another one: nothing may be signed then.
        """
        found = self._signers.get(origin)
        if found is not None and vkey not in (None, found.vkey):
            found = None  # what this process opened is of before a rotation
        if found is None:
            live = self.live()
            keys = live.manifest.tenants.get(tenant_id)
            if keys is None:
                raise RootLost("This tenant has no keys in the live key state; nothing was signed.")
            found = Signer(origin, keys.ledger_seed)
            with self._lock:
                if self._live is live:
                    self._signers[origin] = found
        if vkey not in (None, found.vkey):
            raise KeyFailure("The key state does not hold the key that the log names; nothing was signed.")
        return found

    def live(self) -> "Live":
        """The live key state, re-opened when the pointer moved. One round trip on a second connection."""
        with self._lock:
            pointer, blob = self._database.read(CELL, self._sealed)
            if self._live is None or self._live.pointer != pointer:
                if blob is None or manifest_digest(blob) != pointer.digest:
                    raise Tampered("The stored cell manifest is not the one the pointer names.")
                opened = open_manifest(blob, self._roots)
                self._live = Live(pointer, opened, manifest_root_version(blob))
                self._signers = {}  # of tenants that are gone, among them
            return self._live

    def _sealed(self, tx: Tx) -> tuple[keystate.Pointer, bytes | None]:
        pointer = keystate.pointer(tx)
        if pointer is None:
            raise RootLost("This cell has no key state. Run 'tenure init' first.")
        if self._live is not None and self._live.pointer == pointer:
            return pointer, None
        return pointer, keystate.manifest(tx, pointer.seq)


Fetch = Callable[[ShardRef], bytes | None]
"""Where sealed shards come from."""


def load_state(tenant_id: str, keys: TenantKeys, fetch: Fetch) -> PuncturedState:
    """Open every shard a manifest names. Raises Tampered when one is missing or not as named."""
    shards = []
    for ref in keys.shards:
        blob = fetch(ref)
        if blob is None:
            raise Tampered("A shard that the key state names is missing.")
        shards.append(open_shard(blob, tenant_id, ref))
    return PuncturedState(tuple(shards))


def stored_state(tx: Tx, keys: TenantKeys) -> PuncturedState:
    """The state of the transaction's tenant, from the database."""
    rows = {(shard.depth, shard.prefix, shard.seq): shard.blob for shard in keystate.shards(tx)}
    return load_state(tx.tenant_id, keys, lambda ref: rows.get((ref.depth, ref.prefix, ref.seq)))
