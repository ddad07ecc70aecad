"""An evidence pack checked as a whole: `read` gives a file's bytes by its name, `names` lists all files.

README.md            for people
index.json           span and filter, the head, and the SHA-256 of every file but the statement
statement.json       the index, signed with the log's key
ledger/GENERATION/   the whole log as published: what any tlog-tiles client reads, and `rotations`
generations.json     every generation of the log, its keys and head
checkpoints/SIZE     earlier heads of the time asked about, with their cosignatures
policies/HEX.json    the policy bundles that entries of the span name
access-lists/HEX.json  and their separate access lists
certificates/ID.json every certificate
pending.json         erasures under way, whose certificates are not signed yet
populations/NAME.json  which entries of the log belong to what: the filter is run again
receipts/ID.tlog-proof and openings/ID.json, where these were asked for
"""

import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from tenure.errors import Malformed, Unverified
from tenure.ledger import schema
from tenure.ledger.audit import COMMITMENTS, LISTS, NO_EARLIER, AuditReport, Progress, audit
from tenure.ledger.canonical import canonical, parse_canonical
from tenure.ledger.checkpoint import Checkpoint
from tenure.ledger.entry import Kind, parse_access_list, parse_entry
from tenure.ledger.evidence import open_statement
from tenure.ledger.keychain import FILE, Lineage, lineage
from tenure.ledger.note import ED25519, Verifier
from tenure.ledger.opening import Seen, verify_openings
from tenure.ledger.packcertificates import FOLDER as CERTIFICATES
from tenure.ledger.packcertificates import Certificates, Ends
from tenure.ledger.receipt import parse_receipt, verify_receipt
from tenure.ledger.report import Failure, Report
from tenure.ledger.selection import Selection
from tenure.ledger.tile import decode_bundle, expected_bundles

INDEX, STATEMENT, README, GENERATIONS = "index.json", "statement.json", "README.md", "generations.json"
VERSION = 1
KIND = "evidence-pack"
_DAY = len("2026-01-31")

Read = Callable[[str], bytes | None]


class Span(NamedTuple):
    """What a pack is about: entries of a time, of one principal or of everybody; both None is all times."""

    since: str | None = None
    until: str | None = None
    principal: str | None = None

    @property
    def selection(self) -> Selection:
        """The filter over entries."""
        return Selection(since=self.since, until=self.until, principal=self.principal)


WHOLE = Span()


class Named(NamedTuple):
    """What the entries of a span name, and the populations among them."""

    policies: frozenset[str]
    applied: frozenset[str]
    """Policies that somebody made the tenant's, as the whole log says."""
    lists: dict[str, dict[str, Any]]
    """Digest of a separate access list → the entry that names it."""
    populations: dict[str, tuple[Selection, list[int]]]
    days: dict[str, int]
    """Day (UTC) → how many entries the log had after the last one of the span that is of this day."""
    ends: Ends
    """What the whole log says about certificates, of the span or not."""
    committed: int
    """Commitments in the whole log, each where it was made; those in separate lists are not counted."""
    lists_beyond: int
    """Entries with a separate access list that are not of the span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackReport(Report):
    """What checking a pack showed. `log` is the audit of the log in it."""

    log: AuditReport | None = None
    span: Span = WHOLE
    statement: dict[str, Any] = field(default_factory=dict)
    files: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """How many of each kind of paper verified."""
    populations: dict[str, int] = field(default_factory=dict)
    seen: dict[str, tuple[Seen, ...]] = field(default_factory=dict)
    """Decision → what its openings show."""
    witnesses: tuple[str, ...] = ()
    earlier_keys: tuple[str, ...] = ()
    """Changes of the log's key before the one that was given, proven back from it."""


def entries_of(read: Read, size: int) -> Iterable[bytes]:
    """The raw entries of a log in order; raises `Unverified` ("bundle-missing") for a hole."""
    for bundle in expected_bundles(size):
        raw = read(bundle.path)
        if raw is None:
            raise Unverified("bundle-missing", f"{bundle.path} is not there.")
        yield from decode_bundle(raw)


