"""How adapters name what they keep: a namespace and a key of theirs, as a record's path and key.

The record's key has both, so that the same key in two namespaces is two records. It is their JSON, or a
digest of that where it is too long for a key; then the real one is in the sealed metadata.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

from tenure.client.results import Record
from tenure.model.record import MAX_KEY

KEY: Final = "key"
"""The member of the metadata that has a key which was too long."""
_DIGEST: Final = "sha256:"


def record_key(namespace: Sequence[str], key: str) -> str:
    """The key of the record of an item: at most 512 characters, of ASCII, and no other item's."""
    whole = json.dumps([*namespace, key], separators=(",", ":"))
    return whole if len(whole) <= MAX_KEY else _DIGEST + sha256(whole.encode()).hexdigest()


def key_metadata(namespace: Sequence[str], key: str) -> dict[str, Any]:
    """What has to be in the metadata beside a record's key: nothing, mostly."""
    return {KEY: key} if record_key(namespace, key).startswith(_DIGEST) else {}


def key_of(record: Record) -> str | None:
    """The item's own key; None of a record that somebody else put under the path."""
    key = record.metadata.get(KEY)
    if key is None:
        with suppress(ValueError, LookupError, TypeError):
            key = json.loads(record.key)[-1]
    return key if isinstance(key, str) and record_key(record.path, key) == record.key else None
