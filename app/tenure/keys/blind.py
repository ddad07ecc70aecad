"""Blind indexes: rows are found by a keyed hash of what they are about, never by the thing itself.

People are found in two steps, so that erasing can re-key few rows: the *selector* key picks one of 4096
buckets, and the bucket's own key makes the index. Both keys are leaves: erasing somebody moves their bucket
to a fresh leaf and punctures the old one, which takes from an old backup even the means to confirm that they
were in it (`docs/spec/keys.md`, "Blind indexes").
"""

from typing import Final

from tenure.errors import Invalid
from tenure.keys.encoding import lp
from tenure.keys.nodes import leaf_number
from tenure.keys.secret import Octets
from tenure.mac import hmac_sha256

BUCKETS: Final = 4096
SELECTOR_LEAF: Final = leaf_number(0, 0)
INDEX_LEAF: Final = leaf_number(0, BUCKETS + 1)
"""The leaf of every index that is not about a person: records, idempotency keys, cursors."""
FIRST_FREE: Final = BUCKETS + 2
"""First leaf sequence of subjects and scopes: 0 is the selector, 1 to 4096 are the first bucket leaves."""

_SUBJECT: Final = "subject"
_BUCKET: Final = lp(b"tenure/v1/blind/bucket", _SUBJECT.encode())
_INDEX: Final = {  # the encoded domain and namespace, once
    namespace: lp(b"tenure/v1/blind/index", namespace.encode())
    for namespace in (
        _SUBJECT,
        "record",
        "idempotency",
        "cursor",
        "row",
        "identity",
        "path",
        "snapshot",
        "link",
    )
}


def bucket_leaf(bucket: int) -> int:
    """The leaf that a bucket's key is at first, until an erasure re-keys the bucket to another leaf."""
    if not 0 <= bucket < BUCKETS:
        raise Invalid("There is no such blind-index bucket; nothing was derived.", rule="bucket")
    return leaf_number(0, 1 + bucket)


def bucket_of(selector_key: Octets, reference: bytes) -> int:
    """The bucket, 0 to 4095, of a subject reference. `selector_key` is the key of the selector leaf."""
    return int.from_bytes(hmac_sha256(selector_key, _BUCKET + lp(reference))[:2]) % BUCKETS


def blind_index(key: Octets, namespace: str, *parts: bytes) -> bytes:
    """The 32-byte index: of a subject under its bucket's key, of anything else under the index leaf's key.

    Raises Invalid for an unknown namespace.
    """
    try:
        front = _INDEX[namespace]
    except KeyError:
        raise Invalid(
            "There is no such blind-index namespace; nothing was derived.", rule="namespace"
        ) from None
    return hmac_sha256(key, front + lp(*parts))
