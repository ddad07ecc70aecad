"""One call of the API, without doing any I/O: what to send, when to wait, what the answer means.

A call is a generator. It yields `Send` and `Pause`; whoever drives it does that, blocking or not, sends back
the `Answer`, or throws in what went wrong on the way. What it returns is what the caller gets. So there is
one client, with two drivers.

A call is made again, up to `RETRIES` times:

    answered 429                        always: nothing was done. When the service says, and a little later
    answered 503, or another 5xx        if it is safe to repeat; later each time
    never connected                     always; later each time
    cut off, or no answer in time       if it is safe to repeat: it may have been done

Safe to repeat are reads, and writes with an idempotency key, which the service performs once. How much later
is left to chance (full jitter): callers that were refused together must not come back together.
"""

import json
import secrets
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tenure.client.problems import error_of
from tenure.errors import RateLimited, TenureError, Unavailable

RETRIES: Final = 4
TIMEOUT_S: Final = 30.0
LONGEST_S: Final = 30.0
"""A service that says to wait longer is believed, and not waited for."""
_FIRST_S, _MOST_S = 0.1, 10.0
_PROBLEM: Final = "application/problem+json"
_JSON: Final = "application/json"
_chance = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Send:
    """A request. `repeats`: making it again does no harm. `path` begins with a slash; values are quoted."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    repeats: bool = False
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait some seconds."""

    seconds: float


class Ask(NamedTuple):
    """A call of a cell in this very process: a verb of its threads, and what it takes.

    Sent back is what it returns; what it raises is thrown in.
    """

    verb: str
    arguments: tuple[Any, ...]


class Answer(NamedTuple):
    """What came back: status, media type, and bytes."""

    status: int
    media: str
    content: bytes

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Parsed. Unavailable when it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            raise _not_ours(self.status) from None


class NotSent(Exception):
    """No connection: the request did not leave. Drivers throw it in."""


class NotAnswered(Exception):
    """Cut off, or no answer in time: what was done is not known. Drivers throw it in."""


Step = Send | Pause | Ask
Steps = Generator[Step, Any, Answer]
"""Sent back: an `Answer` for each `Send`, and nothing for a `Pause`."""


def answered(request: Send, retries: int = RETRIES) -> Steps:
    """The answer to a request, made again where that is right.

    Raises the `TenureError` that the service answered with, and Unavailable when it does not answer.
    """
    for attempt in range(retries + 1):
        try:
            answer: Answer = yield request
        except NotSent as lost:
            failure: TenureError = _lost(lost, "it did not reach the service")
            again = True
        except NotAnswered as lost:
            failure = _lost(lost, "what it did is not known")
            again = request.repeats
        else:
            refusal = _failure(answer)
            if refusal is None:
                return answer
            failure = refusal
            again = isinstance(failure, RateLimited) or (request.repeats and _may_pass(failure))
        after = failure.retry_after if isinstance(failure, RateLimited) else 0
        if not again or attempt == retries or after > LONGEST_S:
            raise failure
        yield _pause(after, attempt)
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


def performed(asked: Ask, retries: int = RETRIES) -> Generator[Step, Any, Any]:
    """What a cell in this process answers, asked again as `answered` does: all of its verbs repeat safely."""
    for attempt in range(retries + 1):
        try:
            return (yield asked)
        except Unavailable as failure:
            after = failure.retry_after if isinstance(failure, RateLimited) else 0
            again = isinstance(failure, RateLimited) or _may_pass(failure)
            if not again or attempt == retries or after > LONGEST_S:
                raise
        yield _pause(after, attempt)
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


def _pause(after: float, attempt: int) -> Pause:
    return Pause(after + _chance.uniform(0, min(max(after, _FIRST_S) * 2**attempt, _MOST_S)))


def _may_pass(failure: TenureError) -> bool:
    """Whether the same may be answered otherwise soon. What is under way takes longer (`NotYet`)."""
    return failure.kind in (TenureError.kind, Unavailable.kind)


def _failure(answer: Answer) -> TenureError | None:
    if answer.media == _PROBLEM:
        return error_of(answer.json())
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - RFC 9110 §15.3
        return _not_ours(answer.status)
    return None


def _not_ours(status: int) -> Unavailable:
    return Unavailable(
        f"The service answered {status} in a way that is not Tenure's; what it did is not known.",
        remedy="Check that the address is a Tenure service's.",
    )


def _lost(lost: Exception, consequence: str) -> Unavailable:
    return Unavailable(
        f"The service did not answer ({lost}); {consequence}.",
        remedy="Check its address and that it runs, then ask again.",
    )
