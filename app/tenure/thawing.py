"""Contents that lie in packs, got for whoever may read them.

    1 a transaction finds that it needs one and has not got it: `Cold`, and nothing of it is committed
    2 outside of any transaction the ranges are fetched, side by side, and their digests compared
    3 the same operation is performed again as a whole, with the bytes at hand

So a denial costs no request, the access is decided and put on record once, and no connection waits for the
object store. What is fetched is sealed; nobody reads it without the version's key.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from tenure.cold.objects import Archived, Objects
from tenure.cold.pack import Front, Place
from tenure.cold.packs import name_of, read_member
from tenure.errors import NotYet, Tampered, Unavailable
from tenure.keys import segments
from tenure.store.records import StoredVersion

AT_ONCE: Final = 16
"""Requests to the object store that a process has under way at once, to read."""
RETRY_S: Final = 1800
"""How long whoever reads from an archive is told to wait before asking again."""
CONTENT: Final = "content"
"""The name of a content in its pack; of a segment's, with its place: `content/0`."""
_ANY_CLASS: Final = "keep"  # a pack's name knows no class


class Where(NamedTuple):
    """Where a content lies: whose pack, and its place there."""

    tenant: str
    pack: str
    place: Place


Thawed = Mapping[Where, Mapping[str, bytes]]
"""What was fetched: sealed parts by name."""


class Cold(Unavailable):
    """Contents are needed that lie in packs: to be fetched, and the operation performed again."""

    def __init__(self, wanted: Iterable[Where]) -> None:
        super().__init__(
            "What was asked for lies in the object store and was not fetched; nothing was returned.",
            retry_after=5,
        )
        self.wanted = frozenset(wanted)


def part(place: int | None) -> str:
    """The name of a content in its pack: the whole's, or a segment's."""
    return CONTENT if place is None else f"{CONTENT}/{place}"


def where(tenant_id: str, stored: StoredVersion) -> Where | None:
    """Where a version's content lies; None when it is not in a pack."""
    if stored.pack_id is None:
        return None
    offset, length = stored.pack_offset or 0, stored.pack_length or 0
    place = Place(stored.record_id, stored.version, offset, length, stored.pack_sha256 or b"")
    return Where(tenant_id, stored.pack_id, place)


def require(tenant_id: str, versions: Iterable[StoredVersion], thawed: Thawed | None) -> None:
    """Cold naming all contents of these versions that are not at hand, so that they are fetched together."""
    wanted = {where(tenant_id, one) for one in versions if one.header is not None} - {None, *(thawed or ())}
    if wanted:
        raise Cold(one for one in wanted if one is not None)


def warm(tenant_id: str, stored: StoredVersion, thawed: Thawed | None) -> StoredVersion:
    """A version with its content, wherever that lies. Cold when it is in a pack and not at hand."""
    found = where(tenant_id, stored)
    if found is None:
        return stored
    parts = (thawed or {}).get(found)
    if parts is None:
        raise Cold((found,))
    if not stored.segments:
        return stored._replace(content=_part(parts, None))
    kept = segments.decode(stored.content or b"")
    whole = [one and one._replace(content=_part(parts, place)) for place, one in enumerate(kept)]
    return stored._replace(content=segments.encode(whole))


def _part(parts: Mapping[str, bytes], place: int | None) -> bytes:
    name = part(place)
    if name not in parts:
        raise Tampered("A pack has not the part of a version that it was given; nothing was returned.")
    return parts[name]


class Thaw:
    """Fetches contents out of packs, in threads of its own."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="tenure-thaw")

    async def fetch(self, wanted: Iterable[Where]) -> Thawed:
        """Side by side, one request each.

        Raises Unavailable when the object store cannot be used now, NotYet once an archive was asked, and
        Tampered when a pack is not there or what it gives is not what was packed.
        """
        loop, all_ = asyncio.get_running_loop(), list(wanted)
        asked = (loop.run_in_executor(self._threads, self.read, one) for one in all_)
        found = await asyncio.gather(*asked, return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return dict(zip(all_, found, strict=True))  # type: ignore[arg-type]  # no exception is among them

    def fetch_now(self, wanted: Sequence[Where]) -> Thawed:
        """The same for whoever is in a thread already, and in no transaction."""
        return dict(zip(wanted, self._threads.map(self.read, wanted), strict=True))

    def read(self, one: Where) -> Mapping[str, bytes]:
        """One content's sealed parts. One request; blocking.

        NotYet when its pack lies in an archive: it was asked for, with a request more.
        """
        front = Front(one.tenant, one.pack, _ANY_CLASS)
        try:
            return read_member(self._objects, front, one.place).parts
        except Archived:
            self._objects.restore(name_of(front))
            raise NotYet(
                "What was asked for lies in an archive, which was asked to give it out: that takes hours. "
                "Nothing was returned.",
                retry_after=RETRY_S,
                remedy="Ask again later; it can be read for some days then.",
            ) from None

    def close(self) -> None:
        """Begin no further request."""
        self._threads.shutdown(wait=False, cancel_futures=True)
