"""Rights requests: received, decided by a second person, carried out, certified."""

import json
import zipfile
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest

from support.cell import JOINT, NOTES, SCOPE, Cell
from support.databases import DATABASES
from support.officers import Ahead, approved, asked, carried_out, scoped, second_officer, show
from support.packages import patrolled
from support.webhook import webhook
from tenure import ids
from tenure.cli.doctor import _requests
from tenure.decisions import Opening
from tenure.errors import Conflict, Denied, Erased, Expired, Invalid, NotFound, Unavailable
from tenure.ledger.certificate import verify_certificate
from tenure.model.deadlines import ExtensionReason, PauseReason
from tenure.model.record import Draft, Segment
from tenure.model.rightsrequest import DAY_US, Ground, Kind, Method
from tenure.rendering.certificates import certificate_paper
from tenure.rendering.html import html_page
from tenure.rights import earlier, scoping
from tenure.rights.receiving import NewRequest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(cell: Cell) -> Cell:
    """A cell with a second officer, and records about two people."""
    await second_officer(cell)
    await cell.put("talk", {"said": "hello"}, "customer:1")
    await cell.put("other", {"said": "good day"}, "customer:2")
    return cell


async def certified(cell: Cell, done: dict[str, Any]) -> dict[str, Any]:
    """What the certificate says, which verifies offline."""
    envelope = await cell.certificate(done["certificate"])
    report = verify_certificate(envelope, [await cell.verifier()])
    assert report.ok, report.failures
    assert report.certificate["request"] == done["id"]
    assert "waits_for" not in json.dumps(report.certificate), "nothing of what is closed waits"
    assert not [text for text in report.not_checked if "that the certificate names" in text], "it names none"
    assert [text for text in report.not_checked if "`request.close`" in text]
    ends = [one["data"] for one in cell.entries() if one["kind"] == "request.close"]
    assert [one for one in ends if one["certificate"] == done["certificate"]]
    return report.certificate


async def test_an_erasure_from_receipt_to_certificate(desk: Cell) -> None:
    request = await approved(desk, Kind.ERASURE, details="Please forget me, I am Ada")
    done = await carried_out(desk, request)
    assert done["state"] == "completed", done
    said = await certified(desk, done)
    assert (said["type"], said["exceptions"]) == ("erasure", [])
    assert said["done"]["residue"]["verdict"] == "clean"
    assert "`done.residue`" in said["does_not_prove"][0]
    erasure = await desk.certificate(said["done"]["residue"]["certificate"])
    assert verify_certificate(erasure, [await desk.verifier()]).certificate["subject"] == said["subject"]
    assert not [word for word in ("Ada", "customer:1") if word in json.dumps([said, done])]
    with pytest.raises(Erased):
        await desk.get("talk")
    assert (await desk.get("other")).content
    steps = [line["step"] for line in done["timeline"] if not line["step"].endswith("-waits")]
    assert steps[:4] == ["received", "identified", "scoped", "approved"]
    assert steps[-1] == "completed"


async def test_nobody_approves_or_refuses_what_they_opened(desk: Cell) -> None:
    requests, dpo = desk.tenure.requests, desk.one["dpo"]
    request = await asked(desk, Kind.ERASURE)
    await scoped(desk, request)
    before = len(desk.entries())
    for verb in (requests.approve(dpo, request), requests.refuse(dpo, request, Ground.EXCESSIVE)):
        with pytest.raises(Denied) as refused:
            await verb
        assert refused.value.rules == ("four-eyes",)
    denied = desk.entries()[before:]
    assert [(one["outcome"], one["data"]["request"]) for one in denied] == [("denied", request)] * 2
    assert (await show(desk, request))["state"] == "approval"
    await requests.approve(desk.one["second"], request)
    with pytest.raises(Conflict):
        await requests.approve(desk.one["second"], request)


async def test_an_unknown_person_is_told_so_and_it_is_certified(desk: Cell) -> None:
    request = await approved(desk, Kind.ERASURE, "customer:none")
    done = await carried_out(desk, request)
    said = await certified(desk, done)
    assert (done["state"], done["subject"], done["scope"]["known"]) == ("completed", None, False)
    assert said["held"].startswith("Nothing is held")
    assert said["done"]["keys"] == {"held": "nothing"}
    assert not [text for text in said["does_not_prove"] if "destroyed" in text], "nothing was"
    assert "subject" not in said


