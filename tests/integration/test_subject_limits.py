"""A person's restriction, objection or correction holds at once: on every path, on every replica."""

import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.cell import JOINT, NOTES, SCOPE, SUPPORT, Cell
from support.limited import lift, object_to, rectify, restrict, some, withdraw
from support.webhook import webhook
from tenure import ids
from tenure.access import Ask
from tenure.bootstrap import Tenure, open_tenure
from tenure.cli.policy import _lines
from tenure.decisions import Opening
from tenure.errors import Denied, Erased, Invalid
from tenure.governance.explaining import About
from tenure.groundwork import ground_of
from tenure.http.app import create_app
from tenure.inspection.inspector import Inspector
from tenure.inspection.view import Anchors
from tenure.ledger.rederivation import open_request
from tenure.listing import Query
from tenure.model.apikey import parse_api_key
from tenure.model.principal import PrincipalKind
from tenure.model.record import Draft, Segment
from tenure.model.thread import Bound, Channel, NewSnapshot
from tenure.threads.pages import Wanted

pytestmark = pytest.mark.anyio

HER, HIM = "customer:her", "customer:him"
Look = Callable[[Tenure, Ask], Awaitable[Any]]


@pytest.fixture
async def small(embedded: Cell) -> AsyncIterator[Cell]:
    """An opened cell on SQLite, for what is the same on either database."""
    async with embedded.opened():
        yield embedded


async def lived(cell: Cell) -> None:
    """What there is about her, about him, about both, and about nobody."""
    source = await cell.put("talk", "hers", HER, paths=(("desk", "1"),))
    await cell.put("his", "his", HIM, paths=(("desk", "1"),))
    await cell.put("both", "theirs", HER, HIM)
    await cell.put("joint", "theirs", HER, HIM, scope=JOINT)
    await cell.put("hours", "nine to five", scope=NOTES)
    await cell.put("summary", "of hers", scope=NOTES, derived_from=(source.version_id,))
    parts = Segment(b'"hers"', (HER,)), Segment(b'"his"', (HIM,)), Segment(b'"anybody\'s"', ())
    draft = Draft(b"", (), ("contact",), segments=parts)
    await cell.tenure.gateway.write(cell.one.ask(), NOTES, "parts", draft)
    draft = Draft(b"", (), ("contact",), segments=parts[:1])
    await cell.tenure.gateway.write(cell.one.ask(), NOTES, "her parts", draft)
    for name, people in (("her thread", (HER,)), ("his thread", (HIM,))):
        bound = Bound(("contact",), people)
        new = NewSnapshot("s1", None, {"talk": Channel(1, "text", (b"hello",))}, run=f"run of {name}")
        await cell.tenure.threads.put(cell.one.ask(), SCOPE, name, "", bound, new)


def read(key: str, scope: str = SCOPE, **which: Any) -> Look:
    return lambda tenure, ask: tenure.gateway.read(ask, scope, key, **which)


REFUSED: dict[str, Look] = {
    "a record": read("talk"),
    "its first version": read("talk", version=1),
    "as of now": lambda tenure, ask: tenure.gateway.read(ask, SCOPE, "talk", as_of=ids.now()),
    "a record of both": read("both"),
    "a joint one": read("joint", JOINT),
    "what was derived": read("summary", NOTES),
    "segments, all hers": read("her parts", NOTES),
    "how long it is kept": lambda tenure, ask: tenure.gateway.retention(ask, SCOPE, "talk"),
    "a thread": lambda tenure, ask: tenure.threads.get(ask, SCOPE, "her thread"),
    "a snapshot": lambda tenure, ask: tenure.threads.get(ask, SCOPE, "her thread", "", "s1"),
    "a thread's pages": lambda tenure, ask: tenure.threads.page(ask, SCOPE, Wanted("her thread")),
    "a copy of a thread": lambda tenure, ask: tenure.threads.copy(ask, SCOPE, "her thread", "other"),
}
"""Every path by which one thing about her leaves."""


async def refused(cell: Cell, look: Look, reason: str, tenure: Tenure | None = None) -> dict[str, Any]:
    """It is refused for this reason; the entry that says so."""
    with pytest.raises(Denied) as denied:
        await look(tenure or cell.tenure, cell.one.ask())
    [entry] = [one for one in cell.entries() if f"{one['writer']}-{one['n']}" == denied.value.entry]
    assert (denied.value.rule, entry["outcome"], entry["data"]["reason"]) == (reason, "denied", reason)
    for told in (str(denied.value), denied.value.remedy or "", json.dumps(entry)):
        assert HER not in told
        assert "her" not in told.lower().split()
    return entry


