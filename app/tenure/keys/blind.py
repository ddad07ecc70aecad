"""Blind indexes: rows are found by a keyed hash of what they are about, never by the thing itself.

Two steps, so that erasing can re-key few rows: the *selector* key picks one of 4096 buckets, and the bucket's
own key makes the index. Both keys are leaves: puncturing an old bucket leaf takes from an old backup even
the means to confirm that somebody was in it (`docs/spec/keys.md`, "Blind indexes").
"""

from typing import Final

from tenure.errors import Invalid
from tenure.keys.encoding import Octets, lp
from tenure.keys.nodes import leaf_number
from tenure.mac import hmac_sha256

BUCKETS: Final = 4096
SELECTOR_LEAF: Final = leaf_number(0, 0)
FIRST_FREE: Final = BUCKETS + 1
"""First leaf sequence of subjects and scopes: 0 is the selector, 1 to 4096 are the first bucket leaves."""

_PREFIX: Final = {  # the encoded domain and namespace, once
    namespace: (
        lp(b"tenure/v1/blind/bucket", namespace.encode()),
        lp(b"tenure/v1/blind/index", namespace.encode()),
    )
    for namespace in ("subject", "record", "idempotency", "cursor")
}


def bucket_leaf(bucket: int) -> int:
    """The leaf that a bucket's key is at first, until an erasure re-keys the bucket to another leaf."""
    if not 0 <= bucket < BUCKETS:
        raise Invalid("There is no such blind-index bucket; nothing was derived.", rule="bucket")
    return leaf_number(0, 1 + bucket)


def bucket_of(selector_key: Octets, namespace: str, *parts: bytes) -> int:
    """The bucket, 0 to 4095, of a subject reference or a (scope, record key).

    `selector_key` is the key of the selector leaf. Raises Invalid for an unknown namespace.
    """
    mac = hmac_sha256(selector_key, _prefix(namespace)[0] + lp(*parts))
    return int.from_bytes(mac[:2]) % BUCKETS


def blind_index(bucket_key: Octets, namespace: str, *parts: bytes) -> bytes:
    """The 32-byte index under the key of the bucket that `bucket_of` named. Raises like `bucket_of`."""
    return hmac_sha256(bucket_key, _prefix(namespace)[1] + lp(*parts))


def _prefix(namespace: str) -> tuple[bytes, bytes]:
    try:
        return _PREFIX[namespace]
    except KeyError:
        raise Invalid(
            "There is no such blind-index namespace; nothing was derived.", rule="namespace"
        ) from None
