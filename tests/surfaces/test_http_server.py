"""The server as a process: real sockets, real signals, and logs that name nobody."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from conftest import SUPPORT, record
from support.serving import served

CANARY = "canary-5d1e"
KEY = quote(f"{CANARY}/🛫", safe="")


@contextmanager
def serving(folder: Path, log: Path, *, end: signal.Signals = signal.SIGTERM) -> Iterator[httpx.Client]:
    """A server on a free port, ended by a signal; its log is complete afterwards."""
    settings = {"data_dir": folder / "data", "root_dir": folder / "root", "database_url": ""}
    with served({**settings, "log_level": "debug"}, log) as (process, client):
        yield client
        process.send_signal(end)
        assert process.wait(timeout=20) == 0, log.read_text()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, laid: Callable[[Path], str]) -> dict[str, object]:
    """Two runs of a server on one store, and what was seen."""
    folder = tmp_path_factory.mktemp("served")
    operator = laid(folder)
    log = folder / "log"
    seen: dict[str, object] = {}
    with serving(folder, log) as client:

        def call(key: str, method: str, path: str, **more: object) -> httpx.Response:
            headers = {"Authorization": f"Bearer {key}", "Tenure-Purpose": "customer-support"}
            return client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]

        admin = call(str(operator), "POST", "/v1/tenants", json={"name": CANARY}).json()["admin_key"]
        call(admin, "POST", "/v1/manifests:apply", content=SUPPORT)
        roles = {"name": "both", "kind": "service", "roles": ["support-agent", "auditor"]}
        agent = call(admin, "POST", "/v1/principals", json=roles).json()["api_key"]
        draft = {"content": CANARY, "subjects": [f"customer:{CANARY}"], "categories": ["contact"]}
        draft |= {"metadata": {"note": CANARY}}
        seen["put"] = call(agent, "PUT", record(KEY), json=draft)
        seen["get"] = call(agent, "GET", record(KEY))
        seen["by value"] = call(agent, "GET", record(KEY + f"?version={CANARY}"))
        seen["streamed"] = call(agent, "PUT", record("big"), content=(b"x" * 65536 for _ in range(40)))
        # The next request on the same connection is not taken for the rest of a refused body.
        seen["next"] = call(agent, "GET", record(KEY))
        seen["stranger"] = call("tnr_nobody", "PUT", record("big"), content=b"x" * 500_000)
        seen["next again"] = call(agent, "GET", record(KEY))
        seen["long"] = call(agent, "PUT", record(CANARY * 900), json=draft)
        seen["not JSON"] = call(agent, "PUT", record(KEY), content=CANARY)
        seen["nowhere"] = call(agent, "GET", f"/v1/{CANARY}?q={CANARY}")
    with serving(folder, log, end=signal.SIGINT) as client:
        seen["after"] = call(agent, "GET", record(KEY))
        for _ in range(200):
            ends = call(agent, "GET", "/v1/ledger/entries?kind=writer.end").json()["items"]
            if ends:
                break
            time.sleep(0.02)
        seen["ends"] = ends
    seen["log"] = log.read_text()
    return seen


def test_a_key_with_a_slash_and_an_emoji_survives_the_socket(story: dict[str, httpx.Response]) -> None:
    assert story["put"].status_code == 201
    assert story["get"].json()["key"] == f"{CANARY}/🛫"
    assert story["get"].json()["content"] == CANARY


def test_limits_hold_on_the_socket_too(story: dict[str, httpx.Response]) -> None:
    assert (story["streamed"].status_code, story["streamed"].json()["field"]) == (413, "body")
    assert story["streamed"].headers["connection"] == story["stranger"].headers["connection"] == "close"
    assert (story["stranger"].status_code, story["next"].status_code, story["next again"].status_code) == (
        401,
        200,
        200,
    )
    assert (story["long"].status_code, story["long"].json()["field"]) == (422, "key")
    assert (story["not JSON"].status_code, story["nowhere"].status_code) == (400, 404)


def test_a_signal_ends_the_writers_on_record_and_loses_nothing(story: dict[str, httpx.Response]) -> None:
    assert story["after"].json()["content"] == CANARY
    assert story["ends"]


def test_logs_are_json_lines_that_name_nobody(story: dict[str, str]) -> None:
    lines = [json.loads(line) for line in story["log"].splitlines()]
    assert {"serving", "stopping"} <= {line["event"] for line in lines}
    assert CANARY not in story["log"]
    assert "tnr_" not in story["log"]
