"""Evidence packs of a working cell: everything in one archive, checked offline, and no change goes unseen."""

import hashlib
import json
import re
import shutil
import zipfile
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, text

from foreign import goverifier
from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from support.officers import approved, carried_out, second_officer
from support.resigned import index_of, sign_again
from tenure.cli.embedded import Cell as Served
from tenure.client.evidence import collect
from tenure.client.pack import audit_pack, is_pack, write_archive
from tenure.client.trust import trust
from tenure.decisions import Opening
from tenure.errors import Denied, Invalid, NotFound
from tenure.governance.evidence import Index
from tenure.ledger.canonical import canonical
from tenure.ledger.entry import Kind
from tenure.ledger.note import Signer
from tenure.ledger.pack import WHOLE, PackReport, Span
from tenure.ledger.requestcertificate import issue_request_certificate
from tenure.listing import Query
from tenure.model.apikey import parse_api_key
from tenure.model.principal import PrincipalKind
from tenure.model.record import Draft
from tenure.model.rightsrequest import Kind as Right
from tenure.policy.bundle import load_bundle
from tenure.store import tables
from tenure.store.database import Database

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


async def lived(cell: Cell) -> tuple[str, str]:
    """A cell with a past: the API key of an auditor who may see content, and a sealed decision."""
    for n in range(70):
        draft = Draft(canonical({"said": f"words {n}"}), (f"customer:{n % 3}",), ("contact",))
        await cell.tenure.gateway.write(cell.one.ask(), NOTES, f"k{n}", draft)
    opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    ask = cell.one.ask(decision=opened["id"])
    await cell.tenure.gateway.query(ask, NOTES, Query(limit=80, include_content=True))
    await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "done", None)
    with pytest.raises(Denied):
        await cell.get("k1", scope=NOTES, ask=cell.one.ask("auditor"))
    await cell.erase("customer:2")
    made = await cell.tenure.principals.create(
        cell.one["admin"], "insider", PrincipalKind.PERSON, ("auditor", "support-agent")
    )
    await cell.tenure.sequencer.run(cell.one.id)
    return str(made["api_key"]), str(opened["id"])


async def taken(
    cell: Cell, key: str, folder: Path, span: Span = WHOLE, decisions: tuple[str, ...] = ()
) -> PackReport:
    keys = trust([(await cell.verifier()).vkey])
    async with Served(cell.tenure).connect(key) as connection:
        return await collect(connection, span, keys, folder, decisions=decisions, purpose=SUPPORT)


def checks(report: PackReport) -> set[str]:
    return {failure.check for failure in report.failures}


