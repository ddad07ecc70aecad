"""Who calls."""

from dataclasses import dataclass
from enum import StrEnum


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
    """An authenticated caller. `roles` are sorted: equal sets are equal cache keys."""

    tenant_id: str
    id: str
    name: str
    kind: PrincipalKind
    roles: tuple[str, ...]
