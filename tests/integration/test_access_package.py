"""What a person who asks gets of what is held about them: all that is theirs, nothing of others, once."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest
from structlog.testing import capture_logs

from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.elsewhere import Elsewhere, elsewhere, put_back, take
from support.erasure import InjectedError, assert_certified
from support.packages import build, fetch, given, link, patrolled, pieces, tidy
from support.travel import Travel
from tenure import ids
from tenure.decisions import Opening
from tenure.errors import Erased, Expired, Invalid, NotFound, Tampered
from tenure.model.record import Draft, Segment
from tenure.rights.package import pieces as stored
from tenure.rights.package.links import new_link, parse_link

__all__ = ["elsewhere"]
pytestmark = pytest.mark.anyio

ANNA, BEN = "customer:anna", "customer:ben"


@pytest.fixture
def travel(monkeypatch: pytest.MonkeyPatch) -> Travel:
    return Travel.begun(monkeypatch)


def part(value: str, *subjects: str) -> Segment:
    return Segment(json.dumps(value).encode(), subjects)


async def in_parts(cell: Cell, key: str, *parts: Segment, scope: str = SCOPE) -> None:
    await cell.tenure.gateway.write(cell.one.ask(), scope, key, Draft(b"", (), ("contact",), segments=parts))


def said(item: dict[str, Any]) -> Any:
    """What is given of a version."""
    return item["content"]["v"] if "content" in item else [one["content"] for one in item.get("segments", [])]


# ── what is in it ──────────────────────────────────────────────────────────────────────────────────
async def test_all_of_theirs_and_what_became_of_it(cell: Cell) -> None:
    await cell.put("a", "first", ANNA, categories=("contact", "health"))
    await cell.put("a", "<script>alert(1)</script>", ANNA, metadata={"note": "by phone"})
    deleted = await cell.put("gone", "deleted", ANNA)
    await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "gone")
    source = await cell.put("src", "source", ANNA, scope=NOTES)
    await cell.put("sum", "derived", scope=NOTES, derived_from=(source.version_id,))
    await cell.put("his", "ben alone", BEN)
    await cell.put("ours", "both", ANNA, BEN)
    await cell.get("a")
    await cell.get("his")
    got = await given(cell, ANNA)

    def versions(**having: Any) -> list[dict[str, Any]]:
        return [one for one in got.data["versions"] if having.items() <= one.items()]

    assert [(said(one), one["state"]) for one in got.of("a")] == [
        ("first", "earlier"),
        ("<script>alert(1)</script>", "current"),
    ]
    assert got.of("a")[1]["metadata"] == {"note": "by phone"}
    assert [(said(one), one["state"], "deleted_at" in one) for one in got.of("gone")] == [
        ("deleted", "deleted", True)
    ]
    assert [one["record"] for one in got.of("gone")] == [deleted.record]
    assert [(said(one), one["made_from_others"]) for one in versions(relation="derived from you")] == [
        ("derived", True)
    ]
    shared = versions(others=1)
    assert [(one["given"], one["why"], "key" in one) for one in shared] == [
        ("nothing", "protects others", False)
    ]
    assert len(got.data["versions"]) == 6
    assert got.data["sources"] == [{"name": "agent agent", "versions": 6}]
    assert [(one["name"], one["purposes"][0]["times"]) for one in got.data["recipients"]] == [
        ("agent agent", 1)
    ], "the read of hers, not that of his"
    assert "<script>" not in got.page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in got.page
    for outside in ("http:", "https:", "src=", "<link", "@import", "url("):
        assert outside not in got.page
    for theirs in ("ben", "both"):
        assert theirs not in got.page.replace("ben alone", "ben")
        assert theirs not in json.dumps(got.data["versions"])
    assert (await cell.audited()).ok


@pytest.mark.parametrize(
    ("rule", "seen", "whole"),
    [
        ("{shared: none}", [], None),
        ("{shared: own-segments}", ["hers"], None),
        ("{shared: own-segments, unnamedSegments: true}", ["hers", "nobody's"], None),
        ("{shared: named-segments}", ["hers", "theirs"], None),
        ("{shared: whole}", ["hers", "his", "theirs", "nobody's"], "both"),
    ],
)
async def test_the_scopes_rule_for_what_is_shared(
    embedded: Cell, rule: str, seen: list[str], whole: str | None
) -> None:
    manifest = (
        f"apiVersion: tenure/v1\nkind: Scope\nmetadata: {{name: {NOTES}}}\nspec: {{description: Notes, "
        f"controller: acme, categories: [contact, travel, health], subjects: optional, access: {rule}}}\n"
    )
    async with embedded.opened() as tenure:
        await tenure.manifests.apply(embedded.one["admin"], manifest, dry_run=False)
        parts = part("hers", ANNA), part("his", BEN), part("theirs", ANNA, BEN), part("nobody's")
        await in_parts(embedded, "parts", *parts, scope=NOTES)
        await in_parts(embedded, "own", part("hers alone", ANNA), part("general"), scope=NOTES)
        await embedded.put(f"with {BEN}", "both", ANNA, BEN, scope=NOTES, metadata={"and": [BEN]})
        got = await given(embedded, ANNA)
    own, parted, together = sorted(
        got.data["versions"], key=lambda one: (one["others"], one.get("segments_in_all") is None)
    )
    assert said(own) == ["hers alone", "general"], "nothing of it is about others"
    assert said(parted) == seen
    assert (parted["given"], parted["segments_in_all"]) == (
        "whole" if len(seen) == 4 else "parts" if seen else "nothing",
        4,
    )
    assert said(together) == (whole or [])
    assert BEN not in json.dumps(got.data)


async def test_portable_is_what_the_person_provided(cell: Cell) -> None:
    await cell.put("a", "before", ANNA)
    first = await cell.put("a", "now", ANNA)
    await cell.put("made", "derived and hers", ANNA, derived_from=(first.version_id,))
    await cell.put("ours", "both", ANNA, BEN)
    got = await given(cell, ANNA, content="portability")
    assert set(got.files) == {"data.json", "schema.json"}
    assert [said(one) for one in got.data["versions"]] == ["now"]
    assert not {"decisions", "recipients"} & set(got.data)


async def test_decisions_that_used_it(cell: Cell) -> None:
    await cell.put("a", "hers", ANNA)
    await cell.put("b", "his", BEN)
    await in_parts(cell, "parts", part("her part", ANNA), part("his part", BEN))
    opened = {}
    for name, subject, key in (
        ("hers", ANNA, "a"),
        ("his", BEN, "a"),
        ("nobodys", None, "a"),
        ("other", BEN, "b"),
    ):
        made = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT, subject=subject))
        opened[name] = str(made["id"])
        await cell.get(key, ask=cell.one.ask(decision=opened[name]))
        if subject == ANNA:
            await cell.get("parts", ask=cell.one.ask(decision=opened[name]))
        outcome = "granted" if subject == ANNA else "ben-suspected"
        await cell.tenure.decisions.seal(cell.one["agent"], opened[name], outcome, None)
    got = await given(cell, ANNA)
    found = {one["decision"]: one for one in got.data["decisions"]}
    assert set(found) == {opened["hers"], opened["his"], opened["nobodys"]}
    assert (found[opened["hers"]]["outcome"], found[opened["hers"]]["times"]) == ("granted", 2), (
        "not his part"
    )
    for name in ("his", "nobodys"):
        one = found[opened[name]]
        assert (one["about_you"], "outcome" in one) == (False, False), "it may be his"
        assert one["outcome_not_given"] == "may be about somebody else"
    assert "-suspected" not in got.files["data.json"].decode() + got.page
    assert got.page.count("not given: it may be about somebody else") == 2


async def test_who_answers_for_it_comes_first(cell: Cell) -> None:
    await cell.put("a", "hers", ANNA)
    got = await given(cell, ANNA)
    assert "controller" not in got.data, "nobody was declared"
    spec = {
        "name": "Acme Ltd",
        "contact": "privacy@acme.example",
        "dataProtectionOfficer": "dpo@acme.example",
    }
    declared = {
        "apiVersion": "tenure/v1",
        "kind": "Controller",
        "metadata": {"name": "default"},
        "spec": spec,
    }
    await cell.tenure.manifests.apply(cell.one["admin"], [declared], dry_run=False)
    said = {
        "name": "Acme Ltd",
        "contact": "privacy@acme.example",
        "data_protection_officer": "dpo@acme.example",
    }
    again = await given(cell, ANNA)
    assert again.data["controller"] == said
    beginning = again.page.partition("<nav")[0]
    assert not [one for one in said.values() if one not in beginning]
    assert (await given(cell, ANNA, content="portability")).data["controller"] == said


# ── handed out ─────────────────────────────────────────────────────────────────────────────────────
async def ready(cell: Cell) -> tuple[str, str]:
    """A package and a link to it."""
    await cell.put("a", "hers", ANNA)
    made = await build(cell, ANNA)
    return made["package"], await link(cell, made["package"])


async def test_a_link_is_for_once_and_its_quarter_of_an_hour(cell: Cell, travel: Travel) -> None:
    package, token = await ready(cell)
    first = await fetch(cell, token)
    travel.on(hours=0.2)
    assert (await fetch(cell, token)).zip == first.zip, "a download that broke off begins again"
    travel.on(hours=0.06)
    with pytest.raises(Expired):
        await cell.tenure.packages.fetch(token)
    again = await link(cell, package)
    with pytest.raises(NotFound):
        await cell.tenure.packages.fetch(token)
    assert (await fetch(cell, again)).zip == first.zip
    unused = await link(cell, package, hours=1)
    travel.on(hours=1)
    with pytest.raises(Expired):
        await cell.tenure.packages.fetch(unused)
    steps = [one["outcome"] for one in cell.entries() if one["kind"] == "package"]
    assert steps == [
        *("begun", "gathered", "built", "linked"),
        *("fetched", "fetched", "linked", "fetched", "linked"),
    ]


async def test_what_is_no_link_opens_nothing(cell: Cell) -> None:
    package, token = await ready(cell)
    other, theirs = new_link(cell.two.id, package)[0], new_link(ids.new_id(), package)[0]
    for wrong in (token[:-1], token + "A", token.swapcase(), "", "tnp_", "tnr_" + token[4:], other, theirs):
        with pytest.raises(NotFound):
            await cell.tenure.packages.fetch(wrong)
    for wrong in (new_link(cell.one.id, package)[0], new_link(cell.one.id, ids.new_id())[0]):
        with pytest.raises(NotFound):
            await cell.tenure.packages.fetch(wrong)
    await fetch(cell, token)


async def test_pieces_open_in_their_places_only(
    embedded: Cell, monkeypatch: pytest.MonkeyPatch, travel: Travel
) -> None:
    monkeypatch.setattr(stored, "PIECE", 700)
    async with embedded.opened():
        package, token = await ready(embedded)
        _, another = await ready(embedded)
        await fetch(embedded, token)
        here = sorted({path.parent for path in pieces(embedded)}, key=lambda path: path.stat().st_ctime_ns)
        mine, other = (sorted(folder.iterdir()) for folder in here)
        kept = {path: path.read_bytes() for path in mine}
        assert len(mine) > 2
        for swapped in ((0, mine[1]), (1, mine[0]), (0, other[0]), (len(mine) - 1, mine[-2])):
            mine[swapped[0]].write_bytes(kept.get(swapped[1]) or swapped[1].read_bytes())
            with pytest.raises(Tampered):
                await fetch(embedded, token)
            mine[swapped[0]].write_bytes(kept[mine[swapped[0]]])
        embedded.change("UPDATE access_packages SET pieces = pieces - 1 WHERE id = :id", id=package)
        with pytest.raises(Tampered):
            await fetch(embedded, token)
        assert len((await fetch(embedded, another)).zip) > 700


async def test_another_rows_header_and_link_open_nothing(cell: Cell) -> None:
    package, token = await ready(cell)
    other, theirs = await ready(cell)
    read = parse_link(theirs)
    assert read is not None
    body = UUID(cell.one.id).bytes + UUID(package).bytes + bytes.fromhex(read.secret)
    forged = "tnp_" + urlsafe_b64encode(body + crc32(body).to_bytes(4)).decode()
    for name, presented in (("link_index", forged), ("header", token)):
        kept = cell.rows("SELECT link_index FROM access_packages WHERE CAST(id AS TEXT) = :id", id=package)
        source = f"(SELECT {name} FROM access_packages WHERE CAST(id AS TEXT) = :other)"
        cell.change(
            f"UPDATE access_packages SET {name} = {source} WHERE CAST(id AS TEXT) = :id",
            id=package,
            other=other,
        )
        with pytest.raises((Tampered, NotFound)):
            await fetch(cell, presented)
        cell.change(
            "UPDATE access_packages SET link_index = :kept WHERE CAST(id AS TEXT) = :id",
            id=package,
            kept=kept[0][0],
        )


# ── erased ─────────────────────────────────────────────────────────────────────────────────────────
async def test_its_time_is_over_and_no_backup_opens_it(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path, travel: Travel
) -> None:
    async with place.opened():
        _, token = await ready(place)
        await fetch(place, token)
        await take(place, tmp_path / "backup")
        with pytest.raises(Expired):
            await fetch_later(place, token, travel)
        assert await tidy(place) == {"ended": 1}
        assert pieces(place) == []
        await place.tenure.shredder.run()
        with pytest.raises(Expired):
            await place.tenure.packages.fetch(token)
        assert await tidy(place) == {}
        ((state, header),) = place.rows("SELECT state, header FROM access_packages")
        assert (state, header) == ("expired", None)
        ((shred,),) = place.rows("SELECT CAST(id AS TEXT) FROM shreds WHERE kind = 'cohort'")
        await assert_certified(place, await place.erasure(shred))
        assert await place.value("a") == "hers", "the data itself stays"
        assert await patrolled(place) == []
        assert (await place.audited()).ok
    there = elsewhere.new()
    await put_back(tmp_path / "backup", there)
    travel.on(days=-15)
    async with there.opened() as tenure:
        ((state,),) = there.rows("SELECT state FROM access_packages")
        assert state == "fetched", "the restored row does not know"
        with pytest.raises(Erased):
            await tenure.packages.fetch(token)


async def fetch_later(cell: Cell, token: str, travel: Travel) -> None:
    """When the term of the package is over, before anything tidied up."""
    travel.on(days=14)
    await cell.tenure.packages.fetch(token)


async def test_the_person_is_erased_meanwhile(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PIECE", 700)
    await cell.put("b", "his", BEN)
    _, token = await ready(cell)
    download = await cell.tenure.packages.fetch(token)
    await anext(download.pieces)
    await assert_certified(cell, await cell.erase(ANNA))
    with pytest.raises(Erased):
        await anext(download.pieces)
    with pytest.raises(Erased):
        await cell.tenure.packages.fetch(token)
    assert await tidy(cell) == {"ended": 1}
    assert pieces(cell) == []
    await cell.tenure.shredder.run()
    assert await patrolled(cell) == []


async def test_whoever_is_being_erased_gets_none(cell: Cell) -> None:
    await cell.put("a", "hers", ANNA)
    person = await cell.person(ANNA)
    await cell.request(ANNA)
    with pytest.raises(Erased):
        await cell.tenure.packages.build(cell.one.id, ids.new_id(), person)
    assert cell.rows("SELECT id FROM access_packages") == []


async def test_a_case_that_is_called_off(cell: Cell) -> None:
    await cell.put("a", "hers", ANNA)
    request = ids.new_id()
    made = await build(cell, ANNA, request)
    token = await link(cell, made["package"])
    for _ in range(2):
        ended = await cell.tenure.packages.end(cell.one.id, request)
        assert ended is not None
        assert ended["state"] == "expired"
    assert pieces(cell) == []
    with pytest.raises(Expired):
        await cell.tenure.packages.fetch(token)
    assert (await build(cell, ANNA, request))["state"] == "expired", "a case has one"
    assert await cell.tenure.packages.end(cell.one.id, ids.new_id()) is None


# ── killed ─────────────────────────────────────────────────────────────────────────────────────────
class Dying:
    """Ends a build before one of its steps; counts them. After the last one it is done."""

    def __init__(self, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.seen = -1, 0
        objects, service = cell.tenure.packages._objects, cell.tenure.packages._service
        put, inside = objects.put, service.inside

        def dying_put(name: str, data: bytes) -> None:
            if name.startswith("packages/"):
                self._step()
            put(name, data)

        async def dying_inside(*args: Any) -> Any:
            self._step()
            return await inside(*args)

        monkeypatch.setattr(objects, "put", dying_put)
        monkeypatch.setattr(service, "inside", dying_inside)

    def _step(self) -> None:
        self.seen += 1
        if self.seen - 1 == self.at:
            raise InjectedError


async def test_killed_at_any_step_it_makes_one_package(
    embedded: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PIECE", 2000)
    async with embedded.opened():
        await embedded.put("a", "hers", ANNA)
        dying = Dying(embedded, monkeypatch)
        await build(embedded, ANNA)
        steps = dying.seen
        assert steps > 8
        for at in range(steps):
            request = ids.new_id()
            dying.at, dying.seen = at, 0
            with pytest.raises(InjectedError):
                await build(embedded, ANNA, request)
            dying.at = -1
            made = await build(embedded, ANNA, request)
            assert made["state"] == "ready"
            assert (await build(embedded, ANNA, request))["package"] == made["package"]
            got = await fetch(embedded, await link(embedded, made["package"]))
            assert said(got.of("a")[0]) == "hers"
        folders = {row[0] for row in embedded.rows("SELECT folder FROM access_packages")}
        assert len(folders) == steps + 1
        assert {path.parent.name for path in pieces(embedded)} == folders, "no orphans"


async def test_what_a_killed_build_left_is_removed(embedded: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    async with embedded.opened():
        _, token = await ready(embedded)
        stray = pieces(embedded)[0].parent.with_name(ids.new_id())
        stray.mkdir()
        (stray / "000000").write_bytes(b"left")
        gone = stray.parent.with_name(ids.new_id()) / ids.new_id()
        gone.mkdir(parents=True)
        (gone / "000000").write_bytes(b"of a tenant that left")
        assert await tidy(embedded) == {"orphans": 2}
        await fetch(embedded, token)


# ── nothing of anybody anywhere ────────────────────────────────────────────────────────────────────
async def test_nothing_personal_in_rows_names_entries_and_logs(
    cell: Cell, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "Zephyrine Quixotica"
    reference = "customer:zephyrine.quixotica"
    await cell.put("zephyrine's file", secret, reference)
    with capture_logs() as logs:
        made = await build(cell, reference)
        token = await link(cell, made["package"])
        got = await fetch(cell, token)
        await tidy(cell)
    assert secret in got.page
    rows = cell.rows("SELECT * FROM access_packages")
    names = [str(path.relative_to(cell.settings.data_dir)) for path in pieces(cell)]
    everything = repr((rows, names, cell.entries(), logs, made, capsys.readouterr()))
    for canary in (secret, reference, "zephyrine", "Quixotica", token, token[4:40]):
        assert canary not in everything
    for path in pieces(cell):
        assert b"data.json" not in path.read_bytes()


async def test_terms_that_are_none(cell: Cell) -> None:
    await cell.put("a", "hers", ANNA)
    for days in (0, 91):
        with pytest.raises(Invalid):
            await build(cell, ANNA, days=days)
    made = await build(cell, ANNA, days=1)
    for hours in (0, 90 * 24 + 1):
        with pytest.raises(Invalid):
            await link(cell, made["package"], hours=hours)
    with pytest.raises(NotFound):
        await link(cell, ids.new_id())
    assert made["expires_at"] < ids.rfc3339(ids.now() + 25 * 3_600_000_000)
