"""A cell whose logs are cosigned: two real witnesses, one that is down, lags or is offered a fork."""

import json
from contextlib import ExitStack, contextmanager

import pytest
from test_bring_up import copies
from typer.testing import CliRunner

from integration.test_ledger_live import _decide
from support.cell import crash
from support.databases import DATABASES
from support.erasure import InjectedError
from support.witness import serving
from tenure import publisher, witnesses
from tenure.cli.doctor import _cosigned
from tenure.cli.entry import app
from tenure.client import audit_log, open_source
from tenure.groundwork import remembered
from tenure.ledger.checkpoint import peek_checkpoint
from tenure.ledger.cosignature import cosigned_by
from tenure.ledger.note import Verifier
from tenure.ledger.witness import Refused
from tenure.store import log
from tenure.witness.place import Place

__all__ = ["copies"]
pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Rests are short, and the offers that come by themselves never come: tests make them."""
    monkeypatch.setattr(witnesses, "_FIRST_REST_S", 0.0)
    monkeypatch.setattr(witnesses, "_LONGEST_REST_S", 0.0)
    monkeypatch.setattr(witnesses, "_REFUSED_REST_S", 0.0)
    monkeypatch.setattr(publisher, "AGAIN_S", 3600)


class Pair:
    """Two witnesses that know a cell's logs, and the file that names them."""

    def __init__(self, folder):
        self.places = [Place.create(folder / name, f"witness.test/{name}") for name in ("one", "two")]
        self.keys = [Verifier.parse(place.vkey) for place in self.places]
        self.file = folder / "witnesses.json"
        self._stack = [ExitStack(), ExitStack()]
        self.urls = ["http://127.0.0.1:9", "http://127.0.0.1:9"]

    def name(self, quorum):
        listed = [{"url": url, "vkey": key.vkey} for url, key in zip(self.urls, self.keys, strict=True)]
        self.file.write_text(json.dumps({"quorum": quorum, "witnesses": listed}))
        return {"witnesses": str(self.file)}

    @contextmanager
    def up(self, *which):
        with ExitStack() as stack:
            for n in which:
                self.urls[n] = stack.enter_context(serving(self.places[n]))
            yield

    async def know(self, cell):
        async with cell.opened():
            key = (await cell.verifier()).vkey
        for place in self.places:
            place.trust(key)


@pytest.fixture
def pair(tmp_path):
    (tmp_path / "witnesses").mkdir()
    return Pair(tmp_path / "witnesses")


def heads(cell):
    return remembered(cell.settings)[2]


def published(cell):
    return (cell.published() / "checkpoint").read_text()


@pytest.mark.databases(*DATABASES)
async def test_a_receipt_with_two_cosignatures_verifies_offline(place, pair, tmp_path):
    await pair.know(place)
    with pair.up(0, 1):
        async with place.opened(**pair.name(2)) as tenure:
            decision, key = await _decide(place)
            receipt = await tenure.decisions.receipt(place.one["agent"], decision)
            assert tenure.witnesses.counts["witness.test/one", "cosigned"] >= 1
    (tmp_path / "receipt").write_text(receipt)
    flags = [flag for one in pair.places for flag in ("--witness", one.vkey)]
    verify = ["verify", str(tmp_path / "receipt"), "--vkey", key.vkey]
    found = CliRunner().invoke(app, [*verify, *flags, "--quorum", "2", "--json"])
    assert found.exit_code == 0, found.output
    witnesses = json.loads(found.output)["items"][0]["witnesses"]
    assert sorted(witnesses) == ["witness.test/one", "witness.test/two"]
    assert CliRunner().invoke(app, [*verify, *flags[:2], "--quorum", "2"]).exit_code == 2
    assert CliRunner().invoke(app, [*verify, *flags, *flags[:2], "--quorum", "1"]).exit_code == 0
    assert CliRunner().invoke(app, [*verify, "--witness", key.vkey]).exit_code == 2
    bare = receipt.rsplit("\N{EM DASH} witness.test/two", 1)[0]
    (tmp_path / "receipt").write_text(bare)
    short = CliRunner().invoke(app, [*verify, *flags, "--quorum", "2", "--json"])
    assert short.exit_code == 1
    assert [one["check"] for one in json.loads(short.output)["items"][0]["failures"]] == ["quorum"]
    with open_source(str(place.published()), None) as source:
        report = audit_log(source, [key.vkey], witnesses=[one.vkey for one in pair.places], quorum=2)
    assert report.ok, report.failures


