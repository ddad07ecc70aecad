"""One tenant of a restored backup, examined: the erased stay gone, everybody else is as in the live cell.

    erased    leaves that nothing derives; versions that nothing opens; people who do not read as active
    control   a probe, sealed to a leaf that nobody has, opens by the very same means: refusals mean something
    alive     a sample of the others, read from the restored and from the live database, byte for byte

What is read stays here: the report has counts and opaque ids.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from tenure.errors import Erased, Shredded, TenureError
from tenure.governance.ground import Ground
from tenure.governance.oracle import Reach
from tenure.keyring import TenantKeyring
from tenure.keys.ggm import leaf_number
from tenure.keys.seal import Binding, header_leaves, open_key, seal
from tenure.sealing import Head, open_content, open_head, open_segments, unseal
from tenure.store import records, subjects, survey
from tenure.store.records import StoredVersion
from tenure.store.session import Tx
from tenure.store.survey import SealedHeader
from tenure.thawing import Thaw, Thawed, Where, warm, where

PAGE = 500
_NOBODYS = leaf_number(255, (1 << 32) - 1)
"""The very last leaf: no tenant comes to hand it out."""

Address = tuple[str, int]
Found = tuple[Head, tuple[bytes, ...]] | str
"""Opened head and content; "absent" for what is not there or is being erased; or the kind of an error."""


class Erasure(NamedTuple):
    """One leaf of a journalled or completed erasure; `subject_id` is empty for a blind-index bucket's.

    `done`: there is a certificate, or the live database says erased. `journalled`: a restore can replay it.
    """

    subject_id: str
    leaf: int
    done: bool
    journalled: bool = True


@dataclass
class Tally:
    """What was found in one tenant: counts, and failures by opaque ids."""

    tenant: str
    erased: int = 0
    """People erased: their leaves derive for nobody."""
    under_way: int = 0
    """Erasures that have not come to their end: their keys may still live."""
    refused: int = 0
    """Versions in the backup that carry an erased leaf in every slot, and that nothing opens."""
    alive: int = 0
    """Versions in the backup that should open."""
    compared: int = 0
    """Of these: read from both databases, and equal."""
    not_in_live: int = 0
    """Of the sample: no longer in the live database, or about somebody who is being erased."""
    left: bool = False
    """The whole tenant was shredded: none of its versions may open, and its log takes no entries."""
    failures: list[dict[str, Any]] = field(default_factory=list)

    def fail(self, check: str, **about: Any) -> None:  # noqa: ANN401 - opaque ids and numbers
        """Something is not as it must be."""
        self.failures.append({"check": check, "tenant": self.tenant, **about})

    def counts(self) -> dict[str, int]:
        """For the ledger."""
        return {
            "erased": self.erased,
            "under_way": self.under_way,
            "refused": self.refused,
            "compared": self.compared,
            "failed": len(self.failures),
        }


class Rehearsal:
    """Examines tenants of a recovered scratch cell beside the live one. `sample` None compares everything."""

    def __init__(self, live: Ground, restored: Ground, sample: int | None) -> None:
        self._live = live
        self._restored = restored
        self._sample = sample

    def tenant(self, tenant_id: str, erasures: Sequence[Erasure], reach: Reach) -> Tally:
        """One tenant."""
        tally = Tally(tenant_id)
        erased = self._erased(tally, erasures, reach)
        tally.left = tenant_id not in self._live.keyring.manifest().tenants
        if not tally.left:
            self._control(tally, reach)
        under_way = {one.leaf for one in erasures} - erased
        under_way |= set(self._restored.database.read(tenant_id, subjects.erasing))
        sample: list[Address] = []
        after: Address | None = None
        while page := self._restored.database.read(
            tenant_id, partial(survey.headers, after=after, limit=PAGE)
        ):
            after = page[-1].record_id, page[-1].version
            alive = []
            for sealed in page:
                slots = header_leaves(sealed.header)
                if tally.left or all(erased & set(slot) for slot in slots):
                    _refuses(tally, sealed, reach)
                elif sealed.segment is None and any(not (erased | under_way) & set(slot) for slot in slots):
                    alive.append((sealed.record_id, sealed.version))
            if self._sample is None:
                self._compare(tally, alive)
            else:
                _reservoir(sample, alive, tally.alive, self._sample)
            tally.alive += len(alive)
        for start in range(0, len(sample), PAGE):
            self._compare(tally, sample[start : start + PAGE])
        return tally

    # ── who was erased ───────────────────────────────────────────────────────────────────────────
    def _erased(self, tally: Tally, erasures: Sequence[Erasure], reach: Reach) -> set[int]:
        gone: set[int] = set()
        people: dict[bool, set[str]] = {False: set(), True: set()}
        for one in erasures:
            derivable = reach.covers(one.leaf)
            going = derivable and not one.done
            people[going] |= {one.subject_id} - {""}
            if going:
                continue
            gone.add(one.leaf)
            if not one.journalled:
                tally.fail("journal-gap", subject=one.subject_id)
            if derivable:
                tally.fail("erased-derivable", subject=one.subject_id)
            if not one.subject_id:
                continue
            known = self._restored.database.read(
                tally.tenant, partial(subjects.get, subject_id=one.subject_id)
            )
            if known is not None and known.state == "active":
                tally.fail("erased-active", subject=one.subject_id)
        tally.erased, tally.under_way = len(people[False]), len(people[True])
        return gone

    def _control(self, tally: Tally, reach: Reach) -> None:
        binding = Binding(tally.tenant, "tenure.drill", "probe", 1)
        state = self._restored.database.read(tally.tenant, self._restored.keyring.tenant).state
        sealed, _ = seal(binding, [{_NOBODYS: state.derive(_NOBODYS)}], {"probe": b"opens"})
        try:
            opened = open_key(binding, sealed.header, reach.key).open("probe", sealed.parts["probe"])
        except TenureError:
            opened = b""
        if opened != b"opens":
            tally.fail("control")

    # ── everybody else ───────────────────────────────────────────────────────────────────────────
    def _compare(self, tally: Tally, wanted: Sequence[Address]) -> None:
        if not wanted:
            return
        live = _read(self._live, tally.tenant, wanted)
        present = [address for address in wanted if live.get(address) != "absent"]
        tally.not_in_live += len(wanted) - len(present)
        restored = _read(self._restored, tally.tenant, present)
        for record, version in present:
            here, there = live[record, version], restored.get((record, version), "absent")
            if not isinstance(here, tuple):
                tally.fail("live-unreadable", record=record, version=version)
            elif not isinstance(there, tuple):
                tally.fail("survivor-lost", record=record, version=version)
            elif here != there:
                tally.fail("survivor-differs", record=record, version=version)
            else:
                tally.compared += 1


def _refuses(tally: Tally, sealed: SealedHeader, reach: Reach) -> None:
    binding = Binding(tally.tenant, sealed.scope, sealed.record_id, sealed.version)
    if sealed.segment is not None:
        binding = binding.segment(sealed.segment)
    try:
        open_key(binding, sealed.header, reach.key)
    except Shredded:
        tally.refused += 1
    else:
        tally.fail("erased-opens", record=sealed.record_id, version=sealed.version)


def _read(ground: Ground, tenant_id: str, wanted: Sequence[Address]) -> dict[Address, Found]:
    """What is at each address, wherever its content lies."""
    stored = ground.database.read(tenant_id, partial(records.by_ids, pairs=wanted))
    places = {one.place: where(tenant_id, one) for one in stored if one.header is not None}
    thawed: dict[Where, Mapping[str, bytes]] = {}
    failed: dict[Address, str] = {}
    thaw = Thaw(ground.objects)
    for address, place in places.items():
        if place is not None:
            try:
                thawed[place] = thaw.read(place)
            except TenureError as failure:
                failed[address] = failure.kind
    thaw.close()

    def work(tx: Tx) -> dict[Address, Found]:
        keys = ground.keyring.tenant(tx)
        found = {one.place: one for one in records.by_ids(tx, wanted)}
        return {
            address: failed.get(address) or _open(tx, keys, found.get(address), thawed) for address in wanted
        }

    return ground.database.read(tenant_id, work)


def _open(tx: Tx, keys: TenantKeyring, stored: StoredVersion | None, thawed: Thawed) -> Found:
    if stored is None:
        return "absent"
    try:
        stored = warm(tx.tenant_id, stored, thawed)
        opened = unseal(tx, keys, stored)
        head = open_head(keys, opened, stored)
        if not head.slots:
            return head, (open_content(opened, stored),)
        return head, tuple(one.content for one in open_segments(tx, keys, stored, head))
    except Erased:
        return "absent"
    except TenureError as failure:
        return failure.kind


def _reservoir(sample: list[Address], more: Sequence[Address], seen: int, size: int) -> None:
    """Algorithm R (Vitter 1985): every version is as likely to be in the sample."""
    for at, one in enumerate(more, seen):
        if len(sample) < size:
            sample.append(one)
        elif (place := secrets.randbelow(at + 1)) < size:
            sample[place] = one
