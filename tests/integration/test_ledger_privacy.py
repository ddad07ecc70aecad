"""Nothing personal in what is published or taken along: canaries go in everywhere, then all is searched.

`docs/ledger-privacy.md` says the same field by field, and what this cannot show.
"""

import secrets
from pathlib import Path

import pytest

from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.lived import CLOCKS, EMERGENCY
from support.notices import told
from tenure.cli.embedded import Cell as Served
from tenure.client.evidence import collect
from tenure.client.http import Connection
from tenure.client.pack import write_archive
from tenure.client.population import save_population, trusted
from tenure.errors import Denied, Erased, TenureError
from tenure.ledger.pack import WHOLE
from tenure.ledger.selection import Selection
from tenure.residue import Value, scan

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


def canaries() -> dict[str, str]:
    """Names, addresses, keys and free text, each not to be mistaken for anything else."""

    def mark() -> str:
        return secrets.token_hex(4)

    return {
        "name": f"Adélaïde Kanari {mark()}",
        "e-mail": f"kanari.{mark()}@example.org",
        "telephone": f"+49 30 9{secrets.randbelow(10**9):09d}",
        "reference": f"customer:kanari-{mark()}",
        "record key": f"booking/kanari-{mark()}",
        "free text": f"She said that her knee hurts since {mark()}, and cried.",
        "metadata": f"note-{mark()}-kanari",
        "staff": f"Grace Kanari-{mark()}",
        "denied": f"customer:denied-kanari-{mark()}",
        "erased": f"customer:erased-kanari-{mark()}",
        "once": f"once-kanari-{mark()}",
        "ground": f"case against kanari {mark()}",
        "model": f"model-kanari-{mark()}",
        "refused": f"refused kanari {mark()}",
        "reason": f"Mr Kanari-{mark()} is unconscious",
        "review": f"asked Mrs Kanari-{mark()}",
    }


async def used(cell: Cell, c: dict[str, str], agent: Connection, dpo: Connection, admin: Connection) -> None:
    """Every way in: paths, headers, bodies, queries; allowed, denied, malformed, missing, erased."""
    purpose = {"Tenure-Purpose": SUPPORT}
    content = {"name": c["name"], c["e-mail"]: [c["telephone"], c["free text"]]}
    draft = {
        "content": content,
        "subjects": [c["reference"]],
        "categories": ["contact"],
        "metadata": {"note": c["metadata"]},
    }
    key = c["record key"].replace("/", "%2F")
    path = f"/v1/scopes/{SCOPE}/records/{key}"
    await agent.call("PUT", path, draft, headers={**purpose, "Idempotency-Key": c["once"]})
    parts = {
        "segments": [
            {"content": c["free text"], "subjects": [c["reference"]]},
            {"content": c["name"], "subjects": [c["erased"]]},
        ],
        "categories": ["contact"],
    }
    await agent.call("PUT", f"/v1/scopes/{NOTES}/records/{key}", parts, headers=purpose)
    gone = {**draft, "subjects": [c["erased"]]}
    await agent.call("PUT", f"/v1/scopes/{SCOPE}/records/{key}-gone", gone, headers=purpose)
    await cell.tenure.manifests.apply(cell.one["admin"], CLOCKS, dry_run=False)
    left = {"scope": SCOPE, "event": "customer.left", "subject": c["reference"]}
    await agent.call("POST", "/v1/events", left, headers=purpose)
    opened = await agent.call(
        "POST",
        "/v1/decisions",
        {"purpose": SUPPORT, "subject": c["reference"], "model": c["model"], "agent": c["model"]},
    )
    bound = {**purpose, "Tenure-Decision": opened["id"]}
    await agent.call("GET", path, headers=bound)
    wanted = {"subject": c["reference"], "prefix": c["record key"][:10], "include": ["content"]}
    await agent.call("POST", f"/v1/scopes/{SCOPE}/records:query", wanted, headers=bound)
    await agent.call("POST", "/v1/records:get", {"scope": SCOPE, "key": c["record key"]}, headers=bound)
    sealed = {"outcome": "done", "output": content}
    await agent.call("POST", f"/v1/decisions/{opened['id']}:seal", sealed)
    await agent.call("GET", f"/v1/decisions/{opened['id']}/openings", headers=purpose)
    made = {"name": c["staff"], "kind": "person", "roles": ["marketer"]}
    marketer = await admin.call("POST", "/v1/principals", made)
    async with Served(cell.tenure).connect(marketer["api_key"]) as other:
        for method, where in (("GET", path), ("PUT", f"/v1/scopes/{SCOPE}/records/{c['denied']}")):
            body = {**draft, "subjects": [c["denied"]]} if method == "PUT" else None
            with pytest.raises(Denied):
                await other.call(method, where, body, headers=purpose)
    refused = c["refused"]
    for method, where, body, headers in (
        ("GET", f"/v1/scopes/{SCOPE}/records/{refused}", None, purpose),
        ("GET", f"/v1/scopes/{refused}/records/x", None, purpose),
        ("GET", path, None, {"Tenure-Purpose": refused}),
        ("GET", path, None, {**purpose, "Tenure-Decision": refused}),
        ("PUT", path, {**draft, "categories": [refused]}, purpose),
        ("PUT", path, {**draft, refused: refused}, purpose),
        ("POST", "/v1/events", {**left, "event": refused}, purpose),
        ("POST", "/v1/events", {**left, "subject": c["denied"]}, purpose),
        ("POST", "/v1/decisions", {"purpose": refused}, {}),
        ("POST", f"/v1/decisions/{opened['id']}:seal", {"outcome": refused}, {}),
        ("GET", f"/v1/decisions/{refused}", None, {}),
    ):
        with pytest.raises(TenureError):
            await agent.call(method, where, body, headers=headers)
    await elevated(cell, c, dpo, admin)
    await told(cell.tenure, cell.one.id, "bank", reference=c["reference"])
    found = await dpo.call("POST", "/v1/subjects:lookup", {"ref": c["erased"]})
    hold = {"by": "record", "target": (await _record(agent, path, purpose))["record"], "ground": c["ground"]}
    await dpo.call("POST", "/v1/holds", hold)
    shred = await dpo.call("POST", f"/v1/subjects/{found['items'][0]['id']}:shred")
    await cell.tenure.shredder.run()
    await dpo.call("POST", f"/v1/shreds/{shred['shred']}:scan", {"values": [c["name"], refused]})
    with pytest.raises(Erased):
        await agent.call("GET", f"{path}-gone", headers=purpose)


