"""Storage classes: where a bucket's rules move packs, and when. Pure.

Source of the numbers: Amazon S3 User Guide, "Transitioning objects using Amazon S3 Lifecycle", and the
storage class table there. Other servers have storage classes of other names, of which nothing is known here.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from tenure.cold.classes import RetentionClass
from tenure.errors import Invalid

COLD_FIELD: Final = "TENURE_COLD_CLASS"
ARCHIVE_FIELD: Final = "TENURE_ARCHIVE_CLASS"
_FORM: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,62}")


class Known(NamedTuple):
    """What AWS says of a storage class.

    `from_day`: a rule may move an object here no earlier. `paid_days`: so many are paid for at least.
    `onward`: the classes that a rule may move it to from here. `at_once`: it is read without a restore.
    """

    from_day: int
    paid_days: int
    onward: frozenset[str]
    at_once: bool = True


_DEEP: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
AWS: Final = {
    "STANDARD_IA": Known(30, 30, _DEEP | {"GLACIER_IR", "ONEZONE_IA", "INTELLIGENT_TIERING"}),
    "INTELLIGENT_TIERING": Known(1, 0, _DEEP | {"GLACIER_IR", "ONEZONE_IA"}),
    "ONEZONE_IA": Known(30, 30, _DEEP),
    "GLACIER_IR": Known(1, 90, _DEEP),
    "GLACIER": Known(1, 90, frozenset({"DEEP_ARCHIVE"}), at_once=False),
    "DEEP_ARCHIVE": Known(1, 180, frozenset(), at_once=False),
}
_OTHER: Final = Known(1, 0, frozenset())


class Move(NamedTuple):
    """To a storage class, so many days after the pack was put."""

    day: int
    storage_class: str


@dataclass(frozen=True, slots=True)
class StorageClasses:
    """The first cold class and the archive's. Empty: what is there stays where it was put (STANDARD).

    Raises Invalid naming the setting.
    """

    cold: str = ""
    archive: str = ""

    def __post_init__(self) -> None:
        for field, name in ((COLD_FIELD, self.cold), (ARCHIVE_FIELD, self.archive)):
            if name and (_FORM.fullmatch(name) is None or name == "STANDARD"):
                raise _wrong(field, "empty, or a storage class such as STANDARD_IA or GLACIER")
        if not _known(self.cold).at_once:
            raise _wrong(COLD_FIELD, "a storage class that is read without a restore")
        if not self.cold or not self.archive:
            return
        known = AWS.get(self.cold)
        if self.archive == self.cold or (
            known is not None and self.archive in AWS and self.archive not in known.onward
        ):
            raise _wrong(ARCHIVE_FIELD, f"a storage class to which S3 moves objects from {self.cold}")

    def moves(self, ahead: RetentionClass) -> tuple[Move, ...]:
        """Where packs of a class go and when, in this order.

        The archive is what was declared. The first cold class is only there to save: it is left out where
        packs would leave it before the days that are paid for anyhow, which S3 refuses in part.
        """
        end = ahead.expire_after_days
        moves: list[Move] = []
        if self.archive and ahead.archive_after_days is not None:
            day = max(ahead.archive_after_days, _known(self.archive).from_day)
            if end is None or day < end:
                moves.append(Move(day, self.archive))
                end = day
        if self.cold:
            known = _known(self.cold)
            if end is None or end - known.from_day >= max(1, known.paid_days):
                moves.insert(0, Move(known.from_day, self.cold))
        return tuple(moves)

    def advice(self, ahead: RetentionClass) -> str | None:
        """What an operator may want to know about the cost of a class; None: nothing."""
        moves, end = self.moves(ahead), ahead.expire_after_days
        if not moves or end is None:
            return None
        day, name = moves[-1]
        paid = _known(name).paid_days
        if end - day >= paid:
            return None
        return f"{ahead.name}: packs are in {name} for {end - day} days, and {paid} are paid for."


def gives_at_once(name: str) -> bool:
    """Whether objects of a storage class are read without a restore; so of one that is not known."""
    return _known(name).at_once


def _known(name: str) -> Known:
    return AWS.get(name, _OTHER)


def _wrong(field: str, rule: str) -> Invalid:
    return Invalid(
        f"{field} cannot be used; nothing was opened.",
        field=field,
        rule=rule,
        remedy="Correct it; empty leaves packs in the class that they were put with.",
    )
