"""Every error as a problem document (RFC 9457), `application/problem+json`.

`type` is `urn:tenure:problem:<kind>`, with the kind of `tenure.errors`. The members `field`, `rule` and
`remedy` say what to mend. Nothing of the request is repeated: details end in logs.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import structlog
from litestar.exceptions import HTTPException, ValidationException
from litestar.response import Response
from litestar.types import Empty, Scope
from litestar.utils.scope.state import ScopeState

from tenure import errors
from tenure.errors import TenureError
from tenure.http.auth import Call, Headers, headers_of
from tenure.http.paths import no_path
from tenure.http.reply import PROBLEM, Reply, encode
from tenure.http.wire import field_name, too_deep, wrong_member

_log = structlog.get_logger(__name__)

_NOT_OURS = (errors.Unsupported, errors.QuotaExceeded)
"""Errors whose status is in the 500s and which no operator has to look at."""
# The most special class of an error's ancestry decides.
STATUS: dict[type[TenureError], int] = {
    errors.Malformed: 400,
    errors.Invalid: 422,
    errors.TooLarge: 413,
    errors.Unauthenticated: 401,
    errors.Denied: 403,
    errors.NotFound: 404,
    errors.Erased: 410,
    errors.Expired: 410,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.Unavailable: 503,
    errors.NotYet: 202,
    errors.RateLimited: 429,  # RFC 6585 §4
    errors.QuotaExceeded: 507,  # RFC 4918 §11.5, as RFC 4331 §6 has it for quotas
    errors.Unsupported: 501,
    errors.KeyFailure: 503,
    TenureError: 500,
}
TITLES = {
    "invalid": "The request breaks a rule",
    "malformed": "The request cannot be read",
    "too-large": "The request is too large",
    "idempotency-key-reused": "The idempotency key was used before",
    "unauthenticated": "No usable credential",
    "denied": "Policy denies this",
    "not-found": "Not found",
    "method-not-allowed": "This path does not take that method",
    "erased": "Erased",
    "expired": "Its time is over",
    "conflict": "The present state forbids this",
    "stale": "The record has changed",
    "unavailable": "Not possible now",
    "not-yet": "Under way",
    "rate-limited": "Too many requests",
    "quota-exceeded": "The tenant's storage is full",
    "unsupported": "Not supported",
    "key-failure": "Key material refuses",
    "shredded": "The key is destroyed",
    "tampered": "A seal does not hold",
    "root-lost": "No root key opens the key state",
    "unverified": "A check failed",
    "internal": "Something went wrong inside",
}
# For errors that say no more than that.
_RULES = {
    "not-found": ("something that exists and that you may see", "Check the name or id, and your role."),
    "rate-limited": ("a limit of the caller", "Wait retry_after seconds, then send less at once."),
    "quota-exceeded": (
        "a quota of the tenant",
        "Erase or shorten what is kept, or ask the operator for more.",
    ),
    "not-yet": ("published", "Ask again after retry_after seconds."),
    "unavailable": ("available", "Try again after retry_after seconds."),
    "conflict": ("another state of things", "Read the present state and decide anew."),
}
_ANY_RULE = (
    "see the detail",
    "Compare the request with /schema/openapi.json, or ask its operator.",
)
_MEMBERS = (
    "field",
    "line",
    "file",
    "rule",
    "remedy",
    "retry_after",
    "entry",
    "rules",
    "certificate",
    "shred",
    "limit",
)
_DEPTH_RULES = ("levels", "depth")


def status_of(error: TenureError) -> int:
    """The HTTP status of an error. Too many levels are no matter of size: 422 (RFC 9110 §15.5.21)."""
    if isinstance(error, errors.TooLarge) and (error.rule or "").endswith(_DEPTH_RULES):
        return STATUS[errors.Invalid]
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def on_tenure_error(request: Call, error: Exception) -> Response[bytes]:
    """Errors that Tenure raises on purpose."""
    return _problem(request, error) if isinstance(error, TenureError) else on_unexpected(request, error)


def on_http_exception(request: Call, error: Exception) -> Response[bytes]:
    """Errors of the HTTP framework. Its own details repeat the URL, so they are never shown."""
    if not isinstance(error, HTTPException) or error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return on_unexpected(request, error)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("allow", "")
        refusal = errors.Unsupported(
            "The path does not take that method; nothing was done.",
            field="method",
            rule=f"one of {allowed}",
            remedy="Use a method that /schema/openapi.json names for this path.",
        )
        return _problem(
            request, refusal, HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", {"Allow": allowed}
        )
    return _problem(request, _of_client(request, error))


def on_recursion(request: Call, _error: Exception) -> Response[bytes]:
    """JSON that nests beyond what a parser follows."""
    return _problem(request, too_deep())


def on_unexpected(request: Call, error: Exception) -> Response[bytes]:
    """A fault of ours. Only its class and place are logged: messages of foreign errors hold values."""
    _log.error("unexpected", error=type(error).__name__, at=list(_places(error))[-3:])
    return _problem(
        request,
        TenureError(
            "The service failed; it is logged.",
            rule="internal",
            remedy="Try again; writes with an Idempotency-Key are safe to repeat.",
        ),
    )


def refusal(scope: Scope, error: TenureError) -> Reply:
    """The problem document of a request that is refused before it is routed; its body was not read."""
    document, headers = _document(error, status_of(error), error.kind)
    if _brings_body(headers_of(scope)):
        headers["Connection"] = "close"
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Reply(document["status"], encode(document), PROBLEM, *raw, cache=b"no-store")


def _problem(
    request: Call,
    error: TenureError,
    status: int | None = None,
    kind: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    document, found = _document(error, status or status_of(error), kind or error.kind)
    headers = {"Cache-Control": "no-store", **(headers or {}), **found}
    if _has_unread_body(request):
        headers["Connection"] = "close"  # what is left of it stands in the way of another request
    media = PROBLEM.decode()
    return Response(encode(document), status_code=document["status"], media_type=media, headers=headers)


def _document(error: TenureError, status: int, kind: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The document of an error, and the headers that go with it."""
    ours = not isinstance(error, _NOT_OURS) and kind != "internal"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and ours:
        _log.error("failed", kind=kind, detail=error.detail)
    document: dict[str, Any] = {
        "type": f"urn:tenure:problem:{kind}",
        "title": TITLES[kind],
        "status": status,
        "detail": error.detail,
    }
    for name in _MEMBERS:
        value = getattr(error, name, None)
        if value is not None:
            document[name] = value
    rule, remedy = _RULES.get(kind, _ANY_RULE)
    document.setdefault("rule", rule)
    document.setdefault("remedy", remedy)
    headers: dict[str, str] = {}
    if isinstance(error, errors.Unavailable):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="tenure"'
    return document, headers


