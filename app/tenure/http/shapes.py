"""What callers get back, for the OpenAPI document. Handlers render dictionaries; tests hold both together."""

from typing import Annotated, Any, Literal

from litestar.openapi.datastructures import ResponseSpec
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import WithJsonSchema

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class Shape(BaseModel):
    """An answer. Members may be added in later versions."""

    model_config = ConfigDict(extra="allow")


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


class Change(Shape):
    """What an apply does to one manifest."""

    kind: str
    name: str
    change: str


class WhatIfGroup(Shape):
    """Accesses that would come out differently. `was`: as recorded; `now`: under the present rules."""

    roles: list[str]
    scope: str
    categories: list[str]
    purpose: str
    action: str
    was: bool
    now: bool
    becomes: bool
    rules: list[str]
    count: int
    first_at: Time
    last_at: Time
    examples: list[str]


class WhatIf(Shape):
    """What a dry run found in the ledger, from the newest entry backwards.

    `first` and `end`: the places that were looked at. `stopped`: why not all of the days were.
    """

    days: int
    entries: int
    first: int
    end: int
    stopped: Literal["limit", "generation"] | None
    accesses: int
    denied: int
    allowed: int
    unknown: int
    roles: Literal["recorded", "derived", "present"]
    groups: list[WhatIfGroup]
    groups_left_out: int


class Applied(Shape):
    """What an apply or a rollback did, or would do.

    `generation` is the one in force afterwards; `what_if` is there only if it was asked for.
    """

    changes: list[Change]
    policy: str
    generation: int
    dry_run: bool
    entry: str | None
    warnings: list[str] = []
    what_if: WhatIf | None = None


class Difference(Change):
    """What an apply would do to one manifest, as a unified diff."""

    diff: str


class Differences(Shape):
    """What an apply would change, and the digest of the policy that it would make."""

    changes: list[Difference]
    policy: str


class ConfigurationGeneration(Shape):
    """A generation of the tenant's configuration. `restored`: the one whose content came back."""

    generation: int
    at: Time
    principal: str
    entry: str
    policy: str
    changes: list[Change]
    restored: int | None


class ConfigurationPage(Shape):
    """Generations, newest first."""

    items: list[ConfigurationGeneration]
    next: str | None


class ManifestMeta(Shape):
    """Name and history of a manifest."""

    name: str
    generation: int
    appliedAt: Time  # noqa: N815 - Kubernetes' spelling


class Manifest(Shape):
    """A manifest as declared."""

    apiVersion: str  # noqa: N815 - Kubernetes' spelling
    kind: str
    metadata: ManifestMeta
    spec: dict[str, Any]


class Condition(Shape):
    """Whether something is so, why in one word, and what that means."""

    type: str
    status: Literal["True", "False"]
    reason: str
    message: str


class ReachingGrant(Shape):
    """A grant that reaches a scope or names a role."""

    name: str
    effect: Literal["allow", "deny"]
    words: str


class AppliedBy(Shape):
    """In which generation a manifest was last applied, when and by whom."""

    generation: int
    at: Time
    principal: str
    name: str | None
    entry: str


class Description(Manifest):
    """A manifest in words, and what is so about it."""

    words: list[str]
    conditions: list[Condition]
    grants: list[ReachingGrant]
    applied: AppliedBy | None


class ManifestSchema(Shape):
    """A JSON Schema (2020-12)."""


class Manifests(Shape):
    """Manifests of one kind."""

    items: list[Manifest]


class Written(Shape):
    """A stored version, without content."""

    record: str
    version: int
    version_id: str
    scope: str
    key: str
    created_at: Time
    entry: str
    commitment: str | None
    commitments: list[str] = []


class Segment(Shape):
    """A part about some people only; of an erased one only that, and the certificate once it is signed."""

    subjects: list[str] = []
    content: Any = None
    commitment: str = ""
    erased: bool = False
    certificate: str | None = None


class RecordHead(Written):
    """A version with its labels."""

    subjects: list[str]
    categories: list[str]
    metadata: dict[str, Any]
    derived_from: list[str]
    expires_at: Time | None
    tier: str


class Record(RecordHead):
    """A version with its content, or with the segments that it was written in."""

    content: Any = None
    segments: list[Segment] = []


class RecordPage(Shape):
    """A page of records. `withheld` counts what matches but may not be shown; content only on request.

    `entry` is this access; each item names the entry of its own writing.
    """

    items: list[RecordHead]
    next: str | None
    withheld: int
    entry: str


class HistoryLine(Shape):
    """One version in a history."""

    version: int
    version_id: str
    state: str
    created_at: Time
    categories: list[str]
    entry: str


class History(Shape):
    """Versions of a record, newest first. `entry` is this access."""

    items: list[HistoryLine]
    next: str | None
    withheld: int
    entry: str


class DecisionOpened(Shape):
    """A new decision."""

    id: str
    purpose: str
    opened_at: Time
    entry: str


