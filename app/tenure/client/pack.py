"""Evidence packs as files: one archive, or a folder of the same names."""

import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tenure.client.trust import trust
from tenure.errors import Invalid
from tenure.ledger.audit import Progress
from tenure.ledger.pack import GENERATIONS, INDEX, STATEMENT, PackReport, check_pack

MAX_FILE = 256 << 20
"""Bytes of one file in an archive: more is not read."""

_OF_A_PACK = (INDEX, STATEMENT, GENERATIONS)

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16
_UNIX = 3
_LEVEL = 6

Read = Callable[[str], bytes | None]


def is_pack(target: str) -> bool:
    """Whether a path is an evidence pack, whole or not: any file (logs are folders), or a folder of a pack.

    A folder with a checkpoint is a log's. One of a pack that lacks something is checked as one, and says so.
    """
    path = Path(target)
    if path.is_dir():
        own = any((path / name).exists() for name in _OF_A_PACK)
        return own and not (path / "checkpoint").exists()
    return path.is_file()


def write_archive(folder: Path, archive: Path) -> None:
    """Put a folder into an archive: the same files make the same bytes, on every machine and day."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(archive, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as out:
        for name in names:
            about = zipfile.ZipInfo(name, _EPOCH)
            about.external_attr, about.create_system = _MODE, _UNIX
            about.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(about, (folder / name).read_bytes(), compresslevel=_LEVEL)


def audit_pack(
    path: Path,
    vkeys: Sequence[str] = (),
    *,
    cell_vkeys: Sequence[str] = (),
    witnesses: Sequence[str] = (),
    quorum: int = 0,
    earlier: Sequence[str] = (),
    progress: Progress | None = None,
) -> PackReport:
    """Check an evidence pack, archive or folder, offline; arguments as for `audit_log`.

    Without keys the one inside the pack is used and the report says so. `cell_vkeys` are keys of the cell's
    log, for the part of receipts that is about it. Raises `Invalid` when there is no key
    or the archive cannot be read.
    """
    with ExitStack() as stack:
        read, names = _archive(stack, path) if path.is_file() else _folder(path)
        beside = (
            (read(name) or b"").decode("utf-8", "replace")
            for name in names
            if name.startswith("ledger/") and name.endswith("/vkey")
        )
        keys = trust(vkeys, beside).watched(witnesses, quorum)
        try:
            cell_keys = trust(cell_vkeys).verifiers if cell_vkeys else ()
            report = check_pack(
                read, names, keys.verifiers, cell_keys=cell_keys, earlier=earlier, progress=progress
            )
        except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, OSError) as failure:
            raise _unreadable() from failure
        return keys.judge(report, report.witnesses)


def _archive(stack: ExitStack, path: Path) -> tuple[Read, list[str]]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, OSError) as failure:
        raise _unreadable() from failure
    infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    if len(infos) < sum(not info.is_dir() for info in archive.infolist()):
        raise _unreadable()  # two files of one name: readers would disagree which one counts

    def read(name: str) -> bytes | None:
        info = infos.get(name)
        if info is None:
            return None
        if info.file_size > MAX_FILE:
            raise _unreadable()
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            return b""  # what is stored does not unpack, or to something else: it is not the file

    return read, sorted(infos)


def _folder(path: Path) -> tuple[Read, list[str]]:
    names = sorted(one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file())
    known = frozenset(names)

    def read(name: str) -> bytes | None:
        return (path / name).read_bytes() if name in known else None

    return read, names


def _unreadable() -> Invalid:
    return Invalid(
        "This is no archive of an evidence pack that can be read: it is cut off, has a file twice or one that"
        " is too large. Nothing was checked. Get it again; of a log name the folder or the URL.",
        field="file",
        rule="source",
    )
