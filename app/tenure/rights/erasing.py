"""The steps of an erasure: the person's keys, and a search for what might be left.

The batch of erasures (`governance.shred`) does what concerns keys and stores; this asks for it, waits, and
takes over what it found.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import Invalid
from tenure.governance.erasures import asked
from tenure.governance.residue import Residue
from tenure.ids import CELL
from tenure.model.rightsrequest import Conclusion, RightsRequest
from tenure.residue.texts import PLACES
from tenure.residue.values import values_of
from tenure.rights import acting, certificate
from tenure.rights.case import opened
from tenure.rights.finding import person_of
from tenure.rights.progress import Outcome
from tenure.store import shreds, subjects, tenants
from tenure.store.shreds import AWAITING, DONE, Kind, Shred
from tenure.store.tenants import Epoch

_WAITS = (
    "A second officer looks at what was found (`progress.residue.found`): POST /v1/requests/{id}:conclude "
    "with accepted, or with search-again once it is put right."
)
_KEPT = {
    "purged": "purged",
    "kept": "versions_kept_for_others",
    "held": "versions_kept_for_holds",
    "segments": "segments",
    "packed": "packed",
}
"""Members of an erasure's findings, and as a request's certificate and the erasure's own call them."""


class Erasing:
    """Has a person erased, and searched for."""

    def __init__(self, batcher: Batcher, residue: Residue, requested: Callable[..., None]) -> None:
        self._batcher = batcher
        self._residue = residue
        self._requested = requested

    async def keys(self, tenant_id: str, request: RightsRequest) -> Outcome:
        """Ask for the erasure once, and wait until the keys are destroyed and everything is purged."""
        outcome: Outcome = await self._batcher.submit(tenant_id, Solo(partial(_keys, request_id=request.id)))
        if not outcome.done and "shred" not in request.steps.get("keys", {}):
            self._requested(now=True)
        return outcome

    async def residue(self, tenant_id: str, request: RightsRequest) -> Outcome:
        """Search everything for the reference, once. What was found waits for an officer (`concluded`)."""
        before = {name: one for name, one in request.steps.get("residue", {}).items() if name != "waits_for"}
        again = _word_on(request, before) == Conclusion.SEARCH_AGAIN
        if "verdict" in before and not again:  # reading all of the tenant again would find the same
            work = partial(self._searched, request_id=request.id, result=before)
            return await self._batcher.submit(tenant_id, Solo(work))  # type: ignore[no-any-return]
        reference = await self._batcher.submit(tenant_id, Solo(partial(_reference, request_id=request.id)))
        try:
            values = values_of([reference])
        except Invalid as failure:  # too short to be looked for: it would be found everywhere
            result: dict[str, Any] = {"verdict": "not-searched", "rule": failure.rule}
        else:
            search = await self._residue.search(tenant_id, values)
            result = search.summary() | search.places()
        work = partial(self._searched, request_id=request.id, result=result)
        return await self._batcher.submit(tenant_id, Solo(work))  # type: ignore[no-any-return]

    def _searched(self, desk: Desk, *, request_id: str, result: dict[str, Any]) -> Outcome:
        request = acting.found(desk, request_id)
        accepted = _word_on(request, result) == Conclusion.ACCEPTED
        found = {**result, **({"accepted": True} if accepted else {})}
        if result["verdict"] not in ("clean", "not-searched") and not accepted:
            return Outcome({**found, "waits_for": _WAITS}, done=False)
        shred = _shred(desk, request)
        if shred is None:
            return Outcome(found)
        if shred.state == AWAITING:
            said = {name: one for name, one in result.items() if name not in PLACES}
            shred = self._residue.complete(desk, shred, {**said, "accepted": accepted})
        if shred.state != DONE or shred.certificate_id is None:
            return Outcome({**found, "waits_for": "The certificate of the erasure."}, done=False)
        envelope = shreds.certificate(desk.tx, shred.certificate_id) or ""
        return Outcome({**found, "certificate": shred.certificate_id, "sha256": certificate.digest(envelope)})


def _word_on(request: RightsRequest, result: dict[str, Any]) -> str | None:
    """What an officer said of this search, and of no other."""
    concluded = request.steps.get("concluded", {})
    return concluded.get("outcome") if concluded.get("of") == result.get("finished_at") else None


def _keys(desk: Desk, *, request_id: str) -> Outcome:
    request = acting.found(desk, request_id, lock=True)
    person = person_of(desk, request)
    if person is None:
        return Outcome({"held": "nothing"})
    shred = None if person.shred_id is None else shreds.get(desk.tx, person.shred_id)
    if shred is None:
        by = request.decided_by or CELL
        shred = asked(desk, Kind.SUBJECT, person.id, by=by, findings={"scan": AWAITING}, request=request.id)
        subjects.set_state(desk.tx, person.id, state="erasing", shred_id=shred.id)
        tenants.raise_epoch(desk.tx, Epoch.KEYS)
    if shred.state not in (DONE, AWAITING):
        return Outcome(
            {"shred": shred.id, "waits_for": f"The erasure of the keys: {shred.state}."}, done=False
        )
    return Outcome({"shred": shred.id, **_found(shred)})


def _found(shred: Shred) -> dict[str, Any]:
    """What the erasure did, for the certificate of the request."""
    findings = shred.findings
    roots = findings.get("keys", {}).get("root_versions_destroyed", ())
    return {
        **{said: findings[name] for name, said in _KEPT.items() if name in findings},
        "root_versions_destroyed": [one["version"] for one in roots],
        **({"holds": findings["holds"]} if findings.get("holds") else {}),
        **({"derived": findings["derived"]} if "derived" in findings else {}),
    }


def _shred(desk: Desk, request: RightsRequest) -> Shred | None:
    named = request.steps.get("keys", {}).get("shred")
    return None if named is None else shreds.get(desk.tx, named)


def _reference(desk: Desk, *, request_id: str) -> str:
    return opened(desk.tenancy.keys, acting.found(desk, request_id)).reference
