"""Lists: what is not allowed is never fetched, and its absence is counted.

Policy is asked once per set of labels that occurs in the scope (a handful), and SQL is restricted to the
allowed sets. What is kept back for somebody whom it is about (`withholding`) is told by its header, so it is
fetched, and counted as it is met: the sum is whole with the last page. Record keys are sealed, so a key
prefix is matched after opening heads, a bounded number per request.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tenure import clocks, filing
from tenure.access import Ask, Caller
from tenure.crew import Desk
from tenure.errors import Denied, Erased, Invalid, Malformed
from tenure.ledger.entry import Access, Action, Kind
from tenure.model.record import Version
from tenure.release import as_version, release
from tenure.sealing import labels_of, open_head, open_segments, unseal
from tenure.store import records, subjects
from tenure.store.records import Filter, StoredVersion
from tenure.thawing import Cold, Where
from tenure.withholding import kept_back, segments_back

MAX_SCANNED = 1000
_AT_LEAST = 50
"""Rows fetched at a time where some may be kept back."""


@dataclass(frozen=True, slots=True)
class Query:
    """A list request. Instants in microseconds; `cursor` as the last page gave it."""

    subject: str | None = None
    prefix: str | None = None
    path: tuple[str, ...] = ()
    """Only what is filed here, at any depth."""
    categories: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    as_of: int | None = None
    keys: tuple[str, ...] = ()
    """Records by name; no others. Not of lists."""
    include_content: bool = False
    limit: int = 50
    cursor: str | None = None


class Page(NamedTuple):
    """A page of opened versions. `withheld` counts what the filters match but policy does not show.

    And, of this page and those before it, what is kept back for somebody whom it is about. `entry` is the
    access itself; each item has the entry of its own writing.
    """

    items: list[Version]
    next: str | None
    withheld: int
    entry: str


class Line(NamedTuple):
    """One version in a record's history."""

    version: int
    version_id: str
    state: str
    created_at: int
    categories: tuple[str, ...]
    entry: str
    restricted_since: int | None = None
    stale_since: int | None = None


class _Opened(NamedTuple):
    """A version that is shown, as it is shown, and the accesses that this is."""

    stored: StoredVersion
    item: Version
    accesses: Sequence[Access]


class _Found(NamedTuple):
    """A page: what is shown, the record to go on after (None at the end), and how many were kept back."""

    shown: list[_Opened]
    last: str | None
    back: int


class History(NamedTuple):
    """Versions of one record, newest first. `entry` is the access itself."""

    items: list[Line]
    next: int | None
    withheld: int
    entry: str


def query(desk: Desk, ask: Ask, scope: str, wanted: Query) -> Page | Denied:
    """One page. About six statements whatever the size of the scope; one entry."""
    caller = Caller.at(desk, ask)
    caller.check_scope(scope)
    nonce = secrets.token_bytes(16)
    if not caller.sees_any("list", scope):
        spec = desk.tenancy.policy.configuration.scopes[scope]
        return caller.refuse(Kind.ACCESS, caller.decide("list", scope, tuple(spec.categories)), nonce=nonce)
    check_categories(desk, wanted.categories)
    subject_id = subject_of(desk, wanted.subject)
    if wanted.subject is not None and subject_id is None:
        return Page([], None, 0, caller.record(Kind.ACCESS, "ok", nonce=nonce))
    filters = Filter(scope, subject_id, wanted.since, wanted.until, wanted.as_of)
    if wanted.path:
        filters = filters._replace(path_index=filing.index_of(desk.tenancy.keys, scope, wanted.path))
    shown, hidden = split(caller, scope, wanted)
    after, withheld = read_cursor(desk, scope, wanted)
    if withheld is None:
        withheld = records.count(desk.tx, filters, hidden, now=desk.now)
    found, last, back = _collect(caller, filters, shown, wanted, after, nonce)
    withheld += back
    items = [one.item for one in found]
    entry = caller.record(
        Kind.ACCESS, "ok", *(access for one in found for access in one.accesses), nonce=nonce
    )
    if wanted.include_content:
        for one in found:
            clocks.accessed(desk, one.stored, one.accesses, entry)
    return Page(items, cursor_after(desk, scope, wanted, last, withheld) if last else None, withheld, entry)


