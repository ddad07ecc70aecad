"""A part's plaintext into ciphertext and back: padded, cut into chunks, each chunk sealed in its place.

`docs/spec/sealed-record.md`, "Parts". The chunking is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, "Online
Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015, §7): the nonce holds the chunk's
number and whether it is the last, so that dropped, repeated, moved and appended chunks do not open.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenure.errors import Tampered
from tenure.keys.padme import padded_length
from tenure.keys.secret import Octets

CHUNK: Final = 64 * 1024
"""Bytes of padded plaintext in every chunk but the last."""
MIN_PADDED: Final = 128
"""Padmé shows the length of very short data almost exactly; below this nothing shows."""

_TAG: Final = 16
_SEALED_CHUNK: Final = CHUNK + _TAG
_LENGTH: Final = 8
_ONLY: Final = bytes(11) + b"\x01"


def seal_part(key: Octets, aad: bytes, data: bytes) -> bytes:
    """Seal the whole of a part. `key` (32 bytes) is of this part of this version and seals nothing else."""
    cipher = AESGCM(key)
    length = _padded_length(len(data))
    padded = len(data).to_bytes(_LENGTH) + data + bytes(length - _LENGTH - len(data))
    if length <= CHUNK:
        return cipher.encrypt(_ONLY, padded, aad)
    view = memoryview(padded)
    last = (length - 1) // CHUNK
    return b"".join(
        cipher.encrypt(_nonce(number, last), view[number * CHUNK : (number + 1) * CHUNK], aad)
        for number in range(last + 1)
    )


def open_part(key: Octets, aad: bytes, sealed: bytes) -> bytes:
    """The data of a part. Tampered when any chunk is not as sealed, in its place, or when one is missing."""
    cipher = AESGCM(key)
    try:
        if len(sealed) <= _SEALED_CHUNK:
            padded = cipher.decrypt(_ONLY, sealed, aad)
        else:
            view = memoryview(sealed)
            last = (len(sealed) - 1) // _SEALED_CHUNK
            padded = b"".join(
                cipher.decrypt(
                    _nonce(number, last), view[number * _SEALED_CHUNK : (number + 1) * _SEALED_CHUNK], aad
                )
                for number in range(last + 1)
            )
    except InvalidTag:
        raise _tampered("it was changed, cut, or is not the part of this version") from None
    end = _LENGTH + int.from_bytes(padded[:_LENGTH])
    if len(padded) != _padded_length(end - _LENGTH) or padded[end:].strip(b"\x00"):
        raise _tampered("its padding is not canonical")
    return padded[_LENGTH:end]


def _padded_length(length: int) -> int:
    return max(MIN_PADDED, padded_length(_LENGTH + length))


def _nonce(number: int, last: int) -> bytes:
    return number.to_bytes(11) + (b"\x01" if number == last else b"\x00")


def _tampered(why: str) -> Tampered:
    return Tampered(
        f"A sealed part does not open: {why}. Nothing was returned; restore the version.", rule="sealed-part"
    )
