"""Restrictions, objections and rectifications, made as the service makes them: by an officer in a seat."""

from collections.abc import Callable
from typing import Any

from support.cell import NOTES, SCOPE, Cell, Tenant
from tenure import ids
from tenure.bootstrap import Tenure
from tenure.governance import rectifying, subjectlimits
from tenure.governance.rectifying import Rectified
from tenure.governance.service import Seat, Service
from tenure.model.record import Written
from tenure.store import records, subjects
from tenure.store.subjectlimits import SubjectLimit
from tenure.store.subjects import StoredSubject


async def seated(
    cell: Cell, work: Callable[[Seat], Any], tenure: Tenure | None = None, tenant: Tenant | None = None
) -> Any:
    """What some work gives that the officer does."""
    service = Service((tenure or cell.tenure).batcher)
    return await service.run((tenant or cell.one)["dpo"], "tenure.subjects", "read", work)


def known(seat: Seat, reference: str) -> StoredSubject:
    """A person whom the tenant knows."""
    index = seat.desk.tenancy.keys.blind_index("subject", reference)
    [row] = seat.desk.tx.ask((subjects.BY_REF, {"refs": [index]}))[0]
    return StoredSubject(*row)


async def restrict(cell: Cell, reference: str, request: str | None = None, **where: Any) -> SubjectLimit:
    def work(seat: Seat) -> SubjectLimit:
        return subjectlimits.restrict(seat, known(seat, reference), request or ids.new_id())

    return await seated(cell, work, **where)  # type: ignore[no-any-return]


async def lift(
    cell: Cell, reference: str, *, of: str | None = None, by: str | None = None, **where: Any
) -> list[SubjectLimit]:
    """Lift a person's restriction."""

    def work(seat: Seat) -> list[SubjectLimit]:
        request = by or ids.new_id()
        return subjectlimits.lift_restriction(seat, known(seat, reference), request, of=of)

    return await seated(cell, work, **where)  # type: ignore[no-any-return]


async def object_to(
    cell: Cell, reference: str, *purposes: str, request: str | None = None, **where: Any
) -> list[SubjectLimit]:
    def work(seat: Seat) -> list[SubjectLimit]:
        person = known(seat, reference)
        return subjectlimits.object_to(seat, person, purposes, request or ids.new_id())

    return await seated(cell, work, **where)  # type: ignore[no-any-return]


async def withdraw(
    cell: Cell,
    reference: str,
    *,
    of: str | None = None,
    purposes: tuple[str, ...] | None = None,
    **where: Any,
) -> list[SubjectLimit]:
    """Lift a person's objections."""

    def work(seat: Seat) -> list[SubjectLimit]:
        return subjectlimits.lift_objection(
            seat, known(seat, reference), ids.new_id(), purposes=purposes, of=of
        )

    return await seated(cell, work, **where)  # type: ignore[no-any-return]


async def rectify(cell: Cell, old: Written, new: Written, request: str | None = None) -> Rectified:
    """Mark what a newer version corrects."""

    def work(seat: Seat) -> Rectified:
        [stored] = records.by_ids(seat.desk.tx, [(old.record, old.version)])
        return rectifying.rectified(seat, stored, new, request or ids.new_id())

    return await seated(cell, work)  # type: ignore[no-any-return]


async def some(cell: Cell) -> None:
    """Somebody whose data is restricted, who objected and took it back, and whose data was corrected."""
    who = "customer:limited"
    wrong = await cell.put("address", "wrong", who)
    told = await cell.put("told", "from the wrong one", scope=NOTES, derived_from=(wrong.version_id,))
    right = await cell.put("address", "right", who)
    await rectify(cell, wrong, right)
    await cell.put("later", "from a stale one", scope=NOTES, derived_from=(told.version_id,))
    await cell.put("talk limited", 1, who, scope=SCOPE)
    await object_to(cell, who, "marketing", "service")
    await withdraw(cell, who, purposes=("service",))
    await restrict(cell, who)
    await restrict(cell, who)
