"""Legal holds: what must be kept although it is erased. A hold keeps; it never lets anybody read.

Placed before an erasure begins, it makes the batch re-wrap what it covers (`governance.rewrap`): the person's
keys are destroyed for everything else, the certificate lists what stays and on which ground. Released, what
it kept is erased by the next batch, with a certificate of its own.
"""

from collections.abc import Callable
from typing import Any, Literal

from tenure import ids, rowseals
from tenure.errors import Conflict, NotFound
from tenure.governance.erasures import ask_for, shown
from tenure.governance.service import Once, Seat, Service
from tenure.keys.ggm import leaf_number
from tenure.ledger.entry import Kind as Act
from tenure.model.identity import check_id
from tenure.model.principal import Credential
from tenure.store import holds as store
from tenure.store import records, shreds, subjects, tenants
from tenure.store.holds import ACTIVE, RELEASING, Hold
from tenure.store.shreds import Kind
from tenure.store.tenants import Epoch

SCOPE = "tenure.holds"
Target = Literal["subject", "scope", "record"]


class Holds:
    """Place, list and release holds."""

    def __init__(self, service: Service, requested: Callable[[], None]) -> None:
        self._service = service
        self._requested = requested

    async def place(
        self, credential: Credential, kind: Target, target: str, ground: str, once: Once | None = None
    ) -> dict[str, Any]:
        """Hold everything about a subject (its id), in a scope (its name), or of a record (its id).

        Covers erasures that begin after it; returns the hold. Raises NotFound for an unknown target, Conflict
        for a subject whose erasure has begun.
        """
        if kind != "scope":
            check_id(target, kind, "target")

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            _check_target(seat, kind, target)
            hold = Hold(
                id=ids.new_id(),
                kind=kind,
                target=target,
                ground=ground,
                leaf=leaf_number(*tenants.take_leaves(tx, 1)),
                state=ACTIVE,
                placed_by=seat.principal.id,
                placed_at=seat.desk.now,
                released_at=None,
            )
            store.create(tx, hold)
            tenants.raise_epoch(tx, Epoch.KEYS)  # from now on nobody is given the key of its leaf
            seat.record(
                Act.HOLD_PLACE, hold=hold.id, by=kind, row=rowseals.of_hold(seat.desk.tenancy.keys, hold)
            )
            return _shown(hold, 0)

        return await self._service.run(credential, SCOPE, "write", work, once=once)

    async def every(self, credential: Credential) -> dict[str, Any]:
        """`{"items":[{"id","by","target","ground","state","placed_at","released_at","versions"}]}`."""

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            return {"items": [_shown(hold, store.kept(tx, hold.id)) for hold in store.every(tx)]}

        return await self._service.run(credential, SCOPE, "read", work)

    async def get(self, credential: Credential, hold_id: str) -> dict[str, Any]:
        """One hold, and how many versions only it keeps."""
        check_id(hold_id, "hold")

        def work(seat: Seat) -> dict[str, Any]:
            hold = _known(store.get(seat.desk.tx, hold_id))
            return _shown(hold, store.kept(seat.desk.tx, hold.id))

        return await self._service.run(credential, SCOPE, "read", work)

    async def release(self, credential: Credential, hold_id: str, once: Once | None = None) -> dict[str, Any]:
        """End a hold: its key is destroyed and what only it kept is purged, by the next batch.

        `{"hold", "shred", "state"}`: the erasure to follow. Asking twice answers with the same one.
        """
        check_id(hold_id, "hold")

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            hold = _known(store.get(tx, hold_id))
            shred = shreds.of_target(tx, Kind.HOLD, hold.id)
            if shred is None:
                shred = ask_for(seat, Kind.HOLD, hold.id)
                store.move(tx, hold.id, state=RELEASING)
                seat.record(Act.HOLD_RELEASE, hold=hold.id, shred=shred.id)
            return {"hold": hold.id, **shown(shred)}

        answer = await self._service.run(credential, SCOPE, "write", work, once=once)
        self._requested()
        return answer


def _check_target(seat: Seat, kind: Target, target: str) -> None:
    tx = seat.desk.tx
    if kind == "subject":
        person = subjects.get(tx, target)
        if person is not None and person.state != "active":
            raise Conflict(
                "This person's erasure has begun; no hold was placed.",
                field="target",
                rule="a subject that is not being erased",
                remedy="A hold covers only erasures that begin after it.",
            )
        there = person is not None
    elif kind == "record":
        there = records.exists(tx, target)
    else:
        there = target in seat.desk.tenancy.policy.configuration.scopes
    if not there:
        raise NotFound(
            f"There is no such {kind}; no hold was placed.", field="target", rule=f"a known {kind}"
        )


def _known(hold: Hold | None) -> Hold:
    if hold is None:
        raise NotFound("There is no such hold.", field="id")
    return hold


def _shown(hold: Hold, versions: int) -> dict[str, Any]:
    return {
        "id": hold.id,
        "by": hold.kind,
        "target": hold.target,
        "ground": hold.ground,
        "state": hold.state,
        "placed_at": ids.rfc3339(hold.placed_at),
        "released_at": ids.rfc3339(hold.released_at) if hold.released_at else None,
        "versions": versions,
    }
