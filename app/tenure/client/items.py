"""How adapters name what they keep: a namespace and a key of theirs, as a record's path, key and metadata.

Names of theirs say whom something is about, and records' keys stand in URLs, which end in logs. So a
record's key is a digest of both, and the names themselves are sealed: the namespace as its path, the key in
its metadata.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from tenure.client.results import Record

KEY: Final = "key"
"""The member of the metadata that has the key."""
BEGINNING: Final = "item:"
"""What the keys of all items' records begin with."""


def record_key(namespace: Sequence[str], key: str) -> str:
    """The key of the record of an item: no other item's, and the same each time."""
    return BEGINNING + sha256(json.dumps([*namespace, key]).encode()).hexdigest()


def key_metadata(key: str) -> dict[str, Any]:
    """What an item's metadata begins with."""
    return {KEY: key}


def key_of(record: Record) -> str | None:
    """The item's own key; None of a record that somebody else put under the path."""
    key = record.metadata.get(KEY)
    return key if isinstance(key, str) and record_key(record.path, key) == record.key else None
