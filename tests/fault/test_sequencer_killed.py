"""The sequencer killed at every step: right before each thing that it makes durable, and after the last.

Right after one is right before the next, with nothing begun of that yet: what lies there is the same or less.

What was acknowledged is in the log afterwards, every head that was published before is extended, what a kill
leaves in the folder is whole, and a verifier that is not ours agrees.
"""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

from foreign import goverifier
from support import dying, nursery
from support.cell import SCOPE, Cell
from support.durable import Step, When
from tenure.client.source import DirSource
from tenure.ledger.audit import audit
from tenure.ledger.checkpoint import peek_checkpoint

pytestmark = [pytest.mark.anyio, pytest.mark.go]
STEPS = [
    Step("commit checkpoints logs places tiles", 1),
    Step("objects/ledger/*/tile/entries/*", 1),
    Step("objects/ledger/*/tile/*", 1),
    Step("objects/ledger/*/tile/entries/*.p/*", 1),
    Step("objects/ledger/*/tile/*.p/*", 1),
    Step("objects/ledger/*/tile/*.p/*", 2),  # the one above
    Step("objects/ledger/*/checkpoints/*", 1),
    Step("objects/ledger/*/checkpoint", 1),
    Step("mirror/heads/*", 1),
    Step("commit cell_queue logs", 1),
]
"""What a run makes durable, in order, when it fills a tile. The test fails when there is another step."""


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return goverifier.build(tmp_path_factory.mktemp("go"))


class Dying:
    """A process that forks children to be killed."""

    def __init__(self, tells: TextIO, hears: TextIO) -> None:
        self._tells, self._hears = tells, hears

    def run(self, **kill: Any) -> list[dict[str, Any]]:
        """All that a child said until it was killed."""
        self._tells.write(json.dumps(kill) + "\n")
        said: list[dict[str, Any]] = []
        while "gone" not in (line := self._line()):
            said.append(line)
        assert line["gone"] == -signal.SIGKILL
        return said

    def _line(self) -> dict[str, Any]:
        line = self._hears.readline()
        assert line, "the parent of the dying ended"
        return dict(json.loads(line)) if line.startswith('{"') and "event" not in line else self._line()


@contextmanager
def dying_process(cell: Cell, folder: Path) -> Iterator[Dying]:
    given = {
        "settings": json.loads(cell.settings.model_dump_json()),
        "agent": cell.one.keys["agent"],
        "tenant": cell.one.id,
        "scope": SCOPE,
        "key": "k",
    }
    (folder / "dying.json").write_text(json.dumps(given))
    with nursery.talking(Path(dying.__file__), str(folder / "dying.json")) as spoken:
        yield Dying(*spoken)


class Log:
    """The published log, and every head that was ever seen of it."""

    def __init__(self, cell: Cell, vkey: str, binary: Path, heads: Path) -> None:
        self._cell, self._vkey, self._binary, self._heads = cell, vkey, binary, heads

    def check(self) -> int:
        """It passes as it lies there, and extends all heads before. Its size."""
        folder = self._cell.published()
        earlier = sorted(self._heads.iterdir())
        passed, said = goverifier.run(self._binary, str(folder), self._vkey, earlier)
        assert passed, said
        head = (folder / "checkpoint").read_text()
        (self._heads / f"{len(earlier):03d}").write_text(head)
        return peek_checkpoint(head).size


async def test_killed_at_every_step(place: Cell, binary: Path, tmp_path: Path) -> None:
    async with place.opened() as tenure:
        await place.put("k", 1, "customer:1")
        await tenure.sequencer.run(place.one.id)
        verifier = await place.verifier()
    (tmp_path / "heads").mkdir()
    log = Log(place, verifier.vkey, binary, tmp_path / "heads")
    log.check()
    with dying_process(place, tmp_path) as process:
        said = process.run()
        assert [Step(*line["step"]) for line in said if "step" in line] == STEPS
        acknowledged = {line["entry"] for line in said if "entry" in line}
        kills: list[tuple[Step, When]] = [*((step, "before") for step in STEPS), (STEPS[-1], "after")]
        for step, when in kills:
            said = process.run(step=step, when=when)
            assert {"killed": list(step)} in said, f"{step} was not reached"
            acknowledged |= {line["entry"] for line in said if "entry" in line}
            log.check()
        await _recovered(place, acknowledged)
    size = log.check()
    report = audit(
        DirSource(place.published()),
        [verifier],
        earlier=[path.read_text() for path in sorted((tmp_path / "heads").iterdir())],
    )
    assert report.ok, report.failures
    assert report.entries == size
    assert report.kinds["writer.end"] == report.writers, "those of the killed were ended by who came after"


async def _recovered(cell: Cell, acknowledged: set[str]) -> None:
    """A start alone, without another write: everything gets its place and is published, writers their end."""
    async with cell.opened():
        for _ in range(600):
            entries = cell.entries()
            head = peek_checkpoint((cell.published() / "checkpoint").read_text())
            ends = sum(one["kind"] == "writer.end" for one in entries)
            if head.size == len(entries) and ends == len({one["writer"] for one in entries}):
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("something still waits")
    assert acknowledged <= {f"{one['writer']}-{one['n']}" for one in entries}
    assert sorted(one["_at"][1] for one in entries) == list(range(len(entries)))
