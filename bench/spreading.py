"""How soon a change of policy holds on every replica: three server processes on one PostgreSQL, always asked.

A deny is applied through one process while all are asked for a record without a pause, then taken back. What
counts is what was asked after the change had been answered: none of it may be allowed.
"""

import asyncio
import json
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from bench import content, ledger, postgres, servers
from bench.cells import Cell, put
from tenure.bootstrap import open_tenure, prepare
from tenure.model.apikey import parse_api_key
from tenure.model.principal import PrincipalKind

_PAUSE_S = 0.5


class Asked(NamedTuple):
    """One read: when it was sent and answered, and with what."""

    sent: float
    answered: float
    status: int


def run(replicas: int = 3, changes: int = 20) -> dict[str, Any]:
    """Milliseconds from a change's answer to its effect on each replica; how many answers were stale."""
    with postgres.server() as server, tempfile.TemporaryDirectory(prefix="tenure-bench-") as folder:
        cell, admin_key = asyncio.run(_cell(server, Path(folder)))
        with ExitStack() as stack:
            ports = [servers.free_port() for _ in range(replicas)]
            for port in ports:
                environment = {**cell.environment, "TENURE_PORT": str(port)}
                stack.enter_context(servers.running(["-m", "tenure.main"], port, environment=environment))
            watchers = [_Watcher(port, cell) for port in ports]
            for watcher in watchers:
                watcher.start()
            try:
                answered = _change(ports[0], admin_key, changes)
            finally:
                for watcher in watchers:
                    watcher.stop()
        return _judged(answered, [watcher.asked for watcher in watchers])


async def _cell(server: postgres.Server, folder: Path) -> tuple[Cell, str]:
    settings = ledger.settings_for(server, "spreading", folder)
    operator = parse_api_key(prepare(settings) or "")
    async with open_tenure(settings) as tenure:
        made = await tenure.tenants.create(operator, "bench")
        admin = parse_api_key(made["admin_key"])
        await tenure.manifests.apply(admin, content.MANIFESTS, dry_run=False)
        agent = await tenure.principals.create(admin, "agent", PrincipalKind.AGENT, ("support-agent",))
        cell = Cell("spreading", settings, agent["api_key"])
        await put(tenure, cell, "k", 1)
    return cell, made["admin_key"]


class _Watcher(threading.Thread):
    """Asks one server for the record, again and again."""

    def __init__(self, port: int, cell: Cell) -> None:
        super().__init__(daemon=True)
        self.asked: list[Asked] = []
        self._url = f"http://127.0.0.1:{port}/v1/scopes/{content.SCOPE}/records/k"
        self._headers = cell.headers
        self._done = threading.Event()

    def run(self) -> None:
        """Until told to stop."""
        with httpx.Client(headers=self._headers, timeout=30) as client:
            while not self._done.wait(0.002):
                sent = time.perf_counter()
                status = client.get(self._url).status_code
                self.asked.append(Asked(sent, time.perf_counter(), status))

    def stop(self) -> None:
        """Ask no more."""
        self._done.set()
        self.join()


def _change(port: int, admin_key: str, changes: int) -> list[tuple[float, int]]:
    """Deny and take it back in turn: (when it was answered, what reads get from then on)."""
    answered = []
    headers = {"Authorization": f"Bearer {admin_key}", "Content-Type": "application/json"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        for number in range(2 * changes):
            denied = number % 2 == 0
            spec = {
                "roles": ["support-agent"],
                "scopes": ["**"],
                "categories": ["*"],
                "purposes": ["*"],
                "actions": ["read" if denied else "delete"],
                "effect": "deny",
            }
            grant = {"apiVersion": "tenure/v1", "kind": "Grant", "metadata": {"name": "no"}, "spec": spec}
            client.post("/v1/manifests:apply", content=json.dumps(grant)).raise_for_status()
            answered.append((time.perf_counter(), 403 if denied else 200))
            time.sleep(_PAUSE_S)
    return answered


def _judged(answered: list[tuple[float, int]], asked: list[list[Asked]]) -> dict[str, Any]:
    delays: list[float] = []
    stale = counted = 0
    for at, expected in answered:
        for mine in asked:
            # Up to the next change: while that one is under way either answer is right.
            later = [one for one in mine if at <= one.sent and one.answered < at + _PAUSE_S]
            counted += len(later)
            stale += sum(one.status != expected for one in later)
            delays += [(one.answered - at) * 1e3 for one in later if one.status == expected][:1]
    others = {one.status for mine in asked for one in mine} - {200, 403}
    return {
        "replicas": len(asked),
        "changes": len(answered),
        "asked_after_a_change": counted,
        "stale": stale,
        "other_statuses": sorted(others),
        "first_effect_ms": sorted(delays),
    }
