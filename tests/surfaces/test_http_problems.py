"""Every error has its status, its title and its headers; a fault of ours says nothing about anybody."""

from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from litestar.testing import TestClient

from conftest import record
from tenure import errors
from tenure.errors import TenureError
from tenure.governance.tokens import NOBODY
from tenure.http.app import create_app
from tenure.ids import new_id
from tenure.limiting import Gate
from tenure.model.apikey import new_api_key
from tenure.model.limits import UNLIMITED

CANARY = "canary-91bc"
CASES: list[tuple[TenureError, int, dict[str, Any]]] = [
    (errors.Invalid("d", field="f", rule="r", remedy="m"), 422, {"field": "f", "rule": "r", "remedy": "m"}),
    (errors.Malformed("d"), 400, {}),
    (errors.TooLarge("d", rule="at most 5 bytes"), 413, {}),
    (errors.TooLarge("d", rule="at most 64 levels"), 422, {}),
    (errors.TooLarge("d", rule="depth"), 422, {}),
    (errors.KeyReused("d"), 422, {}),
    (errors.Unauthenticated("d"), 401, {}),
    (errors.Denied("d", entry="w-1", rules=("grant/x#1",)), 403, {"entry": "w-1", "rules": ["grant/x#1"]}),
    (errors.NotFound("d"), 404, {}),
    (errors.Erased("d", certificate="c-1", shred="s-1"), 410, {"certificate": "c-1", "shred": "s-1"}),
    (errors.Expired("d"), 410, {}),
    (errors.Conflict("d"), 409, {}),
    (errors.Stale("d"), 412, {}),
    (errors.Unavailable("d", retry_after=7), 503, {"retry_after": 7}),
    (errors.NotYet("d", retry_after=3), 202, {"retry_after": 3}),
    (errors.RateLimited("d", limit="bytes", retry_after=4), 429, {"retry_after": 4, "limit": "bytes"}),
    (errors.QuotaExceeded("d", limit="stored_bytes"), 507, {"limit": "stored_bytes"}),
    (errors.Unsupported("d"), 501, {}),
    (errors.KeyFailure("d"), 503, {}),
    (errors.Shredded("d"), 503, {}),
    (errors.Tampered("d"), 503, {}),
    (errors.RootLost("d"), 503, {}),
    (errors.Unverified("check", "d"), 500, {"rule": "check"}),
]


def kinds(root: type[TenureError]) -> set[type[TenureError]]:
    return {root}.union(*(kinds(one) for one in root.__subclasses__()))


def answer(raised: Exception) -> Any:
    """What a read answers when the gateway raises this."""

    async def read(*_: Any, **__: Any) -> None:
        raise raised

    gate = Gate(lambda _: UNLIMITED, lambda *_: None, lambda: 1, strangers=0, reserve=0)
    cell = SimpleNamespace(
        started=True,
        gateway=SimpleNamespace(read=read),
        gate=gate,
        knows=lambda *_: False,
        tokens=SimpleNamespace(owner=lambda _: NOBODY),
        settings=SimpleNamespace(max_body_bytes=1024, trusted_proxies=""),
    )
    key = new_api_key(new_id())[0]
    headers = {"Authorization": f"Bearer {key}", "Tenure-Purpose": "p"}
    with TestClient(create_app(cell), raise_server_exceptions=False) as client:  # type: ignore[arg-type]
        return client.get(record(CANARY), headers=headers)


def test_no_error_is_without_a_case() -> None:
    # One that names no kind of its own is told as the one that it is a case of.
    own = {kind for kind in kinds(TenureError) - {TenureError} if "kind" in vars(kind)}
    assert {type(error) for error, _, _ in CASES} == own


@pytest.mark.parametrize(("error", "status", "members"), CASES, ids=lambda case: type(case).__name__)
def test_an_error_becomes_its_problem_document(
    error: TenureError, status: int, members: dict[str, Any]
) -> None:
    found = answer(error)

    problem = found.json()
    assert found.status_code == problem["status"] == status
    assert found.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:tenure:problem:{error.kind}"
    assert problem["detail"] == "d"
    assert problem["title"]
    assert problem["rule"]
    assert problem["remedy"]
    assert problem.items() >= members.items()
    retry = members.get("retry_after")
    assert found.headers.get("retry-after") == (str(retry) if retry else None)
    assert ("www-authenticate" in found.headers) == (status == 401)


def test_a_fault_is_logged_by_class_and_place_only() -> None:
    structlog.reset_defaults()  # a command that ran in this process may have set a level
    with structlog.testing.capture_logs() as logs:
        found = answer(KeyError(CANARY))

    assert (found.status_code, found.json()["type"]) == (500, "urn:tenure:problem:internal")
    assert CANARY not in found.text
    assert [line["error"] for line in logs] == ["KeyError"]
    assert CANARY not in str(logs)
    assert any(place.startswith("test_http_problems:") for place in logs[0]["at"])
