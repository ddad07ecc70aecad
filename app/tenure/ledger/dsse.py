"""DSSE envelopes (secure-systems-lab, v1): a typed payload, signed with the ledger's key.

`keyid` is the signed-note name and key id, `<origin>+<hex>`. It is a hint (DSSE "Envelope"): what counts
is whether the signature holds under a key that the verifier brought.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tenure.errors import Unverified
from tenure.ledger.base64 import from_base64, to_base64
from tenure.ledger.canonical import canonical
from tenure.ledger.note import ED25519, Signer, Verifier

_URL_SAFE = str.maketrans("-_", "+/")


class Opened(NamedTuple):
    """A verified payload and the names of the keys that signed it."""

    payload: bytes
    signers: tuple[str, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed: DSSE pre-authentication encoding, lengths in decimal ASCII bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(verifier: Verifier) -> str:
    """The envelope's `keyid` for a key."""
    return f"{verifier.name}+{verifier.key_id.hex()}"


def sign_envelope(payload: bytes, payload_type: str, signers: Iterable[Signer]) -> str:
    """The envelope as canonical JSON."""
    message = pae(payload_type, payload)
    signatures = [
        {"keyid": key_id(signer.verifier), "sig": to_base64(signer.sign_bytes(message))} for signer in signers
    ]
    envelope = {"payload": to_base64(payload), "payloadType": payload_type, "signatures": signatures}
    return canonical(envelope).decode()


def open_envelope(text: str, payload_type: str, verifiers: Sequence[Verifier]) -> Opened:
    """Check an envelope of one payload type.

    A signature that names a known key and does not hold rejects it; unknown keys are ignored. Raises
    `Unverified`: "envelope-format", "payload-type", "bad-signature", "unknown-key".
    """
    found_type, payload, signatures = _parse(text)
    if found_type != payload_type:
        raise Unverified("payload-type", f"The envelope does not hold {payload_type}.")
    message = pae(payload_type, payload)
    known = {key_id(verifier): verifier for verifier in verifiers if verifier.algorithm == ED25519}
    signers: list[str] = []
    for named, signature in signatures:
        # A missing keyid is allowed: every key is tried then.
        candidates = [known[named]] if named in known else [] if named else list(known.values())
        holding = [verifier.name for verifier in candidates if verifier.verify_bytes(message, signature)]
        if named and candidates and not holding:
            raise Unverified("bad-signature", f"The signature of {candidates[0].name} does not hold.")
        signers += holding
    if not signers:
        raise Unverified("unknown-key", "No signature is by a key that you trust.")
    return Opened(payload, tuple(dict.fromkeys(signers)))


def payload_unverified(text: str) -> bytes:
    """The payload without checking signatures: for messages, never for trust."""
    return _parse(text)[1]


def type_unverified(text: str) -> str | None:
    """The payload type that it claims; None for what is no envelope."""
    try:
        return _parse(text)[0]
    except Unverified:
        return None


def _parse(text: str) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    try:
        envelope = json.loads(text)
        signatures = [(_text(item.get("keyid", "")), _bytes(item["sig"])) for item in envelope["signatures"]]
        return _text(envelope["payloadType"]), _bytes(envelope["payload"]), signatures
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as failure:
        raise Unverified("envelope-format", "The file is not a DSSE envelope.") from failure


def _text(value: Any) -> str:  # noqa: ANN401 - from JSON
    if type(value) is not str:
        raise TypeError("not a string")
    return value


def _bytes(value: Any) -> bytes:  # noqa: ANN401 - from JSON
    """DSSE readers accept both alphabets of base64."""
    return from_base64(_text(value).translate(_URL_SAFE))
