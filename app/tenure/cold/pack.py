"""A pack: the sealed parts of many versions as one immutable object. Bytes in, bytes out.

Format: `docs/spec/pack.md`. What lies here is what the database held, and only what never changes: the
header of a version, with its key slots, stays in the database, because slots are re-wrapped. Erasing a person
touches no pack: the keys are gone. Names in it are opaque ids.
"""

import re
import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Final, NamedTuple
from uuid import UUID

from tenure.errors import Invalid, Tampered, TooLarge
from tenure.ids import is_id
from tenure.keys.encoding import Reader, lp

MAX_BYTES: Final = 128 << 20
"""Of a whole pack. The largest version that a cell takes fits in, sealed and padded; most are far smaller."""
MAX_MEMBERS: Final = 1 << 16
MAX_PARTS: Final = 0xFF
MAX_NUMBER: Final = (1 << 63) - 1

_RULE: Final = "pack-format"
_MAGIC: Final = b"TNPK\x01"
_END: Final = b"TNPE"
_INDEX: Final = lp(b"tenure/v1/pack-index")
_ENTRY: Final = struct.Struct(">16sQQI32s")  # record, number, offset, length, SHA-256
_TRAILER: Final = struct.Struct(">IQ32s4s")  # members, offset of the index, its digest, the end's magic
_ADDRESS: Final = struct.Struct(">16sQ")
_CLASS: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_PART: Final = re.compile(r"[a-z0-9][a-z0-9/-]{0,62}")

Octets = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Front:
    """What a pack belongs to: two ids and a retention class's name. Read with another one, it is Tampered."""

    tenant: str
    pack: str
    retention_class: str

    def encode(self) -> bytes:
        """The first bytes of the pack. Invalid when a name is not well-formed."""
        for field, value in (("tenant", self.tenant), ("pack", self.pack)):
            if not is_id(value):
                raise _refused("one of its ids is not well-formed", field, "an id: a UUID in lower case")
        if not _CLASS.fullmatch(self.retention_class):
            raise _refused("its class is not well-formed", "retention_class", f"matches {_CLASS.pattern}")
        name = self.retention_class.encode()
        return _MAGIC + UUID(self.tenant).bytes + UUID(self.pack).bytes + bytes([len(name)]) + name


class Member(NamedTuple):
    """One version: its record's id, its number, and its sealed parts by name, as `keys.seal` made them."""

    record: str
    number: int
    parts: Mapping[str, bytes]


class Place(NamedTuple):
    """Where a member lies in its pack, in bytes, and the SHA-256 of these bytes."""

    record: str
    number: int
    offset: int
    length: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack to be stored, the SHA-256 of all its bytes, and its members' places in their order."""

    front: Front
    data: bytes
    sha256: bytes
    places: tuple[Place, ...]


def encode(front: Front, members: Iterable[Member]) -> Packed:
    """The pack of some versions: the same bytes for the same members, in whatever order they come.

    Raises Invalid for no member, too many, the same version twice, or what has no well-formed name;
    TooLarge over `MAX_BYTES`.
    """
    begin = front.encode()
    ordered = sorted((_address(one), _body(one)) for one in members)
    if not 0 < len(ordered) <= MAX_MEMBERS:
        raise _refused("it has no members, or too many", "members", f"1 to {MAX_MEMBERS}")
    if any(one[0] == other[0] for one, other in pairwise(ordered)):
        raise _refused("it has a version twice", "members", "each version once")
    at = len(begin)
    places = []
    for address, body in ordered:
        record, number = _ADDRESS.unpack(address)
        places.append(Place(str(UUID(bytes=record)), number, at, len(body), sha256(body).digest()))
        at += len(body)
    if at + tail_length(len(places)) > MAX_BYTES:
        raise TooLarge(
            "A pack would be too large; nothing was packed.",
            field="members",
            rule=f"at most {MAX_BYTES} bytes",
            remedy="Divide the members among several packs.",
        )
    index = b"".join(
        _ENTRY.pack(address[:16], one.number, one.offset, one.length, one.sha256)
        for (address, _), one in zip(ordered, places, strict=True)
    )
    trailer = _TRAILER.pack(len(places), at, _index_digest(begin, index), _END)
    data = b"".join((begin, *(body for _, body in ordered), index, trailer))
    return Packed(front, data, sha256(data).digest(), tuple(places))


def decode(front: Front, data: Octets) -> tuple[Member, ...]:
    """All members of a whole pack in their order. Tampered unless every byte of it is as it must be."""
    view, begin = memoryview(data), front.encode()
    if len(view) > MAX_BYTES:
        raise _bad("it is over the size limit")
    if bytes(view[: len(begin)]) != begin:
        raise _bad("it is of another tenant, pack, retention class or format version")
    rest = view[len(begin) :]
    if len(rest) < tail_length(1):
        raise _bad("it ends too early")
    tail = tail_length(_TRAILER.unpack(rest[-_TRAILER.size :])[0])
    if tail > len(rest):
        raise _bad("it is shorter than its index")
    places = decode_index(front, len(view), rest[-tail:])
    return tuple(decode_member(one, view[one.offset : one.offset + one.length]) for one in places)