class DecisionSealed(Shape):
    """A decision that takes no more accesses."""

    id: str
    outcome: str
    sealed_at: Time
    accesses: int
    entry: str


class Decision(Shape):
    """A decision and what it read, without content."""

    id: str
    principal: str
    purpose: str
    subject: str | None
    state: Literal["open", "sealed"]
    opened_at: Time
    sealed_at: Time | None
    outcome: str | None
    seal_entry: str | None
    accesses: list[dict[str, Any]]


class Nearest(Shape):
    """The allowing rule that fails the fewest conditions, and which ones."""

    rule: str
    failed: list[str]


class OfCategory(Shape):
    """What the rules say about one category."""

    category: str
    allowed: bool
    allows: list[str]
    denies: list[str]
    nearest: Nearest | None


class Rule(Shape):
    """A rule that an explanation names: a row of a grant, or a built-in one."""

    effect: Literal["allow", "deny"]
    role: str
    scope: str
    category: str
    purpose: str
    action: str
    not_before: Time | None
    not_after: Time | None


class Told(Shape):
    """An explanation under one bundle. `why` says it in sentences; `rules` what each named rule is."""

    policy: str
    allowed: bool
    reason: str
    failed: list[str]
    categories: list[OfCategory]
    rules: dict[str, Rule]
    why: list[str]


class Question(Shape):
    """What was asked. Without categories: whatever there is in the scope."""

    at: Time
    principal: str | None
    roles: list[str]
    roles_from: Literal["given", "recorded", "derived", "present"]
    scope: str
    categories: list[str]
    purpose: str
    action: str


class Explained(Shape):
    """A question under the rules that decided it and under today's. `recorded`: what the ledger says."""

    entry: str | None
    recorded: bool | None
    question: Question
    then: Told | None
    now: Told


class Explanations(Shape):
    """Explanations, denials first. `unknown`: accesses that can no longer be judged."""

    items: list[Explained]
    unknown: int
    left_out: int


class Judged(Shape):
    """An answer with the rules that gave it."""

    allowed: bool | None
    rules: list[str]
    reason: str


class Replayed(Shape):
    """One access, then and now."""

    different: Literal["now-denied", "now-allowed"] | None
    entry: str
    at: Time
    record: str | None
    version: int | None
    scope: str
    categories: list[str]
    purpose: str
    action: str
    roles: list[str]
    roles_from: Literal["recorded", "derived", "present"]
    then: Judged
    now: Judged


class ReplaySummary(Shape):
    """Counts of accesses. `not_reproduced`: the rules of then do not give what was recorded."""

    accesses: int
    same: int
    now_denied: int
    now_allowed: int
    not_reproduced: int
    unknown: int


class Replay(Shape):
    """A decision's accesses under other rules, what differs first. `roles`: how well they are known."""

    decision: str
    policy: str
    entry: str
    roles: Literal["recorded", "derived", "present"]
    summary: ReplaySummary
    items: list[Replayed]


class Reconstruction(Shape):
    """What a decision saw; erased versions are tombstones. `entry` is this access."""

    decision: str
    items: list[dict[str, Any]]
    withheld: int
    entry: str


class Consistency(Shape):
    """That the tree of `new` entries extends the one of `old`: RFC 6962 §2.1.2, each hash in base64."""

    old: int
    new: int
    proof: list[str]


class LogKey(Shape):
    """A log's key and origin."""

    vkey: str
    origin: str


class EarlierKey(Shape):
    """A key that signed before, and the index of the entry that replaced it."""

    vkey: str
    replaced_at: int


class LedgerKey(LogKey):
    """What verifiers pin. `previous` is newest first; `cell` is the cell's own log."""

    previous: list[EarlierKey]
    cell: LogKey | None


class RotatedKey(LogKey):
    """A log's new key, the one before, and the index of the entry that says so."""

    previous: str
    index: int


class Entry(Shape):
    """A ledger entry at its place."""

    index: int
    id: str
    entry: dict[str, Any]


class EntryPage(Shape):
    """A page of entries."""

    items: list[Entry]
    next: str | None


class Generation(Shape):
    """One generation of a log: its name and key, and how far it came; `root` in hex."""

    generation: int
    origin: str
    vkey: str
    size: int
    root: str
    previous: list[EarlierKey]


class Generations(Shape):
    """Every generation of a log, oldest first; the last one grows."""

    items: list[Generation]


class IssuedCertificate(Shape):
    """A certificate: the DSSE envelope, as text, exactly as it was signed."""

    id: str
    certificate: str


class CertificatePage(Shape):
    """A page of certificates."""

    items: list[IssuedCertificate]
    next: str | None


class Range(Shape):
    """Entries first … end - 1 of a log."""

    first: int
    end: int


