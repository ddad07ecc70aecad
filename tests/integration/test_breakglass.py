"""Break-glass: a role for emergencies counts once a second person approved it, and until its time is over."""

import asyncio
import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import LargeBinary, select
from structlog.testing import capture_logs

from support.cell import SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from support.lived import EMERGENCY
from tenure import crew, ids
from tenure.bootstrap import open_tenure
from tenure.cli.doctor import _reviews
from tenure.decisions import Opening
from tenure.errors import Conflict, Denied, Erased, Invalid, NotFound, TenureError
from tenure.governance.principals import NewKey
from tenure.listing import Query
from tenure.model.apikey import parse_api_key
from tenure.model.breakglass import HOUR_US, MINUTE_US, State
from tenure.model.principal import PrincipalKind
from tenure.store import tables

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]
WHY = "Ada Lovelace of 12 St James's Square is unconscious"
AFTERWARDS = "asked Charles Babbage, who confirms it"


@dataclass
class Clock:
    """The clock that transactions read: ahead of the machine's, or standing still."""

    ahead: int = 0
    at: int | None = None

    def now(self) -> int:
        return ids.now() + self.ahead if self.at is None else self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(crew, "ids", SimpleNamespace(now=made.now))
    return made


@pytest.fixture
async def ward(cell: Cell) -> Cell:
    """A cell with a role for emergencies, a lead who approves it, and a record that clerks may not read."""
    await cell.tenure.manifests.apply(cell.one["admin"], EMERGENCY, dry_run=False)
    await person(cell, "lead", "support-lead")
    await cell.put("chart", "allergic", "customer:1", categories=("health",))
    return cell


async def person(cell: Cell, name: str, *roles: str, kind: PrincipalKind = PrincipalKind.PERSON) -> None:
    made = await cell.tenure.principals.create(cell.one["admin"], name, kind, roles)
    cell.one.keys[name], cell.one.principals[name] = made["api_key"], made["id"]


async def ask(cell: Cell, who: str = "clerk", minutes: int = 5, role: str = "rescuer") -> str:
    return str((await cell.tenure.breakglass.request(cell.one[who], role, minutes, WHY))["id"])


async def active(cell: Cell, who: str = "clerk", by: str = "lead", minutes: int = 5) -> str:
    asked = await ask(cell, who, minutes)
    await cell.tenure.breakglass.approve(cell.one[by], asked)
    return asked


async def show(cell: Cell, elevation: str, who: str = "dpo") -> dict[str, Any]:
    return await cell.tenure.breakglass.get(cell.one[who], elevation, after=None, limit=200)


async def listed(cell: Cell, who: str = "dpo", state: State | None = None) -> list[str]:
    page = await cell.tenure.breakglass.page(cell.one[who], state=state, before=None, limit=50)
    return [one["id"] for one in page["items"]]


async def reads(cell: Cell, who: str = "clerk") -> Any:
    return await cell.value("chart", ask=cell.one.ask(who))


async def denied(cell: Cell, who: str = "clerk") -> Denied:
    with pytest.raises(Denied) as refusal:
        await reads(cell, who)
    return refusal.value


