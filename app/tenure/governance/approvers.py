"""Who may do what with an elevation: by the role's manifest and built-in rules, in every transaction anew.

Approver roles are never roles for emergencies (`model.references`), so no elevation makes an approver.
"""

from typing import Final

from tenure.errors import Denied, NotFound
from tenure.governance.service import Seat
from tenure.ledger.entry import Kind
from tenure.model.breakglass import Elevation
from tenure.model.principal import PrincipalKind
from tenure.model.specs import BreakGlassSpec
from tenure.policy import rights
from tenure.store import breakglass as store

SCOPE: Final = "tenure.breakglass"


def spec_of(seat: Seat, role: str) -> BreakGlassSpec | None:
    """What the role's manifest says of emergencies; None when it is not for them."""
    declared = seat.desk.tenancy.policy.configuration.roles.get(role)
    return None if declared is None else declared.break_glass


def approves(seat: Seat, role: str) -> bool:
    """Whether the caller has one of the role's approver roles: never by an elevation, these are no such.

    Nor with a narrowed key, or for somebody else: whoever approves is there in person.
    """
    spec = spec_of(seat, role)
    if seat.principal.reach is not None or seat.principal.behalf is not None:
        return False
    return spec is not None and not set(spec.approver_roles).isdisjoint(seat.principal.roles)


def approved_roles(seat: Seat) -> list[str]:
    """The roles for emergencies that the caller approves."""
    emergencies = seat.desk.tenancy.policy.configuration.emergency_roles
    return [role for role in sorted(emergencies) if approves(seat, role)]


def governs(seat: Seat, action: str) -> bool:
    """Whether a built-in rule lets the caller `read` all elevations, or `write`: end and review them."""
    engine = seat.desk.tenancy.policy.engine
    return rights.decide_service(engine, seat.principal, SCOPE, action).allowed


def visible(seat: Seat, elevation_id: str) -> Elevation:
    """The elevation, if it is the caller's own or theirs to approve or govern; else there is none."""
    found = store.get(seat.desk.tx, elevation_id)
    if found is None or not (
        found.principal_id == seat.principal.id or approves(seat, found.role) or governs(seat, "read")
    ):
        raise NotFound(
            "There is no such elevation that you may see; nothing was done.",
            field="id",
            rule="an id from POST /v1/breakglass",
            remedy="Check the id, and your role.",
        )
    return found


def no_second_person(seat: Seat, step: str, found: Elevation) -> Denied | None:
    """A recorded Denied unless the caller is another person who has an approver role."""
    if found.principal_id == seat.principal.id:
        return denied(seat, step, found, "Nobody decides about their own request.")
    if seat.principal.kind is not PrincipalKind.PERSON or not approves(seat, found.role):
        return denied(seat, step, found, "Only a person with one of the role's approverRoles decides.")
    return None


def denied(seat: Seat, step: str, found: Elevation | None, why: str) -> Denied:
    """Put a refused step on record. The caller returns it, so that it is raised after the commit."""
    about = {} if found is None else {"breakglass": found.id}
    entry = seat.record(Kind.BREAKGLASS, "denied", step=step, **about)
    if found is not None:
        record_under(seat, step, found, outcome="denied")
    return Denied(f"{why} Nothing was done.", entry=entry, remedy="Ask a person who may.")


def record_under(seat: Seat, step: str, found: Elevation, outcome: str = "ok") -> None:
    """Put what is done to an elevation under another one on the other's list too: an entry names but one."""
    if seat.principal.elevation not in (None, found.id):
        seat.record(Kind.ACCESS, outcome, service=SCOPE, action=step, elevation=found.id)
