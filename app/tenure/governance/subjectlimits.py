"""What a person's right forbids at once: a restriction (GDPR Art. 18), an objection to a purpose (Art. 21).

    restriction   nobody is given anything about the person, for whatever purpose; it is kept, and new
                  versions may be written (Art. 18(2) allows storage); retention, tiers and erasure go on
    objection     the same for accesses for one purpose, and for the purposes below it

Each is a row that is set once and lifted once, for the rights request that asked; several may hold at a time,
and what one request set another does not lift unless it is told to. Setting and lifting are entries of kind
`subject.limit`, which seal the row and do not say whom it is about. Both raise the tenant's subject epoch:
every transaction that begins after the commit, on every replica, knows (`restraints`).

Whoever calls this has decided that it may be done: in a seat, or at a desk for the service itself. Doing it
again for the same request changes nothing and is on record once.
"""

from collections.abc import Iterable
from typing import Any

from tenure import ids, rowseals
from tenure.crew import Desk
from tenure.errors import Invalid
from tenure.governance.service import Seat
from tenure.ledger.entry import EntryDraft, Kind
from tenure.model.names import SERVICE_PURPOSE
from tenure.sealing import erased
from tenure.store import subjectlimits as store
from tenure.store import subjects, tenants
from tenure.store.session import Tx
from tenure.store.subjectlimits import OBJECTION, RESTRICTION, SubjectLimit
from tenure.store.subjects import StoredSubject

SET, LIFTED = "set", "lifted"


def restrict(where: Seat | Desk, person: StoredSubject, request_id: str) -> SubjectLimit:
    """Restrict the processing of a person's data from the commit on. Raises Erased.

    Four round trips; one for a request that did so before.
    """
    return _set(where, person, RESTRICTION, [""], request_id)[0]


def lift_restriction(
    where: Seat | Desk, person: StoredSubject, request_id: str, *, of: str | None = None
) -> list[SubjectLimit]:
    """Lift, for a request, what request `of` restricted (None: all of it): what was lifted."""
    return _lift(where, person, RESTRICTION, None, request_id, of)


def object_to(
    where: Seat | Desk, person: StoredSubject, purposes: Iterable[str], request_id: str
) -> list[SubjectLimit]:
    """Keep a person's data from these purposes, and those below them. Raises Erased, Invalid (a purpose)."""
    wanted = list(dict.fromkeys(purposes))
    declared = _desk(where).tenancy.policy.configuration.purposes
    for place, purpose in enumerate(wanted):
        if purpose not in declared:
            raise Invalid(
                "The purpose is not declared; nothing was done.",
                field=f"purposes[{place}]",
                rule="a purpose of the tenant's Vocabulary manifest",
                remedy="Name declared purposes; an objection to one holds for those below it, too.",
            )
    if not wanted:
        raise Invalid(
            "No purpose is named that is objected to; nothing was done.",
            field="purposes",
            rule="at least one purpose",
            remedy="Name the purposes, or restrict the processing for all of them.",
        )
    return _set(where, person, OBJECTION, wanted, request_id)


def lift_objection(
    where: Seat | Desk,
    person: StoredSubject,
    request_id: str,
    *,
    purposes: Iterable[str] | None = None,
    of: str | None = None,
) -> list[SubjectLimit]:
    """Lift, for a request, objections to these purposes (None: to all) that request `of` made (None: any)."""
    return _lift(where, person, OBJECTION, None if purposes is None else set(purposes), request_id, of)


def of(tx: Tx, subject_id: str) -> list[SubjectLimit]:
    """What is in force for a person, oldest first. One round trip."""
    return store.of(tx, subject_id)


def shown(found: Iterable[SubjectLimit]) -> dict[str, Any]:
    """`{"restricted_since","objections":[{"purpose","since"}]}`: since the oldest that is in force."""
    since: dict[tuple[str, str], int] = {}
    for one in found:
        since.setdefault((one.kind, one.purpose), one.set_at)
    restricted = since.get((RESTRICTION, ""))
    return {
        "restricted_since": None if restricted is None else ids.rfc3339(restricted),
        "objections": [
            {"purpose": purpose, "since": ids.rfc3339(at)}
            for (kind, purpose), at in sorted(since.items())
            if kind == OBJECTION
        ],
    }


# ── doing ──────────────────────────────────────────────────────────────────────────────────────────
def _set(
    where: Seat | Desk, person: StoredSubject, kind: str, purposes: list[str], request_id: str
) -> list[SubjectLimit]:
    desk = _desk(where)
    tx = desk.tx
    subjects.lock(tx, person.id)  # who does the same meanwhile waits, and finds it done
    if person.state != "active":
        raise erased(tx, person.shred_id)
    mine = {one.purpose: one for one in of(tx, person.id) if (one.kind, one.request_id) == (kind, request_id)}
    new = [purpose for purpose in purposes if purpose not in mine]
    epoch = tenants.raise_subjects(tx) if new else 0
    for purpose in new:
        made = SubjectLimit(
            id=ids.new_id(),
            subject_id=person.id,
            kind=kind,
            purpose=purpose,
            request_id=request_id,
            set_by=_principal(where),
            set_at=desk.now,
            epoch=epoch,
            entry="",
        )
        mine[purpose] = made._replace(entry=_record(where, SET, made, request_id))
        store.create(tx, mine[purpose])
    return [mine[purpose] for purpose in purposes]


def _lift(
    where: Seat | Desk,
    person: StoredSubject,
    kind: str,
    purposes: set[str] | None,
    request_id: str,
    set_by: str | None,
) -> list[SubjectLimit]:
    desk = _desk(where)
    tx = desk.tx
    subjects.lock(tx, person.id)
    found = [
        one
        for one in of(tx, person.id)
        if one.kind == kind
        and (purposes is None or one.purpose in purposes)
        and set_by in (None, one.request_id)
    ]
    epoch = tenants.raise_subjects(tx) if found else 0
    lifted = []
    for one in found:
        over = one._replace(epoch=epoch, lifted_by=_principal(where), lifted_at=desk.now)
        over = over._replace(lifted_entry=_record(where, LIFTED, over, request_id))
        store.lift(tx, over)
        lifted.append(over)
    return lifted


def _record(where: Seat | Desk, outcome: str, limit: SubjectLimit, request_id: str) -> str:
    """One step, on record. The request is the one that does it now."""
    desk = _desk(where)
    data: dict[str, Any] = {"limit": limit.id, "what": limit.kind, "request": request_id}
    if limit.purpose:
        data["purpose"] = limit.purpose
    data["row"] = rowseals.of_subject_limit(desk.tenancy.keys, limit)
    return record(where, Kind.SUBJECT_LIMIT, outcome, data)


def record(where: Seat | Desk, kind: Kind, outcome: str, data: dict[str, Any], **more: Any) -> str:  # noqa: ANN401 - members of a draft
    """An entry of whoever sits there, or of the service itself. Its id."""
    desk = _desk(where)
    if isinstance(where, Seat):
        data = dict(where.principal.marked(data))
        more |= {
            "principal": where.principal.id,
            "on_behalf_of": where.principal.acts_for,
            "rules": where.rules,
        }
    draft = EntryDraft(
        kind=kind,
        at=desk.now,
        policy=desk.tenancy.policy.digest,
        purpose=SERVICE_PURPOSE,
        outcome=outcome,
        data=data,
        **more,
    )
    return desk.tx.append(draft)


def _desk(where: Seat | Desk) -> Desk:
    return where.desk if isinstance(where, Seat) else where


def _principal(where: Seat | Desk) -> str | None:
    return where.principal.id if isinstance(where, Seat) else None