def history(
    desk: Desk, ask: Ask, scope: str, key: str, *, before: int | None, limit: int
) -> History | Denied:
    """A record's versions without content, each shown only if its own labels may be read.

    Three statements of its own. What is withheld is counted for the stretch of versions that a page covers.
    """
    caller = Caller.at(desk, ask)
    caller.check_scope(scope)
    nonce = secrets.token_bytes(16)
    visible = caller.visible("read", scope)
    if not visible:
        spec = desk.tenancy.policy.configuration.scopes[scope]
        return caller.refuse(Kind.ACCESS, caller.decide("read", scope, tuple(spec.categories)), nonce=nonce)
    index = desk.tenancy.keys.blind_index("record", scope, key)
    shown = [labels for labels in records.label_sets(desk.tx, scope) if visible.issuperset(labels.split(","))]
    found = records.history(desk.tx, index, shown, before=before, limit=limit + 1)
    following = found[limit - 1].version if len(found) > limit else None
    # What was corrected is shown as that; it is about people like any.
    page = [one for one in found[:limit] if kept_back(caller, one, as_seen=True) is None]
    withheld = records.hidden(desk.tx, index, shown, before=before, after=following)
    withheld += min(len(found), limit) - len(page)
    evidence = [Access(one.record_id, one.version, Action.LISTED) for one in page]
    entry = caller.record(Kind.ACCESS, "ok" if page or withheld else "not-found", *evidence, nonce=nonce)
    items = [
        Line(
            one.version,
            one.version_id,
            one.state,
            one.created_at,
            labels_of(one),
            one.entry,
            one.restricted_since,
            one.stale_since,
        )
        for one in page
    ]
    return History(items, following, withheld, entry)


def split(caller: Caller, scope: str, wanted: Query) -> tuple[list[str], list[str]]:
    """The label sets that may be shown and those that may not, under the category filter."""
    shown: list[str] = []
    hidden: list[str] = []
    for labels in records.label_sets(caller.desk.tx, scope):
        names = tuple(labels.split(","))
        if wanted.categories and not set(names) & set(wanted.categories):
            continue
        (shown if caller.decide("list", scope, names).allowed else hidden).append(labels)
    if wanted.include_content:
        unread = [labels for labels in shown if not _readable(caller, scope, labels)]
        shown = [labels for labels in shown if labels not in unread]
        hidden += unread
    return shown, hidden


def _readable(caller: Caller, scope: str, labels: str) -> bool:
    return caller.decide("read", scope, tuple(labels.split(","))).allowed


def _collect(
    caller: Caller, filters: Filter, shown: list[str], wanted: Query, after: str | None, nonce: bytes
) -> _Found:
    """What was opened. Looks at `MAX_SCANNED` at most: then the page may be short."""
    found: list[_Opened] = []
    cold: set[Where] = set()
    scanned = back = 0
    while shown and len(found) + len(cold) < wanted.limit and scanned < MAX_SCANNED:
        left = wanted.limit - len(found) - len(cold) + 1
        size = 200 if wanted.prefix is not None else max(left, _AT_LEAST) if caller.against else left
        rows = records.page(caller.desk.tx, filters, shown, now=caller.desk.now, after=after, limit=size)
        for stored in rows:
            if len(found) + len(cold) == wanted.limit:
                break
            after, scanned = stored.record_id, scanned + 1
            try:
                opened = _open(caller, stored, wanted, nonce)
            except Cold as missing:
                cold |= missing.wanted  # of all of the page, to be fetched together
                continue
            if isinstance(opened, _Opened):
                found.append(opened)
            back += opened is _BACK
        else:
            if len(rows) < size:
                after = None
                break
    if cold:
        raise Cold(cold)
    return _Found(found, after, back)


