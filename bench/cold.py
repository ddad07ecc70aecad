"""`python -m bench cold`: erasing people whose contents lie in packs beside people whose are in the database.

An embedded cell; one is erased after the other, in turns, from the request to the certificate. Packs are
compared before and after: nothing of them is written for it.
"""

import asyncio
import json
import tempfile
import time
from base64 import b64encode
from hashlib import sha256
from os import urandom
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import content
from bench.year import DAY_US, Days, furnished, settings_in
from tenure.access import Ask
from tenure.bootstrap import Tenure, open_tenure, prepare
from tenure.jobs.job import Run
from tenure.model.apikey import parse_api_key
from tenure.model.principal import Credential, PrincipalKind
from tenure.model.record import Draft

PEOPLE, RECORDS, BYTES = 8, 100, 16 << 10
RULE = {
    "apiVersion": "tenure/v1",
    "kind": "Retention",
    "metadata": {"name": "cold"},
    "spec": {"scopes": ["**"], "categories": "*", "hotFor": "1d", "coldFor": "365d"},
}


def run(console: Console) -> dict[str, Any]:
    """Measure and print; the raw numbers."""
    with tempfile.TemporaryDirectory(prefix="tenure-cold-") as folder:
        raw = asyncio.run(_measured(Path(folder)))
    table = Table(
        "contents", "erased, s at the median", title=f"People with {RECORDS} records of {BYTES >> 10} KiB"
    )
    for where in ("hot", "cold"):
        table.add_row(where, f"{median(raw[where]):.2f}")
    console.print(table)
    ratio = median(raw["cold"]) / median(raw["hot"])
    console.print(f"Cold / hot: {ratio:.2f}. Packs written or changed: {raw['changed']} of {raw['packs']}.")
    return raw


async def _measured(folder: Path) -> dict[str, Any]:
    settings, passing = settings_in(folder), Days()
    taken: dict[str, Any] = {"hot": [], "cold": []}
    with passing.passing():
        operator = parse_api_key(prepare(settings) or "")
        async with open_tenure(settings) as tenure:
            ask, admin = await furnished(tenure, operator, [RULE])
            made = await tenure.principals.create(admin, "officer", PrincipalKind.PERSON, ("dpo",))
            dpo = parse_api_key(made["api_key"])
            await _people(tenure, ask, "cold")
            passing.ahead += 2 * DAY_US
            await tenure.tiering.run(Run("tier"))
            await _people(tenure, ask, "hot")
            before = _packs(settings.data_dir)
            for n in range(PEOPLE):
                for where in ("hot", "cold"):
                    taken[where].append(await _erased(tenure, dpo, f"{where}:{n}"))
            after = _packs(settings.data_dir)
    changed = sum(before.get(name) != digest for name, digest in after.items())
    return {**taken, "packs": len(before), "changed": changed}


async def _people(tenure: Tenure, ask: Ask, where: str) -> None:
    for n in range(PEOPLE):
        for record in range(RECORDS):
            body = json.dumps({"said": b64encode(urandom(BYTES * 3 // 4)).decode()}).encode()
            draft = Draft(body, (f"{where}:{n}",), (content.CATEGORY,))
            await tenure.gateway.write(ask, content.SCOPE, f"{where}-{n}-{record}", draft)


async def _erased(tenure: Tenure, dpo: Credential, reference: str) -> float:
    found = await tenure.subjects.lookup(dpo, reference)
    begun = time.perf_counter()
    shred = await tenure.subjects.shred(dpo, found["items"][0]["id"])
    await tenure.shredder.run()
    state = await tenure.erasures.state(dpo, shred["shred"])
    assert state["certificate"], state
    return time.perf_counter() - begun


def _packs(data_dir: Path) -> dict[str, str]:
    found = (data_dir / "objects" / "packs").rglob("*")
    return {one.name: sha256(one.read_bytes()).hexdigest() for one in found if one.is_file()}
