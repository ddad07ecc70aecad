"""Nothing personal in the clear: canaries are written everywhere they can be, then every file is searched."""

import base64
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.postgres import Server
from tenure.decisions import Opening
from tenure.errors import Denied, Erased, Invalid, TenureError
from tenure.listing import Query

pytestmark = pytest.mark.anyio


def spellings(canary: str) -> dict[str, bytes]:
    """How a text may lie in a file."""
    raw = canary.encode()
    found = {
        "raw": raw,
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "utf-16-le": canary.encode("utf-16-le"),
        "utf-16-be": canary.encode("utf-16-be"),
        "json": json.dumps(canary)[1:-1].encode(),
        "latin-1": canary.encode("latin-1"),
    }
    for shift in range(3):
        # Only the characters that do not depend on what stands before and after.
        encoded = base64.b64encode(b"\0" * shift + raw)
        begin = -(-shift * 8 // 6)
        stable = (shift + len(raw)) * 8 // 6
        found[f"base64+{shift}"] = encoded[begin + (shift > 0) : stable]
        found[f"base64url+{shift}"] = found[f"base64+{shift}"].replace(b"+", b"-").replace(b"/", b"_")
    return found


def sightings(folders: list[Path], canaries: dict[str, str]) -> list[tuple[str, str, str]]:
    """(canary, spelling, file) of everything found."""
    needles = [
        (name, how, spelled) for name, text in canaries.items() for how, spelled in spellings(text).items()
    ]
    found = []
    for path in _files(folders):
        content = path.read_bytes()
        found += [(name, how, path.name) for name, how, needle in needles if needle in content]
        found += [(name, "file name", path.name) for name, text in canaries.items() if text in str(path)]
    return found


def _files(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file())


def canary(name: str) -> str:
    """Not ASCII alone, so that escapes differ from the text; no white space, so that it fits everywhere."""
    return f"{name}-kanari\xe9-{secrets.token_hex(8)}"


@pytest.fixture
def folders(place: Cell, _server: Server | None, tmp_path: Path) -> Callable[[], list[Path]]:
    """Where everything lies, as it is on disk now."""
    logs = tmp_path / "captured-logs"
    logs.mkdir()

    def now() -> list[Path]:
        found = [place.settings.data_dir, place.settings.root_dir, logs]
        if _server is not None:
            _server.run("CHECKPOINT", database=str(make_url(place.admin_url).database))
            number = place.rows("SELECT oid FROM pg_database WHERE datname = current_database()")[0][0]
            data = Path(place.rows("SHOW data_directory")[0][0])
            if not os.access(data, os.R_OK | os.X_OK):
                pytest.skip("the PostgreSQL server's files are out of reach")
            found += [data / "base" / str(number), data / "pg_wal"]
        return found

    return now


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
    assert [path for path in _files(folders()) if SCOPE.encode() in path.read_bytes()]


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
