"""What the processes of a case do: erase and die, recover and die, or be a replica that was left behind."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from fault.matrix.children import Ear, Say
from fault.matrix.scene import DYING, GONE, SURVIVING, TENANTS, tenant, words
from support.cell import Cell
from support.durable import Step, When, witnessed
from tenure.errors import Erased, TenureError, Unavailable
from tenure.ids import CELL
from tenure.keyring import Keyring
from tenure.keys.state import CellManifest, manifest_digest, seal_manifest
from tenure.rootstore.files import FilesRootStore
from tenure.store import keystate
from tenure.store.database import Clash, Database
from tenure.store.keystate import Pointer
from tenure.store.session import Tx

Actor = Callable[[Say, Ear], Coroutine[Any, Any, None]]

RUNNING: Mapping[str, Any] = {"shred_interval_s": 0.2}
"""Settings of cells that recover by themselves: whatever is left unfinished is repeated this often."""
PATIENCE_S = 60.0


async def request(cell: Cell) -> dict[str, str]:
    """Ask for the person's erasure wherever it was not asked for; tenant → erasure."""
    return {name: await cell.request(GONE, tenant(cell, name)) for name in TENANTS}


async def settled(cell: Cell) -> None:
    """Wait until no erasure is under way. TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while any(  # noqa: ASYNC110 - it happens in the database, perhaps by another process
            cell.rows(f"SELECT 1 FROM {table} WHERE state <> 'completed'")
            for table in ("shreds", "key_batches")
        ):
            await asyncio.sleep(0.05)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def erasing(cell: Cell, kill: tuple[Step, When] | None, *, at_once: bool = False) -> Actor:
    """Ask for the erasure and run it; killed at a step, or at its end. Says every step that it saw."""

    async def act(say: Say, _ear: Ear) -> None:
        async with cell.opened() as tenure:
            asked = await request(cell)
            for name in TENANTS:  # what the requests left to publish is not the erasure's
                await tenure.sequencer.run(tenant(cell, name).id)
            say(asked=asked)
            if at_once:
                _die()

            def witness(step: Step, when: When) -> None:
                if (step, when) == kill:
                    say(reached=True)
                    _die()
                if when == "after":
                    say(step=step)

            with witnessed(witness, cell.settings.data_dir, cell.settings.root_dir):
                await tenure.shredder.run()
                _die()

    return act


def recovering(cell: Cell, kill: int) -> Actor:
    """Start as usual; killed after the `kill`th durable step of whatever kind, or once all is done."""

    async def act(say: Say, _ear: Ear) -> None:
        seen = 0

        def witness(_step: Step, when: When) -> None:
            nonlocal seen
            if when == "before":
                return
            seen += 1
            say(seen=seen)
            if seen == kill:
                say(reached=True)
                _die()

        with witnessed(witness, cell.settings.data_dir, cell.settings.root_dir):
            async with cell.opened(**RUNNING):
                await settled(cell)
                _die()

    return act


def left_behind(cell: Cell) -> Actor:
    """A second process over the same database: serves, waits for its turn, then goes on as if nothing was.

    Two processes over one embedded store are against the lock of its data directory: this one got around it.
    """
    changes: dict[str, Any] = {}
    if cell.dialect == "sqlite":
        data = cell.settings.data_dir
        changes = {
            "data_dir": data.with_name("elsewhere"),
            "database_url": f"sqlite:///{data / 'tenure.db'}",
            "objects_url": f"file://{data / 'objects'}",
        }

    async def act(say: Say, ear: Ear) -> None:
        async with cell.opened(**changes):
            for piece in (*DYING, *SURVIVING):
                await cell.value(piece.key, scope=piece.scope, tenant=tenant(cell, piece.tenant))
            await words(cell)
            late = _late_writer(cell)
            say(ready=True)
            await asyncio.to_thread(ear.line, 10 * PATIENCE_S)
            say(**await _goes_on(cell), swapped=await asyncio.to_thread(late))
            _die()

    return act


async def _goes_on(cell: Cell) -> dict[str, Any]:
    """Read everyone, and write about somebody new."""
    read: dict[str, str] = {}
    for piece in (*DYING, *SURVIVING):
        for version in range(1, len(piece.values) + 1):
            how = {"scope": piece.scope, "tenant": tenant(cell, piece.tenant), "version": version}
            with suppress(Erased):
                try:
                    value = await _told(cell, piece.key, how)
                except Erased:
                    raise
                except TenureError as failure:  # it may refuse to serve; it must not serve wrongly
                    value = f"refused: {failure.kind}"
                read[f"{piece.tenant}/{piece.key}/{version}"] = value
    try:
        said: list[str | None] = await words(cell)
    except TenureError:
        said = []
    try:
        await cell.put("late", "written by the replica", "customer:late")
        wrote = True
    except TenureError:
        wrote = False
    return {"read": read, "words": said, "wrote": wrote}


async def _told(cell: Cell, key: str, how: dict[str, Any]) -> str:
    """A record's value; asked for again, as a caller is told to, when the replica cannot answer now."""
    for _ in range(10):
        with suppress(Unavailable):
            return str(await cell.value(key, **how))
        await asyncio.sleep(0.5)
    return str(await cell.value(key, **how))


def _late_writer(cell: Cell) -> Callable[[], bool]:
    """Prepare the next key state now; the result moves the pointer to it, if it is let."""
    database = Database(cell.tenure.settings.database, pool_size=1)
    roots = FilesRootStore(cell.settings.root_dir / "keys")
    live = Keyring(database, roots).live()
    blob = seal_manifest(CellManifest(live.pointer.seq + 1, live.manifest.tenants), roots, live.root_version)
    new = Pointer(live.pointer.seq + 1, manifest_digest(blob))

    def swap(tx: Tx) -> bool:
        keystate.stage_manifest(tx, new.seq, new.digest, blob)
        if not keystate.move_pointer(tx, live.pointer, new):
            raise Clash
        return True

    def late() -> bool:
        try:
            return database.write(CELL, swap)
        except Clash:
            return False

    return late