def survey(entries: Iterable[bytes], span: Span, wanted: Container[str] = frozenset()) -> Named:
    """Go through a log once. Populations: the whole span, one for each kind in it, and what was denied.

    `wanted`: entries of certificates, for `Ends`. These are looked for in the whole log.
    """
    ends = Ends(wanted)
    committed = lists_beyond = 0
    policies: set[str] = set()
    applied: set[str] = set()
    lists: dict[str, dict[str, Any]] = {}
    whole = span.selection
    days: dict[str, int] = {}
    found: dict[str, tuple[Selection, list[int]]] = {"span": (whole, [])}
    for index, raw in enumerate(entries):
        entry = parse_entry(raw)
        ends.take(index, entry)
        if entry["kind"] == Kind.POLICY_CHANGE:
            applied.add(str(entry.get("data", {}).get("bundle")))
        committed += _made(entry.get("accesses", ()))
        if not whole.takes(entry, ()):
            lists_beyond += "accesses_sha256" in entry
            continue
        found["span"][1].append(index)
        days[entry["at"][:_DAY]] = index + 1
        kind = entry["kind"]
        found.setdefault(f"kind-{kind}", (whole._replace(kind=kind), []))[1].append(index)
        if entry["outcome"] == "denied":
            found.setdefault("denied", (whole._replace(outcome="denied"), []))[1].append(index)
        if "policy" in entry:
            policies.add(entry["policy"])
        if "accesses_sha256" in entry:
            lists[entry["accesses_sha256"]] = entry
    return Named(frozenset(policies), frozenset(applied), lists, found, days, ends, committed, lists_beyond)


def _made(accesses: Iterable[Mapping[str, Any]]) -> int:
    """Commitments that were made there. The seal of a decision repeats those of its entries, naming them."""
    return sum("commitment" in one and "entry" not in one for one in accesses)


def population_file(selection: Selection, head: Checkpoint, matches: Sequence[int]) -> bytes:
    """A population beside its whole log: the filter, the head, and the indexes of what it takes."""
    return canonical(
        {
            "v": VERSION,
            "kind": "population-of-log",
            "filter": selection.members(),
            "origin": head.origin,
            "size": head.size,
            "root": head.root.hex(),
            "matches": list(matches),
        }
    )


def index_file(span: Span, generation: int, head: Checkpoint, files: Mapping[str, bytes]) -> bytes:
    """The index of a pack. `files` maps the name of every file to the SHA-256 of its bytes."""
    return canonical(
        {
            "v": VERSION,
            "kind": KIND,
            "filter": span.selection.members(),
            "generation": generation,
            "origin": head.origin,
            "size": head.size,
            "root": head.root.hex(),
            "files": {name: digest.hex() for name, digest in files.items()},
        }
    )


def policy_name(digest: str) -> str:
    """The file of a policy bundle, by the digest that entries name."""
    return f"policies/{digest.removeprefix('sha256:')}.json"


def list_name(digest: str) -> str:
    """The file of a separate access list, by its digest."""
    return f"access-lists/{digest}.json"


def check_pack(
    read: Read,
    names: Iterable[str],
    verifiers: Sequence[Verifier],
    *,
    cell_keys: Sequence[Verifier] = (),
    earlier: Sequence[str] = (),
    progress: Progress | None = None,
) -> PackReport:
    """Check everything in a pack, offline. Never raises for what it reads there.

    `earlier` are checkpoints that were seen before, beside those in the pack; `cell_keys` are keys of the
    cell's log.

    0 the log's changes of key, from the keys given to the one in force, and back to the ones before; 1 the
    statement is signed by the one in force, and the index is its; 2 the files are those of the index, no more
    and no fewer; 3 the log, as `audit` does, with the earlier heads and those of receipts; 4 what entries of
    the span name is there and is it; 5 certificates, with the entries that they name; 6 populations, by
    running their filters again; 7 receipts and openings. Of a key that was replaced counts only what the log
    has from before.
    """
    check = _Check(read, sorted(names), verifiers, cell_keys)
    try:
        check.run(earlier, progress)
    except Unverified as failure:
        check.failures.append(Failure.of(failure))
        check.left.append("Everything else.")
    return check.report()