async def people(cell: Cell) -> set[str]:
    """Ids of people, which no entry names."""
    return {await cell.person(HER), await cell.person(HIM)}


async def listed(cell: Cell, scope: str, **wanted: Any) -> tuple[set[str], int]:
    """Keys, and how many are withheld in the end, in pages of two."""
    keys: set[str] = set()
    cursor = None
    while True:
        query = Query(limit=2, cursor=cursor, **wanted)
        page = await cell.tenure.gateway.query(cell.one.ask(), scope, query)
        keys |= {one.key for one in page.items if "\x1f" not in one.key}
        if page.next is None:
            return keys, page.withheld
        cursor = page.next


async def others_unaffected(cell: Cell) -> None:
    assert await cell.value("his") == "his"
    assert await cell.value("hours", scope=NOTES) == "nine to five"
    assert (await cell.tenure.threads.get(cell.one.ask(), SCOPE, "his thread")).id == "s1"


async def left_out(cell: Cell, decision: str) -> None:
    """What shows several things leaves out what is hers, and counts it."""
    parts = (await cell.get("parts", scope=NOTES)).segments
    assert [(one.withheld, one.content, one.subjects) for one in parts] == [
        ("restricted", None, ()),
        (None, b'"his"', (HIM,)),
        (None, b'"anybody\'s"', ()),
    ]
    seen = cell.entries()[-1]
    assert [one["action"] for one in seen["accesses"]] == ["withheld", "returned", "returned"]
    assert seen["data"]["withheld"] == "restricted"

    for include in (False, True):
        keys, withheld = await listed(cell, SCOPE, include_content=include)
        assert keys == {"his"}
        assert withheld == 4, "her talk, the one of both, her thread's root and its snapshot"
        assert await listed(cell, NOTES, include_content=include) == ({"hours", "parts"}, 2)
        assert await listed(cell, JOINT, include_content=include) == (set(), 1)
    assert await listed(cell, SCOPE, subject=HER) == (set(), 4)
    assert await listed(cell, SCOPE, path=("desk",)) == ({"his"}, 1)
    assert await listed(cell, SCOPE, prefix="ta") == (set(), 1)
    page = await cell.tenure.gateway.query(cell.one.ask(), NOTES, Query(prefix="parts"))
    assert page.items[0].subjects == (HIM,), "a list names nobody whose segment is withheld"
    history = await cell.tenure.gateway.history(cell.one.ask(), SCOPE, "talk")
    assert (history.items, history.withheld) == ([], 1)
    every = await cell.tenure.threads.page(cell.one.ask(), SCOPE, Wanted())
    assert [one.thread for one in every.items] == ["his thread"]
    ahead = await cell.tenure.retrievals.ask(cell.one.ask(), SCOPE, Query(include_content=True))
    assert (ahead["versions"], ahead["withheld"]) == (3, 4)
    for kept in (cell.tenure.decisions.context, cell.tenure.decisions.openings):
        told = await kept(cell.one.ask(), decision)
        assert [one["content"] for one in told["items"]] == [{"v": "his"}, "his", "anybody's"]
        assert told["withheld"] == 2
        assert cell.entries()[-1]["data"]["withheld"] == "restricted"


