"""The cell in this process, reached like any other: through the public HTTP API, without a network."""

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx

from tenure.client.http import Connection

if TYPE_CHECKING:
    from tenure.bootstrap import Tenure
    from tenure.settings import Settings

_BASE = "http://tenure.localhost"


class Cell:
    """An open cell; `connect` gives a connection with a credential's rights and no others."""

    def __init__(self, tenure: "Tenure") -> None:
        from tenure.http.app import create_app  # noqa: PLC0415 - not in the bare install

        self.restored = tenure.recovered.restored
        self._transport = httpx.ASGITransport(create_app(tenure, at_once=False))  # type: ignore[arg-type]  # a stricter type of the same

    def connect(self, api_key: str) -> Connection:
        """A connection to this cell."""
        made = Connection(api_key, _BASE, transport=self._transport)
        made.served = False
        return made


@contextlib.asynccontextmanager
async def open_cell(settings: "Settings", *, log_level: str = "warning") -> AsyncIterator[Cell]:
    """The settings' cell, open until the end of the context. One process at a time has an embedded store."""
    from tenure.bootstrap import open_tenure  # noqa: PLC0415 - not in the bare install
    from tenure.logs import log_for_people  # noqa: PLC0415

    log_for_people(log_level)
    # A command lasts for a moment: the cell's jobs are for whoever serves.
    async with open_tenure(settings.model_copy(update={"cell_jobs": False})) as tenure:
        yield Cell(tenure)
