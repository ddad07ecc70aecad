"""API keys: `tnr_` ‖ base64url(tenant id 16 B ‖ secret 32 B) ‖ checksum.

The prefix and the CRC-32 let secret scanners find leaked keys without false alarms. The tenant id inside
lets the key be looked up by an index that starts with the tenant. Only SHA-256 of the secret is stored: the
secret has 256 random bits, so a slow hash would add nothing.
"""

import base64
import binascii
import hashlib
import json
import secrets
import uuid
import zlib

from tenure.errors import Unauthenticated
from tenure.model.principal import Credential
from tenure.model.reach import Reach

_PREFIX = "tnr_"
_BODY = 48
_STANDARD = str.maketrans("-_", "+/")
_SUM = 4


def new_api_key(tenant_id: str) -> tuple[str, str]:
    """A fresh key for a tenant: (the key, shown once; the hash to store)."""
    secret = secrets.token_bytes(32)
    body = uuid.UUID(tenant_id).bytes + secret
    return _PREFIX + _b64(body + _checksum(body)), _hash(secret)


def parse_api_key(key: str) -> Credential:
    """Read a key; Unauthenticated when it is not one."""
    try:
        raw = binascii.a2b_base64(key[len(_PREFIX) :].translate(_STANDARD), strict_mode=True)
    except (binascii.Error, ValueError):
        raw = b""
    body = raw[:_BODY]
    if not key.startswith(_PREFIX) or len(raw) != _BODY + _SUM or raw[_BODY:] != _checksum(body):
        raise Unauthenticated(
            "The bearer token is not an API key of this service.",
            rule="api-key",
            remedy="Send 'Authorization: Bearer tnr_…' exactly as it was shown when it was made.",
        )
    tenant = body[:16].hex()
    tenant_id = f"{tenant[:8]}-{tenant[8:12]}-{tenant[12:16]}-{tenant[16:20]}-{tenant[20:]}"
    return Credential(tenant_id=tenant_id, secret_hash=_hash(body[16:]))


def config_of(secret_hash: str, expires_at: int | None, reach: Reach | None) -> str:
    """64 hex digits of all that a key's row says of what it opens, until when and how far, for its entry.

    The secret has 256 random bits: nobody guesses it from this.
    """
    kept = [secret_hash, expires_at, None if reach is None else reach.stored()]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def _checksum(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(_SUM, "big")


def _hash(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def _b64(raw: bytes) -> str:
    # 52 bytes need one padding character; the key ends without it being lost in copying.
    return base64.urlsafe_b64encode(raw).decode()