class PopulationPage(Shape):
    """Entries first … end - 1, all of them, under a signed tree head, and which of them the filter takes.

    `docs/spec/ledger.md` says how to check it. Canonical JSON: save it as it came.
    """

    v: Literal[1]
    kind: Literal["population"]
    checkpoint: str
    filter: dict[str, str]
    range: Range
    first: int
    end: int
    entries: list[str]
    lists: dict[str, str]
    left: list[str]
    right: list[str]
    matches: list[int]
    next: str | None


class SubjectFound(Shape):
    """A data subject."""

    id: str
    state: str


class Subjects(Shape):
    """Who is known by a reference."""

    items: list[SubjectFound]


class Holding(Shape):
    """How much is held in one place."""

    scope: str
    categories: list[str]
    state: str
    versions: int


class Subject(Shape):
    """What is held about a person, without content."""

    id: str
    state: str
    shred: str | None
    held: list[Holding]


class Shred(Shape):
    """An erasure; `certificate` is there once it is signed.

    `rederivations`, of a single one: how many in each state, when something is to be derived again.
    """

    shred: str
    state: str
    certificate: str = ""
    rederivations: dict[str, int] = Field(default_factory=dict)


class Rederivation(Shape):
    """A record whose current version went with a person, to be derived again without the person."""

    id: str
    shred: str
    scope: str
    record: str
    version: int
    version_id: str
    state: Literal["pending", "asked", "done", "overdue"]
    attempts: int
    deadline: Time


class RederivationPage(Shape):
    """What is to be derived again, newest first."""

    items: list[Rederivation]
    next: str | None


class DerivedInScope(Shape):
    """Derived versions in one scope, and its rule for them."""

    scope: str
    rule: Literal["shred", "rederive", "keep"]
    versions: int


class DerivedImpact(Shape):
    """Versions derived from a person's that name nobody, by rule; `labelled` ones name others and stay."""

    shred: int
    rederive: int
    keep: int
    labelled: int
    scopes: list[DerivedInScope]


class Scan(Shred):
    """A search for given values: the summary that a certificate may carry, and where something was found."""

    attached: bool
    residue: dict[str, Any]
    found: list[dict[str, Any]]
    values_salt: str


class Impact(Shape):
    """What an erasure would do to the versions about a person. `segments` go from versions that stay."""

    subject: str
    versions: int
    erased: int
    shared: int
    segments: int
    held: int
    holds: list[dict[str, str]]
    derived: DerivedImpact


class ShredPage(Shape):
    """Erasures, newest first."""

    items: list[Shred]
    next: str | None


class Hold(Shape):
    """A legal hold; `versions` are kept by it although they were erased."""

    id: str
    by: Literal["subject", "scope", "record"]
    target: str
    ground: str
    state: Literal["active", "releasing", "released"]
    placed_at: str
    released_at: str | None
    versions: int


class Holds(Shape):
    """All holds of a tenant."""

    items: list[Hold]


class HoldReleased(Shred):
    """A hold that ends, and the erasure that ends it."""

    hold: str


class Elevation(Shape):
    """A principal's elevation to a role for emergencies; `overdue`: it was not reviewed in time."""

    id: str
    state: Literal["requested", "lapsed", "refused", "active", "ended", "reviewed"]
    principal: str
    role: str
    minutes: int
    requested_at: Time
    decided_by: str | None
    decided_at: Time | None
    ends_at: Time | None
    ended_by: str | None
    ended_at: Time | None
    review_due: Time | None
    overdue: bool
    reviewed_by: str | None
    reviewed_at: Time | None
    outcome: str | None


class ElevationPage(Shape):
    """Elevations, newest first."""

    items: list[Elevation]
    next: str | None


class UnderElevation(Shape):
    """An entry that was made under an elevation, or about it."""

    entry: str
    at: Time
    kind: str
    outcome: str


class ElevationWhole(Elevation):
    """An elevation with its reason, the reviewer's note, and a page of the entries that name it."""

    reason: str | None
    note: str | None
    entries: list[UnderElevation]
    next: str | None


class Envelope(Shape):
    """A signed certificate: a DSSE envelope."""

    payload: str
    payloadType: str  # noqa: N815 - DSSE's spelling
    signatures: list[dict[str, Any]]


class Health(Shape):
    """Whether the service can work."""

    ready: bool
    checks: dict[str, Any]


class Alive(Shape):
    """The process answers."""

    status: Literal["ok"]


class Problem(Shape):
    """What went wrong and what to do (RFC 9457)."""

    type: Annotated[str, Field(pattern="^urn:tenure:problem:")]
    title: str
    status: int
    detail: str
    field: str = ""
    line: int | None = None
    file: int | None = None
    rule: str = ""
    remedy: str = ""
    limit: str = ""
    retry_after: int = 1


def answers(
    status: int, shape: type[Any], description: str, *, media: str = "application/json"
) -> dict[int, ResponseSpec]:
    """The documented success of a call."""
    return {
        status: ResponseSpec(
            data_container=shape, description=description, media_type=media, generate_examples=False
        )
    }
