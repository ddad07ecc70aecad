"""HMAC-SHA256 that leaves no copy of its key behind, and does not give up the interpreter lock.

A governed read computes a dozen HMACs of a microsecond each. The standard library's one-shot `hmac.digest`
releases the lock around every one of them, and beside a busy event loop each release is a wait to get it
back: measured, more than all the cryptography together. The object that `hmac.new` wraps releases it for
long messages only, and OpenSSL clears what it kept of the key.
"""

from _hashlib import hmac_new


def hmac_sha256(key: bytes | bytearray, message: bytes | bytearray) -> bytes:
    """HMAC-SHA256 (RFC 2104 §2), 32 bytes of the caller's own. A test compares it with the standard.

    The result is often a key itself: `keys.secret.taken` moves it to where it is wiped.
    """
    return hmac_new(key, message, "sha256").digest()
