"""Break-glass: one principal's elevation to a role for emergencies, as a row and as its state at an instant.

    requested ──approve──► active ──the clock, or `end`──► ended ──review──► reviewed
        ├──refuse──► refused
        └──the clock──► lapsed

What the clock does is never stored: a row that says `active` is `ended` from `ends_at` on, whoever reads it.
"""

from enum import StrEnum
from typing import Final, NamedTuple

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
REQUEST_US: Final = 24 * HOUR_US
"""How long a request may wait to be approved. An emergency of yesterday is told anew."""


class State(StrEnum):
    """Of an elevation at an instant."""

    REQUESTED = "requested"
    LAPSED = "lapsed"
    """Nobody decided in time. Never stored."""
    REFUSED = "refused"
    ACTIVE = "active"
    ENDED = "ended"
    """Its time is over, and nobody has reviewed it. Stored only when somebody ended it early."""
    REVIEWED = "reviewed"


STORED = frozenset({State.REQUESTED, State.REFUSED, State.ACTIVE, State.ENDED, State.REVIEWED})


class Elevation(NamedTuple):
    """A row. Instants in microseconds; who requested, decided, ended and reviewed are ids of principals.

    `leaf` opens reason (`header`, `sealed_reason`) and reviewer's note (`note_header`, `sealed_note`).
    `review_due` is when the review is overdue: it moves forward with an early end.
    """

    id: str
    principal_id: str
    role: str
    minutes: int
    state: str
    requested_at: int
    leaf: int
    header: bytes
    sealed_reason: bytes
    decided_by: str | None = None
    decided_at: int | None = None
    ends_at: int | None = None
    review_due: int | None = None
    ended_by: str | None = None
    ended_at: int | None = None
    reviewed_by: str | None = None
    reviewed_at: int | None = None
    outcome: str | None = None
    note_header: bytes | None = None
    sealed_note: bytes | None = None

    def at(self, now: int) -> State:
        """Its state at an instant: in [approval, `ends_at`) it is active, unless it was ended."""
        stored = State(self.state)
        if stored is State.REQUESTED and now >= self.requested_at + REQUEST_US:
            return State.LAPSED
        if stored is State.ACTIVE and now >= (self.ends_at or 0):
            return State.ENDED
        return stored

    def overdue(self, now: int) -> bool:
        """Whether it should have been reviewed by now."""
        waits = self.state in (State.ACTIVE, State.ENDED)
        return waits and self.review_due is not None and now >= self.review_due

    def approved(self, by: str, review_hours: int, now: int) -> "Elevation":
        """Active from now on, for its minutes."""
        ends_at = now + self.minutes * MINUTE_US
        return self._replace(
            state=State.ACTIVE.value,
            decided_by=by,
            decided_at=now,
            ends_at=ends_at,
            review_due=ends_at + review_hours * HOUR_US,
        )

    def refused(self, by: str, now: int) -> "Elevation":
        """Refused."""
        return self._replace(state=State.REFUSED.value, decided_by=by, decided_at=now)

    def ended(self, by: str, now: int) -> "Elevation":
        """Over before its time. The review is due as much earlier."""
        saved = (self.ends_at or now) - now
        due = None if self.review_due is None else self.review_due - saved
        return self._replace(state=State.ENDED.value, ended_by=by, ended_at=now, review_due=due)

    def reviewed(self, by: str, outcome: str, now: int) -> "Elevation":
        """Looked at by somebody else."""
        return self._replace(state=State.REVIEWED.value, reviewed_by=by, reviewed_at=now, outcome=outcome)
