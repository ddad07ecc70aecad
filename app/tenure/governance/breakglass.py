"""Break-glass: a role for emergencies, asked for with a reason, approved by a second person, and reviewed.

    request   any person; the reason is sealed and in no entry
    approve   a person who has one of the role's `approverRoles` of their own, never the requester
    end       the clock; or early the requester, an approver, or who governs break-glass
    review    an approver or who governs break-glass, never the requester

Each step is an entry of kind `breakglass`, and whatever is done under an elevation names it in its entry. An
elevation adds a role and nothing else: denying rules still deny, what is erased or held stays closed.
"""

import json
import re
from typing import Any, Final

from tenure import ids, rowseals
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import Conflict, Invalid
from tenure.governance.approvers import (
    SCOPE,
    approved_roles,
    approves,
    denied,
    governs,
    no_second_person,
    record_under,
    spec_of,
    visible,
)
from tenure.governance.principals import check_unnarrowed
from tenure.governance.service import Once, Seat, Service
from tenure.ids import CELL
from tenure.keys.ggm import leaf_number
from tenure.keys.seal import Binding
from tenure.ledger.entry import Kind
from tenure.model.breakglass import Elevation, State
from tenure.model.identity import check_id
from tenure.model.principal import Credential, PrincipalKind
from tenure.model.specs import BreakGlassSpec
from tenure.sealing import Note, open_note, seal_note
from tenure.store import breakglass as store
from tenure.store import tenants
from tenure.store.tenants import Epoch

MAX_TEXT: Final = 2000
_CODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_REASON, _NOTE = 0, 1
"""The version in what a text is sealed to: which of the two it is."""


