"""Where contents lie that a caller may read: in which packs, of what a list with the same selector shows.

Nothing is read and nothing is opened but heads. What policy does not let the caller list and read is never
looked at, and its absence is counted, as in lists.
"""

import secrets
from typing import Final, NamedTuple

from tenure.access import Caller
from tenure.errors import Denied, Erased
from tenure.ledger.entry import Access, Action, Kind
from tenure.listing import MAX_SCANNED, Query, check_categories, cursor_after, read_cursor, split, subject_of
from tenure.sealing import open_head, unseal
from tenure.store import records
from tenure.store.records import Filter, StoredVersion
from tenure.withholding import kept_back

MAX_LOCATED: Final = MAX_SCANNED
"""Versions that are looked at for one request; a cursor leads on."""


class Located(NamedTuple):
    """Of a page of versions: how many, and the packs that have contents of theirs, in order.

    `withheld` counts what the selector matches but the caller may not read, as in lists.
    """

    versions: int
    packs: list[str]
    next: str | None
    withheld: int
    entry: str


def locate(caller: Caller, scope: str, wanted: Query, **data: str) -> Located | Denied:
    """One page. About six statements whatever the size of the scope; one entry, with `data`.

    `wanted` is about contents (`include_content`); its limit is not looked at.
    """
    desk = caller.desk
    caller.check_scope(scope)
    nonce = secrets.token_bytes(16)
    if not (caller.sees_any("list", scope) and caller.sees_any("read", scope)):
        action = "read" if caller.sees_any("list", scope) else "list"
        everything = tuple(desk.tenancy.policy.configuration.scopes[scope].categories)
        return caller.refuse(Kind.ACCESS, caller.decide(action, scope, everything), nonce=nonce)
    check_categories(desk, wanted.categories)
    after, withheld = read_cursor(desk, scope, wanted)
    subject_id = subject_of(desk, wanted.subject)
    if wanted.subject is not None and subject_id is None:
        return Located(0, [], None, 0, caller.record(Kind.ACCESS, "ok", nonce=nonce, data=data))
    indexes = tuple(desk.tenancy.keys.blind_index("record", scope, key) for key in wanted.keys)
    filters = Filter(
        scope, subject_id, wanted.since, wanted.until, wanted.as_of, key_indexes=tuple(sorted(indexes))
    )
    shown, hidden = split(caller, scope, wanted)
    if withheld is None:
        withheld = records.count(desk.tx, filters, hidden, now=desk.now)
    rows: list[StoredVersion] = []
    if shown:
        rows = records.page(
            desk.tx, filters, shown, now=desk.now, after=after, limit=MAX_LOCATED + 1, bare=True
        )
    more = len(rows) > MAX_LOCATED
    matching = [stored for stored in rows[:MAX_LOCATED] if _is_wanted(caller, stored, wanted.prefix)]
    found = [stored for stored in matching if kept_back(caller, stored) is None]
    withheld += len(matching) - len(found)
    listed = (Access(one.record_id, one.version, Action.LISTED) for one in found)
    entry = caller.record(Kind.ACCESS, "ok", *listed, nonce=nonce, data=data)
    packs = sorted({one.pack_id for one in found if one.pack_id is not None})
    last = rows[MAX_LOCATED - 1].record_id if more else None
    following = cursor_after(desk, scope, wanted, last, withheld) if last else None
    return Located(len(found), packs, following, withheld, entry)


def _is_wanted(caller: Caller, stored: StoredVersion, prefix: str | None) -> bool:
    """Whether it is there and its key begins so; a person who is being erased is gone."""
    desk = caller.desk
    try:
        opened = unseal(desk.tx, desk.tenancy.keys, stored)
    except Erased:
        return False
    return prefix is None or open_head(desk.tenancy.keys, opened, stored).key.startswith(prefix)
