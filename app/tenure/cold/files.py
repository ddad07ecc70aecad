"""Objects as files: one directory, atomic and durable puts, names checked."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tenure import durable
from tenure.cold.objects import HERE, NO_TAGS, Standing, checked_range, too_short, unusable
from tenure.errors import Invalid

_RANDOM = "?" * 8
"""What `tempfile` puts behind a prefix: so long that no other object's file is taken for this one's."""
_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]+(/(?!\.)[A-Za-z0-9._-]+)*")


class FileObjects:
    """Objects below a directory. A put is visible whole or not at all, and survives a power cut."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def put(self, name: str, data: bytes) -> None:
        """Create or replace an object: temporary file, fsync, rename, fsync of the folder."""
        path = self._path(name)
        try:
            _make(path.parent)
            durable.write(path, data, prefix=_begun(path))
        except OSError as failure:
            raise unusable("written") from failure

    def keep(self, name: str, data: bytes, *, tags: Mapping[str, str] = NO_TAGS) -> bool:  # noqa: ARG002 - a folder has none
        """Create an object unless there is one; whether it now is there with this content."""
        path = self._path(name)
        if os.access(path, os.F_OK):
            return self.get(name) == data
        try:
            _make(path.parent)
            return durable.create(path, data, prefix=_begun(path)) or self.get(name) == data
        except OSError as failure:
            raise unusable("written") from failure

    def retag(self, name: str, tags: Mapping[str, str]) -> None:
        """Nothing: a folder has no tags, and no rules that go by them."""

    def restore(self, name: str) -> None:
        """Nothing: a folder is no archive."""

    def state(self, name: str) -> Standing | None:
        """Here, if it is there."""
        try:
            return HERE if self._path(name).is_file() else None
        except OSError as failure:
            raise unusable("read") from failure

    def get(self, name: str) -> bytes | None:
        """An object's bytes, or None."""
        try:
            return self._path(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as failure:
            raise unusable("read") from failure

    def get_range(self, name: str, start: int, length: int) -> bytes | None:
        """Some bytes of an object, or None. A put renames, so an open file is one state of it."""
        checked_range(start, length)
        try:
            with self._path(name).open("rb") as file:
                if os.fstat(file.fileno()).st_size < start + length:
                    raise too_short()
                file.seek(start)
                found = file.read(length)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as failure:
            raise unusable("read") from failure
        if len(found) != length:
            raise too_short()
        return found

    def names(self, prefix: str) -> Iterator[str]:
        """Names of the objects below a folder, sorted; of all with an empty prefix."""
        root = self._path(prefix) if prefix else self.directory
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self.directory).as_posix()

    def delete(self, name: str) -> None:
        """Remove an object, and what a put of it that died had begun; nothing happens when there is none."""
        path = self._path(name)
        try:
            if not _unlink(path) and path.parent.is_dir():
                for left in path.parent.glob(_begun(path) + _RANDOM):
                    left.unlink(missing_ok=True)
            if path.parent.is_dir():
                durable.sync(path.parent)
        except OSError as failure:
            raise unusable("changed") from failure

    def _path(self, name: str) -> Path:
        return self.directory / checked_name(name)


def is_name(name: str) -> bool:
    """Whether a name has the form of an object's, or of a folder of objects."""
    return _NAME.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """An object's name, as it is. Invalid when it is not well-formed."""
    if not is_name(name):
        raise Invalid("An object name is not well-formed.", field="name", rule="letters, digits, . _ - /")
    return name


def _begun(path: Path) -> str:
    """How the temporary file of an object begins: a put that dies leaves it beside the object, or instead."""
    return f".put-{path.name}-"


def _unlink(path: Path) -> bool:
    """Remove a file; whether its content is gone with it: it is not under its temporary name as well."""
    try:
        alone = path.stat().st_nlink == 1
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return alone


def _make(directory: Path) -> None:
    """A directory with its parents, each new one private: `mkdir` gives its mode to the last only."""
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
