"""An object store that fails, in front of a real one: before the work, after it, half way, or late."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from tenure.cold.objects import NO_TAGS, Objects, Standing, unusable

Method = Literal["put", "keep", "retag", "restore", "state", "get", "get_range", "names", "delete"]
Mood = Literal["before", "after", "truncated", "other", "nothing", "slow"]
"""How the next call of a method goes wrong.

    before      Unavailable, nothing was done
    after       Unavailable, it was done: the answer was lost
    truncated   the last byte is missing, from what is stored or from what is read; said to be done
    other       one byte is another; said to be done
    nothing     said to be done, and nothing was
    slow        it takes until `gate` opens; nothing else is wrong
"""


class Moody:
    """`mood[method] = …` holds for one call. `calls` counts those that came."""

    def __init__(self, base: Objects) -> None:
        self._base = base
        self.mood: dict[Method, Mood] = {}
        self.calls: Counter[Method] = Counter()
        self.waiting, self.gate = threading.Event(), threading.Event()

    def put(self, name: str, data: bytes) -> None:
        mood = self._begin("put")
        if mood != "nothing":
            self._base.put(name, _spoiled(mood, data))
        _end(mood, "written")

    def keep(self, name: str, data: bytes, *, tags: Mapping[str, str] = NO_TAGS) -> bool:
        mood = self._begin("keep")
        there = mood == "nothing" or self._base.keep(name, _spoiled(mood, data), tags=tags)
        _end(mood, "written")
        return there

    def retag(self, name: str, tags: Mapping[str, str]) -> None:
        mood = self._begin("retag")
        if mood != "nothing":
            self._base.retag(name, tags)
        _end(mood, "changed")

    def restore(self, name: str) -> None:
        mood = self._begin("restore")
        if mood != "nothing":
            self._base.restore(name)
        _end(mood, "restored")

    def state(self, name: str) -> Standing | None:
        mood = self._begin("state")
        found = self._base.state(name)
        _end(mood, "read")
        return found

    def get(self, name: str) -> bytes | None:
        mood = self._begin("get")
        data = self._base.get(name)
        _end(mood, "read")
        return None if data is None or mood == "nothing" else _spoiled(mood, data)

    def get_range(self, name: str, start: int, length: int) -> bytes | None:
        mood = self._begin("get_range")
        data = self._base.get_range(name, start, length)
        _end(mood, "read")
        return None if data is None or mood == "nothing" else _spoiled(mood, data)

    def names(self, prefix: str) -> Iterator[str]:
        self._begin("names")
        return self._base.names(prefix)

    def delete(self, name: str) -> None:
        mood = self._begin("delete")
        self._base.delete(name)
        _end(mood, "changed")

    def _begin(self, method: Method) -> Mood | None:
        self.calls[method] += 1
        mood = self.mood.pop(method, None)
        if mood == "before":
            raise unusable("used")
        if mood == "slow":
            self.waiting.set()
            assert self.gate.wait(60), "nobody opened the gate"
        return mood


def _end(mood: Mood | None, doing: str) -> None:
    if mood == "after":
        raise unusable(doing)


def _spoiled(mood: Mood | None, data: bytes) -> bytes:
    if mood == "truncated":
        return data[:-1]
    return data[:7] + bytes([data[7] ^ 1]) + data[8:] if mood == "other" else data
