"""What callers send: bodies as pydantic models, and the few texts that need a rule of their own.

The OpenAPI document is made from the same models. Unknown members are refused: a misspelt `expires_at`
must not silently mean "for ever".
"""

import base64
import binascii
import re
from typing import Annotated, Any, Literal, Self, TypeVar

import msgspec
from litestar import Request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from tenure import ids
from tenure.errors import Invalid, Malformed
from tenure.governance.storage import MAX_AHEAD
from tenure.ledger.canonical import MAX_INTEGER
from tenure.model.durations import parse_duration
from tenure.model.issuer import DEFAULT_ALGORITHMS, MAX_SKEW_S, MAX_TEXT
from tenure.model.layers import DAY_US
from tenure.model.limits import MAX_BURST_S, MAX_LIMIT
from tenure.model.names import NAME_MAX
from tenure.model.reach import MAX_NAMES
from tenure.model.record import MAX_DEPTH, MAX_DERIVED, MAX_KEY, MAX_PART, MAX_PARTS, MAX_SEGMENTS

M = TypeVar("M", bound=BaseModel)

MAX_PAGE = 200
DEFAULT_PAGE = 50
MAX_CURSOR = 4096
MAX_LINK = 128
"""Characters of the token of a link to an access package, at most: more than any has."""
MAX_KEYS = 1000
"""Of a retrieval: as many versions as one is about."""

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ISO_LENGTH = re.compile(r"P(?:([0-9]+[DW])|T([0-9]+H))")
_LENGTH_RULE = "whole hours, days or weeks, such as 12h, 30d, 4w or P30D; a hundred years at most"
_INSTANT_RULE = "an RFC 3339 time with an offset"
_PAST_RULE = "a time that is not in the future"
_FUTURE_RULE = "a time in the future"


# ── times ──────────────────────────────────────────────────────────────────────────────────────────
def read_instant(value: object) -> int:
    """Microseconds of an RFC 3339 time (§5.6, with `T`); ValueError with the rule it breaks."""
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            return ids.parse_rfc3339(value)
        except (ValueError, OverflowError):
            pass
    raise PydanticCustomError("instant", _INSTANT_RULE)


def read_past(value: object) -> int:
    """An instant that has come; ValueError otherwise."""
    at = read_instant(value)
    if at > ids.now():
        raise PydanticCustomError("past", _PAST_RULE)
    return at


def read_future(value: object) -> int:
    """An instant still to come; ValueError otherwise."""
    at = read_instant(value)
    if at <= ids.now():
        raise PydanticCustomError("future", _FUTURE_RULE)
    return at


def query_instant(text: str, field: str, *, past: bool = False) -> int:
    """A time in a query string. Raises Invalid."""
    try:
        return read_past(text) if past else read_instant(text)
    except PydanticCustomError as broken:
        raise Invalid(
            f"The time in {field} cannot be used; nothing was done.",
            field=field,
            rule=broken.message_template,
            remedy="Write it like 2026-01-31T12:00:00Z; in a URL a + is written %2B.",
        ) from None


def query_day(text: str, field: str) -> int:
    """The UTC day, counted from 1970, of a date or a time in a query string. Raises Invalid."""
    return query_instant(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text, field) // DAY_US


def read_length(value: object) -> int:
    """Hours of a length of time, as manifests write it or as ISO 8601 does; ValueError with the rule."""
    found = _ISO_LENGTH.fullmatch(value) if isinstance(value, str) else None
    hours = parse_duration(value if found is None else next(filter(None, found.groups())).lower())
    if hours is None:
        raise PydanticCustomError("length", _LENGTH_RULE)
    return hours


_TIME = WithJsonSchema({"type": "string", "format": "date-time"})
Instant = Annotated[int, BeforeValidator(read_instant), _TIME]
Past = Annotated[int, BeforeValidator(read_past), _TIME]
Future = Annotated[int, BeforeValidator(read_future), _TIME]

