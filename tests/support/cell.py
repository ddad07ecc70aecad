"""A prepared cell with two tenants: made once per database kind, copied for each test."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, event, text, update
from sqlalchemy.engine import make_url

from support.postgres import APP, BACKUP, OWNER, Server
from tenure.access import Ask
from tenure.bootstrap import Tenure, open_tenure, prepare
from tenure.client.source import DirSource
from tenure.errors import TenureError
from tenure.ids import CELL
from tenure.ledger.audit import AuditReport, audit
from tenure.ledger.note import Verifier
from tenure.model.apikey import parse_api_key
from tenure.model.principal import Credential, PrincipalKind
from tenure.model.record import Draft, Version, Written
from tenure.settings import Settings
from tenure.store import clock
from tenure.store.session import Tx
from tenure.store.tables import replicas

SCOPE = "support.conversations"
JOINT = "support.joint"
NOTES = "support.notes"
SUPPORT = "customer-support"
NEVER = 86_000.0
"""A shred interval that no test lives to see: batches run when the test says so."""
PATIENT_S, BRIEF_S = 20.0, 2.0
"""Leases: of cells that a busy machine may hold up for a while, and of processes whose end is waited for."""

MANIFESTS = """
apiVersion: tenure/v1
kind: Vocabulary
metadata: {name: default}
spec:
  categories: {personal: {contact: {}, travel: {}}, special: {health: {}}}
  purposes: {service: {customer-support: {}}, marketing: {}}
---
apiVersion: tenure/v1
kind: Scope
metadata: {name: support.conversations}
spec: {description: Talks, controller: acme, categories: [contact, travel, health], subjects: required}
---
apiVersion: tenure/v1
kind: Scope
metadata: {name: support.joint}
spec:
  description: Bookings of several people
  controller: acme
  categories: [contact]
  subjects: required
  jointErasure: all
  ground: The contract of those who stay
---
apiVersion: tenure/v1
kind: Scope
metadata: {name: support.notes}
spec: {description: Notes, controller: acme, categories: [contact, travel, health], subjects: optional}
---
apiVersion: tenure/v1
kind: Role
metadata: {name: support-agent}
spec: {description: Answers people}
---
apiVersion: tenure/v1
kind: Role
metadata: {name: marketer}
spec: {description: Sees marketing only}
---
apiVersion: tenure/v1
kind: Role
metadata: {name: clerk}
spec: {description: Sees contact data only}
---
apiVersion: tenure/v1
kind: Grant
metadata: {name: agents-work}
spec:
  roles: [support-agent]
  scopes: ["support.**"]
  categories: ["*"]
  purposes: [customer-support]
  actions: [read, write, list, delete]
  effect: allow
---
apiVersion: tenure/v1
kind: Grant
metadata: {name: marketers-mail}
spec:
  roles: [marketer]
  scopes: [support.conversations]
  categories: [contact]
  purposes: [marketing]
  actions: [read, list]
  effect: allow
---
apiVersion: tenure/v1
kind: Grant
metadata: {name: clerks-contact}
spec:
  roles: [clerk]
  scopes: ["support.**"]
  categories: [contact]
  purposes: [customer-support]
  actions: [read, write, list, delete]
  effect: allow
"""

_CAST = {
    "agent": (PrincipalKind.AGENT, "support-agent"),
    "marketer": (PrincipalKind.AGENT, "marketer"),
    "clerk": (PrincipalKind.PERSON, "clerk"),
    "dpo": (PrincipalKind.PERSON, "dpo"),
    "auditor": (PrincipalKind.PERSON, "auditor"),
}


@dataclass(frozen=True)
class Tenant:
    """A tenant and its principals' API keys by what they are."""

    id: str
    keys: dict[str, str]
    principals: dict[str, str]

    def __getitem__(self, who: str) -> Credential:
        return parse_api_key(self.keys[who])

    def ask(self, who: str = "agent", purpose: str = SUPPORT, decision: str | None = None) -> Ask:
        """A question by one of them."""
        return Ask(self[who], purpose, decision)