async def test_with_a_witness_down_it_is_published_and_completed_later(place, pair):
    await pair.know(place)
    with pair.up(0):
        async with place.opened(**pair.name(2)) as tenure:
            await place.put("k", 1, "customer:1")
            await tenure.sequencer.run(place.one.id)
            assert cosigned_by(published(place), pair.keys) == (pair.keys[0],)
            assert tenure.witnesses.counts["witness.test/two", "down"] >= 1
            assert await place.value("k") == 1
            states = {one.detail.partition(":")[0]: one for one in _cosigned(str(pair.file), heads(place))}
            assert states[place.one.id].state == "warning"
            assert "1 of 2" in states[place.one.id].detail
    with pair.up(0, 1):
        async with place.opened(**pair.name(2)) as tenure:
            await tenure.sequencer.run(place.one.id)
            size = peek_checkpoint(published(place)).size
            assert cosigned_by(published(place), pair.keys) == tuple(pair.keys)
            await tenure.sequencer.run(place.one.id)
            assert peek_checkpoint(published(place)).size == size
            kept = tenure._database.read(place.one.id, lambda tx: log.checkpoint(tx, 1, size=size))
            assert kept == published(place)
            states = {one.detail.partition(":")[0]: one for one in _cosigned(str(pair.file), heads(place))}
            assert states[place.one.id].state == "ok"


@pytest.mark.databases(*DATABASES)
async def test_a_head_that_only_a_witness_saw_is_not_contradicted_after_a_restore(
    place, pair, copies, monkeypatch
):
    """Killed after the witness cosigned and before anything was published; then the database goes back."""
    await pair.know(place)
    with pair.up(0):
        async with place.opened(**pair.name(1)):
            await place.put("k", 1, "customer:1")
        copy = copies.take()
        tenure = await place.crashing(**pair.name(1))
        seen, mine = [], peek_checkpoint(published(place)).origin

        def killed(_shelf, _current, note):
            if note.startswith(f"{mine}\n"):  # other logs are published meanwhile, too
                seen.append(note)
            raise InjectedError

        with monkeypatch.context() as patched:
            patched.setattr(publisher, "put_head", killed)
            await place.put("k", 2, "customer:1")
            with pytest.raises(InjectedError):
                await tenure.sequencer.run(place.one.id)
            await crash(tenure)
            tenure.witnesses.close()
        assert peek_checkpoint(published(place)).size < peek_checkpoint(seen[-1]).size
        copies.put_back(copy)
        async with place.opened(**pair.name(1)) as tenure:
            assert place.one.id in {one.tenant_id for one in tenure.recovered.brought}
            await tenure.sequencer.run(place.one.id)
            assert cosigned_by(published(place), pair.keys) == (pair.keys[0],)
            report = await place.audited(earlier=seen[-1:])
            assert report.ok, report.failures
            assert report.earlier


async def test_a_witness_that_lags_catches_up_from_its_own_size(place, pair):
    """Another process of the cell asks: nobody here knows what the witnesses have."""
    await pair.know(place)
    with pair.up(0, 1):
        async with place.opened(**pair.name(1)) as tenure:
            await place.put("k", 1, "customer:1")
            await tenure.sequencer.run(place.one.id)
    with pair.up(0):
        pair.urls[1] = "http://127.0.0.1:9"
        async with place.opened(**pair.name(1)) as tenure:
            await place.put("k", 2, "customer:1")
            await tenure.sequencer.run(place.one.id)
            assert cosigned_by(published(place), pair.keys) == (pair.keys[0],)
    with pair.up(0, 1):
        async with place.opened(**pair.name(2)) as tenure:
            await place.put("k", 3, "customer:1")
            await tenure.sequencer.run(place.one.id)
            assert cosigned_by(published(place), pair.keys) == tuple(pair.keys)


async def test_a_fork_is_refused_loudly_and_the_cell_goes_on(place, pair, monkeypatch):
    """One witness has seen another past of this log, signed with its key."""
    from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint

    await pair.know(place)
    async with place.opened() as tenure:
        origin = (await place.verifier()).name
        signer = tenure.sequencer._keyring.signer(place.one.id, origin)
        other = sign_checkpoint(Checkpoint(origin, 1, bytes(32)), [signer])
    pair.places[1].add_checkpoint(b"old 0\n\n" + other.encode())
    said = []
    monkeypatch.setattr(witnesses._log, "error", lambda text, **facts: said.append((text, facts)))
    with pair.up(0, 1):
        async with place.opened(**pair.name(2)) as tenure:
            await place.put("k", 1, "customer:1")
            await tenure.sequencer.run(place.one.id)
            assert cosigned_by(published(place), pair.keys) == (pair.keys[0],)
            assert tenure.witnesses.counts["witness.test/two", "refused"] >= 1
            assert await place.value("k") == 1
    text, facts = next(
        one for one in said if one[1]["witness"] == "witness.test/two" and one[1]["origin"] == origin
    )
    assert text == "a witness does not cosign"
    assert facts == {"witness": "witness.test/two", "origin": origin, "reason": "status 422"}
    with pytest.raises(Refused):
        pair.places[1].add_checkpoint(b"old 1\n\n" + published(place).encode())


async def test_an_unregistered_log_is_refused_and_goes_on(place, pair):
    with pair.up(0, 1):
        async with place.opened(**pair.name(1)) as tenure:
            await place.put("k", 1, "customer:1")
            await tenure.sequencer.run(place.one.id)
            assert cosigned_by(published(place), pair.keys) == ()
            assert tenure.witnesses.counts["witness.test/one", "refused"] >= 1
            assert (await place.audited()).ok