Length = Annotated[
    int, BeforeValidator(read_length), WithJsonSchema({"type": "string", "examples": ["P30D", "12h"]})
]
"""Hours inside."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Prose = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Reference = Annotated[str, Field(max_length=256, examples=["customer:42"])]
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
VersionNumber = Annotated[int, Field(strict=True, ge=1, le=MAX_INTEGER)]
Path = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=MAX_PART)], ...],
    Field(min_length=1, max_length=MAX_PARTS, examples=[["users", "42"]]),
]
PageSize = Annotated[int, Field(strict=True, ge=1, le=MAX_PAGE)]
Cursor = Annotated[str, Field(max_length=MAX_CURSOR)]


# ── bodies ─────────────────────────────────────────────────────────────────────────────────────────
class Body(BaseModel):
    """A request body: exactly these members."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Rollback(Body):
    """Which generation of the configuration is to come back."""

    generation: VersionNumber


class NewTenant(Body):
    """A tenant to create."""

    name: Text


class Leaving(Body):
    """How a tenant leaves. `hand-over`: its ledger is put together for it, and deleted here."""

    ledger: Literal["keep", "hand-over"] = "keep"


class LedgerKeyRotation(Body):
    """Whose log's key is changed: the caller's own, or that of a tenant that the operator names."""

    tenant: Text | None = None


class LifecycleApply(Body):
    """Of a plan: which rules it was made from. Left out: whatever rules there are now."""

    seen: Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")] | None = None


class Proposed(Body):
    """Manifests that are looked at and not applied: as JSON, or the texts of files, YAML or JSON."""

    manifests: Annotated[list[Any], Field(min_length=1)] | None = None
    files: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.manifests is None) == (self.files is None):
            raise PydanticCustomError("proposed", "either manifests or files")
        return self


class ForecastProposal(Proposed):
    """Retention manifests, and how many days ahead."""

    days: Annotated[int, Field(strict=True, ge=1, le=MAX_AHEAD)] = 365


class RetentionProposal(Proposed):
    """Retention manifests, and how far to look ahead: 30 days if left out."""

    within: Length | None = None


class NewPrincipal(Body):
    """A principal to create, with its roles."""

    name: Text
    kind: Literal["agent", "service", "person"]
    roles: Annotated[tuple[Text, ...], Field(max_length=64)]


Limit = Annotated[int, Field(strict=True, ge=0, le=MAX_LIMIT)]


class CredentialLimits(Body):
    """What an API key may take, a second; 0: no limit of its own. What is left out is as its tenant's."""

    requests: Limit | None = None
    bytes: Limit | None = None
    records: Limit | None = None
    burst_s: Annotated[int, Field(strict=True, ge=1, le=MAX_BURST_S)] | None = None
    concurrent: Limit | None = None


class TenantLimits(CredentialLimits):
    """What a tenant may take and store; 0: no limit. What is left out is as the service's settings say."""

    stored_versions: Limit | None = None
    stored_bytes: Limit | None = None


class PrincipalChange(Body):
    """What becomes of a principal. What is left out stays."""

    roles: Annotated[tuple[Text, ...], Field(max_length=64)] | None = None
    disabled: Annotated[bool, Field(strict=True)] | None = None


Names = Annotated[tuple[Text, ...], Field(max_length=MAX_NAMES)]


class CredentialReach(Body):
    """What an API key is narrowed to. A list left out narrows nothing; an empty one leaves nothing."""

    roles: Names | None = None
    scopes: Names | None = None
    purposes: Names | None = None
    actions: Names | None = None


class NewCredential(Body):
    """An API key to make: until when, and narrower than its principal."""

    expires_at: Future | None = None
    reach: CredentialReach | None = None


class NewProvision(Body):
    """What a subject that nobody mapped becomes."""

    kind: Literal["agent", "service", "person"]
    roles: Annotated[tuple[Text, ...], Field(max_length=64)] = ()


Named = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"^[^\x00-\x1f\x7f]+$")]