async def elevated(cell: Cell, c: dict[str, str], dpo: Connection, admin: Connection) -> None:
    """A role for emergencies, asked for with a reason and reviewed with a note."""
    await cell.tenure.manifests.apply(cell.one["admin"], EMERGENCY, dry_run=False)
    body = {"role": "rescuer", "minutes": 5, "reason": c["reason"]}
    asked = await admin.call("POST", "/v1/breakglass", body, headers={"Idempotency-Key": c["once"]})
    where = f"/v1/breakglass/{asked['id']}"
    await dpo.call("POST", f"{where}:approve")
    await admin.call("POST", f"{where}:end")
    with pytest.raises(TenureError):
        await dpo.call("POST", f"{where}:review", {"outcome": c["review"]})
    await dpo.call("POST", f"{where}:review", {"outcome": "justified", "note": c["review"]})
    assert (await dpo.call("GET", where))["reason"] == c["reason"]


async def _record(agent: Connection, path: str, purpose: dict[str, str]) -> dict[str, str]:
    return dict(await agent.call("GET", path, headers=purpose))


async def test_no_canary_is_in_the_ledger_or_in_an_evidence_pack(cell: Cell, tmp_path: Path) -> None:
    planted = canaries()
    served = Served(cell.tenure)
    async with (
        served.connect(cell.one.keys["agent"]) as agent,
        served.connect(cell.one.keys["dpo"]) as dpo,
        served.connect(cell.one.keys["admin"]) as admin,
        served.connect(cell.one.keys["auditor"]) as auditor,
    ):
        await used(cell, planted, agent, dpo, admin)
        await cell.tenure.sequencer.run(cell.one.id)
        keys = await trusted(auditor, [(await cell.verifier()).vkey])
        report = await collect(auditor, WHOLE, keys, tmp_path / "pack")
        assert report.ok, report.failures
        population = await save_population(auditor, Selection(), keys, tmp_path / "population")
        assert len(population.found) > 25
    write_archive(tmp_path / "pack", tmp_path / "pack.zip")
    values = [Value(number, text) for number, text in enumerate(planted.values(), 1)]
    searched = [
        cell.published(),
        tmp_path / "pack",
        tmp_path / "pack.zip",
        tmp_path / "population",
        cell.settings.root_dir / "mirror" / "heads",
    ]
    residue = scan(searched, values)
    assert residue.incomplete == ()
    assert residue.findings == ()
    assert residue.verdict == "clean"

    # The search finds each of them where it is: in a file beside the bundles, and inside an archive.
    for number, text in enumerate(planted.values(), 1):
        (tmp_path / "pack" / "planted").write_text(f'{{"x": "{text}"}}')
        write_archive(tmp_path / "pack", tmp_path / "planted.zip")
        for place in (tmp_path / "pack", tmp_path / "planted.zip"):
            assert {one.line for one in scan([place], values).findings} == {number}, text