@dataclass
class Cell:
    """A prepared cell on some database. `opened` gives a running one; `tenure` is the newest opened."""

    settings: Settings
    operator_key: str
    one: Tenant
    two: Tenant
    admin_url: str
    _tenure: Tenure | None = field(default=None, repr=False)

    @property
    def dialect(self) -> str:
        return make_url(self.admin_url).get_backend_name()

    @property
    def operator(self) -> Credential:
        return parse_api_key(self.operator_key)

    @property
    def tenure(self) -> Tenure:
        assert self._tenure is not None, "the cell is not open"
        return self._tenure

    # ── running it ───────────────────────────────────────────────────────────────────────────────
    @asynccontextmanager
    async def opened(self, **changes: Any) -> AsyncIterator[Tenure]:
        """A running cell, ended properly."""
        async with open_tenure(self.settings.model_copy(update=changes)) as tenure:
            before, self._tenure = self._tenure, tenure
            try:
                yield tenure
            finally:
                self._tenure = before

    async def crashing(self, **changes: Any) -> Tenure:
        """A running cell that the test will `crash`."""
        tenure = await asyncio.to_thread(Tenure, self.settings.model_copy(update=changes))
        self._tenure = tenure
        try:
            await tenure.start()
        except BaseException:
            await crash(tenure)
            raise
        return tenure

    # ── the raw database, above row-level security ───────────────────────────────────────────────
    @contextmanager
    def raw(self) -> Iterator[Connection]:
        """A transaction with every right. Ids compare as `CAST(id AS TEXT)`."""
        url = make_url(self.admin_url)
        if self.dialect == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        engine = create_engine(url, poolclass=NullPool)
        if self.dialect == "sqlite":
            event.listen(engine, "connect", lambda driver, _: driver.execute("PRAGMA busy_timeout=10000"))
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def rows(self, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self.raw() as connection:
            return [tuple(row) for row in connection.execute(text(sql), params)]

    def change(self, *statements: str, **params: Any) -> int:
        """Run statements; the number of rows that the last one touched."""
        with self.raw() as connection:
            for statement in statements:
                touched = connection.execute(text(statement), params).rowcount
        return touched

    def stored(self, tenant: Tenant | None = None) -> dict[tuple[str, int], tuple[bytes | None, ...]]:
        """(record, version) → header, head, content, as they lie in the database."""
        found = self.rows(
            "SELECT CAST(record_id AS TEXT), version, header, head, content FROM versions"
            " WHERE CAST(tenant_id AS TEXT) = :t",
            t=(tenant or self.one).id,
        )
        return {(row[0], row[1]): tuple(bytes(part) if part else None for part in row[2:]) for row in found}

    # ── what tests do all the time ───────────────────────────────────────────────────────────────
    async def put(
        self,
        key: str,
        value: Any = None,
        *subjects: str,
        scope: str = SCOPE,
        categories: tuple[str, ...] = ("contact",),
        tenant: Tenant | None = None,
        ask: Ask | None = None,
        condition: Any = None,
        idempotency_key: str | None = None,
        **draft: Any,
    ) -> Written:
        """Write a record as the agent."""
        given = Draft(json.dumps({"v": value}).encode(), subjects, categories, **draft)
        return await self.tenure.gateway.write(
            ask or (tenant or self.one).ask(),
            scope,
            key,
            given,
            condition=condition,
            idempotency_key=idempotency_key,
        )

    async def get(
        self,
        key: str,
        *,
        scope: str = SCOPE,
        tenant: Tenant | None = None,
        ask: Ask | None = None,
        **which: Any,
    ) -> Version:
        """Read a record as the agent."""
        return await self.tenure.gateway.read(ask or (tenant or self.one).ask(), scope, key, **which)

    async def value(self, key: str, **how: Any) -> Any:
        """The value that `put` was given."""
        return json.loads((await self.get(key, **how)).content or b"null")["v"]

    async def person(self, reference: str, tenant: Tenant | None = None) -> str:
        """A subject's id."""
        found = await self.tenure.subjects.lookup((tenant or self.one)["dpo"], reference)
        return str(found["items"][0]["id"])

    async def request(self, reference: str, tenant: Tenant | None = None) -> str:
        """Ask for an erasure; its id."""
        tenant = tenant or self.one
        person = await self.person(reference, tenant)
        return str((await self.tenure.subjects.shred(tenant["dpo"], person))["shred"])

    async def erase(self, reference: str, tenant: Tenant | None = None) -> dict[str, Any]:
        """Erase a person and see it through; the erasure's final state."""
        shred = await self.request(reference, tenant)
        await self.tenure.shredder.run()
        return await self.erasure(shred, tenant)

    async def erasure(self, shred: str, tenant: Tenant | None = None) -> dict[str, Any]:
        """How far an erasure is."""
        return await self.tenure.erasures.state((tenant or self.one)["dpo"], shred)

    async def certificate(self, certificate: str, tenant: Tenant | None = None) -> str:
        """A certificate's envelope."""
        return await self.tenure.erasures.certificate((tenant or self.one)["dpo"], certificate)

    # ── the ledger ───────────────────────────────────────────────────────────────────────────────
    async def verifier(self, tenant: Tenant | None = None) -> Verifier:
        """The key that the service names, to be pinned."""
        named = await self.tenure.ledger.key((tenant or self.one)["auditor"])
        return Verifier.parse(named["vkey"])

    async def audited(self, tenant: Tenant | None = None, **how: Any) -> AuditReport:
        """Publish what waits, then audit the published folder under the pinned key."""
        tenant = tenant or self.one
        await self.tenure.sequencer.run(tenant.id)
        verifier = await self.verifier(tenant)
        return audit(DirSource(self.published(tenant)), [verifier], **how)

    def published(self, tenant: Tenant | None = None, generation: int | None = None) -> Path:
        """The folder of a log's newest generation, or of a given one."""
        logs = self.settings.data_dir / "objects" / "ledger" / (tenant or self.one).id
        newest = max(int(path.name) for path in logs.iterdir())
        return logs / str(newest if generation is None else generation)

    def entries(self, tenant: Tenant | None = None) -> list[dict[str, Any]]:
        """Every entry in the database in the order of their instants, with its place as `_at`.

        A cell has several writers, and whichever is free takes the next operation: their order says nothing.
        """
        found = self.rows(
            "SELECT e.body, p.generation, p.idx + e.n - p.n FROM entries e LEFT JOIN places p"
            " ON p.tenant_id = e.tenant_id AND p.writer = e.writer AND e.n BETWEEN p.n AND p.n + p.count - 1"
            " WHERE CAST(e.tenant_id AS TEXT) = :t ORDER BY e.writer, e.n",
            t=(tenant or self.one).id,
        )
        entries = [{**json.loads(bytes(body)), "_at": (generation, idx)} for body, generation, idx in found]
        return sorted(entries, key=lambda one: str(one["at"]))


async def crash(tenure: Tenure) -> None:
    """End a cell as a killed process would: nothing is finished, no writer says good-bye."""
    tenure.started = False
    tenure._schedule.stop()
    for task in (tenure._sequencing, tenure._taking_in):
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    if tenure._looking is not None:
        tenure._looking.cancel()
    tenure.sequencer.close()
    tenure._batcher._closed = True
    for lane in tenure._batcher._lanes:
        lane.inbox.put(None)
    for lane in tenure._batcher._lanes:
        await asyncio.to_thread(lane.join)
    # A killed process has no threads that go on: see those of this one end before anything is looked at.
    loop = asyncio.get_running_loop()
    threads = getattr(loop, "_default_executor", None)
    loop.set_default_executor(ThreadPoolExecutor())
    if threads is not None:
        threads.shutdown(wait=True)
    tenure._replica.abandon()
    if tenure._database.dialect == "postgresql":
        with contextlib.suppress(TenureError):
            tenure._database.write(CELL, lambda tx: _age(tx, tenure._replica.id))
    tenure._database.close()
    tenure._lock.close()


def _age(tx: Tx, replica_id: str) -> None:
    """As if the last beat had been a while ago: a lease that soon runs out."""
    left = clock.now(tx) + int(BRIEF_S * clock.SECOND)
    tx.execute(update(replicas).where(replicas.c.id == replica_id).values(lease_until=left))


async def furnish(settings: Settings, admin_url: str) -> Cell:
    """Make the cell, its two tenants, their manifests and their principals."""
    operator_key = await asyncio.to_thread(prepare, settings)
    assert operator_key is not None
    async with open_tenure(settings) as tenure:
        tenants = [await _tenant(tenure, operator_key, name) for name in ("acme", "umbrella")]
    return Cell(settings, operator_key, *tenants, admin_url)


async def _tenant(tenure: Tenure, operator_key: str, name: str) -> Tenant:
    made = await tenure.tenants.create(parse_api_key(operator_key), name)
    keys, principals = {"admin": made["admin_key"]}, {}
    admin = parse_api_key(made["admin_key"])
    await tenure.manifests.apply(admin, MANIFESTS, dry_run=False)
    for who, (kind, role) in _CAST.items():
        created = await tenure.principals.create(admin, who, kind, (role,))
        keys[who], principals[who] = created["api_key"], created["id"]
    return Tenant(made["id"], keys, principals)


class Stock:
    """Cells to copy from, one per database kind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Cell] = {}
        self._files: dict[str, _Files] = {}

    def copy(self, kind: str, folder: Path, postgres: Server | None) -> Cell:
        """A cell of its own below `folder`."""
        if kind not in self._made:
            blank_ = blank(kind, self._folder / kind, postgres)
            self._made[kind] = asyncio.run(furnish(*blank_))
            if postgres is not None and kind == "postgresql":
                postgres.quiet(str(make_url(blank_[1]).database))
            self._files[kind] = _Files(self._folder / kind)
        golden = self._made[kind]
        self._files[kind].write(folder)
        changed: dict[str, Any] = {"data_dir": folder / "data", "root_dir": folder / "root"}
        if kind == "sqlite":
            admin_url = f"sqlite:///{folder / 'data' / 'tenure.db'}"
        else:
            assert postgres is not None
            name = postgres.new(str(make_url(golden.admin_url).database))
            changed |= _urls(postgres, name)
            admin_url = postgres.url(name)
        settings = golden.settings.model_copy(update=changed)
        return Cell(settings, golden.operator_key, golden.one, golden.two, admin_url)


class _Files:
    """What lies below a folder, in memory: written a thousand times, it is read once."""

    def __init__(self, folder: Path) -> None:
        found = [(path, path.stat().st_mode & 0o777) for path in sorted(folder.rglob("*"))]
        self._folders = [(str(path.relative_to(folder)), mode) for path, mode in found if path.is_dir()]
        self._files = [
            (str(path.relative_to(folder)), mode, path.read_bytes()) for path, mode in found if path.is_file()
        ]

    def write(self, folder: Path) -> None:
        """The same below another folder, with the same rights."""
        below = os.fspath(folder)
        for name, mode in self._folders:
            os.mkdir(f"{below}/{name}", mode)  # noqa: PTH102 - a Path for each of them took longer than it all
        for name, mode, content in self._files:
            made = os.open(f"{below}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            os.write(made, content)
            os.close(made)


def _urls(postgres: Server, name: str) -> dict[str, str]:
    """The settings that name a database."""
    urls = {"database_url": postgres.url(name, APP), "migration_url": postgres.url(name, OWNER)}
    return urls | {"backup_url": postgres.url(name, BACKUP), "pg_bin": postgres.bin}


def blank(kind: str, folder: Path, postgres: Server | None) -> tuple[Settings, str]:
    """Settings for a cell below a folder, on a fresh database; and the superuser's URL."""
    given: dict[str, Any] = {
        "data_dir": folder / "data",
        "root_dir": folder / "root",
        "shred_interval_s": NEVER,
        "rederive_interval_s": NEVER,
        "rights_interval_s": 0,
        "notice_interval_s": NEVER,
        "inspect_interval_s": 0,
        "tier_interval_s": 0,
        "retrieval_interval_s": 0,
        "package_interval_s": 0,
        "cell_jobs": False,
        "replica_lease_s": PATIENT_S,
        "local_issuers": True,
    }
    if kind == "sqlite":
        return Settings(**given), f"sqlite:///{folder / 'data' / 'tenure.db'}"
    assert postgres is not None
    name = postgres.new()
    return Settings(**given, **_urls(postgres, name)), postgres.url(name)
