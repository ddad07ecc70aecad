"""Certificates of erasures: what was destroyed, what that proves, and what it does not.

A DSSE envelope over canonical JSON, signed with the ledger's key. The payload names no personal data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenure.errors import Unverified
from tenure.ledger.dsse import open_envelope, payload_unverified, type_unverified
from tenure.ledger.note import Signer, Verifier
from tenure.ledger.report import Failure, Report
from tenure.ledger.requestcertificate import FORM as REQUEST
from tenure.ledger.statement import Check, Form, is_text

PAYLOAD_TYPE = "application/vnd.tenure.erasure-certificate+json"
KIND = "erasure-certificate"
VERSION = 1


def _is_sentences(value: object) -> bool:
    """A certificate that leaves out what it does not prove proves too much: both lists must say something."""
    return isinstance(value, list) and bool(value) and all(map(is_text, value))


ENTRY_LEFT_OPEN = "Whether the log holds the entry that the certificate names: audit the ledger for that."
CLOSE_LEFT_OPEN = (
    "Whether the log holds the entry of the request's end: a `request.close` whose `data` has the"
    " certificate's id. Audit the ledger for that."
)

_MEMBERS: Mapping[str, Check] = {
    "v": lambda value: type(value) is int and value == VERSION,
    "kind": lambda value: value == KIND,
    "id": is_text,
    "tenant": is_text,
    "origin": is_text,
    "shred": is_text,
    "issued_at": is_text,
    "steps": lambda value: (
        isinstance(value, list) and bool(value) and all(isinstance(s, dict) for s in value)
    ),
    "keys": lambda value: isinstance(value, dict) and bool(value),
    "proves": _is_sentences,
    "does_not_prove": _is_sentences,
    "entry": lambda value: is_text(value) or (isinstance(value, dict) and bool(value)),
}
_FORM = Form(
    "certificate", PAYLOAD_TYPE, _MEMBERS, rule="certificate-schema", canonical="certificate-not-canonical"
)


ERASURE_LEFT_OPEN = "The certificate of the erasure that it names, if there is one: verify that file, too."
IN_A_PACK = frozenset({ENTRY_LEFT_OPEN, CLOSE_LEFT_OPEN, ERASURE_LEFT_OPEN})
"""What is left open of a certificate alone, and checked of one in an evidence pack."""

_LEFT_OPEN = {
    True: (
        "Whether the root store destroyed the key: its own statement is quoted, not proven.",
        ENTRY_LEFT_OPEN,
    ),
    False: (ERASURE_LEFT_OPEN, CLOSE_LEFT_OPEN),
}


def _form_of(text: str) -> Form:
    """By the payload type that an envelope names: an erasure's, or of a rights request."""
    return REQUEST if type_unverified(text) == REQUEST.payload_type else _FORM


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateReport(Report):
    """What verifying a certificate showed. `certificate` is only to be relied on when `ok`."""

    certificate: dict[str, Any] = field(default_factory=dict)


def issue_certificate(certificate: Mapping[str, Any], signer: Signer) -> str:
    """Sign a certificate. Its `origin` is the signer's name. Raises `Invalid` naming a wrong member."""
    return _FORM.sign(certificate, signer)


def verify_certificate(text: str, verifiers: Sequence[Verifier]) -> CertificateReport:
    """Check a certificate against the ledger's key. Never raises for bad input.

    Failures: "envelope-format", "payload-type", "bad-signature", "unknown-key", "certificate-not-canonical",
    "certificate-schema", "origin-mismatch". Members that this build does not know are tolerated.
    """
    failures: list[Failure] = []
    signers: tuple[str, ...] = ()
    certificate: dict[str, Any] = {}
    form = _form_of(text)
    try:
        opened = open_envelope(text, form.payload_type, verifiers)
        signers = opened.signers
        certificate = form.parse(opened.payload)
    except Unverified as failure:
        failures.append(Failure.of(failure))
    if certificate and certificate["origin"] not in signers:
        failures.append(Failure("origin-mismatch", "The certificate is of another log than the key is for."))
    return CertificateReport(
        failures=tuple(failures),
        not_checked=(
            *_LEFT_OPEN[form is _FORM],
            *(
                f"Not proven, as the certificate says: {text}"
                for text in certificate.get("does_not_prove", ())
            ),
        ),
        signers=signers,
        certificate=certificate,
    )


def peek_origin(text: str) -> str | None:
    """The origin that a certificate claims, unverified: for choosing which key to look for."""
    try:
        return str(_form_of(text).parse(payload_unverified(text))["origin"])
    except Unverified:
        return None
