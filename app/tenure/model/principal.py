"""Who calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class PrincipalKind(StrEnum):
    """What a principal is. A data subject is never one by being a subject."""

    AGENT = "agent"
    SERVICE = "service"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Credential:
    """A parsed API key: which tenant it claims and the hash of its secret. Never the secret."""

    tenant_id: str
    secret_hash: str


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `roles` are sorted: equal sets are equal cache keys.

    `elevation`: the break-glass elevation that one of the roles comes from, if there is one (`elevation`).
    """

    tenant_id: str
    id: str
    name: str
    kind: PrincipalKind
    roles: tuple[str, ...]
    elevation: str | None = None

    def marked(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """What an entry says of an act of this principal: besides its own data, under which elevation."""
        return data if self.elevation is None else {"breakglass": self.elevation, **data}
