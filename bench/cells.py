"""Governed cells with data: prepared once, then opened in this process or served by another."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import content
from tenure.access import Ask
from tenure.bootstrap import Tenure, open_tenure, prepare
from tenure.model.apikey import parse_api_key
from tenure.model.principal import PrincipalKind
from tenure.model.record import Draft
from tenure.settings import Settings

_SEEDERS = 64


@dataclass(frozen=True)
class Cell:
    """A cell that holds the records to read (`k0`…) and to overwrite (`o0`…), and an agent's API key."""

    name: str
    settings: Settings
    api_key: str

    @property
    def ask(self) -> Ask:
        """The agent's credential with its purpose."""
        return Ask(parse_api_key(self.api_key), content.PURPOSE)

    @property
    def headers(self) -> dict[str, str]:
        """The same over HTTP."""
        return {
            "Authorization": f"Bearer {self.api_key}",
            "Tenure-Purpose": content.PURPOSE,
            "Content-Type": "application/json",
        }

    @property
    def environment(self) -> dict[str, str]:
        """Settings of a server process for this cell."""
        chosen = self.settings.model_dump(mode="json", include=self.settings.model_fields_set)
        return {f"TENURE_{name.upper()}": str(value) for name, value in chosen.items()}


def draft(number: int) -> Draft:
    """What every governed write stores."""
    return Draft(content.content(number).encode(), (content.person(number),), (content.CATEGORY,))


async def make(name: str, folder: Path, *, database_url: str = "", migration_url: str = "") -> Cell:
    """A cell with one tenant, its policy, its people and its records."""
    settings = Settings(
        data_dir=folder / name / "data",
        root_dir=folder / name / "root",
        database_url=database_url,
        migration_url=migration_url,
        log_level="warning",
    )
    operator = parse_api_key(prepare(settings) or "")
    async with open_tenure(settings) as tenure:
        made = await tenure.tenants.create(operator, "bench")
        admin = parse_api_key(made["admin_key"])
        await tenure.manifests.apply(admin, content.MANIFESTS, dry_run=False)
        agent = await tenure.principals.create(admin, "agent", PrincipalKind.AGENT, ("support-agent",))
        cell = Cell(name, settings, agent["api_key"])
        await warm(tenure, cell)
        await each(range(content.KEYS), lambda n: put(tenure, cell, f"k{n}", n))
        await each(range(content.OVERWRITTEN), lambda n: put(tenure, cell, f"o{n}", n))
    return cell


async def warm(tenure: Tenure, cell: Cell) -> None:
    """Meet every person once, so that no later write is the first about somebody."""
    await each(range(content.PEOPLE), lambda n: put(tenure, cell, f"p{n}", n))


async def put(tenure: Tenure, cell: Cell, key: str, number: int) -> None:
    """One governed write."""
    await tenure.gateway.write(cell.ask, content.SCOPE, key, draft(number))


async def each(numbers: Iterable[int], do: Callable[[int], Coroutine[Any, Any, object]]) -> None:
    """Do something for every number, many at a time."""
    rest = iter(numbers)

    async def seeder() -> None:
        for number in rest:
            await do(number)

    await asyncio.gather(*(seeder() for _ in range(_SEEDERS)))
