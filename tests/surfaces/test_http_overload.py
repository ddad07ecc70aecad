"""A database that stands still: what can wait waits, the rest is told to come back, then all goes on."""

import json
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from support.cell import SCOPE, SUPPORT, Cell
from support.serving import served

pytestmark = pytest.mark.postgres
MOST = 5


def test_what_cannot_wait_is_told_to_come_back(scaled: Cell, tmp_path: Path) -> None:
    given = json.loads(scaled.settings.model_dump_json(exclude={"port", "host"}))
    key = scaled.one.keys["agent"]
    headers = {"Authorization": f"Bearer {key}", "Tenure-Purpose": SUPPORT}
    body = {"content": {"v": 1}, "subjects": ["customer:1"], "categories": ["contact"]}
    with served(given | {"max_waiting": MOST}, tmp_path / "log") as (_, client):

        def put(n: int) -> tuple[int, str, dict[str, object]]:
            answer = client.put(f"/v1/scopes/{SCOPE}/records/k{n}", headers=headers, json=body)
            return answer.status_code, answer.headers.get("retry-after", ""), answer.json()

        assert put(0)[0] == 201
        with ThreadPoolExecutor(40) as pool:
            with scaled.raw() as connection:
                connection.exec_driver_sql("LOCK TABLE entries IN ACCESS EXCLUSIVE MODE")
                asked = [pool.submit(put, n) for n in range(1, 41)]
                early = [one.result() for one in wait(asked, 60, FIRST_COMPLETED).done]
            answers = [one.result(60) for one in asked]
        assert early
        assert {status for status, _, _ in early} == {503}, "nothing can be answered otherwise"
        refused = [one for one in answers if one[0] != 201]
        for status, retry_after, problem in refused:
            assert (status, retry_after) == (503, "1")
            assert problem["type"] == "urn:tenure:problem:unavailable"
            assert str(problem["detail"]).startswith(
                f"{MOST} operations of this tenant wait for the database;"
            )
            assert "Try again" in str(problem["remedy"])
        assert len(answers) - len(refused) >= MOST, "what could wait was done"
        assert put(99)[0] == 201