# ── the life of an elevation ───────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_it_counts_from_the_approval_on_and_every_access_names_it(ward: Cell) -> None:
    elevation = await ask(ward)
    refusal = await denied(ward)
    approved = await ward.tenure.breakglass.approve(ward.one["lead"], elevation)
    assert (approved["state"], approved["decided_by"]) == ("active", ward.one.principals["lead"])
    assert ids.parse_rfc3339(approved["ends_at"]) - ids.parse_rfc3339(approved["decided_at"]) == 5 * MINUTE_US
    assert await reads(ward) == "allergic"
    await ward.value("chart")  # the agent's own
    entries = {f"{one['writer']}-{one['n']}": one for one in ward.entries()}
    mine = [one for one in entries.values() if one.get("data", {}).get("breakglass") == elevation]
    mine.sort(key=lambda one: str(one["at"]))
    assert [one["outcome"] for one in mine] == ["requested", "approved", "ok"]
    access = mine[-1]
    assert access["principal"] == ward.one.principals["clerk"]
    assert access["rules"][0].startswith("grant/rescue#")
    assert access["data"]["roles"] == ["clerk", "rescuer"], "so that it can be judged again"
    refused = entries[refusal.entry or ""]["data"]
    assert "breakglass" not in refused, "before the approval there was no elevation"
    assert refused["roles"] == ["clerk"]
    found = await show(ward, elevation)
    assert (found["reason"], found["note"], found["next"]) == (WHY, None, None)
    assert [one["kind"] for one in found["entries"]] == ["breakglass", "breakglass", "access"]
    assert found["entries"][-1]["entry"] == f"{access['writer']}-{access['n']}"


@pytest.mark.databases(*DATABASES)
async def test_the_clock_ends_it_in_the_very_transaction(ward: Cell, clock: Clock) -> None:
    elevation = await active(ward)
    await reads(ward)
    ends = ids.parse_rfc3339((await show(ward, elevation))["ends_at"])
    before = ward.rows("SELECT principal_epoch FROM tenant_state")
    clock.at = ends - 1
    assert await reads(ward) == "allergic"
    clock.at = ends
    refusal = await denied(ward)
    assert ward.rows("SELECT principal_epoch FROM tenant_state") == before
    assert (await show(ward, elevation))["state"] == "ended"
    entry = next(one for one in ward.entries() if f"{one['writer']}-{one['n']}" == refusal.entry)
    assert "breakglass" not in entry["data"]
    assert entry["data"]["roles"] == ["clerk"]


async def test_a_narrowed_key_is_not_lent_the_role(ward: Cell) -> None:
    """Whoever made it meant less than its principal may do, and nobody approved it for that key."""
    narrowed = NewKey(reach={"roles": ("clerk",), "scopes": None, "purposes": None, "actions": None})
    made = await ward.tenure.principals.add_credential(
        ward.one["admin"], ward.one.principals["clerk"], new=narrowed
    )
    ward.one.keys["narrowed"], ward.one.principals["narrowed"] = made["api_key"], made["id"]
    await active(ward)
    assert await reads(ward) == "allergic"
    await denied(ward, "narrowed")


async def test_a_narrowed_key_neither_asks_nor_decides(ward: Cell) -> None:
    """It was made for less than its principal may do; what it approved would be more."""
    nothing = NewKey(reach={"roles": None, "scopes": ("support.**",), "purposes": None, "actions": ("read",)})
    for who in ("lead", "clerk"):
        made = await ward.tenure.principals.add_credential(
            ward.one["admin"], ward.one.principals[who], new=nothing
        )
        ward.one.keys[f"narrowed-{who}"] = made["api_key"]
    with pytest.raises(Conflict):
        await ask(ward, "narrowed-clerk")
    asked = await ask(ward)
    for step in (ward.tenure.breakglass.approve, ward.tenure.breakglass.refuse):
        with pytest.raises(Conflict):
            await step(ward.one["narrowed-lead"], asked)
    with pytest.raises(NotFound):
        await show(ward, asked, "narrowed-lead")
    assert (await show(ward, asked))["state"] == "requested"


async def test_a_decision_in_an_emergency_is_judged_by_the_roles_it_had(ward: Cell) -> None:
    await active(ward)
    made = await ward.tenure.decisions.open(ward.one["clerk"], Opening(SUPPORT))
    assert await ward.value("chart", ask=ward.one.ask("clerk", decision=made["id"])) == "allergic"
    [access] = (await ward.tenure.replaying.replay(ward.one["auditor"], made["id"], "current"))["items"]
    assert (access["then"]["allowed"], access["now"]["allowed"]) == (True, True)
    assert (access["roles"], access["roles_from"]) == (["clerk", "rescuer"], "recorded")


