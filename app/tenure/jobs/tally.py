"""How runs went in this process since it began: plain counters, for metrics and lists."""

from collections import Counter
from typing import NamedTuple

from tenure.store.jobs import FAILED, OK, Result


class Ran(NamedTuple):
    """One run that is over. `at` is when it ended, by this process's clock, in microseconds."""

    result: Result
    at: int


class Tally:
    """Counts of runs by job. Used on the event loop only."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.seconds: dict[str, float] = {}
        self.last: dict[str, Ran] = {}
        self.failures: Counter[str] = Counter()
        """In a row, in this process."""
        self.succeeded_at: dict[str, int] = {}

    def note(self, name: str, ran: Ran) -> None:
        """A run is over."""
        outcome = ran.result.outcome
        self.outcomes[name, outcome] += 1
        self.seconds[name] = self.seconds.get(name, 0.0) + ran.result.duration_us / 1_000_000
        self.last[name] = ran
        if outcome == FAILED:
            self.failures[name] += 1
        elif outcome == OK:
            self.failures[name] = 0
            self.succeeded_at[name] = ran.at

    def runs(self, name: str) -> int:
        """How many runs of a job are over here."""
        return sum(count for (job, _), count in self.outcomes.items() if job == name)
