"""Rights requests, put together: the officers' verbs, and what carries out what they approve."""

from collections.abc import Callable, Mapping

from tenure.batcher import Batcher
from tenure.governance.residue import Residue
from tenure.governance.service import Service
from tenure.rights.closing import Closing
from tenure.rights.correcting import Correcting
from tenure.rights.erasing import Erasing
from tenure.rights.impact import Impacts
from tenure.rights.limiting import Limiting
from tenure.rights.package.service import Packages
from tenure.rights.packaging import Packaging
from tenure.rights.reviewing import review
from tenure.rights.saga import Doing, Saga
from tenure.rights.scoping import Scoping
from tenure.rights.service import RightsRequests
from tenure.rights.telling import Telling
from tenure.sequencer import Sequencer
from tenure.store.database import Database
from tenure.tenancy import Tenancies


class Rights:
    """`requests`: for surfaces. `run`: for the job. `impacts`: what an erasure would change for decisions."""

    def __init__(
        self,
        service: Service,
        batcher: Batcher,
        database: Database,
        tenancies: Tenancies,
        sequencer: Sequencer,
        residue: Residue,
        packages: Packages,
        requested: Callable[..., None],
    ) -> None:
        """`requested` wakes the next batch of erasures."""
        erasing = Erasing(batcher, residue, requested)
        limiting, packaging = Limiting(batcher), Packaging(batcher, packages)
        steps: Mapping[str, Doing] = {
            "keys": erasing.keys,
            "packages": packaging.end,
            "residue": erasing.residue,
            "package": packaging.make,
            "notices": Telling(batcher).notices,
            "restriction": limiting.restriction,
            "objection": limiting.objection,
            "records": Correcting(batcher).records,
            "review": review,
        }
        self.impacts = Impacts(database, tenancies)
        self.requests = RightsRequests(service, Scoping(service, database, tenancies, self.impacts))
        self._saga = Saga(batcher, steps, Closing(batcher, sequencer))

    async def run(self) -> dict[str, int]:
        """One round over all requests that something is to be done about."""
        return await self._saga.run()
