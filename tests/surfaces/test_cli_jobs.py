"""`tenure jobs`, and what `tenure doctor` and `/metrics` say of jobs."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_cli_keeping import run
from test_http_server import serving

from support.cell import Cell
from tenure.cli.embedded import open_cell
from tenure.errors import Unavailable
from tenure.governance.rederive import Rederivations
from tenure.ids import CELL
from tenure.jobs import runner
from tenure.settings import Settings
from tenure.store import jobs
from tenure.store.database import Database
from tenure.store.jobs import FAILED, OK, Result

DAY_US = 86_400_000_000


@pytest.fixture
def database(place: Cell) -> Iterator[Database]:
    opened = Database(place.settings.database)
    yield opened
    opened.close()


def told(database: Database, name: str, outcome: str, *, failures: int = 0, every_us: int = DAY_US) -> None:
    result = Result(outcome, "unavailable" if outcome == FAILED else None, 5, {})
    database.write(
        CELL,
        lambda tx: jobs.report(tx, name, "0000aaaa", result, every_us=every_us, runs=1, failures=failures),
    )


def as_operator(cell: Cell, *arguments: str, code: int = 0) -> str:
    found = run(cell, *arguments, api_key=cell.operator_key)
    assert found.exit_code == code, found.output
    return str(found.output)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_lists_what_happens_by_itself(place: Cell) -> None:
    found = json.loads(as_operator(place, "jobs", "--json"))["items"]
    assert [(one["name"], one["single"]) for one in found] == [
        ("evict", True),
        ("inspect", False),
        ("notify", False),
        ("packages", True),
        ("rederive", False),
        ("requests", False),
        ("retrieve", True),
        ("rights", True),
        ("shred", False),
        ("storage", True),
        ("tier", True),
    ]
    assert {one["state"] for one in found} == {"waiting"}
    shown = as_operator(place, "jobs")
    for words in ("Takes waiting erasures", "inspect", "30 s", "never ran", "each process"):
        assert words in shown


def test_runs_one_and_says_how_it_went(place: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_operator(place, "jobs", "run", "rederive") == "rederive: ok\n"
    ran = json.loads(as_operator(place, "jobs", "run", "shred", "--json"))
    assert (ran["name"], ran["outcome"], ran["error"], ran["counts"]) == ("shred", "ok", None, {})

    async def fails(_self: object) -> None:
        raise Unavailable("customer:42 cannot be reached")

    monkeypatch.setattr(Rederivations, "run", fails)
    said = as_operator(place, "jobs", "run", "rederive", code=1)
    assert "rederive: failed (unavailable)" in said
    assert "customer" not in said
    shown = json.loads(as_operator(place, "jobs", "--json"))["items"]
    assert {one["name"]: (one["outcome"], one["error"], one["failures"]) for one in shown}["rederive"] == (
        "failed",
        "unavailable",
        1,
    ), "a failure is on record for the next process"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_no_job_of_that_name_is_a_no_with_a_remedy(place: Cell) -> None:
    error = json.loads(as_operator(place, "jobs", "run", "nonsense", "--json", code=1))["error"]
    assert (error["kind"], error["field"]) == ("not-found", "name")
    assert "tenure jobs" in error["remedy"]


@pytest.mark.parametrize("arguments", [("jobs",), ("jobs", "run", "rederive")])
@pytest.mark.parametrize("who", ["admin", "dpo", "auditor", "agent"])
def test_is_the_operators_alone(embedded: Cell, arguments: tuple[str, ...], who: str) -> None:
    found = run(embedded, *arguments, "--json", api_key=embedded.one.keys[who])
    assert found.exit_code == 1
    error = json.loads(found.stdout)["error"]
    assert error["kind"] == "denied"
    assert "Only the built-in role operator in the cell itself may" in error["remedy"]
    assert run(embedded, *arguments).exit_code == 2, "whose rights?"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_command_leaves_the_cells_jobs_to_whoever_serves(
    place: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would begin one of hours and give it up a moment later."""
    began = []

    async def stamp(_tenure: object, run: object) -> None:
        began.append(run)

    monkeypatch.setattr(runner, "LOOK_S", 0.02)
    monkeypatch.setattr("tenure.bootstrap.Tenure._stamp", stamp)
    monkeypatch.setattr("tenure.bootstrap.planned", lambda _settings: {"timestamps": 3600.0})

    async def for_a_while(settings: Settings) -> None:
        async with open_cell(settings):
            await asyncio.sleep(0.5)

    asyncio.run(for_a_while(place.settings.model_copy(update={"cell_jobs": True})))
    assert not began
    assert place.rows("SELECT count(*) FROM jobs") == [(0,)]
    assert as_operator(place, "jobs", "run", "timestamps") == "timestamps: ok\n"
    assert len(began) == 1, "but for one that is asked for"


