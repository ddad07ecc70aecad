"""Data subjects: the protection officer's view, and asking for an erasure."""

from collections.abc import Callable
from typing import Any

from tenure import ids
from tenure.errors import NotFound
from tenure.governance.service import Once, Seat, Service
from tenure.ledger.entry import Kind
from tenure.model.identity import check_id
from tenure.model.principal import Credential
from tenure.model.record import check_subject
from tenure.store import records, shreds, tenants
from tenure.store import subjects as store
from tenure.store.shreds import Shred
from tenure.store.tenants import Epoch

SCOPE = "tenure.subjects"


class Subjects:
    """Find people, see what is held about them, erase them."""

    def __init__(self, service: Service, requested: Callable[[], None]) -> None:
        self._service = service
        self._requested = requested

    async def lookup(self, credential: Credential, reference: str) -> dict[str, Any]:
        """`{"items":[{"id","state"}]}`: who is known by this reference; empty when nobody or erased."""
        check_subject(reference, "ref")

        def work(seat: Seat) -> dict[str, Any]:
            index = seat.desk.tenancy.keys.blind_index("subject", reference)
            rows = seat.desk.tx.ask((store.BY_REF, {"refs": [index]}))[0]
            return {"items": [{"id": row[1], "state": row[3]} for row in rows]}

        return await self._service.run(credential, SCOPE, "read", work)  # type: ignore[no-any-return]

    async def get(self, credential: Credential, subject_id: str) -> dict[str, Any]:
        """What is held: `{"id","state","shred","held":[{"scope","categories","state","versions"}]}`."""
        check_id(subject_id, "data subject")

        def work(seat: Seat) -> dict[str, Any]:
            person = _known(store.get(seat.desk.tx, subject_id))
            return {
                "id": person.id,
                "state": person.state,
                "shred": person.shred_id,
                "held": [
                    {"scope": scope, "categories": labels.split(","), "state": state, "versions": count}
                    for scope, labels, state, count in records.inventory(seat.desk.tx, subject_id)
                ],
            }

        return await self._service.run(credential, SCOPE, "read", work)  # type: ignore[no-any-return]

    async def shred(
        self, credential: Credential, subject_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """Ask for a person's erasure: `{"shred","state"}`, and `certificate` when it is already done.

        From the commit on every read and write about the person answers 410; the batch of
        `governance.shred` does the rest. Asking twice answers with the same erasure.
        """
        check_id(subject_id, "data subject")

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            person = _known(store.get(tx, subject_id))
            if person.shred_id is not None:
                found = shreds.get(tx, person.shred_id)
                if found is not None:
                    return shown(found)
            shred = Shred(
                id=ids.new_id(),
                kind=shreds.Kind.SUBJECT,
                target_id=subject_id,
                op_id=None,
                state="requested",
                steps={"requested": ids.rfc3339(seat.desk.now)},
                requested_by=seat.principal.id,
                requested_at=seat.desk.now,
                findings={},
                certificate_id=None,
            )
            shreds.create(tx, shred)
            shreds.enqueue(tx)
            store.set_state(tx, subject_id, state="erasing", shred_id=shred.id)
            tenants.raise_epoch(tx, Epoch.KEYS)
            seat.record(Kind.SHRED, "requested", shred=shred.id)
            return shown(shred)

        answer = await self._service.run(credential, SCOPE, "shred", work, once=once)
        self._requested()
        return answer  # type: ignore[no-any-return]

    async def shred_state(self, credential: Credential, shred_id: str) -> dict[str, Any]:
        """How far an erasure is: `{"shred","state","steps","requested_at","certificate"?}`."""
        check_id(shred_id, "erasure")

        def work(seat: Seat) -> dict[str, Any]:
            found = shreds.get(seat.desk.tx, shred_id)
            if found is None:
                raise NotFound("There is no such erasure.", field="id")
            return {
                **shown(found),
                "kind": found.kind,
                found.kind: found.target_id,
                "steps": found.steps,
                "requested_at": ids.rfc3339(found.requested_at),
            }

        return await self._service.run(credential, "tenure.shreds", "read", work)  # type: ignore[no-any-return]

    async def certificate(self, credential: Credential, certificate_id: str) -> str:
        """A signed certificate: a DSSE envelope as JSON text, verifiable offline."""
        check_id(certificate_id, "certificate")

        def work(seat: Seat) -> str:
            envelope = shreds.certificate(seat.desk.tx, certificate_id)
            if envelope is None:
                raise NotFound("There is no such certificate.", field="id")
            return envelope

        return await self._service.run(credential, "tenure.certificates", "read", work)  # type: ignore[no-any-return]


def shown(shred: Shred) -> dict[str, Any]:
    """An erasure's short form."""
    answer = {"shred": shred.id, "state": shred.state}
    return answer | ({"certificate": shred.certificate_id} if shred.certificate_id else {})


def _known(person: store.StoredSubject | None) -> store.StoredSubject:
    if person is None:
        raise NotFound(
            "There is no such data subject.", field="id", rule="an id from POST /v1/subjects:lookup"
        )
    return person
