"""Notices to recipients."""

from typing import Literal

from tenure.http.shapes.base import Shape, Time


class Notice(Shape):
    """A notice to a recipient, without what it says; `result` is what came of the last attempt."""

    id: str
    request: str
    recipient: str
    event: Literal["erased", "rectified", "restricted", "restriction-lifted"]
    state: Literal["queued", "sent", "dead"]
    attempts: int
    result: str | None
    created_at: Time
    next_at: Time | None
    give_up_at: Time
    settled_at: Time | None


class NoticePage(Shape):
    """Notices, newest first."""

    items: list[Notice]
    next: str | None