async def test_every_path_is_closed_to_what_is_restricted_and_open_again(cell: Cell) -> None:
    await lived(cell)
    decision = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    during = cell.one.ask(decision=decision["id"])
    for key, scope in (("talk", SCOPE), ("his", SCOPE), ("parts", NOTES)):
        await cell.get(key, scope=scope, ask=during)
    before = {scope: await listed(cell, scope) for scope in (SCOPE, NOTES, JOINT)}
    assert all(withheld == 0 for _, withheld in before.values())

    request = ids.new_id()
    limit = await restrict(cell, HER, request)
    for look in REFUSED.values():
        await refused(cell, look, "restricted")
    await others_unaffected(cell)

    await left_out(cell, decision["id"])

    # Kept: storage is allowed, and nobody but the rules of retention takes it away.
    assert (await cell.put("talk", "more of hers", HER)).version == 2
    await refused(cell, read("talk"), "restricted")
    for end in (
        lambda tenure, ask: tenure.threads.delete(ask, SCOPE, "her thread"),
        lambda tenure, ask: tenure.threads.prune(ask, SCOPE, "her thread"),
        lambda tenure, ask: tenure.threads.delete_run(ask, SCOPE, "run of her thread"),
    ):
        await refused(cell, end, "restricted")
    held = await cell.tenure.subjects.get(cell.one["dpo"], await cell.person(HER))
    assert held["restricted_since"] == ids.rfc3339(limit.set_at)
    assert sum(one["versions"] for one in held["held"]) == 8, "the officer's inventory has all of it"

    await lift(cell, HER, of=request)
    assert await cell.value("talk") == "more of hers"
    for look in REFUSED.values():
        await look(cell.tenure, cell.one.ask())
    assert (await cell.tenure.subjects.get(cell.one["dpo"], await cell.person(HER)))[
        "restricted_since"
    ] is None
    for scope, (keys, _) in before.items():
        assert (await listed(cell, scope))[0] >= keys
    steps = [one for one in cell.entries() if one["kind"] == "subject.limit"]
    assert [(one["outcome"], one["data"]["what"], one["data"]["limit"]) for one in steps] == [
        ("set", "restriction", limit.id),
        ("lifted", "restriction", limit.id),
    ]
    ledger = json.dumps(cell.entries())
    assert not any(one in ledger for one in await people(cell))
    assert (await cell.audited()).ok


async def test_an_objection_is_about_one_purpose_and_those_below_it(small: Cell) -> None:
    await lived(small)
    mail: Look = lambda tenure, _: tenure.gateway.read(small.one.ask("marketer", "marketing"), SCOPE, "talk")  # noqa: E731 - as a row of the table
    [objection] = await object_to(small, HER, "marketing")
    await refused(small, mail, "objected")
    assert await small.value("talk") == "hers", "other purposes are not concerned"
    page = await small.tenure.gateway.query(small.one.ask("marketer", "marketing"), SCOPE, Query())
    assert {one.key for one in page.items if "\x1f" not in one.key} == {"his"}
    assert page.withheld == 4
    person = await small.person(HER)
    held = await small.tenure.subjects.get(small.one["dpo"], person)
    assert held["objections"] == [{"purpose": "marketing", "since": ids.rfc3339(objection.set_at)}]

    await object_to(small, HER, "service")  # `customer-support` is below it
    for look in REFUSED.values():
        await refused(small, look, "objected")
    await others_unaffected(small)
    parts = (await small.get("parts", scope=NOTES)).segments
    assert [one.withheld for one in parts] == ["objected", None, None]
    await restrict(small, HER)
    await refused(small, read("talk"), "restricted")
    await lift(small, HER)
    # Nobody is given anything of a thread that is deleted or pruned: an objection does not keep it.
    assert await small.tenure.threads.delete_run(small.one.ask(), SCOPE, "run of her thread") == 1

    await withdraw(small, HER, purposes=("service",))
    assert await small.value("talk") == "hers"
    await refused(small, mail, "objected")
    await withdraw(small, HER)
    await mail(small.tenure, small.one.ask())
    with pytest.raises(Invalid) as wrong:
        await object_to(small, HER, "marketing", "gossip")
    assert wrong.value.field == "purposes[1]"
    assert "gossip" not in str(wrong.value)
    with pytest.raises(Invalid):
        await object_to(small, HER)
    assert (await small.tenure.subjects.get(small.one["dpo"], person))["objections"] == []


async def test_two_requests_hold_each_for_itself_and_each_is_done_once(cell: Cell) -> None:
    await cell.put("talk", 1, HER)
    first, second = ids.new_id(), ids.new_id()
    limit = await restrict(cell, HER, first)
    assert await restrict(cell, HER, first) == limit, "a saga that goes on does it once"
    await restrict(cell, HER, second)
    assert len(await lift(cell, HER, of=first)) == 1
    assert await lift(cell, HER, of=first) == []
    await refused(cell, read("talk"), "restricted")
    assert len(await lift(cell, HER)) == 1
    assert await cell.value("talk") == 1
    kinds = [one["outcome"] for one in cell.entries() if one["kind"] == "subject.limit"]
    assert kinds == ["set", "set", "lifted", "lifted"]
    assert cell.rows("SELECT count(*) FROM subject_limits WHERE lifted_at IS NULL") == [(0,)]


