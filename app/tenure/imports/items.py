"""`tenure import store`: the items of one of LangGraph's stores go into a store here.

An item that is here already is left as it is: fine if it has the same value, refused if it has another. So an
import that was killed and is made again changes nothing, and neither does one that comes too late.
What has a time to live keeps what is left of it. When items were made and last written is not kept; what was
searched by meaning is found again once it is written again, by an agent that has the embedding function.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tenure.errors import Conflict, Invalid
from tenure.imports.journal import Journal
from tenure.imports.labels import Labeller, Place
from tenure.imports.report import Outcome, Report
from tenure.imports.run import Run, Shown, Skipped, Unit
from tenure.imports.sources import Database, wanted

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    OpenStore = Callable[[Place, tuple[str, ...]], BaseStore]
_COLUMNS: Final = ("prefix", "key", "value", "expires_at")
_PAGE: Final = 100
_SHOWN: Final = 12
EXPIRED: Final = "expired"


class Item(NamedTuple):
    """One item. `left`: minutes until it expires, not above zero once it has; None if it never does."""

    namespace: tuple[str, ...]
    key: str
    value: dict[str, Any]
    left: float | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A source of items."""

    database: Database

    def count(self) -> int:
        """How many there are."""
        return int(self.database.asked("SELECT count(*) FROM store")[0][0])

    def items(self) -> Iterator[Item]:
        """All of them, by namespace and key."""
        now = datetime.now(UTC)
        for prefix, key, value, expires in self.database.paged(
            ", ".join(_COLUMNS), "store", ["prefix", "key"], _PAGE
        ):
            left = None if expires is None else (_instant(expires) - now).total_seconds() / 60
            yield Item(tuple(prefix.split(".")), key, _parsed(value), left)


def open_stored(database: Database) -> Stored:
    """A store's items. Raises Invalid for a source without them."""
    wanted(database, "store", *_COLUMNS)
    return Stored(database)


def import_items(
    source: Stored,
    labeller: Labeller,
    journal: Journal,
    opened: "OpenStore | None",
    report: Report,
    shown: Shown,
    at_once: int,
) -> None:
    """Write every item. `opened` gives the store of a place, writing about these people; None for a dry run.

    The report is the caller's, who has it even when this is stopped by an error that it raises.
    """
    run = Run(report, shown, source.count(), at_once)
    run.each(
        Unit(
            f"item {number} ({journal.digest('item', *item.namespace, item.key)[:_SHOWN]})",
            _Work(item, labeller, journal, opened).taken,
        )
        for number, item in enumerate(source.items(), 1)
    )


@dataclass(frozen=True, slots=True)
class _Work:
    item: Item
    labeller: Labeller
    journal: Journal
    opened: "OpenStore | None"

    def taken(self) -> Outcome:
        item = self.item
        value = json.dumps(item.value, sort_keys=True)
        mark = ("item", *item.namespace, item.key, value)
        if self.journal.has(*mark):
            return Outcome.THERE
        if item.left is not None and item.left <= 0:
            raise Skipped(EXPIRED)
        document = {"namespace": list(item.namespace), "key": item.key, "value": item.value}
        skipped = self.labeller.skipped(document)
        if skipped is not None:
            raise Skipped(skipped)
        place, subjects = self.labeller.place(document), self.labeller.subjects([document])
        if self.opened is None:
            return Outcome.WRITTEN
        outcome = self._put(self.opened(place, subjects))
        self.journal.add(*mark)
        return outcome

    def _put(self, store: "BaseStore") -> Outcome:
        item = self.item
        there = store.get(item.namespace, item.key)
        if there is not None and there.value != item.value:
            raise Conflict(
                "An item of that key is here already, with another value; it was left as it is.",
                field="key",
                rule="an item that is new here, or has the same value",
                remedy="Import into another scope, or skip it.",
            )
        if there is not None:
            return Outcome.THERE
        try:
            if item.left is None:
                store.put(item.namespace, item.key, item.value, index=False)
            else:
                store.put(item.namespace, item.key, item.value, index=False, ttl=item.left)
        except (TypeError, ValueError) as failure:
            # What it says may hold the namespace.
            raise Invalid(
                f"The item cannot be written ({type(failure).__name__}).",
                field="namespace",
                rule="a namespace and a value that LangGraph's stores take",
                remedy="Leave it out: skip it.",
            ) from None
        return Outcome.WRITTEN


def _parsed(value: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON, parsed by the driver or not
    return value if isinstance(value, dict) else json.loads(value)


def _instant(given: datetime | str) -> datetime:
    """PostgreSQL's, or SQLite's text, which is UTC if it names no zone."""
    at = datetime.fromisoformat(given) if isinstance(given, str) else given
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
