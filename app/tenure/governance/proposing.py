"""Retention manifests that are not applied: checked as an apply checks them, by who may apply them.

What they would do is looked at (forecast, preview); that somebody looked is on record.
"""

from dataclasses import dataclass
from typing import Any

from tenure.errors import Invalid
from tenure.governance.configurations import SCOPE
from tenure.governance.manifests import Manifests
from tenure.governance.service import Seat, Service
from tenure.ledger.entry import Kind
from tenure.model.configuration import Configuration
from tenure.model.principal import Credential
from tenure.store import holds
from tenure.tenancy import Policy

_KIND = "Retention"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration that would hold, its policy's digest, and what applying it would change."""

    configuration: Configuration
    policy: str
    changes: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds now: the configuration, how many holds are active, and the entry of having looked."""

    configuration: Configuration
    holds: int
    entry: str


class Proposing:
    """Reads proposals."""

    def __init__(self, service: Service, manifests: Manifests) -> None:
        self._service = service
        self._manifests = manifests

    async def read(self, credential: Credential, text: str) -> Proposal:
        """Check manifests, Retention only, beside those that hold. Raises what an apply would."""
        seen: list[Policy] = []  # the newest counts: a batch may be repeated
        found = await self._manifests.apply(credential, text, dry_run=True, look=seen.append)
        other = next((one for one in found["changes"] if one["kind"] != _KIND), None)
        if other is not None:
            raise Invalid(
                "Only Retention manifests can be looked at in advance; nothing was changed.",
                field=f"{other['kind']}/{other['name']}",
                rule="kind Retention",
                remedy="Leave the others out; 'tenure apply --dry-run' is for all kinds.",
            )
        return Proposal(seen[-1].configuration, found["policy"], found["changes"])

    async def record(self, credential: Credential, proposal: Proposal) -> Standing:
        """Put on record that it was looked at, before anything is told."""

        def work(seat: Seat) -> Standing:
            entry = seat.record(Kind.RETENTION_PREVIEW, bundle=proposal.policy)
            active = len(holds.active(seat.desk.tx))
            return Standing(seat.desk.tenancy.policy.configuration, active, entry)

        return await self._service.run(credential, SCOPE, "write", work)
