"""The certificates of an evidence pack: each is what the log says, and none that the log names is missing.

An erasure's certificate is signed after its `purge` entry: when the root store has destroyed the old root,
and the search that was asked for is over. `pending.json` has the erasures that were under way when the pack
was taken, in the service's word: that is said for each that an entry names, and is no failure. A request's
certificate is there with its entry. What an entry named that a restored database took back from its own log
may be lost with the database; the `restore` entry says which these are.
"""

import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from tenure.ledger import requestcertificate
from tenure.ledger.certificate import IN_A_PACK, CertificateReport, verify_certificate
from tenure.ledger.entry import Kind
from tenure.ledger.keychain import Lineage
from tenure.ledger.note import Verifier
from tenure.ledger.report import Failure

FOLDER = "certificates/"
PENDING = "pending.json"
VERSION = 1

Read = Callable[[str], bytes | None]
Elders = Callable[[Sequence[Verifier]], Iterable[Verifier]]
"""Keys under the names that they had in earlier generations of the log."""

_NAMES = {Kind.PURGE.value: "shred", Kind.REQUEST_CLOSE.value: "request"}
"""Entries that name a certificate, and the member of `data` that says of what."""


class Due(NamedTuple):
    """A certificate that must be there, and the entry that names it first."""

    certificate: str
    place: int


class Ends:
    """What a log says about certificates, taken in entry by entry.

    `due` has the certificate that each erasure and request ended with: if it ended again after a restore, the
    later one. `wanted` entries are kept with their places, those of erasures by their ids (`WRITER-N`) and
    the first end of a request by the id of its certificate.
    """

    def __init__(self, wanted: Container[str] = frozenset()) -> None:
        self._wanted = wanted
        self.wanted: dict[str, tuple[int, dict[str, Any]]] = {}
        self.due: dict[tuple[str, str], Due] = {}
        self.back: list[tuple[int, int, int]] = []
        """Entries [first, end) that a restored database took back, and the entry that says so."""

    def take(self, index: int, entry: dict[str, Any]) -> None:
        """The log's next entry."""
        if (entry_id := f"{entry['writer']}-{entry['n']}") in self._wanted:
            self.wanted[entry_id] = (index, entry)
        kind, data = entry["kind"], entry.get("data", {})
        if kind == Kind.RESTORE:
            first, end = data.get("from_size"), data.get("to_size")
            if type(first) is int and type(end) is int:
                self.back.append((first, end, index))
        if kind not in _NAMES:
            return
        named, of = data.get("certificate"), data.get(_NAMES[kind])
        if type(named) is not str or type(of) is not str:
            return
        if kind == Kind.REQUEST_CLOSE and named in self._wanted:
            self.wanted.setdefault(named, (index, entry))  # what comes later is the end of its case
        known = self.due.get((kind, of))
        if known is None or known.certificate != named:
            self.due[kind, of] = Due(named, index)

    def taken_back(self, place: int) -> int | None:
        """The entry that says that a restored database took this one back from the log; None: it did not."""
        return next((said for first, end, said in self.back if first <= place < end), None)


def pending_file(erasures: Iterable[Mapping[str, Any]]) -> bytes:
    """Erasures that were under way when the pack was taken: `{"shred","state"}` each."""
    items = [{"shred": one["shred"], "state": one["state"]} for one in erasures]
    return json.dumps({"v": VERSION, "items": items}, sort_keys=True).encode()