def accesses_in(pack: Path, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """What an entry accessed itself: a seal only repeats the accesses of its decision."""
    if entry["kind"] == Kind.DECISION_SEAL:
        return []
    if (digest := entry.get("accesses_sha256")) is None:
        return list(entry.get("accesses", ()))
    return list(json.loads((pack / "access-lists" / f"{digest}.json").read_text()))


@pytest.mark.databases(*DATABASES)
async def test_a_pack_has_everything_and_verifies_as_folder_and_archive(cell: Cell, tmp_path: Path) -> None:
    key, decision = await lived(cell)
    folder = tmp_path / "pack"
    report = await taken(cell, key, folder, decisions=(decision,))
    assert report.ok, report.failures
    vkey = (await cell.verifier()).vkey
    write_archive(folder, tmp_path / "pack.zip")
    for target in (folder, tmp_path / "pack.zip"):
        assert is_pack(str(target))
        again = audit_pack(target, [vkey])
        assert again.ok, again.failures
        taken_in = again.counts.pop("in the cell's log", 0)
        assert taken_in <= 1, "the cell's log holds a round a second"
        assert again.counts == {
            "policies": 2,
            "access lists": 2,
            "certificates": 1,
            "receipts": 1,
            "openings": 1,
            "generations": 1,
        }
        kinds = {name: count for name, count in again.populations.items() if name.startswith("kind-")}
        assert again.log is not None
        assert kinds == {f"kind-{kind}": count for kind, count in again.log.kinds.items()}
        assert again.populations["denied"] == 1
        shown = again.seen[decision]
        assert [one.erased for one in shown].count(True) == 23
        assert {one.content["said"] for one in shown if not one.erased} == {
            f"words {n}" for n in range(70) if n % 3 != 2
        }
        # Which commitments nothing here opens is counted, not said of all.
        held = [entry for entry in cell.entries() if entry["_at"][1] is not None]
        held = [entry for entry in held if entry["_at"][1] < _size(again)]
        made = sum("commitment" in one for entry in held for one in accesses_in(folder, entry))
        (said,) = [one for one in again.not_checked if "commitments stand for" in one]
        assert said.startswith(f"What {made - 47} of the log's {made} commitments stand for:")
        assert not any("separate access lists" in one for one in again.not_checked), "they are all here"
    write_archive(folder, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "pack.zip").read_bytes()
    assert any("trust on first use" in one for one in audit_pack(folder).not_checked)
    assert "unknown-key" in checks(audit_pack(folder, [Signer(vkey.partition("+")[0], bytes(32)).vkey]))

    # Taking it is on record, and so is the opening.
    statement = json.loads(b64decode(json.loads((folder / "statement.json").read_text())["payload"]))
    kinds_after = [entry["kind"] for entry in cell.entries() if entry["at"] >= statement["issued_at"]]
    assert kinds_after == [Kind.EVIDENCE]
    on_record = next(entry for entry in cell.entries() if entry["kind"] == Kind.EVIDENCE)
    assert on_record["data"]["index"] == hashlib.sha256((folder / "index.json").read_bytes()).hexdigest()
    assert statement["entry"] == f"{on_record['writer']}-{on_record['n']}"

    # The policies are those that decided, and can decide again.
    for path in (folder / "policies").iterdir():
        load_bundle(path.read_bytes(), f"sha256:{path.stem}")
    named = {entry["policy"] for entry in cell.entries() if "policy" in entry}
    assert {f"sha256:{path.stem}" for path in (folder / "policies").iterdir()} == named


@pytest.mark.go
async def test_a_foreign_verifier_passes_on_the_log_of_the_archive(cell: Cell, tmp_path: Path) -> None:
    key, _ = await lived(cell)
    await taken(cell, key, tmp_path / "pack")
    write_archive(tmp_path / "pack", tmp_path / "pack.zip")
    with zipfile.ZipFile(tmp_path / "pack.zip") as archive:
        archive.extractall(tmp_path / "out")
    log = tmp_path / "out" / "ledger" / "1"
    binary = goverifier.build(tmp_path)
    passed, said = goverifier.run(
        binary,
        str(log),
        (await cell.verifier()).vkey,
        [*(tmp_path / "out" / "checkpoints").iterdir()]
        if (tmp_path / "out" / "checkpoints").is_dir()
        else [],
    )
    assert passed, said


async def test_a_span_of_one_caller_brings_what_its_entries_name(cell: Cell, tmp_path: Path) -> None:
    key, _ = await lived(cell)
    middle = cell.entries()[40]["at"]
    report = await taken(cell, key, tmp_path / "agent", Span(principal=cell.one.principals["agent"]))
    assert report.ok, report.failures
    assert report.counts["policies"] == 1
    report = await taken(cell, key, tmp_path / "late", Span(since=middle))
    assert report.ok, report.failures
    size = _size(report)
    late = [entry for entry in cell.entries() if entry["at"] >= middle and (entry["_at"][1] or size) < size]
    assert report.populations["span"] == len(late)
    empty = await taken(cell, key, tmp_path / "empty", Span(until="2001-01-01T00:00:00.000000Z"))
    assert empty.ok, "nothing of the span is a finding too, with the whole log to show it"
    assert empty.populations == {"span": 0}


def _size(report: PackReport) -> int:
    assert report.log is not None
    assert report.log.checkpoint is not None
    return report.log.checkpoint.size


async def test_no_change_to_a_pack_goes_unseen(cell: Cell, tmp_path: Path) -> None:
    key, decision = await lived(cell)
    pack = tmp_path / "pack"
    assert (await taken(cell, key, pack, decisions=(decision,))).ok
    vkey = (await cell.verifier()).vkey
    names = sorted(path.relative_to(pack).as_posix() for path in pack.rglob("*") if path.is_file())
    assert len(names) > 20

    def changed(change: Callable[[Path], None]) -> set[str]:
        copy = tmp_path / "copy"
        shutil.copytree(pack, copy)
        change(copy)
        found = checks(audit_pack(copy, [vkey]))
        shutil.rmtree(copy)
        return found

    def flipped(name: str) -> Callable[[Path], None]:
        def change(copy: Path) -> None:
            raw = bytearray((copy / name).read_bytes())
            raw[len(raw) // 2] ^= 1
            (copy / name).write_bytes(raw)

        return change

    # What looks is the same on both databases: all files of the one's pack, a share of the other's.
    for name in names if cell.dialect == "sqlite" else names[::4]:
        assert changed(flipped(name)), f"a flipped bit in {name}"
        assert changed(lambda copy, name=name: (copy / name).unlink()), f"{name} is gone"
        for other in (b"", b"[]", b"null", b'{"items": [{"vkey": 3}]}', b"\xff", b"[" * 100_000):
            assert changed(lambda copy, name=name, other=other: (copy / name).write_bytes(other) and None), (
                f"{name} is another file; that must be a finding, never a crash"
            )
    assert changed(lambda copy: (copy / "more.txt").write_text("x")) == {"pack-file-added"}  # type: ignore[arg-type, return-value]


def resigned(
    pack: Path, copy: Path, signer: Signer, change: Callable[[Path, dict[str, Any]], None]
) -> PackReport:
    """What is found in a copy that was changed, and whose index was signed again with the log's key."""
    shutil.copytree(pack, copy)
    index = index_of(copy)
    change(copy, index)
    sign_again(copy, signer, index)
    found = audit_pack(copy, [signer.vkey])
    shutil.rmtree(copy)
    return found


async def test_a_pack_that_is_signed_again_by_the_operator_is_still_checked_for_what_it_is(
    cell: Cell, tmp_path: Path
) -> None:
    """Whoever has the log's key can sign another index; every part is checked by itself all the same."""
    key, decision = await lived(cell)
    pack = tmp_path / "pack"
    assert (await taken(cell, key, pack, decisions=(decision,))).ok
    verifier = await cell.verifier()
    signer = cell.tenure.ledger._keyring.signer(cell.one.id, verifier.name)

    def changed(change: Callable[[Path, dict[str, Any]], None]) -> set[str]:
        return checks(resigned(pack, tmp_path / "copy", signer, change))

    def first(folder: Path, name: str) -> Path:
        return min((folder / name).iterdir())

    def dropped_match(copy: Path, _: dict[str, Any]) -> None:
        path = copy / "populations" / "kind-shred.json"
        value = json.loads(path.read_text())
        path.write_bytes(canonical({**value, "matches": value["matches"][1:]}))

    def other_content(copy: Path, _: dict[str, Any]) -> None:
        path = copy / "openings" / f"{decision}.json"
        value = json.loads(path.read_text())
        next(item for item in value["items"] if "salt" in item)["content"] = {"said": "other words"}
        path.write_text(json.dumps(value))

    def other_filter(_: Path, index: dict[str, Any]) -> None:
        index["filter"] = {"principal": cell.one.principals["dpo"]}

    assert changed(lambda _copy, _index: None) == set(), "the positive control"
    assert changed(dropped_match) == {"population"}
    assert changed(lambda copy, _: (copy / "populations" / "denied.json").unlink()) == {"population"}
    assert "population" in changed(other_filter)
    assert changed(other_content) == {"opening-mismatch"}
    assert changed(lambda copy, _: first(copy, "policies").unlink()) == {"policy-missing"}
    assert changed(lambda copy, _: first(copy, "policies").write_bytes(b"{}") and None) == {"policy-digest"}
    assert changed(lambda copy, _: first(copy, "access-lists").write_bytes(b"[]") and None) == {"access-list"}
    assert changed(lambda copy, _: first(copy, "access-lists").unlink()) == {"access-list"}
    assert changed(lambda copy, _: first(copy, "certificates").write_bytes(b"{}") and None) == {
        "envelope-format"
    }
    assert changed(lambda copy, _: (copy / "ledger" / "1" / "tile" / "0" / "000.p").rename(copy / "x")) >= {
        "tile-missing"
    }
    assert changed(lambda _, index: index.update(size=3)) == {"pack-head"}
    assert changed(lambda copy, _: shutil.rmtree(copy / "receipts")) == {"pack-file-missing"}


async def test_certificates_of_requests_are_in_a_pack_with_what_they_rest_on(
    cell: Cell, tmp_path: Path
) -> None:
    await second_officer(cell)
    key, _ = await lived(cell)
    done = [
        await carried_out(cell, await approved(cell, kind)) for kind in (Right.ERASURE, Right.RESTRICTION)
    ]
    await cell.tenure.sequencer.run(cell.one.id)
    pack = tmp_path / "pack"
    report = await taken(cell, key, pack)
    assert report.ok, report.failures
    assert report.counts["certificates"] == 4, "of two erasures and two requests"
    assert not [text for text in report.not_checked if text.startswith("The certificate of the erasure")]
    of_erasure, of_restriction = (pack / "certificates" / f"{one['certificate']}.json" for one in done)
    verifier = await cell.verifier()
    signer = cell.tenure.ledger._keyring.signer(cell.one.id, verifier.name)

    def stated(path: Path, **changes: Any) -> dict[str, Any]:
        said = b64decode(json.loads(path.read_text())["payload"])
        return {**json.loads(said), **changes}

    def put(copy: Path, said: dict[str, Any]) -> None:
        (copy / "certificates" / f"{said['id']}.json").write_text(issue_request_certificate(said, signer))

    def of_restriction_in(copy: Path) -> Path:
        return copy / of_restriction.relative_to(pack)

    def found(change: Callable[[Path], None]) -> PackReport:
        return resigned(pack, tmp_path / "copy", signer, lambda copy, _: change(copy))

    # The operator signs whatever they like; the log says what became of the request.
    rosier = stated(of_restriction, outcome="partial")
    assert checks(found(lambda copy: put(copy, rosier))) == {"certificate-entry"}
    another = stated(of_restriction, request=done[0]["id"])
    assert checks(found(lambda copy: put(copy, another))) == {"certificate-entry"}
    erased = stated(of_erasure)["done"]["residue"]["certificate"]
    assert checks(found(lambda copy: (copy / "certificates" / f"{erased}.json").unlink())) == {
        "certificate-erasure",
        "certificate-missing",
    }
    assert checks(found(lambda copy: of_restriction_in(copy).unlink())) == {"certificate-missing"}
    made_up = stated(of_restriction, id="01a227aa-0000-7000-8000-000000000000")
    report = found(lambda copy: put(copy, made_up))
    assert report.ok
    assert any(made_up["id"] in text and "does not have it" in text for text in report.not_checked)


@pytest.mark.databases(*DATABASES)
async def test_a_certificate_that_the_log_names_cannot_be_left_out(cell: Cell, tmp_path: Path) -> None:
    """Deleted in the database: the service leaves it out of the pack, and the log says that it was there."""
    key, _ = await lived(cell)
    purge = next(entry for entry in cell.entries() if entry["kind"] == Kind.PURGE)
    gone = delete(tables.certificates).where(tables.certificates.c.tenant_id == cell.one.id)
    database = Database(cell.settings.database)
    database.write(cell.one.id, lambda tx: tx.execute(gone))
    database.close()
    for span in (WHOLE, Span(until="2001-01-01T00:00:00.000000Z")):
        report = await taken(cell, key, tmp_path / f"pack-{span.until}", span)
        assert [(one.check, one.index) for one in report.failures] == [
            ("certificate-missing", purge["_at"][1])
        ]
        assert purge["data"]["certificate"] in report.failures[0].detail


@pytest.mark.databases(*DATABASES)
async def test_a_certificate_that_is_signed_later_is_named_and_is_no_failure(
    cell: Cell, tmp_path: Path
) -> None:
    key, _ = await lived(cell)
    dpo = cell.one["dpo"]
    person = await cell.person("customer:1")
    asked = await cell.tenure.subjects.shred(dpo, person, scan=True)
    await cell.tenure.shredder.run()
    await cell.tenure.sequencer.run(cell.one.id)
    report = await taken(cell, key, tmp_path / "early")
    assert report.ok, report.failures
    assert report.counts["certificates"] == 1
    assert [text for text in report.not_checked if "awaiting-scan" in text and "under way" in text]
    # Signed meanwhile: pending when the first page was read, and there all the same.
    await cell.tenure.residue.scan(dpo, asked["shred"], ["nowhere at all"])
    signer = cell.tenure.ledger._keyring.signer(cell.one.id, (await cell.verifier()).name)
    report = await taken(cell, key, tmp_path / "late")
    assert report.ok, report.failures
    assert not [text for text in report.not_checked if "under way" in text]

    def bad_list(copy: Path, _: dict[str, Any]) -> None:
        (copy / "pending.json").write_text("[]")

    assert checks(resigned(tmp_path / "late", tmp_path / "copy", signer, bad_list)) == {"pack-format"}
    early = resigned(tmp_path / "early", tmp_path / "copy", signer, bad_list)
    assert checks(early) == {"pack-format", "certificate-missing"}


async def test_pages_of_certificates_are_whole_and_in_order(cell: Cell) -> None:
    await second_officer(cell)
    await lived(cell)
    for kind in (Right.ERASURE, Right.RESTRICTION):
        await carried_out(cell, await approved(cell, kind))
    evidence, auditor = cell.tenure.evidence, cell.one["auditor"]
    whole = (await evidence.certificates(auditor, after=None, limit=50))["items"]
    found, after = [], None
    while True:
        page = await evidence.certificates(auditor, after=after, limit=1)
        found += page["items"]
        if (after := page["next"]) is None:
            break
    assert found == whole
    assert [one["id"] for one in whole] == sorted(one["id"] for one in whole)
    kinds = [json.loads(b64decode(json.loads(one["certificate"])["payload"]))["kind"] for one in whole]
    assert sorted(kinds) == ["erasure-certificate"] * 2 + ["request-certificate"] * 2
    with pytest.raises(Denied):
        await evidence.certificates(cell.one["agent"], after=None, limit=50)


async def test_rules_that_nobody_applied_are_named(cell: Cell, tmp_path: Path) -> None:
    """Whoever writes rows of manifests gives rights behind the API: entries show under which rules."""
    key, _ = await lived(cell)
    before = await taken(cell, key, tmp_path / "before")
    assert not [said for said in before.not_checked if said.startswith("Who applied")]
    wider = {"old": '"roles": ["clerk"]', "new": '"roles": ["auditor", "clerk"]'}
    with cell.raw() as rows:
        rows.execute(
            text("UPDATE manifests SET spec = replace(spec, :old, :new) WHERE kind = 'Grant'"), wider
        )
        rows.execute(text("UPDATE tenant_state SET policy_epoch = policy_epoch + 1"))
    got = await cell.get("k0", scope=NOTES, ask=cell.one.ask("auditor"))
    await cell.tenure.sequencer.run(cell.one.id)
    after = await taken(cell, key, tmp_path / "after")
    named = next(one["policy"] for one in cell.entries() if f"{one['writer']}-{one['n']}" == got.entry)
    assert [said for said in after.not_checked if said.startswith(f"Who applied the policy {named}")]


async def test_an_archive_with_a_file_twice_is_none(cell: Cell, tmp_path: Path) -> None:
    key, _ = await lived(cell)
    await taken(cell, key, tmp_path / "pack")
    archive = tmp_path / "pack.zip"
    write_archive(tmp_path / "pack", archive)
    with zipfile.ZipFile(archive, "a") as again, pytest.warns(UserWarning, match="Duplicate"):
        again.writestr("README.md", "another")
    with pytest.raises(Invalid):
        audit_pack(archive, [(await cell.verifier()).vkey])


async def test_every_opening_of_a_small_log_leaves_no_commitment_unopened(cell: Cell, tmp_path: Path) -> None:
    roles = ("auditor", "support-agent")
    made = await cell.tenure.principals.create(cell.one["admin"], "insider", PrincipalKind.PERSON, roles)
    opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    draft = Draft(canonical({"said": "words"}), ("customer:1",), ("contact",))
    await cell.tenure.gateway.write(cell.one.ask(decision=opened["id"]), NOTES, "k", draft)
    await cell.get("k", scope=NOTES, ask=cell.one.ask(decision=opened["id"]))
    await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "done", None)
    await cell.tenure.sequencer.run(cell.one.id)
    key = str(made["api_key"])
    report = await taken(cell, key, tmp_path / "opened", decisions=(opened["id"],))
    assert report.ok, report.failures
    assert not any("commitments" in text for text in report.not_checked), report.not_checked
    report = await taken(cell, key, tmp_path / "closed")
    # Two, and those of the openings themselves where these are published by now.
    assert any(re.search(r"\b(\d+) of the log's \1 commitments", one) for one in report.not_checked)


async def test_only_a_head_of_this_log_is_signed_and_parts_are_the_tenants_own(cell: Cell) -> None:
    key, _ = await lived(cell)
    evidence, auditor = cell.tenure.evidence, parse_api_key(key)
    for size, root in ((10**9, "0" * 64), (1, "0" * 64)):
        with pytest.raises(Invalid) as refused:
            await evidence.sign(auditor, Index("0" * 64, 3, size, root))
        assert refused.value.field == "root"
    policy = next(entry["policy"] for entry in cell.entries() if "policy" in entry)
    listed = next(entry["accesses_sha256"] for entry in cell.entries() if "accesses_sha256" in entry)
    assert await evidence.policy(auditor, policy)
    assert hashlib.sha256(await evidence.access_list(auditor, listed)).hexdigest() == listed
    with pytest.raises(NotFound):
        await evidence.access_list(cell.two["auditor"], listed)
    with pytest.raises(Denied):
        await evidence.policy(cell.one["dpo"], policy)
    with pytest.raises(NotFound):
        await evidence.checkpoint(auditor, 0)
    note = await evidence.checkpoint(auditor, 10**12)
    assert note == await cell.tenure.ledger.checkpoint(auditor)
    assert SCOPE


async def test_after_a_loss_the_pack_names_the_generation_before_and_old_certificates_hold(
    embedded: Cell, tmp_path: Path
) -> None:
    """The whole data directory goes back: certificates of the lost log verify under the key's old name."""
    data = embedded.settings.data_dir
    async with embedded.opened():
        key, _ = await lived(embedded)
    shutil.copytree(data, tmp_path / "backup")
    async with embedded.opened():
        await embedded.erase("customer:1")
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "backup", data)
    async with embedded.opened() as tenure:
        assert tenure.recovered.restored
        await embedded.get("k0", scope=NOTES)
        await tenure.sequencer.run(embedded.one.id)
        report = await taken(embedded, key, tmp_path / "pack")
        assert report.ok, report.failures
        assert (report.counts["generations"], report.counts["certificates"]) == (2, 2)
        assert any("1 generations of the log before" in text for text in report.not_checked)
        assert report.log is not None
        assert any("were lost" in note for note in report.log.notes)
        vkey = (await embedded.verifier()).vkey
    stranger = Signer(vkey.partition("+")[0].replace("/2", "/1"), bytes(32))
    generations = tmp_path / "pack" / "generations.json"
    items = json.loads(generations.read_text())
    items["items"][0]["vkey"] = stranger.vkey
    generations.write_text(json.dumps(items))
    assert {"unknown-key", "pack-file-changed"} <= checks(audit_pack(tmp_path / "pack", [vkey]))
