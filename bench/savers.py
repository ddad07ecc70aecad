"""Contenders for `python -m bench agents`: ours in process, LangGraph's own plain and encrypted, and none.

All on one server, each in a database of its own, with durable commits. LangGraph's get a pool of connections,
as its documentation advises for services.
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

import tenure
from bench import content, postgres
from tenure.bootstrap import open_tenure, prepare
from tenure.client.langgraph import TenureSaver
from tenure.model.apikey import parse_api_key
from tenure.model.principal import PrincipalKind
from tenure.settings import Settings

OURS, PLAIN, ENCRYPTED, NONE = (
    "TenureSaver",
    "AsyncPostgresSaver",
    "the same, EncryptedSerializer",
    "no saver",
)
DATABASES = {OURS: "tenure_agents", PLAIN: "langgraph_plain", ENCRYPTED: "langgraph_encrypted"}
CONNECTIONS = 20

Saver = BaseCheckpointSaver[Any]


async def prepared(server: postgres.Server, folder: Path) -> tuple[Settings, str]:
    """A cell with a tenant and its policy on the server: its settings, and an agent's API key."""
    database = DATABASES[OURS]
    server.create(database)
    settings = Settings(
        data_dir=folder / "data",
        root_dir=folder / "root",
        database_url=server.url(database, postgres.APP_ROLE),
        migration_url=server.url(database),
        log_level="warning",
    )
    operator = parse_api_key(prepare(settings) or "")
    async with open_tenure(settings) as running:
        made = await running.tenants.create(operator, "bench")
        admin = parse_api_key(made["admin_key"])
        await running.manifests.apply(admin, content.MANIFESTS, dry_run=False)
        agent = await running.principals.create(admin, "agent", PrincipalKind.AGENT, ("support-agent",))
    return settings, str(agent["api_key"])


def given(settings: Settings) -> dict[str, Any]:
    """Settings for `tenure.open`, and in JSON."""
    chosen = settings.model_fields_set - {"database_url"}
    return settings.model_dump(mode="json", include=chosen)


@asynccontextmanager
async def ours(settings: Settings, api_key: str) -> AsyncIterator[Saver]:
    """In process, with policy, sealing and the ledger."""
    async with tenure.open_async(settings.database_url, api_key, settings=given(settings)) as client:
        yield TenureSaver(client, scope=content.SCOPE, categories=[content.CATEGORY], purpose=content.PURPOSE)


@asynccontextmanager
async def theirs(server: postgres.Server, name: str) -> AsyncIterator[Saver]:
    """LangGraph's, set up in an empty database."""
    server.create(DATABASES[name])
    serde = (
        EncryptedSerializer.from_pycryptodome_aes(key=secrets.token_bytes(32)) if name == ENCRYPTED else None
    )
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    url = server.url(DATABASES[name])
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        url, min_size=CONNECTIONS, max_size=CONNECTIONS, kwargs=options, open=False
    )
    async with pool:
        saver = AsyncPostgresSaver(pool, serde=serde)
        await saver.setup()
        yield saver


@asynccontextmanager
async def opened(
    server: postgres.Server, settings: Settings, api_key: str
) -> AsyncIterator[Mapping[str, Saver]]:
    """Every saver that can run here, by its name."""
    async with AsyncExitStack() as stack:
        found = {OURS: await stack.enter_async_context(ours(settings, api_key))}
        for name in (PLAIN, ENCRYPTED) if encrypts() else (PLAIN,):
            found[name] = await stack.enter_async_context(theirs(server, name))
        yield found


def encrypts() -> bool:
    """EncryptedSerializer needs pycryptodome, which nothing here depends on otherwise."""
    return find_spec("Crypto") is not None
