"""Access packages in tests: made, linked, fetched and opened as their person would."""

import asyncio
import io
import json
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema_rs

from support.cell import Cell, Tenant
from tenure import ids
from tenure.governance.service import Seat
from tenure.inspection.findings import Finding
from tenure.jobs.job import Run

SCHEMA = json.loads(Path("docs/schemas/access-package.json").read_bytes())
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA, validate_formats=True)


@dataclass(frozen=True)
class Opened:
    """What a person finds in their package."""

    zip: bytes
    files: dict[str, bytes]

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.files["data.json"])
        return found

    @property
    def page(self) -> str:
        return self.files["index.html"].decode()

    def of(self, key: str) -> list[dict[str, Any]]:
        """The versions under a key."""
        return [one for one in self.data["versions"] if one.get("key") == key]


async def build(
    cell: Cell, reference: str, request: str | None = None, tenant: Tenant | None = None, **how: Any
) -> dict[str, Any]:
    """Make a person's package."""
    tenant = tenant or cell.one
    person = await cell.person(reference, tenant)
    return await cell.tenure.packages.build(tenant.id, request or ids.new_id(), person, **how)


async def link(cell: Cell, package: str, tenant: Tenant | None = None, **how: Any) -> str:
    """A link to it, from the officer."""

    def work(seat: Seat) -> dict[str, Any]:
        return cell.tenure.packages.link(seat, package, **how)

    service = cell.tenure.packages._service
    made = await service.run((tenant or cell.one)["dpo"], "tenure.subjects", "read", work)
    return str(made["token"])


async def fetch(cell: Cell, token: str) -> Opened:
    """Fetch, unzip, and check the form of what is in there."""
    download = await cell.tenure.packages.fetch(token)
    raw = b"".join([piece async for piece in download.pieces])
    assert len(raw) == download.size
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    VALIDATOR.validate(json.loads(files["data.json"]))
    assert json.loads(files["schema.json"]) == SCHEMA
    return Opened(raw, files)


async def given(cell: Cell, reference: str, **how: Any) -> Opened:
    """Everything at once."""
    made = await build(cell, reference, **how)
    return await fetch(cell, await link(cell, made["package"]))


async def tidy(cell: Cell) -> dict[str, int]:
    """The job that ends packages, once; what it did."""
    found = await cell.tenure._end_packages(Run("packages"))
    return {name: count for name, count in found.items() if count}


async def patrolled(cell: Cell) -> list[Finding]:
    """What one whole inspection finds."""
    patrol = cell.tenure.patrol
    patrol._walk = None
    assert await asyncio.to_thread(partial(patrol.run, enough=lambda: False))
    return patrol.findings


def pieces(cell: Cell) -> list[Path]:
    """Everything in the object store that is of a package."""
    folder = cell.settings.data_dir / "objects" / "packages"
    return sorted(path for path in folder.rglob("*") if path.is_file())
