"""The cell's log stamped by a real authority, `openssl ts`; what does not hold is named."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from integration.test_ledger_live import _decide
from support.cell import Cell
from support.tsa import Tsa, needed
from tenure.cli.entry import app
from tenure.client.source import DirSource
from tenure.errors import Invalid, Unavailable
from tenure.governance import celllog
from tenure.ids import CELL
from tenure.ledger.audit import audit
from tenure.ledger.note import Verifier, note_body

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _when_the_test_says(monkeypatch):
    monkeypatch.setattr(celllog, "GATHER_S", 3600.0)


@pytest.fixture
def tsa(tmp_path: Path) -> Tsa:
    needed()
    return Tsa(tmp_path / "tsa")


def folder(cell: Cell) -> Path:
    return cell.published().parents[1] / CELL / "1"


def verify(*arguments: object) -> dict:
    found = CliRunner().invoke(app, ["verify", *map(str, arguments), "--json"])
    assert found.exit_code in (0, 1), found.output
    return json.loads(found.output)["items"][0]


async def test_the_newest_head_is_stamped_and_everybody_can_check_it(place: Cell, tsa: Tsa) -> None:
    with tsa.up() as url:
        async with place.opened(tsa_url=url, tsa_certs=str(tsa.root)) as tenure:
            decision, key = await _decide(place)
            await tenure.cell_log.round()
            await tenure.sequencer.run(CELL)
            at = await tenure.timestamps.run()
            assert at is not None
            assert await tenure.timestamps.run() is None, "what is stamped is not stamped again"
            receipt = await tenure.decisions.receipt(place.one["agent"], decision, cell=True)
    (note,) = [path for path in (folder(place) / "timestamps").iterdir() if path.suffix != ".tsr"]
    token = note.with_suffix(".tsr")
    vkey = (folder(place) / "vkey").read_text().strip()
    assert tsa.verifies(note_body(note.read_text()).encode(), token.read_bytes()), "openssl agrees"
    stamp = ("--timestamp", token, "--tsa-cert", tsa.root)
    found = verify(note, "--vkey", vkey, *stamp)
    assert found["ok"], found
    assert found["kind"] == "checkpoint"
    assert found["stamped"] == [at]
    # As an earlier checkpoint it dates everything in the log below it.
    report = audit(DirSource(folder(place)), [Verifier.parse(vkey)], earlier=[note.read_text()])
    assert report.ok
    assert report.earlier == (int(note.name),)
    # A receipt whose part about the cell's log has this very checkpoint is dated, too.
    (note.parent / "receipt").write_text(receipt)
    dated = verify(note.parent / "receipt", "--vkey", key.vkey, "--cell-vkey", vkey, *stamp)
    assert dated["ok"], dated
    assert dated["stamped"] == [at]
    rows = place.rows("SELECT size FROM timestamps")
    assert rows == [(int(note.name),)]


async def test_what_does_not_hold_is_named(embedded: Cell, tsa: Tsa, tmp_path: Path) -> None:
    place = embedded
    with tsa.up() as url:
        async with place.opened(tsa_url=url, tsa_certs=str(tsa.root)) as tenure:
            await place.put("k", 1, "customer:1")
            await tenure.sequencer.run(CELL)
            await tenure.timestamps.run()
    (token,) = (folder(place) / "timestamps").glob("*.tsr")
    note, vkey = token.with_suffix(""), (folder(place) / "vkey").read_text().strip()
    other = Tsa(tmp_path / "other")
    (tmp_path / "bent.tsr").write_bytes(token.read_bytes()[:-1] + b"\0")
    (tmp_path / "short.tsr").write_bytes(token.read_bytes()[:50])
    async with place.opened() as tenure:
        await place.put("k", 2, "customer:1")
        await tenure.cell_log.round()
        await tenure.sequencer.run(CELL)
    newer = folder(place) / "checkpoint"
    for file, stamp, certificate in (
        (note, token, other.root),
        (note, tmp_path / "bent.tsr", tsa.root),
        (note, tmp_path / "short.tsr", tsa.root),
        (newer, token, tsa.root),
    ):
        found = verify(file, "--vkey", vkey, "--timestamp", stamp, "--tsa-cert", certificate)
        assert [one["check"] for one in found["failures"]] == ["timestamp"], found
        assert found["stamped"] == []
    found = verify(note, "--vkey", vkey, "--timestamp", token)
    assert [one["check"] for one in found["failures"]] == ["timestamp"]


async def test_an_authority_that_fails_stops_nothing(embedded: Cell, tsa: Tsa, tmp_path: Path) -> None:
    place = embedded
    with tsa.up() as url:
        tsa.status = 503
        async with place.opened(tsa_url=url, tsa_certs=str(tsa.root)) as tenure:
            await place.put("k", 1, "customer:1")
            await tenure.sequencer.run(CELL)
            with pytest.raises(Unavailable):
                await tenure.timestamps.run()
            ran = await tenure.jobs.run(place.operator, "timestamps")
            assert (ran["outcome"], ran["error"]) == ("failed", "unavailable")
            assert await place.value("k") == 1
            assert (await place.audited()).ok
            tsa.status = 200
            ran = await tenure.jobs.run(place.operator, "timestamps")
            assert (ran["outcome"], ran["counts"]) == ("ok", {"stamped": 1})
    for wrong in (
        {"tsa_url": url},
        {"tsa_url": "ftp://x", "tsa_certs": str(tsa.root)},
        {"tsa_url": url, "tsa_certs": str(tmp_path / "none")},
        {"tsa_url": url, "tsa_certs": str(tsa.folder / "openssl.cnf")},
    ):
        with pytest.raises(Invalid, match=r"nothing was opened|Nothing was done"):
            async with place.opened(**wrong):
                pass
