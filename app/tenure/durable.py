"""Files that are there whole or not at all, and stay there after a power cut."""

import contextlib
import os
import tempfile
from pathlib import Path


def write(path: Path, data: bytes | bytearray, *, prefix: str = ".new-") -> None:
    """Create or replace a file of mode 0600: temporary file beside it, fsync, rename, fsync of the folder.

    `prefix` begins the temporary file's name, which a crash may leave. Raises OSError, and then the file is
    as it was. Nothing is buffered: a buffer would keep a copy of a key.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
