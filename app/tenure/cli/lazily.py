"""Commands that are read and built when they are asked for: most of what a command costs is the others."""

import functools
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group


class Place(NamedTuple):
    """Where a command is: a module of this package, the name in it, and the panel of the help."""

    module: str
    name: str
    panel: str


class Commands(Mapping[str, Any]):
    """Commands by name; of those not asked for only the name is known."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a click command, whose class typer hides
        return _built(name, self._places[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def group_of(places: Mapping[str, Place]) -> type[TyperGroup]:
    """A class for `typer.Typer(cls=…)` with these commands, in this order."""

    class Lazily(TyperGroup):
        def __init__(self, **more: Any) -> None:  # noqa: ANN401 - passed on
            super().__init__(**more)
            self.commands = Commands(places)  # type: ignore[assignment]  # nothing is added later

    return Lazily


@functools.cache
def _built(name: str, place: Place) -> Any:  # noqa: ANN401 - see above
    found = getattr(import_module(f"tenure.cli.{place.module}"), place.name)
    around = typer.Typer()
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name, rich_help_panel=place.panel)
    else:
        around.command(name, rich_help_panel=place.panel)(found)
    return get_group(around).commands[name]
