"""Objects of another place, seen through a folder of one's own: reads go through, writes stay here."""

from collections.abc import Iterator
from pathlib import Path

from tenure.cold.files import FileObjects
from tenure.cold.objects import Objects, Standing
from tenure.errors import KeyFailure


class Overlay(FileObjects):
    """What a drill works on instead of the mirror: it looks like it and cannot change it."""

    def __init__(self, base: Objects, directory: Path) -> None:
        super().__init__(directory)
        self._base = base

    def get(self, name: str) -> bytes | None:
        """The object written here, else the one beneath."""
        own = super().get(name)
        return self._base.get(name) if own is None else own

    def get_range(self, name: str, start: int, length: int) -> bytes | None:
        """Some bytes of the object written here, else of the one beneath."""
        own = super().get_range(name, start, length)
        return self._base.get_range(name, start, length) if own is None else own

    def state(self, name: str) -> Standing | None:
        """Of the object written here, else of the one beneath."""
        return super().state(name) or self._base.state(name)

    def names(self, prefix: str) -> Iterator[str]:
        """Names of both, sorted."""
        yield from sorted({*self._base.names(prefix), *super().names(prefix)})

    def delete(self, name: str) -> None:  # noqa: ARG002 - whatever its name
        """Refused: what lies beneath would come to light."""
        raise KeyFailure("A drill tried to delete from the mirror; nothing was deleted.", rule="read-only")
