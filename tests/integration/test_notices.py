"""Recipients are told what became of data: in order, signed, once each; given up, and sent again."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from cryptography.exceptions import InvalidSignature

from support.cell import Cell, crash
from support.notices import checked, dead, recipient, told
from support.travel import Travel
from support.webhook import Webhook, webhook
from tenure.crew import Desk, Solo
from tenure.errors import Conflict, Denied, Invalid, NotFound
from tenure.governance import delivery, notices, ownleaves
from tenure.ids import CELL
from tenure.store import notices as store

pytestmark = pytest.mark.anyio
PERSON = "customer:kanari-7731"
small = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
"""Of what is the same on every database."""


async def declare(cell: Cell, **webhooks: str) -> None:
    given = json.dumps([recipient(name, url) for name, url in webhooks.items()])
    await cell.tenure.manifests.apply(cell.one["admin"], given, dry_run=False)


async def listed(cell: Cell, **only: Any) -> list[dict[str, Any]]:
    return list((await cell.tenure.notices.page(cell.one["dpo"], **only))["items"])


async def states(cell: Cell) -> dict[str, int]:
    found = [one["state"] for one in await listed(cell)]
    return {state: found.count(state) for state in sorted(set(found))}


async def events(cell: Cell, receiver: Webhook) -> list[dict[str, Any]]:
    """What a receiver got, each with a signature that holds."""
    key = await cell.verifier()
    return [checked(receiver, number, key) for number in range(len(receiver.bodies))]


def on_record(cell: Cell) -> list[str]:
    return [entry["outcome"] for entry in cell.entries() if entry["kind"] == "notice"]


@pytest.fixture
async def partner(cell: Cell) -> AsyncIterator[Webhook]:
    """A declared recipient that answers."""
    with webhook() as receiver:
        await declare(cell, partner=receiver.url)
        yield receiver


# ── the hour that a receiver is down ──────────────────────────────────────────────────────────────
async def test_down_for_an_hour(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each, signed, in order; the other recipient is not held up; nobody is named anywhere."""
    travel = Travel.begun(monkeypatch)
    with webhook() as free:
        url, port = free.url, free.port
    with structlog.testing.capture_logs() as lines, webhook() as other:
        await declare(cell, bank=url, mailer=other.url)
        for event in ("restricted", "rectified", "erased"):
            await told(cell.tenure, cell.one.id, "bank", "mailer", event=event, reference=PERSON)
        for _ in range(6):
            await cell.tenure.notices.run()
            assert len(other.bodies) == 3, "one that is down holds nobody else up"
            travel.on(hours=1 / 6)
        tried = {one["attempts"] for one in await listed(cell) if one["recipient"] == "bank"}
        assert tried == {0, 6}, "only the oldest is tried"
        with webhook(port=port) as bank:
            for _ in range(7):  # within an hour of being there again
                await cell.tenure.notices.run()
                travel.on(hours=1 / 6)
            got = await events(cell, bank)
        order = [f"tenure.subject.{event}" for event in ("restricted", "rectified", "erased")]
        assert [one["type"] for one in got] == order
        assert [one["type"] for one in await events(cell, other)] == order
        assert len({one["id"] for one in got}) == 3
        assert [one["sequence"] for one in got] == ["0000000001", "0000000002", "0000000003"]
        (first,) = await listed(cell, request_id=got[0]["subject"], state="sent", limit=1)
    assert got[0] == {
        **got[0],
        "specversion": "1.0",
        "source": (await cell.tenure.ledger.key(cell.one["auditor"]))["origin"],
        "recipient": "bank",
        "time": first["created_at"],
        "data": {**got[0]["data"], "request": got[0]["subject"], "reference": PERSON},
    }
    rows = cell.rows("SELECT * FROM notices")
    assert (await cell.audited()).ok
    assert on_record(cell) == ["queued"] * 6 + ["sent"] * 6
    assert cell.rows("SELECT * FROM notice_queue") == []
    for said in (lines, rows, cell.entries()):
        assert "kanari" not in repr(said)
    assert all(row is None for (row,) in cell.rows("SELECT body FROM notices")), "forgotten when it is taken"


@small
async def test_the_text_lies_sealed_until_it_is_taken(cell: Cell, partner: Webhook) -> None:
    await told(cell.tenure, cell.one.id, "partner", reference=PERSON)
    ((header, body),) = cell.rows("SELECT header, body FROM notices")
    assert b"kanari" not in bytes(header) + bytes(body)
    await cell.tenure.notices.run()
    assert (await events(cell, partner))[0]["data"]["reference"] == PERSON


