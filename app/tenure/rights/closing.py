"""The end of a rights request: its certificate; what the clock does to it; and the end of its case."""

from functools import partial

from tenure import ids
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.governance import ownleaves
from tenure.model.lifetime import HOUR_US
from tenure.model.rightsrequest import CLOSED, RightsRequest, State
from tenure.rights import acting, certificate, exceptions
from tenure.rights.clock import calendar_of, due_of
from tenure.rights.progress import TROUBLE
from tenure.sequencer import Sequencer
from tenure.store import access_packages, notices
from tenure.store import rights as store


class Closing:
    """Signs certificates."""

    def __init__(self, batcher: Batcher, sequencer: Sequencer) -> None:
        self._batcher = batcher
        self._sequencer = sequencer

    async def close(self, tenant_id: str, request: RightsRequest) -> None:
        """Completed, or partial where the law keeps something, with its certificate. Safe to repeat."""
        await self._batcher.submit(tenant_id, Solo(partial(self._certified, request_id=request.id)))

    def _certified(self, desk: Desk, *, request_id: str) -> None:
        request = store.get(desk.tx, request_id, lock=True)
        if request is None or State(request.state) in CLOSED:
            return
        kept = exceptions.of(request)
        state = State.PARTIAL if kept else State.COMPLETED
        closed = request.without(TROUBLE)._replace(
            state=state.value, closed_at=desk.now, certificate_id=request.certificate_id or ids.new_id()
        )
        stating = closed.moved(state.value, at=ids.rfc3339(desk.now), by=None)
        signer = self._sequencer.signer(desk.tx)
        envelope = certificate.issue(signer, desk.tx.tenant_id, stating, kept)
        acting.went_on(
            desk,
            request,
            state.value,
            state=state.value,
            progress=closed.progress,
            closed_at=closed.closed_at,
            certificate_id=closed.certificate_id,
            envelope=envelope,
        )


def by_the_clock(desk: Desk, *, request_id: str) -> None:
    """A reminder, that it is overdue, or that a closed case has had its time; each once, on record."""
    request = store.get(desk.tx, request_id, lock=True)
    if request is None:
        store.enqueue(desk.tx, request_id, None)
        return
    rules = desk.tenancy.policy.configuration.requests
    if State(request.state) in CLOSED:
        over = (request.closed_at or desk.now) + rules.keep_cases * HOUR_US
        if request.sealed is not None and desk.now >= over:
            notices.lock(desk.tx, begin=True)
            notices.purge(desk.tx, request.id)
            notices.count(desk.tx)
            access_packages.forget(desk.tx, request.id)
            ownleaves.end(desk, request.leaf, by=ids.CELL)
            acting.went_on(desk, request, "purged", header=None, sealed=None)
            return
    elif not request.is_paused:
        due = due_of(request, calendar_of(desk.tenancy.policy.configuration), desk.now)
        urgent = desk.now >= due.due_at - rules.remind_before * HOUR_US
        step = "overdue" if due.overdue else "reminded" if urgent else None
        if step is not None and step not in request.told:
            acting.went_on(desk, request, step, due_at=due.due_at)
            return
    acting.again(desk, request)
