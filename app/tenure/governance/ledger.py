"""The transparency log, read: key, checkpoint, tiles, entries. For auditors and administrators."""

import asyncio
import base64
import binascii
import itertools
import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from tenure.crew import Desk
from tenure.errors import Denied, Malformed, NotFound, NotYet
from tenure.governance.service import Service
from tenure.ids import CELL
from tenure.keyring import Keyring
from tenure.ledger.merkle import HASH_SIZE
from tenure.ledger.tile import ENTRIES, WIDTH, TileId, encode_bundle, tile_width
from tenure.model.principal import Credential
from tenure.policy import rights
from tenure.store import ledgerkeys, log
from tenure.store.database import Database
from tenure.store.log import Log, Search
from tenure.store.session import Tx
from tenure.tenancy import Tenancies

SCOPE = "tenure.ledger"
T = TypeVar("T")


class LedgerReader:
    """Serves the newest generation of the caller's own log. Reading it makes no entry: it has no content."""

    def __init__(self, service: Service, database: Database, tenancies: Tenancies, keyring: Keyring) -> None:
        self._service = service
        self._database = database
        self._tenancies = tenancies
        self._keyring = keyring

    async def key(self, credential: Credential) -> dict[str, Any]:
        """`{"vkey","origin","previous","cell"}`: what verifiers pin.

        `previous` are earlier keys, newest first, each with the index of the entry that replaced it; `cell`
        is `{"vkey","origin"}` of the cell's log, None for the cell itself.
        """
        found = await self.read(credential, partial(pinned, keyring=self._keyring))
        cell = None
        if credential.tenant_id != CELL:
            cell = await asyncio.to_thread(self._database.read, CELL, self._of_cell)
        return {**found, "cell": cell}

    def _of_cell(self, tx: Tx) -> dict[str, Any] | None:
        current = log.newest(tx)
        if current is None:
            return None
        found = pinned(tx, current, self._keyring)
        return {"vkey": found["vkey"], "origin": found["origin"]}

    async def checkpoint(self, credential: Credential) -> str:
        """The newest published checkpoint, a signed note."""

        def work(tx: Tx, current: Log) -> str:
            note = log.checkpoint(tx, current.generation, newest_upto=current.published)
            if note is None:
                raise NotYet("This log has no published checkpoint yet.")
            return note

        return await self.read(credential, work)

    async def tile(self, credential: Credential, path: str) -> bytes:
        """A tile or an entry bundle (C2SP tlog-tiles). Any width that was ever published; else NotFound."""
        try:
            wanted = TileId.parse(path)
        except Malformed:
            raise _no_tile() from None

        def work(tx: Tx, current: Log) -> bytes:
            if tile_width(wanted.level, wanted.n, current.published) < wanted.width:
                raise _no_tile()
            if wanted.level == ENTRIES:
                first = wanted.n * WIDTH
                return encode_bundle(log.bodies(tx, current.generation, first, wanted.width))
            data = log.tile(tx, current.generation, wanted.level, wanted.n)
            if data is None:
                raise _no_tile()
            return data[: wanted.width * HASH_SIZE]

        return await self.read(credential, work)

    async def entries(
        self, credential: Credential, filters: Search, *, cursor: str | None, limit: int
    ) -> dict[str, Any]:
        """A page of entries: `{"items":[{"index","id","entry"}],"next"}`."""
        after = _parse_cursor(cursor)

        def work(tx: Tx, current: Log) -> dict[str, Any]:
            found = log.search(tx, current.generation, filters, after=after, limit=limit + 1)
            page = found[:limit]
            return {
                "items": [
                    {"index": one.idx, "id": f"{one.writer}-{one.n}", "entry": json.loads(one.body)}
                    for one in page
                ],
                "next": _cursor(page[-1].idx) if len(found) > limit else None,
            }

        return await self.read(credential, work)

    async def read(self, credential: Credential, work: Callable[[Tx, Log], T]) -> T:
        """Run `work` in a read-only transaction with the newest generation, for who may read the ledger."""

        def inside(tx: Tx) -> T:
            desk = Desk.reading(tx, self._tenancies)
            principal = desk.principal(credential)
            verdict = rights.decide_service(desk.tenancy.policy.engine, principal, SCOPE, "read")
            if not verdict.allowed:
                raise Denied("Policy denies this; nothing was read.")
            current = log.newest(tx)
            if current is None:
                raise NotFound("This tenant has no log.")
            return work(tx, current)

        try:
            return await asyncio.to_thread(self._database.read, credential.tenant_id, inside)
        except Denied:
            # Again where it can be put on record: that transaction could only read.
            await self._service.run(credential, SCOPE, "read", lambda _seat: None)
            raise


def pinned(tx: Tx, one: Log, keyring: Keyring) -> dict[str, Any]:
    """`{"vkey","origin","previous"}` of a published generation (see `LedgerReader.key`). One round trip."""
    keys = ledgerkeys.history(tx, one.generation, upto=one.published)
    return {
        "vkey": keys[0].vkey if keys else keyring.signer(tx.tenant_id, one.origin).vkey,
        "origin": one.origin,
        "previous": [
            {"vkey": before.vkey, "replaced_at": after.idx} for after, before in itertools.pairwise(keys)
        ],
    }


def _cursor(index: int | None) -> str:
    return base64.urlsafe_b64encode(f"entry:{index}".encode()).decode()


def _parse_cursor(cursor: str | None) -> int:
    if cursor is None:
        return -1
    try:
        name, _, index = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(":")
        if name == "entry" and index.isdecimal() and len(index) < 16:  # noqa: PLR2004 - far beyond any log
            return int(index)
    except (binascii.Error, ValueError):
        pass
    raise Malformed(
        "The cursor is not one that this call gave out; nothing was read.",
        field="cursor",
        rule="the `next` of the previous page",
        remedy="Start again without a cursor.",
    )


def _no_tile() -> NotFound:
    return NotFound("There is no such tile in the published log.", rule="C2SP tlog-tiles paths")
