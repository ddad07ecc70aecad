"""Two processes on one database share a tenant's limits; when one goes, the other has them for itself."""

import json
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from support.cell import SCOPE, SUPPORT, Cell
from support.serving import served

pytestmark = pytest.mark.postgres


def test_two_processes_share(scaled: Cell, tmp_path: Path) -> None:
    given = json.loads(scaled.settings.model_dump_json(exclude={"port", "host"}))
    keys = scaled.one.keys

    def call(client: httpx.Client, key: str, method: str, path: str, **more: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}", "Tenure-Purpose": SUPPORT}
        return client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]

    def until_shared_by(client: httpx.Client, count: int) -> dict[str, object]:
        for _ in range(600):
            shown = call(client, keys["admin"], "GET", "/v1/limits").json()
            if shown["processes"] == count:
                return dict(shown["limits"])
            time.sleep(0.05)
        pytest.fail(f"never {count} processes: {shown}")

    def let_in(client: httpx.Client) -> int:
        path = f"/v1/scopes/{SCOPE}/records/none"
        found = Counter(call(client, keys["agent"], "GET", path).status_code for _ in range(60))
        assert set(found) == {404, 429}
        return found[404]

    with served(given, tmp_path / "one") as (_, one):
        call(one, keys["agent"], "GET", f"/v1/scopes/{SCOPE}/records/none")  # known from here on
        with served(given, tmp_path / "two") as (second, two):
            call(two, keys["agent"], "GET", f"/v1/scopes/{SCOPE}/records/none")
            body = {"requests": 2, "burst_s": 20}
            path = f"/v1/tenants/{scaled.one.id}/limits"
            assert call(one, scaled.operator_key, "PUT", path, json=body).status_code == 200
            for client in (one, two):
                assert until_shared_by(client, 2)["requests"] == 2, "in every process"
            # A second's worth more for each second that it takes; alone it would be 40 at once.
            assert 20 <= let_in(one) < 40
            assert 20 <= let_in(two) < 40
            second.kill()
            second.wait()
            until_shared_by(one, 1)