def digest_of(member: Member) -> bytes:
    """The SHA-256 that a member has in any pack."""
    return sha256(_body(member)).digest()


def tail_length(members: int) -> int:
    """How many bytes at the end of a pack of so many members are its index and trailer."""
    return _ENTRY.size * members + _TRAILER.size


def decode_index(front: Front, size: int, tail: Octets) -> tuple[Place, ...]:
    """The members' places, from the last `tail_length` bytes of a pack of `size` bytes.

    Tampered unless they are the index and trailer of the very pack that `front` names, and describe `size`
    bytes without gap or overlap. Nothing is said about the members' bytes: `decode_member` checks those.
    """
    count, left = divmod(len(tail) - _TRAILER.size, _ENTRY.size)
    if left or not 0 < count <= MAX_MEMBERS:
        raise _bad("its end is not an index and a trailer")
    begin, index = front.encode(), memoryview(tail)[: -_TRAILER.size]
    members, starts, digest, end = _TRAILER.unpack(memoryview(tail)[-_TRAILER.size :])
    if end != _END:
        raise _bad("its end is of another format")
    if (members, starts) != (count, size - len(tail)):
        raise _bad("its trailer names another place of the index")
    if digest != _index_digest(begin, index):
        raise _bad("its index is not the one of this pack")
    places, at, last = [], len(begin), b""
    for record, number, offset, length, member_digest in _ENTRY.iter_unpack(index):
        address = _ADDRESS.pack(record, number)
        if address <= last or number > MAX_NUMBER:
            raise _bad("its members are not in order, or one is there twice")
        if offset != at:
            raise _bad("its members do not follow one another")
        places.append(Place(str(UUID(bytes=record)), number, offset, length, member_digest))
        at, last = offset + length, address
    if at != starts:
        raise _bad("its members do not reach to its index")
    return tuple(places)


def find(places: Sequence[Place], record: str, number: int) -> Place | None:
    """The place of a version among those of a pack, which are in order."""
    at = bisect_left(places, (record, number))
    found = places[at] if at < len(places) else None
    return found if found is not None and found[:2] == (record, number) else None


def decode_member(place: Place, body: Octets) -> Member:
    """One member, from its bytes. Tampered unless they have the place's digest and are of its version."""
    if len(body) != place.length or sha256(body).digest() != place.sha256:
        raise _bad("a member's bytes are not those that were packed")
    reader = Reader(bytes(body), "pack", rule=_RULE)
    if reader.take(_ADDRESS.size) != _ADDRESS.pack(UUID(place.record).bytes, place.number):
        raise _bad("a member is of another version than its index says")
    parts: dict[str, bytes] = {}
    last = b""
    count = reader.number(1)
    for _ in range(count):
        name = reader.prefixed()
        if name <= last or not _PART.fullmatch(name.decode("ascii", "replace")):
            raise _bad("a member's parts are not in order, or have no well-formed names")
        parts[name.decode()] = reader.prefixed()
        last = name
    reader.end()
    if not parts:
        raise _bad("a member has no parts")
    return Member(place.record, place.number, parts)


def _address(member: Member) -> bytes:
    """What members are ordered by: record id, then number."""
    if not is_id(member.record):
        raise _refused("a member's record has no well-formed id", "record", "an id: a UUID in lower case")
    if not 0 <= member.number <= MAX_NUMBER:
        raise _refused("a member's number is out of range", "number", "0 to 2^63 - 1")
    return _ADDRESS.pack(UUID(member.record).bytes, member.number)


def _body(member: Member) -> bytes:
    if not 0 < len(member.parts) <= MAX_PARTS:
        raise _refused("a member has no parts, or too many", "parts", f"1 to {MAX_PARTS}")
    if not all(_PART.fullmatch(name) for name in member.parts):
        raise _refused("a part's name is not well-formed", "parts", f"matches {_PART.pattern}")
    named = sorted((name.encode(), data) for name, data in member.parts.items())
    return b"".join((_address(member), bytes([len(named)]), *(lp(*one) for one in named)))


def _index_digest(begin: bytes, index: Octets) -> bytes:
    digest = sha256(_INDEX)
    digest.update(begin)
    digest.update(index)
    return digest.digest()


def _refused(why: str, field: str, rule: str) -> Invalid:
    return Invalid(
        f"A pack cannot be made: {why}. Nothing was packed.",
        field=field,
        rule=rule,
        remedy="Pack what the database names, as it has it.",
    )


def _bad(why: str) -> Tampered:
    return Tampered(
        f"A pack cannot be read: {why}. Nothing was taken from it.",
        rule=_RULE,
        remedy="Put back the object as it was, from a copy or an older version of it; it was left as it is.",
    )
