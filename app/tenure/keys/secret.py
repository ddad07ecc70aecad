"""Key bytes that are overwritten when they are let go of, and the wiping of those that libraries make.

The interpreter frees memory without clearing it, so a key that was dropped lies there until something else
happens to need the place. A test searches a service's whole memory for the keys of somebody erased.
"""

import ctypes
from collections.abc import Callable, Iterable
from functools import lru_cache
from os import urandom
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Octets = bytes | bytearray
"""What keys and messages come as: keys that are held longer than a call are `Secret`."""

KEY_BYTES: Final = 32
_TAG: Final = 16
_PAYLOAD: Final = bytes.__basicsize__ - 1
"""Where the bytes of a `bytes` object begin, its final zero not counted (CPython, `bytesobject.h`)."""


class Secret(bytearray):
    """Key bytes, overwritten once nobody holds them any more. To be shared, and never changed or sliced.

    A slice is an ordinary copy: take a `memoryview`, or `Secret(memoryview(key)[a:b])`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Without the bytes: a repr ends in logs."""
        return f"Secret({len(self)} bytes)"

    def __del__(self) -> None:
        """Overwrite it, before the memory is given back."""
        self[:] = bytes(len(self))


def wipe(key: Octets) -> None:
    """Overwrite key bytes in place.

    Of a `bytes` object only one that a library has just made for the caller, and that nobody else has seen:
    whoever else held it would find zeros.
    """
    if isinstance(key, bytearray):
        key[:] = bytes(len(key))
    elif len(key) > 1:  # the interpreter shares the shorter ones
        at, zeros = _places(len(key))
        at(id(key) + _PAYLOAD).raw = zeros


@lru_cache(maxsize=64)
def _places(length: int) -> tuple[Callable[[int], Any], bytes]:
    """A way to write so many bytes, and zeros for it. Takes a third of the time of a call to `memset`."""
    return (ctypes.c_char * length).from_address, bytes(length)


def taken(fresh: bytes) -> Secret:
    """What a library has just made, moved to where it is wiped. `fresh` is zeros afterwards."""
    key = Secret(fresh)
    wipe(fresh)
    return key


def fresh_key() -> Secret:
    """32 random bytes."""
    return taken(urandom(KEY_BYTES))


def joined(parts: Iterable[bytes | bytearray | memoryview]) -> Secret:
    """The parts one after the other, in memory of its own that is wiped."""
    whole = bytearray().join(parts)  # one allocation: growing would leave copies behind
    key = Secret(whole)
    wipe(whole)
    return key


def unsealed(key: Octets, nonce: bytes, sealed: bytes, aad: bytes) -> Secret:
    """AES-256-GCM, opened into memory that is wiped. InvalidTag when it is not as sealed."""
    plain = Secret(max(len(sealed) - _TAG, 0))
    AESGCM(key).decrypt_into(nonce, sealed, aad, plain)
    return plain
