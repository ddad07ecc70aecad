"""Sealing a version: a fresh data key (DEK), slots of leaves that open it, and named parts under it.

Format: `docs/spec/sealed-record.md`. The associated data binds everything to tenant, scope, record and
version, and not to the root key's version: rotating the root must not touch a single record.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from typing import Final, NamedTuple

from tenure.errors import Invalid, KeyFailure, Shredded
from tenure.keys import slots as headers
from tenure.keys.encoding import lp
from tenure.keys.hkdf import expand, extract
from tenure.keys.parts import open_part, seal_part
from tenure.keys.secret import Octets, Secret, fresh_key, taken, wipe
from tenure.mac import hmac_sha256

FORMAT: Final = b"tenure/v1/sealed-record"
ALGORITHM: Final = b"AES-256-GCM/HKDF-SHA256"
_FRONT: Final = lp(FORMAT, ALGORITHM)
_HEADER: Final = lp(b"header")
_DEK: Final = lp(b"dek")
_SLOTS: Final = lp(b"tenure/v1/slots")
_RESERVED: Final = frozenset({"", "dek", "rewrap", "header"})
_MAX_SLOTS: Final = 0xFFFF
_NO_ADDED: Final = bytes(2)


class Binding(NamedTuple):
    """What a sealed version belongs to. Opened with any other binding, it is Tampered."""

    tenant: str
    scope: str
    record: str
    version: int

    def encode(self) -> bytes:
        """The front of every associated data."""
        return _FRONT + lp(
            self.tenant.encode(), self.scope.encode(), self.record.encode(), self.version.to_bytes(8)
        )

    def segment(self, place: int) -> "Binding":
        """What one segment of this version belongs to, by its place from 0."""
        return self._replace(record=f"{self.record}/segments/{place}")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is stored: a header and the ciphertext of each part. All of it may lie in the clear."""

    header: bytes
    parts: dict[str, bytes]


class OpenedKey:
    """The DEK of one version, opened. Wipe it when the work is done."""

    __slots__ = ("_bound", "_dek", "_root", "_slots_hash", "_wiped")

    def __init__(self, bound: bytes, slots_hash: bytes, dek: Secret) -> None:
        """`bound` is the encoded binding; only `seal` and `open_key` make these, and give the key away."""
        self._bound = bound
        self._slots_hash = slots_hash
        self._dek = dek
        self._root = taken(extract(dek))
        self._wiped = False

    def __repr__(self) -> str:
        """Without the key."""
        return "OpenedKey()"

    def open(self, part_name: str, ciphertext: bytes) -> bytes:
        """The data of one part. Tampered unless it is that part of this very version, whole."""
        key, aad = self._part(part_name)
        try:
            return open_part(key, aad, ciphertext)
        finally:
            wipe(key)

    def seal(self, part_name: str, data: bytes) -> bytes:
        """The ciphertext of one part. Each name once for a version: a key seals one message."""
        key, aad = self._part(part_name)
        try:
            return seal_part(key, aad, data)
        finally:
            wipe(key)

    def opening_salt(self, nonce: bytes, record: str, version: int) -> Secret:
        """The 32-byte salt of a ledger commitment: derivable while the version can be opened, no longer."""
        message = lp(nonce, record.encode()) + version.to_bytes(8)
        key = self._derive(b"tenure/v1/opening")
        salt = taken(hmac_sha256(key, message))
        wipe(key)
        return salt

    def header_tag(self, body: bytes) -> bytes:
        """The 32 bytes that end a header: they bind all of it to the DEK, and commit to the DEK."""
        key = self._derive(b"tenure/v1/header")
        tag = hmac_sha256(key, self._bound + _HEADER + lp(body))
        wipe(key)
        return tag

    def add_slot(
        self, header: bytes, slot: Mapping[int, Octets], *, spent: Container[tuple[int, ...]] = ()
    ) -> bytes:
        """The header with one slot more, for the same DEK: so a hold re-wraps before a leaf's puncture.

        The parts stay as they are. Earlier added slots of `spent` leaves, which nothing opens any more, are
        left out: a header that is re-wrapped at every erasure does not grow with them. Raises Tampered when
        `header` is not the one this key was opened from, Invalid for a slot that is empty or there already.
        """
        parsed = headers.parse(header)
        if not compare_digest(self.header_tag(parsed.body), parsed.tag):
            raise headers.bad("it is not the header that this key was opened from")
        if tuple(sorted(slot)) in header_leaves(header) or len(parsed.added) == _MAX_SLOTS:
            raise Invalid("The version has that slot already, or has no room for it.", rule="slot")
        dek = Secret(self._dek)
        self._alive()
        added = headers.new_slot(slot, dek, self._bound + lp(b"rewrap", self._slots_hash))
        kept = [one for one in parsed.added if one.leaves not in spent]
        section = headers.encode_section(one.encode() for one in (*kept, added))
        body = headers.MAGIC + parsed.founding + section
        return body + self.header_tag(body)

    def wipe(self) -> None:
        """Overwrite the key; any later use raises KeyFailure."""
        self._wiped = True
        wipe(self._dek)
        wipe(self._root)

    def _part(self, name: str) -> tuple[bytes, bytes]:
        info, part = _named(name)
        return self._derive(info), self._bound + part + lp(self._slots_hash)

    def _derive(self, info: bytes) -> bytes:
        """A key that the caller wipes."""
        key = expand(self._root, info)
        self._alive()
        return key

    def _alive(self) -> None:
        """Called after keys were used: what comes from overwritten ones is known to everybody."""
        if self._wiped:
            raise KeyFailure(
                "This version's key was wiped; nothing was sealed or opened. Open the version again."
            )


