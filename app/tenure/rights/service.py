"""Rights requests as their officers see them. Who may do what is said by built-in rules on `tenure.requests`.

    open · identify · scope · approve │ refuse │ withdraw · conclude      and the clock: pause, resume, extend

What is carried out by itself is in `saga`. Every call is one transaction, but for the dry run.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from tenure.crew import Desk
from tenure.errors import NotFound, TenureError
from tenure.governance.service import Once, Seat, Service
from tenure.ids import CELL
from tenure.ledger.entry import Kind as Act
from tenure.model.deadlines import ExtensionReason, PauseReason
from tenure.model.principal import Credential
from tenure.model.rightsrequest import CLOSED, Ground, Kind, Method, RightsRequest, State
from tenure.rights import acting, concluding, deciding, lifting, receiving, showing
from tenure.rights.case import CASES, SCOPE, opened
from tenure.rights.earlier import Earlier
from tenure.rights.package.service import Packages
from tenure.rights.receiving import NewRequest
from tenure.rights.scoping import Scoping
from tenure.store import rights as store

Step = Callable[[Seat, str], RightsRequest | TenureError]


class RightsRequests:
    """Receive, decide, follow."""

    def __init__(self, service: Service, scoping: Scoping, earlier: Earlier) -> None:
        self._service = service
        self._scoping = scoping
        self._earlier = earlier

    async def open(self, credential: Credential, new: NewRequest, once: Once | None = None) -> dict[str, Any]:
        """Take in a request: the short form (`showing.shown`). Raises Invalid."""

        def work(seat: Seat) -> dict[str, Any]:
            return showing.shown(seat.desk, receiving.receive(seat, new))

        return await self._service.run(credential, SCOPE, "write", work, once=once)

    async def identify(
        self, credential: Credential, request_id: str, method: Method, once: Once | None = None
    ) -> dict[str, Any]:
        """Say how it was established who asks."""
        return await self._step(credential, request_id, partial(_identify, method=method), once)

    async def scope(
        self, credential: Credential, request_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """The dry run: `scoping`."""
        return await self._scoping.scope(credential, request_id, once)

    async def approve(
        self, credential: Credential, request_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """Have it carried out. Raises Denied, on record, for whoever opened it."""
        return await self._step(credential, request_id, deciding.approve, once)

    async def refuse(
        self, credential: Credential, request_id: str, ground: Ground, once: Once | None = None
    ) -> dict[str, Any]:
        """Turn it down on a ground of the law. Raises Denied as `approve`, Invalid for another right's."""
        return await self._step(credential, request_id, partial(_refuse, ground=ground), once)

    async def withdraw(
        self, credential: Credential, request_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """The person takes it back."""
        return await self._step(credential, request_id, deciding.withdraw, once)

    async def pause(
        self, credential: Credential, request_id: str, reason: PauseReason, once: Once | None = None
    ) -> dict[str, Any]:
        """Stop the clock."""
        return await self._step(credential, request_id, partial(_pause, reason=reason), once)

    async def resume(
        self, credential: Credential, request_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """Let the clock go on."""
        return await self._step(credential, request_id, deciding.start_clock, once)

    async def extend(
        self, credential: Credential, request_id: str, reason: ExtensionReason, once: Once | None = None
    ) -> dict[str, Any]:
        """Take the further time that the law gives."""
        return await self._step(credential, request_id, partial(_extend, reason=reason), once)

    async def acknowledge(
        self, credential: Credential, request_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """Note that the requester was told that it came in."""
        return await self._step(credential, request_id, deciding.acknowledge, once)

    async def note(
        self, credential: Credential, request_id: str, text: str, once: Once | None = None
    ) -> dict[str, Any]:
        """Keep a note with the case: sealed."""
        return await self._step(credential, request_id, partial(_note, text=text), once)

    async def conclude(
        self, credential: Credential, request_id: str, outcome: str, once: Once | None = None
    ) -> dict[str, Any]:
        """An officer's word on what waits for one: `model.rightsrequest.CONCLUSIONS`.

        Raises Denied, on record, for whoever opened the request; Invalid for another word.
        """
        return await self._step(credential, request_id, partial(_conclude, outcome=outcome), once)

    async def lift(self, credential: Credential, request_id: str, once: Once | None = None) -> dict[str, Any]:
        """End what a restriction or an objection forbids. By a second person; recipients are told.

        Raises Denied, on record, for whoever opened the request.
        """
        return await self._step(credential, request_id, lifting.lift, once)

    async def link(self, credential: Credential, request_id: str) -> dict[str, Any]:
        """A link to the package of a request, for the person: `{"package","token","until"}`.

        The token is shown once; the link given before opens nothing any more. Raises NotFound without a
        package, Conflict, Expired.
        """

        def work(seat: Seat) -> dict[str, Any]:
            request = acting.found(seat.desk, request_id, lock=True)
            package = request.steps.get("package", {}).get("package")
            if package is None:
                raise NotFound(
                    "There is no package of this request; no link was made.",
                    field="id",
                    rule="a request for access or portability that was carried out",
                    remedy="See how far it is with GET /v1/requests/{id}.",
                )
            made = Packages.link(seat, package)
            acting.moved(seat, request, "link-given")
            return made

        return await self._service.run(credential, SCOPE, "write", work)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────
    async def page(
        self,
        credential: Credential,
        *,
        states: list[State] | None = None,
        kind: Kind | None = None,
        overdue: bool = False,
        before: str | None = None,
        limit: int = 50,
    ) -> dict[str, Any]:
        """Requests newest first: `{"items","next"}`, in the short form. `overdue`: open, and too late."""

        def work(seat: Seat) -> dict[str, Any]:
            wanted = None if states is None else [one.value for one in states]
            if overdue:
                wanted = [
                    one.value for one in State if one not in CLOSED and (states is None or one in states)
                ]
            found = store.page(
                seat.desk.tx,
                states=wanted,
                kind=None if kind is None else kind.value,
                due_before=seat.desk.now if overdue else None,
                after=before,
                limit=limit + 1,
            )
            page = found[:limit]
            return {
                "items": [showing.shown(seat.desk, one) for one in page],
                "next": page[-1].id if len(found) > limit else None,
            }

        return await self._service.run(credential, SCOPE, "read", work)

    async def find(self, credential: Credential, reference: str) -> dict[str, Any]:
        """What somebody asked for before, by their reference: `earlier`."""
        return await self._earlier.find(credential, reference)

    async def waiting(self) -> tuple[int, int]:
        """(open requests whose clock runs, of them overdue) in the whole cell. For metrics."""

        def work(desk: Desk) -> tuple[int, int]:
            return store.waiting(desk.tx, desk.now)

        return cast("tuple[int, int]", await self._service.inside(CELL, work))

    async def get(self, credential: Credential, request_id: str) -> dict[str, Any]:
        """One request with timeline, dry run and progress (`showing.whole`). Says nothing of who asked."""

        def work(seat: Seat) -> dict[str, Any]:
            return showing.whole(seat.desk, acting.found(seat.desk, request_id))

        return await self._service.run(credential, SCOPE, "read", work)

    async def case(self, credential: Credential, request_id: str) -> dict[str, Any]:
        """Who asked, and in which words: `{"reference","details","purposes","corrections","notes"}`.

        Opening it is itself an entry. Raises Erased once the case has had its time.
        """

        def work(seat: Seat) -> dict[str, Any]:
            request = acting.found(seat.desk, request_id)
            case = opened(seat.desk.tenancy.keys, request)
            seat.record(Act.ACCESS, service=CASES, action="read", request=request.id)
            return {
                "reference": case.reference,
                "details": case.details,
                "purposes": list(case.purposes),
                "corrections": [one._asdict() for one in case.corrections],
                "notes": list(case.notes),
            }

        return await self._service.run(credential, CASES, "read", work)

    async def _step(
        self, credential: Credential, request_id: str, step: Step, once: Once | None
    ) -> dict[str, Any]:
        def work(seat: Seat) -> Any:  # noqa: ANN401 - an answer, or a Denied that is on record
            moved = step(seat, request_id)
            return moved if isinstance(moved, TenureError) else showing.shown(seat.desk, moved)

        return await self._service.run(credential, SCOPE, "write", work, once=once)


def _identify(seat: Seat, request_id: str, *, method: Method) -> RightsRequest:
    return receiving.identify(seat, request_id, method)


def _refuse(seat: Seat, request_id: str, *, ground: Ground) -> RightsRequest | TenureError:
    return deciding.refuse(seat, request_id, ground)


def _pause(seat: Seat, request_id: str, *, reason: PauseReason) -> RightsRequest:
    return deciding.stop_clock(seat, request_id, reason)


def _extend(seat: Seat, request_id: str, *, reason: ExtensionReason) -> RightsRequest:
    return deciding.extend_clock(seat, request_id, reason)


def _note(seat: Seat, request_id: str, *, text: str) -> RightsRequest:
    return receiving.write_down(seat, request_id, text)


def _conclude(seat: Seat, request_id: str, *, outcome: str) -> RightsRequest | TenureError:
    return concluding.conclude(seat, request_id, outcome)
