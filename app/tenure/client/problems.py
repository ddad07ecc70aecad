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
    kind = _KINDS.get(str(problem.get("type", "")).rpartition(":")[2], TenureError)
    failure = _made(kind, str(problem.get("detail", "The service refused.")), problem)
    for name in ("field", "rule", "remedy"):  # every kind has them, whether or not it is made of them
        if problem.get(name) is not None:
            setattr(failure, name, problem[name])
    return failure


def _made(kind: type[TenureError], detail: str, problem: Mapping[str, Any]) -> TenureError:
    """An error of a kind, with what only that kind has."""
    if kind is Denied:
        return Denied(detail, entry=problem.get("entry"), rules=tuple(problem.get("rules", ())))
    if kind is Erased:
        return Erased(detail, certificate=problem.get("certificate"), shred=problem.get("shred"))
    if kind is QuotaExceeded:
        return QuotaExceeded(detail, limit=str(problem.get("limit", "")))
    after = int(problem.get("retry_after", 1))
    if kind is RateLimited:
        return RateLimited(detail, limit=str(problem.get("limit", "")), retry_after=after)
    if issubclass(kind, Unavailable):
        return kind(detail, retry_after=after)
    failure = kind(detail)
    if isinstance(failure, Invalid):
        failure.line, failure.file = problem.get("line"), problem.get("file")
    return failure


def _family(kind: type[TenureError]) -> Iterator[type[TenureError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


# A class without a kind of its own is a server's: a case of another, told as that one.
_KINDS = {kind.kind: kind for kind in _family(TenureError) if "kind" in vars(kind) and kind is not Unverified}
