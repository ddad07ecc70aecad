"""The steps with access packages: making one for a person, and ending those of one who is erased."""

from functools import partial

from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import Erased
from tenure.model.access_package import Content
from tenure.model.rightsrequest import Kind, RightsRequest
from tenure.rights import acting
from tenure.rights.finding import person_of
from tenure.rights.package.service import Packages
from tenure.rights.progress import Outcome
from tenure.store import access_packages

_DAY_H = 24
_NOTHING = {"held": "nothing"}


class Packaging:
    """Has packages made, and ended."""

    def __init__(self, batcher: Batcher, packages: Packages) -> None:
        self._batcher = batcher
        self._packages = packages

    async def make(self, tenant_id: str, request: RightsRequest) -> Outcome:
        """Art. 15 and 20: the package of the person, once; archives give out what they have in their time."""
        work = partial(_whose, request_id=request.id)
        subject_id, days = await self._batcher.submit(tenant_id, Solo(work))
        if subject_id is None:
            return Outcome(_NOTHING)
        content: Content = "portability" if Kind(request.kind).right is Kind.PORTABILITY else "access"
        try:
            made = await self._packages.build(tenant_id, request.id, subject_id, content, days=days)
        except Erased:
            return Outcome(_NOTHING)
        if made["state"] in ("building", "pending"):
            return Outcome(
                {"package": made["package"], "waits_for": "What an archive gives out."}, done=False
            )
        return Outcome({name: made[name] for name in ("size", "sha256")} | {"package": made["package"]})

    async def end(self, tenant_id: str, request: RightsRequest) -> Outcome:
        """Packages of a person who is erased: their key goes with the person's, their pieces now."""
        work = partial(_theirs, request_id=request.id)
        ended = 0
        for made_for in await self._batcher.submit(tenant_id, Solo(work)):
            ended += await self._packages.end(tenant_id, made_for) is not None
        return Outcome({"ended": ended})


def _whose(desk: Desk, *, request_id: str) -> tuple[str | None, int]:
    person = person_of(desk, acting.found(desk, request_id))
    term = desk.tenancy.policy.configuration.requests.package_term
    known = person is not None and person.state == "active"
    return (person.id if known and person is not None else None), max(1, term // _DAY_H)


def _theirs(desk: Desk, *, request_id: str) -> list[str]:
    person = person_of(desk, acting.found(desk, request_id))
    return [] if person is None else access_packages.of_subject(desk.tx, person.id)