class Breakglass:
    """Request, decide, end, review and show elevations."""

    def __init__(self, service: Service, batcher: Batcher) -> None:
        self._service = service
        self._batcher = batcher

    async def request(
        self, credential: Credential, role: str, minutes: int, reason: str, once: Once | None = None
    ) -> dict[str, Any]:
        """Ask for a role: the elevation, `requested`, without its reason. It lapses after 24 hours.

        Raises Denied (recorded) for who is no person, Invalid for a role that is not for emergencies and for
        too many minutes.
        """
        _check_text(reason, "reason")

        def work(seat: Seat) -> Any:  # noqa: ANN401 - an answer or a Denied
            check_unnarrowed(seat)
            if seat.principal.kind is not PrincipalKind.PERSON:
                return denied(seat, "request", None, "Only a person can ask for a role for emergencies.")
            spec = spec_of(seat, role)
            if spec is None:
                raise Invalid(
                    "The role is not one for emergencies; nothing was requested.",
                    field="role",
                    rule="a Role manifest with breakGlass",
                    remedy="Name such a role, or have the administrator declare one.",
                )
            _check_minutes(minutes, spec)
            desk = seat.desk
            elevation_id, leaf = ids.new_id(), leaf_number(*tenants.take_leaves(desk.tx, 1))
            sealed = seal_note(desk.tenancy.keys, _binding(seat, elevation_id, _REASON), leaf, reason)
            new = Elevation(
                id=elevation_id,
                principal_id=seat.principal.id,
                role=role,
                minutes=minutes,
                state=State.REQUESTED.value,
                requested_at=desk.now,
                leaf=leaf,
                header=sealed.header,
                sealed_reason=sealed.text,
            )
            store.create(desk.tx, new)
            _put_on_record(seat, "requested", new, role=role, minutes=minutes)
            return _shown(seat, new)

        return await self._service.anyone(credential, work, once=once)

    async def approve(
        self, credential: Credential, elevation_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """Let the role count for the requester from now on: the elevation, `active`.

        Raises Denied (recorded) for the requester and for who has no approver role; Conflict when it is not
        requested any more, when the requester has another active one, or when a review is overdue in this
        tenant.
        """
        check_id(elevation_id, "elevation")

        def work(seat: Seat) -> Any:  # noqa: ANN401 - an answer or a Denied
            check_unnarrowed(seat)
            tx, now = seat.desk.tx, seat.desk.now
            found = visible(seat, elevation_id)
            if (refusal := no_second_person(seat, "approve", found)) is not None:
                return refusal
            # Locks the tenant's row: of two approvals one comes first, and the other sees it.
            tenants.raise_under_policy(tx, Epoch.PRINCIPAL, seat.desk.tenancy.epochs.policy)
            found = visible(seat, elevation_id)
            _check_state(found, now, State.REQUESTED)
            spec = spec_of(seat, found.role)
            if spec is None:
                raise _conflict("The role is not one for emergencies any more", "a role with breakGlass")
            _check_minutes(found.minutes, spec)
            _check_no_overdue(seat)
            if store.running(tx, found.principal_id, now) is not None:
                raise _conflict("The requester has another role for emergencies", "one at a time")
            active = found.approved(seat.principal.id, spec.review_within_hours, now)
            _move(seat, found, active)
            store.enqueue(tx, active)
            until = ids.rfc3339(active.ends_at or now)
            _put_on_record(
                seat, "approved", active, role=active.role, holder=active.principal_id, until=until
            )
            return _shown(seat, active)

        return await self._service.anyone(credential, work, once=once)

    async def refuse(
        self, credential: Credential, elevation_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """Turn a request down; who may approve it may refuse it."""
        check_id(elevation_id, "elevation")

        def work(seat: Seat) -> Any:  # noqa: ANN401 - an answer or a Denied
            check_unnarrowed(seat)
            found = visible(seat, elevation_id)
            if (refusal := no_second_person(seat, "refuse", found)) is not None:
                return refusal
            _check_state(found, seat.desk.now, State.REQUESTED)
            refused = found.refused(seat.principal.id, seat.desk.now)
            _move(seat, found, refused)
            _put_on_record(seat, "refused", refused)
            return _shown(seat, refused)

        return await self._service.anyone(credential, work, once=once)

    async def end(
        self, credential: Credential, elevation_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """End an active elevation before its time; no transaction that begins after it counts the role."""
        check_id(elevation_id, "elevation")

        def work(seat: Seat) -> Any:  # noqa: ANN401 - an answer or a Denied
            found = visible(seat, elevation_id)
            mine = found.principal_id == seat.principal.id
            if not (mine or approves(seat, found.role) or governs(seat, "write")):
                return denied(seat, "end", found, "Only the requester or an approver can end it.")
            _check_state(found, seat.desk.now, State.ACTIVE)
            tenants.raise_epoch(seat.desk.tx, Epoch.PRINCIPAL)
            ended = found.ended(seat.principal.id, seat.desk.now)
            _move(seat, found, ended)
            store.enqueue(seat.desk.tx, ended)
            _put_on_record(seat, "ended", ended)
            return _shown(seat, ended)

        return await self._service.anyone(credential, work, once=once)

    async def review(
        self,
        credential: Credential,
        elevation_id: str,
        outcome: str,
        note: str | None = None,
        once: Once | None = None,
    ) -> dict[str, Any]:
        """Close the review of an elevation that is over. `outcome` is a code, `note` is sealed."""
        check_id(elevation_id, "elevation")
        if not _CODE.fullmatch(outcome):
            raise Invalid(
                "The outcome is not a code; nothing was reviewed.",
                field="outcome",
                rule="1 to 64 of a-z 0-9 . _ -, for example justified",
                remedy="Send a code; free text belongs into the note, which is sealed.",
            )
        if note is not None:
            _check_text(note, "note")

        def work(seat: Seat) -> Any:  # noqa: ANN401 - an answer or a Denied
            check_unnarrowed(seat)
            desk, found = seat.desk, visible(seat, elevation_id)
            if found.principal_id == seat.principal.id:
                return denied(seat, "review", found, "Nobody reviews what they did themselves.")
            entitled = approves(seat, found.role) or governs(seat, "write")
            if not entitled or seat.principal.kind is not PrincipalKind.PERSON:
                return denied(seat, "review", found, "Only an approver, or who governs break-glass, reviews.")
            _check_state(found, desk.now, State.ENDED)
            reviewed = found.reviewed(seat.principal.id, outcome, desk.now)
            if note is not None:
                binding = _binding(seat, found.id, _NOTE)
                sealed = seal_note(desk.tenancy.keys, binding, found.leaf, note)
                reviewed = reviewed._replace(note_header=sealed.header, sealed_note=sealed.text)
            _move(seat, found, reviewed)
            store.dequeue(desk.tx, found.id)
            _put_on_record(seat, "reviewed", reviewed, review=outcome)
            return _shown(seat, reviewed)

        return await self._service.anyone(credential, work, once=once)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────
    async def page(
        self, credential: Credential, *, state: State | None, before: str | None, limit: int
    ) -> dict[str, Any]:
        """Elevations that the caller may see, newest first: `{"items","next"}`, without reasons.

        One's own, those to roles that one approves, and all for who reads `tenure.breakglass`.
        """

        def work(seat: Seat) -> dict[str, Any]:
            mine = None
            if not governs(seat, "read"):
                mine = store.concerning(seat.principal.id, approved_roles(seat))
            found = store.page(
                seat.desk.tx, state=state, mine=mine, after=before, now=seat.desk.now, limit=limit + 1
            )
            page = found[:limit]
            return {
                "items": [_shown(seat, one) for one in page],
                "next": page[-1].id if len(found) > limit else None,
            }

        return await self._service.anyone(credential, work)

    async def get(
        self, credential: Credential, elevation_id: str, *, after: tuple[int, str, int] | None, limit: int
    ) -> dict[str, Any]:
        """One elevation with reason, note and a page of what was done under it, in order.

        `{…,"reason","note","entries":[{"entry","at","kind","outcome"}],"next": (at, writer, n) | None}`.
        Opening the reason is itself an entry.
        """
        check_id(elevation_id, "elevation")

        def work(seat: Seat) -> dict[str, Any]:
            found = visible(seat, elevation_id)
            entries = store.used(seat.desk.tx, elevation_id, after=after, limit=limit + 1)
            page = entries[:limit]
            _record_look(seat, found)
            return {
                **_shown(seat, found),
                "reason": _opened(seat, found, _REASON),
                "note": _opened(seat, found, _NOTE),
                "entries": [
                    {
                        "entry": f"{one.writer}-{one.n}",
                        "at": ids.rfc3339(one.at),
                        "kind": one.kind,
                        "outcome": json.loads(one.body)["outcome"],
                    }
                    for one in page
                ],
                "next": page[-1][:3] if len(entries) > limit else None,
            }

        return await self._service.anyone(credential, work)

    async def waiting(self) -> tuple[int, int]:
        """(reviews to be done in the whole cell, of them overdue). For metrics."""

        def work(desk: Desk) -> tuple[int, int]:
            return store.waiting(desk.tx, desk.now)

        return await self._batcher.submit(CELL, Solo(work))  # type: ignore[no-any-return]


# ── what must hold ─────────────────────────────────────────────────────────────────────────────────
def _check_minutes(minutes: int, spec: BreakGlassSpec) -> None:
    if not 1 <= minutes <= spec.max_minutes:
        raise Invalid(
            "The role is not given for so long; nothing was done.",
            field="minutes",
            rule=f"1 to {spec.max_minutes}, the role's maxMinutes",
            remedy="Ask for fewer minutes, and again if they are not enough.",
        )


def _check_text(text: str, field: str) -> None:
    if not text.strip() or len(text) > MAX_TEXT:
        raise Invalid(
            f"The {field} is empty or too long; nothing was done.",
            field=field,
            rule=f"1 to {MAX_TEXT} characters",
            remedy="Say in a few sentences what happened. The text is sealed, and in no entry.",
        )


def _check_state(found: Elevation, now: int, wanted: State) -> None:
    state = found.at(now)
    if state is not wanted:
        raise Conflict(
            f"The elevation is {state.value}, not {wanted.value}; nothing was changed.",
            field="id",
            rule=f"an elevation that is {wanted.value}",
            remedy="See it with GET /v1/breakglass/{id}.",
        )


def _check_no_overdue(seat: Seat) -> None:
    late = store.overdue(seat.desk.tx, seat.desk.now)
    if late is not None:
        raise Conflict(
            f"The review of elevation {late.id} is overdue; nothing was approved.",
            field="id",
            rule="no overdue review in the tenant",
            remedy=f"Have it reviewed first: tenure breakglass review {late.id}.",
        )


def _conflict(what: str, rule: str) -> Conflict:
    return Conflict(
        f"{what}; nothing was approved.",
        field="id",
        rule=rule,
        remedy="Refuse the request, or end the other.",
    )


# ── doing ──────────────────────────────────────────────────────────────────────────────────────────
def _move(seat: Seat, old: Elevation, new: Elevation) -> None:
    if not store.move(seat.desk.tx, old, new):
        raise Conflict(
            "Somebody else's step came first; nothing was changed.",
            field="id",
            rule="one step at a time",
            remedy="See it with GET /v1/breakglass/{id}, and decide anew.",
        )


def _put_on_record(seat: Seat, step: str, new: Elevation, **data: Any) -> None:  # noqa: ANN401
    row = rowseals.of_elevation(seat.desk.tenancy.keys, new)
    seat.record(Kind.BREAKGLASS, step, breakglass=new.id, **data, row=row)
    record_under(seat, step, new)


def _record_look(seat: Seat, found: Elevation) -> None:
    seat.record(Kind.ACCESS, service=SCOPE, action="read", elevation=found.id)


def _binding(seat: Seat, elevation_id: str, which: int) -> Binding:
    return Binding(seat.desk.tenancy.keys.tenant_id, SCOPE, elevation_id, which)


def _opened(seat: Seat, found: Elevation, which: int) -> str | None:
    header, text = (
        (found.header, found.sealed_reason) if which == _REASON else (found.note_header, found.sealed_note)
    )
    if header is None or text is None:
        return None
    return open_note(seat.desk.tenancy.keys, _binding(seat, found.id, which), Note(header, text))


def _shown(seat: Seat, one: Elevation) -> dict[str, Any]:
    def instant(at: int | None) -> str | None:
        return None if at is None else ids.rfc3339(at)

    return {
        "id": one.id,
        "state": one.at(seat.desk.now).value,
        "principal": one.principal_id,
        "role": one.role,
        "minutes": one.minutes,
        "requested_at": instant(one.requested_at),
        "decided_by": one.decided_by,
        "decided_at": instant(one.decided_at),
        "ends_at": instant(one.ends_at),
        "ended_by": one.ended_by,
        "ended_at": instant(one.ended_at),
        "review_due": instant(one.review_due),
        "overdue": one.overdue(seat.desk.now),
        "reviewed_by": one.reviewed_by,
        "reviewed_at": instant(one.reviewed_at),
        "outcome": one.outcome,
    }
