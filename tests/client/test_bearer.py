"""A key that cannot be sent is no outage: it is named before anything is sent, by every way in."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import tenure
from support.cell import SUPPORT, Cell
from tenure.cli.entry import app
from tenure.client import AsyncClient, AuditedConnection, Client
from tenure.client.http import Connection
from tenure.client.source import UrlSource
from tenure.errors import NotFound, Unauthenticated

URL = "https://tenure.example"
WRONG = ("", " ", "\n", "tnr_a\ntnr_b", "tnr_a b", "tnr_ä")


WAYS: dict[str, Callable[[str], Any]] = {
    "Client": lambda key: Client(URL, key),
    "AsyncClient": lambda key: AsyncClient(URL, key),
    "open": lambda key: tenure.open(URL, key),
    "Connection": lambda key: Connection(key, URL),
    "AuditedConnection": lambda key: AuditedConnection(key, URL, vkeys=[]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", WRONG)
def test_what_is_no_key_is_said_so(way: str, key: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        WAYS[way](key)
    assert refused.value.field == "api_key"
    assert refused.value.rule
    assert refused.value.remedy
    assert "tnr_" not in str(refused.value)


def test_a_key_from_a_file_is_sent_without_its_newline() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(404 if request.url.path == "/checkpoint" else 204)

    transport = httpx.MockTransport(answer)
    with Client(URL, "tnr_a\n", transport=transport) as client:
        client.call("GET", "/x")

    async def awaited() -> None:
        async with AsyncClient(URL, " tnr_a\r\n", transport=transport) as other:
            await other.call("GET", "/x")
        async with Connection("tnr_a\n", URL, transport=transport) as connection:
            await connection.call("GET", "/x")

    asyncio.run(awaited())
    UrlSource(URL, "tnr_a\n", httpx.Client(transport=transport))("checkpoint")
    assert seen == ["Bearer tnr_a"] * 4
    with pytest.raises(Unauthenticated):
        UrlSource(URL, "tnr_a b")


def test_a_cell_in_this_process_and_its_commands_are_alike(embedded: Cell) -> None:
    settings = embedded.settings.model_dump(exclude={"data_dir", "database_url"})
    folder, key = embedded.settings.data_dir, embedded.one.keys["agent"]
    with pytest.raises(Unauthenticated):
        tenure.open(folder, "\n", settings=settings)
    with (
        tenure.open(folder, f"{key}\n", purpose=SUPPORT, settings=settings) as client,
        pytest.raises(NotFound),
    ):
        client.get_snapshot("not a scope", "t")  # asked directly: the key was good
    env = {
        "TENURE_DATA_DIR": str(folder),
        "TENURE_ROOT_DIR": str(embedded.settings.root_dir),
        "TENURE_URL": "",
    }
    runner, command = CliRunner(), ["principal", "list", "--json"]
    admin = embedded.one.keys["admin"]
    assert runner.invoke(app, command, env={**env, "TENURE_API_KEY": f"{admin}\n"}).exit_code == 0
    for none in ("\n", " "):
        found = runner.invoke(app, command, env={**env, "TENURE_API_KEY": none})
        assert (found.exit_code, "TENURE_API_KEY" in found.output) == (2, True)
    found = runner.invoke(app, command, env={**env, "TENURE_API_KEY": "tnr_a\ntnr_b"})
    assert (found.exit_code, "api_key" in found.output) == (1, True)
