"""The cell that every case starts from: who is in it, and copies of it."""

import asyncio
import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy.engine import make_url

from support.attic import Attic
from support.cell import JOINT, NOTES, SCOPE, Cell, Tenant, blank, furnish
from support.postgres import APP, OWNER, Server
from tenure.model.record import Draft, Segment
from tenure.rootstore.files import FilesRootStore

GONE, EARLIER = "customer:gone", "customer:earlier"
TENANTS = ("one", "two")
LEASE_S = 3.0
"""Short: on PostgreSQL every restart waits for the lease of the process that was killed. Not shorter: where
many processes share two cores, a living one would miss its beats, and refuse to answer, as it must."""


class Piece(NamedTuple):
    """A record: each of its values is one version."""

    tenant: str
    key: str
    scope: str
    subjects: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def stored(self) -> set[bytes]:
        """What is sealed of it."""
        return {json.dumps({"v": value}).encode() for value in self.values}


def _piece(tenant: str, key: str, *subjects: str, scope: str = SCOPE, versions: int = 1) -> Piece:
    values = tuple(f"{tenant}'s {key}, version {n}" for n in range(1, versions + 1))
    return Piece(tenant, key, scope, tuple(f"customer:{name}" for name in subjects), values)


DYING = (
    _piece("one", "gone", "gone", versions=2),
    _piece("one", "shared", "gone", "stays"),
    _piece("two", "gone", "gone"),
)
SURVIVING = (
    _piece("one", "stays", "stays", versions=2),
    _piece("one", "both", "gone", "stays", scope=JOINT),
    _piece("one", "note", scope=NOTES),
    _piece("two", "stays", "stays"),
)
DEAD = (_piece("one", "earlier", "earlier"),)
"""Erased before the case begins, with a certificate of its own."""

HERS, HIS = (
    Segment(json.dumps(f"{name}'s words").encode(), (f"customer:{name}",)) for name in ("gone", "stays")
)
TALK = "talk"
"""A record of tenant one in two segments: one dies, the other survives."""
SUMMARY, COMPLAINT = "summary", "complaint"
"""Of tenant one, derived from what dies: the first goes with it, the second is kept by its scope's rule."""
MADE = {name: json.dumps({"v": f"made of it: {name}"}).encode() for name in (SUMMARY, COMPLAINT)}
KEPT = "support.kept"
_KEEPS = {
    "apiVersion": "tenure/v1",
    "kind": "Scope",
    "metadata": {"name": KEPT},
    "spec": {
        "description": "Complaints",
        "controller": "acme",
        "categories": ["contact"],
        "subjects": "optional",
        "derived": {"onErasure": "keep", "ground": "The book of complaints must be kept"},
    },
}

Stored = dict[tuple[str, int], tuple[bytes | None, ...]]


@dataclass
class Scene:
    """A furnished cell that is never opened again, only copied."""

    cell: Cell
    server: Server | None
    attic: Attic = field(default_factory=Attic)
    survivors: dict[str, Stored] = field(default_factory=dict)
    """Tenant → what is stored of those who stay."""
    root: int = 0
    """The live root version before the erasure."""

    @classmethod
    def made(cls, kind: str, folder: Path, server: Server | None) -> "Scene":
        """Make the cell and everyone in it."""
        scene = cls(asyncio.run(furnish(*blank(kind, folder, server))), server)
        asyncio.run(_people(scene))
        scene.attic.keep(scene.cell)
        versions = FilesRootStore(scene.cell.settings.root_dir / "keys").list()
        scene.root = next(one.version for one in versions if one.state == "live")
        if server is not None:
            server.quiet(scene.database)
        return scene

    @property
    def database(self) -> str:
        """The database's name; on SQLite its path."""
        return str(make_url(self.cell.admin_url).database)

    def copy(self, folder: Path, database: str | None) -> Cell:
        """A cell of its own below `folder`; on PostgreSQL in a database that is filled anew."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.cell.settings.data_dir, folder / "data")
        shutil.copytree(self.cell.settings.root_dir, folder / "root")
        changes: dict[str, Any] = {
            "data_dir": folder / "data",
            "root_dir": folder / "root",
            "replica_lease_s": LEASE_S,
        }
        if self.server is None or database is None:
            admin_url = f"sqlite:///{folder / 'data' / 'tenure.db'}"
        else:
            self.server.refill(database, self.database)
            admin_url = self.server.url(database)
            changes |= {
                "database_url": self.server.url(database, APP),
                "migration_url": self.server.url(database, OWNER),
            }
        return replace(self.cell, settings=self.cell.settings.model_copy(update=changes), admin_url=admin_url)

    def put_back(self, cell: Cell) -> None:
        """Restore a copy's database to before the erasure was asked for.

        Embedded: the whole data directory, as a file backup would. PostgreSQL: the database alone; published
        objects stay newer than it.
        """
        if self.server is None:
            shutil.rmtree(cell.settings.data_dir)
            shutil.copytree(self.cell.settings.data_dir, cell.settings.data_dir)
        else:
            name = str(make_url(cell.admin_url).database)
            self.server.quiet(name)
            self.server.refill(name, self.database)


async def _people(scene: Scene) -> None:
    cell = scene.cell
    async with cell.opened():
        for piece in (*DYING, *SURVIVING, *DEAD):
            for value in piece.values:
                await cell.put(
                    piece.key, value, *piece.subjects, scope=piece.scope, tenant=tenant(cell, piece.tenant)
                )
        talk = Draft(b"", (), ("contact",), segments=(HERS, HIS))
        await cell.tenure.gateway.write(cell.one.ask(), SCOPE, TALK, talk)
        await cell.tenure.manifests.apply(cell.one["admin"], json.dumps(_KEEPS), dry_run=False)
        source = (await cell.get(DYING[0].key, scope=DYING[0].scope)).version_id
        for key, scope in ((SUMMARY, NOTES), (COMPLAINT, KEPT)):
            draft = Draft(MADE[key], (), ("contact",), derived_from=(source,))
            await cell.tenure.gateway.write(cell.one.ask(), scope, key, draft)
        await cell.erase(EARLIER)
        for name in TENANTS:
            records = {
                (await cell.get(piece.key, scope=piece.scope, tenant=tenant(cell, name))).record
                for piece in SURVIVING
                if piece.tenant == name
            }
            stored = cell.stored(tenant(cell, name))
            scene.survivors[name] = {at: parts for at, parts in stored.items() if at[0] in records}


async def words(cell: Cell) -> list[str | None]:
    """What is read of the talk, segment by segment."""
    found = await cell.get(TALK)
    return [None if one.content is None else json.loads(one.content) for one in found.segments]


def tenant(cell: Cell, name: str) -> Tenant:
    """A tenant by its name here."""
    return cell.one if name == "one" else cell.two
