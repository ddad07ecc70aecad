"""Metrics for Prometheus: what this process did and how it stands. No credential, like the probes.

Nothing is labelled by tenant: thousands of them would be thousands of series, and who is a customer is
nobody's business. An alarm names its check and table; `tenure doctor` and the server's log name the row.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from litestar import get
from litestar.types import ASGIApp

from tenure.batcher import SIZES
from tenure.http.auth import Call, tenure_of
from tenure.http.reply import Reply
from tenure.limiting import LIMITS

if TYPE_CHECKING:
    from prometheus_client import Metric

    from tenure.bootstrap import Tenure

_TEXT = b"text/plain; version=0.0.4; charset=utf-8"
_SECOND = 1_000_000
_PATIENCE_S = 2.0


class Snapshot:
    """A collector over one cell: its plain counters as metric families, made anew for each scrape."""

    def __init__(
        self,
        tenure: "Tenure",
        backlog: dict[str, int] | None,
        reviews: tuple[int, int] | None = None,
        jobs: dict[str, tuple[int | None, int]] | None = None,
        stored: dict[str, int] | None = None,
        notices: tuple[int, int | None, int] | None = None,
        asked: tuple[int, int] | None = None,
    ) -> None:
        """`backlog` of `Shredder.backlog`, `reviews` of `Breakglass.waiting`, `jobs` of `Jobs.standing`.

        `stored` of `Storage.standing`, `notices` of `Notices.waiting`, `asked` of
        `RightsRequests.waiting`. None: no answer.
        """
        self._tenure = tenure
        self._backlog = backlog
        self._reviews = reviews
        self._jobs = jobs or {}
        self._stored = stored or {}
        self._notices = notices
        self._asked = asked

    def collect(self) -> "Iterator[Metric]":
        """Every family (prometheus_client, "Custom Collectors")."""
        yield from self._operations()
        yield from self._limits()
        yield from self._ledger()
        yield from self._erasures()
        yield from self._breakglass()
        yield from self._noticed()
        yield from self._requested()
        yield from self._scheduled()
        yield from self._storage()
        yield from self._inspection()

    def _operations(self) -> "Iterator[Metric]":
        from prometheus_client.core import (  # noqa: PLC0415 - only whoever scrapes needs it
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        batcher = self._tenure.batcher
        outcomes = CounterMetricFamily(
            "tenure_operations", "Operations answered, by outcome or kind of error.", labels=["outcome"]
        )
        for outcome, count in sorted(batcher.tally.outcomes.items()):
            outcomes.add_metric([outcome], count)
        yield outcomes
        sizes = HistogramMetricFamily("tenure_batch_size", "Operations that shared a transaction.")
        below, buckets = 0, []
        for size in SIZES:
            below += batcher.tally.sizes[size]
            buckets.append((str(float(size)), below))
        sizes.add_metric([], [*buckets, ("+Inf", below)], batcher.tally.operations)
        yield sizes
        yield GaugeMetricFamily(
            "tenure_operations_waiting", "Operations that wait for a transaction.", batcher.waiting
        )

    def _limits(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - see above

        gate = self._tenure.gate
        refused = CounterMetricFamily(
            "tenure_requests_refused", "Requests answered with 429, by the limit.", labels=["limit"]
        )
        for limit in LIMITS:
            refused.add_metric([limit], gate.refusals[limit])
        yield refused
        yield GaugeMetricFamily("tenure_processes", "Processes that share the limits.", gate.share)

    def _ledger(self) -> "Iterator[Metric]":
        from prometheus_client.core import (  # noqa: PLC0415 - see above
            CounterMetricFamily,
            SummaryMetricFamily,
        )

        tally = self._tenure.sequencer.tally
        for name, text, count in (
            ("tenure_entries_appended", "Ledger entries committed.", self._tenure.batcher.entries),
            ("tenure_entries_placed", "Ledger entries given their place.", tally.placed),
            ("tenure_checkpoints_published", "Checkpoints published.", tally.published),
            ("tenure_sequencing_failed", "Attempts to sequence a log that failed.", tally.failed),
        ):
            yield CounterMetricFamily(name, text, count)
        yield SummaryMetricFamily(
            "tenure_publish_lag_seconds",
            "From commit to published.",
            count_value=tally.lags,
            sum_value=tally.lag_s,
        )
        yield _time("tenure_published_time_seconds", "When a checkpoint was published last.", tally.last_at)
        asked = CounterMetricFamily(
            "tenure_witness_answers", "What witnesses answered.", labels=["witness", "outcome"]
        )
        witnesses = self._tenure.witnesses
        for (name, outcome), count in sorted(witnesses.counts.items()) if witnesses is not None else ():
            asked.add_metric([name, outcome], count)
        yield asked

    def _erasures(self) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see above

        family = GaugeMetricFamily(
            "tenure_erasures_unfinished",
            "Erasures in batches under way, by the batch's state; waiting: tenants in which somebody waits.",
            labels=["state"],
        )
        for state, count in sorted((self._backlog or {}).items()):
            family.add_metric([state], count)
        yield family
        answers = GaugeMetricFamily("tenure_database_up", "Whether the database answered this scrape.")
        answers.add_metric([], float(self._backlog is not None))
        yield answers

    def _breakglass(self) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see above

        waiting, overdue = self._reviews or (None, None)
        yield GaugeMetricFamily(
            "tenure_breakglass_reviews_waiting",
            "Elevations to roles for emergencies that run or are to be reviewed.",
            waiting,
        )
        yield GaugeMetricFamily(
            "tenure_breakglass_reviews_overdue",
            "Of these, not reviewed in time: 0 is well. Until then their tenants approve none.",
            overdue,
        )

    def _requested(self) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see above

        waiting, overdue = self._asked or (None, None)
        yield GaugeMetricFamily("tenure_requests_open", "Rights requests whose clock runs.", waiting)
        yield GaugeMetricFamily(
            "tenure_requests_overdue", "Of these, not answered in time: 0 is well.", overdue
        )

    def _noticed(self) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see above

        waiting, oldest, dead = self._notices or (None, None, None)
        yield GaugeMetricFamily(
            "tenure_notices_waiting", "Notices to recipients that are to be sent.", waiting
        )
        yield GaugeMetricFamily(
            "tenure_notices_dead",
            "Notices that were given up: 0 is well. Somebody must tell these recipients.",
            dead,
        )
        yield _time("tenure_notices_oldest_time_seconds", "Since when the oldest of them waits.", oldest)

    def _scheduled(self) -> "Iterator[Metric]":
        from prometheus_client.core import (  # noqa: PLC0415 - see above
            CounterMetricFamily,
            GaugeMetricFamily,
            SummaryMetricFamily,
        )

        tally = self._tenure.jobs.tally
        runs = CounterMetricFamily(
            "tenure_job_runs", "Runs of jobs that ended in this process.", labels=["job", "outcome"]
        )
        for (job, outcome), count in sorted(tally.outcomes.items()):
            runs.add_metric([job, outcome], count)
        yield runs
        lengths = SummaryMetricFamily(
            "tenure_job_duration_seconds", "How long these runs took.", labels=["job"]
        )
        for job, seconds in sorted(tally.seconds.items()):
            lengths.add_metric([job], count_value=tally.runs(job), sum_value=seconds)
        yield lengths
        succeeded = GaugeMetricFamily(
            "tenure_job_success_time_seconds", "When a job went well last, in any process.", labels=["job"]
        )
        failures = GaugeMetricFamily(
            "tenure_job_failures", "Failures of a job in a row: 0 is well.", labels=["job"]
        )
        for job, (at, count) in sorted(self._jobs.items()):
            if at is not None:
                succeeded.add_metric([job], at / _SECOND)
            failures.add_metric([job], count)
        yield succeeded
        yield failures

    def _storage(self) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see above

        family = GaugeMetricFamily(
            "tenure_stored_bytes",
            "Ciphertext of all tenants, as the job 'storage' counted it last.",
            labels=["tier"],
        )
        for tier, size in sorted(self._stored.items()):
            family.add_metric([tier], size)
        yield family

    def _inspection(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - see above

        patrol = self._tenure.patrol
        standing = patrol.standing
        found = GaugeMetricFamily(
            "tenure_inspection_findings",
            "Stored rows that are not as they were written, until they are right again.",
            labels=["check", "table"],
        )
        for (check, table), count in sorted(patrol.counts().items()):
            found.add_metric([check, table], count)
        yield found
        yield GaugeMetricFamily(
            "tenure_inspection_alarms", "The same in all: 0 is well.", len(patrol.findings)
        )
        yield CounterMetricFamily("tenure_inspection_steps", "Pages inspected.", standing.steps)
        yield CounterMetricFamily(
            "tenure_inspection_passes", "Times that every row was seen.", standing.passes
        )
        for name, text, at in (
            ("tenure_inspection_run_time_seconds", "When it ran last.", standing.ran_at),
            (
                "tenure_inspection_pass_time_seconds",
                "When every row had been seen, last.",
                standing.passed_at,
            ),
            ("tenure_inspection_failure_time_seconds", "When it broke off, last.", standing.failed_at),
        ):
            yield _time(name, text, at)


def _time(name: str, text: str, at: int | None) -> "Metric":
    """A gauge of an instant in seconds since the epoch; without a sample when it never was."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see above

    return GaugeMetricFamily(name, text, None if at is None else at / _SECOND)


@get("/metrics", include_in_schema=False)
async def get_metrics(request: Call) -> ASGIApp:
    """The text format of Prometheus, of this process. Six short transactions."""
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - see above

    tenure = tenure_of(request)
    backlog, reviews, jobs, stored, notices, asked = None, None, None, None, None, None
    with suppress(Exception):  # that is what a scrape is to show
        async with asyncio.timeout(_PATIENCE_S):
            backlog = await tenure.shredder.backlog()
            reviews = await tenure.breakglass.waiting()
            jobs = await tenure.jobs.standing()
            stored = await tenure.storage.standing()
            notices = await tenure.notices.waiting()
            asked = await tenure.requests.waiting()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot(tenure, backlog, reviews, jobs, stored, notices, asked))
    return Reply(200, generate_latest(registry), _TEXT)


HANDLERS: list[Any] = [get_metrics]
