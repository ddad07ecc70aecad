"""Who acts: the cell, its tenant, and everybody's API keys."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tenure.cli.demo.dataset import Item
from tenure.cli.demo.screen import Steps
from tenure.cli.embedded import Cell, open_cell
from tenure.cli.governing import segment
from tenure.client.http import Connection
from tenure.errors import NotYet
from tenure.ledger.canonical import canonical

if TYPE_CHECKING:
    from tenure.settings import Settings

SUPPORT, QUALITY, MARKETING = "customer-support", "quality", "marketing"
_TENANT = "demo-air"
_IN_FLIGHT = 64
_PATIENCE_S = 60.0
_POLL_S = 0.05

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Keys:
    """API keys by who holds them. `lead` is not part of what is kept for `tenure serve`."""

    operator: str
    admin: str
    agent: str
    dpo: str
    auditor: str
    lead: str

    def keep(self, path: Path) -> None:
        """Write `credentials.json`, for its owner only."""
        path.touch(mode=0o600)
        held = {name: getattr(self, name) for name in ("operator", "admin", "agent", "dpo", "auditor")}
        path.write_text(json.dumps(held, indent=2) + "\n", "utf-8")


@dataclass(frozen=True, slots=True)
class Cast:
    """Connections to the open cell, one for each who acts."""

    cell: Cell
    admin: Connection
    agent: Connection
    dpo: Connection
    auditor: Connection
    lead: Connection


def policy() -> str:
    """The manifests that the demonstration declares."""
    return (resources.files(__package__) / "policy.yaml").read_text("utf-8")


async def assemble(settings: "Settings", operator: str) -> Keys:
    """Make the tenant, declare the policy, and give everybody a key."""
    async with open_cell(settings, log_level="critical") as cell:
        async with cell.connect(operator) as connection:
            made = await connection.call("POST", "/v1/tenants", {"name": _TENANT})
        async with cell.connect(made["admin_key"]) as admin:
            await admin.call("POST", "/v1/manifests:apply", text=policy())

            async def key(name: str, kind: str, role: str) -> str:
                body = {"name": name, "kind": kind, "roles": [role]}
                return str((await admin.call("POST", "/v1/principals", body))["api_key"])

            return Keys(
                operator=operator,
                admin=made["admin_key"],
                agent=await key("support-bot", "agent", "support-agent"),
                dpo=await key("officer", "person", "dpo"),
                auditor=await key("auditor", "person", "auditor"),
                lead=await key("lead", "person", "support-lead"),
            )


@contextlib.asynccontextmanager
async def on_stage(settings: "Settings", keys: Keys) -> AsyncIterator[Cast]:
    """Open the cell, with a connection for everybody."""
    async with open_cell(settings, log_level="critical") as cell, contextlib.AsyncExitStack() as stack:

        async def connected(key: str) -> Connection:
            return await stack.enter_async_context(cell.connect(key))

        yield Cast(
            cell,
            admin=await connected(keys.admin),
            agent=await connected(keys.agent),
            dpo=await connected(keys.dpo),
            auditor=await connected(keys.auditor),
            lead=await connected(keys.lead),
        )


async def read(
    connection: Connection, place: tuple[str, str], purpose: str, decision: str | None = None
) -> Any:  # noqa: ANN401
    """A governed read. The key is in the body: keys may be personal, and URLs end in logs."""
    headers = {"Tenure-Purpose": purpose} | ({"Tenure-Decision": decision} if decision else {})
    body = {"scope": place[0], "key": place[1]}
    return await connection.call("POST", "/v1/records:get", body, headers=headers)


def exact(content: Any) -> bytes:  # noqa: ANN401 - any JSON
    """The bytes that are sealed and committed to: canonical JSON (RFC 8785)."""
    return canonical(content)


async def write(connection: Connection, item: Item, decision: str | None = None) -> Any:  # noqa: ANN401
    """A governed write."""
    headers = {"Tenure-Purpose": SUPPORT} | ({"Tenure-Decision": decision} if decision else {})
    body = {"content": item.content, "subjects": item.subjects, "categories": item.categories}
    path = f"/v1/scopes/{item.scope}/records/{segment(item.key)}"
    return await connection.call("PUT", path, body, headers=headers)


async def every(
    work: Callable[[T], Awaitable[None]], things: Iterable[T], steps: Steps, *, at_once: int = _IN_FLIGHT
) -> None:
    """Do the work for each thing, some at once: the service commits together what is in flight together."""
    waiting = iter(things)

    async def hand() -> None:
        for thing in waiting:
            await work(thing)
            steps.done()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(hand())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None  # one is enough to end the story


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until it is there."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE_S
    while True:
        try:
            return await ask()
        except NotYet:
            if loop.time() >= end:
                raise
        await asyncio.sleep(_POLL_S)
