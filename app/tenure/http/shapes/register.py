"""The register of processing activities (GDPR Art. 30(1))."""

from typing import Literal

from tenure.http.shapes.base import Shape, Time


class RegisterScope(Shape):
    """One processing activity: a scope. `retention`: names of rules. `lawful_bases`: purpose → basis."""

    scope: str
    description: str
    controller: str
    processor: str | None
    about: str
    categories: list[str]
    purposes: list[str]
    lawful_bases: dict[str, str]
    roles: list[str]
    retention: list[str]


class RegisterController(Shape):
    """(a) A controller as scopes name it; `contact` is null: no manifest has one."""

    controller: str
    processors: list[str]
    scopes: list[str]
    contact: str | None


class RegisterPurpose(Shape):
    """(b) A purpose, and the one that it is part of. `lawful_bases`: scope → basis; null: it names none."""

    purpose: str
    within: str | None
    scopes: list[str]
    lawful_bases: dict[str, str | None]


class RegisterCategory(Shape):
    """(c) A category of personal data, and the one that it is part of."""

    category: str
    within: str | None
    scopes: list[str]


class RegisterRecipient(Shape):
    """(d) Somebody outside whom data is disclosed to."""

    name: str
    description: str | None
    scopes: list[str]
    categories: list[str]


class RegisterRole(Shape):
    """Who within the organisation: a role, and what grants allow or forbid it."""

    role: str
    description: str
    emergencies_only: bool
    may: list[str]


class RegisterRule(Shape):
    """(f) A retention rule, in words."""

    rule: str
    scopes: list[str]
    categories: list[str]
    says: list[str]


class RegisterUse(Shape):
    """How often one caller did something with data of a category. `name`: of agents and services only."""

    principal: str
    name: str | None
    purpose: str
    scope: str
    category: str
    action: Literal["read", "write", "delete", "list"]
    times: int


class RegisterUses(Shape):
    """What was done from `since` on; `complete` unless there was more in these `days`."""

    since: Time
    days: int
    complete: bool
    items: list[RegisterUse]


class RegisterStored(Shape):
    """What was stored when it was counted last."""

    scope: str
    tier: Literal["hot", "cold", "archive"]
    versions: int
    bytes: int


class RegisterWho(Shape):
    """Who answers for the processing, as the Controller manifest says."""

    name: str
    contact: str
    representative: str | None
    data_protection_officer: str | None


class Register(Shape):
    """(e) `transfers` is null: no manifest tells of them. (g) `measures`: what the service does."""

    at: Time
    policy: str
    scopes: list[RegisterScope]
    controller: RegisterWho | None
    controllers: list[RegisterController]
    purposes: list[RegisterPurpose]
    categories: list[RegisterCategory]
    recipients: list[RegisterRecipient]
    internal: list[RegisterRole]
    transfers: list[str] | None
    erasure: list[RegisterRule]
    measures: list[str]
    not_declared: list[str]
    use: RegisterUses
    stored: list[RegisterStored]
    notes: list[str]
