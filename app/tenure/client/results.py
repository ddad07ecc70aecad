"""What calls answer, typed. Members that a newer service adds are left out, never an error."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, Literal, Self

Json = Any
"""Whatever JSON holds: str, int, float, bool, None, lists and dicts of them."""
Readers = Mapping[str, Callable[[Any], Any]]


class Result:
    """Made of an answer's members by name; instants are aware datetimes in UTC."""

    _read: ClassVar[Readers] = {}

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """From parsed JSON. KeyError when a member that is always there is missing."""
        names = [one.name for one in fields(cls)]  # type: ignore[arg-type]  # each is a dataclass
        return cls(**{name: cls._value(name, answer[name]) for name in names if name in answer})

    @classmethod
    def _value(cls, name: str, value: Any) -> Any:  # noqa: ANN401 - as the member is
        if value is None:
            return None
        if name.endswith(("_at", "_since")):
            return datetime.fromisoformat(value)
        if name in cls._read:
            return cls._read[name](value)
        return tuple(value) if isinstance(value, list) and name != "content" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Written(Result):
    """A stored version. `version` is what `if_match` takes; `version_id` what `derived_from` names.

    `entry` is the ledger's entry of it, `commitment` what that entry commits to; of a version in segments
    `commitments`, one for each.
    """

    record: str
    version: int
    version_id: str
    scope: str
    key: str
    created_at: datetime
    entry: str
    commitment: str | None = None
    commitments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment(Result):
    """A part about some people only; `erased`: that it was, with the certificate once it is signed.

    `withheld`: why it is kept back, `restricted` or `objected`, by a right of somebody whom it is about.
    """

    subjects: tuple[str, ...] = ()
    content: Json = None
    commitment: str = ""
    erased: bool = False
    certificate: str | None = None
    withheld: str | None = None


def _segments(found: list[Mapping[str, Any]]) -> tuple[Segment, ...]:
    return tuple(Segment.of(one) for one in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Written):
    """A version with its labels and, unless it was listed without, its content.

    `stale_since`: something that it was derived from was corrected then: derive it again.
    """

    _read: ClassVar[Readers] = {"segments": _segments}

    subjects: tuple[str, ...]
    categories: tuple[str, ...]
    metadata: Mapping[str, Json]
    derived_from: tuple[str, ...]
    expires_at: datetime | None
    tier: str
    path: tuple[str, ...] = ()
    content: Json = None
    segments: tuple[Segment, ...] = ()
    stale_since: datetime | None = None


def _records(found: list[Mapping[str, Any]]) -> tuple[Record, ...]:
    return tuple(Record.of(one) for one in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Result):
    """Some of what was asked for. `withheld`: how many more there are that policy does not show."""

    _read: ClassVar[Readers] = {"items": _records}

    items: tuple[Record, ...]
    next: str | None
    withheld: int
    entry: str

    def __iter__(self) -> Iterator[Record]:
        return iter(self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Result):
    """One version in a record's history. `restricted_since`: it was corrected, and is not read any more."""

    version: int
    version_id: str
    state: str
    created_at: datetime
    categories: tuple[str, ...]
    entry: str
    restricted_since: datetime | None = None
    stale_since: datetime | None = None


def _lines(found: list[Mapping[str, Any]]) -> tuple[Line, ...]:
    return tuple(Line.of(one) for one in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Result):
    """A record's versions, newest first."""

    _read: ClassVar[Readers] = {"items": _lines}

    items: tuple[Line, ...]
    next: str | None
    withheld: int
    entry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Result):
    """A decision that was opened."""

    id: str
    purpose: str
    opened_at: datetime
    entry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed(Result):
    """A decision that takes no more accesses; `accesses`: how many it had."""

    id: str
    outcome: str
    sealed_at: datetime
    accesses: int
    entry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(Result):
    """A decision and what it read, without content."""

    id: str
    principal: str
    purpose: str
    subject: str | None
    state: Literal["open", "sealed"]
    opened_at: datetime
    sealed_at: datetime | None
    outcome: str | None
    seal_entry: str | None
    accesses: tuple[Mapping[str, Json], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Result):
    """What a decision saw: each item with its content, or as a tombstone. `entry`: of this access."""

    decision: str
    items: tuple[Mapping[str, Json], ...]
    entry: str = ""
