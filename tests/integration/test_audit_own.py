"""An agent checks its own accesses without a right to read the ledger; every lie about them is named."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from tenure.client.own import AuditedConnection
from tenure.errors import Denied, NotFound, Unverified
from tenure.http.app import create_app
from tenure.ledger.note import sign_note
from tenure.ledger.own import Own, Told

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]
PURPOSE = {"Tenure-Purpose": SUPPORT}
PATH = f"/v1/scopes/{SCOPE}/records"
Lie = Callable[[httpx.Request, httpx.Response], httpx.Response]


class Lying(httpx.AsyncBaseTransport):
    """The service, whose answers an operator may change on their way."""

    def __init__(self, app: Any) -> None:
        self._real = httpx.ASGITransport(app)
        self.lie: Lie = lambda _request, response: response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._real.handle_async_request(request)
        await response.aread()
        return self.lie(request, response)


async def connected(cell: Cell, who: str = "agent", **more: Any) -> tuple[AuditedConnection, Lying]:
    transport = Lying(create_app(cell.tenure))
    vkeys = [(await cell.verifier()).vkey]
    made = AuditedConnection(
        cell.one.keys[who], "http://tenure.localhost", vkeys=vkeys, transport=transport, **more
    )
    return made, transport


async def worked(agent: AuditedConnection) -> None:
    """One of everything that names its entry."""
    for n in range(3):
        draft = {"content": {"n": n}, "subjects": [f"customer:{n}"], "categories": ["contact"]}
        await agent.call("PUT", f"{PATH}/k{n}", draft, headers=PURPOSE)
    parts = [{"content": n, "subjects": [f"customer:{n}"]} for n in range(2)]
    await agent.call(
        "PUT",
        f"/v1/scopes/{NOTES}/records/p",
        {"segments": parts, "categories": ["contact"]},
        headers=PURPOSE,
    )
    opened = await agent.call("POST", "/v1/decisions", {"purpose": SUPPORT})
    bound = {**PURPOSE, "Tenure-Decision": opened["id"]}
    await agent.call("GET", f"{PATH}/k1", headers=bound)
    await agent.call("GET", f"/v1/scopes/{NOTES}/records/p", headers=bound)
    await agent.call("GET", f"{PATH}/k1/versions", headers=bound)
    for include in ([], ["content"]):
        await agent.call("POST", f"/v1/scopes/{SCOPE}/records:query", {"include": include}, headers=bound)
    await agent.call("POST", f"/v1/decisions/{opened['id']}:seal", {"outcome": "done"})
    await agent.call("GET", f"/v1/decisions/{opened['id']}/openings", headers=PURPOSE)
    await agent.call("DELETE", f"{PATH}/k2", headers=PURPOSE)


def checks(report: Any) -> set[str]:
    return {failure.check for failure in report.failures}


@pytest.mark.databases(*DATABASES)
async def test_every_call_is_confirmed_once_and_heads_are_followed(cell: Cell) -> None:
    agent, _ = await connected(cell)
    async with agent:
        await worked(agent)
        assert len(agent.own) == 13
        await cell.tenure.sequencer.run(cell.one.id)
        report = await agent.audit_own()
        assert report.ok, report.failures
        assert (report.confirmed, report.waiting, agent.own) == (13, 0, [])
        first = report.checkpoint
        await worked_more(agent)
        await cell.tenure.sequencer.run(cell.one.id)
        report = await agent.audit_own()
        assert (report.ok, report.confirmed) == (True, 2)
        assert report.checkpoint is not None
        assert first is not None
        assert report.checkpoint.size > first.size
    marketer, _ = await connected(cell, "marketer", seen=agent.seen)
    async with marketer:
        with pytest.raises(Denied):
            await marketer.call("GET", f"{PATH}/k1", headers=PURPOSE)
        await cell.tenure.sequencer.run(cell.one.id)
        report = await marketer.audit_own()
        assert (report.ok, report.confirmed) == (True, 1), "a denial is an access like any"


async def worked_more(agent: AuditedConnection) -> None:
    for _ in range(2):
        await agent.call("GET", f"{PATH}/k1", headers=PURPOSE)


async def test_what_is_not_published_yet_waits(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, _ = await connected(cell)
    async with agent:

        async def later(_tenant: str) -> None:
            """No sequencing but what the test asks for."""

        monkeypatch.setattr(cell.tenure.sequencer, "_attempt", later)
        await agent.call("POST", "/v1/decisions", {"purpose": SUPPORT})
        report = await agent.audit_own()
        assert (report.ok, report.waiting, report.confirmed) == (True, 1, 0)
        assert any("not published yet" in text for text in report.not_checked)
        await cell.tenure.sequencer.run(cell.one.id)
        report = await agent.audit_own()
        assert (report.ok, report.waiting, report.confirmed) == (True, 0, 1)
        assert agent.own == []


async def test_a_dropped_entry_and_a_changed_one_are_named(cell: Cell) -> None:
    agent, transport = await connected(cell)
    async with agent:
        await worked(agent)
        await cell.tenure.sequencer.run(cell.one.id)
        real, receipts = list(agent.own), {}

        def keep(request: httpx.Request, response: httpx.Response) -> httpx.Response:
            receipts[request.url.path] = response.content
            return response

        transport.lie = keep
        assert (await agent.audit_own()).ok
        transport.lie = lambda _request, response: response

        async def told(*own: Own) -> set[str]:
            agent.own = list(own)
            return checks(await agent.audit_own())

        one = next(own for own in real if own.told and own.told[0].commitment)
        other = next(own for own in real if own.told and own.told[0].record != one.told[0].record)
        first = one.told[0]
        assert await told(one) == set()
        assert await told(one._replace(entry=one.entry.replace("-", "-9999"))) == {"own-missing"}
        assert await told(one._replace(kind="access" if one.kind == "write" else "write")) == {"own-changed"}
        assert await told(one._replace(decision=first.record)) == {"own-changed"}
        assert await told(one._replace(outcome="other")) == {"own-changed"}
        assert await told(one._replace(told=(first._replace(commitment="00" * 32),))) == {"own-changed"}
        assert await told(one._replace(told=(first._replace(version=9),))) == {"own-changed"}
        assert await told(one._replace(told=(Told(other.told[0].record, 1, None),))) == {"own-changed"}

        def swapped(request: httpx.Request, response: httpx.Response) -> httpx.Response:
            if request.url.path.endswith("/receipt"):
                path = f"/v1/ledger/entries/{other.entry}/receipt"
                return httpx.Response(200, headers=response.headers, content=receipts[path])
            return response

        transport.lie = swapped
        assert await told(one) == {"own-missing"}, "the receipt of another entry is none"


async def test_a_fork_and_a_rollback_against_what_was_seen_are_named(cell: Cell) -> None:
    agent, transport = await connected(cell)
    async with agent:
        await agent.call("POST", "/v1/decisions", {"purpose": SUPPORT})
        await cell.tenure.sequencer.run(cell.one.id)
        old = list(agent.own)
        assert (await agent.audit_own()).ok
        seen = agent.seen
        assert seen is not None
        signer = cell.tenure.ledger._keyring.signer(cell.one.id, (await cell.verifier()).name)
        origin, size, _root = seen.splitlines()[:3]
        agent.seen = sign_note(f"{origin}\n{size}\n{'A' * 43}=\n", [signer])
        agent.own = list(old)
        assert checks(await agent.audit_own()) == {"fork"}, "same size, another root"
        agent.seen = sign_note(f"{origin}\n{int(size) - 1}\n{'A' * 43}=\n", [signer])
        assert checks(await agent.audit_own()) == {"fork"}, "the proof does not fit what was seen"
        agent.seen = sign_note(f"{origin}\n{int(size) + 9}\n{'A' * 43}=\n", [signer])
        assert checks(await agent.audit_own()) == {"rollback"}

        def no_proof(request: httpx.Request, response: httpx.Response) -> httpx.Response:
            if request.url.path.endswith("/consistency"):
                return httpx.Response(200, json={"old": 1, "new": 2, "proof": []})
            return response

        agent.seen, agent.own = seen, []
        await agent.call("POST", "/v1/decisions", {"purpose": SUPPORT})
        await cell.tenure.sequencer.run(cell.one.id)
        transport.lie = no_proof
        assert checks(await agent.audit_own()) == {"fork"}
        transport.lie = lambda _request, response: response
        assert (await agent.audit_own()).ok


async def test_a_checkpoint_that_the_log_did_not_sign_is_nothing_to_go_on_from(cell: Cell) -> None:
    await cell.tenure.sequencer.run(cell.one.id)
    note = await cell.tenure.ledger.checkpoint(cell.one["auditor"])
    agent, _ = await connected(cell, seen=note)
    await agent.close()
    for wrong in ("", "x", note.replace("\n", "\n9", 1), note.partition("\n\n")[0]):
        with pytest.raises(Unverified):
            await connected(cell, seen=wrong)


async def test_nobody_gets_the_receipt_of_somebody_elses_entry(cell: Cell) -> None:
    written = await cell.put("k", 1, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    receipts = cell.tenure.receipts
    assert await receipts.of_entry(cell.one["agent"], written.entry)
    assert await receipts.of_entry(cell.one["auditor"], written.entry), "who may read the ledger may see all"
    for who in (cell.one["clerk"], cell.one["dpo"], cell.two["agent"], cell.two["auditor"]):
        with pytest.raises(NotFound):
            await receipts.of_entry(who, written.entry)
    for nothing in ("", "x", "0011223344556677-0", f"{written.entry}0000", "../key"):
        with pytest.raises(NotFound):
            await receipts.of_entry(cell.one["auditor"], nothing)
