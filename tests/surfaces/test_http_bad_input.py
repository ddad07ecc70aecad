"""Bad input of every kind: a problem document that names field, rule and remedy, and nothing is written."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from conftest import SCOPE, World, record

CANARY = "canary-7f3a"
QUERY = f"/v1/scopes/{SCOPE}/records:query"
DRAFT: dict[str, Any] = {"content": {"a": 1}, "subjects": ["customer:1"], "categories": ["contact"]}
NOBODY = "00000000-0000-7000-8000-000000000000"
FUTURE, PAST = "2999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"


class Bad(NamedTuple):
    """A request by `who` and the refusal it gets. `recorded`: entries that it may leave in the ledger."""

    name: str
    status: int
    field: str
    method: str
    path: str
    body: Any = None
    raw: bytes | None = None
    headers: dict[str, str] = {}  # noqa: RUF012
    who: str = "agent"
    recorded: int = 0


def put(name: str, status: int, field: str, raw: bytes | None = None, /, **draft: Any) -> Bad:
    body = None if raw is not None else {k: v for k, v in {**DRAFT, **draft}.items() if v is not ...}
    return Bad(name, status, field, "PUT", record("bad"), body, raw)


def segments(name: str, status: int, field: str, *given: Any) -> Bad:
    return put(name, status, field, content=..., subjects=..., segments=list(given))


def put_key(name: str, status: int, field: str, key: str) -> Bad:
    return Bad(name, status, field, "PUT", record(key), DRAFT)


def put_with(name: str, status: int, field: str, **headers: str) -> Bad:
    sent = {header.replace("_", "-"): value for header, value in headers.items()}
    return Bad(name, status, field, "PUT", record("bad"), DRAFT, headers=sent)


def get(name: str, status: int, field: str, query: str, recorded: int = 0) -> Bad:
    return Bad(name, status, field, "GET", record("known") + query, recorded=recorded)


def query(name: str, status: int, field: str, **body: Any) -> Bad:
    return Bad(name, status, field, "POST", QUERY, body)


def thread(name: str, status: int, field: str, call: str, **body: Any) -> Bad:
    """A call about threads; `...` leaves a member out."""
    given: dict[str, Any] = {"scope": SCOPE, "thread": "t", **body}
    return Bad(
        name, status, field, "POST", f"/v1/threads{call}", {k: v for k, v in given.items() if v is not ...}
    )


def snapshot(name: str, status: int, field: str, **given: Any) -> Bad:
    """A snapshot to store."""
    bound = {"categories": ["contact"], "subjects": ["customer:1"]}
    return thread(name, status, field, "/snapshots:put", **bound, snapshot={"id": "s", **given})


def channel(name: str, field: str, **given: Any) -> Bad:
    """A snapshot with one channel."""
    return snapshot(name, 422, field, channels={"a": {"version": 1, **given}})


def writes(name: str, field: str, **given: Any) -> Bad:
    """What a task wrote."""
    bound = {"categories": ["contact"], "subjects": ["customer:1"], "snapshot": "s", "task": "t"}
    one = {"idx": 0, "channel": "a", "base64": "", **given}
    return thread(name, 422, field, "/writes:put", **bound, writes=[one])


def deep(levels: int) -> bytes:
    return b'{"content":' + b"[" * levels + b"]" * levels + b',"categories":["contact"]}'


def nested(levels: int) -> dict[str, Any]:
    """JSON within JSON."""
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"a": found}
    return found


CASES = [
    # bodies
    put("not JSON", 400, "body", CANARY.encode()),
    put("empty body", 400, "body", b""),
    put("cut off JSON", 400, "body", b'{"content": "' + CANARY.encode()),
    put("NaN", 400, "body", b'{"content": NaN, "categories": ["contact"]}'),
    put("a number beyond a double", 400, "body", b'{"content": 1e999, "categories": ["contact"]}'),
    put("a lone surrogate", 400, "body", b'{"content": "\\ud800", "categories": ["contact"]}'),
    put("bytes that are not UTF-8", 400, "body", b'{"content": "\xff", "categories": ["contact"]}'),
    put("a list for a body", 422, "body", b"[1]"),
    put("an oversize body", 413, "body", b'{"content": "' + b"x" * (65 << 10) + b'"}'),
    put("deep JSON", 422, "content", deep(70)),
    put("JSON too deep to parse", 422, "body", deep(20_000)),
    put("an integer that JSON does not carry", 422, "content", content=[2**53]),
    put("no content", 422, "content", content=...),
    put("segments beside a content", 422, "segments", segments=[{"content": 1, "subjects": ["customer:1"]}]),
    put("neither content nor segments", 422, "content", content=..., subjects=..., segments=[]),
    segments("a segment without content", 422, "segments[0].content", {"subjects": ["customer:1"]}),
    segments("a segment about nobody", 422, "subjects", {"content": 1}),
    segments("a malformed subject in a segment", 422, "segments[1].subjects[0]",
        {"content": 1, "subjects": ["customer:1"]}, {"content": 1, "subjects": [CANARY]}),
    segments("an integer in a segment that JSON does not carry", 422, "segments[0].content",
        {"content": 2**53, "subjects": ["customer:1"]}),
    segments("too many segments", 422, "segments", *[{"content": 1, "subjects": ["customer:1"]}] * 65),
    put("no categories", 422, "categories", categories=...),
    put("empty categories", 422, "categories", categories=[]),
    put("an unknown category", 422, "categories", categories=["unheard-of"]),
    put("a category that is a number", 422, "categories[0]", categories=[7]),
    put("NUL in a category", 422, "categories[0]", categories=["con\x00tact"]),
    put("a category that the scope does not take", 422, "categories", categories=["preferences"]),
    put("nobody in a scope about somebody", 422, "subjects", subjects=[]),
    put("a malformed subject", 422, "subjects[0]", subjects=[CANARY]),
    put("a subject with a space", 422, "subjects[0]", subjects=[f"customer:{CANARY} 42"]),
    put("NUL in a subject", 422, "subjects[0]", subjects=["customer:\x00"]),
    put("an endless subject", 422, "subjects[0]", subjects=["customer:" + "x" * 10_000]),
    put("someone twice", 422, "subjects", subjects=["customer:1", "customer:1"]),
    put("too many subjects", 422, "subjects", subjects=[f"customer:{n}" for n in range(65)]),
    put("a source that is nobody's", 422, "derived_from[0]", derived_from=[NOBODY]),
    put("a source that is no id", 422, "derived_from[0]", derived_from=[f"{CANARY}\x00"]),
    put("too many sources", 422, "derived_from", derived_from=[NOBODY] * 65),
    put("expired at birth", 422, "expires_at", expires_at=PAST),
    put("a time without offset", 422, "expires_at", expires_at="2999-01-01T00:00:00"),
    put("a time that is no time", 422, "expires_at", expires_at=f"{CANARY}"),
    put("a day that does not exist", 422, "expires_at", expires_at="2999-02-30T00:00:00Z"),
    put("a time beyond the calendar", 422, "expires_at", expires_at="0001-01-01T00:00:00+23:59"),
    put("metadata that is a list", 422, "metadata", metadata=[1]),
    put("metadata too large", 413, "metadata", metadata={"a": "x" * (17 << 10)}),
    put("deep metadata", 422, "metadata", b'{"content":1,"subjects":["customer:1"],"categories":["contact"],'
        b'"metadata":{"a":' + b"[" * 70 + b"]" * 70 + b"}}"),
    put("an unknown member", 422, "expire_at", expire_at=FUTURE),
    put("an unknown member that may be contents", 422, "body", **{f"{CANARY} {CANARY}": 1}),
    # keys
    put_key("an empty key", 422, "key", ""),
    put_key("NUL in a key", 422, "key", "a%00b"),
    put_key("a line break in a key", 422, "key", "a%0Ab"),
    put_key("a key of 10 000 characters", 422, "key", "k" * 10_000),
    put_key("a key that is not UTF-8", 400, "key", "a%FFb"),
    put_key("a slash that is not encoded", 404, "path", "a/b"),
    # scopes
    Bad("an unknown scope", 404, "scope", "PUT", "/v1/scopes/support.nowhere/records/a", DRAFT),
    Bad("a scope that is no name", 404, "scope", "PUT", "/v1/scopes/A%00B/records/a", DRAFT),
    Bad("a reserved scope", 404, "scope", "PUT", "/v1/scopes/tenure.ledger/records/a", DRAFT),
    # headers
    put_with("no purpose", 400, "Tenure-Purpose", Tenure_Purpose=""),
    put_with("an unknown purpose", 422, "Tenure-Purpose", Tenure_Purpose=CANARY),
    put_with("a purpose without lawful basis", 422, "purpose", Tenure_Purpose="newsletter"),
    put_with("a decision that is no id", 400, "Tenure-Decision", Tenure_Decision=CANARY),
    put_with("a decision that is nobody's", 404, "Tenure-Decision", Tenure_Decision=NOBODY),
    put_with("a weak ETag", 400, "If-Match", If_Match='W/"1"'),
    put_with("an ETag without quotes", 400, "If-Match", If_Match="1"),
    put_with("any ETag", 400, "If-Match", If_Match="*"),
    put_with("a huge ETag", 400, "If-Match", If_Match=f'"{"9" * 400}"'),
    put_with("If-None-Match with an ETag", 400, "If-None-Match", If_None_Match='"1"'),
    put_with("both preconditions", 400, "If-None-Match", If_None_Match="*", If_Match='"1"'),
    put_with("a stale If-Match", 412, "If-Match", If_Match='"9"'),
    Bad("If-None-Match on what exists", 412, "If-None-Match", "PUT", record("known"), DRAFT,
        headers={"If-None-Match": "*"}),
    put_with("an idempotency key with a tab", 400, "Idempotency-Key", Idempotency_Key="a\tb"),
    put_with("an endless idempotency key", 400, "Idempotency-Key", Idempotency_Key="k" * 256),
    put_with("a reused idempotency key", 422, "Idempotency-Key", Idempotency_Key="used"),
    # selectors
    get("version zero", 422, "version", "?version=0"),
    get("a negative version", 422, "version", "?version=-1"),
    get("a huge version", 422, "version", "?version=" + "9" * 400),
    get("a version that is a word", 422, "version", f"?version={CANARY}"),
    get("a version in other digits", 422, "version", "?version=%D9%A1"),
    get("an instant in the future", 422, "as_of", f"?as_of={FUTURE}"),
    get("an instant that is none", 422, "as_of", f"?as_of={CANARY}"),
    get("an instant with an unescaped plus", 422, "as_of", "?as_of=2020-01-01T00:00:00+01:00"),
    get("an unknown thing to explain", 422, "explain", f"?explain={CANARY}"),
    get("to explain twice", 422, "query", "?explain=retention&explain=retention"),
    get("a version and an instant", 422, "as_of", f"?version=1&as_of={PAST}"),
    get("a version twice", 422, "query", "?version=1&version=2"),
    get("a misspelt selector", 422, "query", "?verison=1"),
    get("an instant before everything", 404, "key", f"?as_of={PAST}", recorded=1),
    Bad("by body: an unknown thing to explain", 422, "explain", "POST", "/v1/records:get",
        {"scope": SCOPE, "key": "known", "explain": CANARY}),
    Bad("by body: a version and an instant", 422, "as_of", "POST", "/v1/records:get",
        {"scope": SCOPE, "key": "known", "version": 1, "as_of": PAST}),
    Bad("by body: a key of 10 000 characters", 422, "key", "POST", "/v1/records:get",
        {"scope": SCOPE, "key": "k" * 10_000}),
    Bad("by body: a version that is true", 422, "version", "POST", "/v1/records:get",
        {"scope": SCOPE, "key": "known", "version": True}),
    # lists
    query("a negative limit", 422, "limit", limit=-1),
    query("a huge limit", 422, "limit", limit=10**30),
    query("a limit that is a text", 422, "limit", limit="5"),
    query("a forged cursor", 400, "cursor", cursor="eyJmb3JnZWQiOnRydWV9"),
    query("a cursor that is no base64", 400, "cursor", cursor=f"%%{CANARY}\x00"),
    query("a query of the future", 422, "as_of", as_of=FUTURE),
    query("a query for a malformed subject", 422, "subject", subject=CANARY),
    query("including what there is not", 422, "include[0]", include=[CANARY]),
    Bad("versions: a huge limit", 422, "limit", "GET", record("known/versions?limit=201")),
    Bad("versions: a limit that is a word", 422, "limit", "GET", record(f"known/versions?limit={CANARY}")),
    Bad("versions: a forged cursor", 400, "cursor", "GET", record("known/versions?cursor=YmVmb3Jl")),
    Bad("versions: another list's cursor", 400, "cursor", "GET",
        record("known/versions?cursor=ZW50cnk6MQ==")),
    # decisions
    Bad("a decision without purpose", 422, "purpose", "POST", "/v1/decisions", {}),
    Bad("a decision for an unknown purpose", 422, "Tenure-Purpose", "POST", "/v1/decisions",
        {"purpose": CANARY}),
    Bad("a decision about a malformed subject", 422, "subject", "POST", "/v1/decisions",
        {"purpose": "customer-support", "subject": CANARY}),
    Bad("a digest that is none", 422, "input_sha256", "POST", "/v1/decisions",
        {"purpose": "customer-support", "input_sha256": CANARY}),
    Bad("a model that is prose", 422, "model", "POST", "/v1/decisions",
        {"purpose": "customer-support", "model": f"{CANARY}\n"}),
    Bad("sealing what is not there", 404, "id", "POST", f"/v1/decisions/{NOBODY}:seal", {"outcome": "ok"}),
    Bad("sealing what is no id", 404, "id", "POST", "/v1/decisions/abc%00:seal", {"outcome": "ok"}),
    Bad("an outcome that is prose", 422, "outcome", "POST", f"/v1/decisions/{NOBODY}:seal",
        {"outcome": CANARY * 9}),
    Bad("an output and its digest", 422, "output_sha256", "POST", f"/v1/decisions/{NOBODY}:seal",
        {"outcome": "ok", "output": 1, "output_sha256": "0" * 64}),
    Bad("a verb that there is not", 404, "path", "POST", f"/v1/decisions/{NOBODY}:frobnicate", {}),
    Bad("the inner spelling of a verb", 404, "path", "POST", f"/v1/decisions/{NOBODY}/:seal",
        {"outcome": "ok"}),
    # governance
    Bad("a kind of principal that there is not", 422, "kind", "POST", "/v1/principals",
        {"name": "x", "kind": CANARY, "roles": []}, who="admin"),
    Bad("an undeclared role", 422, "roles[0]", "POST", "/v1/principals",
        {"name": "x", "kind": "agent", "roles": [CANARY]}, who="admin"),
    Bad("the operator's role", 422, "roles[0]", "POST", "/v1/principals",
        {"name": "x", "kind": "agent", "roles": ["operator"]}, who="admin"),
    Bad("a name that is taken", 409, "name", "POST", "/v1/principals",
        {"name": "agent", "kind": "agent", "roles": []}, who="admin"),
    Bad("NUL in a name", 422, "name", "POST", "/v1/principals",
        {"name": "a\x00b", "kind": "agent", "roles": []}, who="admin"),
    Bad("a credential of nobody", 404, "id", "POST", f"/v1/principals/{NOBODY}/credentials", who="admin"),
    Bad("a forged page of principals", 400, "cursor", "GET", "/v1/principals?cursor=cHJpbmNpcGFsOng=",
        who="admin"),
    Bad("manifests that are not YAML", 400, "manifests", "POST", "/v1/manifests:apply", raw=b"a: [",
        who="admin"),
    Bad("manifests that nest deeply", 422, "manifests", "POST", "/v1/manifests:apply",
        raw=b"[" * 40 + b"]" * 40,
        who="admin"),
    Bad("a dry run that is a word", 422, "dry_run", "POST", f"/v1/manifests:apply?dry_run={CANARY}",
        who="admin"),
    Bad("a manifest that there is not", 404, "name", "GET", "/v1/manifests/role/nobody", who="admin"),
    Bad("several files of which one is no text", 422, "files", "POST", "/v1/manifests:apply",
        {"files": ["", 1]}, who="admin"),
    Bad("half a character in a file", 400, "manifests", "POST", "/v1/manifests:apply",
        raw=b'{"files": ["", "\\ud800"]}', who="admin"),
    Bad("comparing what is no manifest", 422, "manifests[0].apiVersion", "POST", "/v1/manifests:diff",
        {CANARY: 1}, who="admin"),
    Bad("comparing nothing", 422, "manifests", "POST", "/v1/manifests:diff", raw=b"# nothing", who="admin"),
    Bad("pruning what is a word", 422, "prune", "POST", f"/v1/manifests:apply?prune={CANARY}", who="admin"),
    Bad("the schema of no kind", 422, "kind", "GET", f"/v1/manifests:schema?kind={CANARY}", who="admin"),
    Bad("a path for a schema", 422, "kind", "GET", "/v1/manifests:schema?kind=../model", who="admin"),
    Bad("describing what there is not", 404, "name", "GET", "/v1/manifests/role/nobody:describe",
        who="admin"),
    Bad("a generation that there is not", 404, "generation", "POST", "/v1/manifests:rollback",
        {"generation": 9_000}, who="admin"),
    Bad("a generation that is a word", 422, "generation", "POST", "/v1/manifests:rollback",
        {"generation": CANARY}, who="admin"),
    Bad("a forged page of history", 400, "cursor", "GET",
        "/v1/manifests:history?cursor=Y29uZmlndXJhdGlvbjow", who="admin"),
    Bad("a person that there is not", 404, "id", "GET", f"/v1/subjects/{NOBODY}", who="dpo"),
    Bad("erasing what is no id", 404, "id", "POST", f"/v1/subjects/{CANARY}:shred", who="dpo"),
    Bad("looking up a malformed reference", 422, "ref", "POST", "/v1/subjects:lookup", {"ref": CANARY},
        who="dpo"),
    Bad("an unknown kind of entry", 422, "kind", "GET", f"/v1/ledger/entries?kind={CANARY}", who="auditor"),
    Bad("entries of no id", 422, "principal", "GET", "/v1/ledger/entries?principal=%00", who="auditor"),
    Bad("entries from no time", 422, "from", "GET", f"/v1/ledger/entries?from={CANARY}", who="auditor"),
    Bad("an unknown state of what is derived again", 422, "state", "GET",
        f"/v1/rederivations?state={CANARY}", who="dpo"),
    Bad("a forged page of what is derived again", 400, "cursor", "GET",
        "/v1/rederivations?cursor=cmVkZXJpdmF0aW9uOng=", who="dpo"),
    Bad("entries with a forged cursor", 400, "cursor", "GET", "/v1/ledger/entries?cursor=x", who="auditor"),
    Bad("a negative page of entries", 422, "limit", "GET", "/v1/ledger/entries?limit=-1", who="auditor"),
    Bad("storage since what is no day", 422, "since", "GET", f"/v1/storage?since={CANARY}", who="admin"),
    Bad("storage of too many days", 422, "since", "GET", "/v1/storage?since=2001-01-01", who="admin"),
    Bad("storage by the week", 422, "by", "GET", "/v1/storage?by=week", who="admin"),
    Bad("the cell counted afresh", 422, "now", "GET", "/v1/storage?now=true", who="operator"),
    Bad("a forecast of no day", 422, "days", "GET", "/v1/storage:forecast?days=0", who="dpo"),
    Bad("a proposal of nothing", 422, "body", "POST", "/v1/retention:preview", {}, who="admin"),
    Bad("a proposal said twice", 422, "body", "POST", "/v1/storage:forecast",
        {"manifests": [1], "files": ["x"]}, who="admin"),
    Bad("a proposal that is no manifest", 422, "manifests[0]", "POST", "/v1/retention:preview",
        {"manifests": [CANARY]}, who="admin"),
    Bad("a preview of no length", 422, "within", "POST", "/v1/retention:preview",
        {"manifests": [1], "within": "P1M"}, who="admin"),
    # threads
    snapshot("a snapshot without an id", 422, "snapshot.id", id=None),
    snapshot("a snapshot whose id is a line", 422, "id", id="a\nb"),
    snapshot("a snapshot upon nothing", 412, "parent", parent=CANARY),
    snapshot("a snapshot after another", 412, "latest", latest=[CANARY]),
    snapshot("metadata of a snapshot that nest deeply", 422, "metadata", metadata=nested(70)),
    snapshot("a state that nests deeply", 422, "snapshot.state", state=nested(70)),
    snapshot("an integer in a state", 422, "snapshot.state", state={"a": 2**53}),
    snapshot("much metadata of a snapshot", 413, "metadata", metadata={"a": "x" * (17 << 10)}),
    channel("a channel of no version", "snapshot.channels.a.version.constrained-int", version=None),
    channel("a channel of yes", "snapshot.channels.a.version.constrained-int", version=True),
    channel("a piece of nothing", "snapshot.channels.a.pieces[0]", pieces=[{}]),
    channel("a piece of both", "snapshot.channels.a.pieces[0]", pieces=[{"base64": "", "of": 1}]),
    channel("a piece that is no Base64", "channels.pieces.base64", pieces=[{"base64": CANARY}]),
    channel("a slice that goes back", "snapshot.channels.a.pieces[0].start", pieces=[{"of": 1, "start": -1}]),
    channel("a slice of nothing", "channels.pieces.of", pieces=[{"of": 1, "length": 1}]),
    writes("a write in no place", "writes[0].idx", idx="0"),
    writes("a write far away", "writes[0].idx", idx=2**60),
    writes("a write that is no Base64", "writes.base64", base64=CANARY),
    writes("a write to half a character", "writes.channel", channel="a\x00"),
    thread("a thread without a name", 422, "thread", "/snapshots:get", thread=...),
    thread("a thread of lines", 422, "thread", ":delete", thread="a\nb"),
    thread("a thread of a scope that there is not", 404, "scope", ":prune", scope=CANARY),
    thread("a long name of a thread", 422, "thread", "/snapshots:get", thread="x" * 1025),
    thread("no snapshots at all", 422, "limit", "/snapshots:query", limit=0),
    thread("a forged page of snapshots", 400, "cursor", "/snapshots:query", cursor="c25hcHNob3RzOng="),
    thread("snapshots before what is no text", 422, "before", "/snapshots:query", before="a\x00"),
    thread("copying without a target", 422, "target", ":copy", thread=..., source="t"),
    thread("a run without a name", 422, "run", "/runs:delete", thread=..., run=""),
    # the service itself
    Bad("a path that there is not", 404, "path", "GET", f"/v1/{CANARY}"),
    Bad("a method that there is not", 405, "method", "PATCH", record("known"), DRAFT),
    Bad("an oddly spelt path", 404, "path", "GET", record("known").replace("/records", "//records")),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def furnished(world: World) -> Iterator[None]:
    world.put("known", "v1", json={"content": "v1"})
    world.put("used", "first", headers={"Idempotency-Key": "used"})
    yield
    assert len({case.name for case in CASES}) == len(CASES)


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: f"{bad.method} {bad.name}")
def test_bad_input_is_refused_with_field_rule_and_remedy(world: World, bad: Bad) -> None:
    before = state(world)
    more: dict[str, Any] = {"content": bad.raw} if bad.raw is not None else {}
    more |= {"json": bad.body} if bad.body is not None else {}

    answer = world.call(bad.who, bad.method, bad.path, headers=bad.headers, **more)

    problem = answer.json()
    assert (answer.status_code, problem.get("field")) == (bad.status, bad.field), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == bad.status
    assert problem["type"].startswith("urn:tenure:problem:")
    assert problem["title"]
    assert problem["rule"]
    assert problem["remedy"]
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)
    records, entries = before
    # Two entries a look: the list and the read of `state` itself.
    assert state(world) == (records, entries + 2 + bad.recorded)


def state(world: World) -> tuple[list[tuple[str, int]], int]:
    """Every visible record with its version, and how many entries the tenant's writer has made."""
    page = world.ok("agent", "POST", QUERY, json={"limit": 200})
    probe = world.ok("agent", "GET", record("known"))
    return [(one["record"], one["version"]) for one in page["items"]], int(probe["entry"].rpartition("-")[2])
