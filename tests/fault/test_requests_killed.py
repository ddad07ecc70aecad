"""An erasure by a rights request, killed with SIGKILL at every step that it makes durable, and carried on.

Over the airline's data: people who fly with each other, and 200 decisions about them. What was foretold
before the approval is what is so at the end, whoever died on the way.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from support import airline, carrier, nursery
from support.cell import BRIEF_S, Cell
from support.contexts import assert_foretold, told
from support.flown import Airline
from support.officers import asked, scoped, second_officer, show
from support.webhook import webhook
from tenure.errors import Erased
from tenure.ledger.certificate import verify_certificate
from tenure.model.rightsrequest import Kind

pytestmark = pytest.mark.anyio
STEPS = ["keys", "packages", "residue", "notices"]


def chain(cell: Cell, when: str, folder: Path) -> list[dict[str, Any]]:
    """Processes until one has nothing more to do; what each said."""
    settings = json.loads(cell.settings.model_dump_json()) | {"replica_lease_s": BRIEF_S}
    given = folder / "given.json"
    given.write_text(json.dumps({"settings": settings, "when": when}))
    ran = subprocess.run(
        [sys.executable, carrier.__file__, str(given)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": nursery.PATH},
    )
    said = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert "left" in said[-1], (said, ran.stdout[-2000:], ran.stderr[-2000:])
    assert said[-1]["left"] == 0
    return said[:-1]


async def erased_by(cell: Cell, reference: str, when: str, folder: Path) -> dict[str, Any]:
    """The dry run, the approval, the chain of processes; the request at its end."""
    async with cell.opened() as tenure:
        await second_officer(cell)
        request = await asked(cell, Kind.ERASURE, reference)
        await scoped(cell, request)
        await tenure.requests.approve(cell.one["second"], request)
    died = chain(cell, when, folder)
    async with cell.opened():
        found = await show(cell, request)
        assert [line["step"] for line in found["timeline"] if line["step"] in STEPS] == STEPS
        assert len(died) >= len(STEPS), "each step was one to die at"
        assert found["progress"]["residue"]["verdict"] == "clean"
        await certified_once(cell, found)
    return found


async def certified_once(cell: Cell, request: dict[str, Any]) -> None:
    """One erasure, one certificate of it, one of the request; both verify offline."""
    assert cell.rows("SELECT count(*) FROM shreds WHERE kind = 'subject'") == [(1,)]
    assert cell.rows("SELECT count(*) FROM rights_requests WHERE envelope IS NOT NULL") == [(1,)]
    verifier = await cell.verifier()
    for certificate in (request["certificate"], request["progress"]["residue"]["certificate"]):
        report = verify_certificate(await cell.certificate(certificate), [verifier])
        assert report.ok, report.failures
    closes = [one for one in cell.entries() if one["kind"] == "request.close"]
    assert [one["data"]["certificate"] for one in closes] == [request["certificate"]]


@pytest.mark.parametrize(("when", "conversations"), [("after", 200), ("before", 40)])
async def test_on_the_airlines_data_it_ends_as_foretold(
    embedded: Cell, tmp_path: Path, when: str, conversations: int
) -> None:
    told_of = airline.told(tmp_path / "airline", conversations=conversations, customers=conversations // 5)
    line = Airline(embedded, told_of)
    async with embedded.opened():
        await line.live()
        before = await told(embedded, line.made)
        reference, _ = line.often_with_others()
        person = await embedded.person(reference)
        report = await embedded.tenure.impacts.report(embedded.one.id, person)
        kept = await contents(embedded, line, without=reference)
    request = await erased_by(embedded, reference, when, tmp_path)
    assert set(request["scope"]["decisions"]["differ"]) == {one["decision"] for one in report["items"]}
    async with embedded.opened():
        after = await told(embedded, line.made)
        assert assert_foretold(report, before, after)
        assert await contents(embedded, line, without=reference) == kept, "other people's data is as it was"


async def contents(cell: Cell, line: Airline, without: str) -> dict[Any, bytes | None]:
    """What is read of records that do not name somebody."""
    mine: Iterable[Any] = (item for item in line.data.everything() if without not in item.subjects)
    return {item.place: (await cell.get(item.key, scope=item.scope)).content for item in mine}


@pytest.mark.postgres
async def test_on_postgresql_with_a_recipient_and_a_package(scaled: Cell, tmp_path: Path) -> None:
    with webhook() as receiver:
        spec = {"description": "Keeps a copy", "webhook": receiver.url, "scopes": ["support.**"]}
        crm = {"apiVersion": "tenure/v1", "kind": "Recipient", "metadata": {"name": "crm"}, "spec": spec}
        async with scaled.opened() as tenure:
            await tenure.manifests.apply(scaled.one["admin"], [crm], dry_run=False)
            await scaled.put("talk", {"said": "hello"}, "customer:1")
            await scaled.put("other", {"said": "good day"}, "customer:2")
        request = await erased_by(scaled, "customer:1", "after", tmp_path)
        assert request["progress"]["notices"]["sent"] == 1
        assert len({json.loads(body)["id"] for body in receiver.bodies}) == 1
    async with scaled.opened():
        with pytest.raises(Erased):
            await scaled.get("talk")
        assert (await scaled.get("other")).content
