"""Whose data may not be used now, as a tenancy knows it: restricted, or objected to for a purpose.

People are told by their leaves: a version's header says whom it is about, also of one that names nobody and
was derived from what is theirs. So nothing is looked up for a read. What a process knows is as of a subject
epoch, which every transaction reads first; when it moved, only what changed since is fetched.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from tenure.store import subjectlimits as store
from tenure.store.session import Tx
from tenure.store.subjectlimits import Held

_NOBODY: frozenset[int] = frozenset()


class Restraint(StrEnum):
    """Why something is kept back although policy allows it: what the ledger and the caller are told."""

    RESTRICTED = "restricted"
    """The processing of somebody whom it is about is restricted (GDPR Art. 18), or it was corrected (16)."""
    OBJECTED = "objected"
    """Somebody whom it is about objects to this purpose (GDPR Art. 21)."""


Against = tuple[tuple[Restraint, Collection[int]], ...]
"""What counts for one purpose: why, and the leaves of whom it concerns."""


@dataclass(frozen=True, slots=True)
class Restraints:
    """Leaves of people, as of one subject epoch. Never changed: a newer epoch has others."""

    restricted: frozenset[int] = _NOBODY
    objected: Mapping[str, frozenset[int]] = field(default_factory=lambda: MappingProxyType({}))
    """Purpose → whose data is not used for it, nor for any purpose below it."""

    def against(self, purposes: Iterable[str]) -> Against:
        """What counts for an access for these purposes: the declared one, and those above it."""
        if not self.restricted and not self.objected:
            return ()
        found: list[tuple[Restraint, Collection[int]]] = []
        if self.restricted:
            found.append((Restraint.RESTRICTED, self.restricted))
        found += [
            (Restraint.OBJECTED, self.objected[purpose]) for purpose in purposes if purpose in self.objected
        ]
        return tuple(found)

    def after(self, changed: Iterable[Held]) -> "Restraints":
        """With what was set and lifted since. Whatever did not change is shared, not copied."""
        touched: dict[tuple[str, str], set[int]] = {}
        for leaf, kind, purpose, in_force in changed:
            held = touched.get((kind, purpose))
            if held is None:
                held = touched[kind, purpose] = set(self._of(kind, purpose))
            (held.add if in_force else held.discard)(leaf)
        objected = dict(self.objected)
        objected |= {
            purpose: frozenset(held) for (kind, purpose), held in touched.items() if kind == store.OBJECTION
        }
        restricted = touched.get((store.RESTRICTION, ""))
        return Restraints(
            self.restricted if restricted is None else frozenset(restricted),
            MappingProxyType({purpose: held for purpose, held in objected.items() if held}),
        )

    def _of(self, kind: str, purpose: str) -> frozenset[int]:
        return self.restricted if kind == store.RESTRICTION else self.objected.get(purpose, _NOBODY)


NONE = Restraints()


def known(tx: Tx, before: tuple[int, Restraints] | None) -> Restraints:
    """The restraints of the transaction's tenant. One round trip.

    `before`: an epoch, and what held then; None: nothing is known.
    """
    if before is None:
        return NONE.after(store.every(tx))
    since, restraints = before
    return restraints.after(store.changed(tx, since))
