"""Nothing personal in the clear: canaries are written everywhere they can be, then every file is searched."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from support.canaries import at_rest, canary, files, sightings, spellings
from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.postgres import Server
from tenure.decisions import Opening
from tenure.errors import Denied, Erased, Invalid, TenureError
from tenure.listing import Query

pytestmark = pytest.mark.anyio


@pytest.fixture
def folders(place: Cell, _server: Server | None, tmp_path: Path) -> Callable[[], list[Path]]:
    """Where everything lies, as it is on disk now."""
    logs = tmp_path / "captured-logs"
    logs.mkdir()
    return lambda: [*at_rest(place, _server), logs]


async def test_no_file_holds_a_canary(
    place: Cell,
    folders: Callable[[], list[Path]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    names = ("content", "subject", "key", "metadata", "idempotency", "erased", "denied", "refused")
    canaries = {name: canary(name) for name in names}
    async with place.opened():
        await _use_everywhere(place, canaries)
        logged = capfd.readouterr()
        (tmp_path / "captured-logs" / "log").write_text(logged.out + logged.err)
        assert sightings(folders(), canaries) == []
        if place.dialect == "sqlite":
            assert (place.settings.data_dir / "tenure.db-wal").stat().st_size > 0, "the log was searched too"
    assert sightings(folders(), canaries) == []

    # The search finds what is there: every spelling of a planted text, and a public name in the database.
    for how, spelled in spellings(canaries["content"]).items():
        planted = place.settings.data_dir / f"planted-{how}"
        planted.write_bytes(b"before" + spelled + b"after")
        assert ("content", how, planted.name) in sightings([place.settings.data_dir], canaries), how
        planted.unlink()
    for shift in range(3):
        planted = place.settings.root_dir / "planted"
        planted.write_bytes(base64.b64encode(b"x" * shift + canaries["key"].encode() + b"tail"))
        assert sightings([place.settings.root_dir], canaries), f"base64 at {shift}"
        planted.unlink()
    assert [path for path in files(folders()) if SCOPE.encode() in path.read_bytes()]


async def _use_everywhere(cell: Cell, canaries: dict[str, str]) -> None:
    """Write, read, list, decide, deny, refuse and erase with them."""
    subject, key = f"customer:{canaries['subject']}", canaries["key"]
    for tenant in (cell.one, cell.two):
        await cell.put(
            key,
            [canaries["content"], {canaries["content"]: canaries["content"]}],
            subject,
            tenant=tenant,
            metadata={canaries["metadata"]: canaries["metadata"]},
            idempotency_key=canaries["idempotency"],
        )
    await cell.put(key, canaries["content"], scope=NOTES)
    opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT, subject))
    ask = cell.one.ask(decision=opened["id"])
    await cell.get(key, ask=ask)
    wanted = Query(subject=subject, prefix=key[:5], include_content=True)
    assert (await cell.tenure.gateway.query(ask, SCOPE, wanted)).items
    await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "done", None)
    await cell.tenure.decisions.openings(cell.one.ask(), opened["id"])
    await cell.tenure.subjects.lookup(cell.one["dpo"], subject)
    with pytest.raises(Denied):
        await cell.put(canaries["denied"], 1, f"customer:{canaries['denied']}", ask=cell.one.ask("marketer"))
    for wrong in ({"categories": (canaries["refused"],)}, {"scope": canaries["refused"]}):
        with pytest.raises(TenureError):
            await cell.put(canaries["refused"], 1, f"customer:{canaries['refused']}", **wrong)  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        await cell.get(key, ask=cell.one.ask(purpose=canaries["refused"]))
    await cell.put("gone", canaries["erased"], f"customer:{canaries['erased']}")
    await cell.put("gone", canaries["erased"], f"customer:{canaries['erased']}", subject)
    await cell.erase(f"customer:{canaries['erased']}")
    with pytest.raises(Erased):
        await cell.get("gone")
    for tenant in (cell.one, cell.two):
        await cell.tenure.sequencer.run(tenant.id)
