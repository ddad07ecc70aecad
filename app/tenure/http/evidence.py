"""The parts of an evidence pack that are not in the log, and the statement that closes it."""

from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.errors import NotFound
from tenure.governance.evidence import Index
from tenure.http import wire
from tenure.http.auth import Call, tenure_of
from tenure.http.reply import BYTES, Reply, json_reply, text_reply
from tenure.http.shapes import ledger as shapes
from tenure.http.shapes.base import answers
from tenure.ids import is_id
from tenure.ledger.canonical import MAX_INTEGER
from tenure.model.principal import Credential

_CURSOR = "certificate"
_FOR_EVER = b"private, max-age=31536000, immutable"


@get(
    "/v1/ledger/generations",
    operation_id="listGenerations",
    responses=answers(200, shapes.Generations, "Oldest first"),
)
async def list_generations(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Every generation of the log, with its key and head. A new one begins where a restore lost entries."""
    return json_reply(200, await tenure_of(request).evidence.generations(credential))


@get(
    "/v1/ledger/checkpoints/{size:str}",
    operation_id="getKeptCheckpoint",
    responses=answers(200, str, "A signed note", media="text/plain"),
)
async def get_kept_checkpoint(
    request: Call, size: FromPath[str], credential: NamedDependency[Credential]
) -> ASGIApp:
    """The newest checkpoint of at most this size, with the cosignatures that it has."""
    if not (size.isascii() and size.isdecimal() and int(size[:20]) <= MAX_INTEGER):
        raise NotFound("There is no checkpoint of that size.", field="size", rule="a number of entries")
    return text_reply(await tenure_of(request).evidence.checkpoint(credential, int(size)))


@get(
    "/v1/ledger/access-lists/{digest:str}",
    operation_id="getAccessList",
    responses=answers(200, bytes, "Canonical JSON", media="application/octet-stream"),
)
async def get_access_list(
    request: Call, digest: FromPath[str], credential: NamedDependency[Credential]
) -> ASGIApp:
    """A list of accesses that did not fit into its entry, by the SHA-256 that the entry names."""
    found = await tenure_of(request).evidence.access_list(credential, digest)
    return Reply(200, found, BYTES, cache=_FOR_EVER)


@get(
    "/v1/policies/{digest:str}",
    operation_id="getPolicy",
    responses=answers(200, bytes, "A policy bundle, canonical JSON", media="application/octet-stream"),
)
async def get_policy(
    request: Call, digest: FromPath[str], credential: NamedDependency[Credential]
) -> ASGIApp:
    """The rules and manifests that were in force, by the digest that entries name: `sha256:…`."""
    found = await tenure_of(request).evidence.policy(credential, digest)
    return Reply(200, found, BYTES, cache=_FOR_EVER)


@get(
    "/v1/certificates",
    operation_id="listCertificates",
    responses=answers(200, shapes.CertificatePage, "A page of certificates"),
)
async def list_certificates(
    request: Call,
    credential: NamedDependency[Credential],
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
) -> ASGIApp:
    """Certificates of erasures and rights requests, oldest first, each as the envelope that was signed."""
    after = None if cursor is None else wire.from_cursor(_CURSOR, cursor)
    if after is not None and not is_id(after):
        raise wire.bad_cursor()
    page = await tenure_of(request).evidence.certificates(credential, after=after, limit=limit)
    following = None if page["next"] is None else wire.to_cursor(_CURSOR, page["next"])
    return json_reply(200, {**page, "next": following})


@post(
    "/v1/evidence",
    operation_id="signEvidence",
    status_code=201,
    responses=answers(201, shapes.Envelope, "A DSSE envelope"),
)
async def sign_evidence(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Sign the index of an evidence pack, and put on record that it was taken."""
    data = await wire.received(request, wire.EvidenceIndex)
    index = Index(data.index_sha256, data.files, data.size, data.root)
    return Reply(201, (await tenure_of(request).evidence.sign(credential, index)).encode())


HANDLERS: list[Any] = [
    list_generations,
    get_kept_checkpoint,
    get_access_list,
    get_policy,
    list_certificates,
    sign_evidence,
]
