"""Asking a time stamping authority (RFC 3161, over HTTP, §3.4). Called from threads."""

from pathlib import Path
from typing import Final

import httpx
from cryptography.x509 import Certificate

from tenure.errors import Invalid, Unavailable
from tenure.ledger.timestamp import read_certificates, request, stamped_at
from tenure.outbound import NO_PROXY
from tenure.tls import authorities

_TIMEOUT_S: Final = 10.0
_MAX_ANSWER: Final = 256 << 10
_OK: Final = 200


class Authority:
    """One authority, and the certificates that it is believed under."""

    def __init__(self, url: str, certificates: str) -> None:
        """Raises `Invalid` when the certificates cannot be read, or the extra is not installed."""
        self._url = url
        self._certificates = believed(certificates)
        request("now, not at the first interval")
        self._client = httpx.Client(
            timeout=_TIMEOUT_S, follow_redirects=False, mounts=NO_PROXY, verify=authorities()
        )

    def stamp(self, text: str) -> tuple[bytes, str]:
        """The authority's response over a checkpoint's text, and the time in it; checked before it is kept.

        Raises Unavailable when it does not answer, `Unverified` when the answer does not hold.
        """
        headers = {"Content-Type": "application/timestamp-query"}
        raw = bytearray()
        try:
            with self._client.stream("POST", self._url, content=request(text), headers=headers) as answer:
                if answer.status_code != _OK:
                    raise Unavailable(f"The time stamping authority answered {answer.status_code}.")
                for part in answer.iter_bytes():
                    raw += part
                    if len(raw) > _MAX_ANSWER:
                        raise Unavailable("The time stamping authority's answer is too long.")
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            raise Unavailable(
                f"The time stamping authority did not answer ({type(failure).__name__})."
            ) from failure
        return bytes(raw), stamped_at(bytes(raw), [text], self._certificates)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


def believed(certificates: str) -> tuple[Certificate, ...]:
    """Certificates that time stamps are believed under, from a file; none where none is set. `Invalid`."""
    if not certificates:
        return ()
    try:
        pem = Path(certificates).read_bytes()
    except OSError:
        raise Invalid(
            "The file with the authority's certificates cannot be read; nothing was opened.",
            field="TENURE_TSA_CERTS",
            rule="a file of certificates in PEM",
        ) from None
    return read_certificates(pem, "TENURE_TSA_CERTS")


def authority_of(url: str, certificates: str) -> Authority | None:
    """The authority of the settings; None when none is set. Raises `Invalid`."""
    if not url:
        return None
    if not url.startswith(("https://", "http://")) or not certificates:
        raise Invalid(
            "The time stamping authority is set only in part; nothing was opened.",
            field="TENURE_TSA_URL",
            rule="an http(s) URL, and TENURE_TSA_CERTS beside it",
            remedy="Set both, or neither.",
        )
    return Authority(url, certificates)