class NewIssuer(Body):
    """Whose access tokens are taken, what they must say, and whom they name.

    `subjects`: what the issuer calls somebody → id of a principal. `roles`: value of the claim at the path
    `role_claim` → roles. `proof`: a current token for this audience, unless the audience has the tenant's id
    in it; it is not kept.
    """

    name: Text
    issuer: Named
    audience: Named
    algorithms: Annotated[tuple[Text, ...], Field(min_length=1, max_length=16)] = DEFAULT_ALGORITHMS
    types: Annotated[tuple[Literal["at+jwt", "JWT"], ...], Field(min_length=1, max_length=2)] = ("at+jwt",)
    clock_skew_s: Annotated[int, Field(strict=True, ge=0, le=MAX_SKEW_S)] = 60
    subject_claim: Named = "sub"
    role_claim: Annotated[tuple[Named, ...], Field(max_length=8)] = ()
    roles: Annotated[dict[Named, Names], Field(default_factory=dict, max_length=256)]
    required_claims: Annotated[
        dict[Named, Annotated[tuple[Named, ...], Field(min_length=1, max_length=64)]],
        Field(default_factory=dict, max_length=32),
    ]
    required_scopes: Annotated[tuple[Named, ...], Field(max_length=32)] = ()
    provision: NewProvision | None = None
    subjects: Annotated[dict[Named, Id], Field(default_factory=dict, max_length=1_000)]
    jwks_uri: Named | None = None
    replaces: Id | None = None
    proof: Annotated[str, Field(max_length=16 << 10)] | None = None


class NewSegment(Body):
    """A part of a version, and the people whom this part is about."""

    content: Any
    subjects: tuple[Reference, ...] = ()


class NewVersion(Body):
    """A version to store: any JSON, whom it is about, how it is labelled, and where it is filed.

    In `segments`, instead of `content` and `subjects`, each part has people of its own.
    """

    content: Any = None
    subjects: tuple[Reference, ...] = ()
    segments: Annotated[tuple[NewSegment, ...], Field(max_length=MAX_SEGMENTS)] = ()
    categories: Annotated[tuple[Text, ...], Field(min_length=1, max_length=64)]
    derived_from: Annotated[tuple[Id, ...], Field(max_length=MAX_DERIVED)] = ()
    expires_at: Future | None = None
    metadata: Annotated[dict[str, Any], Field(default_factory=dict)]
    path: Path | None = None


EXPLAIN = "retention"


class RecordQuery(Body):
    """Which records to list. `path`: filed there, at any depth. `since` is included, `until` is not."""

    subject: Reference | None = None
    prefix: Annotated[str, Field(max_length=MAX_KEY)] | None = None
    path: Path | None = None
    categories: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    since: Instant | None = None
    until: Instant | None = None
    as_of: Past | None = None
    include: Annotated[tuple[Literal["content"], ...], Field(max_length=1)] = ()
    limit: PageSize = DEFAULT_PAGE
    cursor: Cursor | None = None


class RetrievalRequest(Body):
    """Which records are wanted soon: as in a query, or by their keys. `since` is included, `until` is not."""

    scope: Annotated[str, Field(max_length=200)]
    subject: Reference | None = None
    prefix: Annotated[str, Field(max_length=MAX_KEY)] | None = None
    keys: Annotated[tuple[str, ...], Field(max_length=MAX_KEYS)] = ()
    categories: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    since: Instant | None = None
    until: Instant | None = None
    as_of: Past | None = None
    cursor: Cursor | None = None


class RecordAddress(Body):
    """One record, for keys that must not appear in a URL."""

    scope: Annotated[str, Field(max_length=200)]
    key: str
    version: VersionNumber | None = None
    as_of: Past | None = None
    explain: Literal["retention"] | None = None


class NewDecision(Body):
    """A decision to open. Agent and model are names, never personal data."""

    purpose: Text
    subject: Reference | None = None
    agent: str | None = None
    model: str | None = None
    input_sha256: str | None = None


class Outcome(Body):
    """How a decision ended. Of `output` only the SHA-256 of its canonical JSON (RFC 8785) is kept."""

    outcome: str
    output: Any = None
    output_sha256: str | None = None


class Explanation(Body):
    """What to explain: an entry, a decision, or a question by a principal (name or id) or by roles."""

    entry: Annotated[str, Field(max_length=64)] | None = None
    decision: Annotated[str, Field(max_length=64)] | None = None
    principal: Text | None = None
    roles: Annotated[tuple[Text, ...], Field(max_length=64)] | None = None
    scope: Text | None = None
    categories: Annotated[tuple[Text, ...], Field(max_length=64)] | None = None
    purpose: Text | None = None
    action: Text | None = None
    at: Instant | None = None


class NewReplay(Body):
    """Under which rules: `current`, or the digest of a bundle that an entry names."""

    policy: Annotated[str, StringConstraints(pattern=r"^(current|sha256:[0-9a-f]{64})$")] = "current"


