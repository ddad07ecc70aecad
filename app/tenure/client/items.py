"""How adapters name what they keep: a namespace and a key of theirs, as a record's path and key.

The record's key has both, so that the same key in two namespaces is two records. It is their JSON, or that of
a digest where it is too long for a key; then the real one is in the sealed metadata.
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
BEGINNING: Final = '["'
"""What the keys of all items begin with."""


def record_key(namespace: Sequence[str], key: str) -> str:
    """The key of the record of an item: at most 512 characters, of ASCII, and no other item's."""
    whole = _json(*namespace, key)
    # No part of a path is empty: a digest behind an empty one is nobody's namespace.
    return whole if len(whole) <= MAX_KEY else _json("", sha256(whole.encode()).hexdigest())


def _json(*parts: str) -> str:
    return json.dumps(parts, separators=(",", ":"))


def key_metadata(namespace: Sequence[str], key: str) -> dict[str, Any]:
    """What has to be in the metadata beside a record's key: nothing, mostly."""
    return {} if record_key(namespace, key) == _json(*namespace, key) else {KEY: key}


def key_of(record: Record) -> str | None:
    """The item's own key; None of a record that somebody else put under the path."""
    key = record.metadata.get(KEY)
    if key is None:
        with suppress(ValueError, LookupError, TypeError):
            key = json.loads(record.key)[-1]
    return key if isinstance(key, str) and record_key(record.path, key) == record.key else None
