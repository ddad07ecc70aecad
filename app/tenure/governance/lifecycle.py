"""The lifecycle rules of the cell's bucket: what they should be, what they are, and making them so.

    1 read     the bucket's rules, and what the tenants' manifests ask for
    2 compare  ours with those that are wanted; who applies a plan says which rules it was made from
    3 record   `lifecycle.change`, `begun`: the digest of our rules as they will be, and counts
    4 look     read again: they are still those of 1, or nothing is put
    5 put      others' rules as they are, ours as wanted
    6 check    read back; S3 may show the old ones for some minutes, so this is told and is no failure
    7 record   `lifecycle.change`, `applied` or `failed`

Killed after 3 the entry says what was about to be done; the next apply does it. Between 4 and 5 somebody
else's put may be lost: S3 has no condition for it (`cold.bucketrules`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tenure.cold.classes import RetentionClass
from tenure.cold.lifecycle import (
    Change,
    Configuration,
    Place,
    Rule,
    changes,
    drifted,
    merge,
    reaching,
    rules_for,
    words,
)
from tenure.cold.objectlock import ObjectLock
from tenure.cold.storage import StorageClasses
from tenure.crew import Desk
from tenure.errors import Conflict, TenureError
from tenure.governance.service import Service
from tenure.ids import CELL
from tenure.ledger.entry import EntryDraft, Kind
from tenure.model.principal import Credential

if TYPE_CHECKING:
    from tenure.cold.bucketrules import BucketRules

SCOPE: Final = "tenure.lifecycle"
_FOLDER: Final = (
    "The objects lie in a folder, which needs no rules: the service deletes packs there that nobody is in."
)
_LOCKED: Final = "Object Lock: {words}. What a rule or the service deletes there goes when its lock is over."
_REACHES: Final = (
    "Rule {id} is not this cell's and reaches what the cell has {where}: it may move or delete that."
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket that the cell's objects lie in: its rules, our place in it, where packs are moved, locks."""

    rules: "BucketRules"
    place: Place
    storage: StorageClasses
    lock: ObjectLock | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was read and what is wanted."""

    have: Configuration
    classes: frozenset[RetentionClass]
    wanted: tuple[Rule, ...]
    steps: list[Change]
    drift: bool

    @property
    def data(self) -> dict[str, Any]:
        """What the ledger says of carrying it out."""
        names = ("added", "changed", "removed", "foreign")
        counts = {name: sum(one.change == name for one in self.steps) for name in names}
        return {"rules": Configuration(self.wanted).digest, **counts}


_Recorder = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Puts an outcome with its data into the cell's log."""


