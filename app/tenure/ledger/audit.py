"""Auditing a whole log from what it publishes. Nothing that it stores is believed: all is recomputed.

docs/spec/ledger.md has the table of failure names. An empty log never passes.
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenure.errors import Unverified
from tenure.ledger import quick
from tenure.ledger.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint, peek_checkpoint
from tenure.ledger.entry import Kind, parse_entry
from tenure.ledger.keychain import FILE, Step, follow, named_key
from tenure.ledger.note import Verifier, note_body, note_signatures
from tenure.ledger.report import Failure, Report
from tenure.ledger.tile import WIDTH
from tenure.ledger.walk import Growth, Source, Walk
from tenure.ledger.writers import WriterCounters

MOST_SHOWN = 20
"""Failures of one name that are listed one by one; the rest are counted."""

NO_EARLIER = "Whether the log was rolled back or forked before: no earlier checkpoint was given."
"""What is left open without one."""
COMMITMENTS = "What the commitments stand for: that needs the openings and the content."
LISTS = "separate access lists: only their digests are in the log."
"""What the log alone leaves open; in an evidence pack there may be more."""

Progress = Callable[[int, int], None]
"""Called with (entries read, entries in all), once for each bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport(Report):
    """What auditing a log showed. Counts are of what could be read."""

    checkpoint: Checkpoint | None = None
    entries: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    writers: int = 0
    earlier: tuple[int, ...] = ()
    """Sizes of the earlier checkpoints that this log extends."""
    witnesses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What the log says of itself and a reader should know."""


@dataclass(slots=True)
class _Findings:
    """Collected while auditing."""

    failures: list[Failure] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    separate_lists: int = 0
    unread: bool = False
    named: tuple[Verifier, int] | None = None
    """The key that the log itself named last, and where."""

    def fail(self, check: str, detail: str, index: int | None = None) -> None:
        self.failures.append(Failure(check, detail, index))

    def shown(self) -> tuple[Failure, ...]:
        """At most `MOST_SHOWN` of each name, and a line that counts the rest."""
        seen: Counter[str] = Counter()
        listed = []
        for failure in self.failures:
            seen[failure.check] += 1
            if seen[failure.check] <= MOST_SHOWN:
                listed.append(failure)
        rest = {check: count - MOST_SHOWN for check, count in seen.items() if count > MOST_SHOWN}
        return (*listed, *(Failure(check, f"And {count} more of these.") for check, count in rest.items()))


def audit(
    read: Source,
    verifiers: Sequence[Verifier],
    *,
    earlier: Sequence[str] = (),
    before: Sequence[Step] = (),
    progress: Progress | None = None,
) -> AuditReport:
    """Check a log as published under `read` (tlog-tiles paths). Never raises for what it reads there.

    `earlier` are checkpoints (signed notes) that were seen before: the log must extend each of them.
    1. the checkpoint's signature; 2. every entry, hashed again, makes the signed root; 3. every tile of
    every level is what the entries make; 4. every entry is canonical and of its form; 5. no writer's
    counter has a gap; 6. every earlier checkpoint is a prefix. A change of the log's key is followed from a
    key in `verifiers` to the present one, by the log's file `rotations`: each step's checkpoint is an earlier
    one, too; and whoever the log's own entries name last must have signed the checkpoint. `before` are
    changes to a key in `verifiers` that are proven already: the keys before them may have signed earlier
    checkpoints, each up to its own change.
    """
    work = audit_in_steps(read, verifiers, earlier=earlier, before=before)
    while True:
        try:
            done, size = next(work)
        except StopIteration as finished:
            report: AuditReport = finished.value
            return report
        if progress is not None:
            progress(done, size)


def audit_in_steps(
    read: Source,
    verifiers: Sequence[Verifier],
    *,
    earlier: Sequence[str] = (),
    before: Sequence[Step] = (),
) -> Generator[tuple[int, int], None, AuditReport]:
    """`audit`, for whoever does it a little at a time: (entries read, in all) after each bundle."""
    found = _Findings()
    steps = _steps(read, verifiers, found)
    verifiers = [*verifiers, *(step.new for step in steps)]
    head = read("checkpoint")
    if head is None:
        found.fail("checkpoint-missing", "There is no checkpoint.")
        return AuditReport(failures=found.shown(), not_checked=("Everything else.",))
    signed, checkpoint = _open(head.decode("utf-8", "replace"), verifiers, found, "The checkpoint: ")
    if checkpoint is None:
        return AuditReport(failures=found.shown(), not_checked=("Everything else.",))
    changes = (*steps, *before)
    known = _earlier(
        [*earlier, *(step.checkpoint for step in changes)],
        checkpoint,
        [*verifiers, *(step.old for step in before)],
        {step.old.key_id: step.size for step in changes},
        found,
    )
    walk = Walk(read, checkpoint.size, tuple(past.size for past in known))
    counters = WriterCounters()
    for leaf in walk.leaves():
        _look_at(leaf.index, leaf.entry if leaf.agrees else None, checkpoint, counters, found)
        done = leaf.index + 1
        if done % WIDTH == 0 or done == checkpoint.size:
            yield done, checkpoint.size
    _judge(walk, checkpoint, known, found)
    _judge_key(head.decode("utf-8", "replace"), found)
    witnesses = tuple(line.name for line in signed.cosignatures) if signed else ()
    _leave_open(found, checkpoint.size, counters, earlier, witnesses)
    return AuditReport(
        failures=found.shown(),
        not_checked=tuple(found.not_checked),
        signers=tuple(line.name for line in signed.signatures) if signed else (),
        checkpoint=checkpoint,
        entries=found.kinds.total(),
        kinds=dict(sorted(found.kinds.items())),
        writers=len(counters),
        earlier=tuple(
            dict.fromkeys(past.size for past in known if walk_root(walk, past.size, checkpoint) == past.root)
        ),
        witnesses=witnesses,
        notes=tuple(found.notes),
        rotations=tuple(step.sentence for step in steps),
    )


def _steps(read: Source, verifiers: Sequence[Verifier], found: _Findings) -> list[Step]:
    """From the keys that are trusted to the ones that followed."""
    chain = read(FILE)
    if not chain:
        return []
    try:
        return follow(chain.decode("utf-8", "replace"), verifiers)
    except Unverified as failure:
        found.fail(failure.check, failure.detail)
        return []


def _judge_key(head: str, found: _Findings) -> None:
    """A key that the log says was replaced signs nothing after that: who still has it is somebody else."""
    if found.named is None:
        return
    key, place = found.named
    try:
        lines, body = note_signatures(head), note_body(head)
    except Unverified:
        return  # said before
    if not any(line[:2] == (key.name, key.key_id) and key.verify(body, line.blob) for line in lines):
        found.fail(
            "key-retired", "The checkpoint is not signed by the key that this entry puts in force.", place
        )


def _open(
    text: str, verifiers: Sequence[Verifier], found: _Findings, prefix: str
) -> tuple[SignedCheckpoint | None, Checkpoint | None]:
    """Open a checkpoint; with a failing signature go on with what it says, to find more failures."""
    try:
        signed = open_checkpoint(text, verifiers)
    except Unverified as failure:
        found.fail(failure.check, prefix + failure.detail)
    else:
        return signed, signed.checkpoint
    try:
        return None, peek_checkpoint(text)
    except Unverified:
        return None, None


def _earlier(
    texts: Sequence[str],
    checkpoint: Checkpoint,
    verifiers: Sequence[Verifier],
    replaced: Mapping[bytes, int],
    found: _Findings,
) -> list[Checkpoint]:
    """The earlier checkpoints that count: signed, of this log, not longer than it.

    `replaced` are ids of keys that were replaced, each with the size of the last checkpoint it may sign.
    """
    usable = []
    for text in texts:
        signed, past = _open(text, verifiers, found, "An earlier checkpoint: ")
        if signed is None or past is None:
            continue
        if past.origin != checkpoint.origin:
            found.fail("origin-mismatch", "An earlier checkpoint is of another log.")
        elif past.size > checkpoint.size:
            found.fail(
                "rollback", f"The log had {past.size} entries before; its checkpoint has {checkpoint.size}."
            )
        elif all(replaced.get(line.key_id, past.size) < past.size for line in signed.signatures):
            found.fail(
                "key-retired",
                f"An earlier checkpoint of {past.size} entries is signed by a key that was replaced before.",
            )
        elif past.size:
            usable.append(past)
    return usable


def _look_at(
    index: int, raw: bytes | None, checkpoint: Checkpoint, counters: WriterCounters, found: _Findings
) -> None:
    """One entry's own form, and its place in its writer's sequence."""
    if raw is None:
        found.unread = True
        return
    entry: dict[str, Any] = {}
    glance = quick.read(raw) if index else None
    if glance is None:
        try:
            entry = parse_entry(raw)
        except Unverified as failure:
            found.failures.append(Failure.of(failure, index))
            found.unread = True
            return
        glance = quick.Glance(entry["kind"], entry["n"], entry["writer"])
    found.kinds[glance.kind] += 1
    found.separate_lists += "accesses_sha256" in entry
    # After an unreadable entry nobody can tell a gap from the entry that was not read.
    out_of_turn = counters.see(index, glance.kind, glance.writer, glance.n)
    if out_of_turn is not None and not found.unread:
        found.failures.append(out_of_turn)
    if glance.kind == Kind.KEY_ROTATE:
        _name(index, raw, checkpoint, found)
    if index == 0:
        _first(entry, checkpoint, found)


def _name(index: int, raw: bytes, checkpoint: Checkpoint, found: _Findings) -> None:
    """An entry that puts a key in force."""
    try:
        named = named_key(parse_entry(raw), checkpoint.origin)
    except Unverified as failure:
        found.failures.append(Failure.of(failure, index))
        return
    if named is not None:
        found.named = (named, index)


def _first(entry: dict[str, Any], checkpoint: Checkpoint, found: _Findings) -> None:
    """The first entry of a generation says which log this is and what went before."""
    if entry["kind"] != Kind.LOG_OPEN:
        found.not_checked.append("Whether this log continues another one: its first entry does not say.")
        return
    data = entry.get("data", {})
    if data.get("origin", checkpoint.origin) != checkpoint.origin:
        found.fail("origin-mismatch", "The first entry opens another log than the checkpoint's.", 0)
    if "lost" in data:
        found.notes.append(
            f"This log follows {data.get('previous_origin', 'another one')}, of which {data['lost']} entries"
            " were lost."
        )


def _judge(walk: Walk, checkpoint: Checkpoint, known: Sequence[Checkpoint], found: _Findings) -> None:
    """Compare the rebuilt tree with what was signed and served."""
    if not checkpoint.size:
        found.fail("empty", "The log has no entries, so there is nothing that it could prove.")
    _missing(walk, found)
    entries_fit = not walk.stopped and _root(walk.recomputed) == checkpoint.root
    claims_fit = walk.claimed is not None and not walk.stopped and _root(walk.claimed) == checkpoint.root
    if not walk.stopped and not entries_fit and not claims_fit:
        found.fail("root-mismatch", "The entries do not make the root that the checkpoint signs.")
    for index in walk.disagreeing:
        if claims_fit:
            found.fail("entry-flipped", f"Entry {index} was changed: the signed tree holds another.", index)
        else:
            found.fail("tile-mismatch", f"Its level-0 tile has another hash for entry {index}.", index)
    if walk.stopped:
        found.not_checked.append("The root and the upper tiles: entries and their hashes are missing.")
    else:
        walk.compare_upper_tiles(_believed(walk, checkpoint))
    found.failures.extend(walk.failures)
    for past in known:
        root = walk_root(walk, past.size, checkpoint)
        if root is None:
            found.not_checked.append(f"The earlier checkpoint of {past.size} entries: too few could be read.")
        elif root != past.root:
            found.fail("fork", f"The first {past.size} entries are not those that were signed before.")


def _missing(walk: Walk, found: _Findings) -> None:
    """Missing at the end is a truncated log; missing elsewhere is a hole."""
    tail = walk.missing_tail()
    if tail:
        found.fail("truncated", f"Entries are missing at the end: the checkpoint signs {walk.size}.")
    for bundle in walk.missing:
        if bundle.n not in tail:
            found.fail("bundle-missing", f"{bundle.path} is not there or not complete.")


def walk_root(walk: Walk, size: int, checkpoint: Checkpoint) -> bytes | None:
    """The root of the first `size` entries, from the tree that the checkpoint agrees with."""
    return _believed(walk, checkpoint).roots.get(size)


def _believed(walk: Walk, checkpoint: Checkpoint) -> Growth:
    if walk.claimed is not None and _root(walk.claimed) == checkpoint.root:
        return walk.claimed
    return walk.recomputed


def _root(growth: Growth) -> bytes:
    return growth.tree.root()


def _leave_open(
    found: _Findings, size: int, counters: WriterCounters, earlier: Sequence[str], witnesses: Sequence[str]
) -> None:
    """What a reader must not conclude."""
    left = found.not_checked
    if not earlier:
        left.append(NO_EARLIER)
    if not witnesses:
        left.append("Whether others are shown the same log: no witness's signature was checked.")
    if unread := size - found.kinds.total():
        left.append(f"The form of {unread} entries, and writers' counters from the first of them on.")
    if counters.unfinished:
        left.append(f"Whether {counters.unfinished} writers without an end wrote more than is here.")
    if found.separate_lists:
        left.append(f"{found.separate_lists} {LISTS}")
    if found.kinds:
        left.append(COMMITMENTS)
