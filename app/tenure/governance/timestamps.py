"""The cell's newest checkpoint, stamped by somebody else's clock once in an interval.

The cell's log holds every tenant's checkpoints, so one stamp is for all. It is kept in the database and
beside the published log: `timestamps/<size>`, the checkpoint, and `timestamps/<size>.tsr`, the response.
An authority that is away stops nothing: the next interval asks again.
"""

import asyncio

from tenure import ids
from tenure.batcher import Batcher
from tenure.cold.objects import Objects
from tenure.crew import Desk, Solo
from tenure.ids import CELL
from tenure.ledger.note import note_body
from tenure.publication import published_name
from tenure.stamping import Authority
from tenure.store import log, timestamps
from tenure.store.database import Database
from tenure.store.session import Tx


class TimeStamps:
    """Has the cell's log stamped."""

    def __init__(
        self,
        batcher: Batcher,
        database: Database,
        objects: Objects,
        authority: Authority | None,
        interval_s: float,
    ) -> None:
        self._batcher = batcher
        self._database = database
        self._objects = objects
        self._authority = authority
        self.interval_s = interval_s

    async def run(self) -> str | None:
        """Stamp the newest published checkpoint; when it was stamped, or None when there was nothing to do.

        Nothing to do: it is stamped, or another process had one stamped within half an interval. Raises what
        `Authority.stamp` raises.
        """
        found = await asyncio.to_thread(self._database.read, CELL, self._due)
        if found is None or self._authority is None:
            return None
        generation, size, note = found
        response, at = await asyncio.to_thread(self._authority.stamp, note_body(note))

        def keep(desk: Desk) -> None:
            timestamps.keep(desk.tx, generation, size, response, at=desk.now)

        await self._batcher.submit(CELL, Solo(keep))
        await asyncio.to_thread(self._publish, generation, size, note)
        return at

    def close(self) -> None:
        """Give the connections back."""
        if self._authority is not None:
            self._authority.close()

    def _due(self, tx: Tx) -> tuple[int, int, str] | None:
        current = log.newest(tx)
        if current is None or not current.published:
            return None
        last = timestamps.newest(tx, current.generation)
        if last is not None and (
            last.size >= current.published or ids.now() - last.at < self.interval_s * 500_000
        ):
            return None
        note = log.checkpoint(tx, current.generation, newest_upto=current.published)
        if note is None:
            return None
        return current.generation, int(note.splitlines()[1]), note

    def _publish(self, generation: int, size: int, note: str) -> None:
        """What was kept, which is another process's response where two asked at once."""
        kept = self._database.read(CELL, lambda tx: timestamps.response(tx, generation, size))
        base = f"{published_name(CELL, generation)}/timestamps/{size}"
        self._objects.put(base, note.encode())
        self._objects.put(f"{base}.tsr", kept or b"")
