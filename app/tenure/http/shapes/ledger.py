"""The log, receipts, populations, evidence, certificates."""

from typing import Any, Literal

from tenure.http.shapes.base import Shape


class Consistency(Shape):
    """That the tree of `new` entries extends the one of `old`: RFC 6962 §2.1.2, each hash in base64."""

    old: int
    new: int
    proof: list[str]


class LogKey(Shape):
    """A log's key and origin."""

    vkey: str
    origin: str


class EarlierKey(Shape):
    """A key that signed before, and the index of the entry that replaced it."""

    vkey: str
    replaced_at: int


class LedgerKey(LogKey):
    """What verifiers pin. `previous` is newest first; `cell` is the cell's own log."""

    previous: list[EarlierKey]
    cell: LogKey | None


class RotatedKey(LogKey):
    """A log's new key, the one before, and the index of the entry that says so."""

    previous: str
    index: int


class Entry(Shape):
    """A ledger entry at its place."""

    index: int
    id: str
    entry: dict[str, Any]


class EntryPage(Shape):
    """A page of entries."""

    items: list[Entry]
    next: str | None


class Generation(Shape):
    """One generation of a log: its name and key, and how far it came; `root` in hex."""

    generation: int
    origin: str
    vkey: str
    size: int
    root: str
    previous: list[EarlierKey]


class Generations(Shape):
    """Every generation of a log, oldest first; the last one grows."""

    items: list[Generation]


class IssuedCertificate(Shape):
    """A certificate: the DSSE envelope, as text, exactly as it was signed."""

    id: str
    certificate: str


class ErasureUnderWay(Shape):
    """An erasure that is not certified yet; what it did may be in the log already."""

    shred: str
    state: str


class CertificatePage(Shape):
    """A page of certificates; the first also has the erasures that are under way."""

    items: list[IssuedCertificate]
    pending: list[ErasureUnderWay]
    next: str | None


class Range(Shape):
    """Entries first … end - 1 of a log."""

    first: int
    end: int


class PopulationPage(Shape):
    """Entries first … end - 1, all of them, under a signed tree head, and which of them the filter takes.

    `docs/spec/ledger.md` says how to check it. Canonical JSON: save it as it came.
    """

    v: Literal[1]
    kind: Literal["population"]
    checkpoint: str
    filter: dict[str, str]
    range: Range
    first: int
    end: int
    entries: list[str]
    lists: dict[str, str]
    left: list[str]
    right: list[str]
    matches: list[int]
    next: str | None


class Envelope(Shape):
    """A signed certificate: a DSSE envelope."""

    payload: str
    payloadType: str  # noqa: N815 - DSSE's spelling
    signatures: list[dict[str, Any]]
