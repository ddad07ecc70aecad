"""`tenure population`, `evidence`, `audit PACK` and `verify --openings`, as an auditor uses them."""

import asyncio
import json
import zipfile

import pytest
from typer.testing import CliRunner

from support.cell import SCOPE, SUPPORT
from tenure.cli.entry import app
from tenure.decisions import Opening
from tenure.ledger.canonical import canonical
from tenure.model.principal import PrincipalKind
from tenure.model.record import Draft


class Auditor:
    """Runs commands on an embedded cell in which a decision was made."""

    def __init__(self, cell):
        self.cell = cell
        self.decision, self.receipt, self.openings, self.vkey = asyncio.run(self._live())

    async def _live(self):
        async with self.cell.opened() as tenure:
            for n in range(2):
                draft = Draft(canonical({"said": f"words {n}"}), (f"customer:{n}",), ("contact",))
                await tenure.gateway.write(self.cell.one.ask(), SCOPE, f"k{n}", draft)
            opened = await tenure.decisions.open(self.cell.one["agent"], Opening(SUPPORT))
            ask = self.cell.one.ask(decision=opened["id"])
            for n in range(2):
                await self.cell.get(f"k{n}", ask=ask)
            await tenure.decisions.seal(self.cell.one["agent"], opened["id"], "done", None)
            await tenure.sequencer.run(self.cell.one.id)
            receipt = await tenure.decisions.receipt(self.cell.one["agent"], opened["id"])
            openings = await tenure.decisions.openings(self.cell.one.ask(), opened["id"])
            roles = ("auditor", "support-agent")
            made = await tenure.principals.create(
                self.cell.one["admin"], "insider", PrincipalKind.PERSON, roles
            )
            self.cell.one.keys["insider"] = made["api_key"]
            return opened["id"], receipt, openings, (await self.cell.verifier()).vkey

    def run(self, who, *arguments, code=0, cell=True):
        places = ["--data-dir", self.cell.settings.data_dir, "--root-dir", self.cell.settings.root_dir]
        given = [*arguments, *(places if cell else ())]
        env = {"TENURE_API_KEY": self.cell.one.keys[who]}
        found = CliRunner().invoke(app, [str(one) for one in given], env=env)
        assert found.exit_code == code, found.output
        return found.output


@pytest.fixture
def auditor(embedded):
    return Auditor(embedded)


def test_a_population_is_fetched_checked_kept_and_verified_again(auditor, tmp_path):
    file = tmp_path / "seals"
    said = auditor.run("auditor", "population", "--kind", "decision.seal", "--out", file)
    assert "found: 1 entries" in said
    assert "filter: kind decision.seal" in said
    assert "trust on first use" in said
    again = auditor.run("auditor", "verify", file, "--vkey", auditor.vkey, cell=False)
    assert f"population {file}: verified" in again
    assert "not checked: What came into the log behind" in again
    assert "trust on first use" not in again
    page = json.loads(file.read_text())
    file.write_bytes(canonical({**page, "matches": []}))
    failed = auditor.run("auditor", "verify", file, "--vkey", auditor.vkey, cell=False, code=1)
    assert "failed: population-missed" in failed
    shown = auditor.run("auditor", "population", "--to", "2001-01-01", "--vkey", auditor.vkey, "--json")
    assert json.loads(shown)["found"] == []
    assert json.loads(shown)["filter"] == {"to": "2001-01-01T00:00:00.000000Z"}
    with_key = auditor.run("auditor", "population", "--vkey", auditor.vkey.replace("+", "x+", 1), code=1)
    assert "verifier key" in with_key
    wrong = auditor.run("auditor", "population", "--from", "yesterday", code=1)
    assert "cannot be read" in wrong
    assert "No entry can have that kind" in auditor.run("auditor", "population", "--kind", "A B", code=1)
    assert "denies" in auditor.run("agent", "population", code=1)


