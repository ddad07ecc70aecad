"""Jobs that run once in the cell, on both databases: claimed, repeated, given up, gone on with."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog
from apscheduler.executors import base as executors
from apscheduler.schedulers import base as schedulers
from apscheduler.triggers import interval

from support.cell import Cell, crash
from support.databases import DATABASES
from tenure.errors import Conflict, NotFound, Unavailable
from tenure.ids import CELL
from tenure.jobs import reports, runner
from tenure.jobs.job import GivenUp, Job, Run
from tenure.jobs.reports import Reports
from tenure.jobs.runner import LOST, Runner
from tenure.jobs.schedule import Schedule
from tenure.jobs.tally import Ran, Tally
from tenure.store import jobs
from tenure.store.database import Database
from tenure.store.jobs import FAILED, OK, STOPPED, Result, Row

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]
DAY_S, DAY_US, SECOND = 86_400.0, 86_400_000_000, 1_000_000
LEASE_S = 0.5
INSTANTS = ("lease_until", "started_at", "finished_at", "succeeded_at")


@pytest.fixture
def database(place: Cell) -> Iterator[Database]:
    opened = Database(place.settings.database)
    yield opened
    opened.close()


class Process:
    """What a process has of jobs, with one job of its own making."""

    def __init__(
        self,
        database: Database,
        verb: Callable[[Run], Awaitable[Any]],
        *others: Job,
        tag: str = "00000001",
        every_s: float = DAY_S,
    ) -> None:
        self.tally = Tally()
        mine = Job("retention", every_s, verb, single=True, describe="What the test says")
        self.runner = Runner([mine, *others], database, tag, self.tally, lease_s=LEASE_S)

    async def looked(self) -> list[str]:
        """Look, and wait for what came of it: outcomes of `retention`, in this process, so far."""
        await self.runner.look()
        await self.idle()
        return self.outcomes()

    async def idle(self) -> None:
        while running := list(self.runner._running.values()):
            await asyncio.wait(running)

    def outcomes(self) -> list[str]:
        counted = self.tally.outcomes
        return sorted(
            outcome for (job, outcome), n in counted.items() for _ in range(n) if job == "retention"
        )


async def nothing(_run: Run) -> None:
    """There is nothing to do."""


async def never(_run: Run) -> None:
    raise AssertionError("it was not due")


def row(database: Database, name: str = "retention") -> Row:
    return database.read(CELL, jobs.every)[name]


def moved(place: Cell, seconds: float, *columns: str) -> None:
    """As if the database's clock had been another one: every instant of every job later by so much."""
    sets = ", ".join(f"{name} = {name} + {int(seconds * SECOND)}" for name in columns or INSTANTS)
    place.change(f"UPDATE jobs SET {sets}")


def claimed(database: Database, holder: str, seen: Row | None, lease_us: int = SECOND) -> int | None:
    return database.write(
        CELL,
        lambda tx: jobs.claim(tx, "retention", holder, seen=seen, every_us=DAY_US, lease_us=lease_us),
    )


