"""The contract of a root store: custody of the one small secret outside the database (L0).

One root key version is live in a cell; a batch of erasures makes the next and destroys the last. Destroying
it is what takes every old copy of the key state away, so a store says exactly what its destruction means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

MAX_SEALED_BYTES: Final = 64
"""A root key seals keys, never data."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store is. `guarantee` is the sentence about its destruction that certificates quote.

    `previous` is the store that this one takes over from, while it does.
    """

    provider: str
    guarantee: str
    previous: "Capabilities | None" = None


@dataclass(frozen=True, slots=True)
class Destruction:
    """How far the destruction of a version is. Instants are microseconds since 1970 (`ids.now`).

    `pending`: the provider can still give the key back, and `irrecoverable_at` is when it expects that to
    end. `evidence` is what the provider itself said; certificates carry it.
    """

    state: Literal["destroyed", "pending"]
    unusable_at: int
    irrecoverable_at: int
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RootVersion:
    """One version, for as long as the store remembers it. `op_id` is the operation that created it.

    `provider` says where it is kept: in a hand-over not every version is with the same one.
    """

    version: int
    state: Literal["live", "pending", "destroyed"]
    created_at: int
    op_id: str
    provider: str


RootVersions = list[RootVersion]


class RootStore(Protocol):
    """Every method is durable when it returns, and safe to repeat after a crash."""

    def capabilities(self) -> Capabilities:
        """What this store is and what its destruction means."""

    def create(self, op_id: str, *, above: int = 0) -> int:
        """A new version's number: greater than `above` and than every number that this store ever gave out.

        The same one for the same `op_id`, destroyed or not. `above` counts only for a new one.
        """

    def seal(self, version: int, data: bytes, aad: bytes) -> bytes:
        """Encrypt at most 64 bytes. TooLarge for more; RootLost when the version is not live.

        The caller overwrites `data` afterwards: keep no reference to it.
        """

    def unseal(self, version: int, sealed: bytes, aad: bytes) -> bytes:
        """Undo `seal`. RootLost when the version is not live, Tampered when anything is not as sealed.

        The caller overwrites the answer after use: give new bytes each time, and keep no reference.
        """

    def destroy(self, version: int, op_id: str) -> Destruction:
        """Destroy a version; calls after the first say how far it is. RootLost for one that never was."""

    def list(self) -> RootVersions:
        """Every version that the store remembers, oldest first, destroyed ones too."""