def test_an_evidence_pack_is_made_and_audited(auditor, tmp_path):
    pack = tmp_path / "pack.zip"
    said = auditor.run(
        "insider",
        "evidence",
        "--out",
        pack,
        "--openings",
        auditor.decision,
        "--purpose",
        SUPPORT,
        "--vkey",
        auditor.vkey,
    )
    assert f"evidence {pack}: verified" in said
    again = auditor.run("auditor", "audit", pack, "--vkey", auditor.vkey, cell=False)
    assert f"pack {pack}: verified" in again
    assert "population: kind-decision.seal: 1 entries" in again
    assert '{"said": "words 1"}' in again
    shown = json.loads(auditor.run("auditor", "audit", pack, "--vkey", auditor.vkey, "--json", cell=False))
    assert shown["ok"]
    assert shown["log"]["entries"] == shown["populations"]["span"]
    assert len(shown["seen"][auditor.decision]) == 2
    raw = bytearray(pack.read_bytes())
    raw[len(raw) // 2] ^= 1
    pack.write_bytes(raw)
    assert "failed: " in auditor.run("auditor", "audit", pack, "--vkey", auditor.vkey, cell=False, code=1)


def test_a_pack_that_is_not_whole_is_checked_as_a_pack(auditor, tmp_path):
    pack, folder = tmp_path / "pack.zip", tmp_path / "pack"
    auditor.run("auditor", "evidence", "--out", pack, "--vkey", auditor.vkey)
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(folder)
    audit = ("audit", folder, "--vkey", auditor.vkey)
    assert "verified" in auditor.run("auditor", *audit, cell=False)
    for name in ("statement.json", "index.json"):
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        said = auditor.run("auditor", *audit, cell=False, code=1)
        assert f"pack {folder}: FAILED" in said
        assert f"failed: pack-file-missing: A pack has index.json and statement.json; {name}" in said
        (folder / name).write_bytes(kept)
    log = folder / "ledger" / "1"
    assert f"log {log}: verified" in auditor.run("auditor", "audit", log, "--vkey", auditor.vkey, cell=False)
    pack.write_bytes(pack.read_bytes()[:-400])
    said = auditor.run("auditor", "audit", pack, "--vkey", auditor.vkey, cell=False, code=2)
    assert "no archive of an evidence pack that can be read: it is cut off" in said


def test_what_evidence_cannot_do_is_said(auditor, tmp_path):
    there = tmp_path / "there.zip"
    there.write_bytes(b"")
    assert auditor.run("auditor", "evidence", "--out", there, code=2)
    assert auditor.run("auditor", "evidence", "--out", tmp_path / "x", "--openings", "d", code=2)
    assert "denies" in auditor.run("admin", "evidence", "--out", tmp_path / "x", code=1)
    assert "neither" not in auditor.run("auditor", "audit", there, cell=False, code=2)


def test_openings_show_what_a_receipt_commits_to(auditor, tmp_path):
    receipt, openings = tmp_path / "one.tlog-proof", tmp_path / "openings.json"
    receipt.write_text(auditor.receipt)
    openings.write_text(json.dumps(auditor.openings))
    command = ("verify", receipt, "--openings", openings, "--vkey", auditor.vkey)
    said = auditor.run("auditor", *command, cell=False)
    assert f"openings {openings}: verified" in said
    assert 'version 1: {"said": "words 0"}' in said
    shown = json.loads(auditor.run("auditor", *command, "--json", cell=False))
    assert [one["content"]["said"] for one in shown["items"][1]["seen"]] == ["words 0", "words 1"]
    auditor.openings["items"][0]["content"]["said"] = "other words"
    openings.write_text(json.dumps(auditor.openings))
    assert "failed: opening-mismatch" in auditor.run("auditor", *command, cell=False, code=1)
    assert auditor.run(
        "auditor",
        "verify",
        receipt,
        receipt,
        "--openings",
        openings,
        "--vkey",
        auditor.vkey,
        cell=False,
        code=2,
    )
