"""Acts 6 to 8: a backup, a person erased, and the backup that does not bring the person back."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.cli.demo.cast import SUPPORT, Cast, every, exact, patiently, read
from tenure.cli.demo.dataset import Item, Place
from tenure.cli.demo.life import Story
from tenure.cli.demo.screen import demand
from tenure.cli.output import Output
from tenure.cli.shred import finished
from tenure.client import audit_log, open_source, verify_file
from tenure.errors import Erased, NotYet
from tenure.ledger.audit import AuditReport

if TYPE_CHECKING:
    from tenure.settings import Settings

_PATIENCE_S = 120.0


def act_back_up(story: Story, settings: "Settings") -> Path:
    """Copy database and objects while the cell is stopped; audit the copied ledger. The copy's folder."""
    story.screen.act(
        "Backup",
        "The cell is stopped. Database and objects are copied; the root key lies elsewhere and is not.\n"
        "The copy holds the published ledger, so an auditor can recompute all of it from raw entries.",
    )
    copy = story.folder / "backup"
    shutil.copytree(settings.data_dir, copy)
    files = [path for path in copy.rglob("*") if path.is_file()]
    report = _audited(copy, story.vkey)
    size = sum(path.stat().st_size for path in files)
    rows = [
        ("copied", f"{len(files)} files, {size / 1e6:.1f} MB: tenure.db and objects/"),
        ("left where it is", "the root key and the mirror"),
        ("ledger in the copy", f"{report.entries} entries recomputed offline: audited"),
    ]
    story.screen.table(("", ""), rows)
    story.screen.facts(audited_entries=report.entries, bytes=size)
    return copy


async def act_erase(story: Story, cast: Cast) -> None:
    """Destroy one customer's keys; check what is left."""
    story.screen.act(
        "Erasure",
        "A customer asks to be forgotten. The data protection officer has the person's keys destroyed: the\n"
        "key leaf is punctured, the root key replaced, the old one destroyed. A record about several people\n"
        "goes with the first of them (the scope says jointErasure: any). Nobody else's data changes.",
    )
    people = await cast.dpo.call("POST", "/v1/subjects:lookup", {"ref": story.data.erase})
    subject = people["items"][0]["id"]
    asked = await cast.dpo.call("POST", f"/v1/subjects/{subject}:shred")
    silent = Output(as_json=True)
    done = await finished(cast.dpo, asked["shred"], silent, seconds=_PATIENCE_S)
    envelope = await cast.dpo.call("GET", f"/v1/certificates/{done['certificate']}")
    story.certificate.write_text(json.dumps(envelope) + "\n", "utf-8")
    report: Any = verify_file(story.certificate, [story.vkey]).report
    demand(report.ok, f"The certificate does not verify: {report.failures}")
    steps = sorted(done["steps"].items(), key=lambda item: str(item[1]))
    story.screen.table(("step", "at"), [*steps, ("certificate", "verified offline")])
    left, gone = await _compare(story, cast, "records compared after the erasure")
    context = await cast.agent.call(
        "GET", f"/v1/decisions/{story.decisions[1]}/context", headers={"Tenure-Purpose": SUPPORT}
    )
    tombstones = sum(item["state"] == "erased" for item in context["items"])
    demand(tombstones, "A decision about the erased customer still shows them.")
    rows = [
        ("records about this customer", gone, "410 erased, each naming the certificate"),
        ("all other records", left, "200, byte for byte as before"),
        (
            "the decision about this customer",
            len(context["items"]),
            f"accesses, {tombstones} of them tombstones",
        ),
    ]
    story.screen.table(("what", "number", "answer"), rows)
    story.screen.output.line(f"Certificate {done['certificate']}: proves, among others:")
    story.screen.output.line(f"  {report.certificate['proves'][0]}")
    story.screen.output.line("and says what it does not prove:")
    story.screen.output.line(f"  {report.certificate['does_not_prove'][0]}")
    story.screen.facts(certificate=done["certificate"], gone=gone, left=left, tombstones=tombstones)


