"""A connection that remembers its own accesses, and can check that the published log has them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from tenure.client.http import Connection
from tenure.client.trust import trust
from tenure.errors import Denied, Invalid, NotFound, NotYet, Unverified
from tenure.ledger.base64 import from_base64
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint
from tenure.ledger.keychain import Lineage, lineage
from tenure.ledger.merkle import verify_consistency
from tenure.ledger.note import Verifier, note_signatures
from tenure.ledger.own import Own, compare, own_of
from tenure.ledger.receipt import ReceiptReport, verify_receipt
from tenure.ledger.report import Failure, Report

_DECISION = "Tenure-Decision"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnReport(Report):
    """What checking our own accesses showed."""

    confirmed: int = 0
    """Calls whose entries are in the log with what we were told."""
    waiting: int = 0
    """Calls whose entries are not published yet."""
    checkpoint: Checkpoint | None = None
    """The newest head seen; everything confirmed so far is below it."""


class AuditedConnection(Connection):
    """A `Connection` that keeps the entry of each of its calls until `audit_own` has confirmed it.

    `vkeys` are the log's verifier keys (or `@file`), got from the operator by another way: a caller without
    the right to read the ledger cannot ask for them. `seen` is the checkpoint of an earlier `audit_own`.
    `own` and `seen` may be kept by the application, to go on after a restart. A key that was replaced is
    followed to the present one, by proofs that the service gives to every caller. Calls that the service
    refuses without naming an entry, such as a record that is not there, are not among them. Raises `Invalid`
    without a key, `Unverified` for a `seen` that is not signed by one of the keys or by another key of the
    log's: whether that one followed, `audit_own` finds out.
    """

    def __init__(
        self,
        api_key: str,
        base: str,
        *,
        vkeys: Sequence[str],
        seen: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(api_key, base, transport=transport)
        self._keys = Lineage(trust(list(vkeys)).verifiers, (), ())
        if seen is not None and not _of_another_key(seen, self._keys.pinned):
            open_checkpoint(seen, self._keys.pinned)
        self.own: list[Own] = []
        self.seen = seen

    async def call(  # noqa: D102 - as the base class says; the answer's entry is remembered
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 - any JSON
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - passed on
    ) -> Any:  # noqa: ANN401 - whatever the call answers
        decision = (headers or {}).get(_DECISION)
        try:
            answer = await super().call(method, path, body, headers=headers, **more)
        except Denied as refusal:
            if refusal.entry is not None:
                self.own.append(Own(refusal.entry, decision=decision, outcome="denied"))
            raise
        own = own_of(answer, method, path, decision) if isinstance(answer, dict) else None
        if own is not None:
            self.own.append(own)
        return answer

    async def audit_own(self) -> OwnReport:
        """Check every remembered call: its entry is in the log, says what we were told, and nothing forked.

        Failures: "own-missing" (the log has no such entry), "own-changed" (it says something else), those of
        receipts, "rollback" or "fork" when a head does not extend one that was seen before, "rotation" when a
        change of the log's key does not hold, "key-retired" when a key signs that was replaced. What is
        confirmed is forgotten: later heads extend the one under which it was. Two calls an entry, one for
        the changes of the key, and one for each change that is new.
        """
        try:
            await self._follow()
        except Unverified as failure:
            return self._report([failure], 0, 0)
        failures: list[Unverified] = []
        rest: list[Own] = []
        waiting = confirmed = 0
        for own in self.own:
            try:
                await self._confirm(own)
            except NotYet:
                waiting += 1
                rest.append(own)
            except Unverified as failure:
                failures.append(failure)
                rest.append(own)
            else:
                confirmed += 1
        self.own = rest
        return self._report(failures, confirmed, waiting)

    def _report(self, failures: Sequence[Unverified], confirmed: int, waiting: int) -> OwnReport:
        head = None
        try:
            head = None if self.seen is None else open_checkpoint(self.seen, self._keys.known).checkpoint
        except Unverified as failure:  # of after a change that could not be followed
            failures = [*failures, failure]
        return OwnReport(
            failures=tuple(map(Failure.of, failures)),
            not_checked=tuple(_left_open(waiting)),
            signers=() if head is None else (head.origin,),
            rotations=tuple(step.sentence for step in self._keys.followed),
            confirmed=confirmed,
            waiting=waiting,
            checkpoint=head,
        )

    async def _follow(self) -> None:
        """From the keys that were given to the one in force; each change is one of the log that was seen.

        A service that forgets a change which was followed before is not believed ("rotation"): without it
        there would be two keys in force.
        """
        found = lineage(await super().call("GET", "/v1/ledger/rotations"), self._keys.known)
        known = {step.new for step in self._keys.followed}
        for step in found.followed:
            if step.new not in known:
                await self._fits(open_checkpoint(step.checkpoint, found.known).checkpoint, found)
        self._keys = replace(self._keys, followed=found.followed)

    async def _fits(self, change: Checkpoint, keys: Lineage) -> None:
        """The head of a change and the newest one seen are heads of one log, whichever came first."""
        if self.seen is None:
            return
        seen = open_checkpoint(self.seen, keys.known).checkpoint
        await self._consistent(*sorted((seen, change), key=lambda head: head.size))

    async def _confirm(self, own: Own) -> None:
        try:
            text = await super().call("GET", f"/v1/ledger/entries/{own.entry}/receipt")
        except NotFound:
            raise Unverified(
                "own-missing", f"The log has no entry {own.entry}, which we were told."
            ) from None
        receipt = verify_receipt(text, self._keys.in_force)
        for failure in receipt.failures:
            if failure.check == "unknown-key" and verify_receipt(text, self._keys.known).ok:
                raise Unverified("key-retired", "The receipt is signed by a key that was replaced before.")
            raise Unverified(failure.check, failure.detail)
        await self._extend(receipt, text.partition("\n\n")[2])
        compare(own, receipt)

    async def _extend(self, receipt: ReceiptReport, note: str) -> None:
        """The receipt's head must extend the newest one seen, and is then the newest."""
        new = receipt.checkpoint
        if new is None or self.seen is None:
            self.seen = note
            return
        await self._consistent(open_checkpoint(self.seen, self._keys.known).checkpoint, new)
        self.seen = note

    async def _consistent(self, old: Checkpoint, new: Checkpoint) -> None:
        """Raise `Unverified` unless the service proves that one head extends the other."""
        if new.origin != old.origin:
            # A new generation has a name of its own; its first entry says what it follows.
            raise Unverified("fork", "The receipt is under another log than the one seen before.")
        if new.size < old.size:
            raise Unverified(
                "rollback", f"The log had {old.size} entries before; the receipt is under {new.size}."
            )
        proof = []
        if new.size > old.size:
            params = {"old": str(old.size), "new": str(new.size)}
            try:
                answer = await super().call("GET", "/v1/ledger/consistency", params=params)
                proof = [from_base64(digest) for digest in answer["proof"]]
            except (Invalid, ValueError, KeyError, TypeError):
                proof = []
        if not verify_consistency(old.size, new.size, old.root, new.root, proof):
            raise Unverified("fork", f"The log is not shown to extend the {old.size} entries seen before.")


def _of_another_key(note: str, keys: Sequence[Verifier]) -> bool:
    """Whether a note has a signature under the name of one of the keys, and none of theirs."""
    names, known = {key.name for key in keys}, {(key.name, key.key_id) for key in keys}
    lines = note_signatures(note)
    return any(line.name in names for line in lines) and not any(line[:2] in known for line in lines)


def _left_open(waiting: int) -> list[str]:
    left = [
        "Whether others are shown the same log: that needs witnesses.",
        "Calls that were refused without naming an entry.",
    ]
    if waiting:
        left.append(f"{waiting} calls whose entries are not published yet: check again.")
    return left
