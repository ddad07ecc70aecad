"""After the certificate no key of the erased person lies anywhere in the service's memory.

Looked at from outside: every page of a real service process, through `/proc/PID/mem`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.cell import SCOPE, SUPPORT, Cell
from support.memory import readable, secrets_of, seen, used
from support.serving import served
from tenure.keys.nodes import Node, leaf_key
from tenure.keys.seal import Binding

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="another process's memory is read through Linux's /proc"
)
_PERSON, _SURVIVOR = "customer:1", "customer:2"


class Service:
    """A service process, and calls to it."""

    def __init__(self, pid: int, client: httpx.Client, cell: Cell) -> None:
        self.pid = pid
        self._client = client
        self._keys = cell.one.keys | {"operator": cell.operator_key}

    def ok(self, who: str, method: str, path: str, **more: Any) -> Any:
        """The JSON of a call that must succeed."""
        headers = {"Authorization": f"Bearer {self._keys[who]}", "Tenure-Purpose": SUPPORT}
        answer = self._client.request(method, path, headers=headers, **more)
        assert answer.is_success, answer.text
        return answer.json()

    def write(self, key: str, subject: str) -> str:
        """Write a record, and read it so that its keys are cached; its id."""
        draft = {"content": {"v": key}, "subjects": [subject], "categories": ["contact"]}
        self.ok("agent", "PUT", f"/v1/scopes/{SCOPE}/records/{key}", json=draft)
        return str(self.read(key)["record"])

    def read(self, key: str) -> Any:
        """Read a record."""
        return self.ok("agent", "GET", f"/v1/scopes/{SCOPE}/records/{key}")

    def erase(self, subject: str) -> None:
        """Erase a person and wait for the certificate."""
        found = self.ok("dpo", "POST", "/v1/subjects:lookup", json={"ref": subject})["items"][0]["id"]
        self._until_certified("dpo", self.ok("dpo", "POST", f"/v1/subjects/{found}:shred"))

    def offboard(self, tenant: str) -> None:
        """Erase a tenant and wait for the certificate."""
        self._until_certified("operator", self.ok("operator", "POST", f"/v1/tenants/{tenant}:shred"))

    def _until_certified(self, who: str, asked: dict[str, str]) -> None:
        for _ in range(600):
            if "certificate" in self.ok(who, "GET", f"/v1/shreds/{asked['shred']}"):
                return
            time.sleep(0.05)
        raise AssertionError("no certificate")


@contextmanager
def serving(cell: Cell, log: Path) -> Iterator[Service]:
    """The cell, served by a process of its own."""
    with served(cell.settings.model_dump() | {"shred_interval_s": 0.0}, log) as (process, client):
        yield Service(process.pid, client, cell)


def must_be_readable(pid: int) -> None:
    """Only root reads the memory of a service that lets nobody trace it; a failure where all must run."""
    if readable(pid):
        return
    if os.environ.get("TENURE_REQUIRE_ALL") == "1":
        pytest.fail("the memory of another process cannot be read here, and everything must run")
    pytest.skip("the memory of another process cannot be read here: run as root")


_USES_KEYS = """
import sys
from hashlib import sha256
from tenure.keys.ggm import PuncturedState
from tenure.keys.nodes import LEAF_BITS
from tenure.keys.seal import Binding, open_key, seal

seed = sha256(b"a test's seed").digest()
state = PuncturedState.fresh(seed)
binding = Binding("tenant", "scope", "record", 1)
sealed, opened = seal(binding, [{5000: state.derive(5000)}], {"content": b"{}"})
opened.wipe()
opened = open_key(binding, sealed.header, state.derive)
assert opened.open("content", sealed.parts["content"]) == b"{}"
opened.wipe()
after = state.puncture([5000])
print(sealed.header.hex(), flush=True)
sys.stdin.read()
"""


def test_the_service_dumps_no_core(embedded: Cell, tmp_path: Path) -> None:
    with serving(embedded, tmp_path / "log") as service:
        limits = Path(f"/proc/{service.pid}/limits").read_text().splitlines()
        assert [line.split()[4:6] for line in limits if "core file" in line] == [["0", "0"]]


def test_nobody_may_dump_or_trace_it_after_that() -> None:
    """The kernel's own word (`PR_GET_DUMPABLE`), in a process that may be dumped until then."""
    asks = "import ctypes; ask = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0); print(ask());"
    then = "from tenure.coredumps import refuse_core_dumps; refuse_core_dumps(); print(ask())"
    answer = subprocess.run([sys.executable, "-c", asks + then], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["1", "0"]


def test_what_was_derived_and_let_go_of_is_nowhere() -> None:
    """Looked for at once: without the wiping it finds keys, since nothing came that needed the place."""
    command = [sys.executable, "-c", _USES_KEYS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        header = bytes.fromhex(process.stdout.readline())
        must_be_readable(process.pid)
        root = Node(0, 0, sha256(b"a test's seed").digest())
        assert seen(process.pid, {"seed": bytes(root.seed)}) == {"seed"}
        alone = {5000: bytes(leaf_key(root.seed, root.depth, 5000))}
        keys = used(root, 5000, alone, Binding("tenant", "scope", "record", 1), header)
        assert seen(process.pid, keys) == set()
        process.communicate("")


def test_no_key_of_an_erased_person_is_left_in_memory(place: Cell, tmp_path: Path) -> None:
    with serving(place, tmp_path / "log") as service:
        must_be_readable(service.pid)
        record, other = service.write("leaves", _PERSON), service.write("stays", _SURVIVOR)
        gone, stays = secrets_of(place, record, place.one.id), secrets_of(place, other, place.one.id)
        # The search finds what is there: the same pages, the same way.
        assert seen(service.pid, gone.live) == set(gone.live)
        assert seen(service.pid, stays.live) == set(stays.live)
        assert seen(service.pid, gone.passing) == set(), "what was needed on the way is wiped at once"

        service.erase(_PERSON)
        assert service.read("stays")["content"] == {"v": "stays"}
        found = seen(service.pid, gone.every)
        assert found == set()
        kept = {name: stays.live[name] for name in ("leaf key", "DEK")}
        assert seen(service.pid, kept) == set(kept), "and it still finds what is still there"


def test_no_key_of_a_tenant_that_left_is_left_in_memory(place: Cell, tmp_path: Path) -> None:
    """Whole: the keys of its shards, the seed that signed its log, and what opened a record."""
    with serving(place, tmp_path / "log") as service:
        must_be_readable(service.pid)
        gone = secrets_of(place, service.write("leaves", _PERSON), place.one.id)
        assert service.ok("auditor", "GET", "/v1/ledger/key")
        assert seen(service.pid, gone.live | gone.tenant) == {*gone.live, *gone.tenant}
        service.offboard(place.one.id)
        assert seen(service.pid, gone.every | gone.tenant) == set()
