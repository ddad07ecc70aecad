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


class NewCredential(Shape):
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


class Applied(Shape):
    """What an apply did, or would do."""

    changes: list[Change]
    policy: str
    dry_run: bool
    entry: str | None


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
    rule: str = ""
    remedy: str = ""


def answers(
    status: int, shape: type[Any], description: str, *, media: str = "application/json"
) -> dict[int, ResponseSpec]:
    """The documented success of a call."""
    return {
        status: ResponseSpec(
            data_container=shape, description=description, media_type=media, generate_examples=False
        )
    }
