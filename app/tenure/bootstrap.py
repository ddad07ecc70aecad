"""Settings → built objects: the one composition root. Nothing else constructs what it needs.

prepare   create folders, migrate, make the first keys: `tenure init`
open      recover, then build and start: everything that serves
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import structlog

from tenure import ids
from tenure.batcher import Batcher
from tenure.cold.objects import Objects
from tenure.cold.tallied import RequestTally, Tallied
from tenure.crew import GatewayCrew, Solo
from tenure.decisions import Decisions
from tenure.errors import TenureError
from tenure.gateway import Gateway
from tenure.governance.breakglass import Breakglass
from tenure.governance.celllog import CellLog
from tenure.governance.configurations import Configurations
from tenure.governance.counting import Counting
from tenure.governance.erasures import Erasures
from tenure.governance.events import Events
from tenure.governance.evidence import Evidence
from tenure.governance.explaining import Explaining
from tenure.governance.ground import Ground
from tenure.governance.holds import Holds
from tenure.governance.issuers import Issuers
from tenure.governance.ledger import LedgerReader
from tenure.governance.ledgerkeys import LedgerKeys
from tenure.governance.lifecycle import Lifecycle
from tenure.governance.limits import TenantLimits
from tenure.governance.manifests import Manifests
from tenure.governance.notices import Notices
from tenure.governance.packclasses import declared_classes
from tenure.governance.populations import Populations
from tenure.governance.previewing import Previewing
from tenure.governance.principals import Principals
from tenure.governance.proposing import Proposing
from tenure.governance.receipts import Receipts
from tenure.governance.recovery import recover
from tenure.governance.rederive import Rederivations
from tenure.governance.register import Register
from tenure.governance.replaying import Replaying
from tenure.governance.replica import Replica
from tenure.governance.requests import RequestCounts
from tenure.governance.residue import Residue
from tenure.governance.restoring import Restoring
from tenure.governance.retrievals import Retrievals
from tenure.governance.rootkeys import RootKeys
from tenure.governance.service import Service
from tenure.governance.shred import Shredder
from tenure.governance.storage import Storage
from tenure.governance.subjects import Subjects
from tenure.governance.tenants import Tenants, initialise
from tenure.governance.tiering import Pace, Tiering
from tenure.governance.timestamps import TimeStamps
from tenure.governance.tokens import Tokens
from tenure.governance.whatif import WhatIf
from tenure.groundwork import (
    bucket_of,
    ground_of,
    limits_of,
    lock_of,
    prices_of,
    require_border,
)
from tenure.ids import CELL
from tenure.inspection.inspector import Inspector
from tenure.inspection.patrol import Patrol
from tenure.inspection.view import Anchors
from tenure.jobs.desk import Jobs
from tenure.jobs.evict import Evict
from tenure.jobs.job import Job, Run, Verb
from tenure.jobs.reports import Reports
from tenure.jobs.runner import Runner
from tenure.jobs.schedule import SHRED, Schedule
from tenure.jobs.tally import Tally
from tenure.ledger.entry import EntryDraft, Kind
from tenure.leftovers import Leftovers
from tenure.limiting import Gate
from tenure.oidc.sources import KeySources
from tenure.places import check_locks, object_lock_of
from tenure.rights.build import Rights
from tenure.rights.earlier import Earlier
from tenure.rights.impact import Impacts
from tenure.rights.package.job import Ending
from tenure.rights.package.service import Packages
from tenure.rights.scoping import Scoping
from tenure.rights.service import RightsRequests
from tenure.sequencer import Sequencer, Shelves
from tenure.settings import Settings
from tenure.stamping import authority_of, believed
from tenure.store import revision
from tenure.tenancy import Tenancies
from tenure.thawing import Thaw
from tenure.threads.service import Threads
from tenure.witnesses import Witnesses, read_quorum

_log = structlog.get_logger(__name__)


class Tenure:
    """One running cell: what every surface calls."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = lock_of(settings)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._lock.close)
            ground = ground_of(settings)
            on_failure.callback(ground.database.close)
            self._database = ground.database
            self._build(settings, ground)
            on_failure.pop_all()

    def _build(self, settings: Settings, ground: Ground) -> None:
        with self._database.connect() as connection:
            revision.require_current(connection)
        require_border(self._database)
        check_locks(settings)
        self.recovered = recover(ground)
        tenancies = Tenancies(ground.keyring, limits_of(settings))
        self._replica = Replica(self._database, ground.keyring, tenancies, lease_s=settings.replica_lease_s)
        self.knows = tenancies.knows
        self.gate = Gate(
            tenancies.limits,
            tenancies.narrowed,
            lambda: self._replica.live,
            strangers=settings.limit_strangers,
            reserve=settings.limit_reserve,
        )
        embedded = self._database.dialect == "sqlite"
        self._batcher = Batcher(
            self._database,
            GatewayCrew(tenancies),
            lanes=1 if embedded else settings.lanes,
            lanes_per_tenant=1 if embedded else 2,
            lease=self._replica,
            max_waiting=settings.max_waiting,
            tag=self._replica.tag,
        )
        service = Service(self._batcher)
        quorum = read_quorum(settings.witnesses)
        self.witnesses = Witnesses(quorum) if quorum else None
        self.sequencer = Sequencer(
            self._batcher,
            self._database,
            ground.keyring,
            Shelves(ground.objects, ground.mirror),
            self.witnesses,
            at_once=1 if embedded else max(1, settings.lanes // 2),
            max_backlog=settings.max_backlog,
        )
        self.cell_log = CellLog(self._batcher)
        self.shredder = Shredder(
            self._batcher,
            ground,
            self.sequencer,
            self._replica,
            batch_size=settings.shred_batch_size,
            lock_days=lock.days if (lock := object_lock_of(settings)) else None,
        )
        self.rederivations = Rederivations(service, self._batcher, self.sequencer)
        self.notices = Notices(service, self._batcher, self.sequencer)
        anchors = Anchors(ground, believed(settings.tsa_certs))
        self.patrol = Patrol(Inspector(anchors), self._database, self._replica)
        self._build_around_objects(settings, ground, service, tenancies)
        self._schedule, self.jobs = self._scheduled(settings, service)
        self.gateway = Gateway(self._batcher)
        self.threads = Threads(self._batcher, self._schedule.requested)
        self.decisions = Decisions(self._batcher, self._database, tenancies)
        self.tenants = Tenants(service, ground, self._schedule.requested)
        self.root_keys = RootKeys(service, ground, self.shredder)
        self.principals = Principals(service)
        self.limits = TenantLimits(service, self.gate, limits_of(settings))
        self._key_sources = (
            KeySources(local=settings.local_issuers),
            KeySources(local=settings.local_issuers, at_once=2, kept=64),
        )
        self.tokens = Tokens(self._database, self._batcher, *self._key_sources)
        self.issuers = Issuers(service, self.tokens, local=settings.local_issuers)
        self._build_manifests(settings, service)
        self.what_if = WhatIf(self.manifests, self._database, tenancies)
        self.explaining = Explaining(service, self._database, tenancies)
        self.replaying = Replaying(service, self._database, tenancies)
        self.erasures = Erasures(service)
        self.events = Events(service)
        self.holds = Holds(service, self._schedule.requested)
        self.breakglass = Breakglass(service, self._batcher)
        self.subjects = Subjects(service, self._schedule.requested)
        self._build_rights(service, ground, tenancies)
        self.ledger = LedgerReader(service, self._database, tenancies, ground.keyring)
        self.populations = Populations(self.ledger)
        self.receipts = Receipts(self._database, tenancies)
        self.evidence = Evidence(service, self.ledger, ground.keyring)
        self.ledger_keys = LedgerKeys(service, ground, self.sequencer)
        self._leftovers = Leftovers(self._database, self.sequencer, self._replica.tags, quorum)
        self._resting()

    def _build_rights(self, service: Service, ground: Ground, tenancies: Tenancies) -> None:
        self.residue = Residue(service, ground, self.sequencer, tenancies)
        self.packages = Packages(
            service, self._database, tenancies, ground.objects, self._restoring, self._schedule.requested
        )
        self.register = Register(service, self._database)
        self.impacts = Impacts(self._database, tenancies)
        self.requests = RightsRequests(
            service,
            Scoping(service, self._database, tenancies, self.impacts),
            Earlier(service, self._database, tenancies),
        )
        self.rights = Rights(
            self._batcher, self.sequencer, self.residue, self.packages, self._schedule.requested
        )

    def _resting(self) -> None:
        """Nothing runs before `start`."""
        self._taking_in: asyncio.Task[None] | None = None
        self._sequencing: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self.started = False

    def _build_around_objects(
        self, settings: Settings, ground: Ground, service: Service, tenancies: Tenancies
    ) -> None:
        tally = RequestTally()
        packs: Objects = Tallied(ground.objects, tally) if settings.storage_interval_s else ground.objects
        self._requests = RequestCounts(self._batcher, tally)
        self._objects = ground.objects
        self._thaw = Thaw(packs)
        self._batcher.thaw_with(self._thaw.fetch)
        pace = Pace(settings.tier_pack_mb << 20, settings.tier_mb_s * (1 << 20))
        self.tiering = Tiering(self._batcher, self._database, tenancies, packs, pace)
        self._restoring = Restoring(self._batcher, self._database, packs)
        self.retrievals = Retrievals(service, self._database, self._restoring)
        self.timestamps = TimeStamps(
            self._batcher,
            self._database,
            ground.objects,
            authority_of(settings.tsa_url, settings.tsa_certs),
            settings.tsa_interval_s,
        )
        self.lifecycle = Lifecycle(service, bucket_of(settings), partial(declared_classes, self._database))

    def _build_manifests(self, settings: Settings, service: Service) -> None:
        self.manifests = Manifests(service)
        self.configurations = Configurations(service)
        proposing = Proposing(service, self.manifests)
        self._counting = Counting(self._batcher, self._database)
        self.storage = Storage(service, self._database, self._counting, proposing, prices_of(settings))
        self.previewing = Previewing(proposing, self._counting)

    def _scheduled(self, settings: Settings, service: Service) -> tuple[Schedule, Jobs]:
        """Everything that happens by itself, and what its operator sees of it."""
        known: dict[str, tuple[Verb, bool, str]] = {
            SHRED: (self._shred, False, "Takes waiting erasures together and carries them out"),
            "rederive": (
                self._rederive,
                False,
                "Asks applications to derive again what went with a person",
            ),
            "notify": (self._notify, False, "Sends recipients notices of what became of data"),
            "evict": (self._evict, True, "Ends what has had its time by the rules on retention"),
            "inspect": (self._inspect, False, "Compares a part of what is stored with what was written"),
            "timestamps": (
                self._stamp,
                True,
                "Has the newest checkpoint of the cell's log time stamped",
            ),
            "lifecycle": (self._reconcile, True, "Repairs drift of the bucket's lifecycle rules"),
            "storage": (self._count, True, "Counts what each tenant stores, once a day"),
            "requests": (
                self._keep_requests,
                False,
                "Writes down what was asked of the object store since the last time",
            ),
            "tier": (
                self.tiering.run,
                True,
                "Moves what its Retention manifests say to packs in the object store",
            ),
            "rights": (
                self._carry_out,
                True,
                "Carries out rights requests, and minds their clocks",
            ),
            "packages": (
                self._end_packages,
                True,
                "Ends access packages whose term is over, and removes what belongs to none",
            ),
            "retrieve": (
                self._restoring.run,
                True,
                "Looks whether an archive gave out what it was asked for",
            ),
        }
        jobs = [
            Job(name, every_s, verb, single=single, describe=describe)
            for name, every_s in planned(settings).items()
            for verb, single, describe in (known[name],)
        ]
        tally, tag = Tally(), self._replica.tag
        runner = Runner(
            [job for job in jobs if job.single],
            self._database,
            tag,
            tally,
            lease_s=settings.replica_lease_s,
        )
        schedule = Schedule(
            jobs,
            runner,
            tally,
            Reports(self._database, tag, tally),
            at_once=settings.shred_interval_s == 0,
            looks=settings.cell_jobs,
        )
        return schedule, Jobs(service, self._database, schedule, tally, tag)

    async def _shred(self, _run: Run) -> None:
        await asyncio.shield(self.shredder.run())

    async def _rederive(self, _run: Run) -> None:
        await self.rederivations.run()

    async def _notify(self, _run: Run) -> None:
        await self.notices.run()

    async def _evict(self, run: Run) -> dict[str, int]:
        return await Evict(self._batcher, self._database, self._schedule.requested).run(run)

    async def _carry_out(self, _run: Run) -> dict[str, int]:
        return await self.rights.run()

    async def _end_packages(self, run: Run) -> Mapping[str, int]:
        return await Ending(self._batcher, self._database, self._objects, self._schedule.requested).run(run)

    async def _reconcile(self, _run: Run) -> dict[str, int]:
        return await self.lifecycle.reconcile()

    async def _inspect(self, _run: Run) -> None:
        await asyncio.to_thread(self.patrol.run)

    async def _stamp(self, _run: Run) -> dict[str, int]:
        return {"stamped": int(await self.timestamps.run() is not None)}

    async def _keep_requests(self, _run: Run) -> dict[str, int]:
        return await self._requests.keep()

    async def _count(self, run: Run) -> dict[str, int]:
        return await self._counting.run(run.check, run.in_thread)

    async def start(self) -> None:
        """Finish what an earlier process left, then serve."""
        self._replica.on_burial(self._leftovers.look)
        await asyncio.to_thread(self._replica.start)
        self._batcher.on_commit(self.sequencer.committed)
        self._batcher.admit_with(self.sequencer.backlog.admit)
        self.sequencer.publisher.on_published(self.cell_log.wake)
        self._sequencing = asyncio.create_task(self.sequencer.serve())
        self._taking_in = asyncio.create_task(self.cell_log.serve())
        try:
            await self.shredder.resume()
        except TenureError as failure:
            # Whoever is being erased reads as 410 in any case; nobody else's context waits for it.
            _log.error("an unfinished erasure could not go on, will be repeated", error=failure.kind)
        self._looking = asyncio.create_task(self._leftovers.serve())
        self._schedule.start()
        self.started = True

    async def close(self) -> None:
        """End the writers on record, publish what is committed, release everything."""
        if not self.started:
            return
        self.started = False
        self._schedule.stop()
        await self._schedule.ended()
        self.root_keys.stop()
        self.cell_log.stop()
        if self._taking_in is not None:
            await self._taking_in
        if self._looking is not None:
            await self._leftovers.settle()
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        self.sequencer.stop()
        if self._sequencing is not None:
            await self._sequencing
        try:
            await self._requests.keep()
        except TenureError as failure:
            _log.error("what was asked of the object store was not written down", error=failure.kind)
        await self._batcher.close(writer_end)
        self.sequencer.close()
        await asyncio.to_thread(self._replica.stop)
        self.timestamps.close()
        self._thaw.close()
        self._restoring.close()
        for sources in self._key_sources:
            sources.close()
        if self.witnesses is not None:
            self.witnesses.close()
        self._database.close()
        self._lock.close()

    @property
    def batcher(self) -> Batcher:
        """What runs every operation of this process; for metrics."""
        return self._batcher

    async def health(self) -> dict[str, Any]:
        """`{"ready","checks":{"database","keys"}}`; ready only when both answer."""
        checks = {"database": True, "keys": True}
        try:
            await self._batcher.submit(CELL, Solo(lambda desk: desk.tx.exists))
        except TenureError as failure:
            checks = {"database": failure.kind != "unavailable", "keys": failure.kind == "unavailable"}
        return {"ready": self.started and all(checks.values()), "checks": checks}


@contextlib.asynccontextmanager
async def open_tenure(settings: Settings) -> AsyncIterator[Tenure]:
    """A started cell, closed at the end. Recovery runs in a thread: it may take its time."""
    tenure = await asyncio.to_thread(Tenure, settings)
    try:
        await tenure.start()
        yield tenure
    finally:
        await tenure.close()


def prepare(settings: Settings) -> str | None:
    """Migrate the schema and make the cell's first keys; the operator's API key, or None if it has one."""
    with contextlib.closing(lock_of(settings)):
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_locks(settings)
        bring_up(settings)
        ground = ground_of(settings)
        try:
            return initialise(ground)
        finally:
            ground.database.close()


def bring_up(settings: Settings) -> None:
    """Migrate the schema, as the owner of the tables; the service's own role gets its rights on rows."""
    from tenure.store import migrate  # noqa: PLC0415 - Alembic takes a tenth of a second, and is rarely needed

    owner = settings.migration_url or settings.database
    separate = bool(settings.migration_url)
    migrate.upgrade(owner, app_role=migrate.role_of(settings.database) if separate else None)


def planned(settings: Settings) -> dict[str, float]:
    """What happens by itself under these settings: job → every so many seconds."""
    found = {
        # At interval 0 this repeats what failed; otherwise it is the batch.
        SHRED: settings.shred_interval_s or 5,
        "rederive": settings.rederive_interval_s,
        "notify": settings.notice_interval_s,
    }
    if settings.rights_interval_s:
        found["rights"] = settings.rights_interval_s
    if settings.evict_interval_s:
        found["evict"] = settings.evict_interval_s
    if settings.inspect_interval_s:
        found["inspect"] = settings.inspect_interval_s
    if settings.lifecycle_interval_s and settings.objects_url.startswith("s3:"):
        found["lifecycle"] = settings.lifecycle_interval_s
    if settings.storage_interval_s:
        found["storage"] = found["requests"] = settings.storage_interval_s
    if settings.package_interval_s:
        found["packages"] = settings.package_interval_s
    if settings.tier_interval_s:
        found["tier"] = settings.tier_interval_s
    if settings.retrieval_interval_s:
        found["retrieve"] = settings.retrieval_interval_s
    if settings.tsa_url:
        found["timestamps"] = settings.tsa_interval_s
    return found


def writer_end() -> EntryDraft:
    """A writer's last entry."""
    return EntryDraft(kind=Kind.WRITER_END, at=ids.now(), outcome="ok")