# ── doctor ────────────────────────────────────────────────────────────────────────────────────────
def of_jobs(cell: Cell) -> list[tuple[str, str, str]]:
    found = run(cell, "doctor", "--quick", "--json")
    assert found.exit_code == 0, found.output
    checks = json.loads(found.stdout)["checks"]
    return [(one["state"], one["detail"], one["remedy"]) for one in checks if one["check"] == "jobs"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_doctor_tells_of_a_job_that_failed_thrice(place: Cell, database: Database) -> None:
    told(database, "rederive", FAILED, failures=2)
    assert of_jobs(place) == [("ok", "nobody serves this cell now", "")]
    told(database, "rederive", FAILED, failures=3)
    [(state, detail, remedy)] = of_jobs(place)
    assert state == "warning"
    assert detail == "rederive failed or was left 3 times in a row, the last time with unavailable"
    assert "tenure jobs run rederive" in remedy
    told(database, "rederive", OK)
    assert [state for state, *_ in of_jobs(place)] == ["ok"]


async def _beside(cell: Cell) -> list[tuple[str, str, str]]:
    async with cell.opened():
        return await asyncio.to_thread(of_jobs, cell)


def test_doctor_tells_of_a_job_that_nobody_runs_while_the_cell_is_served(
    place: Cell, database: Database
) -> None:
    told(database, "rederive", OK)
    assert asyncio.run(_beside(place)) == [("ok", "none fails again and again, none is overdue", "")]
    place.change(f"UPDATE jobs SET started_at = started_at - {5 * DAY_US}")
    told(database, "timestamps", FAILED, failures=9)  # which nobody asks for any more
    [(state, detail, remedy)] = asyncio.run(_beside(place))
    assert state == "warning"
    assert detail.startswith("rederive is overdue: it began last at 20")
    assert "TENURE_CELL_JOBS" in remedy
    assert [state for state, *_ in of_jobs(place)] == ["ok"], "nobody serves, so nobody is late"


# ── a server ──────────────────────────────────────────────────────────────────────────────────────
def metrics(http: Any) -> dict[str, float]:
    lines = [line for line in http.get("/metrics").text.splitlines() if line.startswith("tenure_job_")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_metrics_of_a_server(embedded: Cell, tmp_path: Path) -> None:
    database = Database(embedded.settings.database)
    told(database, "rederive", FAILED, failures=4)
    database.close()
    with serving(tmp_path, tmp_path / "log") as http:
        before = metrics(http)
        assert before['tenure_job_failures{job="rederive"}'] == 4
        assert 'tenure_job_success_time_seconds{job="rederive"}' not in before
        key = {"Authorization": f"Bearer {embedded.operator_key}"}
        assert http.post("/v1/jobs/rederive:run", headers=key).json()["outcome"] == "ok"
        after = metrics(http)
        text = http.get("/metrics").text
    assert after['tenure_job_runs_total{job="rederive",outcome="ok"}'] >= 1
    assert after['tenure_job_duration_seconds_count{job="rederive"}'] >= 1
    assert after['tenure_job_success_time_seconds{job="rederive"}'] > 1.7e9
    for tenant in (embedded.one, embedded.two):
        assert not [word for word in (tenant.id, *tenant.principals.values()) if word in text]
