"""Populations: "all entries of this kind", page by page, each with the proof that its range is whole."""

import re
from typing import NamedTuple

from tenure.errors import Invalid, Malformed, NotYet
from tenure.governance.ledger import LedgerReader
from tenure.ledger.entry import parse_entry
from tenure.ledger.population import Place, build_page
from tenure.ledger.selection import Selection
from tenure.ledger.tree import subtree_reader
from tenure.model.principal import Credential
from tenure.store import log
from tenure.store.log import Log
from tenure.store.session import Tx

PAGE = 512
"""Entries in a page. Pages end at its multiples, so that whoever asks again gets the same ones."""
MAX_LISTS = 4 << 20
"""Bytes of separate access lists in a page; one list that is longer has a page of its own."""

_PLACE = re.compile(r"([0-9]{1,9})\.([0-9]{1,15})\.([0-9]{1,15})")


class Wanted(NamedTuple):
    """A filter over the entries first … end - 1; None is the log's own begin or end."""

    selection: Selection
    first: int | None = None
    end: int | None = None


class Populations:
    """For auditors and administrators. The ledger has no content: reading it makes no entry."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader

    async def page(self, credential: Credential, wanted: Wanted, *, cursor: str | None) -> bytes:
        """One page as `ledger.population` has it; its `next` is the cursor of the following one.

        The first page settles the tree head for all of them. Reads at most `PAGE` entries: round trips for
        the head, the checkpoint, the entries, their separate lists (2, only for a filter on `action`), and at
        most four tiles for each level of the tree.
        """

        def work(tx: Tx, current: Log) -> bytes:
            size, at = _parse(cursor, current) if cursor is not None else (None, None)
            note = log.checkpoint(tx, current.generation, size=size, newest_upto=current.published)
            if note is None:
                raise _bad_cursor() if cursor else NotYet("This log has no published checkpoint yet.")
            size = int(note.splitlines()[1])
            place = _place(wanted, size, at)
            entries = log.bodies(tx, current.generation, place.first, place.end - place.first)
            lists: dict[str, bytes] = {}
            if wanted.selection.action is not None:
                entries, lists = _with_lists(tx, entries)
                place = place._replace(end=place.first + len(entries))
            following = None
            if place.end < place.range_end:
                following = f"{current.generation}.{size}.{place.end}"
            read = subtree_reader(lambda level, n: log.tile(tx, current.generation, level, n) or b"")
            return build_page(place, wanted.selection, note, entries, lists, read, following)

        return await self._reader.read(credential, work)


def _place(wanted: Wanted, size: int, at: int | None) -> Place:
    first = 0 if wanted.first is None else wanted.first
    end = size if wanted.end is None else wanted.end
    if not 0 <= first < end <= size:
        raise Invalid(
            f"The range is empty or not in the published log, which has {size} entries; nothing was read.",
            field="first" if end <= size else "end",
            rule="first < end ≤ the published size",
            remedy="Leave first and end out for the whole log.",
        )
    start = first if at is None else at
    if not first <= start < end:
        raise _bad_cursor()
    return Place(start, min(end, (start // PAGE + 1) * PAGE), first, end)


def _with_lists(tx: Tx, entries: list[bytes]) -> tuple[list[bytes], dict[str, bytes]]:
    """As many of the entries as fit into a page with their separate lists, and these lists."""
    named = [parse_entry(raw).get("accesses_sha256") for raw in entries]
    digests = [digest for digest in named if digest is not None]
    if not digests:
        return entries, {}
    sizes = log.access_list_sizes(tx, digests)
    room, taken = MAX_LISTS, 0
    for digest in named:
        room -= sizes.get(digest, 0) if digest is not None else 0
        if room < 0 and taken:
            break
        taken += 1
    kept = [digest for digest in named[:taken] if digest is not None]
    return entries[:taken], log.access_lists_of(tx, kept)


def _parse(cursor: str, current: Log) -> tuple[int, int]:
    """(size of the head, first entry of the page)."""
    match = _PLACE.fullmatch(cursor)
    if match is None:
        raise _bad_cursor()
    generation, size, at = map(int, match.groups())
    if generation != current.generation or size > current.published:
        raise _bad_cursor()
    return size, at


def _bad_cursor() -> Malformed:
    return Malformed(
        "The cursor is not one that this call gave out for this range and this log; nothing was read.",
        field="cursor",
        rule="the `next` of the previous page, with the same first and end",
        remedy="Start again without a cursor.",
    )
