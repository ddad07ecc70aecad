"""Paths as a report may show them: a name that holds a value is a finding, and is masked."""

from typing import Final

from tenure.residue.needles import Hit, Needles
from tenure.residue.values import Value

_SLASH: Final = b"/"


class Names:
    """Looks for values in paths."""

    def __init__(self, needles: Needles, values: tuple[Value, ...]) -> None:
        self._needles = needles
        self._values = values

    def shown(self, path: bytes) -> str:
        """The path without any value in it; bytes that are not UTF-8 are escaped."""
        parts = path.split(_SLASH)
        spans = _spans(parts)
        for hit in self._needles.find(path):
            for place, (start, end) in enumerate(spans):
                if hit.start < end and hit.end > start:
                    parts[place] = f"[line {self._values[hit.value].line}]".encode()
        return _SLASH.join(parts).decode("utf-8", "backslashreplace")

    def in_last(self, path: bytes, *more: bytes) -> list[Hit]:
        """The hits that touch the last part of the path, or stand in `more` (what a link points to)."""
        start = path.rstrip(_SLASH).rfind(_SLASH) + 1
        found = [hit for hit in self._needles.find(path) if hit.end > start]
        return found + [hit for other in more for hit in self._needles.find(other)]


def _spans(parts: list[bytes]) -> list[tuple[int, int]]:
    """(start, end) of each part in the joined path."""
    spans, at = [], 0
    for part in parts:
        spans.append((at, at + len(part)))
        at += len(part) + 1
    return spans
