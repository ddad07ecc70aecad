"""Which roles count right now: a principal's own ones, and the emergency role that they are elevated to.

Roles for emergencies (`breakGlass` in their manifest) are nobody's own: whatever gave somebody one, an older
apply or an identity provider, it does not count. An elevation counts in transactions whose instant is within
its box, so it ends by the clock alone, in every process; an approval or an early end raises the principal
epoch, which every transaction reads first.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import NamedTuple

from tenure.model.principal import Principal
from tenure.store import breakglass
from tenure.store.session import Tx


class Box(NamedTuple):
    """Until when a principal has a role, and by which elevation."""

    principal_id: str
    role: str
    ends_at: int
    elevation: str


@dataclass(slots=True)
class Running:
    """The elevations of a tenant under one principal epoch, read when first asked for."""

    boxes: tuple[Box, ...] | None = None

    def of(self, tx: Tx, now: int) -> tuple[Box, ...]:
        """All of them, over ones among them. One round trip in the first transaction of an epoch."""
        if self.boxes is None:
            self.boxes = tuple(Box(*row) for row in breakglass.boxes(tx, now))
        return self.boxes


def elevated(
    tx: Tx, running: Running, emergencies: AbstractSet[str], principal: Principal, now: int
) -> Principal:
    """The principal with the roles that count at an instant. `emergencies`: the declared roles for them.

    Without such roles nothing is looked up. A narrowed credential, and one that acts for somebody, lends no
    more than it is narrowed to: neither it nor whom it acts for is elevated.
    """
    if not emergencies:
        return principal
    if principal.behalf is not None:
        principal = replace(principal, behalf=_own(principal.behalf, emergencies))
    principal = _own(principal, emergencies)
    if principal.reach is not None or principal.behalf is not None:
        return principal
    for box in running.of(tx, now):
        if box.principal_id == principal.id and now < box.ends_at and box.role in emergencies:
            return replace(
                principal,
                roles=tuple(sorted({*principal.roles, box.role})),
                elevation=box.elevation,
                lent=True,
            )
    return principal


def _own(principal: Principal, emergencies: AbstractSet[str]) -> Principal:
    """The principal without roles that are nobody's own."""
    if emergencies.isdisjoint(principal.roles):
        return principal
    return replace(principal, roles=tuple(role for role in principal.roles if role not in emergencies))
