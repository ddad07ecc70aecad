"""`tenure notice`: listed, sent again; what doctor and metrics say of it; the public key for receivers."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from support.notices import dead, recipient, told
from support.webhook import webhook
from tenure.cli.entry import app
from tenure.ids import new_id


@pytest.fixture
def given_up(embedded):
    """A cell with a notice that was given up, and one that waits for a recipient who is not declared."""

    async def furnish():
        async with embedded.opened() as tenure:
            await told(tenure, embedded.one.id, "mailer")
            return await dead(tenure, embedded.one.id, "bank")

    return asyncio.run(furnish())


@pytest.fixture
def run(embedded, given_up):
    places = ["--data-dir", embedded.settings.data_dir, "--root-dir", embedded.settings.root_dir]

    def run(who, *arguments, code=0):
        env = {"TENURE_API_KEY": embedded.one.keys[who], "TENURE_NOTICE_INTERVAL_S": "80000"}
        found = CliRunner().invoke(app, [*map(str, (*arguments, *places))], env=env)
        assert found.exit_code == code, found.output
        return found.stdout

    return run


def test_listed_and_sent_again(run, given_up, embedded):
    items = json.loads(run("dpo", "notice", "list", "--json"))["items"]
    assert [(one["recipient"], one["state"]) for one in items] == [("bank", "dead"), ("mailer", "queued")]
    only = json.loads(run("dpo", "notice", "list", "--request", given_up.request_id, "--json"))["items"]
    assert [one["id"] for one in only] == [given_up.id]
    shown = run("admin", "notice", "list", "--state", "dead")
    assert given_up.id in shown
    assert "mailer" not in shown
    assert "customer" not in shown
    warned = run("dpo", "doctor", code=0)
    assert f"tenant {embedded.one.id}: 1 were given up" in warned
    assert "tenure notice resend" in warned
    again = json.loads(run("dpo", "notice", "resend", given_up.id, "--json"))
    assert (again["state"], again["attempts"]) == ("queued", 0)
    twice = json.loads(run("dpo", "notice", "resend", given_up.id, "--json", code=1))
    assert twice["error"]["kind"] == "conflict"
    run("dpo", "notice", "resend", new_id(), code=1)
    run("dpo", "notice", "list", "--request", "no-id", code=1)
    assert "none was given up" in run("dpo", "doctor")


def test_receivers_get_their_key(run):
    assert "whpk_" in run("auditor", "ledger", "key")


def test_counted(embedded, given_up):
    async def go():
        async with embedded.opened() as tenure:
            waiting, oldest, dead_ones = await tenure.notices.waiting()
            assert (waiting, dead_ones) == (1, 1)
            assert oldest <= given_up.created_at
            with webhook() as receiver:
                given = json.dumps([recipient("mailer", receiver.url)])
                await tenure.manifests.apply(embedded.one["admin"], given, dry_run=False)
                await tenure.notices.run()
            assert await tenure.notices.waiting() == (0, None, 1)

    asyncio.run(go())
