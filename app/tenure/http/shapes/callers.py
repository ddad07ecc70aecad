"""Tenants, their limits, the root key; principals, credentials and issuers."""

from typing import Literal

from tenure.http.shapes.base import Shape, Time


class Tenant(Shape):
    """A new tenant; `admin_key` is shown once and absent when an idempotency key repeats the call."""

    id: str
    name: str
    admin_key: str = ""


class Rates(Shape):
    """What may be taken: requests, bytes and records a second. Null: not declared; 0: no limit."""

    requests: int | None
    bytes: int | None
    records: int | None
    burst_s: int | None
    concurrent: int | None


class RatesAndQuotas(Rates):
    """The same, and what may be stored: versions with their content, and bytes of ciphertext."""

    stored_versions: int | None
    stored_bytes: int | None


class CredentialRates(Shape):
    """An API key's limits: what is declared of it, and what holds within its tenant's."""

    declared: Rates
    limits: Rates


class TenantRates(Shape):
    """A tenant's limits: what is declared, and what holds with the service's settings."""

    declared: RatesAndQuotas
    limits: RatesAndQuotas


class Stored(Shape):
    """How much is stored."""

    versions: int
    bytes: int


class TenantStanding(TenantRates):
    """A tenant's limits and what it stores."""

    stored: Stored


class OwnStanding(TenantStanding):
    """The same of the caller's tenant. `processes`: how many share the rates, evenly."""

    processes: int


class Refusal(Shape):
    """A tenant that was over a limit lately; `count` since the process began."""

    tenant: str
    limit: str
    count: int
    at: Time


class Refusals(Shape):
    """Tenants that this process refused lately, the latest first."""

    items: list[Refusal]


class Custody(Shape):
    """A kind of root store, and what its destruction of a key means."""

    provider: str
    guarantee: str


class RootVersion(Shape):
    """One version of the root key."""

    version: int
    provider: str
    state: Literal["live", "pending", "destroyed"]
    created_at: Time


class RootStore(Custody):
    """Where the root key is. `live` is the version in use, `opens` whether it works right now."""

    previous: Custody | None
    live: int
    opens: bool
    failure: str | None
    under_way: bool
    versions: list[RootVersion]


class Principal(Shape):
    """Who may call."""

    id: str
    name: str
    kind: Literal["agent", "service", "person"]
    roles: list[str]
    disabled_at: Time | None


class NewPrincipalMade(Principal):
    """A new principal; `api_key` is shown once and absent when an idempotency key repeats the call."""

    api_key: str = ""


class PrincipalPage(Shape):
    """A page of principals."""

    items: list[Principal]
    next: str | None


class Reach(Shape):
    """What a credential is narrowed to. A part that is absent narrows nothing."""

    roles: list[str] = []
    scopes: list[str] = []
    purposes: list[str] = []
    actions: list[str] = []


class MadeCredential(Shape):
    """A new API key, shown once and absent when an idempotency key repeats the call."""

    id: str
    expires_at: Time | None
    reach: Reach | None
    api_key: str = ""


class Credential(Shape):
    """An API key without its secret."""

    id: str
    created_at: Time
    revoked_at: Time | None
    expires_at: Time | None
    reach: Reach | None


class Credentials(Shape):
    """A principal's API keys."""

    items: list[Credential]


class Provision(Shape):
    """What a subject that nobody mapped becomes."""

    kind: Literal["agent", "service", "person"]
    roles: list[str]


class Issuer(Shape):
    """Whose access tokens are taken, and what they must say."""

    id: str
    name: str
    issuer: str
    audience: str
    algorithms: list[str]
    types: list[str]
    clock_skew_s: int
    subject_claim: str
    role_claim: list[str]
    roles: dict[str, list[str]]
    required_claims: dict[str, list[str]]
    required_scopes: list[str]
    provision: Provision | None
    jwks_uri: str | None


class Issuers(Shape):
    """All issuers of a tenant."""

    items: list[Issuer]
