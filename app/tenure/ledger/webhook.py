"""Standard Webhooks (1.0.0), asymmetric: what is sent to a receiver is signed with the log's Ed25519 key.

Signed are the bytes `<id>.<timestamp>.<body>` ("Signature scheme"), where the id is a UUID in lowercase, the
timestamp decimal seconds, and the body canonical JSON of an object. The same key signs checkpoints and DSSE
envelopes; none of the three can be taken for another:

    a checkpoint is a text that ends with a newline. Canonical JSON has no newline anywhere, and neither have
        id and timestamp: no notice is a note's text. Nor is a note's text a notice: a body is a JSON object,
        and an origin, in which any two dots of a note's text stand, has no brace after them
    a DSSE message begins with `DSSEv1 `. A notice begins with a hexadecimal digit in lowercase: no notice is
        one. Nor is one a notice: what stands between its first two dots is no number, since the payload types
        of this service are `application/vnd.tenure.…`

One log has one key for all its receivers, so one of them could pass on to another what it was sent, as if it
were meant for that one. Whoever writes a body names the receiver in it.
"""

from typing import Final

from tenure.errors import Malformed
from tenure.ids import is_id
from tenure.ledger.base64 import to_base64
from tenure.ledger.note import Signer, Verifier

_SCHEME: Final = "v1a"
_PUBLIC: Final = "whpk_"


def headers(message_id: str, at_s: int, body: bytes, signer: Signer) -> dict[str, str]:
    """The headers of one attempt at `at_s`, POSIX seconds. Another attempt has another time and the same id.

    Raises `Malformed` for an id that is no UUID, or a body that might be something else: not an object, or
    with a newline.
    """
    if not is_id(message_id) or not body.startswith(b"{") or b"\n" in body:
        raise Malformed("Only canonical JSON objects under a UUID are signed as webhooks.", rule="webhook")
    signature = signer.sign_bytes(signed(message_id, at_s, body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"{_SCHEME},{to_base64(signature)}",
    }


def signed(message_id: str, at_s: int, body: bytes) -> bytes:
    """The bytes under the signature."""
    return b"%b.%d.%b" % (message_id.encode(), at_s, body)


def public_key(verifier: Verifier) -> str:
    """The log's public key as receivers of Standard Webhooks take it: `whpk_` and base64 of its 32 bytes."""
    return f"{_PUBLIC}{to_base64(verifier.public)}"
