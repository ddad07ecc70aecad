"""Numbers of one run: rates per leg, contender and number in flight, and what can be said about them."""

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """One round of one contender. `rate` per second, latencies in milliseconds.

    `cpu` is what the serving process computed for each operation, in microseconds: it tells a costly
    contender from a busy machine. The database's and the load generator's share is not in it.
    """

    rate: float
    p50: float
    p99: float
    cpu: float = 0.0


class Spread(NamedTuple):
    """Median, least and greatest."""

    mid: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


class Series(NamedTuple):
    """What is compared: a leg (`http`, `in process`), a contender, and how many were in flight."""

    leg: str
    contender: str
    in_flight: int


@dataclass
class Results:
    """Every round of every series, in the order in which they ran."""

    rounds: dict[Series, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    trips: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Operation → counted round trips."""

    def add(self, series: Series, sample: Sample) -> None:
        """Note one round."""
        self.rounds[series].append(sample)

    def rate(self, series: Series) -> Spread | None:
        """Operations per second over the rounds."""
        samples = self.rounds.get(series)
        return Spread.of([sample.rate for sample in samples]) if samples else None

    def ratio(self, one: Series, other: Series) -> Spread | None:
        """Round by round, so that what slows the machine for a while slows both sides of a quotient."""
        pairs = list(zip(self.rounds.get(one, []), self.rounds.get(other, []), strict=False))
        return Spread.of([mine.rate / theirs.rate for mine, theirs in pairs]) if pairs else None

    def as_json(self) -> dict[str, Any]:
        """For the file: the raw rounds, so that anyone can compute something else from them."""
        return {
            "rounds": [
                {**series._asdict(), "samples": [s._asdict() for s in samples]}
                for series, samples in self.rounds.items()
            ],
            "trips": self.trips,
        }
