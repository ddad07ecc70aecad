"""One embedded cell for the HTTP tests of a module, with two tenants and a caller of each role.

And, for the command line, a cell that is embedded or behind `tenure serve`, with a fresh tenant.
"""

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.testing import TestClient
from typer.testing import CliRunner

from support import nursery
from support.notices import dead
from support.serving import free_port, ready
from tenure.bootstrap import Tenure, prepare
from tenure.cli.entry import app
from tenure.http.app import create_app
from tenure.model.apikey import parse_api_key
from tenure.settings import Settings
from tenure.tls import authorities

SCOPE = "support.conversations"
TEMPLATES = Path(__file__).parents[2] / "policies" / "templates"
SUPPORT = (TEMPLATES / "support.yaml").read_text()
ROLES = {"agent": "support-agent", "lead": "support-lead", "dpo": "dpo", "auditor": "auditor"}


@dataclass
class World:
    """A served cell: API keys by caller, and ids of things that exist in tenant `acme`."""

    client: TestClient[Any]
    data_dir: Path
    keys: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def call(
        self, who: str | None, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """One request as somebody, for customer support unless it says otherwise."""
        sent = {"Tenure-Purpose": "customer-support"}
        if who is not None:
            sent["Authorization"] = f"Bearer {self.keys[who]}"
        return self.client.request(method, path, headers={**sent, **(headers or {})}, **more)

    def ok(self, who: str, method: str, path: str, **more: Any) -> Any:
        """The JSON of a call that must succeed."""
        answer = self.call(who, method, path, **more)
        assert answer.is_success, answer.text
        return answer.json()

    def dead_notice(self) -> str:
        """A new notice to a recipient in `acme` that was given up; its id."""
        tenure = self.client.app.state.tenure  # type: ignore[attr-defined]
        with self.client.portal() as portal:
            return str(portal.call(dead, tenure, parse_api_key(self.keys["acme-admin"]).tenant_id).id)

    def carry_out(self) -> None:
        """Go on with every rights request."""
        with self.client.portal() as portal:
            portal.call(self.client.app.state.tenure.rights.run)  # type: ignore[attr-defined]

    def until(self, who: str, path: str, done: Callable[[Any], Any]) -> Any:
        """Ask again until it is so; what runs beside requests takes its moment."""
        for _ in range(400):
            answer = self.ok(who, "GET", path)
            if done(answer):
                return answer
            time.sleep(0.01)
        raise AssertionError(path)

    def published(self, who: str) -> int:
        """The size of the caller's ledger once its first checkpoint is out."""
        for _ in range(400):
            answer = self.call(who, "GET", "/v1/ledger/checkpoint")
            if answer.status_code == 200:
                return int(answer.text.splitlines()[1])
            time.sleep(0.01)
        raise AssertionError("no checkpoint")

    def put(self, key: str, content: Any, *, subject: str = "customer:1", **more: Any) -> httpx.Response:
        """The agent stores a record."""
        body = {"content": content, "subjects": [subject], "categories": ["contact"]}
        return self.call("agent", "PUT", record(key), json={**body, **more.pop("json", {})}, **more)

    def tenant(self, name: str) -> None:
        """Create a tenant with the support template and a caller of each role."""
        self.keys[f"{name}-admin"] = self.ok("operator", "POST", "/v1/tenants", json={"name": name})[
            "admin_key"
        ]
        self.ok(f"{name}-admin", "POST", "/v1/manifests:apply", content=SUPPORT)
        for who, role in ROLES.items():
            body = {"name": who, "kind": "service", "roles": [role]}
            made = self.ok(f"{name}-admin", "POST", "/v1/principals", json=body)
            self.keys[f"{name}-{who}"] = made["api_key"]
            self.ids[f"{name}-{who}"] = made["id"]


def record(key: str) -> str:
    """The path of a record whose key needs no escapes."""
    return f"/v1/scopes/{SCOPE}/records/{key}"


@pytest.fixture(scope="module")
def limits() -> dict[str, int]:
    """Settings of limits other than the defaults, for the modules that want some."""
    return {}


@pytest.fixture(scope="session")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Lays a new cell down in a folder, as `data` and `root`: the operator's key. It is made once."""
    made = tmp_path_factory.mktemp("laid")
    operator = prepare(Settings(data_dir=made / "data", root_dir=made / "root"))
    assert operator is not None

    def lay(folder: Path) -> str:
        for name in ("data", "root"):
            shutil.copytree(made / name, folder / name)
        return operator

    return lay


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, limits: dict[str, int], laid: Callable[[Path], str]
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("cell")
    settings = Settings(
        data_dir=folder / "data",
        root_dir=folder / "root",
        max_body_bytes=64 << 10,
        shred_interval_s=0,
        lanes=1,  # one writer, so that tests can count its entries
        local_issuers=True,
        **limits,
    )
    operator = laid(folder)
    with TestClient(create_app(Tenure(settings)), raise_server_exceptions=False) as client:
        world = World(client, settings.data_dir, {"operator": operator, "nonsense": "tnr_nonsense"})
        world.tenant("acme")
        world.tenant("other")
        for who in (*ROLES, "admin"):
            world.keys[who] = world.keys[f"acme-{who}"]
        yield world


# ── the command line ───────────────────────────────────────────────────────────────────────────────
class Caller:
    """Runs commands as somebody; `where` says which cell."""

    def __init__(self, where, keys):
        self.where = where
        self.keys = keys

    def run(self, who, *arguments, code=0):
        env = {"TENURE_API_KEY": self.keys.get(who, who)}
        found = CliRunner().invoke(app, [*map(str, arguments), *map(str, self.where)], env=env)
        assert found.exit_code == code, found.output
        return found

    def json(self, who, *arguments, code=0):
        return json.loads(self.run(who, *arguments, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def served(tmp_path_factory, laid):
    """A cell behind `tenure serve`."""
    folder = tmp_path_factory.mktemp("served")
    places = ["--data-dir", str(folder / "data"), "--root-dir", str(folder / "root")]
    operator = laid(folder)
    port = free_port()
    program = "from tenure.cli.entry import main; main()"
    process = nursery.start(program, "serve", *places, "--port", str(port))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=authorities()) as client:
            assert ready(client, port), "tenure serve does not begin"
            yield Caller(["--url", str(client.base_url)], {"operator": operator})
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, "tenure serve does not end cleanly"


EVERYWHERE = pytest.mark.parametrize("caller", ["embedded", "url"], indirect=True)
"""For one test of each kind of command: that it reaches either cell. What it does there is the same."""


@pytest.fixture
def caller(request, tmp_path):
    """A caller with a fresh tenant: `operator` and `admin`. Of a served cell, unless it is `EVERYWHERE`."""
    if getattr(request, "param", "url") == "url":
        served = request.getfixturevalue("served")
        caller = Caller(served.where, dict(served.keys))
    else:
        cell = request.getfixturevalue("embedded")
        places = ["--data-dir", cell.settings.data_dir, "--root-dir", cell.settings.root_dir]
        caller = Caller(places, {"operator": cell.operator_key})
    made = caller.json("operator", "tenant", "create", f"tenant-{tmp_path.name}")
    caller.keys["admin"] = made["admin_key"]
    return caller


@pytest.fixture
def furnished(caller):
    """The same, with the support template declared."""
    caller.run("admin", "apply", "-f", TEMPLATES / "support.yaml")
    return caller
