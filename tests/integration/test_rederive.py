"""What went with a person is derived again without the person: asked for, signed, followed, on record."""

import asyncio
import json
from typing import Any

import pytest
from test_derived import AGAIN, declare, derive, everything_read, scope, stored

from support.attic import Attic
from support.cell import Cell
from support.databases import DATABASES
from support.erasure import assert_certified
from support.webhook import Webhook, webhook
from tenure.errors import Denied, Erased, Unverified
from tenure.governance.rederive import wait_s
from tenure.ledger.certificate import verify_certificate
from tenure.ledger.rederivation import open_request

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


def rule(url: str, hours: int = 72) -> dict[str, Any]:
    return {"onErasure": "rederive", "webhook": url, "withinHours": hours}


async def listed(cell: Cell, **only: Any) -> list[dict[str, Any]]:
    return list((await cell.tenure.rederivations.page(cell.one["dpo"], **only))["items"])


async def states(cell: Cell) -> list[str]:
    return [one["state"] for one in await listed(cell)]


async def round_(cell: Cell) -> None:
    """A round, with whatever waits for its next attempt due now."""
    cell.change("UPDATE rederivations SET next_at = 0")
    await cell.tenure.rederivations.run()


def on_record(cell: Cell) -> list[str]:
    found = [entry for entry in cell.entries() if entry["outcome"].startswith("rederivation-")]
    entries = sorted(found, key=lambda entry: entry["at"])  # several writers
    assert {entry["kind"] for entry in entries} <= {"shred"}
    return [entry["outcome"].removeprefix("rederivation-") for entry in entries]


async def lose(cell: Cell, url: str, **how: Any) -> tuple[Any, dict[str, Any]]:
    """A summary of two people, one of whom is erased: the summary as written, and the erasure."""
    await declare(cell, scope(AGAIN, rule(url, **how)))
    sources = [(await cell.put(who, who, f"customer:{who}")).version_id for who in ("gone", "stays")]
    await cell.put("both", "an older one", scope=AGAIN, derived_from=tuple(sources))
    written = await cell.put("both", "of both", scope=AGAIN, derived_from=tuple(sources))
    return written, await cell.erase("customer:gone")


@pytest.mark.databases(*DATABASES)
async def test_asked_answered_and_done(cell: Cell) -> None:
    attic = Attic()
    with webhook() as application:
        await declare(cell, scope(AGAIN, rule(application.url)))
        written, state = await lose(cell, application.url)
        certified = await assert_certified(cell, state)
        assert certified["derived"] == {"shredded": 2, "rederivation_asked": 1, "kept": []}
        assert application.bodies == [], "the certificate did not wait for anybody"
        (one,) = await listed(cell)
        assert (one["state"], one["record"], one["version"]) == ("pending", written.record, 2)
        assert await everything_read(cell, attic) == stored("stays")
        await cell.tenure.rederivations.run()
        assert await states(cell) == ["asked"]

        (body,) = application.bodies
        asked = open_request(body, [await cell.verifier()])
        stays = await cell.get("stays")
        assert asked["sources"] == [stays.version_id]
        assert asked == {
            **asked,
            "id": one["id"],
            "tenant": cell.one.id,
            "shred": state["shred"],
            "scope": AGAIN,
            "record": written.record,
            "version": 2,
            "version_id": written.version_id,
            "deadline": one["deadline"],
        }
        assert "both" not in json.dumps(asked), "no record key, nothing about anybody"
        assert "customer" not in json.dumps(asked)

        await round_(cell)
        assert (await states(cell), len(application.bodies)) == (["asked"], 1), "once is enough"
        await derive(cell, "both", "of who stays", *asked["sources"], where=AGAIN)
        await round_(cell)
    assert await states(cell) == ["done"]
    assert on_record(cell) == ["asked", "done"]
    assert (await cell.erasure(state["shred"]))["rederivations"] == {"done": 1}
    assert await cell.value("both", scope=AGAIN) == "of who stays"
    assert cell.rows("SELECT * FROM rederivation_queue") == []
    assert (await cell.audited()).ok


