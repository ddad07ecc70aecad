"""Erasures as their issuers see them: asked for, listed, followed, certified; `shred` does them."""

from collections.abc import Mapping
from typing import Any

from tenure import ids, rowseals
from tenure.crew import Desk
from tenure.errors import NotFound
from tenure.governance.certificates import irrecoverable_at
from tenure.governance.service import Seat, Service
from tenure.ledger.entry import EntryDraft
from tenure.ledger.entry import Kind as Act
from tenure.model.identity import check_id
from tenure.model.principal import Credential
from tenure.store import rederivations, rights, shreds
from tenure.store.session import Tx
from tenure.store.shreds import AWAITING, Kind, Shred

SCOPE = "tenure.shreds"
_WAITS = {
    "fencing": "Other processes of this cell have yet to acknowledge the new key state; a silent one is "
    "waited for until its lease ends.",
    "destroying": "The root store has yet to report the old root key destroyed; no certificate before that.",
    "incomplete": "The purge left something behind and is tried again; no certificate before it is all gone. "
    "The service's log says what.",
    AWAITING: "The search for given values that was asked for: POST /v1/shreds/{id}:scan.",
}


class Erasures:
    """Follow erasures, fetch certificates."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def state(self, credential: Credential, shred_id: str) -> dict[str, Any]:
        """How far an erasure is: `{"shred","state","kind",<kind>,"steps","requested_at","waits_for"?,…}`.

        `"rederivations":{state: count}` when applications were to derive something again.
        """
        check_id(shred_id, "erasure")

        def work(seat: Seat) -> dict[str, Any]:
            found = shreds.get(seat.desk.tx, shred_id)
            if found is None:
                raise NotFound("There is no such erasure.", field="id")
            again = rederivations.of_shred(seat.desk.tx, shred_id)
            return _followed(found) | ({"rederivations": again} if again else {})

        return await self._service.run(credential, SCOPE, "read", work)

    async def page(
        self, credential: Credential, *, before: str | None = None, limit: int = 50
    ) -> dict[str, Any]:
        """Erasures, newest first: `{"items":[…],"next"}`, each as `state` shows it."""

        def work(seat: Seat) -> dict[str, Any]:
            found = shreds.page(seat.desk.tx, after=before, limit=limit + 1)
            page = found[:limit]
            return {
                "items": [_followed(one) for one in page],
                "next": page[-1].id if len(found) > limit else None,
            }

        return await self._service.run(credential, SCOPE, "read", work)

    async def certificate(self, credential: Credential, certificate_id: str) -> str:
        """A signed certificate, of an erasure or a rights request: a DSSE envelope as JSON text."""
        check_id(certificate_id, "certificate")

        def work(seat: Seat) -> str:
            tx = seat.desk.tx
            envelope = shreds.certificate(tx, certificate_id) or rights.envelope(tx, certificate_id)
            if envelope is None:
                raise NotFound("There is no such certificate.", field="id")
            return envelope

        return await self._service.run(credential, "tenure.certificates", "read", work)


def ask_for(seat: Seat, kind: Kind, target_id: str, **findings: str) -> Shred:
    """Put an erasure on record and in the queue of the next batch. In the asker's transaction.

    `findings`: what was asked for besides, and the next batch must know.
    """
    desk = seat.desk
    shred = begun(desk.tx, kind, target_id, by=seat.principal.id, at=desk.now, findings=findings)
    row = rowseals.of_shred(seat.desk.tenancy.keys, shred)
    seat.record(Act.SHRED, "requested", shred=shred.id, row=row)
    return shred


def asked(
    desk: Desk,
    kind: Kind,
    target_id: str,
    *,
    by: str,
    findings: Mapping[str, Any],
    **said: Any,  # noqa: ANN401 - opaque values of an entry
) -> Shred:
    """The same on behalf of a principal, or of the service itself (`ids.CELL`). `said`: for the entry."""
    shred = begun(desk.tx, kind, target_id, by=by, at=desk.now, findings=findings)
    data = {"shred": shred.id, **said, "row": rowseals.of_shred(desk.tenancy.keys, shred)}
    principal = None if by == ids.CELL else by
    desk.tx.append(EntryDraft(Act.SHRED, desk.now, "requested", principal=principal, data=data))
    return shred


def begun(tx: Tx, kind: Kind, target_id: str, *, by: str, at: int, findings: Mapping[str, Any]) -> Shred:
    """An erasure in the queue of the next batch. Whoever calls this puts it on record."""
    shred = Shred(
        id=ids.new_id(),
        kind=kind,
        target_id=target_id,
        op_id=None,
        state="requested",
        steps={"requested": ids.rfc3339(at)},
        requested_by=by,
        requested_at=at,
        findings=dict(findings),
        certificate_id=None,
    )
    shreds.create(tx, shred)
    shreds.enqueue(tx)
    return shred


def shown(shred: Shred) -> dict[str, Any]:
    """An erasure's short form."""
    answer = {"shred": shred.id, "state": shred.state}
    return answer | ({"certificate": shred.certificate_id} if shred.certificate_id else {})


def _followed(shred: Shred) -> dict[str, Any]:
    answer = {
        **shown(shred),
        "kind": shred.kind,
        shred.kind: shred.target_id,
        "steps": shred.steps,
        "requested_at": ids.rfc3339(shred.requested_at),
    }
    # Purged before the root store was done: that is what it waits for still.
    waiting = "destroying" if shred.state == "purged" and "destroyed" not in shred.steps else shred.state
    if waiting in _WAITS:
        answer["waits_for"] = _WAITS[waiting]
    if "ledger" in shred.findings:
        answer["ledger"] = shred.findings["ledger"]
    if "logs" in shred.findings:
        answer["handed_over"] = f"handover/{shred.target_id}"
    if (keys := shred.findings.get("keys")) and (last := irrecoverable_at(keys)) is not None:
        answer["irrecoverable_at"] = last
    return answer
