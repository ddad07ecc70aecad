"""`tenure request`: what an officer reads can be copied, names commands, and leaves nothing out."""

import asyncio
import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from support.officers import second_officer
from tenure.cli.commands import NEEDED, in_commands
from tenure.cli.entry import app
from tenure.cli.rights import app as requests
from tenure.client.http import Connection

APP = Path(__file__).parents[2] / "app" / "tenure"
VERBS = typer.main.get_command(requests).commands


@pytest.fixture
def desk(embedded):
    """Runs `tenure request` as somebody."""

    async def furnish():
        async with embedded.opened():
            await second_officer(embedded)

    asyncio.run(furnish())
    settings = embedded.settings
    places = ["--data-dir", settings.data_dir, "--root-dir", settings.root_dir]

    def run(who, *arguments, code=0, verb="request"):
        env = {"TENURE_API_KEY": embedded.one.keys[who], "TENURE_SHRED_INTERVAL_S": "0"}
        found = CliRunner().invoke(app, [verb, *map(str, (*arguments, *places))], env=env)
        assert found.exit_code == code, found.output
        return found

    return run


def test_an_officers_day(desk):
    opened = json.loads(desk("dpo", "open", "access", "--reference", "customer:1", "--json").stdout)
    request = opened["id"]
    desk("dpo", "pause", request, "--reason", "clarification")
    shown = desk("dpo", "show", request).stdout
    assert f"tenure request resume {request}" in " ".join(shown.split())
    assert "/v1/" not in shown
    desk("dpo", "resume", request)
    desk("dpo", "identify", request, "--method", "document")
    shown = desk("dpo", "show", request).stdout
    assert re.search(r"paused .* reason clarification, due_at ", " ".join(shown.split()))
    assert "method document" in shown
    assert "tenure request scope" in shown
    early = desk("second", "approve", request, code=1).stderr
    assert "tenure request show ID" in early
    assert "/v1/" not in early
    desk("dpo", "open", "erasure", "--reference", "customer:2")
    listed = desk("dpo", "list").stdout
    rows = json.loads(desk("dpo", "list", "--json").stdout)["items"]
    assert len(rows) == 2
    for one in rows:
        assert [line for line in listed.splitlines() if one["id"] in line and one["due_at"] in line]


def test_what_the_service_refuses_is_said_with_its_rule(desk):
    late = desk(
        "dpo", "open", "access", "--reference", "customer:1", "--received-at", "2999-01-01T00:00:00Z", code=1
    )
    assert "field: received_at" in late.stderr
    assert "rule: a time that is not in the future" in late.stderr
    assert "what to do: " in late.stderr


def test_every_call_that_the_desk_names_is_a_command():
    """What the service says beside a request, and what the table of commands needs to say with each verb."""
    for file in (APP / "rights").rglob("*.py"):
        text = file.read_text().replace("{{", "{").replace("}}", "}")  # in formatted ones braces are doubled
        for call in re.findall(r"(?:GET|POST) /v1/requests[^\s\"]*", text):
            command = in_commands(call.rstrip(".,;"))
            assert "/v1/" not in command, (file, call)
            assert command.split()[2] in VERBS, (file, call)
    for verb, command in VERBS.items():
        required = [one.opts[0] for one in command.params if one.required and one.opts[0].startswith("--")]
        if verb not in ("open", "find"):
            assert required == NEEDED.get(verb, "").split()[:1], verb


def test_a_link_is_one_where_the_services_address_is_known(monkeypatch):
    async def call(*_, **__):
        return {"token": "tnp_abc"}

    monkeypatch.setattr(Connection, "call", call)
    monkeypatch.setenv("TENURE_API_KEY", "key")
    found = CliRunner().invoke(app, ["request", "link", "0199", "--url", "https://tenure.example/"])
    assert "link https://tenure.example/v1/packages#tnp_abc" in found.stdout.splitlines()