async def test_down_then_broken_then_taken(cell: Cell) -> None:
    with webhook() as free:
        url, port = free.url, free.port
    await lose(cell, url)
    await cell.tenure.rederivations.run()
    (one,) = await listed(cell)
    assert (one["state"], one["attempts"]) == ("pending", 1)
    await cell.tenure.rederivations.run()
    assert (await listed(cell))[0]["attempts"] == 1, "not before its time"
    with webhook(500, 302, 200, port=port) as application:
        for state in ("pending", "pending", "asked"):
            await round_(cell)
            assert await states(cell) == [state]
        assert application.paths == ["/again"] * 3, "no redirect is followed"
        assert len(set(application.bodies)) == 3
    assert on_record(cell) == ["asked"]


async def test_overdue_when_the_deadline_has_passed(cell: Cell) -> None:
    with webhook(503) as application:
        _, state = await lose(cell, application.url, hours=1)
        await round_(cell)
        cell.change("UPDATE rederivations SET deadline = 1")
        await round_(cell)
        assert await states(cell) == ["overdue"]
        assert len(application.bodies) == 1, "nobody is asked after the deadline"
    assert on_record(cell) == ["overdue"]
    await derive(cell, "both", "too late", where=AGAIN)
    await round_(cell)
    assert await states(cell) == ["overdue"], "late stays late"
    assert (await cell.erasure(state["shred"]))["rederivations"] == {"overdue": 1}
    with pytest.raises(Erased):
        await cell.get("both", scope=AGAIN, version=2)


async def test_an_application_that_looks_itself_needs_no_webhook_that_works(cell: Cell) -> None:
    written, _ = await lose(cell, "http://127.0.0.1:9/nobody")
    (one,) = await listed(cell, state="pending")
    assert one["version_id"] == written.version_id
    await derive(cell, "both", "of nobody", where=AGAIN)
    await round_(cell)
    assert await listed(cell, state="pending") == []
    assert [one["state"] for one in await listed(cell, state="done")] == ["done"]
    with pytest.raises(Denied):
        await cell.tenure.rederivations.page(cell.one["auditor"])


async def test_sources_with_an_erased_person_are_not_named(cell: Cell) -> None:
    """A booking of two stays readable for one; what is derived from it would have gone with the other."""
    with webhook() as application:
        await declare(cell, scope(AGAIN, rule(application.url)))
        booking = await cell.put("trip", 1, "customer:gone", "customer:stays", scope="support.joint")
        facts = await derive(cell, "facts", "opening hours")
        await derive(cell, "both", "summary", booking.version_id, facts, where=AGAIN)
        await cell.erase("customer:gone")
        await cell.tenure.rederivations.run()
        (body,) = application.bodies
        assert open_request(body, [await cell.verifier()])["sources"] == [facts]


@pytest.mark.databases(*DATABASES)
async def test_only_what_a_record_shows_now_is_derived_again(cell: Cell) -> None:
    with webhook() as application:
        await declare(cell, scope(AGAIN, rule(application.url)))
        source = (await cell.put("talk", 1, "customer:gone")).version_id
        for key in ("replaced", "deleted", "stays"):
            await derive(cell, key, "summary", source, where=AGAIN)
        await derive(cell, "replaced", "by nothing of theirs", where=AGAIN)
        await cell.tenure.gateway.delete(cell.one.ask(), AGAIN, "deleted")
        certified = await assert_certified(cell, await cell.erase("customer:gone"))
        assert certified["derived"]["shredded"] == 3
        assert certified["derived"]["rederivation_asked"] == 1
        assert await cell.value("replaced", scope=AGAIN) == "by nothing of theirs"


