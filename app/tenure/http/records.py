"""Records: put, get, list, history, delete. The two hot calls take the bare request and parse by hand."""

from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp, Scope

from tenure import ids
from tenure.access import Ask
from tenure.errors import Invalid
from tenure.http import wire
from tenure.http.auth import Call, headers_of, read_ask, read_condition, read_idempotency_key, tenure_of
from tenure.http.paths import check_scope_name, record_address
from tenure.http.reply import JSON, Reply, encode, json_reply
from tenure.http.retention import shown_retention
from tenure.http.shapes import records as shapes
from tenure.http.shapes.base import answers
from tenure.http.shapes.retention import Retention
from tenure.http.turnstile import count_records
from tenure.ledger.canonical import MAX_INTEGER, canonical
from tenure.listing import Line, Query
from tenure.model.record import (
    Draft,
    Segment,
    Shown,
    Version,
    Written,
    check_json,
    check_metadata,
    check_subject,
)

_RECORD = "/v1/scopes/{scope_name:str}/records/{key:str}"
_DIGITS = len(str(MAX_INTEGER))
_CURSOR = "before"


@put(_RECORD, operation_id="putRecord", status_code=201, responses=answers(201, shapes.Written, "Stored"))
async def put_record(request: Call) -> ASGIApp:
    """Store a new version of a record."""
    headers = headers_of(request.scope)
    ask = await read_ask(tenure_of(request), headers)
    scope, key = record_address(request.scope)
    condition, once = read_condition(headers), read_idempotency_key(headers)
    draft = _draft(await wire.received(request, wire.NewVersion))
    written = await tenure_of(request).gateway.write(
        ask, scope, key, draft, condition=condition, idempotency_key=once
    )
    count_records(request.scope, 1)
    return json_reply(201, _written(written), _etag(written.version))


@get(
    _RECORD,
    operation_id="getRecord",
    responses=answers(200, shapes.Record | Retention, "The version, or its lifetime"),
)
async def get_record(request: Call) -> ASGIApp:
    """Read the current, a numbered or a past version of a record; with `explain`, when it goes and why."""
    ask = await read_ask(tenure_of(request), headers_of(request.scope))
    scope, key = record_address(request.scope)
    version, as_of, explain = _selector(request.scope)
    return await _version_reply(request, ask, scope, key, version=version, as_of=as_of, explain=explain)


@delete(
    _RECORD,
    operation_id="deleteRecord",
    status_code=200,
    responses=answers(200, shapes.Written, "The tombstone version"),
)
async def delete_record(request: Call) -> ASGIApp:
    """Store a tombstone version: the record reads as absent, its history stays."""
    headers = headers_of(request.scope)
    ask = await read_ask(tenure_of(request), headers)
    scope, key = record_address(request.scope)
    written = await tenure_of(request).gateway.delete(ask, scope, key, condition=read_condition(headers))
    count_records(request.scope, 1)
    return json_reply(200, _written(written))


@get(
    _RECORD + "/versions",
    operation_id="listVersions",
    responses=answers(200, shapes.History, "Versions, newest first"),
)
async def list_versions(
    request: Call,
    ask: NamedDependency[Ask],
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
) -> ASGIApp:
    """A record's versions without content."""
    scope, key = record_address(request.scope)
    before = None if cursor is None else _number(wire.from_cursor(_CURSOR, cursor))
    if before == 0:
        raise wire.bad_cursor()
    found = await tenure_of(request).gateway.history(ask, scope, key, before=before, limit=limit)
    count_records(request.scope, len(found.items))
    items = [_line(one) for one in found.items]
    following = None if found.next is None else wire.to_cursor(_CURSOR, found.next)
    return json_reply(
        200, {"items": items, "next": following, "withheld": found.withheld, "entry": found.entry}
    )


@post(
    "/v1/scopes/{scope_name:str}/records:query",
    operation_id="queryRecords",
    status_code=200,
    responses=answers(200, shapes.RecordPage, "A page of records"),
)
async def query_records(request: Call, scope_name: FromPath[str], ask: NamedDependency[Ask]) -> ASGIApp:
    """List records. In the body, because subject references are personal data and URLs end in logs."""
    data = await wire.received(request, wire.RecordQuery)
    if data.subject is not None:
        check_subject(data.subject)
    wanted = Query(
        subject=data.subject,
        prefix=data.prefix,
        path=data.path or (),
        categories=data.categories,
        since=data.since,
        until=data.until,
        as_of=data.as_of,
        include_content="content" in data.include,
        limit=data.limit,
        cursor=data.cursor,
    )
    page = await tenure_of(request).gateway.query(ask, check_scope_name(scope_name), wanted)
    count_records(request.scope, len(page.items))
    items = [_shown(one) for one in page.items]
    return json_reply(
        200, {"items": items, "next": page.next, "withheld": page.withheld, "entry": page.entry}
    )