@dataclass(slots=True)
class _Check:
    read: Read
    names: list[str]
    verifiers: Sequence[Verifier]
    cell_keys: Sequence[Verifier] = ()
    keys: Lineage = field(default_factory=lambda: Lineage((), (), ()))
    failures: list[Failure] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    statement: dict[str, Any] = field(default_factory=dict)
    index: dict[str, Any] = field(default_factory=dict)
    log: AuditReport | None = None
    counts: dict[str, int] = field(default_factory=dict)
    populations: dict[str, int] = field(default_factory=dict)
    seen: dict[str, tuple[Seen, ...]] = field(default_factory=dict)
    span: Span = WHOLE

    def run(self, earlier: Sequence[str], progress: Progress | None) -> None:
        raw, statement = self._needed(INDEX), self._needed(STATEMENT)
        self.index = _parse_index(raw)
        self.keys = self._lineage()
        self._seal(raw, statement.decode("utf-8", "replace"))
        chosen = self.index["filter"]
        self.span = Span(chosen.get("from"), chosen.get("to"), chosen.get("principal"))
        self._files()
        base = f"ledger/{self.index['generation']}"
        self.log = audit(
            lambda path: self.read(f"{base}/{path}"),
            self.verifiers,
            earlier=[
                *earlier,
                *(self._text(name) for name in self._below("checkpoints/")),
                *self._heads_of_receipts(),
            ],
            before=self.keys.before,
            progress=progress,
        )
        self.failures.extend(self.log.failures)
        self.left.extend(self.log.not_checked)
        if not earlier:
            self.left.append(NO_EARLIER)  # heads in the pack came with the pack
        if not self.log.ok or self.log.checkpoint is None:
            self.left.append("Everything that rests on the log.")
            return
        self._head(self.log.checkpoint)
        certificates = self._certificates()
        entries = entries_of(lambda path: self.read(f"{base}/{path}"), self.log.checkpoint.size)
        named = survey(entries, self.span, certificates.open())
        self._policies(named)
        in_lists = self._lists(named)
        certificates.compare(named.ends)
        self._populations(named, self.log.checkpoint)
        opened = self._receipts()
        self._unopened(named, named.committed + in_lists, opened)
        self._generations(self.log.checkpoint)

    def report(self) -> PackReport:
        return PackReport(
            failures=tuple(self.failures),
            not_checked=tuple(dict.fromkeys(self.left)),
            signers=self.log.signers if self.log else (),
            log=self.log,
            span=self.span,
            statement=self.statement,
            files=len(self.names),
            counts=self.counts,
            populations=self.populations,
            seen=self.seen,
            witnesses=self.log.witnesses if self.log else (),
            rotations=self.log.rotations if self.log else (),
            earlier_keys=tuple(step.sentence for step in self.keys.before),
        )

    def _needed(self, name: str) -> bytes:
        found = self.read(name)
        if found is None:
            raise Unverified("pack-file-missing", f"A pack has {INDEX} and {STATEMENT}; {name} is not there.")
        return found

    def _lineage(self) -> Lineage:
        """The log's keys: from those that were given to the one in force, and back to the ones before."""
        chain = self._text(f"ledger/{self.index['generation']}/{FILE}")
        claimed = [key for one in self._listed()[-1:] for key, _ in _previous(one)]
        return lineage(chain, self.verifiers, claimed)

    def _seal(self, raw: bytes, statement: str) -> None:
        """The statement is signed by the key in force, never by one that was replaced; the index is its."""
        try:
            self.statement = open_statement(statement, self.keys.in_force)
        except Unverified as failure:
            raise self._signed_by_another(statement, failure) from None
        if sha256(raw).hexdigest() != self.statement["index_sha256"]:
            raise Unverified("pack-index", "The index is not the one that was signed.")

    def _signed_by_another(self, statement: str, failure: Unverified) -> Unverified:
        if failure.check != "unknown-key":
            return failure
        try:
            open_statement(statement, self.keys.known)
        except Unverified:
            return Unverified(
                failure.check,
                f"{failure.detail} If the log's key was changed after the pack was taken, take it again, or"
                " give the key of then.",
            )
        return Unverified("key-retired", "The statement is signed by a key that was replaced before.")

    def _files(self) -> None:
        """The files that are there are those of the index, byte for byte."""
        listed = self.index["files"]
        there = {name for name in self.names if name not in (INDEX, STATEMENT)}
        if len(listed) != self.statement["files"]:
            self._fail("pack-index", "The index has not as many files as was signed.")
        for name in sorted(listed.keys() - there):
            self._fail("pack-file-missing", f"{name} is in the index and not in the pack.")
        for name in sorted(there - listed.keys()):
            self._fail("pack-file-added", f"{name} is in the pack and not in its index.")
        for name in sorted(there & listed.keys()):
            if sha256(self.read(name) or b"").hexdigest() != listed[name]:
                self._fail("pack-file-changed", f"{name} is not the file that the index names.")

    def _head(self, head: Checkpoint) -> None:
        """Statement, index and log are of one head."""
        of_log = (head.origin, head.size, head.root.hex())
        for what, value in (("statement", self.statement), ("index", self.index)):
            if (value["origin"], value["size"], value["root"]) != of_log:
                self._fail("pack-head", f"The {what} is about another head than the log in the pack.")

    def _policies(self, named: Named) -> None:
        there = set(self._below("policies/"))
        for name in sorted({policy_name(digest) for digest in named.policies} - there):
            self._fail("policy-missing", f"Entries of the span were decided under {name}.")
        for name in sorted(there):
            found = sha256(self.read(name) or b"").hexdigest()
            if policy_name(found) != name:
                self._fail("policy-digest", f"{name} is not the policy bundle of that digest.")
        self.counts["policies"] = len(there)
        known = [self._manifests_of(digest) for digest in named.applied]
        for digest in sorted(named.policies - named.applied):
            if self._manifests_of(digest) not in (None, [], *known):
                self.left.append(
                    f"Who applied the policy {digest}: no entry of this log does, and entries of the span"
                    " were decided under it. It is of an earlier generation of the log, or came with an"
                    " upgrade of the service, or somebody changed rules behind its back."
                )

    def _manifests_of(self, digest: str) -> Any:  # noqa: ANN401 - whatever JSON a bundle's file has there
        """What a policy bundle in the pack declares; None if there is none, or it is no bundle."""
        try:
            return json.loads(self.read(policy_name(digest)) or b"")["manifests"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def _lists(self, named: Named) -> int:
        """Separate access lists; how many commitments were made in them."""
        committed = 0
        there = set(self._below("access-lists/"))
        for digest, entry in sorted(named.lists.items()):
            raw = self.read(list_name(digest))
            try:
                committed += _made(parse_access_list(raw or b"", entry))
            except Unverified as failure:
                self.failures.append(Failure.of(failure))
        for name in sorted(there - {list_name(digest) for digest in named.lists}):
            self._fail("access-list", f"No entry of the span names {name}.")
        self.counts["access lists"] = len(there)
        return committed

    def _certificates(self) -> Certificates:
        names = self._below(CERTIFICATES)
        self.counts["certificates"] = len(names)
        origin = self.index["origin"]
        return Certificates(self.read, names, self.keys, self._elders, origin, self.failures, self.left)

    def _heads_of_receipts(self) -> Iterable[str]:
        """The checkpoints of receipts of this log: heads that were given out before."""
        for name in self._below("receipts/"):
            try:
                note = parse_receipt(self._text(name)).checkpoint
            except Unverified:
                continue  # `_receipts` says so
            if note.partition("\n")[0] == self.index["origin"]:
                yield note

    def _populations(self, named: Named, head: Checkpoint) -> None:
        due = {
            f"populations/{name}.json": population_file(selection, head, matches)
            for name, (selection, matches) in named.populations.items()
        }
        there = set(self._below("populations/"))
        for name in sorted(due.keys() | there):
            if self.read(name) != due.get(name):
                self._fail("population", f"{name} is not what its filter takes from the log.")
        self.populations = {name: len(matches) for name, (_, matches) in named.populations.items()}

    def _receipts(self) -> int:
        """Receipts and openings; how many commitments of this log were opened."""
        names = self._below("receipts/")
        taken_in = of_this_log = 0
        for name in names:
            decision = name.removeprefix("receipts/").removesuffix(".tlog-proof")
            receipt = verify_receipt(self._text(name), self.keys.known, self.cell_keys)
            self.failures.extend(receipt.failures)
            if receipt.cell is not None:
                taken_in += 1
                if not receipt.cell.signed:
                    self.left.append("Whether the cell's log was signed: give its key with --cell-vkey.")
            elif self.cell_keys and receipt.ok:
                self.left.append(f"The cell's log: {name} has no part about it.")
            if receipt.ok and receipt.entry.get("decision") != decision:
                self._fail("pack-format", f"{name} is the receipt of another decision.")
            opened = self.read(f"openings/{decision}.json")
            if opened is not None:
                report = verify_openings(opened.decode("utf-8", "replace"), receipt)
                self.failures.extend(report.failures)
                self.left.extend(f"Decision {decision}: {text}" for text in report.not_checked)
                self.seen[decision] = report.seen
                if receipt.checkpoint is not None and receipt.checkpoint.origin == self.index["origin"]:
                    of_this_log += report.opened
        openings = {f"receipts/{name[9:-5]}.tlog-proof" for name in self._below("openings/")}
        for name in sorted(openings - set(names)):
            self._fail("pack-file-missing", f"{name}: openings show something only with their receipt.")
        self.counts["receipts"], self.counts["openings"] = len(names), len(openings)
        if taken_in:
            self.counts["in the cell's log"] = taken_in
        return of_this_log

    def _unopened(self, named: Named, committed: int, opened: int) -> None:
        """What the log alone leaves open, as far as the pack does, too."""
        self.left[:] = [one for one in self.left if one != COMMITMENTS and not one.endswith(LISTS)]
        if committed > opened:
            self.left.append(
                f"What {committed - opened} of the log's {committed} commitments stand for: no openings of"
                " these are in the pack."
            )
        if named.lists_beyond:
            self.left.append(f"{named.lists_beyond} {LISTS} They are not of the span.")

    def _generations(self, head: Checkpoint) -> None:
        """The newest generation is the log in the pack. Older ones are named, not brought along."""
        items = self._listed()
        if not items:
            self._fail("pack-format", f"{GENERATIONS} is not the list of the log's generations.")
            return
        self.counts["generations"] = len(items)
        newest = items[-1]
        if (newest["generation"], newest["origin"]) != (self.index["generation"], head.origin):
            self._fail("pack-head", f"{GENERATIONS} ends with another log than the one in the pack.")
        if newest["key"] not in self.keys.in_force:
            self._fail("rotation", f"The key that {GENERATIONS} names is not the one that is in force.")
        proven = {(key, step.place) for key, step in self.keys.replaced.items()}
        for key, place in _previous(newest):
            if (key, place) not in proven:
                self._fail("rotation", f"That entry {place} replaced {key.key_id.hex()} is not proven.")
        if len(items) > 1:
            self.left.append(
                f"The {len(items) - 1} generations of the log before this one: they are not in the pack. The"
                " first entry of each generation says what it follows and what was lost."
            )

    def _elders(self, keys: Sequence[Verifier]) -> Iterable[Verifier]:
        """Keys under the names that they had in earlier generations of this log."""
        trusted = {key.public for key in keys if key.algorithm == ED25519}
        for one in self._listed():
            for elder in (one["key"], *(key for key, _ in _previous(one))):
                if elder.public in trusted and elder.algorithm == ED25519:
                    yield elder

    def _listed(self) -> list[dict[str, Any]]:
        """The log's generations as the pack lists them, each with its `key`; none if that is no such list."""
        try:
            items = [dict(one) for one in json.loads(self.read(GENERATIONS) or b"")["items"]]
            for one in items:
                one["key"] = Verifier.parse(one["vkey"])
                one["generation"], one["origin"], _previous(one)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Malformed):
            return []
        return items

    def _below(self, folder: str) -> list[str]:
        return [name for name in self.names if name.startswith(folder)]

    def _text(self, name: str) -> str:
        return (self.read(name) or b"").decode("utf-8", "replace")

    def _fail(self, check: str, detail: str) -> None:
        self.failures.append(Failure(check, detail))


def _previous(generation: Mapping[str, Any]) -> list[tuple[Verifier, int]]:
    """A generation's keys before the present one, newest first, and the entry that replaced each."""
    found = [(Verifier.parse(one["vkey"]), one["replaced_at"]) for one in generation.get("previous", ())]
    if not all(schema.is_count(place) for _, place in found):
        raise ValueError("not the index of an entry")
    return found


def _parse_index(raw: bytes) -> dict[str, Any]:
    try:
        value = parse_canonical(raw)
        if (
            value.keys() == {"v", "kind", "filter", "generation", "origin", "size", "root", "files"}
            and value["v"] == VERSION
            and value["kind"] == KIND
            and schema.is_count(value["generation"])
            and Selection.parse(value["filter"]) is not None
            and value["filter"].keys() <= {"from", "to", "principal"}
            and type(value["files"]) is dict
            and all(map(schema.is_hex_hash, value["files"].values()))
        ):
            return dict(value)
    except (ValueError, AttributeError, TypeError):
        pass
    raise Unverified("pack-format", f"{INDEX} is not of the form of an evidence pack's index.")
