"""The form of certificates of rights requests: what was asked, what was done and what was not, by when.

As `certificate`, of a payload type of its own. Where something was erased it names the erasure's certificate
and its digest, which says what became of the keys.
"""

from collections.abc import Mapping
from typing import Any, Final

from tenure.ledger.note import Signer
from tenure.ledger.statement import Check, Form, is_text

PAYLOAD_TYPE: Final = "application/vnd.tenure.request-certificate+json"
KIND: Final = "request-certificate"
VERSION: Final = 1


def _is_sentences(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_text, value))


def _is_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


_MEMBERS: Mapping[str, Check] = {
    "v": lambda value: type(value) is int and value == VERSION,
    "kind": lambda value: value == KIND,
    "id": is_text,
    "tenant": is_text,
    "origin": is_text,
    "request": is_text,
    "type": is_text,
    "regime": is_text,
    "received_at": is_text,
    "due_at": is_text,
    "issued_at": is_text,
    "outcome": is_text,
    "steps": lambda value: _is_objects(value) and bool(value),
    "done": lambda value: isinstance(value, dict),
    "exceptions": _is_objects,
    "proves": _is_sentences,
    "does_not_prove": _is_sentences,
}
FORM: Final = Form(
    "certificate", PAYLOAD_TYPE, _MEMBERS, rule="certificate-schema", canonical="certificate-not-canonical"
)


def issue_request_certificate(certificate: Mapping[str, Any], signer: Signer) -> str:
    """Sign a certificate. Its `origin` is the signer's name. Raises `Invalid` naming a wrong member."""
    return FORM.sign(certificate, signer)
