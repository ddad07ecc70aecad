"""Requests to derive a record again, as an application's webhook gets them.

Without an erased person; or, with `cause` `rectification`, from what was corrected since: then `shred` is the
rights request's id, and the record is read as it is until there is a newer version.

A DSSE envelope over canonical JSON, signed with the ledger's key, of a payload type of its own: nothing else
that this key signs can pass for one. Opaque ids only; nothing in it says who was erased.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tenure.errors import Unverified
from tenure.ledger.dsse import open_envelope
from tenure.ledger.note import Signer, Verifier
from tenure.ledger.statement import Check, Form, is_text

PAYLOAD_TYPE = "application/vnd.tenure.rederivation-request+json"
KIND = "rederivation-request"
VERSION = 1


_MEMBERS: Mapping[str, Check] = {
    "v": lambda value: type(value) is int and value == VERSION,
    "kind": lambda value: value == KIND,
    "id": is_text,
    "tenant": is_text,
    "origin": is_text,
    "shred": is_text,
    "scope": is_text,
    "record": is_text,
    "version": lambda value: type(value) is int and value > 0,
    "version_id": is_text,
    "sources": lambda value: isinstance(value, list) and all(map(is_text, value)),
    "issued_at": is_text,
    "deadline": is_text,
}
_RULE = "rederivation-schema"
_FORM = Form("request", PAYLOAD_TYPE, _MEMBERS, rule=_RULE, canonical=_RULE)


def issue_request(request: Mapping[str, Any], signer: Signer) -> str:
    """Sign a request. Its `origin` is the signer's name. Raises `Invalid` naming a wrong member."""
    return _FORM.sign(request, signer)


def open_request(text: str, verifiers: Sequence[Verifier]) -> dict[str, Any]:
    """Check a request against the ledger's key, offline; what it says. Unknown members are tolerated.

    Raises `Unverified`: "envelope-format", "payload-type", "bad-signature", "unknown-key",
    "rederivation-schema", "origin-mismatch".
    """
    opened = open_envelope(text, PAYLOAD_TYPE, verifiers)
    request = _FORM.parse(opened.payload)
    if request["origin"] not in opened.signers:
        raise Unverified("origin-mismatch", "The request is of another log than the key is for.")
    return request
