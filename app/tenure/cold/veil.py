"""Objects of another place, seen as if some were changed or gone. Nothing is ever written anywhere."""

from collections.abc import Iterator, Mapping
from typing import NoReturn

from tenure.cold.objects import HERE, NO_TAGS, Objects, Standing, cut
from tenure.errors import KeyFailure


class Veil:
    """What a selftest sees of mirror and objects: theirs, but for what it hides or puts in front."""

    def __init__(self, base: Objects) -> None:
        self._base = base
        self._shown: dict[str, bytes | None] = {}

    def show(self, name: str, data: bytes | None) -> None:
        """Let an object look like this; None: as if it were not there."""
        self._shown[name] = data

    def lift(self) -> None:
        """Let everything look as it is."""
        self._shown.clear()

    def get(self, name: str) -> bytes | None:
        """What is shown, else what is there."""
        return self._shown[name] if name in self._shown else self._base.get(name)

    def state(self, name: str) -> Standing | None:
        """Of what is shown, else of what is there."""
        if name not in self._shown:
            return self._base.state(name)
        return None if self._shown[name] is None else HERE

    def get_range(self, name: str, start: int, length: int) -> bytes | None:
        """Some bytes of what is shown, else of what is there."""
        if name not in self._shown:
            return self._base.get_range(name, start, length)
        data = self._shown[name]
        return None if data is None else cut(data, start, length)

    def names(self, prefix: str) -> Iterator[str]:
        """Names of what can be seen, sorted."""
        hidden = {name for name, data in self._shown.items() if data is None}
        front = f"{prefix}/" if prefix else ""
        more = {name for name, data in self._shown.items() if data is not None and name.startswith(front)}
        yield from sorted(({*self._base.names(prefix)} | more) - hidden)

    def put(self, name: str, data: bytes) -> NoReturn:  # noqa: ARG002 - whatever its name
        """Refused: a selftest changes its own copy of the database and nothing else."""
        raise KeyFailure("A selftest tried to write beside its copy; nothing was written.", rule="read-only")

    def keep(self, name: str, data: bytes, *, tags: Mapping[str, str] = NO_TAGS) -> NoReturn:  # noqa: ARG002 - whatever they are
        """Refused."""
        self.put(name, data)

    def retag(self, name: str, tags: Mapping[str, str]) -> NoReturn:  # noqa: ARG002 - whatever they are
        """Refused."""
        self.put(name, b"")

    def restore(self, name: str) -> NoReturn:
        """Refused."""
        self.put(name, b"")

    def delete(self, name: str) -> NoReturn:  # noqa: ARG002 - whatever its name
        """Refused."""
        raise KeyFailure("A selftest tried to delete beside its copy; nothing was deleted.", rule="read-only")
