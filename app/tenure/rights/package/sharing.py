"""What a person is given of one version that goes with them, by the rule of its scope. Pure.

Whose a version is, is told by the leaves that it was sealed to when it was written: of each part, and with
everybody who was erased since, because what a part says about them did not change. A part is

    own      sealed to this person and nobody else
    named    sealed to this person and others
    unnamed  sealed to nobody: to the scope's own leaf
    others'  sealed to others

Never given is what is others' (Art. 15(4)). References of others are not given in any case.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from tenure.model.specs import AccessSpec

Slots = Iterable[Sequence[int]]


class Part(StrEnum):
    """Whose a part is."""

    OWN = "own"
    NAMED = "named"
    UNNAMED = "unnamed"
    OTHERS = "others"


class Mine(NamedTuple):
    """Whom this is for: their leaf, and the leaves of what is about nobody."""

    leaf: int
    nobody: frozenset[int]

    def part(self, slots: Slots, cohort: int | None) -> Part:
        """Whose something is that was sealed to these slots."""
        people = self.people(slots, cohort)
        if self.leaf not in people:
            return Part.OTHERS if people else Part.UNNAMED
        return Part.OWN if people == {self.leaf} else Part.NAMED

    def people(self, slots: Slots, cohort: int | None) -> frozenset[int]:
        """The leaves of the people behind slots: all but those of scopes and of the cohort."""
        leaves = frozenset(leaf for slot in slots for leaf in slot)
        return leaves - self.nobody - {cohort}


def gives_whole(rule: AccessSpec, part: Part) -> bool:
    """Whether a version without segments is given. `part`: whose it is as a whole."""
    return part is Part.OWN or (part is Part.NAMED and rule.shared == "whole")


def gives_segment(rule: AccessSpec, part: Part) -> bool:
    """Whether one segment of a version is given, of a version that is about others, too."""
    if rule.shared == "none":
        return False
    if rule.shared == "whole":
        return True
    if part is Part.UNNAMED:
        return rule.unnamed_segments
    return part is Part.OWN or (part is Part.NAMED and rule.shared == "named-segments")