async def test_the_explanation_says_why_and_not_for_whom(small: Cell) -> None:
    await lived(small)
    await restrict(small, HER)
    await object_to(small, HIM, SUPPORT)
    for key, reason in (("talk", "restricted"), ("his", "objected")):
        with pytest.raises(Denied) as denied:
            await small.get(key)
        told = await small.tenure.explaining.explain(small.one["auditor"], About(entry=denied.value.entry))
        [item] = told["items"]
        assert (item["recorded"], item["kept_back"], item["question"]["action"]) == (False, reason, "read")
        assert item["then"]["allowed"], "policy allowed it, then as now"
        assert item["now"]["allowed"]
        assert any(f"kept back ({reason})" in line for line in _lines(item)), "and so does the command"
        assert not any(one in json.dumps(told) for one in (HER, HIM, *await people(small)))


async def test_every_process_knows_with_its_next_transaction(scaled: Cell) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(scaled.opened())
        second = await stack.enter_async_context(open_tenure(scaled.settings))
        await lived(scaled)
        for tenure in (first, second):
            await tenure.gateway.read(scaled.one.ask(), SCOPE, "talk")  # both have it in their caches
        keys = second.decisions._tenancies.cached(scaled.one.id).keys  # type: ignore[union-attr]  # it was met
        await restrict(scaled, HER, tenure=first)
        for look in (REFUSED["a record"], REFUSED["a thread"], REFUSED["what was derived"]):
            await refused(scaled, look, "restricted", second)
        known = second.decisions._tenancies.cached(scaled.one.id)
        assert known is not None
        assert known.keys is keys, "no key is derived again for it"
        assert not keys.wiped
        await lift(scaled, HER, tenure=second)
        await object_to(scaled, HIM, SUPPORT, tenure=second)
        await first.gateway.read(scaled.one.ask(), SCOPE, "talk")
        await refused(scaled, read("his"), "objected", first)


async def test_one_who_is_restricted_is_erased_all_the_same(small: Cell) -> None:
    await lived(small)
    await restrict(small, HER)
    await object_to(small, HER, "marketing")
    assert (await small.erase(HER))["state"] == "completed"
    for key, scope in (("talk", SCOPE), ("both", SCOPE), ("summary", NOTES)):
        with pytest.raises(Erased):
            await small.get(key, scope=scope)
    assert await small.value("joint", scope=JOINT) == "theirs", "who stays has it, by the scope's rule"
    assert [one.erased for one in (await small.get("parts", scope=NOTES)).segments] == [True, False, False]
    await others_unaffected(small)
    await small.put("talk again", "anew", HER)
    assert await small.value("talk again") == "anew", "who comes back is somebody else"


async def test_one_who_is_being_erased_is_not_restricted(small: Cell) -> None:
    await small.put("talk", 1, HER)
    await small.request(HER)
    with pytest.raises(Erased):
        await restrict(small, HER)


# ── rectification ──────────────────────────────────────────────────────────────────────────────────
AGAIN = {"onErasure": "rederive", "webhook": "https://agents.example/again", "withinHours": 72}
SPEC = {
    "description": "Derived",
    "controller": "acme",
    "categories": ["contact"],
    "subjects": "optional",
    "derived": AGAIN,
}
DERIVED = {
    "apiVersion": "tenure/v1",
    "kind": "Scope",
    "metadata": {"name": "support.again"},
    "spec": SPEC,
}


