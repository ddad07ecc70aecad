"""`tenure ledger`: the key that is pinned, and its change, on an embedded cell."""

import json

import pytest
from typer.testing import CliRunner

from tenure.cli.entry import app


@pytest.fixture
def run(embedded):
    def ask(*arguments, who, code=0):
        settings = embedded.settings
        call = ["ledger", *arguments, "--data-dir", settings.data_dir, "--root-dir", settings.root_dir]
        call = [str(one) for one in (*call, "--json")]
        found = CliRunner().invoke(app, call, env={"TENURE_API_KEY": who})
        assert found.exit_code == code, found.output
        return json.loads(found.stdout) if code == 0 else found.output

    return ask


def test_the_administrator_changes_the_key_and_sees_the_one_before(run, embedded):
    admin = embedded.one.keys["admin"]
    before = run("key", who=admin)
    done = run("rotate-key", who=admin)
    assert done["previous"] == before["vkey"]
    after = run("key", who=admin)
    assert after["vkey"] == done["vkey"]
    assert after["previous"] == [{"vkey": before["vkey"], "replaced_at": done["index"]}]
    assert after["cell"] == before["cell"]


def test_the_operator_changes_the_cells_key_and_a_tenants(run, embedded):
    admin, operator = embedded.one.keys["admin"], embedded.operator_key
    before = run("key", who=admin)
    mine = run("rotate-key", who=operator)
    assert mine["previous"] == before["cell"]["vkey"]
    theirs = run("rotate-key", "--tenant", embedded.one.id, who=operator)
    assert theirs["previous"] == before["vkey"]
    shown = run("key", who=operator)
    assert shown["cell"] is None
    assert shown["vkey"] == mine["vkey"]


def test_others_may_not(run, embedded):
    assert "Policy denies" in run("rotate-key", who=embedded.one.keys["auditor"], code=1)
    refused = run("rotate-key", "--tenant", embedded.two.id, who=embedded.one.keys["admin"], code=1)
    assert "no such tenant" in refused