@dataclass(slots=True)
class Certificates:
    """Checks them; `failures` and `left` are the pack's own, and added to."""

    read: Read
    names: Sequence[str]
    keys: Lineage
    elders: Elders
    origin: str
    failures: list[Failure]
    left: list[str]
    _found: list[tuple[str, CertificateReport]] = field(default_factory=list)

    def open(self) -> frozenset[str]:
        """Verify what some key of the log signed; how the entries are found that these are about."""
        keys = [*self.keys.known, *self.elders(self.keys.known)]
        for name in self.names:
            report = verify_certificate(self._text(name), keys)
            self.failures.extend(report.failures)
            if not report.ok:
                continue
            if name != file_of(report.certificate["id"]):
                self._fail("pack-format", f"{name} holds the certificate of another id.")
            self._found.append((name, report))
        return frozenset(_key_of(report.certificate) for _, report in self._found)

    def compare(self, ends: Ends) -> None:
        """With what the log says, both ways."""
        for name, report in self._found:
            self._entry_of(name, report, ends)
            self._erasure_of(name, report)
        self._missing(ends)

    def _entry_of(self, name: str, report: CertificateReport, ends: Ends) -> None:
        """Its entry is the log's, and from before the change if a key signed that was replaced since."""
        certificate, text = report.certificate, self._text(name)
        keys = self.keys.in_force
        current = verify_certificate(text, [*keys, *self.elders(keys)]).ok
        self.left.extend(one for one in report.not_checked if one not in IN_A_PACK)
        place, entry = ends.wanted.get(_key_of(certificate), (None, {}))
        if certificate["origin"] != self.origin:
            self.left.append(
                f"Whether the log of an earlier generation holds the entry that {name} names."
                if current
                else f"When {name} was signed: its entry is in an earlier generation, which is not in the"
                " pack, and its key was replaced since. Whoever stole that key could have made it."
            )
            return
        if place is not None and not _says(entry, certificate):
            self._fail("certificate-entry", f"{name} names entry {place}, which is not what it is about.")
        if current:
            if place is None:
                self.left.append(f"The entry that {name} names: the log up to this head does not have it.")
            return
        until = max(step.size for key, step in self.keys.replaced.items() if _signed(text, key))
        if place is None or place >= until:
            self._fail(
                "key-retired",
                f"{name} is signed by a key that was replaced, and no entry before {until} is its.",
            )

    def _erasure_of(self, name: str, report: CertificateReport) -> None:
        """The erasure that a request's certificate names is certified in the pack, by that very envelope."""
        if report.certificate["kind"] != requestcertificate.KIND:
            return
        found = report.certificate["done"].get("residue")
        named = found.get("certificate") if isinstance(found, dict) else None
        raw = None if named is None else self.read(file_of(named))
        if named is not None and sha256(raw or b"").hexdigest() != found["sha256"]:
            self._fail("certificate-erasure", f"{name} names a certificate of an erasure that is not here.")

    def _missing(self, ends: Ends) -> None:
        """Whatever the log says was certified is in the pack, of which time ever."""
        there, pending = frozenset(self.names), self._pending()
        for (kind, of), (certificate, place) in ends.due.items():
            if file_of(certificate) in there:
                continue
            what = f"Certificate {certificate}, which entry {place} names"
            restored = ends.taken_back(place)
            if kind == Kind.PURGE and of in pending:
                self.left.append(
                    f"{what}: the erasure was still under way, the service says ({pending[of]}); it is signed"
                    " when that is over. Take a pack again then."
                )
            elif restored is not None:
                self.left.append(
                    f"{what}: entry {restored} says that the database went back behind that, and the"
                    " certificate may be lost with it."
                )
            else:
                self._fail(
                    "certificate-missing",
                    f"The log names certificate {certificate}, and it is not in the pack.",
                    place,
                )

    def _pending(self) -> dict[str, str]:
        """Erasures that were under way, and their states."""
        raw = self.read(PENDING)
        if raw is None:
            return {}  # a pack of before there was such a file; one that is left out, the index has
        try:
            return {str(one["shred"]): str(one["state"]) for one in json.loads(raw)["items"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            self._fail("pack-format", f"{PENDING} is not the list of erasures that were under way.")
            return {}

    def _text(self, name: str) -> str:
        return (self.read(name) or b"").decode("utf-8", "replace")

    def _fail(self, check: str, detail: str, index: int | None = None) -> None:
        self.failures.append(Failure(check, detail, index))


def file_of(certificate_id: str) -> str:
    """The file of a certificate."""
    return f"{FOLDER}{certificate_id}.json"


def _key_of(certificate: Mapping[str, Any]) -> str:
    """How the entry is found that a certificate is about: its id; of a rights request, the certificate's."""
    return str(certificate["id" if certificate["kind"] == requestcertificate.KIND else "entry"])


def _says(entry: Mapping[str, Any], certificate: Mapping[str, Any]) -> bool:
    """Whether an entry is what a certificate is about."""
    data = entry.get("data", {})
    if data.get("certificate") != certificate["id"]:
        return False
    if certificate["kind"] != requestcertificate.KIND:
        return (entry["kind"], data.get("shred")) == (Kind.PURGE, certificate["shred"])
    said = (entry["kind"], entry["outcome"], data.get("request"))
    return said == (Kind.REQUEST_CLOSE, certificate["outcome"], certificate["request"])


def _signed(text: str, key: Verifier) -> bool:
    return verify_certificate(text, [key]).ok
