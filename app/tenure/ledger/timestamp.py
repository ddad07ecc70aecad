"""Time stamps over checkpoints (RFC 3161): somebody else's clock says when a head was there at the latest.

What is stamped is a checkpoint's text, without signatures: cosignatures that come later change nothing. The
kept file is the authority's whole response (`.tsr`), which `openssl ts -verify` reads, too. Format and checks
are `rfc3161-client`'s, an extra of its own.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC
from hashlib import sha256
from typing import Any

from cryptography.x509 import Certificate, load_pem_x509_certificates

from tenure.errors import Invalid, Unverified
from tenure.ids import rfc3339


def request(text: str) -> bytes:
    """The query for a checkpoint's text, DER: SHA-256, a nonce, and the authority's certificate wanted."""
    asked = _library().TimestampRequestBuilder().data(text.encode())
    return bytes(asked.hash_algorithm(_library().HashAlgorithm.SHA256).build().as_bytes())


def stamped_at(response: bytes, texts: Iterable[str], certificates: Sequence[Certificate]) -> str:
    """When an authority under these certificates stamped one of these texts, as RFC 3339.

    Raises `Unverified` ("timestamp"): not granted, not by such an authority, or over none of the texts.
    """
    library = _library()
    if not certificates:
        raise Unverified("timestamp", "No certificate of a time stamping authority was given.")
    builder = library.VerifierBuilder()
    for certificate in dict.fromkeys(certificates):
        builder = builder.add_root_certificate(certificate)
    try:
        answer = library.decode_timestamp_response(response)
    except ValueError as failure:
        raise Unverified("timestamp", "The file is not a time stamp response (RFC 3161).") from failure
    failed = "it is over another text"
    for text in texts:
        try:
            builder.build().verify_message(answer, text.encode())
        except library.VerificationError as failure:
            failed = str(failure)
        except ValueError:  # a refusal has no token
            failed = "the authority did not grant it"
        else:
            at = answer.tst_info.gen_time.astimezone(UTC)
            return rfc3339(int(at.timestamp()) * 1_000_000 + at.microsecond)
    raise Unverified("timestamp", f"The time stamp does not hold: {failed.rstrip('.')}.")


def read_stamp(response: bytes, text: str) -> int:
    """When a granted response over this very text says that it was made, in microseconds.

    Whether its signature holds is not asked: for finding out what a stored response is, never for trust.
    Raises `Unverified` ("timestamp"), or Invalid when the library is not installed.
    """
    library = _library()
    try:
        info = library.decode_timestamp_response(response).tst_info
        at, imprint = info.gen_time.astimezone(UTC), info.message_imprint.message
    except ValueError as failure:
        raise Unverified("timestamp", "It is not a granted time stamp response (RFC 3161).") from failure
    if imprint != sha256(text.encode()).digest():
        raise Unverified("timestamp", "The time stamp is over another text.")
    return int(at.timestamp()) * 1_000_000 + int(at.microsecond)


def read_certificates(pem: bytes, field: str) -> tuple[Certificate, ...]:
    """The authority's trusted certificates. Raises `Invalid` when it is not PEM."""
    try:
        return tuple(load_pem_x509_certificates(pem))
    except ValueError:
        raise Invalid(
            "The file with the time stamping authority's certificates cannot be used. Nothing was done.",
            field=field,
            rule="certificates in PEM",
            remedy="Save the root certificate that the authority publishes.",
        ) from None


def _library() -> Any:  # noqa: ANN401 - a module
    try:
        import rfc3161_client  # noqa: PLC0415 - an extra of its own
    except ImportError:
        raise Invalid(
            "Support for time stamps is not installed. Nothing was done.",
            field="timestamp",
            rule="rfc3161-client present",
            remedy="Install it: pip install 'tenure[timestamps]'.",
        ) from None
    return rfc3161_client