class _Back:
    """Stands for what matches and is kept back."""


_BACK = _Back()


def _open(caller: Caller, stored: StoredVersion, wanted: Query, nonce: bytes) -> _Opened | _Back | None:
    """An opened item with its accesses; None when erased meanwhile, or neither prefix nor path match."""
    desk = caller.desk
    try:
        opened = unseal(desk.tx, desk.tenancy.keys, stored)
    except Erased:
        return None
    head = open_head(desk.tenancy.keys, opened, stored)
    if wanted.prefix is not None and not head.key.startswith(wanted.prefix):
        return None
    if wanted.path and not filing.is_under(head.paths, wanted.path):
        return None  # filed elsewhere since: the index keeps where it was
    if kept_back(caller, stored) is not None:
        return _BACK
    if wanted.include_content:
        released = release(caller, stored, opened, head, nonce=nonce)
        return _Opened(stored, as_version(stored, head, released, entry=stored.entry), released.accesses)
    if head.slots:  # whom it is about is sealed in the segments
        back = segments_back(caller, stored)
        opened_ = open_segments(desk.tx, desk.tenancy.keys, stored, head, heads_only=True)
        people = [one for place, one in enumerate(opened_) if place not in back]
        head = head._replace(subjects=tuple(dict.fromkeys(one for each in people for one in each.subjects)))
    listed = Access(stored.record_id, stored.version, Action.LISTED)
    return _Opened(stored, as_version(stored, head, None, entry=stored.entry), (listed,))


def check_categories(desk: Desk, categories: tuple[str, ...]) -> None:
    """Only declared ones are filtered by. Raises Invalid."""
    declared = desk.tenancy.policy.configuration.categories
    for place, category in enumerate(categories):
        if category not in declared:
            raise Invalid(
                "The category is not declared; nothing was read.",
                field=f"categories[{place}]",
                rule="a category of the tenant's Vocabulary manifest",
                remedy="Name a declared category, or leave the filter out.",
            )


def subject_of(desk: Desk, reference: str | None) -> str | None:
    """The id of whom a reference names; None when nobody. One round trip."""
    if reference is None:
        return None
    index = desk.tenancy.keys.blind_index("subject", reference)
    rows = desk.tx.ask((subjects.BY_REF, {"refs": [index]}))[0]
    return rows[0][1] if rows else None


# ── cursors: opaque, bound to their query by a key of the tenant ───────────────────────────────────
def cursor_after(desk: Desk, scope: str, wanted: Query, after: str, withheld: int) -> str:
    """Where the next page goes on: after this record, with the same count of what is withheld."""
    body = json.dumps([after, withheld], separators=(",", ":"))
    return base64.urlsafe_b64encode(f"{_seal(desk, scope, wanted, body)}.{body}".encode()).decode()


def read_cursor(desk: Desk, scope: str, wanted: Query) -> tuple[str | None, int | None]:
    """After which record to go on, and what was counted as withheld; nothing on the first page."""
    if wanted.cursor is None:
        return None, None
    try:
        raw = base64.b64decode(wanted.cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raw = ""
    seal, _, body = raw.partition(".")
    if not secrets.compare_digest(seal.encode(), _seal(desk, scope, wanted, body).encode()):
        raise Malformed(
            "The cursor is not one that this query gave out; nothing was read.",
            field="cursor",
            rule="the `next` of the previous page, with the same query",
            remedy="Start again without a cursor.",
        )
    after, withheld = json.loads(body)
    return after, withheld


def _seal(desk: Desk, scope: str, wanted: Query, body: str) -> str:
    facts: list[Any] = [scope, wanted.subject, wanted.prefix, wanted.categories, wanted.since]
    facts += [wanted.until, wanted.as_of, wanted.include_content, wanted.path, *wanted.keys]
    return desk.tenancy.keys.blind_index("cursor", json.dumps(facts), body)[:32]