async def test_ended_early_it_counts_no_more_in_any_process(scaled: Cell) -> None:
    async with scaled.opened() as first, open_tenure(scaled.settings) as second:
        await first.manifests.apply(scaled.one["admin"], EMERGENCY, dry_run=False)
        await scaled.put("chart", "allergic", "customer:1", categories=("health",))
        for tenure in (first, second):
            with pytest.raises(Denied):  # both know the clerk without an elevation
                await tenure.gateway.read(scaled.one.ask("clerk"), SCOPE, "chart")
        elevation = await active(scaled, by="dpo")
        for tenure in (first, second):
            await tenure.gateway.read(scaled.one.ask("clerk"), SCOPE, "chart")
        await second.breakglass.end(scaled.one["clerk"], elevation)
        for tenure in (first, second):
            with pytest.raises(Denied):
                await tenure.gateway.read(scaled.one.ask("clerk"), SCOPE, "chart")


@pytest.mark.databases(*DATABASES)
async def test_refused_ended_and_lapsed_ones_stay_so(ward: Cell, clock: Clock) -> None:
    door, lead = ward.tenure.breakglass, ward.one["lead"]
    refused, over, late = await ask(ward), await active(ward), await ask(ward)
    assert (await door.refuse(lead, refused))["state"] == "refused"
    assert (await door.end(ward.one["clerk"], over))["state"] == "ended"
    clock.ahead = 24 * HOUR_US
    assert (await show(ward, late))["state"] == "lapsed"
    for elevation in (refused, over, late):
        for step in (door.approve, door.refuse, door.end):
            with pytest.raises(Conflict):
                await step(lead, elevation)
    found = {state: await listed(ward, state=state) for state in State}
    assert found == {
        State.REQUESTED: [],
        State.LAPSED: [late],
        State.REFUSED: [refused],
        State.ACTIVE: [],
        State.ENDED: [over],
        State.REVIEWED: [],
    }
    assert await listed(ward) == [late, over, refused], "newest first"
    await denied(ward)


async def test_an_approver_or_the_officer_may_end_it_and_a_colleague_may_not(ward: Cell) -> None:
    door = ward.tenure.breakglass
    await person(ward, "colleague", "clerk")
    for who in ("lead", "dpo", "admin"):
        elevation = await active(ward)
        with pytest.raises(NotFound):
            await door.end(ward.one["colleague"], elevation)
        with pytest.raises(Denied):
            await door.end(ward.one["auditor"], elevation)
        assert await reads(ward) == "allergic"
        await door.end(ward.one[who], elevation)
        await denied(ward)


# ── two persons ────────────────────────────────────────────────────────────────────────────────────
async def test_nobody_approves_their_own_not_by_another_key_either(ward: Cell) -> None:
    await person(ward, "chief", "support-lead", "dpo")
    asked = await ask(ward, "chief")
    made = await ward.tenure.principals.add_credential(ward.one["admin"], ward.one.principals["chief"])
    for credential in (ward.one["chief"], parse_api_key(made["api_key"])):
        for step in (ward.tenure.breakglass.approve, ward.tenure.breakglass.refuse):
            with pytest.raises(Denied):
                await step(credential, asked)
    assert (await show(ward, asked))["state"] == "requested"
    refusals = [one for one in ward.entries() if one["kind"] == "breakglass" and one["outcome"] == "denied"]
    assert [one["data"] for one in refusals] == [
        {"breakglass": asked, "step": step} for step in ("approve", "refuse", "approve", "refuse")
    ]


async def test_only_persons_with_an_approver_role_decide(ward: Cell) -> None:
    await person(ward, "bot", "support-lead", "clerk", kind=PrincipalKind.AGENT)
    asked, door = await ask(ward), ward.tenure.breakglass
    expected = {"agent": NotFound, "marketer": NotFound, "auditor": Denied, "admin": Denied, "bot": Denied}
    for who, error in expected.items():
        with pytest.raises(error):
            await door.approve(ward.one[who], asked)
    with pytest.raises(NotFound):
        await door.approve(ward.two["dpo"], asked)
    with pytest.raises(Denied):  # and only a person asks
        await ask(ward, "bot")
    assert (await show(ward, asked))["state"] == "requested"
    assert (await door.approve(ward.one["dpo"], asked))["state"] == "active"