async def test_what_was_corrected_is_read_no_more_and_what_came_of_it_is_stale(cell: Cell) -> None:
    await cell.tenure.manifests.apply(cell.one["admin"], json.dumps([DERIVED]), dry_run=False)
    wrong = await cell.put("address", "wrong", HER)
    before = ids.now()
    decision = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    await cell.get("address", ask=cell.one.ask(decision=decision["id"]))
    summary = await cell.put("summary", 1, scope="support.again", derived_from=(wrong.version_id,))
    digest = await cell.put("digest", 2, HIM, derived_from=(summary.version_id,))
    other = await cell.put("other", 3, HER)
    right = await cell.put("address", "right", HER, derived_from=(wrong.version_id,))
    request = ids.new_id()
    done = await rectify(cell, wrong, right, request)
    assert (done.stale, done.asked, done.complete) == (2, 1, True)
    assert (await rectify(cell, wrong, right, request)).entry is None, "once"

    assert await cell.value("address") == "right"
    assert (await cell.get("address")).stale_since is None
    for look in (read("address", version=1), read("address", as_of=before)):
        await refused(cell, look, "restricted")
    page = await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(prefix="address", as_of=before))
    assert (page.items, page.withheld) == ([], 1)
    lines = (await cell.tenure.gateway.history(cell.one.ask(), SCOPE, "address")).items
    assert [(one.version, one.restricted_since is not None) for one in lines] == [(2, False), (1, True)]

    since = lines[1].restricted_since
    for key, scope in (("summary", "support.again"), ("digest", SCOPE)):
        assert (await cell.get(key, scope=scope)).stale_since == since
        page = await cell.tenure.gateway.query(cell.one.ask(), scope, Query(prefix=key))
        assert [one.stale_since for one in page.items] == [since]
    assert (await cell.get("other")).stale_since is None
    assert other.version == 1
    late = await cell.put("late", 4, HER, derived_from=(digest.version_id,))
    assert (await cell.get("late")).stale_since == late.created_at, "from the beginning"
    await cell.put("digest", 5, HIM)
    assert (await cell.get("digest")).stale_since is None, "until it is written anew"

    # What a decision saw is told as it was seen to who audits, not to the agent.
    own = await cell.tenure.decisions.context(cell.one.ask(), decision["id"])
    assert (own["items"], own["withheld"]) == ([], 1)
    made = await cell.tenure.principals.create(
        cell.one["admin"], "looks into it", PrincipalKind.PERSON, ("auditor", "support-agent")
    )
    audit = Ask(parse_api_key(made["api_key"]), SUPPORT)
    [seen] = (await cell.tenure.decisions.context(audit, decision["id"]))["items"]
    assert (seen["content"], seen["restricted_since"]) == ({"v": "wrong"}, ids.rfc3339(since or 0))
    with pytest.raises(Denied):
        await cell.get("address", version=1, ask=audit)
    asked = (await cell.tenure.rederivations.page(cell.one["dpo"]))["items"]
    assert [(one["version_id"], one["cause"], one["shred"]) for one in asked] == [
        (summary.version_id, "rectification", request)
    ]
    [entry] = [one for one in cell.entries() if one["kind"] == "rectification"]
    assert [(one["record"], one["action"]) for one in entry["accesses"]] == [
        (wrong.record, "withheld"),
        *sorted([(summary.record, "listed"), (digest.record, "listed")]),
    ]
    with pytest.raises(Invalid):
        await rectify(cell, right, wrong)
    assert (await cell.audited()).ok


async def test_the_application_is_asked_to_derive_again_from_what_corrects_it(embedded: Cell) -> None:
    async with embedded.opened() as tenure:
        with webhook() as application:
            declared = json.dumps(
                [{**DERIVED, "spec": {**SPEC, "derived": {**AGAIN, "webhook": application.url}}}]
            )
            await tenure.manifests.apply(embedded.one["admin"], declared, dry_run=False)
            wrong = await embedded.put("address", "wrong", HER)
            summary = await embedded.put("sum", 1, scope="support.again", derived_from=(wrong.version_id,))
            right = await embedded.put("address", "right", HER)
            request = ids.new_id()
            await rectify(embedded, wrong, right, request)
            await tenure.rederivations.run()
            [body] = application.bodies
            asked = open_request(body, [await embedded.verifier()])
        assert (asked["cause"], asked["shred"]) == ("rectification", request)
        assert (asked["version_id"], asked["sources"]) == (summary.version_id, [right.version_id])
        await embedded.put("sum", 2, scope="support.again", derived_from=(right.version_id,))
        await tenure.rederivations.run()
        [one] = (await tenure.rederivations.page(embedded.one["dpo"]))["items"]
        assert one["state"] == "done"
        assert (await embedded.get("sum", scope="support.again")).stale_since is None
        said = [one for one in embedded.entries() if one["outcome"].startswith("rederivation-")]
        assert {one["kind"] for one in said} == {"rectification"}


