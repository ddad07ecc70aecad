"""What a backup is: a directory with a database, objects and, written last, a manifest.

    unfinished          there from the start; goes after the manifest has come
    database.sqlite     or database.pgdump
    objects/…           as in the object tier
    manifest.json       every file's size and SHA-256, and the copy's place in history

Without a manifest it is no backup. It holds nothing of the root store or the mirror, and no name in it is
about a person.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from tenure import ids
from tenure.errors import Invalid, NotFound, Tampered, TenureError
from tenure.store.census import Census, LogHead
from tenure.store.dump import FILES
from tenure.store.keystate import Pointer

FORMAT: Final = "tenure/backup/v1"
MANIFEST: Final = "manifest.json"
UNFINISHED: Final = "unfinished"
OBJECTS: Final = "objects"
_NAME: Final = re.compile(r"(?!\.)[A-Za-z0-9._-]+(/(?!\.)[A-Za-z0-9._-]+)*")
_CHUNK: Final = 1 << 20


class BackupFile(NamedTuple):
    """One file: name relative to the backup, size in bytes, SHA-256 in hex."""

    name: str
    size: int
    sha256: str


class Backup(NamedTuple):
    """A backup's manifest. `created_at` is the instant of the database's copy, in microseconds.

    `digest` is the SHA-256 of the manifest file, in hex: it names the backup.
    """

    id: str
    created_at: int
    dialect: str
    tenure: str
    ledger_origin: str
    census: Census
    files: tuple[BackupFile, ...]
    digest: str = ""

    @property
    def database(self) -> str:
        """Name of the database's file."""
        return FILES[self.dialect]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def encode(self) -> bytes:
        """The manifest file."""
        pointer = self.census.pointer
        members: dict[str, Any] = {
            "format": FORMAT,
            "id": self.id,
            "created_at": ids.rfc3339(self.created_at),
            "dialect": self.dialect,
            "tenure": self.tenure,
            "schema": self.census.revision,
            "ledger_origin": self.ledger_origin,
            "keys": {"seq": pointer.seq, "digest": pointer.digest.hex()} if pointer else None,
            "leaf_epoch": self.census.leaf_epoch,
            "logs": [{**log._asdict(), "root": log.root.hex()} for log in self.census.logs],
            "files": [file._asdict() for file in self.files],
        }
        return json.dumps(members, indent=1).encode() + b"\n"


def read_backup(directory: Path) -> Backup:
    """A backup's manifest.

    NotFound when there is none, Invalid when the backup is unfinished or of another format.
    """
    try:
        raw = (directory / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if (directory / UNFINISHED).exists():
            raise Invalid(
                "This backup was never finished; nothing was restored.",
                field="BACKUP",
                rule="a finished backup",
                remedy="Delete it and take another with 'tenure backup'.",
            ) from None
        raise NotFound(
            "There is no backup here: manifest.json is missing. Nothing was restored.",
            remedy="Name the directory that 'tenure backup' made.",
        ) from None
    try:
        return _decode(raw)._replace(digest=hashlib.sha256(raw).hexdigest())
    except (ValueError, KeyError, TypeError):
        raise Invalid(
            "The backup's manifest cannot be read by this version; nothing was restored.",
            field="BACKUP",
            rule=FORMAT,
            remedy="Use the version of Tenure that made it, or take another backup.",
        ) from None


def check_files(directory: Path, backup: Backup) -> None:
    """Compare every file with the manifest. Tampered naming the first that is missing or changed."""
    for file in backup.files:
        try:
            with (directory / file.name).open("rb") as opened:
                for _ in checked(opened, file):
                    pass
        except (FileNotFoundError, NotADirectoryError):
            raise _changed(file.name, "is missing") from None


def checked(opened: BinaryIO, file: BackupFile) -> Iterator[bytes]:
    """The file's bytes in chunks. Tampered at the end when they are not those that the manifest names."""
    seen, size = hashlib.sha256(), 0
    while chunk := opened.read(_CHUNK):
        seen.update(chunk)
        size += len(chunk)
        yield chunk
    if (size, seen.hexdigest()) != (file.size, file.sha256):
        raise _changed(file.name, "is not as it was written")


def described(directory: Path, name: str) -> BackupFile:
    """What the manifest says of a file that lies in the backup."""
    seen, size = hashlib.sha256(), 0
    with (directory / name).open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            seen.update(chunk)
            size += len(chunk)
    return BackupFile(name, size, seen.hexdigest())


def _decode(raw: bytes) -> Backup:
    given = json.loads(raw)
    if given["format"] != FORMAT or given["dialect"] not in FILES:
        raise ValueError(FORMAT)
    files = tuple(
        BackupFile(str(one["name"]), int(one["size"]), str(one["sha256"])) for one in given["files"]
    )
    database = FILES[given["dialect"]]
    for file in files:
        if not _NAME.fullmatch(file.name) or not (
            file.name == database or file.name.startswith(f"{OBJECTS}/")
        ):
            raise ValueError("a file's name")
    if not any(file.name == database for file in files):
        raise ValueError("no database")
    keys = given["keys"]
    logs = tuple(LogHead(**{**one, "root": bytes.fromhex(one["root"])}) for one in given["logs"])
    pointer = Pointer(int(keys["seq"]), bytes.fromhex(keys["digest"])) if keys else None
    return Backup(
        id=str(given["id"]),
        created_at=ids.parse_rfc3339(given["created_at"]),
        dialect=given["dialect"],
        tenure=str(given["tenure"]),
        ledger_origin=str(given["ledger_origin"]),
        census=Census(given["schema"], pointer, int(given["leaf_epoch"]), logs),
        files=files,
    )


def _changed(name: str, how: str) -> TenureError:
    return Tampered(
        f"The backup's file {name} {how}. Nothing was restored from it.",
        field=name,
        rule="backup-digest",
        remedy="Restore another copy of this backup, or another backup.",
    )
