"""The resurrection oracle: what an attacker can read who kept every stored byte and has every live secret.

    root keys ─► every sealed manifest that one of them opens ─► every sealed shard that any key in it opens
    ─► every leaf that any such shard derives ─► every sealed text that such leaves open

It uses the formats (`tenure.keys`) and nothing of what decides in the service which keys may be used: no
keyring, no pointer, no epochs. Digests and places are ignored: every key is tried on every blob.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from support.attic import Address, Attic, SealedText
from tenure.errors import KeyFailure, Shredded
from tenure.keys.rootstore import RootStore
from tenure.keys.seal import open_key
from tenure.keys.secret import Octets
from tenure.keys.shard import Shard
from tenure.keys.state import ShardRef, open_manifest, open_shard
from tenure.rootstore.files import FilesRootStore


class Oracle:
    """An attic, opened as far as some root keys go."""

    def __init__(self, attic: Attic, *roots: RootStore | Path) -> None:
        """`roots`: stores, or directories of the files store."""
        stores = [FilesRootStore(one) if isinstance(one, Path) else one for one in roots]
        self._attic = attic
        self._shards: dict[str, list[Shard]] = {}
        named = {found for blob in attic.manifests for found in _named(blob, stores)}
        keys = {key for _, key in named}
        for address, blob in attic.shards:
            tries = named if address is None else {(address, key) for key in keys}
            for (tenant, depth, prefix, seq), key in tries:
                ref = ShardRef(depth, prefix, seq, key, sha256(blob).digest())
                with suppress(KeyFailure):
                    self._shards.setdefault(tenant, []).append(open_shard(blob, tenant, ref))

    def leaf_key(self, tenant: str, leaf: int) -> Octets:
        """A leaf's key, from whichever shard still gives it; Shredded when none does."""
        for shard in self._shards.get(tenant, ()):
            key = shard.key_of(leaf)
            if key is not None:
                return key
        raise Shredded("No opened shard derives this leaf.")

    def reads(self, part: str) -> set[bytes]:
        """Everything that opens of the parts with this name: `content`, `head` or `ref`."""
        return {text for sealed in self._attic.texts for text in self._open(sealed, part)}

    def _open(self, sealed: SealedText, part: str) -> Iterator[bytes]:
        try:
            opened = open_key(
                sealed.binding, sealed.header, lambda leaf: self.leaf_key(sealed.binding.tenant, leaf)
            )
        except KeyFailure:
            return
        for name, data in sealed.parts:
            if name == part:
                yield opened.open(name, data)


def _named(blob: bytes, roots: Iterable[RootStore]) -> Iterator[tuple[Address, bytes]]:
    """The shards that a manifest names, with their keys, if a root opens it."""
    for root in roots:
        with suppress(KeyFailure):
            for tenant, keys in open_manifest(blob, root).tenants.items():
                for ref in keys.shards:
                    yield Address(tenant, ref.depth, ref.prefix, ref.seq), bytes(ref.key)