async def test_the_address_is_the_one_declared_now(cell: Cell) -> None:
    with webhook() as application:
        await lose(cell, "http://127.0.0.1:9/wrong")
        await round_(cell)
        await declare(cell, scope(AGAIN, None))
        await round_(cell)
        assert await states(cell) == ["pending"], "nobody to ask; it is still on the list"
        await declare(cell, scope(AGAIN, rule(application.url)))
        await round_(cell)
        assert await states(cell) == ["asked"]


@pytest.mark.databases(*DATABASES)
async def test_two_rounds_at_once_ask_once(cell: Cell) -> None:
    with webhook() as application:
        await lose(cell, application.url)
        await asyncio.gather(*(cell.tenure.rederivations.run() for _ in range(5)))
        assert len(application.bodies) == 1


async def test_a_slow_application_is_not_waited_for(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenure.governance.rederive.TIMEOUT_S", 0.2)
    over = asyncio.Event()

    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await lose(cell, f"http://127.0.0.1:{port}/slow")
    began = asyncio.get_running_loop().time()
    await cell.tenure.rederivations.run()
    assert asyncio.get_running_loop().time() - began < 2
    assert await states(cell) == ["pending"]
    over.set()
    server.close()
    await asyncio.sleep(0.1)


async def test_a_request_passes_for_nothing_else(cell: Cell) -> None:
    with webhook() as application:
        await lose(cell, application.url)
        await cell.tenure.rederivations.run()
    await _passes_for_nothing_else(cell, application)


async def _passes_for_nothing_else(cell: Cell, application: Webhook) -> None:
    (body,) = application.bodies
    mine = await cell.verifier()
    assert not verify_certificate(body, [mine]).ok
    with pytest.raises(Unverified):
        open_request(body, [await cell.verifier(cell.two)])
    changed = json.loads(body)
    changed["payload"] = changed["payload"].replace("A", "B", 1)
    with pytest.raises(Unverified) as refused:
        open_request(json.dumps(changed), [mine])
    assert refused.value.check == "bad-signature"


def test_waits_grow_and_end_at_an_hour() -> None:
    assert [wait_s(n) for n in (1, 2, 3, 4)] == [10, 20, 40, 80]
    assert {wait_s(n) for n in (10, 100, 10**6)} == {3600}


@pytest.mark.databases(*DATABASES)
async def test_a_tenant_that_is_gone_is_asked_nothing_more(cell: Cell) -> None:
    with webhook() as application:
        await lose(cell, application.url)
        assert len(cell.rows("SELECT * FROM rederivation_queue")) == 1
        await cell.tenure.tenants.shred(cell.operator, cell.one.id)
        await cell.tenure.shredder.run()
        await cell.tenure.rederivations.run()
        assert application.bodies == []
    assert cell.rows("SELECT * FROM rederivation_queue") == []
    assert cell.rows("SELECT * FROM rederivations") == []


async def test_the_list_comes_in_pages(cell: Cell) -> None:
    await declare(cell, scope(AGAIN, rule("http://127.0.0.1:9/nobody")))
    source = (await cell.put("talk", 1, "customer:gone")).version_id
    for n in range(5):
        await derive(cell, f"k{n}", n, source, where=AGAIN)
    state = await cell.erase("customer:gone")
    seen, before = [], None
    while True:
        page = await cell.tenure.rederivations.page(cell.one["dpo"], before=before, limit=2)
        seen += [one["id"] for one in page["items"]]
        if (before := page["next"]) is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5
    assert (await cell.erasure(state["shred"]))["rederivations"] == {"pending": 5}


async def test_the_service_asks_by_itself(place: Cell) -> None:
    with webhook() as application:
        async with place.opened(rederive_interval_s=0.1):
            await lose(place, application.url)
            for _ in range(200):
                if await states(place) == ["asked"]:
                    break
                await asyncio.sleep(0.05)
        assert len(application.bodies) == 1
