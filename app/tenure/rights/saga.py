"""Carrying out rights requests: from approval to certificate, a step at a time, over every store.

    cooling-off    the clock
    executing      keys · packages │ package │ restriction │ objection │ records │ review
    verifying      residue
    notifying      notices
    completed      certificate

A step does what it does and says so in the request's `progress` in one transaction, or finds what it did
before and goes on; so a process that is killed anywhere is followed by one that ends with one certificate. A
step that waits for something says for what, and is looked at again. One process of the cell does this.
Whoever is known only since the dry run was not decided on: before anything is done it goes back to the desk.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeVar, cast

import structlog

from tenure import ids
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import TenureError
from tenure.ids import CELL
from tenure.model.rightsrequest import RUNNING, Kind, RightsRequest, State
from tenure.rights import acting, closing
from tenure.rights.finding import sought
from tenure.rights.progress import Outcome, keep, trouble
from tenure.store import rights as store

_MOST = 500
"""Requests that one round looks at."""
_MOST_STEPS = 20
_SOON_US: Final = 1_000_000
_LATER_US: Final = 60_000_000
"""When a step is tried again that waits, and one that failed or has waited for long."""
_SHARE: Final = 20
"""Of the time that it has waited."""
R = TypeVar("R")
_log = structlog.get_logger(__name__)


Doing = Callable[[str, RightsRequest], Awaitable[Outcome]]
"""A step: (tenant, request) → its outcome. Safe to repeat."""

STEPS: Final[Mapping[Kind, tuple[tuple[str, State], ...]]] = {
    Kind.ERASURE: (
        ("keys", State.EXECUTING),
        ("packages", State.EXECUTING),
        ("residue", State.VERIFYING),
        ("notices", State.NOTIFYING),
    ),
    Kind.ACCESS: (("package", State.EXECUTING),),
    Kind.PORTABILITY: (("package", State.EXECUTING),),
    Kind.RESTRICTION: (("restriction", State.EXECUTING), ("notices", State.NOTIFYING)),
    Kind.RECTIFICATION: (("records", State.EXECUTING), ("notices", State.NOTIFYING)),
    Kind.OBJECTION: (("objection", State.EXECUTING),),
    Kind.CONSENT_WITHDRAWAL: (("objection", State.EXECUTING),),
    Kind.DECISION_REVIEW: (("review", State.EXECUTING),),
}
"""What is done for each right, in order, and the state in which it is done."""


class Saga:
    """Goes on with every request that something is to be done about."""

    def __init__(self, batcher: Batcher, steps: Mapping[str, Doing], close: closing.Closing) -> None:
        self._batcher = batcher
        self._steps = steps
        self._close = close

    async def run(self) -> dict[str, int]:
        """One round over all tenants: `{"requests","failed"}`. One that fails does not keep the others."""
        waiting = await self._inside(CELL, lambda desk: store.due(desk.tx, desk.now, _MOST))
        counts = {"requests": 0, "failed": 0}
        for one in waiting:
            try:
                await self._go_on(one.owner_id, one.id)
                counts["requests"] += 1
            except Exception as failure:  # noqa: BLE001 - repeated later; nothing personal is said of it
                why = failure.kind if isinstance(failure, TenureError) else type(failure).__name__
                _log.warning("a rights request failed, will be repeated", request=one.id, error=why)
                counts["failed"] += 1
                await self._put_off(one, why)
        return counts

    async def _put_off(self, one: store.Due, error: str) -> None:
        """Say so to the officers; where nothing can be said under the tenant's rules, only try it later."""
        try:
            await self._inside(one.owner_id, partial(_failed, request_id=one.id, error=error))
        except Exception as failure:  # noqa: BLE001 - a tenant that cannot be opened does not keep the others
            why = failure.kind if isinstance(failure, TenureError) else type(failure).__name__
            _log.warning("a rights request failed, and that could not be kept", request=one.id, error=why)
            await self._inside(CELL, lambda desk: store.put_off(desk.tx, one.id, desk.now + _LATER_US))

    async def _go_on(self, tenant_id: str, request_id: str) -> None:
        """As many steps as can be done now."""
        for _ in range(_MOST_STEPS):
            request = await self._inside(tenant_id, partial(_due, request_id=request_id))
            if request is None:
                return
            if State(request.state) not in RUNNING:
                await self._inside(tenant_id, partial(closing.by_the_clock, request_id=request_id))
                return
            if not await self._step(tenant_id, request):
                await self._inside(tenant_id, partial(_postpone, request_id=request_id))
                return

    async def _step(self, tenant_id: str, request: RightsRequest) -> bool:
        """The next step; whether there may be another one at once."""
        name = next_step(request)
        if name is None:
            await self._close.close(tenant_id, request)
            return True
        outcome = await self._steps[name](tenant_id, request)
        await self._inside(tenant_id, lambda desk: keep(desk, request.id, name, outcome))
        return outcome.done or outcome.more

    async def _inside(self, tenant_id: str, work: Callable[[Desk], R]) -> R:
        return cast("R", await self._batcher.submit(tenant_id, Solo(work)))


def next_step(request: RightsRequest) -> str | None:
    """The step that is not done yet; None: only the certificate is to come."""
    steps = request.steps
    todo = (name for name, _ in STEPS[Kind(request.kind).right] if not steps.get(name, {}).get("done"))
    return next(todo, None)


def _due(desk: Desk, *, request_id: str) -> RightsRequest | None:
    """The request, in the state in which its next step is done; None while its time has not come."""
    request = store.get(desk.tx, request_id, lock=True)
    if request is None:
        store.enqueue(desk.tx, request_id, None)
        return None
    state = State(request.state)
    if state not in RUNNING:
        return request
    if state is State.COOLING_OFF and desk.now < (request.execute_at or 0):
        return None
    if not request.steps and request.subject_id is None and sought(desk, request) is not None:
        undecided = {"decided_by": None, "decided_at": None, "execute_at": None}
        return acting.went_on(desk, request, "known-since", state=State.SCOPING.value, **undecided)
    wanted = dict(STEPS[Kind(request.kind).right]).get(next_step(request) or "", state)
    if wanted is state or state is State.NOTIFYING:
        return request
    return acting.went_on(desk, request, wanted.value, state=wanted.value)


def _failed(desk: Desk, *, request_id: str, error: str) -> None:
    trouble(desk, request_id, error)
    _postpone(desk, request_id=request_id, at_least=_LATER_US)


def _postpone(desk: Desk, *, request_id: str, at_least: int = _SOON_US) -> None:
    """Look at it again a little later, and later the longer it waits: a root store may take days."""
    request = store.get(desk.tx, request_id)
    if request is None:
        store.enqueue(desk.tx, request_id, None)
        return
    waited = desk.now - ids.parse_rfc3339(request.lines[-1]["at"])
    by = max(at_least, min(waited // _SHARE, _LATER_US))
    acting.again(desk, request, not_before=desk.now + by)
