"""Taking a backup while the cell serves: database and objects, never the root store or the mirror.

    1 refuse     a destination or a source that would mix data and root
    2 begin      the directory, marked as unfinished
    3 database   one instant of it
    4 objects    afterwards, so that whatever the database names is among them
    5 manifest   every file's digest; atomic, and last: from here on it is a backup

A crash before 5 leaves a directory that says it is unfinished and that nothing restores. No key is needed to
take one: all that is copied is sealed, or clear by design.
"""

from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import structlog

from tenure import durable, ids
from tenure.cold.files import FileObjects
from tenure.cold.objects import Archived, Objects
from tenure.cold.open import BucketPlace
from tenure.cold.packs import FOLDER
from tenure.errors import Conflict, Invalid, Unavailable
from tenure.governance.backupset import (
    MANIFEST,
    OBJECTS,
    UNFINISHED,
    Backup,
    described,
    read_backup,
)
from tenure.store.dump import FILES, Target, dump

_PRIVATE = 0o700
_log = structlog.get_logger(__name__)


class Source(NamedTuple):
    """A cell as a backup sees it. `apart` are the places that must not be in it, by their settings."""

    database: Target
    objects: Objects
    objects_at: Path | BucketPlace
    apart: dict[str, Path | BucketPlace]
    data_dir: Path
    ledger_origin: str


def take_backup(source: Source, destination: Path) -> Backup:
    """Make `destination` a backup. It must not exist, or be empty.

    Conflict when it lies where it must not, Unavailable when something could not be copied: what is there
    then is marked as unfinished.
    """
    _refuse(source, destination)
    try:
        destination.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        destination.chmod(_PRIVATE)
        durable.write(destination / UNFINISHED, b"This backup is not finished. It cannot be restored.\n")
        at, dialect = ids.now(), source.database.dialect
        census = dump(source.database, destination / FILES[dialect])
        durable.sync(destination / FILES[dialect])
        names = [FILES[dialect], *_copy_objects(source.objects, destination)]
        made = Backup(
            id=ids.new_id(),
            created_at=at,
            dialect=dialect,
            tenure=version("tenure"),
            ledger_origin=source.ledger_origin,
            census=census,
            files=tuple(described(destination, name) for name in names),
        )
        durable.write(destination / MANIFEST, made.encode())
        (destination / UNFINISHED).unlink()
        durable.sync(destination)
    except OSError as failure:
        raise Unavailable(
            "The backup could not be written; what is there is marked as unfinished.",
            remedy="Check owner, mode and free space of the destination, then take it again elsewhere.",
        ) from failure
    return read_backup(destination)


def _copy_objects(objects: Objects, destination: Path) -> list[str]:
    copied = []
    archived = 0
    copies = FileObjects(destination / OBJECTS)
    for name in objects.names(""):
        try:
            data = objects.get(name)
        except Archived:
            if not name.startswith(f"{FOLDER}/"):
                raise
            archived += 1  # it stays where it is; a restore into this bucket finds it there
            continue
        if data is not None:  # deleted since it was listed: nothing in the database's copy needs it
            copies.put(name, data)
            copied.append(f"{OBJECTS}/{name}")
    if archived:
        _log.warning("packs that lie in an archive are not in the backup", packs=archived)
    return copied


def _refuse(source: Source, destination: Path) -> None:
    here = destination.resolve()
    inside = {
        **source.apart,
        "TENURE_DATA_DIR": source.data_dir,
        "TENURE_OBJECTS_URL": source.objects_at,
    }
    for field, place in inside.items():
        if overlap(here, place):
            raise Conflict(
                "The destination and a folder of the cell contain one another; nothing was copied.",
                field=field,
                rule="a backup outside the cell's own folders",
                remedy="Name another destination, best on another machine's disk.",
            )
    for field, place in source.apart.items():
        if overlap(source.objects_at, place):
            raise Conflict(
                "The objects' place and the root store or mirror contain one another: a backup would carry "
                "both, and bring erased people back. Nothing was copied.",
                field=field,
                rule="outside the data and its backups",
                remedy="Move one of them.",
            )
    if here.exists() and (not here.is_dir() or any(here.iterdir())):
        raise Invalid(
            "The destination exists and is not an empty directory; nothing was copied.",
            field="DESTINATION",
            rule="a new or empty directory",
            remedy="Name a new one for every backup, for example by date.",
        )


def overlap(one: Path | BucketPlace, other: Path | BucketPlace) -> bool:
    """Whether two places are the same or one contains the other."""
    if isinstance(one, BucketPlace) or isinstance(other, BucketPlace):
        return isinstance(one, BucketPlace) and isinstance(other, BucketPlace) and one.overlaps(other)
    one, other = one.resolve(), other.resolve()
    return one == other or one in other.parents or other in one.parents
