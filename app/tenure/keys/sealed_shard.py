"""L2: a shard, sealed under a key of its own that only the cell manifest holds.

Format: `docs/spec/keys.md`, "Sealed shard". The key seals one shard version once. A punctured shard thus gets
a fresh key without touching its neighbours, and its old versions open with old manifests only.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from os import urandom
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenure.errors import Tampered
from tenure.keys.encoding import Reader, lp
from tenure.keys.secret import Octets, fresh_key, unsealed
from tenure.keys.shard import Shard

MAGIC: Final = b"TNSS\x01"
_NONCE_BYTES: Final = 12
_FORMAT: Final = b"tenure/v1/key-shard"


@dataclass(frozen=True, slots=True)
class ShardRef:
    """A manifest's word on one shard: where it belongs, its version, its key, SHA-256 of its sealed bytes."""

    depth: int
    prefix: int
    seq: int
    key: Octets = field(repr=False, hash=False)
    digest: bytes


def seal_shard(tenant: str, shard: Shard, seq: int, key: Octets) -> bytes:
    """Seal a shard of `tenant` as its version `seq`. `key` has 32 bytes and never seals anything else."""
    nonce = urandom(_NONCE_BYTES)
    aad = _aad(tenant, shard.depth, shard.prefix, seq)
    return MAGIC + nonce + AESGCM(key).encrypt(nonce, shard.encode(), aad)


def seal_under_fresh_key(tenant: str, shard: Shard, seq: int) -> tuple[ShardRef, bytes]:
    """Seal a shard under a key drawn for it; the reference carries that key into the manifest."""
    key = fresh_key()
    blob = seal_shard(tenant, shard, seq, key)
    return ShardRef(shard.depth, shard.prefix, seq, key, sha256(blob).digest()), blob


def open_shard(blob: bytes, tenant: str, ref: ShardRef) -> Shard:
    """Open the shard that a manifest names. Tampered when these are not exactly the bytes it was sealed to.

    The digest is compared first: AES-GCM alone does not commit to its key.
    """
    if not compare_digest(sha256(blob).digest(), ref.digest):
        raise _tampered()
    reader = Reader(blob, "sealed key-state shard")
    reader.expect(MAGIC)
    nonce = reader.take(_NONCE_BYTES)
    try:
        plain = unsealed(ref.key, nonce, reader.rest(), _aad(tenant, ref.depth, ref.prefix, ref.seq))
    except InvalidTag:
        raise _tampered() from None
    shard = Shard.decode(plain)
    if (shard.depth, shard.prefix) != (ref.depth, ref.prefix):
        raise _tampered()
    return shard


def _aad(tenant: str, depth: int, prefix: int, seq: int) -> bytes:
    return lp(_FORMAT, tenant.encode(), depth.to_bytes(1), prefix.to_bytes(5), seq.to_bytes(8))


def _tampered() -> Tampered:
    return Tampered(
        "A sealed key-state shard is not the one that the manifest names. Nothing was opened; fetch it again "
        "from the mirror.",
        rule="key-shard",
    )
