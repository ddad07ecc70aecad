"""Files that are there whole or not at all, and stay there after a power cut."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write(path: Path, data: bytes | bytearray, *, prefix: str = ".new-") -> None:
    """Create or replace a file of mode 0600: temporary file beside it, fsync, rename, fsync of the folder.

    `prefix` begins the temporary file's name, which a crash may leave. Raises OSError, and then the file is
    as it was. Nothing is buffered: a buffer would keep a copy of a key.
    """
    with _temporary(path, data, prefix) as temporary:
        temporary.replace(path)
    sync(path.parent)


def create(path: Path, data: bytes | bytearray, *, prefix: str = ".new-") -> bool:
    """The same, unless there is a file of that name: then False, and it is left as it is."""
    with _temporary(path, data, prefix) as temporary:
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
    sync(path.parent)
    return True


@contextlib.contextmanager
def _temporary(path: Path, data: bytes | bytearray, prefix: str) -> Iterator[Path]:
    """The content on disk, in a file beside `path` that is gone afterwards unless it was renamed."""
    temporary = path.parent / f"{prefix}{secrets.token_hex(4)}"
    descriptor = os.open(temporary, _FRESH, 0o600)
    try:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def sync(path: Path) -> None:
    """Bring a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