class Lifecycle:
    """For the cell's operator."""

    def __init__(
        self,
        service: Service,
        bucket: Bucket | None,
        classes: Callable[[], frozenset[RetentionClass]],
    ) -> None:
        """`bucket`: None when objects lie in a folder. `classes` blocks: it reads all tenants' manifests."""
        self._service = service
        self._bucket = bucket
        self._classes = classes

    async def plan(self, credential: Credential) -> dict[str, Any]:
        """The bucket's rules beside those that it should have. Changes nothing.

        `{"place","bucket","prefix","drift","seen","classes","rules":[{"id","change","does"}],"notes"}`.
        `seen` is the digest of the rules as they were read: an apply that is given it does what was shown or
        nothing. One request to the bucket, and the round trips of `classes`.
        """
        await self._service.run(credential, SCOPE, "read", lambda _: None)
        if self._bucket is None:
            return _folder()
        return self._shown(self._bucket, await asyncio.to_thread(self._look, self._bucket))

    async def apply(self, credential: Credential, seen: str | None = None) -> dict[str, Any]:
        """Make the bucket's rules those that it should have: the plan as it was, and `applied`, `confirmed`.

        `applied`: whether anything was put. `confirmed`: whether the bucket showed the new rules afterwards.
        Raises Conflict when the rules are no longer those of `seen`, or changed while this was under way.
        """
        await self._service.run(credential, SCOPE, "write", lambda _: None)
        bucket = self._bucket
        if bucket is None:
            return {**_folder(), "applied": False, "confirmed": True}
        plan = await asyncio.to_thread(self._look, bucket)
        if seen is not None and seen != plan.have.digest:
            raise _changed("since the plan was made")
        shown = self._shown(bucket, plan)
        if not plan.drift:
            return {**shown, "applied": False, "confirmed": True}
        confirmed = await self._carry_out(bucket, plan, partial(self._by, credential))
        return {**shown, "applied": True, "confirmed": confirmed}

    async def reconcile(self) -> dict[str, int]:
        """Repair drift, by no principal: `{"drift","applied"}`, each 0 or 1. On record as any apply.

        Raises Conflict when somebody else changed the rules meanwhile: the next run looks again.
        """
        if self._bucket is None:
            return {"drift": 0, "applied": 0}
        plan = await asyncio.to_thread(self._look, self._bucket)
        if plan.drift:
            await self._carry_out(self._bucket, plan, self._by_itself)
        return {"drift": int(plan.drift), "applied": int(plan.drift)}

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────
    def _look(self, bucket: Bucket) -> _Plan:
        have, classes = bucket.rules.read(), self._classes()
        wanted = rules_for(bucket.place, classes, bucket.storage, locking=bucket.lock is not None)
        merge(have, bucket.place, wanted)  # a plan that cannot be applied is none
        return _Plan(
            have,
            classes,
            wanted,
            changes(have, bucket.place, wanted),
            drifted(have, bucket.place, wanted),
        )

    async def _carry_out(self, bucket: Bucket, plan: _Plan, record: "_Recorder") -> bool:
        """Put the rules, on record before it and after; whether the bucket showed them then."""
        merged = merge(plan.have, bucket.place, plan.wanted)
        await record("begun", plan.data)
        try:
            confirmed = await asyncio.to_thread(_put, bucket, plan, merged)
        except TenureError:
            await record("failed", plan.data)
            raise
        await record("applied", plan.data)
        return confirmed

    async def _by(self, credential: Credential, outcome: str, data: Mapping[str, Any]) -> None:
        await self._service.run(
            credential, SCOPE, "write", lambda seat: seat.record(Kind.LIFECYCLE_CHANGE, outcome, **data)
        )

    async def _by_itself(self, outcome: str, data: Mapping[str, Any]) -> None:
        def work(desk: Desk) -> None:
            desk.tx.append(EntryDraft(Kind.LIFECYCLE_CHANGE, desk.now, outcome, data=data))

        await self._service.inside(CELL, work)

    def _shown(self, bucket: Bucket, plan: _Plan) -> dict[str, Any]:
        advice = (bucket.storage.advice(one) for one in sorted(plan.classes, key=lambda one: one.name))
        where = f"below {bucket.place.prefix}" if bucket.place.prefix else "in the bucket"
        notes = [
            _REACHES.format(id=one.get("ID", "without id"), where=where)
            for one in reaching(plan.have, bucket.place)
        ]
        if bucket.lock is not None:
            notes.append(_LOCKED.format(words=bucket.lock.words))
        return {
            "place": "bucket",
            "bucket": bucket.rules.bucket,
            "prefix": bucket.place.packs,
            "drift": plan.drift,
            "seen": plan.have.digest,
            "classes": sorted(one.name for one in plan.classes),
            "rules": [{"id": one.id, "change": one.change, "does": words(one.rule)} for one in plan.steps],
            "notes": [*notes, *filter(None, advice)],
        }


def _put(bucket: Bucket, plan: _Plan, merged: Configuration) -> bool:
    if bucket.rules.read().digest != plan.have.digest:
        raise _changed("while this was under way")
    bucket.rules.write(merged)
    now = bucket.rules.read()
    return not drifted(now, bucket.place, plan.wanted) and _others(now, bucket) == _others(merged, bucket)


def _others(have: Configuration, bucket: Bucket) -> str:
    rules = tuple(rule for rule in have.rules if not bucket.place.owns(rule))
    return Configuration(rules, have.minimum).digest


def _folder() -> dict[str, Any]:
    return {
        "place": "folder",
        "bucket": None,
        "prefix": None,
        "drift": False,
        "seen": None,
        "classes": [],
        "rules": [],
        "notes": [_FOLDER],
    }


def _changed(when: str) -> Conflict:
    return Conflict(
        f"Somebody changed the bucket's lifecycle rules {when}; nothing was changed.",
        field="seen",
        rule="the rules that the plan was made from",
        remedy="Make a new plan, look at it, and apply that.",
    )
