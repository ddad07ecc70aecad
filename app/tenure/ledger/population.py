"""Populations: all entries of an index range that a filter takes, with the proof that none is left out.

A population is one or more pages, one canonical JSON document each, one a line (`docs/spec/ledger.md`). Every
page has each raw entry of its part of the range and the proof that these are all the leaves there of one
signed tree; pages chain without gaps. Whoever checks it runs the filter again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tenure.errors import Unverified
from tenure.ledger import schema
from tenure.ledger.base64 import from_base64, to_base64
from tenure.ledger.canonical import canonical, parse_canonical
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint
from tenure.ledger.entry import parse_access_list, parse_entry
from tenure.ledger.merkle import HASH_SIZE, SubtreeReader, leaf_hash
from tenure.ledger.note import Verifier
from tenure.ledger.ranges import range_proof, root_of_range
from tenure.ledger.report import Failure, Report
from tenure.ledger.selection import Selection
from tenure.ledger.writers import WriterCounters

KIND = "population"
ALL = Selection()
VERSION = 1
_MEMBERS = frozenset(
    {
        *("v", "kind", "checkpoint", "filter", "range", "first", "end"),
        *("entries", "lists", "left", "right", "matches", "next"),
    }
)
_MAX_PROOF = 64


class Place(NamedTuple):
    """Which part of which range: first and end of the page, then of the range; ends are not included."""

    first: int
    end: int
    range_first: int
    range_end: int


class Page(NamedTuple):
    """A page as read, its base64 decoded; nothing of it is verified."""

    place: Place
    selection: Selection
    checkpoint: str
    entries: tuple[bytes, ...]
    lists: dict[str, bytes]
    left: tuple[bytes, ...]
    right: tuple[bytes, ...]
    matches: tuple[int, ...]
    following: str | None


class Found(NamedTuple):
    """One entry of a population, at its index."""

    place: int
    """Its index in the log."""
    entry: dict[str, Any]


def build_page(
    place: Place,
    selection: Selection,
    checkpoint: str,
    entries: Sequence[bytes],
    lists: Mapping[str, bytes],
    read: SubtreeReader,
    following: str | None,
) -> bytes:
    """One page, encoded.

    `entries` are the raw ones of the place; `lists` their separate access lists by digest, needed for a
    filter on `action`; `following` is where the next page is asked for.

    Raises `Unverified` when an entry or a list is not as it must be, `Invalid` for a place outside the tree.
    """
    size = int(checkpoint.split("\n", 2)[1])
    left, right = range_proof(place.first, place.end, size, read)
    matches = [
        index
        for index, raw in enumerate(entries, place.first)
        if selection.takes(entry := parse_entry(raw), _accesses(entry, lists, selection))
    ]
    return canonical(
        {
            "v": VERSION,
            "kind": KIND,
            "checkpoint": checkpoint,
            "filter": selection.members(),
            "range": {"first": place.range_first, "end": place.range_end},
            "first": place.first,
            "end": place.end,
            "entries": [to_base64(raw) for raw in entries],
            "lists": {digest: to_base64(raw) for digest, raw in lists.items()},
            "left": [to_base64(digest) for digest in left],
            "right": [to_base64(digest) for digest in right],
            "matches": matches,
            "next": following,
        }
    )


def parse_page(raw: bytes) -> Page:
    """Read a page. Raises `Unverified` ("population-format") for what is not exactly of the form."""
    try:
        value = parse_canonical(raw)
        if type(value) is not dict or value.keys() != _MEMBERS:
            raise _no_page()
        page = Page(
            place=_place(value),
            selection=_selection(value["filter"]),
            checkpoint=_text(value["checkpoint"]),
            entries=tuple(map(from_base64, _list(value["entries"]))),
            lists={name: from_base64(part) for name, part in _dict(value["lists"]).items()},
            left=tuple(map(from_base64, _list(value["left"]))),
            right=tuple(map(from_base64, _list(value["right"]))),
            matches=tuple(map(_count, _list(value["matches"]))),
            following=None if value["next"] is None else _text(value["next"]),
        )
    except (ValueError, TypeError):
        raise _no_page() from None
    proof = (*page.left, *page.right)
    if (
        value["v"] != VERSION
        or value["kind"] != KIND
        or len(page.left) > _MAX_PROOF
        or len(page.right) > _MAX_PROOF
        or any(len(digest) != HASH_SIZE for digest in proof)
        or any(b <= a for a, b in zip(page.matches, page.matches[1:], strict=False))
    ):
        raise _no_page()
    return page


def is_population(text: str) -> bool:
    """Whether a file claims to be one: by a member that nothing else has so early."""
    return text.startswith('{"checkpoint":"')


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationReport(Report):
    """What checking a population showed. `found` is only to be relied on when `ok`."""

    checkpoint: Checkpoint | None = None
    selection: Selection = ALL
    first: int = 0
    end: int = 0
    """The range that was scanned whole: first … end - 1."""
    found: tuple[Found, ...] = ()
    witnesses: tuple[str, ...] = ()


@dataclass(slots=True)
class PopulationCheck:
    """Checks pages one after the other, in bounded memory but for what was found.

    `asked` and `range_asked` are what the checker wanted to know, where it knows that apart from the pages.
    """

    verifiers: Sequence[Verifier]
    asked: Selection | None = None
    range_asked: tuple[int | None, int | None] = (None, None)
    failures: list[Failure] = field(default_factory=list)
    head: Checkpoint | None = None
    next_first: int | None = None
    _first_page: Page | None = None
    _signers: tuple[str, ...] = ()
    _witnesses: tuple[str, ...] = ()
    _found: list[Found] = field(default_factory=list)
    _writers: WriterCounters = field(default_factory=WriterCounters)
    _newest: str = ""

    def see(self, raw: bytes) -> bool:
        """Check the next page; False as soon as anything failed. Never raises for bad input.

        1 it is a page; 2 a trusted key signed its head, and it is the other pages' head; 3 filter and range
        are the other pages', and it begins where the last one ended; 4 its entries are all the leaves there;
        5 each is an entry; 6 the filter takes exactly those that it names.
        """
        try:
            page = parse_page(raw)
            head = self._opened(page)
            self._compare(page, head)
            self._rebuild(page, head)
            self._run_again(page)
        except Unverified as failure:
            self.failures.append(Failure.of(failure))
        else:
            self.next_first = page.place.end
        return not self.failures

    def finish(self) -> PopulationReport:
        """The verdict over all pages seen."""
        page = self._first_page
        if page is None and not self.failures:
            self.failures.append(Failure("population-format", "There is no page, so nothing is shown."))
        end = self.next_first or 0
        if page is not None and not self.failures and end != page.place.range_end:
            self.failures.append(
                Failure(
                    "population-range",
                    f"The range goes to entry {page.place.range_end - 1}; its pages end before {end}.",
                )
            )
        return PopulationReport(
            failures=tuple(self.failures),
            not_checked=tuple(self._left_open()),
            signers=self._signers,
            checkpoint=self.head,
            selection=page.selection if page else ALL,
            first=page.place.range_first if page else 0,
            end=end,
            found=tuple(self._found),
            witnesses=self._witnesses,
        )

    def _opened(self, page: Page) -> Checkpoint:
        signed = open_checkpoint(page.checkpoint, self.verifiers)
        if self.head is None:
            self.head = signed.checkpoint
            self._signers = tuple(line.name for line in signed.signatures)
            self._witnesses = tuple(line.name for line in signed.cosignatures)
        if signed.checkpoint != self.head:
            raise Unverified("population-head", "A page is under another tree head than the first page.")
        return signed.checkpoint

    def _compare(self, page: Page, head: Checkpoint) -> None:
        first = self._first_page or page
        self._first_page = first
        place = page.place
        wanted = self.asked if self.asked is not None else first.selection
        if page.selection != wanted:
            raise Unverified("population-filter", "A page is for another filter than was asked for.")
        range_first, range_end = self.range_asked
        due = first.place.range_first if self.next_first is None else self.next_first
        fits = (
            place[2:] == first.place[2:]
            and place.range_first == (place.range_first if range_first is None else range_first)
            and place.range_end == (place.range_end if range_end is None else range_end)
            and place.first == due
            and place.first < place.end <= place.range_end <= head.size
            and len(page.entries) == place.end - place.first
            and (page.following is None) == (place.end == place.range_end)
        )
        if not fits:
            raise Unverified(
                "population-range",
                f"The page of entries {place.first} to {place.end - 1} does not go on where the range is at"
                f" ({due}), or not with as many entries as it says.",
            )

    @staticmethod
    def _rebuild(page: Page, head: Checkpoint) -> None:
        leaves = [leaf_hash(raw) for raw in page.entries]
        if root_of_range(page.place.first, leaves, head.size, page.left, page.right) != head.root:
            raise Unverified(
                "population-entries",
                f"The entries are not those from {page.place.first} to {page.place.end - 1} of the signed"
                " tree: one was changed, dropped, added or moved.",
            )

    def _run_again(self, page: Page) -> None:
        named = set(page.matches)
        taken: set[int] = set()
        for index, raw in enumerate(page.entries, page.place.first):
            entry = parse_entry(raw)
            self._newest = max(self._newest, entry["at"])
            # A range that begins later begins in the midst of its writers' numbers.
            gap = None
            if page.place.range_first == 0:
                gap = self._writers.see(index, entry["kind"], entry["writer"], entry["n"])
            if gap is not None:
                self.failures.append(gap)
            if page.selection.takes(entry, _accesses(entry, page.lists, page.selection)):
                taken.add(index)
                self._found.append(Found(index, entry))
        for check, indexes, what in (
            ("population-missed", taken - named, "belongs to the population and is not named in it"),
            ("population-added", named - taken, "is named in the population and does not belong to it"),
        ):
            if indexes:
                raise Unverified(check, f"Entry {min(indexes)} {what}; {len(indexes)} such in this page.")

    def _left_open(self) -> Iterable[str]:
        page, head = self._first_page, self.head
        if page is None or head is None:
            yield "Everything else."
            return
        place, selection = page.place, page.selection
        if place.range_first:
            yield f"Entries 0 to {place.range_first - 1}: the range begins behind them."
        if place.range_end < head.size:
            yield f"Entries {place.range_end} to {head.size - 1}: the range ends before them."
        if (selection.since or selection.until) and place.range_end - place.range_first < head.size:
            yield (
                "Entries of the time asked for that stand outside the range: entries are in the order in"
                " which they were placed, not strictly in that of their times."
            )
        if selection.until is None or self._newest < selection.until:
            until = f"; the newest entry here is of {self._newest}" if self._newest else ""
            yield f"What came into the log behind the {head.size} entries of this head{until}."
        else:
            yield (
                f"What was done before {selection.until} and came into the log behind the {head.size} entries"
                " of this head."
            )
        yield "Whether the service's clock was right: times are those that entries give."
        if place.range_first:
            yield "Writers' counters: the range begins in the midst of them."
        elif self._writers.unfinished:
            yield f"Whether {self._writers.unfinished} writers without an end wrote more than is here."
        if not self._witnesses:
            yield "Whether others are shown the same log: no witness's signature was checked."


def verify_population(text: bytes, verifiers: Sequence[Verifier]) -> PopulationReport:
    """Check a population file: a page a line. Never raises for bad input."""
    check = PopulationCheck(verifiers)
    for line in text.removesuffix(b"\n").split(b"\n"):
        if not check.see(line):
            break
    return check.finish()


def _accesses(
    entry: Mapping[str, Any], lists: Mapping[str, bytes], selection: Selection
) -> Sequence[dict[str, Any]]:
    """An entry's accesses where the filter needs them. Raises `Unverified` ("access-list")."""
    if selection.action is None or "accesses_sha256" not in entry:
        return list(entry.get("accesses", ()))
    return parse_access_list(lists.get(entry["accesses_sha256"], b""), entry)


def _place(value: Mapping[str, Any]) -> Place:
    whole = _dict(value["range"])
    if whole.keys() != {"first", "end"}:
        raise _no_page()
    return Place(_count(value["first"]), _count(value["end"]), _count(whole["first"]), _count(whole["end"]))


def _selection(value: object) -> Selection:
    found = Selection.parse(value)
    if found is None:
        raise _no_page()
    return found


def _count(value: object) -> int:
    if not schema.is_count(value):
        raise _no_page()
    return int(value)  # type: ignore[call-overload, no-any-return]  # is_count saw to it


def _text(value: object) -> str:
    if type(value) is not str:
        raise _no_page()
    return value


def _list(value: object) -> list[Any]:
    if type(value) is not list:
        raise _no_page()
    return value


def _dict(value: object) -> dict[str, Any]:
    if type(value) is not dict:
        raise _no_page()
    return value


def _no_page() -> Unverified:
    return Unverified("population-format", "The file, or a line of it, is not a page of a population.")
