"""`tenure hold`: placed, listed, shown and released by a data protection officer."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from support.cell import SCOPE
from tenure.cli.entry import app

WHO = "customer:42"
NOWHERE = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def hold(embedded):
    """Runs `tenure hold` as the officer, on a cell that holds one record about one person."""

    async def furnish():
        async with embedded.opened():
            written = await embedded.put("k", 1, WHO)
            return written.record, await embedded.person(WHO)

    record, person = asyncio.run(furnish())
    settings = embedded.settings
    places = ["--data-dir", settings.data_dir, "--root-dir", settings.root_dir]

    def run(*arguments, who="dpo", group="hold", **more):
        env = {"TENURE_API_KEY": embedded.one.keys[who], "TENURE_SHRED_INTERVAL_S": "0"}
        return CliRunner().invoke(app, [group, *map(str, (*arguments, *places))], env=env, **more)

    def as_json(*arguments, **how):
        found = run(*arguments, "--json", **how)
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    run.json, run.cell = as_json, embedded
    run.targets = {"subject": person, "scope": SCOPE, "record": record}
    return run


@pytest.mark.parametrize("by", ["subject", "scope", "record"])
def test_placed_it_is_listed_and_shown(hold, by):
    placed = hold.json("place", hold.targets[by], "--by", by, "--ground", "case 7")
    assert {name: placed[name] for name in ("by", "target", "ground", "state", "versions")} == {
        "by": by,
        "target": hold.targets[by],
        "ground": "case 7",
        "state": "active",
        "versions": 0,
    }
    assert hold.json("list") == {"items": [placed]}
    assert hold.json("show", placed["id"]) == placed
    for shown in (hold("list"), hold("show", placed["id"])):
        assert shown.exit_code == 0
        assert "case 7" in shown.stdout


def test_released_it_shows_the_erasure_that_follows(hold, tmp_path):
    placed = hold.json("place", hold.targets["subject"], "--by", "subject", "--ground", "case 7")
    hold.json(WHO, "--out", tmp_path / "kept", group="shred")
    assert hold.json("show", placed["id"])["versions"] == 1
    asked = hold("release", placed["id"], "--yes")
    assert asked.exit_code == 0, asked.output
    (newest, _) = hold.json("status", group="shred")["items"]
    assert newest["shred"] in asked.stdout
    assert (newest["kind"], newest["hold"]) == ("hold", placed["id"])
    assert hold.json("release", placed["id"])["shred"] == newest["shred"], "asking twice is asking once"
    assert hold.json("status", newest["shred"], group="shred")["state"] == "completed"
    assert hold.json("show", placed["id"])["state"] == "released"


def test_whoever_can_answer_is_asked(hold, monkeypatch):
    placed = hold.json("place", SCOPE, "--by", "scope", "--ground", "case 7")
    monkeypatch.setattr("tenure.cli.holds._answers", lambda: True)
    refused = hold("release", placed["id"], input="n\n")
    assert refused.exit_code == 1
    assert "case 7" in refused.stdout, "it is shown before the question"
    assert hold.json("show", placed["id"])["state"] == "active"
    assert hold("release", placed["id"], input="y\n").exit_code == 0
    assert hold.json("status", group="shred")["items"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("place", NOWHERE, "--by", "subject", "--ground", "x"),
        ("place", "no.such.scope", "--by", "scope", "--ground", "x"),
        ("place", "not an id", "--by", "record", "--ground", "x"),
        ("place", SCOPE, "--by", "scope", "--ground", ""),
        ("show", NOWHERE),
        ("release", NOWHERE),
    ],
)
def test_what_is_not_there_is_a_no(hold, arguments):
    found = hold(*arguments, "--json")
    assert found.exit_code == 1
    error = json.loads(found.stdout)["error"]
    assert error["kind"] in ("not-found", "invalid")
    assert error["detail"]


@pytest.mark.parametrize(
    "arguments", [("place", SCOPE), ("place", SCOPE, "--by", "person", "--ground", "x"), ("release",)]
)
def test_wrong_use(hold, arguments):
    assert hold(*arguments).exit_code == 2


@pytest.mark.parametrize("who", ["agent", "marketer"])
def test_is_the_officers_alone(hold, who):
    found = hold("place", SCOPE, "--by", "scope", "--ground", "x", "--json", who=who)
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"]["kind"] == "denied"
