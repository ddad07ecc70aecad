"""What carries out rights requests, put together."""

from collections.abc import Callable, Mapping

from tenure.batcher import Batcher
from tenure.governance.residue import Residue
from tenure.rights.closing import Closing
from tenure.rights.correcting import Correcting
from tenure.rights.erasing import Erasing
from tenure.rights.limiting import Limiting
from tenure.rights.package.service import Packages
from tenure.rights.packaging import Packaging
from tenure.rights.reviewing import review
from tenure.rights.saga import Doing, Saga
from tenure.rights.telling import Telling
from tenure.sequencer import Sequencer


class Rights:
    """What carries out rights requests, put together from its steps."""

    def __init__(
        self,
        batcher: Batcher,
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
        self._saga = Saga(batcher, steps, Closing(batcher, sequencer))

    async def run(self) -> dict[str, int]:
        """One round over all requests that something is to be done about."""
        return await self._saga.run()
