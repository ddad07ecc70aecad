"""Who calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tenure.model.reach import Reach

MAX_NAMES = 900
"""Most bytes that one list of names takes of an entry."""


class PrincipalKind(StrEnum):
    """What a principal is. A data subject is never one by being a subject."""

    AGENT = "agent"
    SERVICE = "service"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Token:
    """What a verified access token says, by the configuration of the issuer `issuer_id`.

    `actor`, by the name in the claim `claim`, is the caller. `subject` is somebody else only in a delegated
    token (RFC 8693 §4.1): for whom the actor acts, and whom `roles`, mapped from the claims, belong to. Both
    are names that the issuer gives.
    """

    issuer_id: str
    issuer: str
    claim: str
    actor: str
    subject: str
    roles: tuple[str, ...]
    expires_at: int

    @property
    def is_delegated(self) -> bool:
        """Whether the caller acts for somebody else."""
        return self.actor != self.subject


@dataclass(frozen=True, slots=True)
class Credential:
    """A parsed API key or a verified token: its tenant, and the hash of its secret. Never the secret.

    `on_behalf_of` is the principal's id that the call named beside it.
    """

    tenant_id: str
    secret_hash: str
    token: Token | None = None
    on_behalf_of: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `roles` are sorted: equal sets are equal cache keys.

    `reach` narrows what its credential may be used for; its roles are narrowed already. `behalf` is the
    principal for whom it acts: both must be allowed what is done. Ask `policy.rights`, which minds all of it.
    `elevation`: the break-glass elevation that one of the roles comes from, if there is one (`elevation`).
    `lent`: the roles are not its own ones, but as a token, a narrowed key or an elevation has them.
    """

    tenant_id: str
    id: str
    name: str
    kind: PrincipalKind
    roles: tuple[str, ...]
    disabled_at: int | None = None
    reach: Reach | None = None
    behalf: "Principal | None" = None
    elevation: str | None = None
    lent: bool = False

    @property
    def standing(self) -> dict[str, Any]:
        """What the ledger says of a new principal: everything that gives it rights."""
        return {"principal": self.id, "principal_kind": self.kind.value, "roles": list(self.roles)}

    @property
    def acts_for(self) -> str | None:
        """The id of the principal for whom it acts, for entries."""
        return None if self.behalf is None else self.behalf.id

    def marked(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """What an entry says of an act of this principal: besides its own data, under which elevation."""
        return data if self.elevation is None else {"breakglass": self.elevation, **data}


def named(member: str, names: tuple[str, ...]) -> dict[str, list[str]]:
    """A member of an entry's data that lists names; nothing if they would take too much of its 4 KB."""
    return {member: list(names)} if sum(len(name) + 3 for name in names) <= MAX_NAMES else {}