@post(
    "/v1/records:get",
    operation_id="getRecordByBody",
    status_code=200,
    responses=answers(200, shapes.Record | Retention, "The version, or its lifetime"),
)
async def get_record_by_body(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """The same as getRecord, for keys that must not appear in a URL."""
    data = await wire.received(request, wire.RecordAddress)
    _one_of(data.version, data.as_of)
    scope = check_scope_name(data.scope)
    return await _version_reply(
        request, ask, scope, data.key, version=data.version, as_of=data.as_of, explain=data.explain
    )


async def _version_reply(
    request: Call,
    ask: Ask,
    scope: str,
    key: str,
    *,
    version: int | None,
    as_of: int | None,
    explain: str | None,
) -> Reply:
    gateway = tenure_of(request).gateway
    if explain is not None:
        kept = await gateway.retention(ask, scope, key, version=version, as_of=as_of)
        reply = json_reply(200, shown_retention(kept))
    else:
        reply = _record_reply(await gateway.read(ask, scope, key, version=version, as_of=as_of))
    count_records(request.scope, 1)
    return reply


# ── in ─────────────────────────────────────────────────────────────────────────────────────────────
def _draft(body: wire.NewVersion) -> Draft:
    given = body.model_fields_set
    if not body.segments and "content" not in given:
        raise wire.wrong_member("content", "content with its subjects, or segments")
    if body.segments and given & {"content", "subjects"}:
        raise wire.wrong_member("segments", "content with its subjects, or segments, not both")
    if body.metadata:
        check_metadata(body.metadata)
    return Draft(
        content=b"" if body.segments else _content(body.content, "content"),
        subjects=body.subjects,
        categories=body.categories,
        derived_from=body.derived_from,
        expires_at=body.expires_at,
        metadata=body.metadata,
        paths=(body.path,) if body.path else (),
        segments=tuple(
            Segment(_content(one.content, f"segments[{place}].content"), one.subjects)
            for place, one in enumerate(body.segments)
        ),
    )


def _content(value: object, field_name: str) -> bytes:
    check_json(value, field_name)
    return canonical(value)


def _selector(scope: Scope) -> tuple[int | None, int | None, str | None]:
    """`version`, `as_of` and `explain` of a query string. Raises Invalid; anything else in it is refused."""
    query = scope["query_string"]
    if not query:
        return None, None, None
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    named = dict(given)
    unknown = set(named) - {"version", "as_of", "explain"}
    if unknown or len(named) != len(given):
        raise wire.wrong_member("query", "version or as_of, once, and explain")
    explain = named.get("explain")
    if explain not in (None, wire.EXPLAIN):
        raise wire.wrong_member("explain", wire.EXPLAIN)
    version, as_of = named.get("version"), named.get("as_of")
    _one_of(version, as_of)
    return (
        None if version is None else _version(version),
        None if as_of is None else wire.query_instant(as_of, "as_of", past=True),
        explain,
    )


def _version(text: str) -> int:
    number = _number(text)
    if number == 0:
        raise wire.wrong_member("version", f"a whole number from 1 to {MAX_INTEGER}")
    return number


def _number(text: str) -> int:
    """A version's number; 0 when the text is none."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else 0
    return number if number <= MAX_INTEGER else 0


def _one_of(version: object, as_of: object) -> None:
    if version is not None and as_of is not None:
        raise Invalid(
            "The request names a version and an instant; nothing was read.",
            field="as_of",
            rule="version or as_of, not both",
            remedy="Leave one of the two out.",
        )


# ── out ────────────────────────────────────────────────────────────────────────────────────────────
def _etag(version: int) -> tuple[bytes, bytes]:
    return b"etag", b'"%d"' % version


def _record_reply(found: Version) -> Reply:
    return Reply(200, encode(_shown(found)), JSON, _etag(found.version))


def _written(written: Written) -> dict[str, Any]:
    return {
        "record": written.record,
        "version": written.version,
        "version_id": written.version_id,
        "scope": written.scope,
        "key": written.key,
        "created_at": ids.rfc3339(written.created_at),
        "entry": written.entry,
        "commitment": written.commitment,
        **({"commitments": written.commitments} if written.commitments else {}),
    }


def _shown(found: Version) -> dict[str, Any]:
    """Content is spliced in as it is: it was canonical JSON before it was sealed."""
    shown = {
        "record": found.record,
        "version": found.version,
        "version_id": found.version_id,
        "scope": found.scope,
        "key": found.key,
        "created_at": ids.rfc3339(found.created_at),
        "entry": found.entry,
        "commitment": found.commitment,
        "subjects": found.subjects,
        "categories": found.categories,
        "metadata": found.metadata,
        "derived_from": found.derived_from,
        "expires_at": None if found.expires_at is None else ids.rfc3339(found.expires_at),
        "tier": found.tier,
    }
    if found.path:
        shown["path"] = found.path
    if found.stale_since is not None:
        shown["stale_since"] = ids.rfc3339(found.stale_since)
    if found.content is not None:
        shown["content"] = msgspec.Raw(found.content)
    if found.segments:
        shown["segments"] = [_segment(one) for one in found.segments]
    return shown


def _line(one: Line) -> dict[str, Any]:
    marks = {"restricted_since": one.restricted_since, "stale_since": one.stale_since}
    return {
        "version": one.version,
        "version_id": one.version_id,
        "state": one.state,
        "created_at": ids.rfc3339(one.created_at),
        "categories": one.categories,
        "entry": one.entry,
        **{name: ids.rfc3339(at) for name, at in marks.items() if at is not None},
    }


def _segment(one: Shown) -> dict[str, Any]:
    if one.withheld is not None:
        return {"withheld": one.withheld}
    if one.erased:
        return {"erased": True, "certificate": one.certificate}
    content = msgspec.Raw(one.content or b"null")
    return {"subjects": one.subjects, "content": content, "commitment": one.commitment}


HANDLERS: list[Any] = [
    put_record,
    get_record,
    delete_record,
    list_versions,
    query_records,
    get_record_by_body,
]
