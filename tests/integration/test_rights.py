"""Rights requests: received, decided by a second person, carried out, certified."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from support.cell import Cell
from tenure import crew, ids
from tenure.ledger.certificate import verify_certificate
from tenure.model.principal import PrincipalKind
from tenure.model.rightsrequest import Kind, Method
from tenure.rights.receiving import NewRequest

pytestmark = pytest.mark.anyio


class Ahead:
    """The clock that transactions read."""

    def __init__(self) -> None:
        self.us = 0

    def now(self) -> int:
        return ids.now() + self.us


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    made = Ahead()
    shifted = SimpleNamespace(**{name: getattr(ids, name) for name in dir(ids) if not name.startswith("__")})
    shifted.now = made.now
    monkeypatch.setattr(crew, "ids", shifted)
    return made


@pytest.fixture
async def desk(cell: Cell) -> Cell:
    """A cell with a second officer, and records about two people."""
    made = await cell.tenure.principals.create(cell.one["admin"], "second", PrincipalKind.PERSON, ("dpo",))
    cell.one.keys["second"], cell.one.principals["second"] = made["api_key"], made["id"]
    await cell.put("talk", {"said": "hello"}, "customer:1")
    await cell.put("other", {"said": "good day"}, "customer:2")
    return cell


async def asked(cell: Cell, kind: Kind, reference: str = "customer:1", **more: Any) -> str:
    made = await cell.tenure.rights.requests.open(cell.one["dpo"], NewRequest(kind, reference, **more))
    return str(made["id"])


async def approved(cell: Cell, request: str) -> None:
    requests, dpo = cell.tenure.rights.requests, cell.one["dpo"]
    await requests.identify(dpo, request, Method.LOGIN)
    await requests.scope(dpo, request)
    await requests.approve(cell.one["second"], request)


async def carried_out(cell: Cell, request: str) -> dict[str, Any]:
    for _ in range(20):
        await cell.tenure.rights.run()
        await cell.tenure.shredder.run()
        found = await cell.tenure.rights.requests.get(cell.one["dpo"], request)
        if found["closed_at"] is not None:
            return found
    raise AssertionError(found)


async def test_an_erasure_from_receipt_to_certificate(desk: Cell) -> None:
    request = await asked(desk, Kind.ERASURE, details="Please forget me, I am Ada")
    await approved(desk, request)
    done = await carried_out(desk, request)
    assert done["state"] == "completed", done
    report = verify_certificate(await desk.certificate(done["certificate"]), [await desk.verifier()])
    assert report.ok, report.failures
    said = report.certificate
    assert (said["request"], said["type"], said["exceptions"]) == (request, "erasure", [])
    assert said["done"]["residue"]["verdict"] == "clean"
    assert (await desk.get("other")).content
    assert not [word for word in ("Ada", "customer:1") if word in json.dumps(said)]
