"""What a tenant or a credential may take: rates, requests at once, and what may be stored.

A number that is not declared (None) is the one of whoever is above: the tenant's for a credential, the
service's settings for a tenant. 0 is none: no limit. A credential's can only be narrower than its tenant's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

RATES = ("requests", "bytes", "records")
STORED = ("stored_versions", "stored_bytes")
MAX_BURST_S = 60
MAX_LIMIT = 10**15


@dataclass(frozen=True, slots=True)
class Limits:
    """`requests`, `bytes` (of requests and answers) and `records` (read or written) are per second.

    `burst_s`: of how many seconds the allowance may be taken at once. `concurrent`: requests under way.
    `stored_versions`: versions kept with their content; `stored_bytes`: of their ciphertext.
    """

    requests: int | None = None
    bytes: int | None = None
    records: int | None = None
    burst_s: int | None = None
    concurrent: int | None = None
    stored_versions: int | None = None
    stored_bytes: int | None = None

    def over(self, default: "Limits") -> "Limits":
        """These, and `default` where nothing is declared: a tenant's over the settings."""
        given = self.declared()
        return Limits(**{name: given.get(name, getattr(default, name)) for name in NAMES})

    def within(self, outer: "Limits") -> "Limits":
        """The narrower of both in each: a credential's within its tenant's. 0 is wider than any number."""
        return Limits(**{name: _narrower(getattr(self, name), getattr(outer, name)) for name in NAMES})

    def declared(self) -> dict[str, int]:
        """What is declared, by name."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}

    def shown(self) -> dict[str, int | None]:
        """Every number by name."""
        return {name: getattr(self, name) for name in NAMES}

    @classmethod
    def of(cls, values: Mapping[str, Any] | Iterable[Any]) -> "Limits":
        """From a mapping by name, or from values in the order of `NAMES`."""
        return cls(**values) if isinstance(values, Mapping) else cls(*values)


NAMES: tuple[str, ...] = tuple(one.name for one in fields(Limits))


UNLIMITED = Limits(0, 0, 0, 1, 0, 0, 0)


@dataclass(slots=True)
class Usage:
    """What a tenant has stored: versions with content, and bytes of their ciphertext."""

    versions: int = 0
    bytes: int = 0


def _narrower(inner: int | None, outer: int | None) -> int | None:
    if inner is None or outer is None:
        return outer if inner is None else inner
    return min(inner or outer, outer or inner)
