"""What tests of tiers do: declare, let time pass, move, and look at what lies where."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.cell import Cell
from support.moody import Moody
from tenure import ids
from tenure.bootstrap import Tenure
from tenure.jobs.job import Run
from tenure.keyring import stored_state
from tenure.keys.seal import Binding, open_key
from tenure.ledger.base64 import from_base64
from tenure.ledger.commitment import commitment
from tenure.model.lifetime import HOUR_US
from tenure.model.record import Written
from tenure.store import packs
from tenure.store.session import Tx


class Later:
    """Lets hours pass for whoever asks what is due."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def __call__(self, hours: int) -> None:
        self._patch.setattr(packs, "now", lambda _tx: ids.now() + hours * HOUR_US)


def rule(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"scopes": ["support.**"], "categories": "*", **spec}
    return {"apiVersion": "tenure/v1", "kind": "Retention", "metadata": {"name": name}, "spec": spec}


async def declare(cell: Cell, *rules: dict[str, Any]) -> None:
    await cell.tenure.manifests.apply(cell.one["admin"], json.dumps(rules), dry_run=False)


async def tier(tenure: Tenure) -> dict[str, int]:
    return dict(await tenure.tiering.run(Run("tier")))


def moody(tenure: Tenure) -> Moody:
    """Puts a store that can fail between the cell and its packs."""
    store = Moody(tenure.tiering._objects)
    tenure.tiering._objects = store
    tenure._thaw._objects = store
    tenure._restoring._objects = store
    return store


def objects(cell: Cell) -> list[Path]:
    return sorted((cell.settings.data_dir / "objects" / "packs").glob("*/*"))


def packed(cell: Cell) -> dict[str, tuple[int, str]]:
    """Pack → its living members and its state."""
    return {
        row[0]: (row[1], row[2])
        for row in cell.rows(
            "SELECT CAST(id AS TEXT), (SELECT count(*) FROM versions v WHERE v.tenant_id = p.tenant_id"
            " AND v.pack_id = p.id), state FROM packs p"
        )
    }


def hot(cell: Cell) -> int:
    """How many versions have their content in the database."""
    return int(
        cell.rows("SELECT count(*) FROM versions WHERE content IS NOT NULL AND segments IS NULL")[0][0]
    )


async def stocked(cell: Cell, count: int = 3) -> None:
    await declare(cell, rule("talks", hotFor="1d", coldFor="30d", archiveFor="60d", deleteAfter="91d"))
    for n in range(count):
        await cell.put(f"k{n}", n, f"customer:{n}")


def as_promised(cell: Cell, written: Written, content: bytes | None) -> bool:
    """Whether a content is what the entry that wrote it committed to: made again with the version's key."""
    ground, tenant = cell.tenure.shredder._ground, cell.one.id
    (entry,) = [one for one in cell.entries() if f"{one['writer']}-{one['n']}" == written.entry]
    header = cell.stored()[written.record, written.version][0]
    assert header is not None

    def opened(tx: Tx) -> bytes:
        state = stored_state(tx, ground.keyring.manifest().tenants[tenant])
        binding = Binding(tenant, written.scope, written.record, written.version)
        key = open_key(binding, header, state.derive)
        salt = key.opening_salt(from_base64(entry["nonce"]), written.record, written.version)
        return commitment(
            salt,
            tenant=tenant,
            decision=entry.get("decision"),
            record=written.record,
            version=written.version,
            content=content or b"",
        )

    made = ground.database.read(tenant, opened)
    return [made] == [from_base64(one["commitment"]) for one in entry["accesses"]]
