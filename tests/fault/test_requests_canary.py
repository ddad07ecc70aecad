"""Nothing of who asks, and in which words, is in the clear: in files, rows, logs, entries, certificates."""

import json
from pathlib import Path

import pytest

from support.canaries import at_rest, canary, sightings
from support.cell import SCOPE, Cell
from support.officers import approved, asked, carried_out, second_officer, show
from support.webhook import webhook
from tenure.errors import Denied, Invalid
from tenure.model.rightsrequest import Ground, Kind

pytestmark = pytest.mark.anyio
NAMES = ("reference", "details", "note", "correction", "content", "key")


async def test_no_request_leaves_its_words_anywhere(
    embedded: Cell, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = {name: canary(name) for name in NAMES}
    person = f"customer:{secrets['reference']}"
    folders = [*at_rest(embedded, None), tmp_path / "said"]
    (tmp_path / "said").mkdir()
    with webhook(503) as receiver:
        async with embedded.opened() as tenure:
            await second_officer(embedded)
            spec = {"description": "crm", "webhook": receiver.url, "scopes": ["support.**"]}
            crm = {"apiVersion": "tenure/v1", "kind": "Recipient", "metadata": {"name": "crm"}, "spec": spec}
            await tenure.manifests.apply(embedded.one["admin"], [crm], dry_run=False)
            await embedded.put(secrets["key"], {"said": secrets["content"]}, person)
            said = [await every_kind(embedded, person, secrets)]
            said += [await show(embedded, one["id"]) for one in said[0]]
            certificates = [one["certificate"] for one in said[1:] if one["certificate"]]
            said += [json.loads(await embedded.certificate(one)) for one in certificates]
            said += embedded.entries()
            logged = capfd.readouterr()
        (tmp_path / "said" / "log").write_text(logged.out + logged.err)
        (tmp_path / "said" / "answers").write_text(json.dumps(said))
        (tmp_path / "said" / "paths").write_text(json.dumps(receiver.paths))
        assert sightings(folders, secrets) == []
        assert any(secrets["reference"] in body for body in receiver.bodies), (
            "recipients know whom it is about"
        )


async def every_kind(cell: Cell, person: str, secrets: dict[str, str]) -> list[dict[str, object]]:
    """Requests of every kind, as they are listed; the last of them erases."""
    words, requests, dpo = {"details": secrets["details"]}, cell.tenure.requests, cell.one["dpo"]
    corrected = {"scope": SCOPE, "key": secrets["key"], "content": secrets["correction"]}
    for kind in (Kind.ACCESS, Kind.PORTABILITY, Kind.DECISION_REVIEW, Kind.RESTRICTION):
        await carried_out(cell, await approved(cell, kind, person, **words))
    await carried_out(cell, await approved(cell, Kind.OBJECTION, person, purposes=("marketing",), **words))
    await carried_out(cell, await approved(cell, Kind.CORRECT, person, corrections=(corrected,), **words))
    refused = await asked(cell, Kind.KNOW, person, **words)
    await requests.note(dpo, refused, secrets["note"])
    with pytest.raises(Denied):
        await requests.refuse(dpo, refused, Ground.EXCESSIVE)
    await requests.refuse(cell.one["second"], refused, Ground.EXCESSIVE)
    with pytest.raises(Invalid):
        await asked(cell, Kind.ACCESS, f"{secrets['reference']} without a kind", **words)
    erased = await approved(cell, Kind.ERASURE, person, **words)
    await carried_out(cell, erased)
    await cell.tenure.notices.run()
    await carried_out(cell, erased)
    page = await requests.page(dpo, limit=50)
    assert len(page["items"]) == 8
    return list(page["items"])
