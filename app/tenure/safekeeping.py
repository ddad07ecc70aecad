"""Settings → backup, restore, repair and drill: what an operator does beside the serving process.

A backup only reads the data. A restore fills an empty place, then starts the cell once, without serving, so
that its erasures are finished. A drill reads everything, opens with the real root store, and writes nothing
but its result into the ledger; no process has to stop for it.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tenure import bootstrap, ids
from tenure.batcher import Batcher
from tenure.bootstrap import writer_end
from tenure.cold.files import FileObjects
from tenure.cold.mirror import Mirror
from tenure.cold.overlay import Overlay
from tenure.crew import GatewayCrew
from tenure.errors import Conflict, TenureError, Unavailable
from tenure.governance.backup import Source, take_backup
from tenure.governance.backupset import OBJECTS, Backup, check_files, read_backup
from tenure.governance.drill import Examined, Report, examine, record, report_of, require_current
from tenure.governance.ground import Ground
from tenure.governance.replica import Replica
from tenure.governance.restore import Place, checked_backup, summary
from tenure.governance.restore import restore as restore_backup
from tenure.governance.shelf import Mended, mend_all
from tenure.groundwork import ground_of, lock_of, objects_of
from tenure.ids import CELL
from tenure.inspection.findings import Finding
from tenure.inspection.inspector import Inspector
from tenure.inspection.view import Anchors
from tenure.jobs.due import trouble
from tenure.keyring import Keyring
from tenure.places import places_of
from tenure.rootstore.unseal_only import UnsealOnly
from tenure.sequencer import Sequencer, Shelves
from tenure.settings import Settings
from tenure.stamping import believed
from tenure.store import breakglass, jobs, notices, replicas, rights, shreds
from tenure.store.breakglass import Review
from tenure.store.database import Database
from tenure.store.dump import Target, load, scratch
from tenure.store.notices import Waiting
from tenure.store.rights import Due
from tenure.tenancy import Tenancies


class Drill(NamedTuple):
    """A drill's report, and the ledger entry of each tenant that says so.

    `signed`: the entries have their places under a published checkpoint; if not, the serving process gives
    them theirs with the next entry of that log, or at its next start.
    """

    report: Report
    entries: dict[str, str]
    signed: bool


# ── backup ─────────────────────────────────────────────────────────────────────────────────────────
def backup(settings: Settings, destination: Path) -> Backup:
    """Take a backup of a cell, running or not."""
    return take_backup(_source(settings), destination)


def _source(settings: Settings) -> Source:
    places = places_of(settings)
    return Source(
        database=readable(settings),
        objects=objects_of(settings),
        objects_at=places.objects,
        apart={"TENURE_ROOT_DIR": settings.root_dir, "TENURE_MIRROR_URL": places.mirror},
        data_dir=settings.data_dir,
        ledger_origin=settings.ledger_origin,
    )


def readable(settings: Settings) -> Target:
    """The database, as whoever may read all of it."""
    return Target(settings.backup_url or settings.migration_url or settings.database, settings.pg_bin)


# ── restore ────────────────────────────────────────────────────────────────────────────────────────
def restore(settings: Settings, directory: Path) -> dict[str, Any]:
    """Restore a backup into the empty place that the settings name; what happened (`summary`)."""
    with contextlib.closing(lock_of(settings)):
        ground = ground_of(settings, restoring=True)
        ground.database.close()
        found = checked_backup(directory, ground.roots, ground.mirror)
        owner = settings.migration_url or settings.database
        place = Place(
            data_dir=settings.data_dir,
            database=Target(owner, settings.pg_bin),
            objects=objects_of(settings),
            migrate=partial(bootstrap.bring_up, settings),
        )
        recovered = restore_backup(directory, found, place, lambda: ground_of(settings, restoring=True))
    asyncio.run(_finish(settings))
    ground = ground_of(settings)
    try:
        unfinished = ground.database.read(CELL, shreds.batches)
        left = sum(len(mine["erasures"]) for one in unfinished for mine in one.plan.values())
    finally:
        ground.database.close()
    return summary(found, recovered, left)


async def _finish(settings: Settings) -> None:
    """Start and stop: what was put back is finished, and published."""
    async with bootstrap.open_tenure(settings.model_copy(update={"cell_jobs": False})):
        pass


# ── repair ─────────────────────────────────────────────────────────────────────────────────────────
def repair(settings: Settings, tenant_id: str | None) -> list[Mended]:
    """Compare every published log (of one tenant) with what was signed, and mend it. Works while serving."""
    ground = ground_of(settings)
    try:
        return mend_all(ground, tenant_id)
    finally:
        ground.database.close()


# ── inspection ─────────────────────────────────────────────────────────────────────────────────────
def inspect(settings: Settings, progress: Callable[[str, int, int], None]) -> list[Finding]:
    """Look at every row of a cell, beside the process that serves it; what is not as it was written.

    `progress` is called with (what is done, how many tenants are done, of how many). Opens and reads only.
    """
    live = opening_only(ground_of(settings))
    found: list[Finding] = []
    try:
        inspector = Inspector(Anchors(live, believed(settings.tsa_certs)))
        tenant_ids = inspector.tenant_ids()
        for at, tenant_id in enumerate(tenant_ids):
            for step in inspector.tenant(tenant_id):
                progress(f"inspecting {step.section}", at, len(tenant_ids))
                found += step.findings
    finally:
        live.database.close()
    return found


# ── break-glass ────────────────────────────────────────────────────────────────────────────────────
def overdue_reviews(settings: Settings) -> list[Review]:
    """Elevations that should have been reviewed by now, in any tenant, oldest first; a hundred at most."""
    database = Database(settings.database)
    try:
        return database.read(CELL, partial(breakglass.reviews, now=ids.now(), limit=100))
    finally:
        database.close()


# ── rights requests ────────────────────────────────────────────────────────────────────────────────
def overdue_requests(settings: Settings) -> list[Due]:
    """Rights requests whose time is over, in any tenant, the latest first; a hundred at most."""
    database = Database(settings.database)
    try:
        return database.read(CELL, partial(rights.overdue, now=ids.now(), limit=100))
    finally:
        database.close()


# ── notices ────────────────────────────────────────────────────────────────────────────────────────
def open_notices(settings: Settings) -> list[Waiting]:
    """How notices to recipients stand in each tenant in which some wait or were given up."""
    database = Database(settings.database)
    try:
        return database.read(CELL, notices.waiting)
    finally:
        database.close()


# ── jobs ───────────────────────────────────────────────────────────────────────────────────────────
class Trouble(NamedTuple):
    """A job that fails again and again, or that nobody runs."""

    name: str
    what: Literal["failing", "overdue"]
    failures: int
    error: str | None
    started_at: int


def job_trouble(settings: Settings) -> tuple[list[Trouble], bool]:
    """Jobs that do not go as they should, and whether anybody serves the cell: if not, none is overdue.

    Of those that these settings ask for. Beside whoever serves it; two short transactions.
    """
    wanted = bootstrap.planned(settings)
    database = Database(settings.database)
    try:
        rows = database.read(CELL, jobs.every)
        served = _is_served(settings, database)
    finally:
        database.close()
    found = [
        Trouble(row.name, what, row.failures, row.error, row.started_at or 0)
        for row in rows.values()
        if row.name in wanted and (what := trouble(row)) is not None and (served or what == "failing")
    ]
    return found, served


def _is_served(settings: Settings, database: Database) -> bool:
    if database.dialect != "sqlite":
        return bool(database.read(CELL, replicas.living))
    try:
        lock_of(settings).close()
    except Conflict:
        return True
    return False


# ── drill ──────────────────────────────────────────────────────────────────────────────────────────
def drill(
    settings: Settings, directory: Path | None, *, sample: int | None, folder: Path | None, scratch_url: str
) -> Drill:
    """Restore a backup (a fresh one if none is given) into a scratch place, examine it, record the result.

    `sample`: survivors to compare in each tenant, None for all. Raises Conflict, Invalid or NotFound when the
    drill could not be made; what a made drill finds is in its report.
    """
    live = opening_only(ground_of(settings))
    try:
        require_current(live)
        with private_folder(folder) as inside:
            taken = directory is None
            at = directory or inside / "backup"
            kept = backup(settings, at) if taken else read_backup(at)
            found, error = _restored(settings, live, kept, at, inside, sample, scratch_url)
        report = report_of(kept, live, found, error, taken=taken)
        entries = record(live, report)
        signed = asyncio.run(_publish(settings, live, list(entries)))
    finally:
        live.database.close()
    return Drill(report, entries, signed)


def _restored(
    settings: Settings,
    live: Ground,
    kept: Backup,
    directory: Path,
    inside: Path,
    sample: int | None,
    scratch_url: str,
) -> tuple[Examined | None, TenureError | None]:
    from tenure.store import migrate  # noqa: PLC0415 - Alembic takes a tenth of a second, and is rarely needed

    with scratch(readable(settings), inside, scratch_url) as target:
        try:
            check_files(directory, kept)
            load(directory / kept.database, target, again=False)
            migrate.upgrade(target.url)
        except (TenureError, OSError) as failure:
            if isinstance(failure, TenureError):
                return None, failure
            return None, Unavailable("The backup cannot be read or written to the scratch place.")

        def open_restored() -> Ground:
            overlay = Overlay(live.mirror.objects, Path(tempfile.mkdtemp(dir=inside, prefix="mirror-")))
            database = Database(target.url)
            return live._replace(
                database=database,
                mirror=Mirror(overlay),
                keyring=Keyring(database, live.roots),
                objects=FileObjects(directory / OBJECTS),
            )

        return examine(live, open_restored, sample)


def opening_only(ground: Ground) -> Ground:
    """The same cell, with a root store that opens and nothing else."""
    roots = UnsealOnly(ground.roots)
    return ground._replace(roots=roots, keyring=Keyring(ground.database, roots))


@contextlib.contextmanager
def private_folder(parent: Path | None) -> Iterator[Path]:
    """A folder of mode 0700 that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tenure-drill-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _publish(settings: Settings, live: Ground, tenant_ids: list[str]) -> bool:
    """Give the entries their places and sign, as a process of the cell; False when that has to wait."""
    tenancies = Tenancies(live.keyring)
    lease = Replica(live.database, live.keyring, tenancies, lease_s=settings.replica_lease_s)
    batcher = Batcher(live.database, GatewayCrew(tenancies), lanes=1, lanes_per_tenant=1, lease=lease)
    sequencer = Sequencer(batcher, live.database, live.keyring, Shelves(live.objects, live.mirror))
    try:
        await asyncio.to_thread(lease.start)
        for tenant_id in tenant_ids:
            await sequencer.run(tenant_id)
    except TenureError:
        return False  # what counts is committed
    finally:
        await batcher.close(writer_end)
        sequencer.close()
        await asyncio.to_thread(lease.stop)
    return True