@pytest.mark.databases(*DATABASES)
async def test_who_is_elevated_approves_nothing_by_that(ward: Cell) -> None:
    """The roles that approve are never ones for emergencies; and an elevation opens no reserved scope."""
    chain = EMERGENCY.replace("approverRoles: [dpo, support-lead]", "approverRoles: [rescuer]")
    with pytest.raises(Invalid) as wrong:
        await ward.tenure.manifests.apply(ward.one["admin"], chain, dry_run=False)
    assert (wrong.value.rule, wrong.value.field) == (
        "own-role",
        "manifests[0].spec.breakGlass.approverRoles",
    )
    await person(ward, "colleague", "clerk")
    await active(ward)
    asked = await ask(ward, "colleague")
    with pytest.raises(NotFound):
        await ward.tenure.breakglass.approve(ward.one["clerk"], asked)
    assert await listed(ward, "colleague") == [asked], "one sees one's own"
    assert len(await listed(ward, "lead")) == 2, "and what one may approve"
    assert await listed(ward, "agent") == []


async def test_what_is_done_to_another_elevation_under_one_is_on_the_lists_of_both(ward: Cell) -> None:
    """A lead who is elevated still approves as a lead; who reviews the lead's elevation sees that too."""
    await person(ward, "colleague", "clerk")
    lead = await active(ward, "lead", by="dpo")
    asked = await ask(ward, "colleague")
    await ward.tenure.breakglass.approve(ward.one["lead"], asked)
    with pytest.raises(Denied):
        await ward.tenure.breakglass.approve(ward.one["lead"], lead)
    outcomes = [(one["kind"], one["outcome"]) for one in (await show(ward, lead))["entries"]]
    assert ("access", "ok") in outcomes
    assert ("breakglass", "denied") in outcomes
    steps = [one["outcome"] for one in (await show(ward, asked))["entries"]]
    assert "approved" in steps


@pytest.mark.databases(*DATABASES)
async def test_of_two_decisions_at_once_one_counts(ward: Cell) -> None:
    door = ward.tenure.breakglass
    asked = await ask(ward)
    outcomes = await asyncio.gather(
        *(step(ward.one[who], asked) for who in ("lead", "dpo") for step in (door.approve, door.refuse)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, dict) for one in outcomes) == 1
    assert all(isinstance(one, dict | Conflict) for one in outcomes), outcomes


@pytest.mark.databases(*DATABASES)
async def test_one_elevation_at_a_time(ward: Cell) -> None:
    door = ward.tenure.breakglass
    asked = [await ask(ward) for _ in range(3)]
    outcomes = await asyncio.gather(
        *(door.approve(ward.one["lead"], one) for one in asked), return_exceptions=True
    )
    assert sum(isinstance(one, dict) for one in outcomes) == 1
    assert len(await listed(ward, state=State.ACTIVE)) == 1


@pytest.mark.databases(*DATABASES)
async def test_a_repeated_request_is_one_request(ward: Cell) -> None:
    from tenure.governance.service import Once

    once = Once("key-1", b"the request")
    door, clerk = ward.tenure.breakglass, ward.one["clerk"]
    made = [await door.request(clerk, "rescuer", 5, WHY, once) for _ in range(2)]
    assert made[0] == made[1]
    assert len(await listed(ward)) == 1


