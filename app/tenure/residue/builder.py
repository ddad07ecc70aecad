"""Gathers what becomes the report. It masks names and keeps the lists short enough to print."""

from dataclasses import dataclass, field
from typing import Final

from tenure.residue.names import Names
from tenure.residue.report import Finding, Gap
from tenure.residue.tally import Tally
from tenure.residue.values import Value

MOST: Final = 10_000
"""Findings, and gaps, that a report lists. Beyond, it counts."""


@dataclass(slots=True)
class Builder:
    """One scan's results so far."""

    names: Names
    values: tuple[Value, ...]
    files: int = 0
    read_bytes: int = 0
    unpacked_bytes: int = 0
    links: int = 0
    more: int = 0
    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def name(self, path: bytes, *more: bytes) -> None:
        """Something is called that: a value in its name is a finding."""
        counted: dict[tuple[int, str], int] = {}
        for hit in self.names.in_last(path, *more):
            counted[hit.value, hit.spelling] = counted.get((hit.value, hit.spelling), 0) + 1
        for (value, spelling), count in counted.items():
            self._find(path, value, f"name>{spelling}", None, None, count)

    def link(self, path: bytes, target: bytes) -> None:
        """A symbolic link: its name and what it points to are looked at, not what is there."""
        self.links += 1
        self.name(path, target)

    def file(self, path: bytes, size: int, tally: Tally) -> None:
        """A file was read, or as much of it as could be."""
        self.files += 1
        self.read_bytes += size
        self.unpacked_bytes += tally.unpacked
        for (value, chain), seen in tally.hits.items():
            self._find(path, value, ">".join(chain), seen.offset, seen.inner, seen.count)
        for (reason, chain), seen in tally.gaps.items():
            place = ">".join(chain)
            self.gap(path, reason, encoding=place, offset=seen.offset, inner=seen.inner, count=seen.count)

    def unreadable(self, path: bytes, failure: OSError) -> None:
        """The system refused. Its message without the path."""
        reason = "changed" if isinstance(failure, FileNotFoundError) else "unreadable"
        self.gap(path, reason, detail=failure.strerror or type(failure).__name__)

    def gap(
        self,
        path: bytes,
        reason: str,
        *,
        encoding: str = "",
        offset: int | None = None,
        inner: int | None = None,
        count: int = 1,
        detail: str = "",
    ) -> None:
        """Something was not looked at."""
        if len(self.gaps) < MOST:
            self.gaps.append(Gap(self.names.shown(path), reason, encoding, offset, inner, count, detail))
        else:
            self.more += 1

    def _find(
        self, path: bytes, value: int, encoding: str, offset: int | None, inner: int | None, count: int
    ) -> None:
        if len(self.findings) >= MOST:
            self.more += 1
            return
        of = self.values[value]
        self.findings.append(
            Finding(self.names.shown(path), of.line, of.label, encoding, offset, inner, count)
        )
