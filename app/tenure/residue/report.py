"""What a scan found, where it could not look, and what may be said of it. Never a value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from tenure.ids import rfc3339
from tenure.residue.containers import KINDS, PG_DUMP

Verdict = Literal["clean", "residue", "incomplete"]

GAPS: Final[Mapping[str, str]] = {
    "unreadable": "could not be read",
    "changed": "was cut short or went away while it was read",
    "stopped": "the scan was stopped before the end",
    "damaged": "a compressed stream breaks off in its middle: what follows in it was not seen",
    "cut-short": "a compressed stream ends too early: what could be decompressed was searched",
    "needs-memory": "a compressed stream needs more memory to decompress than it is given",
    "too-deep": "there are more containers inside each other than are opened",
    "unpack-limit": "what is inside comes to more bytes than may be unpacked",
    "too-many-open": "more containers overlap than are opened",
    "encrypted": "encrypted: nobody can look inside without its key",
    "unknown-method": "compressed in a way that is not opened here",
    "unknown-format": "a container that is not opened here",
}
"""Why a scan is not complete."""

NOT_SHOWN: Final = (
    "That nothing is left in what others encrypted, or in pictures, sound and scans of paper.",
    "That nothing is left in formats without a mark to know them by, as PostgreSQL compresses large columns.",
    "That nothing is left in parts of a file system that belong to no file.",
    "That the person is not in there under other spellings, or other values, than were looked for.",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One value in one file, spelled and contained in one way, however often.

    `line` is the value's line in the file of values. `encoding` reads from the outside in: `gzip>base64`.
    `offset` is where in the file it first stands, or where the outermost container begins; then `inner` is
    the offset in what came out of the innermost. A value in a file's name has no offset.
    """

    path: str
    line: int
    label: str
    encoding: str
    offset: int | None
    inner: int | None
    count: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that was not looked at, or not all of it. `reason` is a key of `GAPS`."""

    path: str
    reason: str
    encoding: str = ""
    offset: int | None = None
    inner: int | None = None
    count: int = 1
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidueReport:
    """The result of `scan`. Times are microseconds since 1970.

    `commitment` is HMAC-SHA256 under `salt` of the values, each after its length (u32, big-endian): who keeps
    salt and values can show later what was looked for. `more` counts findings and gaps beyond the kept ones.
    """

    files: int
    read_bytes: int
    unpacked_bytes: int
    links: int
    values: int
    findings: tuple[Finding, ...]
    incomplete: tuple[Gap, ...]
    more: int
    commitment: bytes
    salt: bytes
    depth: int
    unpack_limit: int
    started_at: int
    finished_at: int

    @property
    def verdict(self) -> Verdict:
        """Clean only when nothing was found and everything could be looked at."""
        if self.findings:
            return "residue"
        return "incomplete" if self.incomplete or self.more else "clean"

    def summary(self) -> dict[str, Any]:
        """What a certificate may carry: counts and limits. No paths, no labels, no salt."""
        reasons: dict[str, int] = {}
        for gap in self.incomplete:
            reasons[gap.reason] = reasons.get(gap.reason, 0) + gap.count
        return {
            "verdict": self.verdict,
            "files": self.files,
            "bytes": self.read_bytes,
            "unpacked_bytes": self.unpacked_bytes,
            "links_not_followed": self.links,
            "values": self.values,
            "values_found": len({finding.line for finding in self.findings}),
            "findings": sum(finding.count for finding in self.findings),
            "incomplete": reasons,
            "values_commitment": self.commitment.hex(),
            "looked_inside": [kind.name for kind in (*KINDS, PG_DUMP) if kind.open or kind is PG_DUMP],
            "depth": self.depth,
            "unpack_limit": self.unpack_limit,
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(self.finished_at),
            "does_not_show": list(NOT_SHOWN),
        }

    def as_dict(self) -> dict[str, Any]:
        """Everything, for the person who gave the values: also where, and the salt."""
        return {
            **self.summary(),
            "values_salt": self.salt.hex(),
            "found": [asdict(finding) for finding in self.findings],
            "gaps": [{**asdict(gap), "means": GAPS[gap.reason]} for gap in self.incomplete],
            "more": self.more,
        }
