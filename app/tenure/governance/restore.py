"""Putting a backup into an empty place, so that the next start finds a cell that may be served.

    1 check      every digest, the version, whose backup it is: until here nothing was written
    2 refuse     a target that holds anything but the cell's own objects, which went on since the backup
    3 mark       the data directory: nothing opens a half restored cell
    4 objects    those that are not there
    5 database   whole or not at all, migrated
    6 recover    the newest mirrored key state, the journal of erasures, a leaf epoch, new log generations
    7 unmark     now it may be opened; its start finishes the erasures that 6 put back

A crash leaves the mark: the same command again goes on from 4, whatever was there, because it is ours.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tenure import durable, ids
from tenure.cold.mirror import Mirror
from tenure.cold.objects import Objects
from tenure.errors import Conflict, Invalid, RootLost, Unverified
from tenure.governance.backupset import OBJECTS, Backup, check_files, checked, read_backup
from tenure.governance.ground import Ground
from tenure.governance.keychange import newest_mirrored
from tenure.governance.recovery import Recovered, recover
from tenure.ids import CELL
from tenure.keys.rootstore import RootStore
from tenure.ledger.checkpoint import peek_checkpoint
from tenure.store import revision
from tenure.store.dump import Target, is_empty, load

MARK = "restoring"
_ALLOWED = {"lock", MARK}


class Place(NamedTuple):
    """Where a backup is restored to. `migrate` brings the filled database to this version's schema."""

    data_dir: Path
    database: Target
    objects: Objects
    migrate: Callable[[], None]


def checked_backup(directory: Path, roots: RootStore, mirror: Mirror) -> Backup:
    """Step 1. Tampered, NotFound, Invalid or Conflict, saying why this backup is not to be restored here."""
    backup = read_backup(directory)
    if backup.census.revision not in revision.known():
        raise Invalid(
            "The backup's schema is not one that this version knows; nothing was restored.",
            field="BACKUP",
            rule="made by this version or an earlier one",
            remedy=f"Use Tenure {backup.tenure} or later.",
        )
    if not any(known.state == "live" for known in roots.list()):
        raise RootLost(
            "There is no live root key in the root directory: nothing of the backup would open. "
            "Nothing was restored.",
            field="TENURE_ROOT_DIR",
            remedy="Name the cell's own, newest root directory.",
        )
    check_files(directory, backup)
    _check_cell(backup, roots, mirror)
    return backup


def restore(directory: Path, backup: Backup, place: Place, open_ground: Callable[[], Ground]) -> Recovered:
    """Steps 2 to 7 of a checked backup. Conflict when the target holds anything."""
    if backup.dialect != place.database.dialect:
        raise Invalid(
            f"The backup is of {backup.dialect}, not of {place.database.dialect}; nothing was restored.",
            field="TENURE_DATABASE_URL",
            rule="the same kind of database",
        )
    mark = place.data_dir / MARK
    again = mark.exists()
    if again and json.loads(mark.read_bytes())["backup"] != backup.digest:
        raise _occupied("TENURE_DATA_DIR", "the remains of another backup's restore")
    if not again:
        _check_empty(place, directory, backup)
        place.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        durable.write(mark, json.dumps({"backup": backup.digest, "at": ids.rfc3339(ids.now())}).encode())
    _put_objects(directory, backup, place.objects)
    load(directory / backup.database, place.database, again=again)
    place.migrate()
    ground = open_ground()
    try:
        recovered = recover(ground, declared=True)
    finally:
        ground.database.close()
    mark.unlink()
    return recovered


def refuse_unfinished(data_dir: Path) -> None:
    """Whoever opens a cell asks this first. Conflict when a restore into it was not finished."""
    if (data_dir / MARK).exists():
        raise Conflict(
            "A restore into this data directory was not finished; nothing was opened.",
            field="TENURE_DATA_DIR",
            rule="a whole cell",
            remedy="Run the same 'tenure restore' again: it goes on from there.",
        )


def _put_objects(directory: Path, backup: Backup, objects: Objects) -> None:
    there = set(objects.names(""))
    for file in backup.files:
        if file.name != backup.database and file.name.removeprefix(f"{OBJECTS}/") not in there:
            with (directory / file.name).open("rb") as opened:
                objects.put(file.name.removeprefix(f"{OBJECTS}/"), b"".join(checked(opened, file)))


def _check_empty(place: Place, directory: Path, backup: Backup) -> None:
    if place.data_dir.exists() and {path.name for path in place.data_dir.iterdir()} - _ALLOWED:
        raise _occupied("TENURE_DATA_DIR", "files")
    if next(place.objects.names(""), None) is not None and not _went_on(directory, backup, place.objects):
        raise _occupied("TENURE_OBJECTS_URL", "objects")
    if not is_empty(place.database):
        raise _occupied("TENURE_DATABASE_URL", "tables")


def _went_on(directory: Path, backup: Backup, objects: Objects) -> bool:
    """Whether these are the backed up cell's own objects: its logs, none of them another or shorter.

    They outlived the data, and its database is brought up from them. Signatures are recovery's to check.
    """
    known = False
    for file in backup.files:
        name = file.name.removeprefix(f"{OBJECTS}/")
        if not (name.startswith("ledger/") and name.endswith("/checkpoint")):
            continue
        there = objects.get(name)
        if there is None:
            continue
        try:
            then = peek_checkpoint((directory / file.name).read_text())
            now = peek_checkpoint(there.decode("utf-8", "replace"))
        except Unverified:
            return False
        if now.origin != then.origin or now.size < then.size:
            return False
        known = True
    return known


def _check_cell(backup: Backup, roots: RootStore, mirror: Mirror) -> None:
    """A backup beside another cell's root opens for nobody; worse, it would adopt that cell's keys."""
    pointer, theirs = backup.census.pointer, {log.tenant_id for log in backup.census.logs} - {CELL}
    if pointer is not None and mirror.manifest(pointer.seq, pointer.digest) is not None:
        return
    newest = newest_mirrored(mirror, roots)
    if newest is not None and not theirs & set(newest.manifest.tenants):
        raise Conflict(
            "The root directory and its mirror belong to another cell than the backup; nothing was restored.",
            field="TENURE_ROOT_DIR",
            rule="the root directory of the cell that was backed up",
            remedy="Name that cell's own, newest root directory.",
        )


def _occupied(field: str, what: str) -> Conflict:
    return Conflict(
        f"The target holds {what} already; nothing was restored.",
        field=field,
        rule="an empty target: a restore never overwrites",
        remedy="Name a new place. Stop the old cell first: two cells must never share one root.",
    )


def summary(backup: Backup, recovered: Recovered, unfinished: int) -> dict[str, Any]:
    """What happened, for people and programs."""
    return {
        "backup": backup.digest,
        "restored_to": ids.rfc3339(backup.created_at),
        "erasures_replayed": recovered.replayed,
        "erasures_unfinished": unfinished,
        "leaf_epoch": recovered.leaf_epoch,
        "entries_lost": sum(lost.entries for lost in recovered.lost),
        "ledgers": [
            {"tenant": lost.tenant_id, "generation": lost.generation, "lost": lost.entries}
            for lost in recovered.lost
        ],
        "brought_up": [
            {"tenant": one.tenant_id, "generation": one.generation, "entries": one.entries}
            for one in recovered.brought
        ],
    }
