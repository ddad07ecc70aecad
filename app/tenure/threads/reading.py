"""What a stored snapshot or pending write says, once it is opened."""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tenure.access import Caller
from tenure.crew import Desk
from tenure.errors import Tampered
from tenure.keyring import TenantKeyring
from tenure.ledger.entry import Access
from tenure.model.thread import Pending, Scalar, Slice, Value, resolve
from tenure.release import release
from tenure.sealing import Head, open_head, unseal
from tenure.store.records import StoredVersion


def snapshot_id(keys: TenantKeyring, record: str, snapshot: str) -> str:
    """The id of the version that a snapshot is: a UUIDv8 (RFC 9562 §5.8), found by who has the keys."""
    index = keys.blind_index("snapshot", record, snapshot)
    variant = f"{int(index[16], 16) & 3 | 8:x}"
    return f"{index[:8]}-{index[8:12]}-8{index[13:16]}-{variant}{index[17:20]}-{index[20:32]}"


class Facts(NamedTuple):
    """The opened head of a snapshot."""

    thread: str
    namespace: str
    id: str
    parent: str | None
    metadata: Mapping[str, Any]
    channels: Mapping[str, tuple[Scalar, str, list[Slice]]]
    subjects: tuple[str, ...]
    carried: int
    """How many tasks' writes to the parent were stored with it."""
    run: str | None
    """The run that it belongs to."""
    cohort: int | None
    """The leaf of its version's cohort, where that was asked for. All of its values lie in that."""


def facts_of(head: Head, cohort: int | None = None) -> Facts:
    """What a head says. Tampered when it is no snapshot's."""
    told = head.metadata
    try:
        channels = {name: (one[0], one[1], one[2]) for name, one in told["channels"].items()}
        return Facts(
            told["thread"],
            told["namespace"],
            told["id"],
            told["parent"],
            told["metadata"],
            channels,
            head.subjects,
            told.get("carried", 0),
            told.get("run"),
            cohort,
        )
    except (KeyError, IndexError, AttributeError):
        raise Tampered("A thread leads to what is no snapshot; nothing was returned.") from None


def carries(after: Facts | None, facts: Facts) -> bool:
    """Whether the version after a snapshot's has what tasks wrote to that snapshot."""
    return after is not None and after.carried > 0 and after.parent == facts.id


def opened(desk: Desk, stored: StoredVersion, key: str) -> Head:
    """The head of a version of a record with this key.

    Erased when its key is destroyed, Tampered when it is another record's.
    """
    head = open_head(desk.tenancy.keys, unseal(desk.tx, desk.tenancy.keys, stored), stored)
    if head.key != key:
        raise Tampered("The index of this thread leads to another; nothing was returned.")
    return head


@dataclass(frozen=True, slots=True)
class Body:
    """The opened content of a snapshot's version."""

    state: Mapping[str, Any]
    parts: tuple[bytes, ...]
    writes: tuple[Mapping[str, Any], ...]
    """What tasks wrote to the parent."""
    own: tuple[Mapping[str, Any], ...] = ()
    """What tasks wrote to this one before it was stored."""


class Reader:
    """Opens versions for one access, and keeps what of it goes on record."""

    def __init__(self, caller: Caller, nonce: bytes) -> None:
        self._caller = caller
        self._nonce = nonce
        self.accesses: list[Access] = []

    def json(self, stored: StoredVersion, head: Head) -> Any:  # noqa: ANN401 - what was written
        """The content of an opened version, which is on record with that. Cold when it lies in a pack."""
        keys = self._caller.desk.tenancy.keys
        key = unseal(self._caller.desk.tx, keys, stored)
        released = release(self._caller, stored, key, head, nonce=self._nonce)
        self.accesses += released.accesses
        return json.loads(released.content or b"null")

    def body(self, stored: StoredVersion, head: Head) -> Body:
        """The content of a snapshot's version."""
        told = self.json(stored, head)
        parts = tuple(base64.b64decode(one["base64"]) for one in told["parts"])
        return Body(told["state"], parts, tuple(told.get("writes", ())), tuple(told.get("own", ())))


def together(facts: Facts, bodies: Mapping[int, Body]) -> dict[str, Value]:
    """The values of a snapshot's channels, put together. Tampered when a slice leads nowhere."""
    values = {}
    for name, (version, kind, slices) in facts.channels.items():
        try:
            pieces = [bodies[number].parts[part][at : at + size] for number, part, at, size in slices]
        except (KeyError, IndexError):
            raise Tampered("A part of a snapshot is missing; nothing was returned.") from None
        value = b"".join(pieces)
        if len(value) != sum(one[3] for one in slices):
            raise Tampered("A part of a snapshot is shorter than it was; nothing was returned.")
        values[name] = Value(version, kind, value, len(slices))
    return values


def numbers(facts: Facts) -> set[int]:
    """The versions in which a snapshot's values lie."""
    return {slice_[0] for _, _, slices in facts.channels.values() for slice_ in slices}


def in_order(told: Iterable[tuple[int, Any]]) -> tuple[Pending, ...]:
    """Pending writes as they count, by (path, task, idx). `told`: (when it was said, what it says).

    What was said in the same instant counts in the order given.
    """
    found: dict[tuple[str, int], tuple[int, Pending]] = {}
    ordered = sorted(told, key=lambda one: one[0])
    each = ((one, write) for _, one in ordered for write in one["writes"])
    for at, (one, (idx, channel, kind, value)) in enumerate(each):
        pending = Pending(one["path"], one["task"], idx, channel, kind, base64.b64decode(value))
        if resolve(found, pending, at):
            found[pending.task, idx] = at, pending
    return tuple(sorted((one for _, one in found.values()), key=lambda one: one[:3]))
