"""`tenure retrieve`, and what HTTP says of it: an archive is asked, and waited for."""

import asyncio
import json
from typing import Any

import boto3
import httpx
import pytest
from moto import mock_aws
from moto.moto_api import state_manager
from test_cli_keeping import run

from support.cell import SCOPE, SUPPORT, Cell
from support.tiering import Later, stocked, tier
from tenure.cli import retrieve
from tenure.cli.output import Output
from tenure.client.http import Connection
from tenure.http.app import create_app
from tenure.jobs.job import Run

ALL = ("retrieve", SCOPE, "--purpose", SUPPORT)


def test_it_is_asked_for_and_waited_for(
    embedded: Cell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(retrieve, "_POLL_S", 0.05)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="cold")
        state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 2})

        async def fill() -> None:
            async with embedded.opened(objects_url="s3://cold/cell"):
                await stocked(embedded)
                Later(monkeypatch)(25)
                await tier(embedded.tenure)

        asyncio.run(fill())
        (pack,) = client.list_objects_v2(Bucket="cold", Prefix="cell/packs/")["Contents"]
        copied = {"Bucket": "cold", "Key": pack["Key"], "CopySource": f"cold/{pack['Key']}"}
        client.copy_object(**copied, StorageClass="GLACIER")

        def say(*more: str, who: str = "agent", code: int = 0) -> str:
            settings: dict[str, Any] = {"objects_url": "s3://cold/cell", "api_key": embedded.one.keys[who]}
            found = run(embedded, *ALL, *more, **settings)
            assert found.exit_code == code, found.output
            return str(found.output)

        assert "Policy denies this" in say(who="marketer", code=1)
        asked = json.loads(say("--key", "k1", "--json"))
        told = (asked["state"], asked["versions"], asked["packs"], asked["ready"])
        assert told == ("waiting", 1, 1, 0)
        assert "nobody serves this cell" in say("--wait", code=1)

        async def served() -> None:
            async with embedded.opened(objects_url="s3://cold/cell") as tenure:
                transport = httpx.ASGITransport(create_app(tenure))  # type: ignore[arg-type]
                async with Connection(
                    embedded.one.keys["agent"], "http://here", transport=transport
                ) as there:
                    wanted = {"scope": SCOPE, "purpose": SUPPORT, "subject": None, "prefix": "k", "key": None}
                    verb = retrieve.retrieve.__wrapped__(  # type: ignore[attr-defined]
                        there, Output(as_json=False), **wanted, wait=True
                    )
                    waiting = asyncio.ensure_future(verb)
                    while not waiting.done():
                        await tenure._restoring.run(Run("retrieve"))
                        await asyncio.sleep(0.05)
                    assert waiting.result()["state"] == "ready"

        client.copy_object(**copied, StorageClass="GLACIER")
        asyncio.run(served())
        first, *more = capsys.readouterr().out.splitlines()
        assert first.startswith("3 versions, 0 of 1 packs can be read: waiting (")
        assert more[0] == "3 versions, 1 of 1 packs can be read: ready"
        assert more[1].startswith("What an archive gave out goes back on ")
        assert say("--subject", "customer:1").startswith("1 versions, 1 of 1 packs can be read: ready\n")
