"""Evidence, populations and own accesses over changes of a log's key; a thief of an old seed gets nowhere."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from foreign import goverifier
from integration.test_audit_own import PATH, PURPOSE, Lying, connected, worked_more
from integration.test_celllog import cell_vkey, held
from integration.test_evidence import checks, lived, taken
from integration.test_inspection import inspected
from support.cell import Cell
from support.databases import DATABASES
from support.resigned import sign_again
from tenure.cli.embedded import Cell as Served
from tenure.client.http import Connection
from tenure.client.pack import audit_pack
from tenure.client.population import fetch_population, trusted
from tenure.errors import Invalid, KeyFailure
from tenure.governance import celllog
from tenure.governance.evidence import Index
from tenure.http.app import create_app
from tenure.ledger.certificate import issue_certificate
from tenure.ledger.checkpoint import Checkpoint, peek_checkpoint, sign_checkpoint
from tenure.ledger.dsse import payload_unverified
from tenure.ledger.entry import EntryDraft, Kind
from tenure.ledger.keychain import FILE, build_chain, rotation_data
from tenure.ledger.note import Signer, Verifier, note_body, sign_note
from tenure.ledger.receipt import build_receipt
from tenure.ledger.selection import Selection
from tenure.model.apikey import parse_api_key

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


@pytest.fixture(autouse=True)
def _no_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cell's log takes in what the test says."""
    monkeypatch.setattr(celllog, "GATHER_S", 3600.0)


def signer_of(cell: Cell) -> Signer:
    """What signs the log now, as a thief of the seed has it."""
    keyring = cell.tenure.sequencer._keyring
    origin = keyring.signer(cell.one.id, cell.rows(ORIGIN, t=cell.one.id)[0][0]).name
    return Signer(origin, bytes(keyring.manifest().tenants[cell.one.id].ledger_seed))


ORIGIN = "SELECT origin FROM logs WHERE CAST(tenant_id AS TEXT) = :t ORDER BY generation DESC"


async def rotate(cell: Cell) -> Verifier:
    return Verifier.parse((await cell.tenure.ledger_keys.rotate(cell.one["admin"]))["vkey"])


async def changed_twice(cell: Cell) -> tuple[str, str, list[Signer]]:
    """A past under three keys: an auditor's API key, a decision of the first, and what signed."""
    key, decision = await lived(cell)
    await held(cell)
    signers = [signer_of(cell)]
    for person in (1, 0):
        await rotate(cell)
        await cell.erase(f"customer:{person}")
        await cell.tenure.sequencer.run(cell.one.id)
        signers.append(signer_of(cell))
    return key, decision, signers


@pytest.mark.go
@pytest.mark.databases(*DATABASES)
async def test_a_pack_holds_from_every_key_that_the_log_had(cell: Cell, tmp_path: Path) -> None:
    key, decision, signers = await changed_twice(cell)
    pack = tmp_path / "pack"
    report = await taken(cell, key, pack, decisions=(decision,))
    assert report.ok, report.failures
    assert report.counts["certificates"] == 3
    receipt = (pack / "receipts" / f"{decision}.tlog-proof").read_text()
    assert peek_checkpoint(receipt.partition("\n\n")[2]).size < _size(pack), "given out under the first key"
    for at, signer in enumerate(signers):
        found = audit_pack(pack, [signer.vkey])
        assert found.ok, (at, found.failures)
        assert (len(found.rotations), len(found.earlier_keys)) == (2 - at, at)
        assert "Whether the cell's log was signed: give its key with --cell-vkey." in found.not_checked
        assert not any("the ledger for that" in text for text in found.not_checked), "the log is in the pack"
        with_cell = audit_pack(pack, [signer.vkey], cell_vkeys=[cell_vkey(cell)])
        assert with_cell.ok, with_cell.failures
        assert with_cell.counts["in the cell's log"] == 1
        assert not any("--cell-vkey" in text for text in with_cell.not_checked)
    wrong = audit_pack(pack, [signers[2].vkey], cell_vkeys=[signers[0].vkey])
    assert checks(wrong) == {"unknown-key", "openings-receipt"}
    # A tool that is not ours, pinned to the present key.
    passed, said = goverifier.run(goverifier.build(tmp_path), str(pack / "ledger" / "1"), signers[2].vkey, [])
    assert passed, said


def _size(pack: Path) -> int:
    return int(json.loads((pack / "index.json").read_text())["size"])


def resigned(
    pack: Path, signer: Signer, pinned: list[Signer], change: Callable[[Path], None] = lambda _: None
) -> set[str]:
    """What an audit finds in a changed copy whose index and statement somebody signed again."""
    copy = pack.with_name("copy")
    shutil.copytree(pack, copy)
    change(copy)
    sign_again(copy, signer)
    found = checks(audit_pack(copy, [one.vkey for one in pinned]))
    shutil.rmtree(copy)
    return found