# ── what it never overrides ────────────────────────────────────────────────────────────────────────
async def test_a_denying_rule_still_denies(ward: Cell) -> None:
    never = {
        "apiVersion": "tenure/v1",
        "kind": "Grant",
        "metadata": {"name": "clerks-see-no-health"},
        "spec": {
            "roles": ["clerk"],
            "scopes": ["**"],
            "categories": ["health"],
            "purposes": "*",
            "actions": "*",
            "effect": "deny",
        },
    }
    await active(ward)
    assert await reads(ward) == "allergic"
    await ward.tenure.manifests.apply(ward.one["admin"], json.dumps(never), dry_run=False)
    assert (await denied(ward)).rules == ("grant/clerks-see-no-health#1",)


async def test_what_is_erased_or_held_stays_closed(ward: Cell) -> None:
    await ward.put("kept", "evidence", "customer:1")
    record = (await ward.get("kept")).record
    await ward.tenure.holds.place(ward.one["dpo"], "record", record, "case 7")
    await active(ward)
    await ward.request("customer:1")
    for key in ("chart", "kept"):  # from the request on
        with pytest.raises(Erased):
            await ward.get(key, ask=ward.one.ask("clerk"))
    await ward.tenure.shredder.run()
    for key in ("chart", "kept"):
        with pytest.raises(Erased):
            await ward.get(key, ask=ward.one.ask("clerk"))
    assert (await ward.tenure.gateway.query(ward.one.ask("clerk"), SCOPE, Query(limit=50))).items == []


async def test_it_gives_what_its_grants_say_and_no_more(ward: Cell) -> None:
    await active(ward)
    with pytest.raises(Denied):
        await ward.get("chart", ask=ward.one.ask("clerk", purpose="marketing"))
    with pytest.raises(Denied):
        await ward.put("new", 1, "customer:2", categories=("health",), ask=ward.one.ask("clerk"))
    with pytest.raises(Denied):
        await ward.tenure.principals.every(ward.one["clerk"], after="", limit=10)


# ── nobody's own ───────────────────────────────────────────────────────────────────────────────────
async def test_nobody_has_such_a_role_of_their_own(ward: Cell) -> None:
    with pytest.raises(Invalid) as wrong:
        await person(ward, "always", "rescuer")
    assert (wrong.value.field, wrong.value.rule) == ("roles[0]", "a role without breakGlass")


async def test_a_role_that_becomes_one_for_emergencies_is_nobodys_from_then_on(ward: Cell) -> None:
    doctor = {
        "apiVersion": "tenure/v1",
        "kind": "Role",
        "metadata": {"name": "doctor"},
        "spec": {"description": "Reads charts"},
    }
    grant = EMERGENCY.split("---")[-1].replace("rescuer", "doctor").replace("rescue}", "doctors}")
    admin, apply = ward.one["admin"], ward.tenure.manifests.apply
    await apply(admin, json.dumps(doctor) + "\n---" + grant, dry_run=False)
    await person(ward, "ann", "doctor")
    assert await reads(ward, "ann") == "allergic"
    doctor["spec"] = {
        "description": "Reads charts",
        "breakGlass": {"maxMinutes": 5, "approverRoles": ["dpo"], "reviewWithinHours": 1},
    }
    await apply(admin, json.dumps(doctor), dry_run=False)
    await denied(ward, "ann")
    # And one that is no more for emergencies ends the elevations to it.
    asked = await ask(ward, role="doctor")
    await ward.tenure.breakglass.approve(ward.one["dpo"], asked)
    assert await reads(ward) == "allergic"
    doctor["spec"] = {"description": "Reads charts"}
    await apply(admin, json.dumps(doctor), dry_run=False)
    await denied(ward)


