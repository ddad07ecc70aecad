"""Problem documents (RFC 9457) as the errors that the service raised."""

from collections.abc import Iterator, Mapping
from typing import Any

from tenure.errors import (
    Denied,
    Erased,
    Invalid,
    QuotaExceeded,
    RateLimited,
    TenureError,
    Unavailable,
    Unverified,
)


def error_of(problem: Mapping[str, Any]) -> TenureError:
    """The error that a problem document (RFC 9457) stands for; a plain `TenureError` for an unknown kind."""
    name = str(problem.get("type", "")).rpartition(":")[2]
    kind = _KINDS.get(name, TenureError)
    detail, remedy = str(problem.get("detail", "The service refused.")), problem.get("remedy")
    if kind is Denied:
        return Denied(
            detail, entry=problem.get("entry"), rules=tuple(problem.get("rules", ())), remedy=remedy
        )
    if kind is Erased:
        return Erased(detail, certificate=problem.get("certificate"), shred=problem.get("shred"))
    if kind in (RateLimited, QuotaExceeded):
        return _limited(kind, detail, problem)
    if issubclass(kind, Unavailable):
        return kind(detail, retry_after=int(problem.get("retry_after", 1)), remedy=remedy)
    failure = kind(detail, field=problem.get("field"), rule=problem.get("rule"), remedy=remedy)
    if isinstance(failure, Invalid):
        failure.line, failure.file = problem.get("line"), problem.get("file")
    return failure


def _limited(kind: type[TenureError], detail: str, problem: Mapping[str, Any]) -> TenureError:
    limit, rule, remedy = str(problem.get("limit", "")), problem.get("rule"), problem.get("remedy")
    if kind is QuotaExceeded:
        return QuotaExceeded(detail, limit=limit, rule=rule, remedy=remedy)
    after = int(problem.get("retry_after", 1))
    return RateLimited(detail, limit=limit, retry_after=after, rule=rule, remedy=remedy)


def _family(kind: type[TenureError]) -> Iterator[type[TenureError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


# A class without a kind of its own is a server's: a case of another, told as that one.
_KINDS = {kind.kind: kind for kind in _family(TenureError) if "kind" in vars(kind) and kind is not Unverified}