async def test_a_thief_of_an_old_seed_gets_nothing_into_a_pack(cell: Cell, tmp_path: Path) -> None:
    key, decision, (thief, middle, now) = await changed_twice(cell)
    pack = tmp_path / "pack"
    assert (await taken(cell, key, pack, decisions=(decision,))).ok
    assert resigned(pack, now, [now]) == set(), "the positive control"

    # The index: whoever pinned any of the keys believes the present one only.
    for pinned in (thief, middle, now):
        assert resigned(pack, thief, [pinned]) == {"key-retired"}

    # A head of the true log, of after the change; a head of another past, of before it.
    head = peek_checkpoint((pack / "ledger" / "1" / "checkpoint").read_text())

    def heads(size: int, root: bytes) -> Callable[[Path], None]:
        def change(copy: Path) -> None:
            (copy / "checkpoints").mkdir(exist_ok=True)
            forged = sign_checkpoint(Checkpoint(head.origin, size, root), [thief])
            (copy / "checkpoints" / str(size)).write_text(forged)

        return change

    for pinned in (thief, middle, now):
        assert resigned(pack, now, [pinned], heads(head.size, head.root)) == {"key-retired"}
        assert resigned(pack, now, [pinned], heads(3, bytes(32))) == {"fork"}

    # A receipt of an entry that never was.
    draft = EntryDraft(Kind.DECISION_SEAL, 1_000_000, "sealed", decision=decision, nonce=bytes(16))
    entry = draft.encode("0" * 16, 0)
    root = hashlib.sha256(b"\0" + entry).digest()
    note = sign_checkpoint(Checkpoint(head.origin, 1, root), [thief])

    def receipt(copy: Path) -> None:
        shutil.rmtree(copy / "openings")
        (copy / "receipts" / f"{decision}.tlog-proof").write_text(build_receipt(entry, 0, [], note))

    assert resigned(pack, now, [now], receipt) == {"fork"}

    # Certificates: of an erasure that never was, of one after the change, of another one's entry.
    real = {
        said["issued_at"]: said
        for path in (pack / "certificates").iterdir()
        if (said := json.loads(payload_unverified(path.read_text())))
    }
    oldest, newest = real[min(real)], real[max(real)]

    def certificate(signer: Signer, said: dict[str, Any]) -> Callable[[Path], None]:
        return lambda copy: (
            (copy / "certificates" / f"{said['id']}.json").write_text(issue_certificate(said, signer))
            and None
        )

    invented = {**oldest, "id": decision, "entry": f"{'0' * 16}-0"}
    assert resigned(pack, now, [now], certificate(thief, invented)) == {"key-retired"}
    assert resigned(pack, now, [now], certificate(thief, newest)) == {"key-retired"}
    assert resigned(pack, now, [now], certificate(thief, {**oldest, "id": decision})) == {"certificate-entry"}
    assert resigned(pack, now, [now], certificate(now, {**oldest, "id": decision})) == {"certificate-entry"}
    assert resigned(pack, now, [now], certificate(middle, newest)) == {"key-retired"}


async def test_another_successor_of_an_old_key_and_a_key_that_is_only_claimed_count_for_nothing(
    cell: Cell, tmp_path: Path
) -> None:
    key, _, (thief, _middle, now) = await changed_twice(cell)
    pack = tmp_path / "pack"
    assert (await taken(cell, key, pack)).ok
    head = peek_checkpoint((pack / "ledger" / "1" / "checkpoint").read_text())
    own = Signer(head.origin, bytes(32))
    data = rotation_data(thief.verifier, own.verifier)
    entry = EntryDraft(Kind.KEY_ROTATE, 1_000_000, "ok", data=data, nonce=bytes(16)).encode("0" * 16, 0)
    note = sign_checkpoint(Checkpoint(head.origin, 1, hashlib.sha256(b"\0" + entry).digest()), [thief, own])
    rival = build_receipt(entry, 0, [], note)

    def chain(*, kept: bool) -> Callable[[Path], None]:
        def change(copy: Path) -> None:
            path = copy / "ledger" / "1" / FILE
            path.write_text(build_chain([rival, path.read_text()] if kept else [rival]))

        return change

    assert resigned(pack, own, [now], chain(kept=True)) == {"unknown-key"}
    assert resigned(pack, own, [now], chain(kept=False)) == {"unknown-key"}
    for kept in (True, False):
        assert resigned(pack, own, [thief, now], chain(kept=kept)) == {"rotation"}

    def claimed(copy: Path) -> None:
        path = copy / "generations.json"
        listed = json.loads(path.read_text())
        listed["items"][-1]["previous"].append({"vkey": own.vkey, "replaced_at": 1})
        path.write_text(json.dumps(listed))

    assert resigned(pack, now, [now], claimed) == {"rotation"}


