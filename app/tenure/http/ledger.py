"""The transparency log: key, checkpoint, tiles (C2SP tlog-tiles, base URL `/v1/ledger`), entries."""

from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.governance.ledger import Search  # type: ignore[attr-defined]  # its own argument's type
from tenure.governance.populations import Wanted
from tenure.http import wire
from tenure.http.auth import Call, tenure_of
from tenure.http.reply import BYTES, Reply, json_reply, text_reply
from tenure.http.shapes import ledger as shapes
from tenure.http.shapes.base import answers
from tenure.ids import is_id, rfc3339
from tenure.ledger.canonical import MAX_INTEGER
from tenure.ledger.entry import Kind
from tenure.ledger.selection import Selection, form_of
from tenure.model.principal import Credential

_BASE = "/v1/ledger/"
_NEWEST = b"private, max-age=5"
_FOR_EVER = b"private, max-age=31536000, immutable"
_KINDS = frozenset(kind.value for kind in Kind)


@get("/v1/ledger/key", operation_id="getLedgerKey", responses=answers(200, shapes.LedgerKey, "The key"))
async def get_key(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """The log's public key and origin: what verifiers pin."""
    return json_reply(200, await tenure_of(request).ledger.key(credential))


@get(
    "/v1/ledger/rotations",
    operation_id="getKeyRotations",
    responses=answers(200, str, "Receipts of the changes of key, oldest first", media="text/plain"),
)
async def get_rotations(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """The proofs of every change of the log's key, for every caller: from an old one to the present one."""
    return text_reply(await tenure_of(request).receipts.rotations(credential), cache=_NEWEST)


@post(
    "/v1/ledger:rotate-key",
    operation_id="rotateLedgerKey",
    status_code=200,
    responses=answers(200, shapes.RotatedKey, "Rotated"),
)
async def rotate_key(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """A new key for the log, which goes on. The operator may name a tenant; witnesses must be told."""
    data = wire.LedgerKeyRotation()
    if await request.body():
        data = await wire.received(request, wire.LedgerKeyRotation)
    return json_reply(200, await tenure_of(request).ledger_keys.rotate(credential, data.tenant))


@get(
    "/v1/ledger/checkpoint",
    operation_id="getCheckpoint",
    responses=answers(200, str, "A signed note", media="text/plain"),
)
async def get_checkpoint(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """The newest published checkpoint."""
    return text_reply(await tenure_of(request).ledger.checkpoint(credential), cache=_NEWEST)


@get(
    "/v1/ledger/tile/{tile:path}",
    operation_id="getTile",
    responses=answers(200, bytes, "Hashes, or length-prefixed entries", media="application/octet-stream"),
)
async def get_tile(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """A tile or an entry bundle of the published log."""
    path = request.scope["path"].removeprefix(_BASE)
    return Reply(200, await tenure_of(request).ledger.tile(credential, path), BYTES, cache=_FOR_EVER)


@get(
    "/v1/ledger/entries",
    operation_id="listEntries",
    responses=answers(200, shapes.EntryPage, "A page of entries"),
)
async def list_entries(
    request: Call,
    credential: NamedDependency[Credential],
    kind: FromQuery[str | None] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
    principal: FromQuery[str | None] = None,
    decision: FromQuery[str | None] = None,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
) -> ASGIApp:
    """Search the published entries."""
    filters = Search(
        kind=_kind(kind),
        since=None if since is None else wire.query_instant(since, "from"),
        until=None if until is None else wire.query_instant(until, "to"),
        principal_id=_id(principal, "principal"),
        decision_id=_id(decision, "decision"),
    )
    found = await tenure_of(request).ledger.entries(credential, filters, cursor=cursor, limit=limit)
    return json_reply(200, found)


@get(
    "/v1/ledger/entries/{id:str}/receipt",
    operation_id="getEntryReceipt",
    responses=answers(200, str, "A C2SP tlog-proof", media="text/plain"),
)
async def get_entry_receipt(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """The receipt of an entry of one's own, by the id that the answer named. 202 until published."""
    return text_reply(await tenure_of(request).receipts.of_entry(credential, id))


@get(
    "/v1/ledger/consistency",
    operation_id="getConsistency",
    responses=answers(200, shapes.Consistency, "RFC 6962 §2.1.2"),
)
async def get_consistency(
    request: Call,
    credential: NamedDependency[Credential],
    old: Annotated[int, QueryParameter(ge=1, le=MAX_INTEGER)],
    new: Annotated[int, QueryParameter(ge=1, le=MAX_INTEGER)],
) -> ASGIApp:
    """That the log of `new` entries extends the one of `old`: for two checkpoints that the caller has."""
    return json_reply(200, await tenure_of(request).receipts.consistency(credential, old, new))


@get(
    "/v1/ledger/populations",
    operation_id="getPopulation",
    responses=answers(200, shapes.PopulationPage, "A page that proves that it is whole"),
)
async def get_population(
    request: Call,
    credential: NamedDependency[Credential],
    kind: FromQuery[str | None] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
    principal: FromQuery[str | None] = None,
    decision: FromQuery[str | None] = None,
    purpose: FromQuery[str | None] = None,
    outcome: FromQuery[str | None] = None,
    action: FromQuery[str | None] = None,
    rule: FromQuery[str | None] = None,
    first: Annotated[int | None, QueryParameter(ge=0, le=MAX_INTEGER)] = None,
    end: Annotated[int | None, QueryParameter(ge=1, le=MAX_INTEGER)] = None,
    cursor: FromQuery[str | None] = None,
) -> ASGIApp:
    """All entries that a filter takes, with every raw entry of the range and the proof that it is whole.

    `from` and `to` compare the time that an entry gives. Without `first` and `end` the whole log is scanned.
    """
    given = {
        "kind": kind,
        "from": _instant(since, "from"),
        "to": _instant(until, "to"),
        "principal": principal,
        "decision": decision,
        "purpose": purpose,
        "outcome": outcome,
        "action": action,
        "rule": rule,
    }
    wanted = Wanted(_selection(given), first, end)
    page = await tenure_of(request).populations.page(credential, wanted, cursor=cursor)
    return Reply(200, page)


def _selection(given: dict[str, str | None]) -> Selection:
    members = {name: part for name, part in given.items() if part is not None}
    for name, part in members.items():
        if not form_of(name)(part):
            raise wire.wrong_member(name, "of the form that it has in an entry")
    return Selection.parse(members) or Selection()


def _instant(text: str | None, field: str) -> str | None:
    return None if text is None else rfc3339(wire.query_instant(text, field))


def _kind(text: str | None) -> str | None:
    if text is not None and text not in _KINDS:
        raise wire.wrong_member("kind", "a kind of entry, for example access")
    return text


def _id(text: str | None, field: str) -> str | None:
    if text is not None and not is_id(text):
        raise wire.wrong_member(field, "an id that this service gave out")
    return text


HANDLERS: list[Any] = [
    get_key,
    get_rotations,
    rotate_key,
    get_checkpoint,
    get_tile,
    list_entries,
    get_entry_receipt,
    get_consistency,
    get_population,
]
