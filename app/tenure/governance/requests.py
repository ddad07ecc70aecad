"""Writing down what this process asked of the object store: regularly, and when it ends.

Each tenant's sums are added to its own rows in one transaction, and all together to the cell's. Between a
count and that it is in memory alone: a killed process loses as much as one interval. A transaction that
failed is tried again with the next; one whose commit nobody answered may count twice.
"""

from collections.abc import Mapping
from functools import partial

import structlog

from tenure.batcher import Batcher, Plain
from tenure.cold.tallied import Asked, Key, RequestTally
from tenure.errors import TenureError
from tenure.ids import CELL
from tenure.store import requests
from tenure.store.requests import Requests
from tenure.store.session import Tx

_log = structlog.get_logger(__name__)


class RequestCounts:
    """Keeps what a tally counted."""

    def __init__(self, batcher: Batcher, tally: RequestTally) -> None:
        self._batcher = batcher
        self._tally = tally

    async def keep(self) -> dict[str, int]:
        """Write down what was counted: `{"tenants","requests"}`. A transaction for each tenant that asked.

        What cannot be written now is counted on, and the failure raised once the others are written.
        """
        left, left_out = self._tally.take()
        if left_out:
            _log.warning("requests to the object store were not counted: too many tenants", requests=left_out)
        done = {"tenants": 0, "requests": 0}
        failed: TenureError | None = None
        try:
            for tenant_id in sorted({key.tenant_id for key in left} - {CELL}):
                mine = _of(left, tenant_id)
                try:
                    await self._batcher.submit(tenant_id, Plain(partial(_add, mine)))
                except TenureError as failure:
                    failed = failure
                    continue
                for key, asked in mine.items():
                    del left[key]
                    cells = key._replace(tenant_id=CELL)
                    left[cells] = left.get(cells, Asked()).plus(asked)
                    done["requests"] += asked.puts + asked.gets + asked.restores
                done["tenants"] += 1
            if whole := _of(left, CELL):
                await self._batcher.submit(CELL, Plain(partial(_add, whole)))
                for key in whole:
                    del left[key]
        finally:
            for key, asked in left.items():
                self._tally.add(key, asked)
        if failed is not None:
            raise failed
        return done


def _of(counted: Mapping[Key, Asked], tenant_id: str) -> dict[Key, Asked]:
    return {key: asked for key, asked in counted.items() if key.tenant_id == tenant_id}


def _add(counted: Mapping[Key, Asked], tx: Tx) -> None:
    if tx.exists:  # not of a tenant that left meanwhile
        requests.add(tx, (Requests(key.day, key.tier, *asked) for key, asked in counted.items()))
