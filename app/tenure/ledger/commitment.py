"""Commitments: an entry binds what was read without saying it, and without lasting longer than the key."""

from tenure.mac import hmac_sha256

_DOMAIN = b"tenure/v1"


def commitment(
    salt: bytes | bytearray, *, tenant: str, decision: str | None, record: str, version: int, content: bytes
) -> bytes:
    """HMAC-SHA256 (32 bytes) over one version's canonical content, as one entry saw it.

    `salt` (32 bytes) is fresh for each entry and item and is derived from the version's key: with the key
    destroyed nobody can confirm a guess of the content. No decision is the empty string. Every part is
    preceded by its length (u32, big-endian), so that no two inputs share an encoding.
    """
    parts = (
        _DOMAIN,
        tenant.encode(),
        (decision or "").encode(),
        record.encode(),
        version.to_bytes(8),
        content,
    )
    message = b"".join([len(part).to_bytes(4) + part for part in parts])
    return hmac_sha256(salt, message)
