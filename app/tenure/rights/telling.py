"""The step that tells recipients what became of a person's data: Art. 19.

Whom is said by Recipient manifests: those who receive data of the scopes and categories in which something
was held. They are told under the reference by which they know the person, which only the case still has.
"""

from functools import partial
from typing import Any, Final, cast

from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.governance import notices
from tenure.model.notices import Event, State
from tenure.model.rightsrequest import Kind, RightsRequest
from tenure.rights import acting
from tenure.rights.case import Case, opened
from tenure.rights.correcting import CORRECTED
from tenure.rights.progress import Outcome, keep
from tenure.store import notices as store

_EVENTS: Final = {
    Kind.ERASURE: Event.ERASED,
    Kind.RECTIFICATION: Event.RECTIFIED,
    Kind.RESTRICTION: Event.RESTRICTED,
}


class Telling:
    """Has recipients told, and waits until each was, or was given up."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    async def notices(self, tenant_id: str, request: RightsRequest) -> Outcome:
        """Put the notices in their queue, once; then wait for what came of them."""
        work = partial(_told, request_id=request.id)
        return cast("Outcome", await self._batcher.submit(tenant_id, Solo(work)))


def _told(desk: Desk, *, request_id: str) -> Outcome:
    request = acting.found(desk, request_id, lock=True)
    found = request.steps.get("notices", {})
    if "recipients" not in found:
        found = {"recipients": enqueued(desk, request, _EVENTS[Kind(request.kind).right])}
        # With the notices: what comes of them is counted by the request from now on.
        keep(desk, request.id, "notices", Outcome(found, done=False, more=True))
    states = store.states(desk.tx, request.id)
    waiting = states.get(State.QUEUED.value, 0)
    counts = {**found, "sent": states.get(State.SENT.value, 0), "dead": states.get(State.DEAD.value, 0)}
    if waiting:
        return Outcome({**counts, "waits_for": f"{waiting} notices to recipients."}, done=False)
    return Outcome(counts)


def enqueued(desk: Desk, request: RightsRequest, event: Event) -> list[str]:
    """Have everybody told who receives such data; their names. In the transaction that it is about."""
    case = opened(desk.tenancy.keys, request)
    concerned = _concerned(request, case)
    scopes = sorted({one["scope"] for one in concerned})
    categories = sorted({label for one in concerned for label in one["categories"]})
    names = notices.recipients_of(desk, scopes, categories)
    certificate = request.steps.get("residue", {}).get("certificate")
    for name in names:
        notices.enqueue(
            desk,
            request_id=request.id,
            leaf=request.leaf,
            event=event.value,
            recipient_name=name,
            data={
                "reference": case.reference,
                "scopes": scopes,
                **({"certificate": certificate} if certificate else {}),
            },
        )
    return names


def _concerned(request: RightsRequest, case: Case) -> list[dict[str, Any]]:
    """What it was about, of what the dry run found: also what was derived; of a rectification the places."""
    found = request.dry_run
    held: list[dict[str, Any]] = [*found.get("held", ()), *found.get("derived", ())]
    if Kind(request.kind).right is not Kind.RECTIFICATION:
        return held
    done = request.steps.get("records", {}).get("records", ())
    where = {
        one.scope for one, how in zip(case.corrections, done, strict=True) if how["outcome"] == CORRECTED
    }
    return [one for one in held if one["scope"] in where]
