"""An access package: what a person is given of what is held about them. Pure.

building ─► ready ─► fetched
   │ ▲        └────────┴──► expired
   ▼ │
 pending: an archive was asked for some of it
"""

from enum import StrEnum
from typing import Final, Literal, NamedTuple

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
TERM_DAYS: Final = 14
"""How long a package is kept: two weeks to fetch it, with a holiday in between."""
MAX_TERM_DAYS: Final = 90
LINK_HOURS: Final = 72
AGAIN_US: Final = 15 * 60_000_000
"""For how long after its first use a link works again: a download that broke off needs no new link, and a
link that is found later, in a mail or a browser's history, opens nothing."""

Content = Literal["access", "portability"]
"""All that is held (GDPR Art. 15), or what the person provided (Art. 20)."""


class State(StrEnum):
    """How far a package is."""

    BUILDING = "building"
    PENDING = "pending"
    READY = "ready"
    FETCHED = "fetched"
    EXPIRED = "expired"


OPEN: Final = (State.BUILDING.value, State.PENDING.value, State.READY.value, State.FETCHED.value)
GIVEN: Final = (State.READY.value, State.FETCHED.value)


class Package(NamedTuple):
    """A package as it lies in the database; instants in microseconds.

    `leaf`: its own, with which it ends. `header` opens its pieces, of which there are `pieces` in the folder
    `folder`; `size` and `sha256` are of the ZIP. `link_index`: of the newest link; `link_until`: when that
    ends, `link_used_at`: when it was used first. `entry`: of the newest step that the ledger has.
    """

    id: str
    request_id: str
    subject_id: str
    content: str
    state: str
    leaf: int
    created_at: int
    expires_at: int
    entry: str
    folder: str | None = None
    retrieval_id: str | None = None
    header: bytes | None = None
    pieces: int = 0
    size: int = 0
    sha256: str | None = None
    link_index: str | None = None
    link_until: int | None = None
    link_used_at: int | None = None
    fetched_at: int | None = None
    fetches: int = 0

    def over(self, now: int) -> bool:
        """Whether nothing can be fetched any more."""
        return self.state == State.EXPIRED or self.expires_at <= now

    def link_over(self, now: int) -> bool:
        """Whether the newest link opens nothing any more: its time is over, or it was used."""
        if self.link_until is None or self.link_until <= now:
            return True
        return self.link_used_at is not None and self.link_used_at + AGAIN_US <= now
