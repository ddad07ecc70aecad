"""What every call brings in its headers: who, why, as part of what, and under which idempotency key.

Nothing is decided here. An API key is only read, a token proves itself; the gateway authenticates and policy
decides, for every surface alike.
"""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from litestar import Request
from litestar.types import Scope

from tenure.access import Ask
from tenure.errors import Malformed, Unauthenticated
from tenure.governance.service import Once
from tenure.governance.tokens import Admit
from tenure.http.wire import body_json
from tenure.ids import is_id
from tenure.ledger.canonical import canonical
from tenure.model.apikey import parse_api_key
from tenure.model.principal import Credential
from tenure.oidc.token import is_token
from tenure.writing import Condition

if TYPE_CHECKING:
    from tenure.bootstrap import Tenure

Call = Request[Any, Any, Any]
_HEADERS = "tenure.headers"
_BEHALF = b"tenure-on-behalf-of"

_ONCE = re.compile(rb"[\x20-\x7e]{1,255}")
_ETAG = re.compile(rb'"([1-9][0-9]{0,15})"')


class Headers(dict[bytes, bytes]):
    """Headers by lower-case name, and the API key once it was read from them.

    `admit` is told whose an access token is once it is verified: until then nobody knows whose limits it
    counts for.
    """

    __slots__ = ("admit", "credential")
    credential: Credential | None
    admit: Admit | None


def tenure_of(request: Call) -> "Tenure":
    """The cell that this application serves."""
    return cast("Tenure", request.app.state.tenure)


def headers_of(scope: Scope) -> Headers:
    """Headers by lower-case name, gathered once for each request. Of repeated ones the last counts."""
    kept = cast("dict[str, Any]", scope)
    headers: Headers | None = kept.get(_HEADERS)
    if headers is None:
        headers = kept[_HEADERS] = Headers(scope["headers"])
        headers.credential = headers.admit = None
    return headers


async def read_credential(tenure: "Tenure", headers: Headers) -> Credential:
    """The API key or access token of `Authorization: Bearer` (RFC 6750 §2.1), and for whom it acts.

    An API key is only parsed; a token is verified, which may wait for its issuer. Raises Unauthenticated,
    Malformed, Unavailable; RateLimited for a token that is new here, of a tenant that is over a limit.
    """
    bearer = read_bearer(headers)
    if is_token(bearer):
        credential = await tenure.tokens.credential(bearer, headers.admit)
    else:
        credential = read_api_key(headers, bearer)
    behalf = headers.get(_BEHALF)
    return credential if behalf is None else replace(credential, on_behalf_of=_behalf(behalf))


def read_api_key(headers: Headers, bearer: str) -> Credential:
    """The key that `bearer` is, read once for each request. Raises Unauthenticated."""
    if headers.credential is None:
        headers.credential = parse_api_key(bearer)
    return headers.credential


def read_bearer(headers: Headers) -> str:
    """The text of `Authorization: Bearer`. Raises Unauthenticated."""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated(
            "The request carries no credential; nothing was done.",
            field="Authorization",
            rule="bearer",
            remedy="Send 'Authorization: Bearer tnr_…'.",
        )
    return token.strip()


async def read_ask(tenure: "Tenure", headers: Headers) -> Ask:
    """Who asks, for what purpose, as part of which decision. Raises as `read_credential`."""
    credential = await read_credential(tenure, headers)
    purpose = headers.get(b"tenure-purpose")
    if not purpose:
        raise Malformed(
            "The request names no purpose; nothing was done.",
            field="Tenure-Purpose",
            rule="required on every access to records",
            remedy="Send 'Tenure-Purpose: <a declared purpose>'.",
        )
    decision = headers.get(b"tenure-decision")
    if decision is None:
        return Ask(credential, purpose.decode("latin-1"))
    return Ask(credential, purpose.decode("latin-1"), _decision(decision))


def read_condition(headers: Headers) -> Condition:
    """`If-Match: "<version>"` or `If-None-Match: *` (RFC 9110 §13.1). Raises Malformed for other forms."""
    match, absent = headers.get(b"if-match"), headers.get(b"if-none-match")
    if match is None and absent is None:
        return Condition()
    if absent is not None:
        if absent != b"*" or match is not None:
            raise _bad_condition("If-None-Match", "*, and no If-Match beside it")
        return Condition(if_absent=True)
    version = _ETAG.fullmatch(match or b"")
    if version is None:
        raise _bad_condition("If-Match", 'one strong ETag, for example "3"')
    return Condition(if_match=int(version[1]))


def read_idempotency_key(headers: Headers) -> str | None:
    """`Idempotency-Key`, if there is one. Raises Malformed."""
    key = headers.get(b"idempotency-key")
    if key is None:
        return None
    if not _ONCE.fullmatch(key):
        raise Malformed(
            "The idempotency key cannot be used; nothing was done.",
            field="Idempotency-Key",
            rule="1 to 255 printable ASCII characters",
            remedy="Send a fresh UUID for each new request.",
        )
    return key.decode("ascii")


async def read_once(request: Call, *, json: bool = True) -> Once | None:
    """The idempotency key bound to what it stands for: method, path, query and body."""
    key = read_idempotency_key(headers_of(request.scope))
    body = await request.body()
    if key is None:
        return None
    line = f"{request.scope['method']} {request.scope['path']}?".encode() + request.scope["query_string"]
    return Once(key, line + b"\n" + (canonical(body_json(body)) if json and body else body))


# ── as dependencies of handlers ────────────────────────────────────────────────────────────────────
async def provide_credential(request: Call) -> Credential:
    """For calls that govern."""
    return await read_credential(tenure_of(request), headers_of(request.scope))


async def provide_ask(request: Call) -> Ask:
    """For calls that reach records."""
    return await read_ask(tenure_of(request), headers_of(request.scope))


def _decision(raw: bytes) -> str:
    text = raw.decode("latin-1")
    if not is_id(text):
        raise Malformed(
            "The decision's id cannot be read; nothing was done.",
            field="Tenure-Decision",
            rule="an id from POST /v1/decisions",
            remedy="Send the id exactly as it was returned.",
        )
    return text


def _behalf(raw: bytes) -> str:
    text = raw.decode("latin-1")
    if not is_id(text):
        raise Malformed(
            "For whom the call acts cannot be read; nothing was done.",
            field="Tenure-On-Behalf-Of",
            rule="the id of a principal",
            remedy="Send the id as GET /v1/principals lists it, or leave the header out.",
        )
    return text


def _bad_condition(field: str, rule: str) -> Malformed:
    return Malformed(
        "The precondition cannot be read; nothing was done.",
        field=field,
        rule=rule,
        remedy='Send If-Match with the ETag that a read or write returned, or "If-None-Match: *" to create.',
    )
