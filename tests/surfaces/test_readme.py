"""What the README and the documents tell engineers to write in Python runs as it is written."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tenure.bootstrap import open_tenure, prepare
from tenure.model.apikey import parse_api_key
from tenure.model.principal import PrincipalKind
from tenure.settings import Settings

TOP = Path(__file__).parents[2]
PAGES = ("README.md", "docs/agents.md", "docs/client.md")
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """(where, text) of every block that is whole: it opens a client by what the environment says."""
    return [
        (f"{page}:{number}", block)
        for page in PAGES
        for number, block in enumerate(_BLOCK.findall((TOP / page).read_text("utf-8")))
        if 'os.environ["TENURE_URL"]' in block
    ]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A cell with the template for support, and its agent's key."""
    folder = tmp_path_factory.mktemp("readme")
    settings = Settings(data_dir=folder / "data", root_dir=folder / "root", cell_jobs=False)

    async def made() -> str:
        operator = parse_api_key(prepare(settings) or "")
        async with open_tenure(settings) as cell:
            admin = parse_api_key((await cell.tenants.create(operator, "acme"))["admin_key"])
            template = (TOP / "policies/templates/support.yaml").read_text("utf-8")
            await cell.manifests.apply(admin, template, dry_run=False)
            agent = await cell.principals.create(admin, "bot", PrincipalKind.AGENT, ("support-agent",))
        return str(agent["api_key"])

    key = asyncio.run(made())
    return {
        **os.environ,
        "TENURE_URL": str(settings.data_dir),
        "TENURE_DATA_DIR": str(settings.data_dir),
        "TENURE_ROOT_DIR": str(settings.root_dir),
        "AGENT_KEY": key,
    }


def test_there_is_a_quick_start_for_each() -> None:
    here = [text for where, text in blocks() if where.startswith("README")]
    for word in ("client.put(", "TenureSaver", "TenureChatMessageHistory"):
        assert len([text for text in here if word in text]) == 1


@pytest.mark.parametrize(("where", "text"), blocks(), ids=[where for where, _ in blocks()])
def test_it_runs_as_written(where: str, text: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:tenure", "-c", text],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{where}\n{done.stderr}"
    assert done.stdout
