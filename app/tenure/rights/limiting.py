"""The steps of a restriction, an objection and a withdrawn consent: in force with the commit, everywhere."""

from functools import partial
from typing import Any, cast

from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.governance import subjectlimits
from tenure.model.rightsrequest import RightsRequest
from tenure.rights import acting
from tenure.rights.case import opened
from tenure.rights.finding import person_of
from tenure.rights.progress import Outcome


class Limiting:
    """Has what a person forbids hold."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    async def restriction(self, tenant_id: str, request: RightsRequest) -> Outcome:
        """Art. 18: nobody is given anything about the person until it is lifted."""
        return await self._inside(tenant_id, partial(_restrict, request_id=request.id))

    async def objection(self, tenant_id: str, request: RightsRequest) -> Outcome:
        """Art. 21 and 7(3): nothing about the person is given out for these purposes."""
        return await self._inside(tenant_id, partial(_object, request_id=request.id))

    async def _inside(self, tenant_id: str, work: Any) -> Outcome:  # noqa: ANN401 - a partial
        return cast("Outcome", await self._batcher.submit(tenant_id, Solo(work)))


def _restrict(desk: Desk, *, request_id: str) -> Outcome:
    request = acting.found(desk, request_id, lock=True)
    person = person_of(desk, request)
    if person is None or person.state != "active":
        return Outcome({"held": "nothing"})
    made = subjectlimits.restrict(desk, person, request.id)
    return Outcome({"limit": made.id})


def _object(desk: Desk, *, request_id: str) -> Outcome:
    request = acting.found(desk, request_id, lock=True)
    person = person_of(desk, request)
    if person is None or person.state != "active":
        return Outcome({"held": "nothing"})
    purposes = opened(desk.tenancy.keys, request).purposes
    made = subjectlimits.object_to(desk, person, purposes, request.id)
    return Outcome({"limits": [one.id for one in made], "purposes": sorted(one.purpose for one in made)})
