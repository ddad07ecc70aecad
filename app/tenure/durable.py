"""Files that are there whole or not at all, and stay there after a power cut."""

import contextlib
import os
import secrets
from pathlib import Path

_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write(path: Path, data: bytes | bytearray, *, prefix: str = ".new-") -> None:
    """Create or replace a file of mode 0600: temporary file beside it, fsync, rename, fsync of the folder.

    `prefix` begins the temporary file's name, which a crash may leave. Raises OSError, and then the file is
    as it was. Nothing is buffered: a buffer would keep a copy of a key.
    """
    temporary = _temporary(path, data, prefix)
    try:
        temporary.replace(path)
    except BaseException:
        _discard(temporary)
        raise
    sync(path.parent)


def create(path: Path, data: bytes | bytearray, *, prefix: str = ".new-") -> bool:
    """The same, unless there is a file of that name: then False, and it is left as it is."""
    temporary = _temporary(path, data, prefix)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        _discard(temporary)
    sync(path.parent)
    return True


def _temporary(path: Path, data: bytes | bytearray, prefix: str) -> Path:
    """The content on disk, in a new file beside `path`."""
    temporary = path.parent / f"{prefix}{secrets.token_hex(4)}"
    descriptor = os.open(temporary, _FRESH, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except BaseException:
        _discard(temporary)
        raise
    finally:
        os.close(descriptor)
    return temporary


def _discard(temporary: Path) -> None:
    with contextlib.suppress(OSError):
        temporary.unlink()


def sync(path: Path) -> None:
    """Bring a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
