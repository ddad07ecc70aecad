"""The cell's root key: what its operator sees of it, and its rotation."""

import asyncio
from typing import Any, Final

from tenure import ids
from tenure.errors import Conflict, NotYet, TenureError
from tenure.governance.ground import Ground
from tenure.governance.service import Service
from tenure.governance.shred import Shredder
from tenure.ids import CELL
from tenure.keys.rootstore import Capabilities
from tenure.keys.state import manifest_root_version, open_manifest
from tenure.ledger.entry import Kind
from tenure.model.principal import Credential
from tenure.store import keystate, shreds
from tenure.store.session import Tx

SCOPE: Final = "tenure.rootstore"
_PATIENCE_S: Final = 30.0


class RootKeys:
    """Show the root store; rotate the root key, also from one store to another."""

    def __init__(self, service: Service, ground: Ground, shredder: Shredder) -> None:
        self._service = service
        self._ground = ground
        self._shredder = shredder
        self._rotation: asyncio.Task[None] | None = None

    async def status(self, credential: Credential) -> dict[str, Any]:
        """`{"provider","guarantee","previous","live","opens","failure","under_way","versions"}`.

        The root store is asked now, nothing is taken from a cache: `opens` says whether the live cell
        manifest opened with what it answered, and `failure` what kind of error there was if not.
        """
        await self._service.run(credential, SCOPE, "read", lambda _: None)
        return await asyncio.to_thread(self._status)

    async def rotate(self, credential: Credential, *, moving: bool = False) -> dict[str, Any]:
        """A new root version; every older one is destroyed. The status afterwards.

        With `moving` only in a hand-over: the root key leaves the previous store. Raises Conflict when there
        is none, NotYet when the provider takes its time: the rotation goes on by itself. Who asks while one
        is under way waits for that one.
        """
        if moving and self._ground.roots.capabilities().previous is None:
            await self._service.run(credential, SCOPE, "write", lambda _: None)
            raise Conflict(
                "There is only one root store, so there is nothing to move; nothing was done.",
                field="TENURE_ROOT_STORE_PREVIOUS",
                rule="TENURE_ROOT_STORE and TENURE_ROOT_STORE_PREVIOUS both set, and different",
                remedy="Set TENURE_ROOT_STORE to the new store and TENURE_ROOT_STORE_PREVIOUS to the present "
                "one, start the service again, and repeat this.",
            )
        await self._service.run(credential, SCOPE, "write", lambda seat: seat.record(Kind.ROOT_ROTATE))
        if self._rotation is None or self._rotation.done():
            self._rotation = asyncio.create_task(self._shredder.rotate())
        rotation = self._rotation
        await asyncio.wait({rotation}, timeout=_PATIENCE_S)
        if not rotation.done():
            raise NotYet(
                "The rotation is under way; it goes on while the service runs.",
                retry_after=30,
                remedy="Ask for the root store's status until every older version is destroyed.",
            )
        await rotation
        return await asyncio.to_thread(self._status)

    def stop(self) -> None:
        """Let a rotation go; the next start or run finishes it."""
        if self._rotation is not None:
            self._rotation.cancel()

    def _status(self) -> dict[str, Any]:
        ground = self._ground
        blob, under_way = ground.database.read(CELL, _sealed)
        live = manifest_root_version(blob)
        failure = None
        try:
            open_manifest(blob, ground.roots)
        except TenureError as refused:
            failure = refused.kind
        said = ground.roots.capabilities()
        return {
            **_shown(said),
            "previous": _shown(said.previous) if said.previous else None,
            "live": live,
            "opens": failure is None,
            "failure": failure,
            "under_way": under_way,
            "versions": [
                {
                    "version": one.version,
                    "provider": one.provider,
                    "state": one.state,
                    "created_at": ids.rfc3339(one.created_at),
                }
                for one in ground.roots.list()
            ],
        }


def _sealed(tx: Tx) -> tuple[bytes, bool]:
    pointer = keystate.pointer(tx)
    assert pointer is not None  # noqa: S101 - a cell that serves has one
    return keystate.manifest(tx, pointer.seq) or b"", bool(shreds.batches(tx))


def _shown(one: Capabilities) -> dict[str, Any]:
    return {"provider": one.provider, "guarantee": one.guarantee}