def _has_unread_body(request: Call) -> bool:
    return _brings_body(headers_of(request.scope)) and ScopeState.from_scope(request.scope).body is Empty


def _brings_body(headers: Headers) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def _of_client(request: Call, error: HTTPException) -> TenureError:
    """What the framework found wrong with a request, as an error of ours."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return no_path()
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return errors.TooLarge(
            "The body is too large; nothing was done.",
            field="body",
            rule=f"at most {request.app.state.tenure.settings.max_body_bytes} bytes",
            remedy="Store large values in parts, or refer to them.",
        )
    if isinstance(error, ValidationException):
        return _from_validation(error)
    return errors.Malformed(
        "The request cannot be read; nothing was done.",
        field="request",
        rule="HTTP/1.1, RFC 9112",
        remedy="Check the request line and the Host header.",
    )


def _from_validation(error: ValidationException) -> TenureError:
    """The first parameter that did not fit, from the framework's list of them."""
    wrong = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    field = field_name((str(wrong.get("key", "query")),))
    return wrong_member(field, str(wrong.get("message", "the schema of this call")))


def _places(error: BaseException) -> Iterator[str]:
    trace = error.__traceback__
    while trace is not None:
        yield f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
        trace = trace.tb_next


HANDLERS: Any = {
    TenureError: on_tenure_error,
    HTTPException: on_http_exception,
    RecursionError: on_recursion,
    Exception: on_unexpected,
}
