"""L1: the cell manifest. Format: `docs/spec/keys.md`, "Cell manifest".

It holds every tenant's shard keys and ledger seed, and is sealed whole, each time under a fresh cell key that
the root store seals (L0).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from os import urandom
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenure.errors import Tampered
from tenure.keys.encoding import Reader, lp
from tenure.keys.nodes import LEAF_BITS, SEED_BYTES
from tenure.keys.rootstore import RootStore
from tenure.keys.sealed_shard import ShardRef
from tenure.keys.secret import KEY_BYTES, Octets, Secret, fresh_key, joined, taken, unsealed, wipe

_SEALED: Final = b"TNSM\x01"
_PLAIN: Final = b"TNCM\x01"
_NONCE_BYTES: Final = 12
_CELL_KEY_FORMAT: Final = b"tenure/v1/cell-key"
_FORMAT: Final = b"tenure/v1/cell-manifest"
_WHAT: Final = "cell manifest"


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """One tenant's entry. `ledger_seed` (32 bytes) signs the tenant's log of `ledger_generation`."""

    ledger_seed: Octets = field(repr=False, hash=False)
    ledger_generation: int
    shards: tuple[ShardRef, ...]
    """Left to right, without overlap; none when every leaf is punctured."""

    def __post_init__(self) -> None:
        """ValueError for a seed that is not 32 bytes."""
        if len(self.ledger_seed) != SEED_BYTES:
            raise ValueError("a ledger seed has 32 bytes")


@dataclass(frozen=True, slots=True)
class CellManifest:
    """The keys of all tenants at version `seq`. A tenant that is not in it is shredded."""

    seq: int
    tenants: Mapping[str, TenantKeys]

    def __post_init__(self) -> None:
        """Keep a copy that nobody can change."""
        object.__setattr__(self, "tenants", MappingProxyType(dict(self.tenants)))


def seal_manifest(manifest: CellManifest, root: RootStore, version: int) -> bytes:
    """Seal a manifest under root `version`. RootLost when that version is not live."""
    cell_key = fresh_key()
    nonce = urandom(_NONCE_BYTES)
    place = manifest.seq.to_bytes(8) + version.to_bytes(8)
    handed_over = bytes(cell_key)
    sealed_key = root.seal(version, handed_over, lp(_CELL_KEY_FORMAT, place))
    wipe(handed_over)
    header = _SEALED + place + lp(sealed_key) + nonce
    return header + AESGCM(cell_key).encrypt(nonce, _encode(manifest), lp(_FORMAT, header))


def open_manifest(blob: bytes, root: RootStore) -> CellManifest:
    """Open a sealed manifest. RootLost when its root version is gone; Tampered when a byte of it changed."""
    reader = Reader(blob, _WHAT)
    reader.expect(_SEALED)
    place = reader.take(16)
    sealed_key, nonce, sealed = reader.prefixed(), reader.take(_NONCE_BYTES), reader.rest()
    header = blob[: len(blob) - len(sealed)]
    cell_key = taken(root.unseal(int.from_bytes(place[8:]), sealed_key, lp(_CELL_KEY_FORMAT, place)))
    try:
        plain = unsealed(cell_key, nonce, sealed, lp(_FORMAT, header))
    except (InvalidTag, ValueError):  # a wrong tag, or too short or too long to have one
        raise Tampered(
            "The cell manifest does not open under its own key: it was changed. Nothing was opened; fetch it "
            "again from the mirror.",
            rule="cell-manifest",
        ) from None
    manifest = _decode(plain)
    if manifest.seq != int.from_bytes(place[:8]):
        raise reader.bad("its number inside is not the one outside")
    return manifest


def manifest_root_version(blob: bytes) -> int:
    """The root version that a sealed manifest needs. Not authenticated until it opens."""
    reader = Reader(blob, _WHAT)
    reader.expect(_SEALED)
    return int.from_bytes(reader.take(16)[8:])


def manifest_digest(blob: bytes) -> bytes:
    """SHA-256 of a sealed manifest: how the pointer names it."""
    return sha256(blob).digest()


def _encode(manifest: CellManifest) -> Secret:
    tenants = sorted((tenant.encode(), keys) for tenant, keys in manifest.tenants.items())
    parts: list[Octets] = [_PLAIN, manifest.seq.to_bytes(8), len(tenants).to_bytes(4)]
    for tenant, keys in tenants:
        parts += (lp(tenant), keys.ledger_seed, keys.ledger_generation.to_bytes(4))
        parts.append(len(keys.shards).to_bytes(4))
        for ref in keys.shards:
            parts += (ref.depth.to_bytes(1), ref.prefix.to_bytes(5), ref.seq.to_bytes(8), ref.key, ref.digest)
    return joined(parts)


def _decode(plain: Secret) -> CellManifest:
    reader = Reader(plain, _WHAT)
    reader.expect(_PLAIN)
    seq, count = reader.number(8), reader.number(4)
    tenants: dict[str, TenantKeys] = {}
    for _ in range(count):
        name = reader.prefixed().decode(errors="replace")  # which then does not encode to the same again
        tenants[name] = TenantKeys(reader.secret(SEED_BYTES), reader.number(4), _decode_shards(reader))
    reader.end()
    manifest = CellManifest(seq, tenants)
    if _encode(manifest) != plain:  # order, repeated tenants
        raise reader.bad("it is not canonical")
    return manifest


def _decode_shards(reader: Reader) -> tuple[ShardRef, ...]:
    refs = []
    free = 0
    for _ in range(reader.number(4)):
        depth, prefix, seq = reader.number(1), reader.number(5), reader.number(8)
        ref = ShardRef(depth, prefix, seq, reader.secret(KEY_BYTES), reader.take(32))
        if depth > LEAF_BITS or prefix >> depth or prefix << (LEAF_BITS - depth) < free:
            raise reader.bad("its shards overlap or are out of range")
        free = prefix + 1 << (LEAF_BITS - depth)
        refs.append(ref)
    return tuple(refs)