async def test_over_http_it_says_why_and_since_when(embedded: Cell) -> None:
    async with embedded.opened() as tenure, AsyncExitStack() as stack:
        await lived(embedded)
        await some(embedded)
        await restrict(embedded, HER)
        app: Any = create_app(tenure)
        transport = httpx.ASGITransport(app)
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://tenure")
        )

        async def got(path: str, who: str = "agent") -> tuple[int, dict[str, Any]]:
            headers = {"Authorization": f"Bearer {embedded.one.keys[who]}", "Tenure-Purpose": SUPPORT}
            answer = await client.get(f"/v1/{path}", headers=headers)
            return answer.status_code, answer.json()

        status, problem = await got(f"scopes/{SCOPE}/records/talk")
        assert (status, problem["type"], problem["rule"]) == (403, "urn:tenure:problem:denied", "restricted")
        _, parts = await got(f"scopes/{NOTES}/records/parts")
        assert parts["segments"][0] == {"withheld": "restricted"}
        await lift(embedded, "customer:limited")
        _, told = await got(f"scopes/{NOTES}/records/told")
        _, history = await got(f"scopes/{SCOPE}/records/address/versions")
        assert told["stale_since"] == history["items"][1]["restricted_since"]
        assert "restricted_since" not in history["items"][0]
        _, held = await got(f"subjects/{await embedded.person(HER)}", "dpo")
        assert (held["restricted_since"] is None, held["objections"]) == (False, [])


async def test_a_database_that_is_put_back_has_the_limits_that_it_had(embedded: Cell, tmp_path: Path) -> None:
    """The ledger goes on with what was done since; who answers the requests does it again."""
    async with embedded.opened() as tenure:
        await lived(embedded)
        await restrict(embedded, HER)
        await tenure.sequencer.run(embedded.one.id)
    store = embedded.settings.data_dir
    shutil.copytree(store, tmp_path / "kept", ignore=lambda *_: ["objects"])
    async with embedded.opened() as tenure:
        await lift(embedded, HER)
        await restrict(embedded, HIM)
        await rectify(embedded, *[await embedded.put("address", one, HER) for one in ("wrong", "right")])
        await tenure.sequencer.run(embedded.one.id)
    for path in store.glob("tenure.db*"):
        path.unlink()
    shutil.copytree(tmp_path / "kept", store, dirs_exist_ok=True)
    async with embedded.opened() as tenure:
        assert tenure.recovered.restored
        await refused(embedded, read("talk"), "restricted")
        assert await embedded.value("his") == "his"
        await lift(embedded, HER)
        assert await embedded.value("talk") == "hers"
        await tenure.sequencer.run(embedded.one.id)
    assert found(embedded) == set()


async def test_an_inspection_holds_limits_and_marks_to_the_ledger(embedded: Cell) -> None:
    async with embedded.opened() as tenure:
        await some(embedded)
        await tenure.sequencer.run(embedded.one.id)
    assert found(embedded) == set()
    tampered = {
        "UPDATE subject_limits SET lifted_at = set_at WHERE kind = 'restriction'": "subject_limits",
        "UPDATE subject_limits SET purpose = 'service' WHERE lifted_at IS NULL AND kind = 'objection'": (
            "subject_limits"
        ),
        "DELETE FROM subject_limits": "subject_limits",
        "UPDATE versions SET restricted_since = NULL": "versions",
        "UPDATE versions SET restricted_since = created_at WHERE version = 2": "versions",
        "UPDATE versions SET stale_since = NULL": "versions",
        "UPDATE versions SET stale_since = stale_since + 1": "versions",
    }
    for statement, table in tampered.items():
        kept = {one: embedded.rows(f"SELECT * FROM {one}") for one in ("subject_limits", "versions")}
        assert embedded.change(statement) > 0, statement
        assert table in found(embedded), statement
        restore(embedded, kept)


def restore(cell: Cell, kept: dict[str, list[tuple[Any, ...]]]) -> None:
    for table, rows in kept.items():
        cell.change(f"DELETE FROM {table}")
        for row in rows:
            names = {f"c{at}": value for at, value in enumerate(row)}
            cell.change(f"INSERT INTO {table} VALUES ({', '.join(f':{one}' for one in names)})", **names)


def found(cell: Cell) -> set[str]:
    """The tables in which an inspection of the tenant finds something."""
    ground = ground_of(cell.settings)
    try:
        steps = Inspector(Anchors(ground), again_s=()).tenant(cell.one.id)
        return {one.table for step in steps for one in step.findings}
    finally:
        ground.database.close()
