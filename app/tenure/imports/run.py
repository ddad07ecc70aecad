"""One import under way: each line, thread or item by itself, and what stops all of them."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from tenure.errors import (
    Denied,
    Invalid,
    KeyFailure,
    NotFound,
    QuotaExceeded,
    TenureError,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from tenure.imports.report import Outcome, Refusal, Report

Shown = Callable[[str, int, int], Any]
"""Progress: what, how many are done, of how many."""
HOPELESS: Final = 20
"""So many refusals by the service with the same reason, and nothing taken: the rest would be refused, too."""
_STOPS = (Unauthenticated, Unavailable, QuotaExceeded, Unsupported, KeyFailure)


class Skipped(Exception):
    """Left out, by the mapping's rule of that name or for what the source itself says."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class Run:
    """Takes what is given, one by one. Refusals end in the report; what would stop the next one is raised."""

    def __init__(self, report: Report, shown: Shown, total: int) -> None:
        self.report = report
        self._shown, self._total = shown, total
        self._denied: Counter[tuple[str, str | None, str | None]] = Counter()
        self._seen = 0

    def take(self, place: str, work: Callable[[], Outcome]) -> None:
        """Do it and count how it ended. Raises what stops the whole import."""
        try:
            self.report.counts[work()] += 1
        except Skipped as skipped:
            self.report.counts[Outcome.SKIPPED] += 1
            self.report.skipped[skipped.rule] += 1
        except TenureError as failure:
            if isinstance(failure, _STOPS) or type(failure) is TenureError:
                self.report.stopped = Refusal.of(place, failure)
                raise
            self.report.refuse(Refusal.of(place, failure))
            self._give_up(place, failure)
        self._seen += 1
        self._shown(self.report.unit, self._seen, self._total)

    def _give_up(self, place: str, failure: TenureError) -> None:
        """A missing grant must not become a million denials in the ledger."""
        taken = self.report.counts[Outcome.WRITTEN] + self.report.counts[Outcome.THERE]
        if taken or not isinstance(failure, Denied | NotFound):
            return
        refusal = Refusal.of(place, failure)
        self._denied[refusal.alike] += 1
        if self._denied[refusal.alike] >= HOPELESS:
            self.report.stopped = refusal
            raise Invalid(
                f"Nothing was taken, and {HOPELESS} were refused alike: {failure.detail}",
                field=failure.field,
                rule=failure.rule,
                remedy=failure.remedy or "Correct the mapping, or grant it, and go on with --resume.",
            )
