"""Calls of a cell in the same process, past HTTP but past nothing else: credential, limits, purpose.

What a request's headers would say is said by the client's `Bound`.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from tenure.access import Ask
from tenure.governance.tokens import hash_of
from tenure.http.auth import Headers, read_ask
from tenure.limiting import Way
from tenure.oidc.token import is_token

if TYPE_CHECKING:
    from tenure.bootstrap import Tenure

_PEER: Final = "127.0.0.1"


class Bound(Protocol):
    """What a client's calls carry (`client.calls.Bound`)."""

    @property
    def headers(self) -> dict[str, str]: ...  # noqa: D102 - as request headers


class Step(Protocol):
    """A verb of the cell's threads, and what it takes (`client.steps.Ask`)."""

    @property
    def verb(self) -> str: ...  # noqa: D102 - see the class
    @property
    def arguments(self) -> tuple[Any, ...]: ...  # noqa: D102 - see the class


def asker(tenure: "Tenure", api_key: str) -> Callable[[Step, Bound], Awaitable[Any]]:
    """What performs such calls for the holder of a key or token."""
    kept: dict[Bound, Ask] = {}
    token_hash = hash_of(api_key) if is_token(api_key) else None

    async def read(bound: Bound) -> Ask:
        given = {"Authorization": f"Bearer {api_key}", **bound.headers}
        headers = Headers(
            {name.lower().encode(): text.encode("latin-1", "replace") for name, text in given.items()}
        )
        headers.credential = headers.admit = None
        found = await read_ask(tenure, headers)
        if token_hash is None and len(kept) < _MOST:  # a token ends; a key is looked at by every call
            kept[bound] = found
        return found

    async def ask(step: Step, bound: Bound) -> Any:  # noqa: ANN401 - as the verb answers
        asked = kept.get(bound) or await read(bound)
        credential = asked.credential
        secret = token_hash or credential.secret_hash
        ticket = tenure.gate.enter(Way.USUAL, credential.tenant_id, secret, _PEER, monotonic())
        try:
            return await getattr(tenure.threads, step.verb)(asked, *step.arguments)
        finally:
            tenure.gate.leave(ticket, 0, 1)
            if ticket.peer is not None and tenure.knows(credential.tenant_id, secret):
                tenure.gate.proven(credential.tenant_id, secret, tenure.tokens.owner(secret).actor)

    return ask


_MOST: Final = 1000
