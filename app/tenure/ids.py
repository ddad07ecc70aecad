"""Opaque identifiers and instants, one spelling each.

Ids are UUIDv7 (RFC 9562 §5.7) in their 36-character form: sortable by time, no meaning. Instants
are whole microseconds since the Unix epoch inside (one integer that every database compares alike) and
RFC 3339 with microseconds and `Z` outside.
"""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CELL = "00000000-0000-0000-0000-000000000000"
"""The tenant id of rows that belong to the cell itself: its tenants, its operator, its key pointer."""


def new_id() -> str:
    """A fresh UUIDv7 as text. For the server: the bare client makes no ids and lacks the package."""
    from uuid_utils import uuid7  # noqa: PLC0415

    return str(uuid7())


def is_id(text: str) -> bool:
    """True for the canonical 36-character form of any UUID."""
    return len(text) == 36 and all(  # noqa: PLR2004
        (char == "-") if place in (8, 13, 18, 23) else char in "0123456789abcdef"
        for place, char in enumerate(text)
    )


def now() -> int:
    """The present instant: microseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1000


def rfc3339(at: int) -> str:
    """Write an instant as RFC 3339 UTC with exactly six fractional digits."""
    seconds, micros = divmod(at, 1_000_000)
    return f"{_whole_second(seconds)}.{micros:06d}Z"


def parse_rfc3339(text: str) -> int:
    """Read an RFC 3339 timestamp that carries an offset; ValueError otherwise."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("no UTC offset")
    whole = at.astimezone(UTC)
    return int((whole - _EPOCH).total_seconds()) * 1_000_000 + whole.microsecond


@lru_cache(maxsize=256)
def moment(at: int) -> datetime:
    """The same instant as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=at)


@lru_cache(maxsize=256)
def _whole_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