async def test_a_request_that_breaks_a_rule_names_it(ward: Cell, subtests: pytest.Subtests) -> None:
    rows = [
        ("rescuer", 61, WHY, "minutes"),
        ("rescuer", 0, WHY, "minutes"),
        ("clerk", 5, WHY, "role"),
        ("dpo", 5, WHY, "role"),
        ("never-declared", 5, WHY, "role"),
        ("rescuer", 5, " \n ", "reason"),
        ("rescuer", 5, "x" * 2001, "reason"),
    ]
    for role, minutes, reason, field in rows:
        with subtests.test(role=role, minutes=minutes, reason=reason[:20]):
            with pytest.raises(Invalid) as wrong:
                await ward.tenure.breakglass.request(ward.one["clerk"], role, minutes, reason)
            assert wrong.value.field == field
            assert wrong.value.rule
            assert wrong.value.remedy
    assert await listed(ward) == []


async def test_the_roles_limit_of_the_approval_counts(ward: Cell) -> None:
    asked = await ask(ward, minutes=60)
    less = EMERGENCY.replace("maxMinutes: 60", "maxMinutes: 30")
    await ward.tenure.manifests.apply(ward.one["admin"], less, dry_run=False)
    with pytest.raises(Invalid) as wrong:
        await ward.tenure.breakglass.approve(ward.one["lead"], asked)
    assert wrong.value.field == "minutes"


# ── the review ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_another_person_reviews_what_is_over(ward: Cell) -> None:
    door, elevation = ward.tenure.breakglass, await active(ward)
    with pytest.raises(Conflict):
        await door.review(ward.one["dpo"], elevation, "justified")
    await door.end(ward.one["clerk"], elevation)
    with pytest.raises(Denied):
        await door.review(ward.one["clerk"], elevation, "justified")
    with pytest.raises(Denied):
        await door.review(ward.one["auditor"], elevation, "justified")
    with pytest.raises(NotFound):
        await door.review(ward.one["marketer"], elevation, "justified")
    with pytest.raises(Invalid):
        await door.review(ward.one["dpo"], elevation, "It was Ada's heart")
    done = await door.review(ward.one["dpo"], elevation, "justified", AFTERWARDS)
    assert (done["state"], done["outcome"]) == ("reviewed", "justified")
    assert (await show(ward, elevation, "auditor"))["note"] == AFTERWARDS
    with pytest.raises(Conflict):
        await door.review(ward.one["lead"], elevation, "unjustified")


@pytest.mark.databases(*DATABASES)
async def test_an_overdue_review_is_seen_and_blocks_the_next_approval(ward: Cell, clock: Clock) -> None:
    door = ward.tenure.breakglass
    first = await active(ward)
    assert await door.waiting() == (1, 0)
    clock.ahead = 24 * HOUR_US + 4 * MINUTE_US
    second = await ask(ward)
    assert await door.waiting() == (1, 0)
    clock.ahead += 2 * MINUTE_US
    assert await door.waiting() == (1, 1)
    assert (await show(ward, first))["overdue"]
    with pytest.raises(Conflict) as late:
        await door.approve(ward.one["lead"], second)
    assert first in late.value.detail
    assert first in (late.value.remedy or "")
    await door.review(ward.one["lead"], first, "justified")
    assert await door.waiting() == (0, 0)
    assert (await door.approve(ward.one["lead"], second))["state"] == "active"
    assert await door.waiting() == (1, 0)


@pytest.mark.databases(*DATABASES)
async def test_doctor_names_what_is_overdue(ward: Cell) -> None:
    assert [one.state for one in _reviews(ward.settings)] == ["ok"]
    elevation = await active(ward)
    await ward.tenure.breakglass.end(ward.one["clerk"], elevation)
    assert [one.state for one in _reviews(ward.settings)] == ["ok"]
    ward.change("UPDATE breakglass_queue SET due_at = 1")
    (found,) = _reviews(ward.settings)
    assert (found.state, elevation in found.detail, elevation in found.remedy) == ("warning", True, True)


async def test_an_early_end_is_reviewed_as_much_earlier(ward: Cell) -> None:
    elevation = await active(ward, minutes=60)
    ended = await ward.tenure.breakglass.end(ward.one["clerk"], elevation)
    due = ids.parse_rfc3339(ended["review_due"])
    assert due == ids.parse_rfc3339(ended["ended_at"]) + 24 * HOUR_US
    assert ward.rows("SELECT due_at FROM breakglass_queue") == [(due,)]


