"""HMAC-SHA256 that does not give up the interpreter lock.

A governed read computes a dozen HMACs of a microsecond each. The standard library's one-shot function
releases the lock around every one of them, and beside a busy event loop each release is a wait to get it
back: measured, more than all the cryptography together. Short SHA-256 runs do not release it.
"""

from hashlib import sha256

_BLOCK = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def hmac_sha256(key: bytes | bytearray, message: bytes | bytearray) -> bytes:
    """HMAC-SHA256 (RFC 2104 §2), 32 bytes. A test compares it with the standard library's."""
    block = bytes(key if len(key) <= _BLOCK else sha256(key).digest()).ljust(_BLOCK, b"\0")
    inner = sha256(block.translate(_INNER) + message).digest()
    return sha256(block.translate(_OUTER) + inner).digest()
