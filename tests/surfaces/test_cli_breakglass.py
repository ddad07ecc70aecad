"""`tenure breakglass`: asked for, approved, ended, reviewed, listed and shown."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from support.lived import EMERGENCY
from tenure.cli.entry import app

WHY = "Ada is unconscious"


@pytest.fixture
def breakglass(embedded):
    """Runs `tenure breakglass` as somebody, in a cell with a role for emergencies."""

    async def furnish():
        async with embedded.opened() as tenure:
            await tenure.manifests.apply(embedded.one["admin"], EMERGENCY, dry_run=False)

    asyncio.run(furnish())
    settings = embedded.settings
    places = ["--data-dir", settings.data_dir, "--root-dir", settings.root_dir]

    def run(who, *arguments, **more):
        env = {"TENURE_API_KEY": embedded.one.keys[who], "TENURE_SHRED_INTERVAL_S": "0"}
        return CliRunner().invoke(app, ["breakglass", *map(str, (*arguments, *places))], env=env, **more)

    def as_json(*arguments, **how):
        found = run(*arguments, "--json", **how)
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    run.json = as_json
    return run


def test_its_whole_life(breakglass):
    asked = breakglass.json("clerk", "request", "rescuer", "--minutes", 5, "--reason", "-", input=f"{WHY}\n")
    assert asked["state"] == "requested"
    assert breakglass.json("dpo", "approve", asked["id"])["state"] == "active"
    assert [one["id"] for one in breakglass.json("dpo", "list", "--state", "active")["items"]] == [
        asked["id"]
    ]
    assert breakglass.json("clerk", "end", asked["id"])["state"] == "ended"
    assert breakglass.json("dpo", "list", "--state", "active")["items"] == []
    done = breakglass.json("dpo", "review", asked["id"], "--outcome", "justified", "--note", "asked her")
    assert (done["state"], done["outcome"]) == ("reviewed", "justified")
    found = breakglass.json("dpo", "show", asked["id"])
    assert (found["reason"], found["note"]) == (WHY, "asked her")
    assert [one["outcome"] for one in found["entries"]] == ["requested", "approved", "ended", "reviewed"]
    shown = breakglass("dpo", "show", asked["id"])
    assert shown.exit_code == 0
    assert WHY in shown.stdout
    assert WHY not in breakglass("dpo", "list").stdout


def test_refused(breakglass):
    asked = breakglass.json("clerk", "request", "rescuer", "--minutes", 5, "--reason", WHY)
    assert breakglass.json("dpo", "refuse", asked["id"])["state"] == "refused"


@pytest.mark.parametrize(
    ("who", "arguments", "kind"),
    [
        ("agent", ("request", "rescuer", "--minutes", 5, "--reason", WHY), "denied"),
        ("clerk", ("request", "rescuer", "--minutes", 500, "--reason", WHY), "invalid"),
        ("clerk", ("request", "clerk", "--minutes", 5, "--reason", WHY), "invalid"),
        ("clerk", ("approve", "01900000-0000-7000-8000-000000000000"), "not-found"),
        ("clerk", ("show", "not an id"), "not-found"),
    ],
)
def test_what_cannot_be_is_a_no(breakglass, who, arguments, kind):
    found = breakglass(who, *arguments, "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"]["kind"] == kind
    assert WHY not in found.stdout


@pytest.mark.parametrize("arguments", [("request", "rescuer"), ("list", "--state", "past"), ("review", "x")])
def test_wrong_use(breakglass, arguments):
    assert breakglass("clerk", *arguments).exit_code == 2
