"""Data subjects: the protection officer's view, and asking for an erasure."""

from collections.abc import Callable
from typing import Any

from tenure.errors import NotFound
from tenure.governance import subjectlimits
from tenure.governance.erasures import ask_for, shown
from tenure.governance.impact import impact
from tenure.governance.service import Once, Seat, Service
from tenure.ids import rfc3339
from tenure.model.identity import check_id
from tenure.model.principal import Credential
from tenure.model.record import check_subject
from tenure.store import events, records, shreds, tenants
from tenure.store import subjects as store
from tenure.store.shreds import AWAITING, Kind
from tenure.store.tenants import Epoch

SCOPE = "tenure.subjects"


class Subjects:
    """Find people, see what is held about them, erase them."""

    def __init__(self, service: Service, requested: Callable[..., None]) -> None:
        self._service = service
        self._requested = requested

    async def lookup(self, credential: Credential, reference: str) -> dict[str, Any]:
        """`{"items":[{"id","state"}]}`: who is known by this reference; empty when nobody or erased."""
        check_subject(reference, "ref")

        def work(seat: Seat) -> dict[str, Any]:
            index = seat.desk.tenancy.keys.blind_index("subject", reference)
            rows = seat.desk.tx.ask((store.BY_REF, {"refs": [index]}))[0]
            return {"items": [{"id": row[1], "state": row[3]} for row in rows]}

        return await self._service.run(credential, SCOPE, "read", work)

    async def get(self, credential: Credential, subject_id: str) -> dict[str, Any]:
        """What is held: `{"id","state","shred","held":[{"scope","categories","state","versions"}],"events"}`.

        `events`: what was told of the person, `[{"scope","event","at"}]`. With `restricted_since` and
        `objections` (`subjectlimits.shown`).
        """
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
                "events": [
                    {"scope": one.scope, "event": one.name, "at": rfc3339(one.at)}
                    for one in events.of_people(seat.desk.tx, [subject_id])
                ],
                **subjectlimits.shown(subjectlimits.of(seat.desk.tx, subject_id)),
            }

        return await self._service.run(credential, SCOPE, "read", work)

    async def shred(
        self,
        credential: Credential,
        subject_id: str,
        once: Once | None = None,
        *,
        at_once: bool = False,
        scan: bool = False,
    ) -> dict[str, Any]:
        """Ask for a person's erasure: `{"shred","state"}`, and `certificate` when it is already done.

        From the commit on every read and write about the person answers 410; the batch of
        `governance.shred` does the rest, the next one or one `at_once`. With `scan` the certificate waits for
        a search (`governance.residue`). Asking twice answers with the same erasure.
        """
        check_id(subject_id, "data subject")

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            person = _known(store.get(tx, subject_id))
            if person.shred_id is not None:
                found = shreds.get(tx, person.shred_id)
                if found is not None:
                    return shown(found)
            shred = ask_for(seat, Kind.SUBJECT, subject_id, **({"scan": AWAITING} if scan else {}))
            store.set_state(tx, subject_id, state="erasing", shred_id=shred.id)
            tenants.raise_epoch(tx, Epoch.KEYS)
            return shown(shred)

        answer = await self._service.run(credential, SCOPE, "shred", work, once=once)
        self._requested(now=at_once)
        return answer

    async def preview(self, credential: Credential, subject_id: str) -> dict[str, Any]:
        """What an erasure would do; nothing is done.

        `{"subject","versions","erased","shared","held","holds":[{"id","by","ground"}]}`: of `versions`,
        `erased` become unreadable, `shared` stay readable through others whom they are about too, and `held`
        of the erased ones are kept, unreadable, by the holds.

        `"derived":{"shred","rederive","keep","labelled","scopes":[{"scope","rule","versions"}]}`: versions
        that name nobody and were derived from the person's, by today's rule of their scope; and `labelled`
        ones about others, 10 000 at most, which an erasure does not touch.
        """
        check_id(subject_id, "data subject")

        def work(seat: Seat) -> dict[str, Any]:
            return impact(seat.desk, _known(store.get(seat.desk.tx, subject_id)))

        return await self._service.run(credential, SCOPE, "read", work)


def _known(person: store.StoredSubject | None) -> store.StoredSubject:
    if person is None:
        raise NotFound(
            "There is no such data subject.", field="id", rule="an id from POST /v1/subjects:lookup"
        )
    return person
