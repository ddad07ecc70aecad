"""`tenure storage`, `tenure cost` and `tenure retention preview`: what people and programs get told."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from tenure.cli.chart import size
from tenure.cli.entry import app

PRICES = '{"currency": "EUR", "tiers": {"hot": {"gb_month": "0.10"}}}'
SHORT = """
apiVersion: tenure/v1
kind: Retention
metadata: {name: short}
spec: {scopes: ["support.**"], categories: "*", deleteAfter: 7d}
"""


@pytest.fixture
def shell(embedded, tmp_path):
    async def fill():
        async with embedded.opened() as tenure:
            for n in range(3):
                await embedded.put(f"k{n}", "x" * 2000, "customer:1")
            await tenure.jobs.run(embedded.operator, "storage")

    asyncio.run(fill())
    embedded.change("UPDATE versions SET created_at = created_at - 20 * 86400000000")
    (tmp_path / "short.yaml").write_text(SHORT)

    def run(*arguments, who="admin", code=0, prices=""):
        places = ["--data-dir", embedded.settings.data_dir, "--root-dir", embedded.settings.root_dir]
        key = embedded.operator_key if who == "operator" else embedded.one.keys[who]
        env = {"TENURE_API_KEY": key, "TENURE_PRICES": prices}
        call = [*arguments, *places]
        found = CliRunner().invoke(app, [str(one) for one in call], env=env)
        assert found.exit_code == code, found.output
        return found.stdout

    run.cell, run.file = embedded, tmp_path / "short.yaml"
    return run


def test_requests_are_told_with_their_price(shell):
    assert "Requests" not in shell("storage")
    shell.cell.change(
        "INSERT INTO object_requests (tenant_id, day, tier, puts, gets, restores, retrieved)"
        " SELECT tenant_id, max(day), 'cold', 1234, 5678, 0, 9100000 FROM storage_samples"
        " WHERE tenant_id = :t GROUP BY tenant_id",
        t=shell.cell.one.id,
    )
    prices = '{"currency": "EUR", "tiers": {"cold": {"puts_1000": "5"}}}'
    for said in (shell("storage", prices=prices), shell("cost", "--days", "3", prices=prices)):
        assert "Requests to the object store since" in said
        for words in ("1234", "5678", "9.1 MB", "cost (EUR)", "6.17"):
            assert words in said
    assert "cost (EUR)" not in shell("storage")


def test_storage_as_a_table_and_as_json(shell):
    said = shell("storage", who="operator")
    assert "(all)" in said
    assert "TENURE_PRICES" in said
    found = json.loads(shell("storage", "--json", prices=PRICES))
    [row] = found["items"]
    assert (row["tier"], row["versions"]) == ("hot", 3)
    assert row["month"].startswith("0.0000")
    said = shell("storage", "--now", "--since", "2026-01-01", "--until", "2026-01-03", prices=PRICES)
    assert "a month (EUR)" in said
    assert "Not counted on 2 of these days." in said
    one = shell("tenant", "storage", shell.cell.one.id, who="operator")
    assert "support.conversations" in one


def test_cost_draws_what_is_to_come_beside_what_is_proposed(shell):
    said = shell("cost", "--days", "60", "-f", shell.file, prices=PRICES)
    assert "cost of 60 days (EUR)" in said
    assert "█" in said
    assert "proposed" in said
    found = json.loads(shell("cost", "--days", "60", "-f", shell.file, "--json"))
    ends = {name: found[name]["points"][-1]["hot"] for name in ("current", "proposed")}
    assert ends["current"] > ends["proposed"]


def test_a_preview_names_rule_and_change_and_a_mistake_its_line(shell):
    said = shell("retention", "preview", "-f", shell.file)
    assert "hot → gone" in said
    assert "short" in said
    assert "Nothing was changed" in said
    shell.file.write_text(SHORT.replace("7d", "7 days"))
    error = json.loads(shell("retention", "preview", "-f", shell.file, "--json", code=1))["error"]
    assert (error["file"], error["line"]) == (str(shell.file), 5)


def test_sizes_are_told_in_powers_of_a_thousand():
    told = [size(one) for one in (0, 999, 1000, 12_345, 9_540_000_000)]
    assert told == ["0 B", "999 B", "1.0 kB", "12 kB", "9.5 GB"]
