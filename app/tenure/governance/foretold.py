"""What becomes of versions when an erasure is over, told before it begins: by headers, and the rules of now.

Two sights of a version are compared: without the person, and with. In both, what is under way already (others
who are being erased, cohorts that end) counts as done, so that the difference is this erasure's alone. A hold
keeps and never gives reading: its leaf opens nothing in either.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self

from tenure.crew import Desk
from tenure.governance.derived import KEEP
from tenure.keyring import TenantKeyring
from tenure.keys import segments
from tenure.keys.seal import founding_slots, header_leaves
from tenure.store.impact import Sketch

Slot = tuple[int, ...]


class Segmented(Protocol):
    """A version, or what is known of it: its content if it is in segments."""

    @property
    def segments(self) -> int | None:
        """How many it has."""
        ...

    @property
    def content(self) -> bytes | None:
        """They."""
        ...


class Shown(NamedTuple):
    """What a reader gets of a version, or of one of its segments: whether it opens, and by whose slots.

    `people`: the founding slots that are left of a version that all its people must leave; else nothing.
    """

    opens: bool
    people: tuple[Slot, ...] = ()


GONE: Final = Shown(opens=False)


@dataclass(frozen=True, slots=True)
class Sight:
    """What opens when these leaves are gone. Pure but for the keys' own state."""

    keys: TenantKeyring
    closed: frozenset[int]
    keeping: frozenset[str]
    """Scopes in which what was derived outlives the people behind it."""

    @classmethod
    def without(cls, desk: Desk, leaf: int) -> Self:
        """When the person of this leaf is gone."""
        return cls(desk.tenancy.keys, desk.tenancy.keys.withheld | {leaf}, _keeping(desk))

    @classmethod
    def before(cls, desk: Desk, leaf: int) -> Self:
        """While the person of this leaf is here."""
        return cls(desk.tenancy.keys, desk.tenancy.keys.withheld - {leaf}, _keeping(desk))

    def opens(self, slot: Iterable[int]) -> bool:
        """Whether all leaves of a slot are there and given out."""
        punctured = self.keys.state.is_punctured
        return not any(leaf in self.closed or punctured(leaf) for leaf in slot)

    def survives(self, header: bytes) -> bool:
        """Whether some slot lets somebody read."""
        return any(map(self.opens, header_leaves(header)))

    def shows(self, version: Sketch, *, behind_going: bool) -> tuple[Shown, ...]:
        """What is read of a version: of each of its segments, or of the whole. Nothing when it does not open.

        `behind_going`: it names nobody and was derived from somebody who is taken to be gone, so that its
        scope's rule counts.
        """
        if not version.readable or version.header is None:
            return ()
        if not (behind_going and self._kept(version)) and not self.survives(version.header):
            return ()
        if not version.segments:
            return (Shown(opens=True, people=self._people(version.header)),)
        return tuple(
            Shown(opens=True, people=self._people(one.header))
            if one is not None and self.survives(one.header)
            else GONE
            for one in segments.decode(version.content or b"")
        )

    def segments_lost(self, version: Segmented, before: "Sight") -> int:
        """How many segments of a version that stays open in the other sight and not in this one."""
        if not version.segments:
            return 0
        sealed = segments.decode(version.content or b"")
        return sum(
            one is not None and before.survives(one.header) and not self.survives(one.header)
            for one in sealed
        )

    def _kept(self, version: Sketch) -> bool:
        """As `governance.rewrap` gives it a slot more: while anything opens it, and its cohort lasts."""
        punctured = self.keys.state.is_punctured
        ways = header_leaves(version.header or b"")
        alive = any(not any(map(punctured, slot)) for slot in ways)
        lasts = version.cohort is None or self.opens((version.cohort,))
        return version.scope in self.keeping and alive and lasts

    def _people(self, header: bytes) -> tuple[Slot, ...]:
        """Only where each of several people has a slot, those who are gone are left out of whom it names."""
        slots = founding_slots(header)
        return tuple(filter(self.opens, slots)) if len(slots) > 1 else ()


def _keeping(desk: Desk) -> frozenset[str]:
    scopes = desk.tenancy.policy.configuration.scopes
    return frozenset(name for name, one in scopes.items() if one.on_derived.on_erasure == KEEP)
