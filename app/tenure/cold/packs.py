"""Packs in the object store: put and verified, and read back member by member.

    put     create under a name of its own, with checksum and tags → read back, compare the digest → only then
            is it there: the caller may let go of what it packed
    read    one range, checked by the digest that the caller kept; or two, by the pack's own index

Whatever fails, the pack counts as not put, and putting it again is safe: nothing is ever overwritten, and the
same members give the same bytes. boto3's calls block: whoever is on an event loop makes these in a thread.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tenure.cold.objects import Objects
from tenure.cold.pack import Front, Member, Packed, Place, decode, decode_index, decode_member, tail_length
from tenure.errors import Tampered, Unavailable

FOLDER: Final = "packs"
CLASS_TAG: Final = "tenure-class"
TENANT_TAG: Final = "tenure-tenant"


@dataclass(frozen=True, slots=True)
class PackRef:
    """What is kept of a stored pack, beside its members' places. `size` in bytes; `sha256` of all of them."""

    front: Front
    size: int
    members: int
    sha256: bytes

    @classmethod
    def of(cls, packed: Packed) -> "PackRef":
        """Of a pack that was made."""
        return cls(packed.front, len(packed.data), len(packed.places), packed.sha256)


def name_of(front: Front) -> str:
    """The object's name: opaque ids only."""
    return f"{FOLDER}/{front.tenant}/{front.pack}"


def tags_of(front: Front) -> dict[str, str]:
    """The object's tags, which a bucket's lifecycle rules select by."""
    return {CLASS_TAG: front.retention_class, TENANT_TAG: front.tenant}


def put_pack(objects: Objects, packed: Packed) -> PackRef:
    """Store a pack and read it back. What is returned is there, whole; it may have been since long.

    Two requests; three when it was there. Raises Unavailable when it cannot be stored or verified now, which
    includes an answer that was lost: put the same pack again. Raises Tampered when other bytes have its name;
    they are left as they are.
    """
    name = name_of(packed.front)
    if not objects.keep(name, packed.data, tags=tags_of(packed.front)):
        raise _other()
    # A crash or a failure from here on leaves an object that nothing names: the next attempt finds it.
    stored = objects.get(name)
    if stored is None:
        raise Unavailable(
            "A pack is not there although the object store took it; it does not count as stored. Putting it "
            "again is safe.",
            retry_after=5,
            remedy="If it stays so, ask whoever runs the object store.",
        )
    if sha256(stored).digest() != packed.sha256:
        raise _other()
    return PackRef.of(packed)


def read_member(objects: Objects, front: Front, place: Place) -> Member:
    """A version out of a pack, by the place that the caller kept. One request.

    Tampered unless it is, to the byte, what was packed; Unavailable when the object store cannot be used now.
    """
    body = objects.get_range(name_of(front), place.offset, place.length)
    if body is None:
        raise _gone()
    return decode_member(place, body)


def read_places(objects: Objects, ref: PackRef) -> tuple[Place, ...]:
    """The places of a pack's members in their order, by its index. One request. Raises as `read_member`."""
    length = tail_length(ref.members)
    tail = objects.get_range(name_of(ref.front), max(ref.size - length, 0), length)
    if tail is None:
        raise _gone()
    return decode_index(ref.front, ref.size, tail)


def read_pack(objects: Objects, ref: PackRef) -> tuple[Member, ...]:
    """All members of a pack in their order. One request. Raises as `read_member`."""
    data = objects.get(name_of(ref.front))
    if data is None:
        raise _gone()
    if sha256(data).digest() != ref.sha256:
        raise _other()
    return decode(ref.front, data)


def drop_packs(objects: Objects, tenant_id: str) -> None:
    """Remove all packs of a tenant. Safe to repeat. Raises Unavailable when some may still be there."""
    for name in list(objects.names(f"{FOLDER}/{tenant_id}")):
        objects.delete(name)


def _other() -> Tampered:
    return Tampered(
        "What has a pack's name in the object store is not that pack; it was left as it is, and the pack "
        "does not count as stored.",
        rule="pack-digest",
        remedy="Find out who wrote it. A pack that is to be stored can be made again under a new id; one "
        "that was stored needs its bytes back, from a copy or an older version of the object.",
    )


def _gone() -> Tampered:
    return Tampered(
        "A pack that was stored is not in the object store; nothing was read.",
        rule="pack-missing",
        remedy="Find out who or which lifecycle rule removed it, and put it back from a copy or an older "
        "version of the object.",
    )
