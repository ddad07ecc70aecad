"""Both databases for every test that asks for one. PostgreSQL is started once, on a socket of its own."""

import gc
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from hypothesis import settings
from sqlalchemy.engine import make_url

from support import compiled
from support.cell import Cell, Stock, blank
from support.databases import DATABASES
from support.postgres import Server, server
from support.rgw import Bucket, S3Server, started
from support.softhsm import SoftHsm
from support.softhsm import begin as softhsm_token

_ENOUGH = 6 << 30
_MEMORY = Path("/dev/shm")
if "PYTEST_DEBUG_TEMPROOT" not in os.environ and os.access(_MEMORY, os.W_OK):
    # Thousands of cells commit durably: a disk teaches nothing. Programs are built there, too.
    _left = os.statvfs(_MEMORY)
    if _left.f_bavail * _left.f_frsize > _ENOUGH and not _left.f_flag & os.ST_NOEXEC:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: much of what is tested waits for servers, leases and days."""
    return (os.cpu_count() or 1) + 1


compiled.share()
# Young garbage is looked through after ten thousands of objects, not after hundreds: most goes without that.
gc.set_threshold(20_000, 20, 20)


def pytest_collection_finish() -> None:
    """What was imported stays until the end: nothing looks through it again for what is over."""
    gc.collect()
    gc.freeze()


_MARKS = {"postgresql": pytest.mark.postgres}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Both databases, or those of the marker `databases` that is nearest to the test."""
    marks = metafunc.definition.iter_markers("parametrize")
    if "database_kind" in metafunc.fixturenames and not any(
        "database_kind" in mark.args[0] for mark in marks
    ):
        nearest = metafunc.definition.get_closest_marker("databases")
        kinds = DATABASES if nearest is None else nearest.args
        params = [pytest.param(kind, marks=_MARKS.get(kind, ())) for kind in kinds]
        metafunc.parametrize("database_kind", params, indirect=True)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _logs_as_they_are() -> None:
    """Commands that ran in this process before have set how loud the log is."""
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def _postgres() -> Iterator[Server | str]:
    """The server, or why there is none."""
    with ExitStack() as stack:
        try:
            running: Server | str = stack.enter_context(server())
        except Exception as failure:  # noqa: BLE001 - whatever it is, the tests on it cannot run
            running = f"PostgreSQL does not start here: {type(failure).__name__}: {failure}"
        yield running


@pytest.fixture
def postgres(_postgres: Server | str) -> Server:
    """A PostgreSQL server. Without one: skipped, but a failure where everything must run."""
    if isinstance(_postgres, str):
        if os.environ.get("TENURE_REQUIRE_ALL") == "1":
            pytest.fail(_postgres)
        pytest.skip(_postgres)
    return _postgres


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def _server(request: pytest.FixtureRequest, database_kind: str) -> Server | None:
    return request.getfixturevalue("postgres") if database_kind == "postgresql" else None


@pytest.fixture(scope="session")
def _stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return Stock(tmp_path_factory.mktemp("stock"))


@pytest.fixture
def place(database_kind: str, _server: Server | None, _stock: Stock, tmp_path: Path) -> Iterator[Cell]:
    """A prepared cell that is not open, on either database."""
    made = _stock.copy(database_kind, tmp_path, _server)
    yield made
    if _server is not None:
        _server.give_back(str(make_url(made.admin_url).database))


@pytest.fixture
async def cell(place: Cell) -> AsyncIterator[Cell]:
    """A prepared and opened cell, on either database."""
    async with place.opened():
        yield place


@pytest.fixture
def embedded(_stock: Stock, tmp_path: Path) -> Cell:
    """A prepared cell that is not open, on SQLite only."""
    return _stock.copy("sqlite", tmp_path, None)


@pytest.fixture
def scaled(postgres: Server, _stock: Stock, tmp_path: Path) -> Iterator[Cell]:
    """A prepared cell that is not open, on PostgreSQL only."""
    made = _stock.copy("postgresql", tmp_path, postgres)
    yield made
    postgres.give_back(str(make_url(made.admin_url).database))


@pytest.fixture
def database_url(database_kind: str, _server: Server | None, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """(owner's URL, service's URL) of an empty database; on SQLite they are the same."""
    settings, admin_url = blank(database_kind, tmp_path, _server)
    settings.data_dir.mkdir(exist_ok=True)
    yield settings.migration_url or settings.database, settings.database
    if _server is not None:
        _server.drop(str(make_url(admin_url).database))


@pytest.fixture(scope="session")
def _s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server | str]:
    """The server, or why there is none."""
    yield from started(tmp_path_factory.mktemp("s3"))


@pytest.fixture
def bucket(_s3_server: S3Server | str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, and credentials for it where the AWS SDK looks for them. Skipped as `postgres` is."""
    if isinstance(_s3_server, str):
        if os.environ.get("TENURE_REQUIRE_ALL") == "1":
            pytest.fail(_s3_server)
        pytest.skip(_s3_server)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", _s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _s3_server.secret_key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return _s3_server.bucket()


# How long an example takes says more about the machine than about the code. Each run tries others: few do.
settings.register_profile("tenure", deadline=None, max_examples=50)
settings.load_profile("tenure")


@pytest.fixture(scope="session")
def _softhsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    return softhsm_token(tmp_path_factory.mktemp("hsm"))


@pytest.fixture
def softhsm(_softhsm: SoftHsm) -> SoftHsm:
    """A cell of its own on a software HSM. Without one: skipped, but a failure where everything must run."""
    return replace(_softhsm, cell=f"test-{uuid4().hex[:12]}")
