"""`tenure shred`: what a data protection officer sees and keeps."""

import asyncio
import base64
import json

import pytest
from typer.testing import CliRunner

from tenure.cli.entry import app
from tenure.keys.rootstore import Destruction
from tenure.rootstore.files import FilesRootStore

WHO = "customer:42"


@pytest.fixture
def shred(embedded):
    """Runs `tenure shred` as the officer, on a cell that holds one record about one person."""

    async def furnish():
        async with embedded.opened():
            await embedded.put("k", 1, WHO)
            return await embedded.person(WHO)

    person = asyncio.run(furnish())
    settings = embedded.settings
    places = ["--data-dir", settings.data_dir, "--root-dir", settings.root_dir, "--shred-interval-s", "0"]

    def run(*arguments, who="dpo", env=None, verb="shred"):
        call = [verb, *arguments, *map(str, places[:4])]
        env = {"TENURE_API_KEY": embedded.one.keys[who], "TENURE_SHRED_INTERVAL_S": "0", **(env or {})}
        return CliRunner().invoke(app, [str(one) for one in call], env=env)

    run.person = person
    run.cell = embedded
    return run


def _vkey(cell):
    async def ask():
        async with cell.opened() as tenure:
            return (await tenure.ledger.key(cell.one["auditor"]))["vkey"]

    return asyncio.run(ask())


def test_shows_the_steps_and_keeps_a_certificate_that_verifies(shred, tmp_path):
    path = tmp_path / "kept.json"
    found = shred(WHO, "--out", path)
    assert found.exit_code == 0, found.output
    steps = [line.split()[-1] for line in found.stdout.splitlines() if line[:2] == "20"]
    assert steps[0] == "requested"
    assert steps[-1] == "completed"
    assert f"certificate {path}" in found.stdout
    verified = CliRunner().invoke(app, ["verify", str(path), "--vkey", _vkey(shred.cell)])
    assert verified.exit_code == 0, verified.output
    page, print_ = tmp_path / "kept.html", tmp_path / "kept.pdf"
    for source in (json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))["id"], path, page):
        made = shred("--html", page, "--pdf", print_, str(source), verb="certificate")
        assert made.exit_code == 0, made.output
        assert "tenure verify FILE" in made.stdout
        assert page.read_text().startswith("<!DOCTYPE html>")
        assert print_.read_bytes().startswith(b"%PDF")
    saved = tmp_path / "saved.json"
    saved.write_text(shred("--json", print_, verb="certificate").stdout)
    for carrier in (page, print_, saved):
        verified = CliRunner().invoke(app, ["verify", str(carrier), "--vkey", _vkey(shred.cell)])
        assert verified.exit_code == 0, verified.output


def test_a_certificate_that_is_none_is_refused(tmp_path):
    (tmp_path / "receipt").write_text("c2sp.org/tlog-proof@v1")
    for name, said in (("missing", "no such file"), ("receipt", "not a DSSE envelope")):
        found = CliRunner().invoke(app, ["certificate", str(tmp_path / name)])
        assert found.exit_code == 1
        assert said in found.stderr


def test_takes_the_persons_id_and_answers_as_json(shred, tmp_path):
    path = tmp_path / "kept.json"
    found = shred("--id", shred.person, "--out", path, "--json")
    assert found.exit_code == 0, found.output
    answer = json.loads(found.stdout)
    assert answer["subject"] == shred.person
    assert answer["certificate_file"] == str(path)
    assert json.loads(path.read_text())["payloadType"].startswith("application/vnd.tenure.erasure")


def test_asking_again_by_id_gives_the_same_certificate(shred, tmp_path):
    first = json.loads(shred(WHO, "--out", tmp_path / "1", "--json").stdout)
    again = json.loads(shred("--id", shred.person, "--out", tmp_path / "2", "--json").stdout)
    assert again["certificate"] == first["certificate"]
    assert (tmp_path / "1").read_text() == (tmp_path / "2").read_text()


