"""The content of a version in segments: each sealed to its own people, so that one can go and others stay.

Format: `docs/spec/sealed-record.md`, "Segments". Each segment is a sealed version of its own, bound to its
place (`Binding.segment`). One that was purged leaves an empty place: the others keep theirs.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from tenure.keys.encoding import Reader, lp

MAGIC: Final = b"TNSG\x01"


class SealedSegment(NamedTuple):
    """One segment as it is stored. All of it may lie in the clear."""

    header: bytes
    head: bytes
    content: bytes


def encode(segments: Iterable[SealedSegment | None]) -> bytes:
    """The bytes of all segments in their order; None for one that was purged."""
    places = [lp(*segment) if segment else lp(b"") for segment in segments]
    return MAGIC + len(places).to_bytes(2) + b"".join(places)


def decode(blob: bytes) -> list[SealedSegment | None]:
    """The segments in their order, None where one was purged. Tampered when it is not such a thing."""
    reader = Reader(blob, "set of segments")
    reader.expect(MAGIC)
    places: list[SealedSegment | None] = []
    for _ in range(reader.number(2)):
        header = reader.prefixed()
        places.append(SealedSegment(header, reader.prefixed(), reader.prefixed()) if header else None)
    reader.end()
    return places
