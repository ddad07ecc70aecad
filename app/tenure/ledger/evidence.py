"""The signed statement that closes an evidence pack: which files it has, as of which head of the log.

A DSSE envelope over canonical JSON, signed with the log's key. Every file of a pack is checked for what it
is; the statement adds that none of them was exchanged since, and that taking the pack is on record.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tenure.errors import Unverified
from tenure.ledger.dsse import open_envelope
from tenure.ledger.note import Signer, Verifier
from tenure.ledger.schema import is_count, is_hex_hash
from tenure.ledger.statement import Check, Form, is_text

PAYLOAD_TYPE = "application/vnd.tenure.evidence-index+json"
KIND = "evidence-index"
VERSION = 1

_MEMBERS: Mapping[str, Check] = {
    "v": lambda value: type(value) is int and value == VERSION,
    "kind": lambda value: value == KIND,
    "id": is_text,
    "tenant": is_text,
    "origin": is_text,
    "size": is_count,
    "root": is_hex_hash,
    "index_sha256": is_hex_hash,
    "files": is_count,
    "issued_at": is_text,
    "issued_to": is_text,
    "entry": is_text,
}
_RULE = "evidence-schema"
_FORM = Form("statement", PAYLOAD_TYPE, _MEMBERS, rule=_RULE, canonical=_RULE)


def issue_statement(statement: Mapping[str, Any], signer: Signer) -> str:
    """Sign a statement. Its `origin` is the signer's name. Raises `Invalid` naming a wrong member."""
    return _FORM.sign(statement, signer)


def open_statement(text: str, verifiers: Sequence[Verifier]) -> dict[str, Any]:
    """Check a statement against the log's key, offline; what it says. Unknown members are tolerated.

    Raises `Unverified`: "envelope-format", "payload-type", "bad-signature", "unknown-key", "evidence-schema",
    "origin-mismatch".
    """
    opened = open_envelope(text, PAYLOAD_TYPE, verifiers)
    statement = _FORM.parse(opened.payload)
    if statement["origin"] not in opened.signers:
        raise Unverified("origin-mismatch", "The statement is of another log than the key is for.")
    return statement