def test_nobody_of_that_name_is_a_no(shred, tmp_path):
    found = shred("customer:unknown", "--out", tmp_path / "none", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"]["kind"] == "not-found"
    assert "customer:unknown" not in found.stdout
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("arguments", [[], [WHO, "--id", "01900000-0000-7000-8000-000000000000"]])
def test_one_name_exactly(shred, arguments):
    assert shred(*arguments).exit_code == 2


@pytest.mark.parametrize("who", ["admin", "agent", "auditor"])
def test_is_the_officers_alone(shred, who):
    found = shred("--id", shred.person, "--json", who=who)
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"]["kind"] == "denied"


def test_the_verb_may_be_named(shred, tmp_path):
    found = shred("person", WHO, "--out", tmp_path / "kept", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["subject"] == shred.person


@pytest.mark.parametrize("order", [["--wait", "60", WHO], [WHO, "--wait", "60"]])
def test_options_may_come_first(shred, tmp_path, order):
    found = shred("--out", tmp_path / "kept", *order, "--json")
    assert found.exit_code == 0, found.output


def test_status_shows_one_erasure_and_the_newest(shred, tmp_path):
    assert json.loads(shred("status", "--json").stdout)["items"] == []
    done = json.loads(shred(WHO, "--out", tmp_path / "1", "--json").stdout)
    page = json.loads(shred("status", "--json").stdout)
    assert [one["shred"] for one in page["items"]] == [done["shred"]]
    one = json.loads(shred("status", done["shred"], "--json").stdout)
    assert {name: done[name] for name in one} == one
    shown = shred("status", done["shred"])
    assert shown.exit_code == 0
    assert all(word in shown.stdout for word in (done["certificate"], shred.person, "completed"))
    steps = [line.split()[-1] for line in shown.stdout.splitlines() if line[:2] == "20"]
    assert (steps[0], steps[-1]) == ("requested", "completed")
    assert done["shred"] in shred("status").stdout


def test_status_says_what_an_erasure_waits_for(shred, monkeypatch):
    async def under_way():
        async with shred.cell.opened():
            return await shred.cell.request(WHO)

    asked = asyncio.run(under_way())
    monkeypatch.setattr(FilesRootStore, "destroy", lambda *_: Destruction("pending", 1, 2, {}))
    monkeypatch.setattr("tenure.governance.shred._PATIENCE_S", 0.0)
    shown = json.loads(shred("status", asked, "--json").stdout)
    assert "root store" in shown["waits_for"]
    assert "destroyed" not in shown["steps"]
    assert "certificate" not in shown


@pytest.mark.parametrize("wrong", ["01900000-0000-7000-8000-000000000000", "nonsense"])
def test_status_of_nothing_is_a_no(shred, wrong):
    found = shred("status", wrong, "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"]["kind"] in ("not-found", "invalid")


@pytest.mark.parametrize("name", [[WHO], ["--id", None]])
def test_impact_says_what_would_go_and_does_nothing(shred, name):
    name = [shred.person if one is None else one for one in name]
    would = json.loads(shred("impact", *name, "--json").stdout)
    assert (would["subject"], would["versions"], would["erased"]) == (shred.person, 1, 1)
    assert json.loads(shred("status", "--json").stdout)["items"] == []
    assert shred.person in shred("impact", *name).stdout
    assert shred("impact").exit_code == 2


def test_a_search_goes_with_it_and_the_certificate_says_so(shred, tmp_path):
    values = tmp_path / "values.txt"
    values.write_text("name\tAda Lovelace\nada@example.org\n")
    found = shred(WHO, "--scan", values, "--out", tmp_path / "kept", "--json")
    assert found.exit_code == 0, found.output
    payload = json.loads(base64.b64decode(json.loads((tmp_path / "kept").read_text())["payload"]))
    searched = payload["residue"]["searched_for_values"]
    assert (searched["verdict"], searched["values"]) == ("clean", 2)
    assert "Lovelace" not in found.stdout


def test_what_a_search_finds_is_shown_by_place_and_accepted(shred, tmp_path):
    async def mention():
        async with shred.cell.opened():
            return (await shred.cell.put("other", "Ada Lovelace called", "customer:other")).record

    record = asyncio.run(mention())
    values = tmp_path / "values.txt"
    values.write_text("Ada Lovelace\n")
    found = shred(WHO, "--scan", values, "--out", tmp_path / "kept", "--yes")
    assert found.exit_code == 1, found.output
    assert record in found.stdout
    assert "Lovelace" not in found.output
    assert not (tmp_path / "kept").exists()
    (waiting,) = json.loads(shred("status", "--json").stdout)["items"]
    assert waiting["state"] == "awaiting-scan"
    assert shred("--id", shred.person, "--yes").exit_code == 1, "it waits for the search that was asked for"
    again = shred("scan", waiting["shred"], "--values", values, "--json")
    assert again.exit_code == 1
    assert json.loads(again.stdout)["residue"]["verdict"] == "residue"
    done = shred(
        "scan", waiting["shred"], "--values", values, "--accept", "--out", tmp_path / "kept", "--json"
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["state"] == "completed"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"", b"abc\n"])
def test_values_that_cannot_be_read_erase_nobody(shred, tmp_path, content):
    values = tmp_path / "values.txt"
    if content is not None:
        values.write_bytes(content)
    found = shred(WHO, "--scan", values, "--out", tmp_path / "kept", "--json")
    assert found.exit_code != 0
    assert json.loads(shred("status", "--json").stdout)["items"] == []
