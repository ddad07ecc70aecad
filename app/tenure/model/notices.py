"""Notices to recipients (GDPR Art. 19): each says to one of them what became of one person's data.

queued ──taken──► sent
   └──given up, or gone──► dead ──resend──► queued
"""

from enum import StrEnum
from typing import Any, Final, NamedTuple

from tenure.ids import rfc3339

HOUR_US: Final = 3_600_000_000
GIVE_UP_US: Final = 72 * HOUR_US
"""How long it is tried: over a weekend. Art. 19 is not done by then, and a person should look at it."""


class State(StrEnum):
    """Of a notice."""

    QUEUED = "queued"
    SENT = "sent"
    DEAD = "dead"


class Event(StrEnum):
    """What became of the data."""

    ERASED = "erased"
    RECTIFIED = "rectified"
    RESTRICTED = "restricted"
    RESTRICTION_LIFTED = "restriction-lifted"


class Notice(NamedTuple):
    """A row. Instants in microseconds.

    `seq` is the order of one recipient's notices, from 1. `leaf` is that of the rights request, under which
    the text is sealed (`header`, `body`): it names the person. The text goes when the recipient has it.
    `result` is what came of the last attempt. `entry` is the ledger's of its present state.
    """

    id: str
    request_id: str
    recipient: str
    event: str
    seq: int
    state: str
    leaf: int
    header: bytes | None
    body: bytes | None
    created_at: int
    give_up_at: int
    settled_at: int | None
    attempts: int
    next_at: int
    result: str | None
    entry: str

    def taken(self, result: str, now: int) -> "Notice":
        """The recipient has it; nobody needs its text any more."""
        over = self._replace(header=None, body=None, settled_at=now, result=result)
        return over._replace(state=State.SENT.value)

    def given_up(self, result: str, now: int) -> "Notice":
        """Nobody tries it any more by themselves."""
        return self._replace(state=State.DEAD.value, settled_at=now, result=result)

    def again(self, now: int) -> "Notice":
        """A person wants it tried once more."""
        anew = self._replace(state=State.QUEUED.value, settled_at=None, attempts=0, next_at=now)
        return anew._replace(give_up_at=now + GIVE_UP_US)


def type_of(event: str) -> str:
    """The type of the CloudEvent that tells of an event."""
    return f"tenure.subject.{event}"


def cloud_event(notice: Notice, origin: str, data: dict[str, Any]) -> dict[str, Any]:
    """What the recipient gets: CloudEvents 1.0, structured mode. `origin` is the tenant's log.

    `sequence` (the extension of that name, in digits of equal number) counts this recipient's notices; one
    that names another `recipient` was passed on by that one.
    """
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": origin,
        "type": type_of(notice.event),
        "time": rfc3339(notice.created_at),
        "subject": notice.request_id,
        "datacontenttype": "application/json",
        "sequence": f"{notice.seq:010}",
        "recipient": notice.recipient,
        "data": {"request": notice.request_id, **data},
    }
