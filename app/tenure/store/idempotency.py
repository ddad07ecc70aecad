"""What an idempotency key was first used for: keyed hashes and ids, never content.

The hashes are keyed by the tenant: an unkeyed hash of a payload would let anybody with a copy of the database
test guesses about people.
"""

from typing import Protocol

from sqlalchemy import bindparam

from tenure.store import tables
from tenure.store.lookups import LookUp, Step
from tenure.store.statements import Insert

_i = tables.idempotency

FIRST_USES = LookUp(
    (_i.c.principal_id, _i.c.key_hash, _i.c.payload_hash, _i.c.result),
    Step(_i, _i.c.tenant_id == bindparam("tenant_id")),
    keys={"principals": _i.c.principal_id, "keys": _i.c.key_hash},
)
INSERT = Insert(tables.idempotency)


class Indexes(Protocol):
    """The tenant's keyed hashing."""

    def blind_index(self, namespace: str, *parts: str) -> str:
        """A keyed hash in hex."""


def key_hash(keys: Indexes, principal_id: str, key: str) -> str:
    """Under which a principal's idempotency key is found."""
    return keys.blind_index("idempotency", "key", principal_id, key)


def payload_hash(keys: Indexes, payload: str) -> str:
    """What tells one request from another."""
    return keys.blind_index("idempotency", "payload", payload)
