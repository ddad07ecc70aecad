"""Three server processes on one database, under load: a verifier that is not ours passes all the while."""

import itertools
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from foreign import goverifier
from support import nursery
from support.cell import SCOPE, SUPPORT, Cell, Tenant
from support.relay import relayed
from support.serving import served
from tenure.client.source import DirSource
from tenure.ledger.audit import audit
from tenure.ledger.note import Verifier
from tenure.ledger.tile import decode_bundle, expected_bundles
from tenure.tls import authorities

pytestmark = [pytest.mark.postgres, pytest.mark.go]
SERVERS, WORKERS, OPERATIONS = 3, 6, 30


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return goverifier.build(tmp_path_factory.mktemp("go"))


@dataclass
class Watched:
    """A tenant's log as its auditor knows it: the key, every head seen, and what was acknowledged."""

    tenant: Tenant
    vkey: str
    folder: Path
    heads: list[Path] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)

    def keep(self, head: str, into: Path) -> None:
        """Remember a head, to be extended by all later ones."""
        path = into / f"{self.tenant.id}-{len(self.heads)}"
        path.write_text(head)
        self.heads.append(path)

    def entries(self) -> set[str]:
        """The ids of all entries in the published folder."""
        size = int((self.folder / "checkpoint").read_text().splitlines()[1])
        bodies = (decode_bundle((self.folder / one.path).read_bytes()) for one in expected_bundles(size))
        found = (json.loads(body) for body in itertools.chain.from_iterable(bodies))
        return {f"{entry['writer']}-{entry['n']}" for entry in found}


def work(clients: list[httpx.Client], watched: list[Watched], worker: int) -> None:
    """Write and read in both tenants, each time at another server."""
    for n in range(OPERATIONS):
        client, one = clients[(worker + n) % len(clients)], watched[(n // 2) % len(watched)]
        headers = {"Authorization": f"Bearer {one.tenant.keys['agent']}", "Tenure-Purpose": SUPPORT}
        path = f"/v1/scopes/{SCOPE}/records/w{worker}-{n // 8}"
        body = {"content": {"v": n}, "subjects": [f"customer:{worker}"], "categories": ["contact"]}
        answer = client.put(path, headers=headers, json=body)
        assert answer.is_success, answer.text
        one.acknowledged.add(answer.json()["entry"])
        if n % 3 == 0:
            assert client.get(path, headers=headers).is_success


def check(binary: Path, watched: Watched, client: httpx.Client, into: Path) -> None:
    """The served log and the published folder pass, and extend everything that was seen before."""
    auditor = watched.tenant.keys["auditor"]
    with relayed(client, auditor) as url:
        head = httpx.get(f"{url}/checkpoint", timeout=30, verify=authorities())
        passed, said = goverifier.run(binary, url, watched.vkey, watched.heads)
    assert passed, said
    passed, said = goverifier.run(binary, str(watched.folder), watched.vkey, watched.heads)
    assert passed, said
    watched.keep(head.text, into)
    watched.keep((watched.folder / "checkpoint").read_text(), into)


@pytest.fixture
def servers(scaled: Cell, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    given = json.loads(scaled.settings.model_dump_json(exclude={"port", "host"}))
    with ExitStack() as stack:
        yield [stack.enter_context(served(given, tmp_path / f"server-{n}.log"))[1] for n in range(SERVERS)]


def test_it_passes_meanwhile_and_afterwards_and_all_is_in(
    scaled: Cell, servers: list[httpx.Client], binary: Path, tmp_path: Path
) -> None:
    heads = tmp_path / "heads"
    heads.mkdir()
    watched = []
    for tenant in (scaled.one, scaled.two):
        headers = {"Authorization": f"Bearer {tenant.keys['auditor']}"}
        vkey = servers[0].get("/v1/ledger/key", headers=headers).json()["vkey"]
        watched.append(Watched(tenant, vkey, scaled.published(tenant)))
    with ThreadPoolExecutor(WORKERS) as pool:
        working = [pool.submit(work, servers, watched, worker) for worker in range(WORKERS)]
        rounds = 0
        while not rounds or wait(working, timeout=0.5)[1]:
            for one in watched:
                check(binary, one, servers[rounds % SERVERS], heads)
            rounds += 1
    for done in working:
        done.result()
    for one in watched:
        _until_published(one)
        check(binary, one, servers[1], heads)
        texts = [path.read_text() for path in one.heads]
        sizes: dict[str, list[int]] = defaultdict(list)
        for n, text in enumerate(texts):
            sizes["served" if n % 2 == 0 else "folder"].append(int(text.splitlines()[1]))
        assert sizes["served"] == sorted(sizes["served"])
        assert sizes["folder"] == sorted(sizes["folder"]), "a published head went back"
        report = audit(DirSource(one.folder), [Verifier.parse(one.vkey)], earlier=texts)
        assert report.ok, report.failures
        assert report.writers >= SERVERS
        _told_by_the_command(one, servers[2], tmp_path)


def _until_published(watched: Watched) -> None:
    for _ in range(600):
        if watched.acknowledged <= watched.entries():
            return
        time.sleep(0.05)
    raise AssertionError(f"{len(watched.acknowledged - watched.entries())} entries are not published")


def _told_by_the_command(watched: Watched, client: httpx.Client, folder: Path) -> None:
    """`tenure audit`, of the service as a stranger runs it."""
    url = str(client.base_url.join("/v1/ledger"))
    environment = {"TENURE_API_KEY": watched.tenant.keys["auditor"], "PWD": str(folder)}
    program = "import os; os.chdir(os.environ['PWD']); from tenure.cli.entry import main; main()"
    done = nursery.run(program, "audit", url, "--vkey", watched.vkey.strip(), env=environment)
    assert done.returncode == 0, done.stdout