def seal(
    binding: Binding, slots: Sequence[Mapping[int, Octets]], parts: Mapping[str, bytes]
) -> tuple[Sealed, OpenedKey]:
    """Seal named parts of one version under a fresh DEK, which all leaves of any one slot open.

    Each slot maps leaf numbers to their 32-byte keys. Returns what to store and the opened key, for the
    commitment of the new version. Raises Invalid for no slot, an empty slot, two slots of the same leaves,
    or a part name that is empty or reserved.
    """
    if not 0 < len(slots) <= _MAX_SLOTS or (len(slots) > 1 and len(set(map(frozenset, slots))) < len(slots)):
        raise Invalid(
            "A version needs 1 to 65 535 slots of different leaves; nothing was sealed.", rule="slot"
        )
    bound = binding.encode()
    dek, front = fresh_key(), bound + _DEK
    founding = headers.encode_section(headers.new_slot(slot, dek, front).encode() for slot in slots)
    opened = OpenedKey(bound, _slots_hash(founding), dek)
    body = headers.MAGIC + founding + _NO_ADDED
    sealed = {name: opened.seal(name, data) for name, data in parts.items()}
    return Sealed(body + opened.header_tag(body), sealed), opened


def open_key(binding: Binding, header: bytes, leaf_key: Callable[[int], Octets]) -> OpenedKey:
    """Open the DEK by the first slot whose leaves all still have keys.

    `leaf_key` gives a leaf's 32-byte key or raises Shredded. Raises Shredded when every slot has lost a leaf;
    Tampered when the header is not exactly as sealed for this binding.
    """
    parsed = headers.parse(header)
    bound = binding.encode()
    slots_hash = _slots_hash(parsed.founding)
    for slots, front in (
        (parsed.slots, bound + _DEK),
        (parsed.added, bound + lp(b"rewrap", slots_hash)),
    ):
        for slot in slots:
            try:
                keys = [leaf_key(leaf) for leaf in slot.leaves]
            except Shredded:
                continue
            dek = headers.open_slot(slot, keys, front)
            opened = OpenedKey(bound, slots_hash, dek)
            if not compare_digest(opened.header_tag(parsed.body), parsed.tag):
                raise headers.bad("its tag is not of this header")
            return opened
    raise Shredded("Every key that opens this version was destroyed; nothing can be read from it any more.")


def header_leaves(header: bytes) -> tuple[tuple[int, ...], ...]:
    """The leaves of every slot, founding slots first. Tampered when it is no header; otherwise unverified."""
    parsed = headers.parse(header)
    return tuple(slot.leaves for slot in parsed.slots + parsed.added)


def founding_slots(header: bytes) -> tuple[tuple[int, ...], ...]:
    """The leaves of the slots it was sealed with. Tampered when it is no header; otherwise unverified."""
    return tuple(slot.leaves for slot in headers.parse(header).slots)


def founding_leaves(header: bytes) -> frozenset[int]:
    """All leaves that it was sealed to, without those of later slots. Raises as `founding_slots`."""
    return frozenset(leaf for slot in founding_slots(header) for leaf in slot)


def added_leaves(header: bytes) -> tuple[tuple[int, ...], ...]:
    """The leaves of every slot that was added since. Tampered when it is no header; otherwise unverified."""
    return tuple(slot.leaves for slot in headers.parse(header).added)


def same_founding(one: bytes, other: bytes) -> bool:
    """Whether two headers have the same founding slots, as all headers of one version do."""
    return headers.parse(one).founding == headers.parse(other).founding


def _slots_hash(founding: bytes) -> bytes:
    return sha256(_SLOTS + founding).digest()


@lru_cache(maxsize=64)
def _named(part_name: str) -> tuple[bytes, bytes]:
    """What a part's key is derived for, and the name as its associated data has it."""
    if part_name in _RESERVED:
        raise Invalid("A sealed part cannot have that name; nothing was sealed or opened.", rule="part-name")
    name = part_name.encode()
    return lp(b"tenure/v1/part", name), lp(name)
