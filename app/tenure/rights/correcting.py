"""The step of a rectification: what was wrong is written anew, and marked.

The service writes what two officers decided, under the name of the one who approved it, with the people,
categories, lineage, paths and term of the version that it corrects. That one is restricted, and what was
derived from it is stale (`governance.rectifying`). A record is corrected in one transaction; a process that
is killed goes on with the next one.
"""

import secrets
from functools import partial
from typing import Any, NamedTuple, cast

from tenure.access import Ask, Caller
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import Erased, TenureError
from tenure.governance.rectifying import rectified
from tenure.ledger.canonical import canonical
from tenure.model.names import SERVICE_PURPOSE
from tenure.model.principal import Credential
from tenure.model.record import Draft
from tenure.model.rightsrequest import RightsRequest
from tenure.reading import is_current
from tenure.rights import acting
from tenure.rights.case import Correction, opened
from tenure.rights.progress import Outcome, keep
from tenure.sealing import Head, labels_of, open_head, unseal
from tenure.store import principals, records, subjects
from tenure.store.records import StoredVersion
from tenure.store.subjects import StoredSubject
from tenure.writing import Condition, Write

CORRECTED, OK = "corrected", "ok"


class Correcting:
    """Has records say what they should."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    async def records(self, tenant_id: str, request: RightsRequest) -> Outcome:
        """One record after the other; each says how it went, by its opaque id."""
        work = partial(_next, request_id=request.id)
        return cast("Outcome", await self._batcher.submit(tenant_id, Solo(work)))


def _next(desk: Desk, *, request_id: str) -> Outcome:
    request = acting.found(desk, request_id, lock=True)
    done: list[dict[str, Any]] = list(request.steps.get("records", {}).get("records", ()))
    corrections = opened(desk.tenancy.keys, request).corrections
    if len(done) < len(corrections):
        done.append(_corrected(desk, request, corrections[len(done)]))
    outcome = Outcome({"records": done}, done=len(done) == len(corrections), more=True)
    keep(desk, request.id, "records", outcome)  # with the writes: killed in between it would write again
    return outcome


class Target(NamedTuple):
    """What a correction comes upon. `outcome`: OK, or why nothing is written."""

    outcome: str
    key_index: str
    stored: StoredVersion | None = None
    head: Head | None = None

    def said(self) -> dict[str, Any]:
        """`{"outcome","record"?}`."""
        named = {} if self.stored is None else {"record": self.stored.record_id}
        return {"outcome": self.outcome, **named}


def target(desk: Desk, subject_id: str | None, correction: Correction) -> Target:
    """What a correction for a person would do now. Nothing is written: the dry run asks the same."""
    index = desk.tenancy.keys.blind_index("record", correction.scope, correction.key)
    rows = desk.tx.ask((records.CURRENT, {"keys": [index]}))[0]
    stored = StoredVersion(*rows[0]) if rows else None
    if stored is None or not is_current(stored, desk.now):
        return Target("not-found", index)
    try:
        opened_key = unseal(desk.tx, desk.tenancy.keys, stored)
    except Erased:
        return Target("not-found", index)
    head = open_head(desk.tenancy.keys, opened_key, stored)
    if stored.segments:
        return Target("has-segments", index, stored)
    if subject_id not in {one.id for one in _people(desk, head.subjects)}:
        return Target("about-others", index, stored)
    return Target(OK, index, stored, head)


def _corrected(desk: Desk, request: RightsRequest, correction: Correction) -> dict[str, Any]:
    """What became of one record: `{"outcome","record"?,"version"?,"stale"?,"asked"?}`."""
    found = target(desk, request.subject_id, correction)
    stored, head = found.stored, found.head
    if stored is None or head is None:
        return found.said()
    draft = Draft(
        canonical(correction.content),
        head.subjects,
        labels_of(stored),
        head.derived_from,
        stored.expires_at,
        head.metadata,
        paths=head.paths,
    )
    new = _write(desk, request, correction, draft, found.key_index, stored)
    marked = rectified(desk, stored, new, request.id)
    return {
        "outcome": CORRECTED,
        "record": new.record,
        "version": new.version,
        "stale": marked.stale,
        "asked": marked.asked,
    }


def _write(
    desk: Desk,
    request: RightsRequest,
    correction: Correction,
    draft: Draft,
    index: str,
    stored: StoredVersion,
) -> Any:  # noqa: ANN401 - a Written
    approver = principals.get(desk.tx, request.decided_by or request.opened_by)
    if approver is None:
        raise TenureError("Whoever approved the request is gone; nothing was written.")
    credential = Credential(desk.tx.tenant_id, "")
    caller = Caller(desk, Ask(credential, SERVICE_PURPOSE), approver)
    write = Write(caller.ask, correction.scope, correction.key, draft, Condition(), None)
    return write.store(caller, index, stored, secrets.token_bytes(16))


def _people(desk: Desk, references: tuple[str, ...]) -> list[StoredSubject]:
    """Those whom a version names, as the rest of the transaction finds them."""
    indexes = [desk.tenancy.keys.blind_index("subject", one) for one in references]
    rows = desk.tx.ask((subjects.BY_REF, {"refs": indexes}))[0]
    found = [StoredSubject(*row) for row in rows]
    desk.found.subjects.update((str(one.ref_index), one) for one in found)
    return found
