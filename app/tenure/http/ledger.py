"""The transparency log: key, checkpoint, tiles (C2SP tlog-tiles, base URL `/v1/ledger`), entries."""

from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.governance.ledger import Search  # type: ignore[attr-defined]  # its own argument's type
from tenure.http import shapes, wire
from tenure.http.auth import Call, tenure_of
from tenure.http.reply import BYTES, Reply, json_reply, text_reply
from tenure.http.shapes import answers
from tenure.ids import is_id
from tenure.ledger.entry import Kind
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
    """The proofs of every change of the log's key: how to come from an old one to the present one."""
    return text_reply(await tenure_of(request).ledger.rotations(credential), cache=_NEWEST)


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


def _kind(text: str | None) -> str | None:
    if text is not None and text not in _KINDS:
        raise wire.wrong_member("kind", "a kind of entry, for example access")
    return text


def _id(text: str | None, field: str) -> str | None:
    if text is not None and not is_id(text):
        raise wire.wrong_member(field, "an id that this service gave out")
    return text


HANDLERS: list[Any] = [get_key, get_rotations, rotate_key, get_checkpoint, get_tile, list_entries]
