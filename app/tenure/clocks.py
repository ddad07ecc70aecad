"""What lifetimes are counted from: last accesses to records, which are kept here, and events of people.

An access is kept when content is handed out, where a rule counts from it, and once a day at most: an update
of the record's row with the commit of that very access. So what is kept may be a day behind, and a day is
added to it whenever it is asked for. The entry of the access is kept beside it.

All accesses are kept since the rules that count from them were last applied, the database was upgraded to
keep them, or it was put back. An older one, or none, says only that there was none since then.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tenure.crew import Desk
from tenure.keys.seal import header_leaves
from tenure.ledger.entry import Access, Action
from tenure.model.lifetime import HOUR_US, Clocks, together
from tenure.model.rulebook import Rulebook
from tenure.store import events, records, subjects
from tenure.store.events import Event
from tenure.store.records import Place, StoredVersion
from tenure.store.session import Tx

DAY_US: Final = 24 * HOUR_US
_AT_ONCE = 500


# ── keeping ────────────────────────────────────────────────────────────────────────────────────────
def accessed(desk: Desk, stored: StoredVersion, accesses: Iterable[Access], entry: str) -> None:
    """A version was handed out by these accesses, which this entry says. No round trip."""
    if stored.accessed_at is not None and stored.accessed_at > desk.now - DAY_US:
        return
    ruling = desk.tenancy.policy.rulebook.of(stored.scope, stored.labels)
    if ruling.keeps_access and any(one.action is Action.RETURNED for one in accesses):
        row = {"id": stored.record_id, "accessed_at": desk.now, "accessed_entry": entry}
        desk.tx.put(records.KEEP_ACCESS, row)


# ── asking ─────────────────────────────────────────────────────────────────────────────────────────
def clocks_of(tx: Tx, rulebook: Rulebook, versions: Sequence[StoredVersion]) -> dict[Place, Clocks]:
    """(record id, number) → its clocks, for each of these versions of the transaction's tenant.

    `rulebook`: `tenancy.policy.rulebook`, or that of a configuration that is only being thought of. Of a
    version the row is enough, its sealed parts but for the header may be missing. No statement if no rule for
    any of them begins with an event; else two for each 500 people whom they are about.
    """
    waiting = [one for one in versions if rulebook.of(one.scope, one.labels).events]
    happened = _happened(tx, waiting) if waiting else (lambda _: {})
    return {
        one.place: Clocks(
            written=one.created_at,
            accessed=_last_access(rulebook, one),
            events=happened(one),
            expires_at=one.expires_at,
        )
        for one in versions
    }


def _last_access(rulebook: Rulebook, stored: StoredVersion) -> int | None:
    """No earlier than it was; None when accesses are not kept."""
    since = rulebook.of(stored.scope, stored.labels).access_since
    return None if since is None else max(stored.accessed_at or 0, since) + DAY_US


def _happened(tx: Tx, versions: Sequence[StoredVersion]) -> Callable[[StoredVersion], dict[str, int]]:
    """Of a version, what happened to everybody whom it is about, in its scope.

    Whom it is about is told by the leaves that it is sealed to: links of versions to people go by the person.
    Of who was erased nothing is left to wait for.
    """
    leaves = {one.place: _leaves(one) for one in versions}
    wanted = sorted(set().union(*leaves.values()))
    people = {
        person.leaf: person.id
        for first in range(0, len(wanted), _AT_ONCE)
        for person in subjects.by_leaves(tx, wanted[first : first + _AT_ONCE])
        if person.state != "erased"
    }
    told: dict[tuple[str, str], list[Event]] = {}
    for event in events.of_people(tx, people.values()):
        told.setdefault((event.subject_id, event.scope), []).append(event)

    def of(stored: StoredVersion) -> dict[str, int]:
        about = [people[leaf] for leaf in leaves.get(stored.place, ()) if leaf in people]
        return together(
            {event.name: event.at for event in told.get((person, stored.scope), ())} for person in about
        )

    return of


def _leaves(stored: StoredVersion) -> set[int]:
    """None of a tombstone, and of what was purged."""
    slots = () if stored.header is None else header_leaves(stored.header)
    return {leaf for slot in slots for leaf in slot}
