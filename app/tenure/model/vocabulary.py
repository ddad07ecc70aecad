"""A tree of names: the categories of data, or the purposes of access.

Manifests write a tree as nested mappings (`personal: {contact: {}, travel: {}}`). Every name occurs
once in its tree, so that one word says where it stands.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

LAWFUL_BASES = (
    "consent",
    "contract",
    "legal-obligation",
    "vital-interests",
    "public-task",
    "legitimate-interests",
)
"""GDPR Art. 6(1)(a) to (f), in that order: what a vocabulary offers unless it lists its own."""


@dataclass(frozen=True, slots=True)
class Tree:
    """An immutable forest of names. `parents` maps each name to the one above it, or to ""."""

    parents: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, nested: Mapping[str, Any]) -> "Tree":
        """Build from nested mappings whose names are already known to be unique."""
        return cls(MappingProxyType(dict(edges(nested))))

    def __contains__(self, name: object) -> bool:
        return name in self.parents

    def __iter__(self) -> Iterator[str]:
        return iter(self.parents)

    def __len__(self) -> int:
        return len(self.parents)

    def upwards(self, name: str) -> Iterator[str]:
        """The name itself, then what is above it, up to its root. Nothing for an unknown name."""
        while name and name in self.parents:
            yield name
            name = self.parents[name]

    def is_within(self, name: str, other: str) -> bool:
        """True if `name` is `other` or stands below it; both must be in the tree."""
        return other in self.upwards(name)

    def within_any(self, name: str, others: frozenset[str]) -> bool:
        """True if `name` or something above it is among `others`."""
        while name and name in self.parents:  # as `upwards`, for every write: without its generator
            if name in others:
                return True
            name = self.parents[name]
        return False


def edges(nested: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Each name of a nested tree with the name above it ("" for a root), parents first."""
    for name, below in nested.items():
        yield name, above
        if below:
            yield from edges(below, name)
