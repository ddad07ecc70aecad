"""One import under way: each line, thread or item by itself, and what stops all of them."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, NamedTuple

from tenure.errors import (
    Denied,
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


class Unit(NamedTuple):
    """A line, a thread or an item: where it is, and what takes it.

    Of one `name` there is one at work at a time, in their order; None is nobody's name.
    """

    place: str
    work: Callable[[], Outcome]
    name: Hashable = None


class Run:
    """Takes unit by unit. Refusals end in the report; what would stop the next one is raised."""

    def __init__(self, report: Report, shown: Shown, total: int, at_once: int) -> None:
        """`at_once`: so many are at work together, as many share a commit of the service."""
        self.report = report
        self._shown, self._total, self._at_once = shown, total, at_once
        self._denied: Counter[tuple[str, str | None, str | None]] = Counter()
        self._seen = 0
        self._lock = threading.Lock()

    def each(self, units: Iterable[Unit]) -> None:
        """Take them all; how they ended is told in their order.

        Raises what stops the whole import, once what is at work has come to its end.
        """
        window: deque[tuple[Unit, Future[Outcome]]] = deque()
        with ThreadPoolExecutor(self._at_once, "tenure-import") as pool:
            try:
                for unit in units:
                    names = {other.name for other, _ in window} - {None}
                    while window and (len(window) >= self._at_once or unit.name in names):
                        self._end(*window.popleft())
                        names = {other.name for other, _ in window} - {None}
                    window.append((unit, pool.submit(unit.work)))
                while window:
                    self._end(*window.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def count(self, part: str, many: int) -> None:
        """So many parts of a unit were written, whatever becomes of the unit."""
        with self._lock:
            self.report.parts[part] += many

    def _end(self, unit: Unit, ended: Future[Outcome]) -> None:
        place = unit.place
        try:
            self.report.counts[ended.result()] += 1
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
            why = f"Nothing was taken, and {HOPELESS} were refused alike. {refusal.why}"
            remedy = refusal.remedy or "Correct the mapping, or grant it, and go on with --resume."
            self.report.stopped = replace(refusal, why=why, remedy=remedy)
            raise failure
