"""How a caller checks its own accesses: receipts of entries, and proofs about heads and changes of the key.

None needs the right to read the ledger. An entry's receipt is for the principal that the entry is about (and
for whoever may read the ledger); hashes and changes of the key are for every principal of the tenant.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

from tenure.crew import Desk
from tenure.errors import Invalid, NotFound
from tenure.governance.ledger import SCOPE
from tenure.ledger.base64 import to_base64
from tenure.ledger.entry import parse_entry
from tenure.ledger.tree import consistency
from tenure.model.principal import Credential
from tenure.policy import rights
from tenure.receipting import published, receipt_of
from tenure.store import ledgerkeys, log
from tenure.store.database import Database
from tenure.store.session import Tx
from tenure.tenancy import Tenancies

_ENTRY = re.compile(r"([0-9a-f]{16})-(0|[1-9][0-9]{0,15})")
T = TypeVar("T")


class Receipts:
    """For every caller, about what it did itself. Reading them makes no entry: they hold no content."""

    def __init__(self, database: Database, tenancies: Tenancies) -> None:
        self._database = database
        self._tenancies = tenancies

    async def of_entry(self, credential: Credential, entry_id: str) -> str:
        """The receipt (C2SP tlog-proof) of the entry `writer-n`. NotYet until it is published.

        NotFound for an entry of somebody else as for one that does not exist, unless the caller may read the
        ledger.
        """

        def work(desk: Desk) -> str:
            principal = desk.principal(credential)
            match = _ENTRY.fullmatch(entry_id)
            placed = log.entry(desk.tx, match[1], int(match[2])) if match else None
            if placed is not None:
                own = parse_entry(placed.body).get("principal") == principal.id
                engine = desk.tenancy.policy.engine
                if own or rights.decide_service(engine, principal, SCOPE, "read").allowed:
                    return receipt_of(desk.tx, published(desk.tx, placed))
            raise NotFound("There is no such entry of yours.", field="id", rule="`entry` of an answer")

        return await self._read(credential, work)

    async def consistency(self, credential: Credential, old: int, new: int) -> dict[str, Any]:
        """`{"old","new","proof"}`: that the tree of `new` entries extends the one of `old` (RFC 6962 §2.1.2).

        Of the newest generation, up to the published size. At most two tiles for each level of the tree.
        """

        def work(desk: Desk) -> dict[str, Any]:
            desk.principal(credential)
            current = log.newest(desk.tx)
            if current is None or not 0 < old <= new <= current.published:
                raise Invalid(
                    "The log has no such two published sizes; nothing was proven.",
                    field="new" if old <= new else "old",
                    rule="0 < old ≤ new ≤ the published size",
                    remedy="Take the sizes of two checkpoints of this log.",
                )

            def tile(level: int, n: int) -> bytes:
                return log.tile(desk.tx, current.generation, level, n) or b""

            proof = consistency(old, new, tile)
            return {"old": old, "new": new, "proof": [to_base64(digest) for digest in proof]}

        return await self._read(credential, work)

    async def rotations(self, credential: Credential) -> str:
        """The proofs of every published change of the log's key (`ledger.keychain`); empty without any.

        Of the newest generation. Round trips: the keys, and for each change its entry, checkpoint and tiles.
        """

        def work(desk: Desk) -> str:
            desk.principal(credential)
            current = log.newest(desk.tx)
            return ledgerkeys.rotations(desk.tx, current.generation, current.published) if current else ""

        return await self._read(credential, work)

    async def _read(self, credential: Credential, work: Callable[[Desk], T]) -> T:
        def inside(tx: Tx) -> T:
            return work(Desk.reading(tx, self._tenancies))

        return await asyncio.to_thread(self._database.read, credential.tenant_id, inside)
