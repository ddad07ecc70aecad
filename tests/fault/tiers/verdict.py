"""What is left of a cell whose job was killed, opened again on a healthy store and by the right clock."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from unittest.mock import patch

from fault.matrix.children import Ear, Say
from fault.tiers.faults import Fault
from fault.tiers.places import Shelf, use
from fault.tiers.scene import CONTENTS, TALK, WARM, WORDS, Scene, due
from support.cell import NOTES, Cell
from tenure.cold.objects import Objects
from tenure.cold.packs import FOLDER
from tenure.errors import TenureError
from tenure.governance import tiering
from tenure.keys import segments
from tenure.ledger.opening import verify_openings
from tenure.ledger.receipt import verify_receipt

_AGAIN_S = 9.0
"""After its first failure a job waits 10 s (`jobs.due`)."""
_ENTRY, _ERROR = "tier.move", {"unavailable", "tampered"}


@dataclass
class Verdict:
    """What went wrong, in words."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.lost or self.doubled or self.changed or self.other)


def dead(said: list[dict[str, Any]], fault: Fault, *, reached: bool) -> list[str]:
    """What is wrong with what the process said before it died."""
    wrong = []
    runs = [line["run"] for line in said if "run" in line]
    if reached and not any("reached" in line for line in said):
        wrong.append("the step was not reached")
    if runs and runs[0]["outcome"] != ("failed" if fault.ends else "ok"):
        wrong.append(f"the run over the faulty store ended with {runs[0]['outcome']}")
    if runs and fault.ends:
        if runs[0]["error"] not in _ERROR:
            wrong.append(f"the failed run names no cause: {runs[0]['error']}")
        done, again = (datetime.fromisoformat(runs[0][name]) for name in ("finished_at", "next_at"))
        if (again - done).total_seconds() < _AGAIN_S:
            wrong.append("a failed run is repeated at once")
    wrote = [line["wrote"] for line in said if "wrote" in line]
    called = any(line["step"][0] in fault.calls for line in said if "step" in line)
    if "early" not in wrote or (fault.wrong and called and "meanwhile" not in wrote):
        wrong.append(f"others did not go on while the store was faulty: {wrote}")
    return wrong


def judging(cell: Cell, scene: Scene, shelf: Shelf, said: list[dict[str, Any]]) -> Callable[..., Any]:
    """Open it, let the job run to its end, and look. Says the verdict."""

    async def act(say: Say, _ear: Ear) -> None:
        verdict = Verdict()
        with ExitStack() as stack:
            stack.enter_context(due())
            # What is swept is a day old: by the age in its id, which nobody waits for here.
            stack.enter_context(patch.object(tiering, "_made_before", lambda *_: True))
            async with cell.opened() as tenure:
                objects = shelf.objects()
                use(tenure, objects)
                for _ in range(2):  # what the first one replaced the second one removes
                    tenure.tiering._swept = None
                    ran = await tenure.jobs.run(cell.operator, "tier")
                    if ran["outcome"] != "ok":
                        verdict.other.append(f"the run on a healthy store ended with {ran}")
                await _reads(cell, verdict, said)
                await _committed(cell, scene, verdict)
                _places(cell, objects, verdict)
                await _told(cell, verdict)
        say(verdict=asdict(verdict))

    return act


async def _reads(cell: Cell, verdict: Verdict, said: list[dict[str, Any]]) -> None:
    """Every byte as it was written, from where it must lie now."""
    wrote = [line["wrote"] for line in said if "wrote" in line]
    expected = [(None, key, [content], "cold") for key, content in CONTENTS.items()]
    expected += [(None, TALK, list(WORDS), "cold"), (NOTES, WARM, [b'{"said":"here"}'], "hot")]
    expected += [(NOTES, key, [f'{{"said":"{key}"}}'.encode()], "hot") for key in wrote]
    for scope, key, contents, tier in expected:
        where = {} if scope is None else {"scope": scope}
        try:
            found = await cell.get(key, **where)
        except TenureError as failure:
            verdict.lost.append(f"{key}: {type(failure).__name__}: {failure}")
            continue
        read = [one.content for one in found.segments] if found.segments else [found.content]
        if read != contents:
            verdict.changed.append(f"{key} reads {read!r}")
        if found.tier != tier:
            verdict.other.append(f"{key} is {found.tier}, not {tier}")