@pytest.mark.databases(*DATABASES)
async def test_a_tenant_that_leaves_is_waited_for_no_longer(ward: Cell) -> None:
    await active(ward)
    await ward.tenure.tenants.shred(ward.operator, ward.one.id)
    assert await ward.tenure.breakglass.waiting() == (0, 0)
    await ward.tenure.shredder.run()
    assert ward.rows("SELECT id FROM breakglass") == []


# ── nothing personal ───────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_reason_and_note_are_sealed_and_nowhere_else(ward: Cell) -> None:
    from tenure.governance.service import Once

    door = ward.tenure.breakglass
    with capture_logs() as logs:
        made = await door.request(ward.one["clerk"], "rescuer", 5, WHY, Once("k", WHY.encode()))
        await door.approve(ward.one["lead"], made["id"])
        await reads(ward)
        await door.end(ward.one["clerk"], made["id"])
        await door.review(ward.one["dpo"], made["id"], "justified", AFTERWARDS, Once("l", WHY.encode()))
        for problem in (
            door.review(ward.one["dpo"], made["id"], "justified", AFTERWARDS),
            door.request(ward.one["agent"], "rescuer", 5, WHY),
            door.request(ward.one["clerk"], "rescuer", 5000, WHY),
        ):
            with pytest.raises(TenureError) as failure:
                await problem
            assert "Ada" not in f"{failure.value!r}{vars(failure.value)}"
        assert (await show(ward, made["id"]))["reason"] == WHY
    assert "Ada" not in str(logs)
    kept = []
    with ward.raw() as connection:
        for table in tables.metadata.sorted_tables:
            for row in connection.execute(select(table)):
                kept += [bytes(one) if isinstance(one, memoryview) else str(one).encode() for one in row]
                kept += [one for one in row if isinstance(one, bytes)]
    assert isinstance(tables.breakglass.c.sealed_reason.type, LargeBinary)
    for word in (b"Lovelace", b"James", b"Babbage", b"unconscious"):
        assert not [one for one in kept if word in one]
    looks = [one for one in ward.entries() if one.get("data", {}).get("elevation") == made["id"]]
    assert [(one["kind"], one["principal"]) for one in looks] == [("access", ward.one.principals["dpo"])]


async def test_another_tenants_reason_does_not_open_here(ward: Cell) -> None:
    """A row that is copied to another tenant, or to another id, is Tampered or closed."""
    await ward.tenure.manifests.apply(ward.two["admin"], EMERGENCY, dry_run=False)
    elevation = await ask(ward)
    other = await ward.tenure.breakglass.request(ward.two["clerk"], "rescuer", 5, "theirs")
    copied = "SELECT {0} FROM breakglass WHERE CAST(id AS TEXT) = :one"
    ward.change(
        "UPDATE breakglass SET"
        f" header = ({copied.format('header')}), sealed_reason = ({copied.format('sealed_reason')}),"
        f" leaf = ({copied.format('leaf')}) WHERE CAST(id AS TEXT) = :two",
        one=elevation,
        two=other["id"],
    )
    with pytest.raises(TenureError) as failure:
        await ward.tenure.breakglass.get(ward.two["dpo"], other["id"], after=None, limit=10)
    assert failure.value.kind == "tampered"


@pytest.mark.databases(*DATABASES)
async def test_a_page_of_what_was_done_at_a_time(ward: Cell) -> None:
    elevation = await active(ward)
    for _ in range(5):
        await reads(ward)
    seen: list[str] = []
    after: tuple[int, str, int] | None = None
    while True:
        page = await ward.tenure.breakglass.get(ward.one["dpo"], elevation, after=after, limit=2)
        seen += [one["entry"] for one in page["entries"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 7
    assert seen == [one["entry"] for one in (await show(ward, elevation))["entries"]]