# ── the row ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
def test_of_many_that_saw_the_same_row_one_claims(database: Database) -> None:
    def at_once(seen: Row | None) -> list[int]:
        won: list[int | None] = []

        def one(holder: str) -> None:
            won.append(claimed(database, holder, seen))

        threads = [threading.Thread(target=one, args=(str(n),)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [number for number in won if number is not None]

    assert at_once(None) == [1]
    assert at_once(row(database)) == [2]
    assert row(database).runs == 2


@pytest.mark.databases(*DATABASES)
def test_a_claim_is_renewed_until_it_runs_out_and_never_after(place: Cell, database: Database) -> None:
    number = claimed(database, "a", None)
    assert number == 1
    first = row(database)
    assert (first.holder, first.outcome, first.finished_at) == ("a", None, None)
    assert first.at < first.lease_until <= first.at + SECOND

    def renew(number: int) -> bool:
        return database.write(CELL, lambda tx: jobs.renew(tx, "retention", number, lease_us=9 * SECOND))

    assert renew(1)
    assert row(database).lease_until > first.lease_until
    assert not renew(2)
    place.change("UPDATE jobs SET lease_until = started_at - 1")
    assert not renew(1), "it had run out, though nobody else has the job"


@pytest.mark.databases(*DATABASES)
def test_who_was_taken_over_from_holds_nothing_and_says_nothing(database: Database) -> None:
    assert claimed(database, "a", None, lease_us=0) == 1
    assert claimed(database, "b", row(database)) == 2
    done = Result(OK, None, 5, {"packed": 1})
    assert not database.write(CELL, lambda tx: jobs.holds(tx, "retention", 1))
    assert not database.write(CELL, lambda tx: jobs.finish(tx, "retention", 1, done))
    assert row(database).failures == 1, "what nobody finished counts"
    assert database.write(CELL, lambda tx: jobs.holds(tx, "retention", 2))
    assert database.write(CELL, lambda tx: jobs.finish(tx, "retention", 2, done))
    ended = row(database)
    assert (ended.outcome, ended.failures, ended.lease_until) == (OK, 0, 0)
    assert (ended.duration_us, json.loads(ended.counts)) == (5, {"packed": 1})
    assert ended.succeeded_at is not None
    assert not database.write(CELL, lambda tx: jobs.holds(tx, "retention", 2)), "it is over"


@pytest.mark.databases(*DATABASES)
def test_a_tenants_transaction_asks_for_the_claim_and_goes_on_as_the_tenants(
    place: Cell, database: Database
) -> None:
    assert claimed(database, "a", None) == 1
    mine, anothers = Run("retention", 1), Run("retention", 2)

    def work(run: Run) -> Callable[[Any], str]:
        def inside(tx: Any) -> str:
            run.confirm(tx)
            return str(tx.tenant_id)

        return inside

    assert database.write(place.one.id, work(mine)) == place.one.id
    with pytest.raises(GivenUp):
        database.write(place.one.id, work(anothers))
    assert database.write(place.one.id, work(Run("shred"))) == place.one.id, "has no claim to lose"


@pytest.mark.databases(*DATABASES)
def test_nobody_takes_over_before_a_transaction_that_confirmed_has_ended(
    place: Cell, database: Database
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("a file has one writer")
    assert claimed(database, "a", None, lease_us=0) == 1
    seen, won = row(database), []
    taking = threading.Thread(target=lambda: won.append(claimed(database, "b", seen)))

    def work(tx: Any) -> None:
        Run("retention", 1).confirm(tx)
        taking.start()
        taking.join(0.5)
        assert taking.is_alive(), "it waits"

    database.write(place.one.id, work)
    taking.join()
    assert won == [2]


# ── runs ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_it_runs_once_and_not_again_after_a_restart(place: Cell, database: Database) -> None:
    async def pack(_run: Run) -> dict[str, int]:
        return {"packed": 3}

    assert await Process(database, pack).looked() == [OK]
    found = row(database)
    assert (found.runs, found.outcome, found.failures) == (1, OK, 0)
    assert (json.loads(found.counts), found.every_us, found.holder) == ({"packed": 3}, DAY_US, "00000001")
    assert await Process(database, never, tag="00000002").looked() == []
    moved(place, -DAY_S - 61)
    assert await Process(database, pack, tag="00000003").looked() == [OK]
    moved(place, -40 * DAY_S)
    late = Process(database, pack, tag="00000004")
    assert await late.looked() == [OK]
    assert await late.looked() == [OK], "forty days off the air are one run"


@pytest.mark.databases(*DATABASES)
async def test_processes_that_look_at_once_run_it_once(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("a file has one process")
    ran: list[str] = []

    async def slowly(run: Run) -> None:
        ran.append(run.name)
        await asyncio.sleep(0.1)

    processes = [Process(database, slowly, tag=f"0000000{n}") for n in range(4)]
    await asyncio.gather(*(one.looked() for one in processes))
    assert ran == ["retention"]


async def test_a_job_that_fails_waits_longer_each_time_and_recovers(place: Cell, database: Database) -> None:
    broken = True

    async def verb(_run: Run) -> dict[str, int]:
        if broken:
            raise Unavailable("The bucket of customer:42 does not answer.")
        return {"packed": 1}

    process = Process(database, verb)
    for failures, wait_s in enumerate((10, 20, 40), 1):
        await process.looked()
        found = row(database)
        assert (found.outcome, found.error, found.failures) == (FAILED, "unavailable", failures)
        moved(place, -wait_s + 2)
        await process.looked()
        assert row(database).runs == failures, "not yet"
        moved(place, -wait_s * 0.1 - 3)
    broken = False
    assert await process.looked() == [FAILED, FAILED, FAILED, OK]
    found = row(database)
    assert (found.outcome, found.error, found.failures, found.runs) == (OK, None, 0, 4)


async def test_what_raises_leaves_everything_else_going(database: Database) -> None:
    async def bug(_run: Run) -> None:
        raise KeyError("customer:42")

    async def wrong(_run: Run) -> Any:
        return {"customer:42": 1}

    jobs_ = [
        Job(name, DAY_S, verb, single=True, describe="") for name, verb in (("b", wrong), ("c", nothing))
    ]
    process = Process(database, bug, *jobs_)
    with structlog.testing.capture_logs() as log:
        await process.looked()
    assert [(one.name, one.outcome, one.error) for one in database.read(CELL, jobs.every).values()] == [
        ("b", FAILED, "ValueError"),
        ("c", OK, None),
        ("retention", FAILED, "KeyError"),
    ]
    assert {(one["event"], one.get("job"), one.get("error")) for one in log} == {
        ("a job failed, will be repeated", "b", "ValueError"),
        ("a job failed, will be repeated", "retention", "KeyError"),
    }


async def test_nothing_of_anybody_is_in_rows_and_log(place: Cell, database: Database) -> None:
    async def bug(_run: Run) -> None:
        raise ValueError("Ada Lovelace, customer of ours")

    with structlog.testing.capture_logs() as log:
        await Process(database, bug).looked()
    told = repr(log) + repr(place.rows("SELECT * FROM jobs"))
    assert "ValueError" in told
    assert not [word for word in ("Ada", "customer") if word in told]


@pytest.mark.databases(*DATABASES)
async def test_a_stop_gives_the_run_up_and_the_next_one_begins_at_once(database: Database) -> None:
    began = asyncio.Event()

    async def long(_run: Run) -> None:
        began.set()
        await asyncio.sleep(60)

    process = Process(database, long)
    await process.runner.look()
    await began.wait()
    with structlog.testing.capture_logs() as log:
        process.runner.stop()
        await process.runner.ended()
    assert [(one["event"], one["log_level"]) for one in log] == [("stopped while a job ran", "info")]
    found = row(database)
    assert (found.outcome, found.error, found.failures, found.lease_until) == (STOPPED, None, 0, 0)
    await process.runner.look()
    assert not process.runner._running, "it is stopped"
    assert await Process(database, nothing, tag="00000002").looked() == [OK]
    assert row(database).runs == 2


async def test_a_stop_waits_for_work_in_a_thread_before_the_claim_is_given_back(database: Database) -> None:
    steps: list[Row] = []
    began = threading.Event()

    def work(run: Run) -> None:
        for _ in range(1000):
            run.check()
            began.set()
            time.sleep(0.1)
            steps.append(row(database))

    async def verb(run: Run) -> None:
        await run.in_thread(work, run)

    process = Process(database, verb)
    await process.runner.look()
    await asyncio.to_thread(began.wait)
    process.runner.stop()
    await process.runner.ended()
    done = len(steps)
    assert steps
    assert {one.outcome for one in steps} == {None}, "it was claimed as long as the thread worked"
    assert row(database).outcome == STOPPED
    await asyncio.sleep(0.2)
    assert len(steps) == done


@pytest.mark.databases(*DATABASES)
async def test_whoever_loses_the_claim_is_ended_and_changes_nothing_in_the_row(
    place: Cell, database: Database
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("a file has one process")
    began, ended = asyncio.Event(), []

    async def long(_run: Run) -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    first = Process(database, long)
    await first.runner.look()
    await began.wait()
    number = claimed(database, "00000002", row(database))
    while number is None:  # it was renewed in between
        number = claimed(database, "00000002", row(database))
    await first.idle()
    assert (ended, first.outcomes()) == (["cancelled"], [LOST])
    found = row(database)
    assert (found.runs, found.holder, found.outcome) == (2, "00000002", None)
    assert place.rows("SELECT count(*) FROM jobs") == [(1,)]


@pytest.mark.databases(*DATABASES)
async def test_a_run_is_renewed_as_long_as_it_takes(database: Database) -> None:
    async def long(run: Run) -> None:
        for _ in range(12):
            await asyncio.sleep(LEASE_S / 4)
            run.check()

    first, second = Process(database, long), Process(database, never, tag="00000002")
    if database.dialect == "sqlite":
        second = first
    await first.runner.look()
    while first.runner._running:
        await second.runner.look()
        await asyncio.sleep(0.05)
    assert first.outcomes() == [OK]
    assert second.outcomes() == ([OK] if second is first else [])


# ── clocks ────────────────────────────────────────────────────────────────────────────────────────
async def test_a_clock_set_back_neither_stops_a_job_nor_doubles_it(place: Cell, database: Database) -> None:
    assert await Process(database, nothing).looked() == [OK]
    moved(place, 300 * DAY_S)  # what the row says is ten months ahead
    process = Process(database, nothing, tag="00000002")
    assert await process.looked() == [OK]
    assert await process.looked() == [OK], "once"
    found = row(database)
    assert found.started_at is not None
    assert found.started_at <= found.at


@pytest.mark.databases(*DATABASES)
async def test_a_claim_from_before_the_clock_was_set_back_ends(place: Cell, database: Database) -> None:
    assert claimed(database, "0000dead", None) == 1
    moved(place, 300 * DAY_S)
    process = Process(database, nothing)
    looks = 0
    while not await process.looked():
        looks += 1
        await asyncio.sleep(0.05)
    assert process.outcomes() == [OK]
    assert database.dialect == "sqlite" or looks >= 2, "it was watched for a lease first"


async def test_triggers_go_on_when_the_time_of_day_is_set_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = 0
    again = asyncio.Event()

    async def verb(_run: Run) -> None:
        nonlocal ran
        ran += 1
        again.set()

    tally = Tally()
    job = Job("rederive", 0.1, verb, single=False, describe="")
    schedule = Schedule(
        [job],
        Runner([], database, "00000001", tally, lease_s=LEASE_S),
        tally,
        Reports(database, "00000001", tally),
        at_once=False,
        looks=True,
    )
    schedule.start()
    try:
        await asyncio.wait_for(again.wait(), 20)
        real, real_now = time.time, datetime

        class Earlier(real_now):  # type: ignore[misc, valid-type]
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return real_now.fromtimestamp(time.time(), tz)

        monkeypatch.setattr(time, "time", lambda: real() - 3600)
        for module in (schedulers, executors, interval):  # the clock of APScheduler, wherever it looks at it
            monkeypatch.setattr(module, "datetime", Earlier)
        await asyncio.sleep(0.3)
        for _ in range(3):
            again.clear()
            await asyncio.wait_for(again.wait(), 20)
    finally:
        schedule.stop()
    assert ran > 3


# ── what each process has for itself ──────────────────────────────────────────────────────────────
async def test_jobs_of_each_process_are_told_when_it_changes_and_now_and_then(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = Tally()
    mine = Reports(database, "00000001", tally)
    job = Job("rederive", 5, nothing, single=False, describe="")

    async def over(outcome: str, error: str | None = None) -> None:
        ran = Ran(Result(outcome, error, 7, {}), 1)
        tally.note(job.name, ran)
        await mine.tell(job, ran)

    def said() -> tuple[Any, ...] | None:
        found = database.read(CELL, jobs.every).get("rederive")
        return found and (found.outcome, found.error, found.runs, found.failures)

    await over(OK)
    assert said() is None, "all is well, and nobody needs to know each second"
    await over(FAILED, "unavailable")
    assert said() == (FAILED, "unavailable", 2, 1)
    await over(FAILED, "unavailable")
    assert said() == (FAILED, "unavailable", 2, 1)
    await over(FAILED, "unavailable")
    assert said() == (FAILED, "unavailable", 4, 3)
    await over(OK)
    assert said() == (OK, None, 5, 0)
    monkeypatch.setattr(reports, "EVERY_S", 0.0)
    await over(OK)
    assert said() == (OK, None, 6, 0)


async def test_a_failure_in_one_does_not_stop_the_others(cell: Cell) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cell.tenure.shredder, "run", nothing)  # takes an argument that is not given
        ran = await cell.tenure.jobs.run(cell.operator, "shred")
        assert (ran["outcome"], ran["error"]) == ("failed", "TypeError")
    assert (await cell.tenure.jobs.run(cell.operator, "rederive"))["outcome"] == "ok"
    assert (await cell.tenure.jobs.run(cell.operator, "shred"))["outcome"] == "ok"


# ── the operator ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_the_operator_sees_and_runs_jobs(cell: Cell) -> None:
    items = {one["name"]: one for one in (await cell.tenure.jobs.every(cell.operator))["items"]}
    assert [*items] == ["evict", "notify", "rederive", "requests", "shred", "storage"]
    assert items["shred"]["outcome"] is None
    await cell.put("k", 1, "customer:1")
    shred = await cell.request("customer:1")
    ran = await cell.tenure.jobs.run(cell.operator, "shred")
    assert (ran["name"], ran["outcome"], ran["error"]) == ("shred", "ok", None)
    assert (await cell.erasure(shred))["certificate"]
    items = {one["name"]: one for one in (await cell.tenure.jobs.every(cell.operator))["items"]}
    shown = items["shred"]
    assert (shown["state"], shown["outcome"], shown["runs"]) == ("waiting", "ok", 1)
    assert shown["started_at"] < shown["finished_at"] < shown["next_at"]
    with pytest.raises(NotFound):
        await cell.tenure.jobs.run(cell.operator, "no-such-job")


@pytest.mark.databases(*DATABASES)
async def test_a_run_by_hand_takes_the_same_claim(
    place: Cell, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go, calls = asyncio.Event(), asyncio.Event(), []

    async def verb(run: Run) -> dict[str, int]:
        calls.append(run.number)
        began.set()
        await go.wait()
        return {"packed": 2}

    job = Job("retention", DAY_S, verb, single=True, describe="What the test says")
    async with place.opened() as tenure:
        monkeypatch.setitem(tenure._schedule.jobs, "retention", job)
        monkeypatch.setitem(tenure._schedule._runner._jobs, "retention", job)
        asked = [asyncio.create_task(tenure.jobs.run(place.operator, "retention")) for _ in range(2)]
        await began.wait()
        shown = (await tenure.jobs.every(place.operator))["items"]
        assert [(one["state"], one["next_at"]) for one in shown if one["name"] == "retention"] == [
            ("running", None)
        ]
        go.set()
        for ran in await asyncio.gather(*asked):
            assert (ran["outcome"], ran["counts"]) == ("ok", {"packed": 2})
        assert calls == [1], "who asks while it runs here waits for that run"
        await tenure.jobs.run(place.operator, "retention")
        assert calls == [1, 2], "due or not"
        if database.dialect == "postgresql":
            assert claimed(database, "another", row(database), lease_us=60 * SECOND) == 3
            with pytest.raises(Conflict):
                await tenure.jobs.run(place.operator, "retention")


async def test_only_where_it_is_wanted_a_process_takes_jobs_of_the_cell(
    place: Cell, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOOK_S", 0.05)
    ran = asyncio.Event()

    async def stamp(_tenure: object, _run: Run) -> None:
        ran.set()

    monkeypatch.setattr("tenure.bootstrap.Tenure._stamp", stamp)
    monkeypatch.setattr("tenure.bootstrap.planned", lambda _settings: {"timestamps": DAY_S})
    async with place.opened(cell_jobs=False):
        await asyncio.sleep(0.3)
        assert not ran.is_set()
        assert place.rows("SELECT count(*) FROM jobs") == [(0,)]
    async with place.opened(cell_jobs=True):
        await asyncio.wait_for(ran.wait(), 20)
    assert row(database, "timestamps").outcome == OK


@pytest.mark.databases(*DATABASES)
async def test_the_end_of_a_process_is_the_end_of_its_runs(
    place: Cell, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOOK_S", 0.05)
    began = asyncio.Event()

    async def stamp(_tenure: object, _run: Run) -> None:
        began.set()
        await asyncio.sleep(60)

    monkeypatch.setattr("tenure.bootstrap.Tenure._stamp", stamp)
    monkeypatch.setattr("tenure.bootstrap.planned", lambda _settings: {"timestamps": DAY_S})
    for runs in (1, 2):
        async with place.opened(cell_jobs=True):
            await asyncio.wait_for(began.wait(), 20)
            assert row(database, "timestamps").runs == runs, "not before, and at once after it was stopped"
        assert row(database, "timestamps").outcome == STOPPED
        began.clear()
    left = await place.crashing(cell_jobs=True)
    await asyncio.wait_for(began.wait(), 20)
    await crash(left)
    assert row(database, "timestamps").runs == 3
