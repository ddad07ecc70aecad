"""Limits from the command line, on the embedded store and against a running service."""

import json
from pathlib import Path
from typing import Any

import httpx
from test_cli_keeping import run

from support.cell import SCOPE, SUPPORT, Cell
from support.serving import served

NUMBERS = {"requests", "bytes", "records", "burst_s", "concurrent", "stored_versions", "stored_bytes"}


def asked(cell: Cell, key: str, *arguments: str) -> Any:
    found = run(cell, *arguments, "--api-key", key, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_the_operator_changes_some_and_keeps_the_rest(embedded: Cell) -> None:
    one = ("tenant", "limits", embedded.one.id)
    before = asked(embedded, embedded.operator_key, *one)
    assert before["declared"] == dict.fromkeys(NUMBERS)
    assert before["limits"]["requests"] == embedded.settings.limit_requests
    assert before["stored"] == {"versions": 0, "bytes": 0}
    asked(embedded, embedded.operator_key, *one, "--requests", "20", "--stored-versions", "100")
    said = asked(embedded, embedded.operator_key, *one, "--bytes", "0")
    assert {name: value for name, value in said["declared"].items() if value is not None} == {
        "requests": 20,
        "bytes": 0,
        "stored_versions": 100,
    }
    assert said["limits"]["records"] == embedded.settings.limit_records
    table = run(embedded, *one, "--api-key", embedded.operator_key).output
    assert "no limit" in table
    assert "stored: 0 versions, 0 bytes" in table
    said = asked(embedded, embedded.operator_key, *one, "--reset", "--records", "5")
    assert {name for name, value in said["declared"].items() if value is not None} == {"records"}
    assert asked(embedded, embedded.operator_key, *one, "--reset")["limits"] == before["limits"]


def test_an_administrator_narrows_a_key(embedded: Cell) -> None:
    admin = embedded.one.keys["admin"]
    made = asked(embedded, admin, "principal", "credential", "add", "agent")
    path = ("principal", "credential", "limits", "agent", made["id"])
    said = asked(embedded, admin, *path, "--requests", "3")
    assert (said["declared"]["requests"], said["limits"]["requests"]) == (3, 3)
    assert asked(embedded, admin, *path) == said
    refused = run(embedded, *path, "--requests", "4", "--api-key", embedded.one.keys["agent"])
    assert refused.exit_code == 1


def test_doctor_tells_the_operator_who_was_refused_and_nobody_else(embedded: Cell, tmp_path: Path) -> None:
    asked(embedded, embedded.operator_key, "tenant", "limits", embedded.one.id, "--requests", "1")
    given = json.loads(embedded.settings.model_dump_json(exclude={"port", "host"}))
    key = embedded.one.keys["agent"]
    headers = {"Authorization": f"Bearer {key}", "Tenure-Purpose": SUPPORT}
    with served(given, tmp_path / "log") as (_, client):
        path = f"/v1/scopes/{SCOPE}/records/none"
        while client.get(path, headers=headers).status_code != httpx.codes.TOO_MANY_REQUESTS:
            pass
        url = str(client.base_url)

        def limits(who: str) -> list[dict[str, str]]:
            found = run(embedded, "doctor", "--quick", "--json", "--url", url, "--api-key", who)
            return [one for one in json.loads(found.stdout)["checks"] if one["check"] == "limits"]

        [told] = limits(embedded.operator_key)
        assert told["state"] == "warning"
        assert told["detail"].startswith(f"{embedded.one.id}: 1 times over requests, last at 20")
        [untold] = limits(embedded.one.keys["admin"])
        assert embedded.one.id not in untold["detail"]
        shown = run(embedded, "tenant", "refused", "--url", url, "--api-key", embedded.operator_key)
        assert embedded.one.id in shown.output
    assert "limits" not in {one["check"] for one in _doctor(embedded)}, "without a service there is no memory"


def _doctor(cell: Cell) -> list[dict[str, str]]:
    checks: list[dict[str, str]] = json.loads(run(cell, "doctor", "--quick", "--json").stdout)["checks"]
    return checks