async def _committed(cell: Cell, scene: Scene, verdict: Verdict) -> None:
    """The receipt of the decision that saw all of it before, and what opens its commitments now."""
    decisions = cell.tenure.decisions
    receipt = verify_receipt(
        await decisions.receipt(cell.one["auditor"], scene.decision), [await cell.verifier()]
    )
    try:
        openings = json.dumps(await decisions.openings(cell.one.ask(), scene.decision))
    except TenureError as failure:
        verdict.lost.append(f"the decision's openings: {type(failure).__name__}: {failure}")
        return
    report = verify_openings(openings, receipt)
    if not (receipt.ok and report.ok):
        verdict.changed.append(f"commitments: {receipt.failures} {report.failures}")
    seen = Counter(json.dumps(one.content) for one in report.seen)
    if seen != Counter(json.dumps(json.loads(one)) for one in (*CONTENTS.values(), *WORDS)):
        verdict.lost.append(f"the decision's openings show {seen}")


def _places(cell: Cell, objects: Objects, verdict: Verdict) -> None:
    """Each content in its row or in one pack; each object named by a row, which counts it right."""
    packs = cell.rows("SELECT CAST(id AS TEXT), state, members, dead, dead_bytes, size, sha256 FROM packs")
    names = {row[0]: f"{FOLDER}/{cell.one.id}/{row[0]}" for row in packs}
    data = {pack: objects.get(name) or b"" for pack, name in names.items()}
    living = Counter(_inmates(cell, data, verdict))
    for pack, state, members, gone, gone_bytes, size, digest in packs:
        if state != "stored" or sha256(data[pack]).digest() != bytes(digest) or len(data[pack]) != size:
            verdict.other.append(f"{pack} is {state}, with {len(data[pack])} bytes of {size}")
        if members - gone != living[pack] or gone_bytes:
            verdict.other.append(f"{pack} counts {gone} of {members} dead, and has {living[pack]}")
    if left := [path.name for path in (cell.settings.data_dir / "objects" / FOLDER).rglob(".*")]:
        verdict.other.append(f"files that were only begun: {left}")
    if unnamed := set(objects.names(FOLDER)) - set(names.values()):
        verdict.other.append(f"objects that no row names: {sorted(unnamed)}")
    if len(packs) != 1:
        verdict.doubled.append(f"{len(packs)} packs")


def _inmates(cell: Cell, data: Mapping[str, bytes], verdict: Verdict) -> Iterator[str]:
    """The pack of each version that is in one."""
    for content, segmented, pack, offset, length, digest in cell.rows(
        "SELECT content, segments, CAST(pack_id AS TEXT), pack_offset, pack_length, pack_sha256"
        " FROM versions WHERE header IS NOT NULL"
    ):
        if pack is None:
            if content is None:
                verdict.lost.append("a version has no content anywhere")
            continue
        if content is not None and (segmented is None or any(_contents(bytes(content)))):
            verdict.doubled.append(f"a version is in its row and in {pack}")
        if sha256(data.get(pack, b"")[offset : offset + length]).digest() != bytes(digest):
            verdict.lost.append(f"a version is not where its row says, in {pack}")
        yield pack


def _contents(row: bytes) -> list[bytes]:
    """What a row has of its segments beside their headers and heads."""
    return [one.content for one in segments.decode(row) if one]


async def _told(cell: Cell, verdict: Verdict) -> None:
    """The ledger verifies; it tells of each pack once."""
    moves: Counter[str] = Counter()
    for one in cell.entries():
        if one["kind"] == _ENTRY and one["outcome"] == "ok":
            moves[one["data"]["pack"]] += 1
    stored = {row[0] for row in cell.rows("SELECT CAST(id AS TEXT) FROM packs")}
    if not stored <= set(moves) or set(moves.values()) - {1}:
        verdict.doubled.append(f"moves on record: {dict(moves)}")
    if not (report := await cell.audited()).ok:
        verdict.other.append(f"the log: {report.failures}")
    (job,) = (one for one in (await cell.tenure.jobs.every(cell.operator))["items"] if one["name"] == "tier")
    if job["outcome"] != "ok" or job["failures"]:
        verdict.other.append(f"the job: {job}")