def put_back(copy: Path, settings: "Settings") -> None:
    """Lose the present data, put the copy in its place. The root directory is not touched."""
    shutil.rmtree(settings.data_dir)
    copy.replace(settings.data_dir)


async def act_restore(story: Story, cast: Cast) -> None:
    """The old backup is in place: it still has the person's ciphertext, and nothing that opens it."""
    story.screen.act(
        "The old backup comes back",
        "Database and objects are replaced by the copy from before the erasure, and the cell starts. It\n"
        "notices: its mirror, outside the backup, remembers the erasure. The erasure is replayed, and a new\n"
        "ledger begins that names what the restore lost.",
    )
    demand(cast.cell.restored, "The cell did not notice that its database was restored.")
    left, gone = await _compare(story, cast, "records compared after the restore")
    opening = await patiently(lambda: _opening(cast))
    demand(
        (opening["kind"], opening["outcome"]) == ("log.open", "restored"), "The new ledger does not say why."
    )
    facts = opening["data"]
    demand(facts["lost"] > 0, "The new ledger names no loss, although the erasure's entries were lost.")
    vkey = (await cast.auditor.call("GET", "/v1/ledger/key"))["vkey"]
    demand(vkey != story.vkey, "The new ledger signs with the old one's key.")
    await patiently(lambda: cast.auditor.call("GET", "/v1/ledger/checkpoint"))  # now it is in the folder
    audited = await asyncio.to_thread(_audited, story.folder / "data", vkey)
    for kept in (story.receipt(1), story.certificate):
        demand(verify_file(kept, [story.vkey]).report.ok, "What was proven before no longer verifies.")
    rows = [
        ("records about the erased customer", f"{gone} answer 410"),
        ("all other records", f"{left} byte for byte as before"),
        (
            "ledger",
            f"generation {facts['generation']}: {facts['lost']} of {facts['previous_size']} entries lost",
        ),
        ("the new ledger", f"{audited.entries} entries recomputed offline: audited"),
        ("receipts and certificate from before", "still verify"),
    ]
    story.screen.table(("after the restore", ""), rows)
    story.screen.facts(
        restored=True, gone=gone, left=left, generation=facts["generation"], lost=facts["lost"]
    )


async def _compare(story: Story, cast: Cast, what: str) -> tuple[int, int]:
    """Read everything: (records that are exactly as written, records that answer 410)."""
    about = story.data.about(story.data.erase)
    items = list(story.data.everything())
    left: set[Place] = set()
    gone: set[Place] = set()

    async def one(item: Item) -> None:
        try:
            found = await read(cast.agent, item.place, SUPPORT)
        except Erased as erased:
            demand(erased.certificate, "An erased record does not name its certificate.")
            gone.add(item.place)
        else:
            demand(exact(found["content"]) == exact(item.content), "A record has changed.")
            left.add(item.place)

    with story.screen.progress(what, len(items)) as steps:
        await every(one, items, steps)
    demand(gone == about, "Not exactly the records about the erased customer are gone.")
    return len(left), len(gone)


async def _opening(cast: Cast) -> dict[str, Any]:
    """The entry that opened the present ledger."""
    page = await cast.auditor.call("GET", "/v1/ledger/entries", params={"kind": "log.open"})
    if not page["items"]:
        raise NotYet("The new ledger is not published yet.")
    return dict(page["items"][0]["entry"])


def _audited(data: Path, vkey: str) -> AuditReport:
    """Recompute the log of this key from its raw entries, as published below the data directory."""
    with open_source(str(_log_folder(data, vkey))) as source:
        report = audit_log(source, [vkey])
    demand(report.ok, f"A ledger does not pass its audit: {report.failures}")
    return report


def _log_folder(data: Path, vkey: str) -> Path:
    """Where the log of this key is published: `objects/ledger/<tenant>/<generation>`."""
    found = [
        path.parent
        for path in (data / "objects" / "ledger").glob("*/*/vkey")
        if path.read_text("utf-8").strip() == vkey
    ]
    demand(len(found) == 1, "The published ledger is not where it belongs.")
    return found[0]