async def test_only_the_key_that_the_log_names_signs_and_only_heads_of_its_own(cell: Cell) -> None:
    key, _ = await lived(cell)
    auditor, evidence = parse_api_key(key), cell.tenure.evidence
    before = peek_checkpoint(await cell.tenure.ledger.checkpoint(auditor))
    old = await cell.verifier()
    new = await rotate(cell)
    with pytest.raises(Invalid) as refused:
        await evidence.sign(auditor, Index("0" * 64, 1, before.size, before.root.hex()))
    assert refused.value.field == "size"
    (listed,) = (await evidence.generations(auditor))["items"]
    assert listed["vkey"] == new.vkey
    assert [one["vkey"] for one in listed["previous"]] == [old.vkey]
    head = peek_checkpoint(await cell.tenure.ledger.checkpoint(auditor))
    assert await evidence.sign(auditor, Index("0" * 64, 1, head.size, head.root.hex()))
    other = Signer(old.name, bytes(32)).vkey
    where = "WHERE CAST(tenant_id AS TEXT) = :t AND vkey = :k"
    cell.change(f"UPDATE ledger_keys SET vkey = :o {where}", t=cell.one.id, k=new.vkey, o=other)
    with pytest.raises(KeyFailure, match="nothing was signed"):
        await evidence.sign(auditor, Index("0" * 64, 1, head.size, head.root.hex()))
    cell.change(f"UPDATE ledger_keys SET vkey = :o {where}", t=cell.one.id, k=other, o=new.vkey)


async def test_a_population_and_a_pack_are_taken_with_an_old_key(cell: Cell, tmp_path: Path) -> None:
    key, _, signers = await changed_twice(cell)
    async with Served(cell.tenure).connect(key) as connection:
        for at, signer in enumerate(signers):
            keys = await trusted(connection, [signer.vkey])
            report = await fetch_population(connection, Selection(kind="purge"), keys)
            assert report.ok, report.failures
            assert (len(report.found), len(report.rotations)) == (3, 2 - at)
    transport = Lying(create_app(cell.tenure))

    def old_head(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if not request.url.path.endswith("/populations"):
            return response
        page = response.json()
        page["checkpoint"] = sign_note(note_body(page["checkpoint"]), [signers[0]])
        return httpx.Response(200, json=page)

    transport.lie = old_head
    async with Connection(key, "http://tenure.localhost", transport=transport) as lied:
        keys = await trusted(lied, [signers[0].vkey])
        assert checks(await fetch_population(lied, Selection(), keys)) == {"unknown-key"}


async def test_own_accesses_are_checked_over_a_change_and_an_old_key_is_not_believed(cell: Cell) -> None:
    agent, transport = await connected(cell)
    async with agent:
        draft = {"content": 1, "subjects": ["customer:1"], "categories": ["contact"]}
        await agent.call("PUT", f"{PATH}/k1", draft, headers=PURPOSE)
        await cell.tenure.sequencer.run(cell.one.id)
        assert (await agent.audit_own()).confirmed == 1
        thief = signer_of(cell)
        await rotate(cell)
        await worked_more(agent)
        await cell.tenure.sequencer.run(cell.one.id)
        own = list(agent.own)

        def old_head(request: httpx.Request, response: httpx.Response) -> httpx.Response:
            if not request.url.path.endswith("/receipt"):
                return response
            proof, _, note = response.text.partition("\n\n")
            forged = f"{proof}\n\n{sign_note(note_body(note), [thief])}"
            return httpx.Response(200, text=forged, headers={"content-type": "text/plain"})

        transport.lie = old_head
        assert checks(await agent.audit_own()) == {"key-retired"}
        transport.lie = lambda _request, response: response
        report = await agent.audit_own()
        assert report.ok, report.failures
        assert (report.confirmed, len(report.rotations)) == (2, 1)
        # A service that forgets the change, and one that shows a change of another past.
        agent.own = own
        transport.lie = lambda request, response: (
            httpx.Response(200, text="", headers={"content-type": "text/plain"})
            if request.url.path.endswith(FILE)
            else response
        )
        assert checks(await agent.audit_own()) == {"rotation"}
    seen = sign_checkpoint(Checkpoint(thief.name, 2, bytes(32)), [thief])
    async with (await connected(cell, seen=seen))[0] as again:
        again._keys = type(again._keys)((thief.verifier,), (), ())
        assert checks(await again.audit_own()) == {"fork"}


async def test_rows_that_an_earlier_key_signed_are_no_finding(embedded: Cell) -> None:
    async with embedded.opened():
        await changed_twice(embedded)
    assert await asyncio.to_thread(inspected, embedded) == []


async def test_a_certificate_of_an_earlier_generation_under_a_replaced_key_is_not_placed_in_time(
    embedded: Cell, tmp_path: Path
) -> None:
    data = embedded.settings.data_dir
    async with embedded.opened():
        key, _ = await lived(embedded)
    shutil.copytree(data, tmp_path / "backup")
    async with embedded.opened():
        await embedded.erase("customer:1")
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "backup", data)
    async with embedded.opened() as tenure:
        await tenure.sequencer.run(embedded.one.id)
        old = signer_of(embedded)
        assert (await taken(embedded, key, tmp_path / "before")).ok
        await rotate(embedded)
        report = await taken(embedded, key, tmp_path / "pack")
        assert report.ok, report.failures
        assert any("Whoever stole that key could have made it" in text for text in report.not_checked)
        assert not any(
            "Whoever stole" in text for text in audit_pack(tmp_path / "before", [old.vkey]).not_checked
        )
