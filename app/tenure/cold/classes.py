"""Retention classes: what lies ahead of a pack. Pure.

A pack carries its class as the object tag `tenure-class`, and the bucket's rules go by that tag alone. A
class knows nothing of tenants: whoever keeps things for equally long shares one, so that a bucket needs few
rules. Its days count from when the pack was put, as S3 counts them.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from tenure.errors import Invalid
from tenure.model.cohorts import late_hours
from tenure.model.durations import DAYS_MAX
from tenure.model.retention import RetentionSpec

_DAYS: Final = r"([1-9][0-9]{0,4})"
_FORM: Final = re.compile(rf"keep|a{_DAYS}|x{_DAYS}|a{_DAYS}-x{_DAYS}")
_KEEP: Final = "keep"


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """Days until a pack goes to the archive, and until it is gone. None: never.

    Raises Invalid for days that are none, and for an archive after the end.
    """

    archive_after_days: int | None = None
    expire_after_days: int | None = None

    def __post_init__(self) -> None:
        for days in (self.archive_after_days, self.expire_after_days):
            if days is not None and not 1 <= days <= DAYS_MAX:
                raise _wrong(f"1 to {DAYS_MAX} days")
        if None not in (self.archive_after_days, self.expire_after_days) and (
            (self.archive_after_days or 0) >= (self.expire_after_days or 0)
        ):
            raise _wrong("archived before it is gone")

    @property
    def name(self) -> str:
        """The one spelling: `a90-x365`, `a90`, `x365`, or `keep` without either. A value of an S3 tag."""
        parts = (("a", self.archive_after_days), ("x", self.expire_after_days))
        return "-".join(f"{letter}{days}" for letter, days in parts if days is not None) or _KEEP

    @classmethod
    def parse(cls, name: str) -> Self:
        """The class of a name. Raises Invalid for any other spelling."""
        found = _FORM.fullmatch(name)
        if found is None:
            raise _wrong("such as a90-x365, a90, x365 or keep")
        alone_archive, alone_expire, archive, expire = (int(one) if one else None for one in found.groups())
        return cls(alone_archive or archive, alone_expire or expire)

    @classmethod
    def of_hours(cls, archive_after: int | None, expire_after: int | None) -> Self:
        """From hours since the pack was put, rounded up to days: nothing goes earlier than it may.

        No archive for what would be gone by then.
        """
        archive, expire = _days(archive_after), _days(expire_after)
        if archive is not None and expire is not None and archive >= expire:
            archive = None
        return cls(archive, expire)


def class_of(spec: RetentionSpec) -> RetentionClass:
    """The class of packs of what one Retention manifest alone is about.

    A version is packed `hotFor` after its clock began or later, so that what is left of `deleteAfter` then is
    never too short. The bucket deletes only after the version's cohort has ended: until then a read must
    find the content. Only a write is a clock that S3 knows: what counts from the last access or from an event
    has no class but `keep`, for a bucket would delete it too early. Without `archiveFor` nothing is archived,
    without `deleteAfter` nothing is deleted.
    """
    if spec.clock != "write":
        return RetentionClass()
    archive = None if spec.archive_for is None else spec.cold_for or 0
    expire = None
    if spec.delete_after is not None:
        expire = spec.delete_after - (spec.hot_for or 0) + late_hours({"": spec})
    return RetentionClass.of_hours(archive, expire)


def _days(hours: int | None) -> int | None:
    return None if hours is None else max(1, -(-hours // 24))


def _wrong(rule: str) -> Invalid:
    return Invalid(
        "A retention class cannot be used; nothing was done.",
        field="tenure-class",
        rule=rule,
        remedy="Classes are made from Retention manifests; leave the tags of packs as they are.",
    )
