"""The header of a sealed version: which leaves open it (`docs/spec/sealed-record.md`, "Header").

All leaves of any one slot open the version: AND within a slot, OR across slots. A slot's keys, mixed by HKDF,
wrap the version's data key (DEK) and commit to the wrapping key, because AES-GCM does not.
"""

import struct
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from os import urandom
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenure.errors import Invalid, Tampered
from tenure.keys.encoding import lp
from tenure.keys.hkdf import expand_blocks, extract
from tenure.keys.nodes import LEAVES
from tenure.keys.secret import KEY_BYTES, Octets, Secret, unsealed, wipe

MAGIC: Final = b"TNSR\x01\x01"
"""Four letters, format version 1, algorithm 1: AES-256-GCM with HKDF-SHA256 and HMAC-SHA256."""
TAG_BYTES: Final = 32

_LEAF_BYTES: Final = 5
_LEAF_LENGTH: Final = _LEAF_BYTES.to_bytes(4)
_FIXED: Final = 32 + 32 + 48  # salt, commitment, wrapped DEK
_MAX: Final = 0xFFFF
_COUNTS: Final = struct.Struct(">6sH")
_INFO: Final = b"tenure/v1/slot"
# A wrapping key is drawn (through its salt) for one wrap, so the nonce may be constant.
_NONCE: Final = bytes(12)


class Slot(NamedTuple):
    """One way to the DEK. All fields lie in the clear."""

    leaves: tuple[int, ...]
    salt: bytes
    commitment: bytes
    wrapped: bytes

    @property
    def seat(self) -> bytes:
        """The encoded leaves and the salt: what its own wrap can cover."""
        return encode_leaves(self.leaves) + self.salt

    def encode(self) -> bytes:
        """Its bytes in the header."""
        return self.seat + self.commitment + self.wrapped


class Header(NamedTuple):
    """A parsed header. `founding` is the encoded founding section, which every part's AAD covers by hash."""

    founding: bytes
    slots: tuple[Slot, ...]
    added: tuple[Slot, ...]
    body: bytes
    tag: bytes


def encode_leaves(leaves: Iterable[int]) -> bytes:
    """Count (u16), then each leaf number in five bytes."""
    encoded = b"".join([leaf.to_bytes(_LEAF_BYTES) for leaf in leaves])
    return (len(encoded) // _LEAF_BYTES).to_bytes(2) + encoded


def encode_section(slots: Iterable[bytes]) -> bytes:
    """Count (u16), then each encoded slot."""
    encoded = list(slots)
    return len(encoded).to_bytes(2) + b"".join(encoded)


def parse(header: bytes) -> Header:
    """Read a header. Tampered when it is not one, to the last byte."""
    if header[: len(MAGIC)] != MAGIC:
        raise bad("it is of another format, format version or algorithm")
    try:
        slots, end = _parse_section(header, len(MAGIC))
        added, last = _parse_section(header, end)
    except IndexError:
        raise bad("it ends too early") from None
    if not slots or len(header) != last + TAG_BYTES:
        raise bad("it has no slot or is not as long as it says")
    if len(slots) + len(added) > 1 and len({slot.leaves for slot in slots + added}) != len(slots) + len(
        added
    ):
        raise bad("two slots have the same leaves")
    return Header(header[len(MAGIC) : end], slots, added, header[:last], header[last:])


def new_slot(keys: Mapping[int, Octets], dek: Octets, front: bytes) -> Slot:
    """Wrap `dek` so that all of `keys` (leaf → its 32-byte key) together open it.

    The wrap's associated data is `front` and the length-prefixed seat. Raises Invalid for no leaf at all
    (anybody could open that), more than 65 535, a number out of range or a key that is not 32 bytes.
    """
    leaves = tuple(sorted(keys))
    if not 0 < len(leaves) <= _MAX or leaves[0] < 0 or leaves[-1] >= LEAVES:
        raise Invalid("A slot needs 1 to 65 535 leaf numbers of 40 bits; nothing was sealed.", rule="slot")
    ordered = [keys[leaf] for leaf in leaves]
    if set(map(len, ordered)) != {KEY_BYTES}:
        raise Invalid("A leaf key is not 32 bytes long; nothing was sealed.", rule="slot")
    salt = urandom(32)
    key, commitment = _mix(leaves, ordered, salt)
    seat = encode_leaves(leaves) + salt
    wrapped = AESGCM(key).encrypt(_NONCE, dek, front + lp(seat))
    wipe(key)
    return Slot(leaves, salt, commitment, wrapped)


def open_slot(slot: Slot, keys: Iterable[Octets], front: bytes) -> Secret:
    """The DEK, from the keys of the slot's leaves in order. Tampered when commitment or wrap do not hold."""
    key, commitment = _mix(slot.leaves, keys, slot.salt)
    try:
        if not compare_digest(commitment, slot.commitment):
            raise bad("a slot's commitment is not of its leaves' keys")
        return unsealed(key, _NONCE, slot.wrapped, front + lp(slot.seat))
    except InvalidTag:
        raise bad("a slot was made for another record, version, place or format") from None
    finally:
        wipe(key)


def bad(why: str) -> Tampered:
    """The error of every header that does not hold."""
    return Tampered(
        f"The header of a sealed version does not hold: {why}. Nothing was opened; restore the version.",
        rule="sealed-header",
    )


def _mix(leaves: Iterable[int], keys: Iterable[Octets], salt: bytes) -> tuple[bytes, bytes]:
    """From a slot's leaves: the 32 bytes that wrap the DEK, for the caller to wipe, and 32 that commit."""
    parts: list[Octets] = []
    for leaf, key in zip(leaves, keys, strict=True):
        parts += (_LEAF_LENGTH, leaf.to_bytes(_LEAF_BYTES), len(key).to_bytes(4), key)
    secret = b"".join(parts)  # as `lp` would, which leaves copies behind
    mixed = extract(secret, salt)
    wrapping, commitment = expand_blocks(mixed, _INFO, 2)
    wipe(secret)
    wipe(mixed)
    return wrapping, commitment


def _parse_section(header: bytes, at: int) -> tuple[tuple[Slot, ...], int]:
    """The slots of the section at `at`, and where it ends. IndexError when the header is shorter."""
    slots = []
    count, at = _count(header, at)
    for _ in range(count):
        leaf_count, at = _count(header, at)
        end = at + _LEAF_BYTES * leaf_count
        salt_end = end + 32
        stop = end + _FIXED
        if stop > len(header):  # before the loop below believes a count
            raise IndexError
        leaves = tuple(
            [int.from_bytes(header[start : start + _LEAF_BYTES]) for start in range(at, end, _LEAF_BYTES)]
        )
        if not leaves or list(leaves) != sorted(set(leaves)):
            raise bad("a slot's leaves are not sorted and unique")
        slots.append(
            Slot(leaves, header[end:salt_end], header[salt_end : salt_end + 32], header[salt_end + 32 : stop])
        )
        at = stop
    return tuple(slots), at


def _count(header: bytes, at: int) -> tuple[int, int]:
    return header[at] << 8 | header[at + 1], at + 2
