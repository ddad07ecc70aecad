"""Changing the key that signs a log. The log goes on under its origin.

    1 drain     what waits gets its place, so that the next transaction is short
    2 stage     a fresh seed in a new cell manifest, copied to the mirror; the live one has the old seed
    3 entry     `key.rotate` names both keys, in the log itself
    4 hand over its place, and the checkpoint that covers it, signed by the old key and by the new one
    5 record    from that entry on the log names the new key: nothing else is signed with (`store.ledgerkeys`)
    6 swap      the pointer moves to the new manifest
    7 mirror    the pointer, so that a restored database adopts the new seed
    8 publish   the checkpoint, and the proof of the change in `rotations`

3 to 6 are one transaction: killed before its commit, nothing was changed and the two signatures with the new
key are lost with the process; killed after it, the next start mirrors and publishes. At no moment does a
second process hold a seed that the log's own row does not name and sign with it. The old seed lies in dead
manifests until the next erasure or `tenure rootstore rotate` destroys the root versions that open them.
"""

import asyncio
from typing import Any

from tenure.errors import NotFound
from tenure.governance.ground import Ground
from tenure.governance.keychange import mirror_state, seal_state, stage, swap
from tenure.governance.service import Seat, Service
from tenure.ids import CELL
from tenure.keys.secret import fresh_key
from tenure.keys.state import with_ledger_seed
from tenure.ledger.entry import EntryDraft, Kind
from tenure.ledger.keychain import rotation_data
from tenure.ledger.note import Signer
from tenure.model.identity import check_id
from tenure.model.principal import Credential
from tenure.sequencer import Sequencer
from tenure.store import ledgerkeys, log, sequencing, tenants
from tenure.store.keystate import Pointer
from tenure.store.session import Tx

SCOPE = "tenure.ledger"


class LedgerKeys:
    """Rotates the keys of this cell's logs."""

    def __init__(self, service: Service, ground: Ground, sequencer: Sequencer) -> None:
        self._service = service
        self._ground = ground
        self._sequencer = sequencer

    async def rotate(self, credential: Credential, tenant_id: str | None = None) -> dict[str, Any]:
        """`{"origin","vkey","previous","index"}`: the new key, the one before, and the entry that says so.

        Of the caller's own log; the operator may name a tenant. NotFound when there is none of that id.
        """
        if tenant_id is not None:
            check_id(tenant_id, "tenant")
        target = tenant_id or credential.tenant_id
        if credential.tenant_id not in (target, CELL):
            raise _no_tenant()

        def known(seat: Seat) -> None:
            if target != seat.desk.tx.tenant_id and tenants.get(seat.desk.tx, target) is None:
                raise _no_tenant()

        await self._service.run(credential, SCOPE, "write", known)
        await self._sequencer.run(target)
        moved: list[Pointer] = []
        done = await self._service.run(
            credential, SCOPE, "write", lambda seat: self._rotated(seat, target, moved)
        )
        for pointer in moved[-1:]:
            await asyncio.to_thread(self._ground.mirror.put_pointer, pointer.seq, pointer.digest)
        await self._sequencer.run(target)
        return done

    def _rotated(self, seat: Seat, target: str, moved: list[Pointer]) -> dict[str, Any]:
        """Steps 2 to 6."""
        tx, ground = seat.desk.tx, self._ground
        home = tx.tenant_id
        if target != home:
            seat.record(Kind.KEY_ROTATE, "ordered", tenant=target)
            tx.as_tenant(target)
        sequencing.wait_for_turn(tx)
        current = log.newest(tx)
        live = ground.keyring.live()
        if current is None or target not in live.manifest.tenants:
            raise _no_tenant()
        old = self._sequencer.signer(tx)
        seed = fresh_key()
        new = Signer(current.origin, seed)
        staged = seal_state(with_ledger_seed(live.manifest, target, seed), ground.roots, live.root_version)
        mirror_state(ground.mirror, staged)
        data = rotation_data(old.verifier, new.verifier)
        if target == home:
            entry = seat.record(Kind.KEY_ROTATE, **data)
        else:
            entry = tx.append(EntryDraft(Kind.KEY_ROTATE, seat.desk.now, "ok", data=data))
        place, size = self._sequencer.hand_over(tx, entry, new)
        self._remember_ended(tx, current.generation, live.manifest.tenants[target].ledger_seed)
        ledgerkeys.record(tx, current.generation, new.vkey, idx=place, size=size)
        tx.as_tenant(CELL)
        stage(tx, staged)
        swap(tx, live.pointer, staged)
        tx.as_tenant(home)
        moved.append(staged.pointer)
        return {"origin": current.origin, "vkey": new.vkey, "previous": old.vkey, "index": place}

    def _remember_ended(self, tx: Tx, generation: int, seed: bytes | bytearray) -> None:
        """The seed that goes was also the last one of generations that ended: their keys stay on record."""
        for old in log.generations(tx):
            if old.generation < generation and ledgerkeys.newest(tx, old.generation) is None:
                ledgerkeys.record(tx, old.generation, Signer(old.origin, seed).vkey)


def _no_tenant() -> NotFound:
    return NotFound("There is no such tenant with a log; no key was changed.", field="tenant")
