"""Requests to derive a record again without an erased person, as an application's webhook gets them.

A DSSE envelope over canonical JSON, signed with the ledger's key, of a payload type of its own: nothing else
that this key signs can pass for one. Opaque ids only; nothing in it says who was erased.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tenure.errors import Invalid, Unverified
from tenure.ledger.canonical import canonical, parse_canonical
from tenure.ledger.dsse import open_envelope, sign_envelope
from tenure.ledger.note import Signer, Verifier

PAYLOAD_TYPE = "application/vnd.tenure.rederivation-request+json"
KIND = "rederivation-request"
VERSION = 1


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


_MEMBERS: Mapping[str, Callable[[object], bool]] = {
    "v": lambda value: type(value) is int and value == VERSION,
    "kind": lambda value: value == KIND,
    "id": _is_text,
    "tenant": _is_text,
    "origin": _is_text,
    "shred": _is_text,
    "scope": _is_text,
    "record": _is_text,
    "version": lambda value: type(value) is int and value > 0,
    "version_id": _is_text,
    "sources": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "issued_at": _is_text,
    "deadline": _is_text,
}


def issue_request(request: Mapping[str, Any], signer: Signer) -> str:
    """Sign a request. Its `origin` is the signer's name. Raises `Invalid` naming a wrong member."""
    wrong = _misfit(request) or ("origin" if request["origin"] != signer.name else None)
    if wrong is not None:
        raise Invalid(
            f"The request was not signed: {wrong} is missing or not of its form.",
            field=wrong,
            rule="rederivation-schema",
        )
    return sign_envelope(canonical(dict(request)), PAYLOAD_TYPE, [signer])


def open_request(text: str, verifiers: Sequence[Verifier]) -> dict[str, Any]:
    """Check a request against the ledger's key, offline; what it says. Unknown members are tolerated.

    Raises `Unverified`: "envelope-format", "payload-type", "bad-signature", "unknown-key",
    "rederivation-schema", "origin-mismatch".
    """
    opened = open_envelope(text, PAYLOAD_TYPE, verifiers)
    try:
        request = parse_canonical(opened.payload)
    except ValueError as failure:
        raise Unverified("rederivation-schema", "The request is not canonical JSON (RFC 8785).") from failure
    wrong = _misfit(request) if isinstance(request, dict) else "its JSON object"
    if wrong is not None:
        raise Unverified("rederivation-schema", f"In the request {wrong} is missing or not of its form.")
    if request["origin"] not in opened.signers:
        raise Unverified("origin-mismatch", "The request is of another log than the key is for.")
    return dict(request)


def _misfit(request: Mapping[str, Any]) -> str | None:
    return next((name for name, check in _MEMBERS.items() if not check(request.get(name))), None)