@small
async def test_a_changed_byte_is_found(cell: Cell, partner: Webhook) -> None:
    await told(cell.tenure, cell.one.id, "partner")
    await cell.tenure.notices.run()
    key = await cell.verifier()
    assert checked(partner, 0, key)
    as_sent = partner.bodies[0]
    partner.bodies[0] = as_sent.replace("customer:42", "customer:43")
    with pytest.raises(InvalidSignature):
        checked(partner, 0, key)
    partner.bodies[0] = as_sent
    partner.headers[0]["webhook-timestamp"] += "0"
    with pytest.raises(InvalidSignature):
        checked(partner, 0, key)


@small
async def test_another_attempt_has_another_time_and_the_same_id(
    cell: Cell, partner: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    travel = Travel.begun(monkeypatch)
    partner.answers = [503, 302, 404, 204]
    await told(cell.tenure, cell.one.id, "partner")
    for _ in range(5):
        await cell.tenure.notices.run()
        travel.on(hours=1)
    assert partner.paths == ["/again"] * 4, "no redirect is followed, and taken is taken"
    assert len({one["webhook-id"] for one in partner.headers}) == 1
    assert len({one["webhook-timestamp"] for one in partner.headers}) == 4
    assert len(set(partner.bodies)) == 1
    assert len(await events(cell, partner)) == 4
    (one,) = await listed(cell)
    assert (one["state"], one["attempts"], one["result"]) == ("sent", 4, "taken")


# ── who sends ─────────────────────────────────────────────────────────────────────────────────────
async def test_many_rounds_at_once_send_once(cell: Cell, partner: Webhook) -> None:
    for _ in range(3):
        await told(cell.tenure, cell.one.id, "partner")
    await asyncio.gather(*(cell.tenure.notices.run() for _ in range(5)))
    await cell.tenure.notices.run()
    assert [one["sequence"] for one in await events(cell, partner)] == [f"{n:010}" for n in (1, 2, 3)]


async def test_killed_between_sending_and_noting(place: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in doubt is sent again, under the same id; what comes after it waits."""
    travel = Travel.begun(monkeypatch)
    tenure = await place.crashing()
    with webhook() as receiver:
        await declare(place, partner=receiver.url)
        await told(tenure, place.one.id, "partner")
        await told(tenure, place.one.id, "partner")

        sent_for_real = delivery._sent

        async def killed(*given: Any) -> None:
            assert await sent_for_real(*given) is None
            raise RuntimeError("nothing is noted any more")

        with monkeypatch.context() as patch:
            patch.setattr(delivery, "_sent", killed)
            await tenure.notices.run()
        assert len(receiver.bodies) == 1
        await crash(tenure)
        travel.on(hours=0.1)
        async with place.opened() as again:
            await again.notices.run()
            sent = await events(place, receiver)
            assert [one["sequence"][-1] for one in sent] == ["1", "1", "2"]
            assert sent[0] == sent[1], "the receiver knows it by its id"
            assert await states(place) == {"sent": 2}


@small
async def test_a_claim_that_ran_out_is_another_ones(cell: Cell, partner: Webhook) -> None:
    """A process that was away too long says nothing about what another one did meanwhile."""
    (made,) = await told(cell.tenure, cell.one.id, "partner")
    sender = cell.tenure.notices._delivery
    (late,) = await cell.tenure.batcher.submit(cell.one.id, Solo(sender._claim))
    cell.change("UPDATE notices SET next_at = 1", "UPDATE notice_queue SET due_at = 1")
    (mine,) = await cell.tenure.batcher.submit(cell.one.id, Solo(sender._claim))

    async def noted(letter: Any, result: str | None) -> None:
        def work(desk: Desk) -> Any:
            return sender._note(desk, claimed=letter.one, result=result, more=True)

        assert await cell.tenure.batcher.submit(cell.one.id, Solo(work)) is None

    await noted(late, "gone")
    assert await states(cell) == {"queued": 1}
    await noted(mine, None)
    await noted(late, "gone")
    assert await states(cell) == {"sent": 1}
    assert [one["id"] for one in await listed(cell)] == [made.id]


@small
async def test_a_slow_recipient_holds_nobody_up(
    cell: Cell, partner: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_S", 0.3)
    over = asyncio.Event()

    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    await declare(cell, slow=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    await told(cell.tenure, cell.one.id, "slow", "partner")
    await cell.tenure.notices.run()
    assert {one["recipient"]: (one["state"], one["result"]) for one in await listed(cell)} == {
        "slow": ("queued", "no-answer"),
        "partner": ("sent", "taken"),
    }
    over.set()
    server.close()


@small
async def test_during_a_change_of_the_key(cell: Cell, partner: Webhook) -> None:
    old = await cell.verifier()
    await told(cell.tenure, cell.one.id, "partner")
    await cell.tenure.notices.run()
    await told(cell.tenure, cell.one.id, "partner")
    await cell.tenure.ledger_keys.rotate(cell.one["admin"])
    await cell.tenure.notices.run()
    new = await cell.verifier()
    assert old != new
    assert checked(partner, 0, old)
    assert checked(partner, 1, new), "by the key in force when it is sent"
    with pytest.raises(InvalidSignature):
        checked(partner, 1, old)


# ── given up ──────────────────────────────────────────────────────────────────────────────────────
@small
async def test_given_up_after_three_days_and_sent_again(
    cell: Cell, partner: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    travel = Travel.begun(monkeypatch)
    partner.answers = [500, 500, 500, 200]
    (old,) = await told(cell.tenure, cell.one.id, "partner", event="restricted")
    travel.on(hours=70)
    (new,) = await told(cell.tenure, cell.one.id, "partner", event="erased")
    await cell.tenure.notices.run()
    cell.change("UPDATE notices SET attempts = 20 WHERE seq = 1")  # an hour until the next
    travel.on(hours=1.9)
    await cell.tenure.notices.run()
    assert await states(cell) == {"queued": 2}, "the last attempt is made when the time is over"
    travel.on(hours=0.2)
    await cell.tenure.notices.run()
    found = {one["state"]: one["id"] for one in await listed(cell)}
    assert found == {"dead": old.id, "sent": new.id}, "the next one goes on"
    assert await cell.tenure.notices.waiting() == (0, None, 1)
    with pytest.raises(Denied):
        await cell.tenure.notices.resend(cell.one["admin"], old.id)
    assert (await cell.tenure.notices.resend(cell.one["dpo"], old.id))["state"] == "queued"
    with pytest.raises(Conflict):
        await cell.tenure.notices.resend(cell.one["dpo"], old.id)
    await cell.tenure.notices.run()
    assert await states(cell) == {"sent": 2}
    last = checked(partner, -1, await cell.verifier())
    assert (last["id"], last["type"]) == (old.id, "tenure.subject.restricted")
    assert on_record(cell) == ["queued", "queued", "dead", "sent", "queued", "sent"]
    assert (await cell.audited()).ok


@small
async def test_gone_is_gone_at_once(cell: Cell, partner: Webhook) -> None:
    partner.answers = [410, 200]
    await told(cell.tenure, cell.one.id, "partner")
    await told(cell.tenure, cell.one.id, "partner")
    await cell.tenure.notices.run()
    found = {one["state"]: one["result"] for one in await listed(cell)}
    assert found == {"dead": "gone", "sent": "taken"}


@small
async def test_a_recipient_that_is_not_declared_any_more(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    travel = Travel.begun(monkeypatch)
    await told(cell.tenure, cell.one.id, "nobody")
    await cell.tenure.notices.run()
    (one,) = await listed(cell)
    assert (one["state"], one["result"]) == ("queued", "undeclared")
    with webhook() as receiver:
        await declare(cell, nobody=receiver.url)
        travel.on(hours=1)
        await cell.tenure.notices.run()
        assert len(await events(cell, receiver)) == 1, "as declared when it is sent"


@small
async def test_what_is_not_as_it_was_sealed_is_never_sent(cell: Cell, partner: Webhook) -> None:
    with webhook() as other:
        await declare(cell, other=other.url)
        for changed in ("recipient = 'other'", "seq = 9", "event = 'erased'", "header = body"):
            await told(cell.tenure, cell.one.id, "partner", event="restricted")
            cell.change(f"UPDATE notices SET {changed} WHERE state = 'queued'")
            await cell.tenure.notices.run()
        assert other.bodies + partner.bodies == []
    assert {(one["state"], one["result"]) for one in await listed(cell)} == {("dead", "unreadable")}


@small
async def test_with_the_key_of_its_request_a_notice_is_gone(cell: Cell, partner: Webhook) -> None:
    def begin(desk: Desk) -> int:
        return ownleaves.begin(desk, "tenure.requests", "01a22188-0000-7000-8000-000000000001")

    leaves = [await cell.tenure.batcher.submit(cell.one.id, Solo(begin)) for _ in range(2)]
    for leaf, destroyed in zip(leaves, (False, True), strict=True):

        def end(desk: Desk, leaf: int = leaf) -> None:
            ownleaves.end(desk, leaf, by=CELL)

        (made,) = await told(cell.tenure, cell.one.id, "partner", leaf=leaf)
        await cell.tenure.batcher.submit(cell.one.id, Solo(end))
        if destroyed:
            await cell.tenure.shredder.run()
        await cell.tenure.notices.run()
        assert partner.bodies == []
        assert [one["result"] for one in await listed(cell, request_id=made.request_id)] == ["unreadable"]
        with pytest.raises(Conflict):
            await cell.tenure.notices.resend(cell.one["dpo"], made.id)


async def test_a_tenant_that_leaves_sends_nothing(cell: Cell, partner: Webhook) -> None:
    (made,) = await told(cell.tenure, cell.one.id, "partner")
    sender = cell.tenure.notices._delivery
    (letter,) = await cell.tenure.batcher.submit(cell.one.id, Solo(sender._claim))
    await cell.tenure.tenants.shred(cell.operator, cell.one.id)
    await told(cell.tenure, cell.one.id, "partner")  # whoever executed a request just then
    await cell.tenure.notices.run()
    cell.change("UPDATE notices SET next_at = 1", "UPDATE notice_queue SET due_at = 1")
    await cell.tenure.notices.run()
    assert partner.bodies == []
    await cell.tenure.shredder.run()
    assert cell.rows("SELECT * FROM notice_queue") == []
    assert cell.rows("SELECT * FROM notices") == []
    assert letter.one.id == made.id


# ── who is told of what ───────────────────────────────────────────────────────────────────────────
@small
async def test_once_for_each_request_recipient_and_event(cell: Cell, partner: Webhook) -> None:
    request = "01a22188-0000-7000-8000-000000000001"
    first = await told(cell.tenure, cell.one.id, "partner", "other", request=request)
    again = await told(cell.tenure, cell.one.id, "partner", "other", request=request)
    assert [one.id for one in first] == [one.id for one in again]
    await told(cell.tenure, cell.one.id, "partner", request=request, event="rectified")
    assert len(await listed(cell, request_id=request)) == 3
    await cell.tenure.notices.run()
    assert len(partner.bodies) == 2
    late = await told(cell.tenure, cell.one.id, "partner", request=request)
    assert late[0].state == "sent", "told is told"


@small
async def test_who_must_be_told(cell: Cell) -> None:
    given = [
        recipient("bank", "https://bank.example/n", scopes=["support.conversations"]),
        recipient("mailer", "https://mailer.example/n", categories=["personal"]),
        recipient("clinic", "https://clinic.example/n", categories=["health"]),
    ]
    await cell.tenure.manifests.apply(cell.one["admin"], json.dumps(given), dry_run=False)

    async def of(scopes: list[str], categories: list[str]) -> Any:
        work = Solo(lambda desk: notices.recipients_of(desk, scopes, categories))
        return await cell.tenure.batcher.submit(cell.one.id, work)

    assert await of(["support.conversations"], ["contact"]) == ["bank", "mailer"]
    assert await of(["support.notes"], ["contact", "health"]) == ["clinic", "mailer"]
    assert await of([], ["contact"]) == []


@small
async def test_what_is_no_notice_is_refused_and_nothing_is_kept(cell: Cell) -> None:
    for wrong in ({"event": "sold"}, {"reference": ""}, {"reference": "x" * 20_000}):
        with pytest.raises(Invalid):
            await told(cell.tenure, cell.one.id, "partner", **wrong)
    with pytest.raises(Invalid):
        await told(cell.tenure, cell.one.id, "Not a name")
    assert await listed(cell) == []
    assert cell.rows("SELECT * FROM notice_queue") == []
    with pytest.raises(NotFound):
        await cell.tenure.notices.resend(cell.one["dpo"], "01a22188-0000-7000-8000-000000000001")


@small
async def test_a_request_that_is_forgotten_takes_its_notices_along(cell: Cell) -> None:
    await dead(cell.tenure, cell.one.id)
    (one,) = await listed(cell)

    def work(desk: Desk) -> None:
        store.lock(desk.tx, begin=True)
        store.purge(desk.tx, one["request"])
        store.count(desk.tx)

    await cell.tenure.batcher.submit(cell.one.id, Solo(work))
    assert await listed(cell) == []
    assert cell.rows("SELECT * FROM notice_queue") == []
