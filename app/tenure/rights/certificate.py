"""What the certificate of a rights request states. Opaque ids only: nothing in it says who asked."""

from hashlib import sha256
from typing import Any, Final

from tenure import ids
from tenure.ledger.note import Signer
from tenure.ledger.requestcertificate import KIND, VERSION, issue_request_certificate
from tenure.model.rightsrequest import Kind, RightsRequest
from tenure.residue.texts import PLACES
from tenure.rights.clock import regime_of
from tenure.rights.progress import WAITS

_STEPS: Final = ("at", "step", "by", "method", "reason")
_PROVES: Final = (
    "The holder of the ledger's key states that the request came in, and what was done about it when.",
    "Each step is an entry of the ledger that names the request; an audit shows whether one was changed.",
)
_OF: Final = {
    Kind.ERASURE: "That the person's keys were destroyed: the certificate that `done.residue` names says so, "
    "and what that rests on.",
    Kind.ACCESS: "That the package holds all that is held: its digest binds what it said, and to whoever has "
    "the link.",
    Kind.PORTABILITY: "That the package holds all that the person provided: its digest binds what it said.",
    Kind.RESTRICTION: "That nobody has a copy from before; the ledger names whoever read.",
    Kind.RECTIFICATION: "That what records say now is true.",
    Kind.OBJECTION: "Anything about processing for these purposes outside Tenure.",
    Kind.CONSENT_WITHDRAWAL: "Anything about processing for these purposes outside Tenure.",
    Kind.DECISION_REVIEW: "That the review was done well: a person's judgement is not proven by a signature.",
}
_NOTHING: Final = "That the person is not known here under another reference."
_NEVER: Final = (
    "Who asked, and that they are who they say: only the method by which that was established is named.",
    "Anything about copies that applications made outside Tenure, beyond the notices that recipients took.",
    "Anything about records that name the person by no reference, in words that were not searched for.",
)
NOTHING_HELD: Final = "Nothing is held under the reference that was given: there was nothing to be done."


def issue(signer: Signer, tenant_id: str, request: RightsRequest, exceptions: list[dict[str, Any]]) -> str:
    """The signed certificate of a request that is closed: a DSSE envelope as JSON text."""
    kind = Kind(request.kind)
    done = {step: _said(found) for step, found in request.steps.items()}
    nothing = any(one.get("held") == "nothing" for one in done.values())
    payload = {
        "v": VERSION,
        "kind": KIND,
        "id": request.certificate_id,
        "tenant": tenant_id,
        "origin": signer.name,
        "request": request.id,
        "type": kind.value,
        "regime": regime_of(kind).value,
        "received_at": ids.rfc3339(request.received_at),
        "due_at": ids.rfc3339(request.due_at),
        "issued_at": ids.rfc3339(request.closed_at or 0),
        "outcome": request.state,
        "steps": [{name: line[name] for name in _STEPS if line.get(name)} for line in request.lines],
        "done": done,
        "exceptions": exceptions,
        **({"subject": request.subject_id} if request.subject_id else {}),
        **({"held": NOTHING_HELD} if nothing else {}),
        "proves": list(_PROVES),
        "does_not_prove": [_NOTHING if nothing else _OF[kind.right], *_NEVER],
    }
    return issue_request_certificate(payload, signer)


def digest(envelope: str) -> str:
    """SHA-256 of a certificate as it is handed out, in hex."""
    return sha256(envelope.encode()).hexdigest()


def _said(found: dict[str, Any]) -> dict[str, Any]:
    """Of a request that is closed: no step of it waits, also where a row from before still says so."""
    return {name: value for name, value in found.items() if name not in ("done", WAITS, *PLACES)}
