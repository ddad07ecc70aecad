"""The files under some paths. Links are not followed; what cannot be listed is a gap, not an absence."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from tenure.errors import Invalid
from tenure.residue.builder import Builder


def check_paths(paths: Sequence[Path]) -> None:
    """Raise Invalid when there is no path, or one that is not there. Its message has no path in it."""
    for place, path in enumerate(paths, start=1):
        if not os.path.lexists(path):
            raise Invalid(
                f"Path number {place} is not there, or not to be reached. Nothing was scanned.",
                field="paths",
                rule="exists",
                remedy="Give files or folders that exist; quote names that have spaces.",
            )
    if not paths:
        raise Invalid(
            "There is no path to look into. Nothing was scanned.",
            field="paths",
            rule="not-empty",
            remedy="Give at least one file or folder.",
        )


def files(paths: Sequence[Path], builder: Builder) -> Iterator[bytes]:
    """Every file to read: the paths themselves, links resolved, and all that is in folders, in order."""
    for path in paths:
        given = os.fsencode(path)
        builder.name(given)
        try:
            mode = path.stat().st_mode
        except OSError as failure:
            builder.unreadable(given, failure)
            continue
        if stat.S_ISDIR(mode):
            yield from _folder(given, builder)
        elif stat.S_ISREG(mode) or stat.S_ISBLK(mode):
            yield given
        else:
            builder.gap(given, "unreadable", detail="neither a file nor a folder")


def _folder(top: bytes, builder: Builder) -> Iterator[bytes]:
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as failure:
            builder.unreadable(folder, failure)
            continue
        below = []
        for entry in entries:
            try:
                if entry.is_symlink():
                    builder.link(entry.path, os.fsencode(Path(os.fsdecode(entry.path)).readlink()))
                    continue
                builder.name(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path
                # Sockets, pipes and devices in a folder hold no bytes at rest.
            except OSError as failure:
                builder.unreadable(entry.path, failure)
        waiting += reversed(below)