async def test_who_is_known_only_since_the_dry_run_is_decided_on_anew(desk: Cell) -> None:
    request = await approved(desk, Kind.ERASURE, "customer:new")
    await desk.put("late", {"said": "I am new here"}, "customer:new")
    await desk.tenure.rights.run()
    back = await show(desk, request)
    assert (back["state"], back["decided_by"], back["subject"]) == ("scoping", None, None)
    assert back["timeline"][-1]["step"] == "known-since"
    assert await desk.value("late") == {"said": "I am new here"}
    await desk.tenure.rights.run()
    assert (await show(desk, request))["state"] == "scoping", "it waits for an officer"
    found = await desk.tenure.requests.scope(desk.one["dpo"], request)
    assert found["scope"]["known"]
    with pytest.raises(Denied):
        await desk.tenure.requests.approve(desk.one["dpo"], request)
    await desk.tenure.requests.approve(desk.one["second"], request)
    done = await carried_out(desk, request)
    assert "held" not in await certified(desk, done)
    with pytest.raises(Erased):
        await desk.get("late")


async def test_what_a_hold_keeps_makes_it_partial_and_is_named(desk: Cell) -> None:
    person = (await desk.tenure.subjects.lookup(desk.one["dpo"], "customer:1"))["items"][0]["id"]
    hold = await desk.tenure.holds.place(desk.one["dpo"], "subject", person, "case 7 of the court")
    request = await asked(desk, Kind.ERASURE)
    found = await scoped(desk, request)
    assert [one["id"] for one in found["scope"]["impact"]["holds"]] == [hold["id"]]
    await desk.tenure.requests.approve(desk.one["second"], request)
    done = await carried_out(desk, request)
    said = await certified(desk, done)
    assert done["state"] == said["outcome"] == "partial"
    assert [(one["hold"], one["why"]) for one in said["exceptions"]] == [(hold["id"], "case 7 of the court")]
    assert said["done"]["keys"]["versions_kept_for_holds"] == 1
    with pytest.raises(Erased, match="a legal hold keeps it sealed"):
        await desk.get("talk")
    assert [(one["hold"], one["state"]) for one in done["held"]] == [(hold["id"], "active")]
    released = await desk.tenure.holds.release(desk.one["dpo"], hold["id"])
    await desk.tenure.shredder.run()
    with pytest.raises(Erased, match="its key is destroyed"):
        await desk.get("talk")
    certificate = (await desk.erasure(released["shred"]))["certificate"]
    gone = (await show(desk, request))["held"]
    assert [(one["state"], one["certificate"]) for one in gone] == [("released", certificate)]
    paper = html_page(certificate_paper(await desk.certificate(done["certificate"])))
    assert "Versions kept under a legal hold" in paper
    assert "What is held" not in paper


