"""What the gate costs each request: `python -m bench limits`. CPU time of the thread, best of some rounds.

`enter and leave` is the gate alone, for one busy tenant and for many in turn. `turnstile` is all that is done
in front of the application, without what the application then need not do again: gathering headers and
reading the key.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from tenure.governance.tokens import NOBODY
from tenure.http.auth import headers_of, read_api_key, read_bearer
from tenure.http.turnstile import Turnstile
from tenure.limiting import Gate, Way
from tenure.model.apikey import new_api_key, parse_api_key
from tenure.model.limits import Limits

_CALLS = 100_000
_ROUNDS = 5
_DEFAULT = Limits(10**9, 10**12, 10**9, 2, 512, 0, 0)
_OWN = Limits(10**8, 10**11, 10**8, 2, 256, 0, 0)
_TENANT = "01900000-0000-7000-8000-%012x"


def run(console: Console) -> None:
    """Measure and print."""
    table = Table("what", "µs a request", title="The gate in front of every request")
    for name, tenants, own in (
        ("enter and leave: one tenant", 1, False),
        ("enter and leave: one tenant, its key has limits of its own", 1, True),
        ("enter and leave: 10 000 tenants in turn", 10_000, False),
    ):
        table.add_row(name, f"{_best(_entering(tenants, own=own)):.2f}")
    table.add_row("for comparison: gathering headers and reading the key", f"{_best(_reading()):.2f}")
    table.add_row("turnstile", f"{_best(_serving(turnstile=True)) - _best(_serving()):.2f}")
    console.print(table)


def _best(work: Callable[[], None]) -> float:
    """Microseconds of one of the calls in `work`."""
    found = []
    for _ in range(_ROUNDS):
        begin = time.thread_time_ns()
        work()
        found.append(time.thread_time_ns() - begin)
    return min(found) / _CALLS / 1000


def _gate(*, own: bool = False) -> Gate:
    narrowed = _OWN if own else None
    return Gate(lambda _: _DEFAULT, lambda *_: narrowed, lambda: 2, strangers=10, reserve=10)


def _entering(tenants: int, *, own: bool) -> Callable[[], None]:
    gate = _gate(own=own)
    ids = [_TENANT % n for n in range(tenants)]
    for one in ids:
        gate.proven(one, "secret")

    def work() -> None:
        now, enter, leave = time.monotonic, gate.enter, gate.leave
        for n in range(_CALLS):
            ticket = enter(Way.USUAL, ids[n % tenants], "secret", "192.0.2.1", now())
            leave(ticket, 1000, 1)

    return work


def _reading() -> Callable[[], None]:
    headers = _scope(new_api_key(_TENANT % 1)[0])["headers"]

    def work() -> None:
        for _ in range(_CALLS):
            scope: Any = {"headers": headers}
            found = headers_of(scope)
            read_api_key(found, read_bearer(found))

    return work


def _scope(key: str) -> Any:  # noqa: ANN401 - ASGI
    return {
        "type": "http",
        "path": "/v1/scopes/-/records/-",
        "client": ("192.0.2.1", 1),
        "headers": [
            (b"host", b"tenure"),
            (b"authorization", f"Bearer {key}".encode()),
            (b"tenure-purpose", b"customer-support"),
            (b"accept", b"*/*"),
        ],
    }


def _serving(*, turnstile: bool = False) -> Callable[[], None]:
    key = new_api_key(_TENANT % 1)[0]
    gate = _gate()
    credential = parse_api_key(key)
    gate.proven(credential.tenant_id, credential.secret_hash)
    front = Turnstile(gate, lambda *_: True, lambda _: NOBODY, ())
    given = _scope(key)
    start: Any = {"type": "http.response.start", "status": 200, "headers": []}
    body: Any = {"type": "http.response.body", "body": b"x" * 500}

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        found = headers_of(scope)
        read_api_key(found, read_bearer(found))
        await receive()
        await send(start)
        await send(body)

    async def receive() -> Any:  # noqa: ANN401 - ASGI
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:  # noqa: ANN401 - ASGI
        return

    async def many() -> None:
        for _ in range(_CALLS):
            scope: Any = dict(given)
            if turnstile:
                await front.serve(app, scope, receive, send)
            else:
                await app(scope, receive, send)

    return lambda: asyncio.run(many())