class NewEvent(Body):
    """Something that happened to a person, which a Retention manifest begins with. `at`: now, if left out."""

    scope: Annotated[str, Field(max_length=NAME_MAX)]
    event: Annotated[str, Field(max_length=NAME_MAX, examples=["customer.churned"])]
    subject: Reference
    at: Past | None = None


class PackageLink(Body):
    """What opens an access package: what stands behind the `#` of its link."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=MAX_LINK)]


class SubjectReference(Body):
    """A person's reference."""

    ref: Reference


class NewScan(Body):
    """Values to search for, and whether what is found shall not hold up the certificate. Nothing is kept."""

    values: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]
    accept: Annotated[bool, Field(strict=True)] = False


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class EvidenceIndex(Body):
    """The index of an evidence pack: its SHA-256, how many files it names, and the head that it is under."""

    index_sha256: Sha256
    files: Annotated[int, Field(strict=True, ge=1, le=MAX_INTEGER)]
    size: Annotated[int, Field(strict=True, ge=1, le=MAX_INTEGER)]
    root: Sha256


class NewHold(Body):
    """A legal hold. `ground` says why, in administrators' words and about nobody."""

    by: Literal["subject", "scope", "record"]
    target: Text
    ground: Text


class NewElevation(Body):
    """A role for emergencies, for how long, and why. The reason may name people: it is sealed."""

    role: Text
    minutes: Annotated[int, Field(strict=True, ge=1, le=1440)]
    reason: Prose


class Review(Body):
    """How the review of an elevation came out: a code, and a note that may name people and is sealed."""

    outcome: str
    note: Prose | None = None


# ── reading ────────────────────────────────────────────────────────────────────────────────────────
def body_json(raw: bytes) -> Any:  # noqa: ANN401 - whatever the JSON holds
    """Parse a body. Raises Malformed for what is not JSON, RecursionError for what nests beyond reason."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise not_json() from None


async def received(request: Request[Any, Any, Any], model: type[M]) -> M:
    """The checked body of a request. Raises Malformed, Invalid naming the first wrong member, TooLarge.

    The framework's own way is laxer than its models and fails on bytes that are not UTF-8.
    """
    value = body_json(await request.body())
    try:
        return model.model_validate(value)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False, include_context=False)[0]
        raise wrong_member(field_name(first["loc"]), first["msg"]) from None


def wrong_member(field: str, rule: str) -> Invalid:
    """A body or parameter that breaks its schema."""
    return Invalid(
        "The request does not fit its schema; nothing was done.",
        field=field,
        rule=rule,
        remedy="Compare it with this call in /schema/openapi.json.",
    )


def field_name(place: tuple[int | str, ...]) -> str:
    """`subjects[0]`. What is not shaped like a name may be contents and is not repeated."""
    name = ""
    for part in place:
        if isinstance(part, int):
            name += f"[{part}]"
        elif _NAME.fullmatch(part):
            name += f".{part}" if name else part
        else:
            break
    return name or "body"


def not_json() -> Malformed:
    """The body is no JSON."""
    return Malformed(
        "The body is not JSON; nothing was done.",
        field="body",
        rule="JSON in UTF-8, RFC 8259",
        remedy="Send one JSON value, with numbers that a double or a 53-bit integer holds.",
    )


def too_deep() -> Invalid:
    """The body nests beyond what can be followed."""
    return Invalid(
        "The body is nested too deeply; nothing was done.",
        field="body",
        rule=f"at most {MAX_DEPTH} levels",
        remedy="Flatten the value, or store its parts as records of their own.",
    )


# ── cursors of lists whose place is no secret ──────────────────────────────────────────────────────
def to_cursor(kind: str, place: object) -> str:
    """An opaque cursor; `kind` keeps it from being used on another list."""
    return base64.urlsafe_b64encode(f"{kind}:{place}".encode()).decode()


def from_cursor(kind: str, cursor: str) -> str:
    """The place in a cursor. Raises Malformed."""
    try:
        name, _, place = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise bad_cursor() from None
    if name != kind or not place:
        raise bad_cursor()
    return place


def bad_cursor() -> Malformed:
    """A cursor that nobody was given."""
    return Malformed(
        "The cursor is not one that this call gave out; nothing was read.",
        field="cursor",
        rule="the `next` of the previous page",
        remedy="Start again without a cursor.",
    )
