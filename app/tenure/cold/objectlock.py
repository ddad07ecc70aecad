"""S3 Object Lock: what of the cell's objects may be locked, and until when. Pure.

Locked are ciphertext and evidence, and nothing that opens any: neither key state, which lies in the mirror,
nor what is replaced in place or handed over. What is not named here is not locked.

    packs/TENANT/PACK                  for the days, and no longer than its retention class lets it live
    ledger/TENANT/GEN/tile/…           for the days: tiles and bundles never change
                      checkpoints/…    every published checkpoint, by its size
                      timestamps/…     checkpoints that an authority stamped, with its answer
                      rotations        proofs of the log's key changes: it only grows, each state is kept

Source: Amazon S3 User Guide, "Locking objects with Object Lock". A lock is of one version of an object: it
can be hidden behind another or a delete marker, and neither deleted nor have its lock shortened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, cast, get_args

from tenure.cold.classes import RetentionClass
from tenure.errors import Invalid

Mode = Literal["governance", "compliance"]
MODE_FIELD: Final = "TENURE_OBJECT_LOCK"
DAYS_FIELD: Final = "TENURE_OBJECT_LOCK_DAYS"
CLASS_TAG: Final = "tenure-class"
DAYS_MAX: Final = 36_500
_OF_LEDGER: Final = frozenset({"tile", "checkpoints", "timestamps", "rotations"})


@dataclass(frozen=True, slots=True)
class ObjectLock:
    """`governance`: who has a right of its own may still delete. `compliance`: nobody may."""

    mode: Mode
    days: int

    def until(self, name: str, tags: Mapping[str, str], now: datetime) -> datetime | None:
        """Until when an object that is put now is locked; None: it is not.

        A pack without the tag of its class, which a restore from a backup puts, is not: how long it may live
        is not known.
        """
        parts = name.split("/")
        days = None
        if parts[0] == "ledger" and _OF_LEDGER.intersection(parts[3:4]):
            days = self.days
        elif parts[0] == "packs" and CLASS_TAG in tags:
            end = RetentionClass.parse(tags[CLASS_TAG]).expire_after_days
            days = self.days if end is None else min(self.days, end)
        return None if days is None else now + timedelta(days=days)

    @property
    def words(self) -> str:
        """What it does, for people."""
        return f"published logs are locked for {self.days} days, packs as long at most ({self.mode})"


def object_lock(mode: str, days: int, *, in_bucket: bool) -> ObjectLock | None:
    """As the settings have it; None without. Raises Invalid naming the setting that is wrong."""
    if not mode and not days:
        return None
    if mode not in get_args(Mode):
        raise _wrong(MODE_FIELD, "governance or compliance, where there are days; empty without")
    if not 1 <= days <= DAYS_MAX:
        raise _wrong(DAYS_FIELD, f"1 to {DAYS_MAX} days, where there is a mode")
    if not in_bucket:
        raise _wrong(MODE_FIELD, "objects in a bucket (TENURE_OBJECTS_URL=s3://…): folders have no locks")
    return ObjectLock(cast("Mode", mode), days)


def _wrong(field: str, rule: str) -> Invalid:
    return Invalid(
        f"{field} cannot be used; nothing was opened.",
        field=field,
        rule=rule,
        remedy=f"Correct it; leave {MODE_FIELD} and {DAYS_FIELD} empty to lock nothing.",
    )