async def test_words_found_elsewhere_wait_for_an_officer(desk: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody wrote the reference into a record about somebody else: it is said, and not passed over."""
    searches, search = [], desk.tenure.residue.search

    async def counted(tenant_id: str, values: Any) -> Any:
        searches.append(tenant_id)
        return await search(tenant_id, values)

    monkeypatch.setattr(desk.tenure.residue, "search", counted)
    about = await desk.put("about", {"see also": "customer:1, who called"}, "customer:2")
    requests, second = desk.tenure.requests, desk.one["second"]
    request = await approved(desk, Kind.ERASURE)
    found = await carried_out(desk, request)
    residue = found["progress"]["residue"]
    assert (found["state"], residue["verdict"], residue["found_complete"]) == ("verifying", "residue", True)
    assert residue["found"] == [{"record": about.record, "version": 1, "scope": SCOPE, "count": 1}]
    assert ":conclude" in found["next"]
    with pytest.raises(Denied) as refused:
        await requests.conclude(desk.one["dpo"], request, "accepted")
    assert refused.value.rules == ("four-eyes",)
    with pytest.raises(Invalid) as wrong:
        await requests.conclude(second, request, "rejected")
    assert (wrong.value.field, wrong.value.rule) == ("outcome", "one of accepted, search-again")
    assert "accepted: what was found stays" in str(wrong.value.remedy)
    assert await show(desk, request) == found
    await requests.conclude(second, request, "accepted")
    with pytest.raises(Conflict):
        await requests.conclude(second, request, "search-again")
    done = await carried_out(desk, request)
    said = await certified(desk, done)
    assert (done["state"], said["exceptions"][0]["ground"]) == ("partial", "residue")
    assert (said["done"]["residue"]["accepted"], said["done"]["concluded"]["outcome"]) == (True, "accepted")
    assert about.record not in json.dumps(said), "a certificate names no places"
    assert searches == [desk.one.id], "all of the tenant is read once"


async def test_what_was_put_right_is_searched_for_again(desk: Cell) -> None:
    """An officer's word is about one search: what the next one finds waits for another."""
    await desk.put("about", {"see also": "customer:1, who called"}, "customer:2")
    requests, second = desk.tenure.requests, desk.one["second"]
    request = await approved(desk, Kind.ERASURE)
    await carried_out(desk, request)
    for _ in range(2):
        await requests.conclude(second, request, "search-again")
        found = await carried_out(desk, request)
        assert (found["state"], ":conclude" in found["next"]) == ("verifying", True)
        assert [line["outcome"] for line in found["timeline"] if line["step"] == "concluded"][-1:] == [
            "search-again"
        ]
    await carried_out(desk, await approved(desk, Kind.ERASURE, "customer:2"))
    await requests.conclude(second, request, "search-again")
    done = await carried_out(desk, request)
    assert (done["state"], done["progress"]["residue"]["verdict"]) == ("completed", "clean")
    assert "accepted" not in (await certified(desk, done))["done"]["residue"]


async def test_a_clock_that_stands_still_and_goes_on(desk: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, requests, dpo = Ahead(monkeypatch), desk.tenure.requests, desk.one["dpo"]
    request = await asked(desk, Kind.ACCESS)
    due = (await show(desk, request))["due_at"]
    await requests.identify(dpo, request, Method.LOGIN)
    paused = await requests.pause(dpo, request, PauseReason.CLARIFICATION)
    assert paused["paused"] is True
    for verb in (requests.scope(dpo, request), requests.approve(desk.one["second"], request)):
        with pytest.raises(Conflict):
            await verb
    clock.us = 5 * DAY_US
    resumed = await requests.resume(dpo, request)
    assert (resumed["paused"], resumed["due_at"] > due) == (False, True)
    with pytest.raises(Conflict):
        await requests.resume(dpo, request)
    extended = await requests.extend(dpo, request, ExtensionReason.COMPLEXITY)
    assert extended["extended"] is True
    assert extended["due_at"] > resumed["due_at"]
    with pytest.raises(Conflict):
        await requests.extend(dpo, request, ExtensionReason.COMPLEXITY)


async def test_a_pause_for_the_identity_ends_when_it_is_established(
    desk: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, requests, dpo = Ahead(monkeypatch), desk.tenure.requests, desk.one["dpo"]
    request = await asked(desk, Kind.ACCESS)
    due = (await show(desk, request))["due_at"]
    await requests.pause(dpo, request, PauseReason.IDENTITY)
    clock.us = 5 * DAY_US
    found = await requests.identify(dpo, request, Method.LOGIN)
    assert (found["paused"], found["due_at"] > due, found["state"]) == (False, True, "scoping")
    steps = [line["step"] for line in (await show(desk, request))["timeline"]]
    assert steps == ["received", "paused", "resumed", "identified"]
    with pytest.raises(Conflict) as refused:
        await requests.pause(dpo, request, PauseReason.IDENTITY)
    assert (refused.value.field, "identified" in str(refused.value.rule)) == ("reason", True)
    assert (await show(desk, request))["paused"] is False


async def test_reminded_then_overdue_each_once_on_record(desk: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Ahead(monkeypatch)
    request = await asked(desk, Kind.OBJECTION, purposes=("marketing",))
    for days, steps, flags in (
        (1, [], (False, False)),
        (27, ["reminded"], (True, False)),
        (28, ["reminded"], (True, False)),
        (33, ["reminded", "overdue"], (True, True)),
        (40, ["reminded", "overdue"], (True, True)),
    ):
        clock.us = days * DAY_US
        await desk.tenure.rights.run()
        found = await show(desk, request)
        assert [line["step"] for line in found["timeline"][1:]] == steps, days
        assert (found["urgent"], found["overdue"]) == flags, days
    late = await desk.tenure.requests.page(desk.one["dpo"], overdue=True)
    assert [one["id"] for one in late["items"]] == [request]
    with pytest.raises(Conflict, match="first period is over"):
        await desk.tenure.requests.extend(desk.one["dpo"], request, ExtensionReason.NUMBER)


async def test_a_case_is_sealed_opened_on_record_and_goes_with_its_time(
    desk: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, requests, dpo = Ahead(monkeypatch), desk.tenure.requests, desk.one["dpo"]
    request = await asked(desk, Kind.ACCESS, details="I am Ada Lovelace")
    await requests.note(dpo, request, "Called back under 0123")
    case = await requests.case(dpo, request)
    assert (case["reference"], case["notes"]) == ("customer:1", ["Called back under 0123"])
    assert desk.entries()[-1]["data"] == {"action": "read", "request": request, "service": "tenure.cases"}
    with pytest.raises(Denied):
        await requests.case(desk.one["auditor"], request)
    await requests.withdraw(dpo, request)
    clock.us = 3 * 365 * DAY_US + DAY_US
    await desk.tenure.rights.run()
    await desk.tenure.shredder.run()
    with pytest.raises(Erased):
        await requests.case(dpo, request)
    found = await show(desk, request)
    assert (found["state"], found["timeline"][-1]["step"]) == ("withdrawn", "purged")
    stored = desk.rows("SELECT header, sealed FROM rights_requests")
    assert stored == [(None, None)]


async def test_refused_on_a_ground_of_this_right_only(desk: Cell) -> None:
    requests = desk.tenure.requests
    request = await asked(desk, Kind.ACCESS)
    with pytest.raises(Invalid) as wrong:
        await requests.refuse(desk.one["second"], request, Ground.CLAIMS)
    assert wrong.value.field == "ground"
    done = await requests.refuse(desk.one["second"], request, Ground.NOT_IDENTIFIED)
    assert (done["state"], done["ground"]) == ("refused", "11.2-not-identified")
    with pytest.raises(Conflict):
        await requests.withdraw(desk.one["dpo"], request)
    assert desk.entries()[-1]["kind"] == "request.close"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": Kind.OBJECTION}, "purposes"),
        ({"kind": Kind.OPT_OUT, "purposes": ("mind-reading",)}, "purposes"),
        ({"kind": Kind.ACCESS, "purposes": ("marketing",)}, "purposes"),
        ({"kind": Kind.RECTIFICATION}, "corrections"),
        ({"kind": Kind.ACCESS, "reference": ""}, "reference"),
        ({"kind": Kind.ACCESS, "details": " "}, "details"),
        ({"kind": Kind.ACCESS, "received_at": 9_000_000_000_000_000}, "received_at"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_nothing_is_kept(
    embedded: Cell, given: dict[str, Any], field: str
) -> None:
    async with embedded.opened():
        with pytest.raises(Invalid) as refused:
            await asked(embedded, **given)
        assert refused.value.field == field
        assert not embedded.rows("SELECT id FROM rights_requests")
        with pytest.raises(NotFound):
            await show(embedded, "01a22600-0000-7000-8000-000000000000")


async def test_steps_out_of_order_change_nothing(desk: Cell) -> None:
    requests, dpo, second = desk.tenure.requests, desk.one["dpo"], desk.one["second"]
    request = await asked(desk, Kind.ERASURE)
    for early in (requests.scope(dpo, request), requests.approve(second, request)):
        with pytest.raises(Conflict):
            await early
    await requests.identify(dpo, request, Method.DOCUMENT)
    with pytest.raises(Conflict):
        await requests.identify(dpo, request, Method.DOCUMENT)
    with pytest.raises(Conflict):
        await requests.conclude(second, request, "accepted")
    assert (await show(desk, request))["state"] == "scoping"


async def test_a_restriction_and_an_objection_hold_once_they_are_approved(desk: Cell) -> None:
    await carried_out(desk, await approved(desk, Kind.OBJECTION, purposes=("customer-support",)))
    with pytest.raises(Denied):
        await desk.get("talk")
    with pytest.raises(Denied) as refused:
        await desk.put("more", {"said": "again"}, "customer:1")
    assert refused.value.rule == "objected"
    await desk.put("more", {"said": "about somebody else"}, "customer:2")
    done = await carried_out(desk, await approved(desk, Kind.RESTRICTION, "customer:2"))
    assert done["state"] == "completed", done
    with pytest.raises(Denied):
        await desk.get("other")
    person = await desk.tenure.subjects.get(desk.one["dpo"], done["subject"])
    assert person["restricted_since"] is not None
    assert (await certified(desk, done))["done"]["restriction"]["limit"]


async def test_a_rectification_writes_anew_and_marks_what_was_wrong(desk: Cell) -> None:
    old = await desk.get("talk")
    made = await desk.put("summary", "was told: hello", "customer:1", derived_from=(old.version_id,))
    wrong = {"scope": SCOPE, "key": "talk", "content": {"said": "good evening"}}
    others = {"scope": SCOPE, "key": "other", "content": "mine now"}
    missing = {"scope": SCOPE, "key": "nothing", "content": 1}
    request = await approved(desk, Kind.RECTIFICATION, corrections=(wrong, others, missing))
    done = await carried_out(desk, request)
    new = await desk.get("talk")
    assert (json.loads(new.content or b""), new.version) == ({"said": "good evening"}, 2)
    with pytest.raises(Denied):
        await desk.get("talk", version=1)
    assert (await desk.get("summary")).stale_since is not None, made
    assert json.loads((await desk.get("other")).content or b"")["v"] == {"said": "good day"}
    said = await certified(desk, done)
    assert done["state"] == "partial"
    assert [one["outcome"] for one in said["done"]["records"]["records"]] == [
        "corrected",
        "about-others",
        "not-found",
    ]
    assert [one["ground"] for one in said["exceptions"]] == ["about-others", "not-found"]
    assert "evening" not in json.dumps([done, said])


async def test_a_review_waits_for_a_person(desk: Cell) -> None:
    request = await approved(desk, Kind.DECISION_REVIEW)
    waiting = await carried_out(desk, request)
    assert (waiting["state"], "officer" in waiting["next"]) == ("executing", True)
    with pytest.raises(Invalid) as refused:
        await desk.tenure.requests.conclude(desk.one["second"], request, "accepted")
    assert (refused.value.field, refused.value.rule) == ("outcome", "one of upheld, changed, annulled")
    with pytest.raises(Denied):
        await desk.tenure.requests.conclude(desk.one["dpo"], request, "changed")
    await desk.tenure.requests.conclude(desk.one["second"], request, "changed")
    done = await carried_out(desk, request)
    assert (await certified(desk, done))["done"]["review"]["outcome"] == "changed"


async def test_the_dry_run_of_a_review_names_the_decisions_about_the_person(
    desk: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = desk.one["agent"]
    one, two, _ = [
        (await desk.tenure.decisions.open(agent, Opening("customer-support", who)))["id"]
        for who in ("customer:1", "customer:1", "customer:2")
    ]
    newest_first = [two, one]
    request = await asked(desk, Kind.DECISION_REVIEW)
    found = (await scoped(desk, request))["scope"]["decisions"]
    assert found == {"about": newest_first, "complete": True}
    monkeypatch.setattr(scoping, "MOST_NAMED", 1)
    found = (await desk.tenure.requests.scope(desk.one["dpo"], request))["scope"]["decisions"]
    assert found == {"about": newest_first[:1], "complete": False}


async def test_the_dry_run_of_a_rectification_says_what_each_correction_comes_upon(desk: Cell) -> None:
    segments = (Segment(b"1", ("customer:1",)), Segment(b"2", ("customer:2",)))
    draft = Draft(b"", (), ("contact",), segments=segments)
    parts = await desk.tenure.gateway.write(desk.one.ask(), SCOPE, "parts", draft)
    corrections = tuple(
        {"scope": SCOPE, "key": key, "content": "right"} for key in ("nothing", "other", "parts", "talk")
    )
    request = await asked(desk, Kind.RECTIFICATION, corrections=corrections)
    found = (await scoped(desk, request))["scope"]["corrections"]
    assert [one["outcome"] for one in found] == ["not-found", "about-others", "has-segments", "ok"]
    assert found[2]["record"] == parts.record
    await desk.tenure.requests.approve(desk.one["second"], request)
    done = (await carried_out(desk, request))["progress"]["records"]["records"]
    assert [one["outcome"] for one in done] == ["not-found", "about-others", "has-segments", "corrected"]
    request = await asked(desk, Kind.RECTIFICATION, "customer:none", corrections=corrections[:2])
    found = (await scoped(desk, request))["scope"]
    assert [one["outcome"] for one in found["corrections"]] == ["not-found", "about-others"]
    assert found["known"] is False


async def test_what_cannot_be_undone_is_approved_on_a_fresh_dry_run_only(desk: Cell) -> None:
    requests, dpo, second = desk.tenure.requests, desk.one["dpo"], desk.one["second"]
    request, restriction = await asked(desk, Kind.ERASURE), await asked(desk, Kind.RESTRICTION)
    await scoped(desk, request)
    await scoped(desk, restriction)
    await desk.put("about others", {"said": "hello"}, "customer:2")
    await desk.put("late", {"said": "hello again"}, "customer:1")
    with pytest.raises(Conflict, match="since the dry run") as refused:
        await requests.approve(second, request)
    assert ":scope" in str(refused.value.remedy)
    assert (await show(desk, request))["state"] == "approval"
    await requests.approve(second, restriction)
    await requests.scope(dpo, request)
    await desk.put("about others", {"said": "hello"}, "customer:2")
    assert (await requests.approve(second, request))["state"] == "executing"


async def test_what_somebody_asked_for_is_found_whoever_they_are(
    desk: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of who was erased, who is unknown, and what nobody looked into; until the case had its time."""
    monkeypatch.setattr(earlier, "_PAGE", 2)
    clock, requests, dpo = Ahead(monkeypatch), desk.tenure.requests, desk.one["dpo"]
    erased = await approved(desk, Kind.ERASURE)
    await carried_out(desk, erased)
    withdrawn, unknown = await asked(desk, Kind.ACCESS), await asked(desk, Kind.ACCESS, "customer:none")
    known = await asked(desk, Kind.ACCESS, "customer:2")
    await scoped(desk, known)
    for one in (withdrawn, known):
        await requests.withdraw(dpo, one)

    async def found(reference: str) -> tuple[list[str], int]:
        answer = await requests.find(dpo, reference)
        assert answer["complete"]
        return [one["id"] for one in answer["items"]], answer["not_searched"]

    before = len(desk.entries())
    assert await found("customer:1") == ([withdrawn, erased], 0)
    assert await found("customer:none") == ([unknown], 0)
    assert await found("customer:2") == ([known], 0)
    assert await found("customer:3") == ([], 0)
    assert len(desk.entries()) == before
    monkeypatch.setattr(earlier, "MOST", 1)
    answer = await requests.find(dpo, "customer:1")
    assert ([one["id"] for one in answer["items"]], answer["complete"]) == ([withdrawn], False)
    clock.us = 3 * 365 * DAY_US + DAY_US
    await desk.tenure.rights.run()
    await desk.tenure.shredder.run()
    assert await found("customer:1") == ([], 3)
    assert await found("customer:2") == ([known], 2)


async def test_an_access_package_by_a_request_its_link_and_its_end_with_the_person(desk: Cell) -> None:
    requests = desk.tenure.requests
    request = await approved(desk, Kind.ACCESS)
    done = await carried_out(desk, request)
    said = await certified(desk, done)
    assert done["next"].startswith("Give the person a link")
    link = await requests.link(desk.one["dpo"], request)
    assert "the link is good until" in (await show(desk, request))["next"]
    raw = await fetched(desk, link["token"])
    await fetched(desk, link["token"])
    given = await show(desk, request)
    assert (given["state"], given["next"]) == ("completed", None)
    last = [(line["step"], line["by"]) for line in given["timeline"][-2:]]
    assert last == [("link-given", desk.one.principals["dpo"]), ("fetched-with-link", None)]
    assert (await certified(desk, given)) == said, "what was signed stays"
    assert sha256(raw).hexdigest() == said["done"]["package"]["sha256"]
    data = json.loads(zipfile.ZipFile(BytesIO(raw)).read("data.json"))
    assert "hello" in json.dumps(data)
    assert "good day" not in json.dumps(data)
    again = (await requests.link(desk.one["dpo"], request))["token"]
    unfetched = await carried_out(desk, await approved(desk, Kind.ACCESS))
    erasure = await approved(desk, Kind.ERASURE)
    waiting = (await show(desk, erasure))["scope"]["unfetched"]
    assert [(one["request"], one["state"]) for one in waiting] == [(unfetched["id"], "ready")]
    erased = await carried_out(desk, erasure)
    assert erased["progress"]["packages"]["ended"] == 2
    for ended in (request, unfetched["id"]):
        with pytest.raises(Erased, match="person was erased") as nothing_left:
            await requests.link(desk.one["dpo"], ended)
        assert nothing_left.value.shred == erased["progress"]["keys"]["shred"]
    with pytest.raises((Erased, Expired, NotFound)):
        await fetched(desk, again)
    assert "nobody had fetched it" in (await show(desk, unfetched["id"]))["next"]
    assert await patrolled(desk) == []
    nothing = await carried_out(desk, await approved(desk, Kind.ACCESS, "customer:9"))
    assert nothing["progress"]["package"]["held"] == "nothing"
    with pytest.raises(NotFound):
        await requests.link(desk.one["dpo"], nothing["id"])


async def fetched(cell: Cell, token: str) -> bytes:
    download = await cell.tenure.packages.fetch(token)
    return b"".join([piece async for piece in download.pieces])


async def test_recipients_are_told_of_an_erasure_and_of_what_is_lifted(desk: Cell) -> None:
    with webhook() as receiver:
        await desk.tenure.manifests.apply(desk.one["admin"], recipient("crm", receiver.url), dry_run=False)
        request = await approved(desk, Kind.ERASURE)
        waiting = await carried_out(desk, request)
        assert (waiting["state"], waiting["progress"]["notices"]["recipients"]) == ("notifying", ["crm"])
        await desk.tenure.notices.run()
        done = await carried_out(desk, request)
        assert (done["state"], done["progress"]["notices"]["sent"]) == ("completed", 1)
        assert (waiting["next"], done["next"]) == ("1 notices to recipients.", None)
        delivered = {"recipients": ["crm"], "sent": 1, "dead": 0}
        assert (await certified(desk, done))["done"]["notices"] == delivered
        said = json.loads(receiver.bodies[0])
        assert (said["type"], said["subject"]) == ("tenure.subject.erased", request)
        assert said["data"]["reference"] == "customer:1"
        assert said["data"]["certificate"] == done["progress"]["residue"]["certificate"]
        restriction = await approved(desk, Kind.RESTRICTION, "customer:2")
        await carried_out(desk, restriction)
        await desk.tenure.notices.run()
        await carried_out(desk, restriction)
        with pytest.raises(Denied):
            await desk.tenure.requests.lift(desk.one["dpo"], restriction)
        await desk.tenure.requests.lift(desk.one["second"], restriction)
        assert (await desk.get("other")).content
        await desk.tenure.notices.run()
        kinds = [json.loads(body)["type"].rpartition(".")[2] for body in receiver.bodies]
        assert kinds == ["erased", "restricted", "restriction-lifted"]
        with pytest.raises(Conflict):
            await desk.tenure.requests.lift(desk.one["second"], restriction)


def recipient(name: str, url: str, scopes: str = "support.**") -> list[dict[str, Any]]:
    spec = {"description": "Keeps a copy", "webhook": url, "scopes": [scopes]}
    return [{"apiVersion": "tenure/v1", "kind": "Recipient", "metadata": {"name": name}, "spec": spec}]


async def test_after_an_extension_it_is_reminded_of_anew(desk: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, requests = Ahead(monkeypatch), desk.tenure.requests
    request = await asked(desk, Kind.ACCESS)
    clock.us = 26 * DAY_US
    await desk.tenure.rights.run()
    await requests.extend(desk.one["dpo"], request, ExtensionReason.COMPLEXITY)
    for days, reminders in ((40, 1), (87, 2), (88, 2)):
        clock.us = days * DAY_US
        await desk.tenure.rights.run()
        steps = [line["step"] for line in (await show(desk, request))["timeline"]]
        assert steps.count("reminded") == reminders, days
        assert "overdue" not in steps


async def test_a_step_that_fails_is_said_to_and_tried_again(
    desk: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, steps = Ahead(monkeypatch), desk.tenure.rights._saga._steps
    works = steps["objection"]

    async def fails(*_: object) -> Any:
        raise Unavailable("not now, and of customer:1 least of all")

    request = await approved(desk, Kind.OBJECTION, purposes=("marketing",))
    monkeypatch.setitem(steps, "objection", fails)  # type: ignore[arg-type]
    for _ in range(2):
        assert (await desk.tenure.rights.run())["failed"] == 1
        clock.us += DAY_US
    found = await show(desk, request)
    assert "(unavailable)" in found["next"]
    assert [line["step"] for line in found["timeline"]].count("trouble") == 1
    assert "customer:1" not in json.dumps(found)
    monkeypatch.setitem(steps, "objection", works)  # type: ignore[arg-type]
    done = await carried_out(desk, request)
    assert (done["state"], "trouble" in done["progress"]) == ("completed", False)


async def test_who_is_told_is_who_receives_what_it_was_about(desk: Cell) -> None:
    """Of an erasure those who get what was derived, too; of a rectification those of its place alone."""
    old = await desk.get("talk")
    await desk.put("summary", "said hello", derived_from=(old.version_id,), scope=NOTES)
    with webhook() as receiver:
        for name, scope in (("talks", SCOPE), ("notes", NOTES), ("joint", JOINT)):
            await desk.tenure.manifests.apply(
                desk.one["admin"], recipient(name, receiver.url, scope), dry_run=False
            )
        right = {"scope": SCOPE, "key": "talk", "content": 1}
        for kind, told, more in (
            (Kind.RECTIFICATION, ["talks"], {"corrections": (right,)}),
            (Kind.ERASURE, ["notes", "talks"], {}),
        ):
            request = await approved(desk, kind, **more)
            found = await carried_out(desk, request)
            assert found["progress"]["notices"]["recipients"] == told
            await desk.tenure.notices.run()
            assert (await carried_out(desk, request))["state"] == "completed"


async def test_what_is_late_is_in_the_doctors_words_and_counted(desk: Cell) -> None:
    assert [one.state for one in _requests(desk.settings)] == ["ok"]
    late = await asked(desk, Kind.ACCESS, received_at=ids.now() - 60 * DAY_US)
    await asked(desk, Kind.ACCESS)
    [found] = _requests(desk.settings)
    assert found.state == "warning"
    assert f"tenure request show {late}" in found.remedy
    assert await desk.tenure.requests.waiting() == (2, 1)
    await desk.tenure.requests.withdraw(desk.one["dpo"], late)
    assert await desk.tenure.requests.waiting() == (1, 0)


def controller(holidays: str) -> list[dict[str, Any]]:
    spec = {"name": "Acme", "contact": "privacy@acme.example", "requests": {"holidays": holidays}}
    return [{"apiVersion": "tenure/v1", "kind": "Controller", "metadata": {"name": "default"}, "spec": spec}]


async def test_a_region_whose_holidays_are_not_known_is_refused_where_it_is_declared(desk: Cell) -> None:
    manifests, admin = desk.tenure.manifests, desk.one["admin"]
    body = json.dumps(controller("DE-BX"))
    for refused_by in (
        manifests.apply(admin, body, dry_run=False),
        manifests.apply(admin, body, dry_run=True),
        manifests.diff(admin, body),
    ):
        with pytest.raises(Invalid, match="DE-BX") as refused:
            await refused_by
        assert refused.value.field == "manifests[0].spec.requests.holidays"
        assert refused.value.rule == "holidays"
        assert "leave `holidays` out" in (refused.value.remedy or "")
    assert await manifests.apply(admin, json.dumps(controller("DE-BY")), dry_run=True)


async def test_a_region_that_is_not_known_any_more_stops_nobodys_desk(
    desk: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Declared under another version of the package: none of its holidays count, and periods run."""
    monkeypatch.setattr("tenure.governance.manifests.check_holidays", lambda _: None)
    await desk.tenure.manifests.apply(desk.one["admin"], json.dumps(controller("DE-BX")), dry_run=False)
    monkeypatch.undo()
    request = await approved(desk, Kind.OBJECTION, purposes=("marketing",))
    assert (await carried_out(desk, request))["state"] == "completed"
    told = await desk.tenure.manifests.describe(desk.one["admin"], "Controller", "default")
    assert [line for line in told["words"] if "DE-BX, which are not known: none count" in line]
    await desk.tenure.manifests.apply(desk.one["admin"], json.dumps(controller("DE-BY")), dry_run=False)
    with pytest.raises(Invalid) as refused:
        await desk.tenure.configurations.rollback(desk.one["admin"], 2, dry_run=True)
    assert refused.value.field == "Controller/default.spec.requests.holidays"


@pytest.mark.databases(*DATABASES)
async def test_a_tenant_that_cannot_be_opened_does_not_keep_others_waiting(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await second_officer(cell)
    await second_officer(cell, cell.two)
    await approved(cell, Kind.OBJECTION, purposes=("marketing",))
    requests = cell.tenure.requests
    other = (await requests.open(cell.two["dpo"], NewRequest(Kind.DECISION_REVIEW, "customer:1")))["id"]
    await requests.identify(cell.two["dpo"], other, Method.LOGIN)
    await requests.scope(cell.two["dpo"], other)
    await requests.approve(cell.two["second"], other)
    inside = cell.tenure.rights._saga._inside

    async def fails_for_one(tenant_id: str, work: Any) -> Any:
        if tenant_id == cell.one.id:
            raise Unavailable("its rules cannot be read")
        return await inside(tenant_id, work)

    monkeypatch.setattr(cell.tenure.rights._saga, "_inside", fails_for_one)
    assert await cell.tenure.rights.run() == {"requests": 1, "failed": 1}
    found = await requests.get(cell.two["dpo"], other)
    assert (found["state"], "officer" in found["next"]) == ("executing", True)
    assert await cell.tenure.rights.run() == {"requests": 0, "failed": 0}, "the broken one is put off"
