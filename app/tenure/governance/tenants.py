"""Tenants: the cell operator's verb, and the first start of a cell."""

from collections.abc import Callable
from typing import Any

from tenure import ids
from tenure.errors import Conflict, NotFound
from tenure.governance.erasures import ask_for, shown
from tenure.governance.ground import Ground
from tenure.governance.handover import Choice
from tenure.governance.keychange import Staged, mirror_state, seal_state, stage, swap
from tenure.governance.principals import add_principal
from tenure.governance.service import Once, Seat, Service
from tenure.ids import CELL
from tenure.keys.blind import FIRST_FREE
from tenure.keys.secret import fresh_key
from tenure.keys.state import CellManifest, new_tenant
from tenure.ledger.entry import EntryDraft
from tenure.ledger.entry import Kind as Act
from tenure.ledger.merkle import EMPTY_ROOT
from tenure.ledger.note import Signer
from tenure.model import names
from tenure.model.identity import check_id
from tenure.model.principal import Credential, Principal, PrincipalKind
from tenure.sequencer import origin_of
from tenure.store import (
    breakglass,
    issuers,
    keystate,
    ledgerkeys,
    log,
    notices,
    principals,
    rights,
    shreds,
)
from tenure.store import tenants as store
from tenure.store.keystate import Pointer
from tenure.store.session import Tx, Writers
from tenure.store.shreds import Kind
from tenure.store.tenants import Epoch

SCOPE = "tenure.tenants"
_INIT = "init"


class Tenants:
    """Create tenants."""

    def __init__(self, service: Service, ground: Ground, requested: Callable[[], None]) -> None:
        self._service = service
        self._ground = ground
        self._requested = requested

    async def create(self, credential: Credential, name: str, once: Once | None = None) -> dict[str, Any]:
        """A new tenant with its keys, its log and its first administrator: `{"id","name","admin_key"}`."""

        def work(seat: Seat) -> dict[str, Any]:
            tx, ground = seat.desk.tx, self._ground
            tenant_id = ids.new_id()
            live = ground.keyring.live()
            staged = _with_tenant(ground, live.manifest, tenant_id, live.root_version)
            mirror_state(ground.mirror, staged)
            stage(tx, staged)
            swap(tx, live.pointer, staged)
            store.register(tx, tenant_id, name, at=seat.desk.now)
            seat.record(Act.TENANT_CREATE, tenant=tenant_id)
            tx.as_tenant(tenant_id)
            said, key = _furnish(tx, ground, tenant_id, names.TENANT_ADMIN, at=seat.desk.now)
            _open_log(tx, ground, staged.manifest, said, at=seat.desk.now)
            tx.as_tenant(CELL)
            moved.append(staged.pointer)
            return {"id": tenant_id, "name": name, "admin_key": key}

        moved: list[Pointer] = []
        made = await self._service.run(credential, SCOPE, "write", work, once=once)
        for pointer in moved[-1:]:
            self._ground.mirror.put_pointer(pointer.seq, pointer.digest)
        return made

    async def shred(
        self,
        credential: Credential,
        tenant_id: str,
        once: Once | None = None,
        *,
        ledger: Choice = "keep",
    ) -> dict[str, Any]:
        """Offboard a tenant: `{"shred","state"}`. Its keys go with the next batch, then all its rows.

        Its published ledger says what was done, and nothing about anybody: it stays where it is, or is put
        together for handing over (`governance.handover`) and deleted here. Conflict when the tenant is
        leaving already and was asked to leave the other way. Every call with the tenant's own API keys or
        access tokens is refused from the commit on. The operator's log signs the certificate, since the
        tenant's signing key is destroyed with the rest.
        """
        check_id(tenant_id, "tenant")

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            if tenant_id == CELL or store.get(tx, tenant_id) is None:
                raise NotFound("There is no such tenant; nothing was erased.", field="id")
            found = shreds.of_target(tx, Kind.TENANT, tenant_id)
            if found is not None:
                _same_choice(found.findings.get("ledger", "keep"), ledger)
                return shown(found)
            shred = ask_for(seat, Kind.TENANT, tenant_id, **({} if ledger == "keep" else {"ledger": ledger}))
            tx.as_tenant(tenant_id)
            tx.append(EntryDraft(kind=Act.SHRED, at=seat.desk.now, outcome="offboarding"))
            principals.revoke_all(tx, at=seat.desk.now)
            issuers.remove_all(tx)
            store.raise_epoch(tx, Epoch.PRINCIPAL)
            tx.as_tenant(CELL)
            breakglass.forget(tx, tenant_id)
            issuers.forget(tx, tenant_id)
            rights.forget(tx, tenant_id)
            notices.forget(tx, tenant_id)
            return shown(shred)

        answer = await self._service.run(credential, SCOPE, "shred", work, once=once)
        self._requested()
        return answer


def _same_choice(asked_before: str, ledger: Choice) -> None:
    if asked_before != ledger:
        raise Conflict(
            "This tenant is leaving already, and was asked to leave the other way; nothing was changed.",
            field="ledger",
            rule=asked_before,
            remedy="Ask with the same choice to see how far it is.",
        )


def initialise(ground: Ground) -> str | None:
    """First start: root key, cell keys, operator. The operator's API key, or None if it was done before.

    A crash before the commit leaves a root version that the next attempt finds by its op id.
    """

    def work(tx: Tx) -> tuple[str, Staged] | None:
        if keystate.pointer(tx) is not None:
            return None
        now = ids.now()
        version = ground.roots.create(_INIT)
        staged = _with_tenant(ground, CellManifest(0, {}), CELL, version)
        mirror_state(ground.mirror, staged)
        stage(tx, staged)
        swap(tx, None, staged)
        said, key = _furnish(tx, ground, CELL, names.OPERATOR, at=now)
        tx.writers = Writers()
        _open_log(tx, ground, staged.manifest, said, at=now)
        tx.append(EntryDraft(kind=Act.WRITER_END, at=now, outcome="ok"))
        return key, staged

    done = ground.database.write(CELL, work)
    if done is None:
        return None
    key, staged = done
    ground.mirror.put_pointer(staged.pointer.seq, staged.pointer.digest)
    return key


def _with_tenant(ground: Ground, old: CellManifest, tenant_id: str, version: int) -> Staged:
    made = new_tenant(old, tenant_id, fresh_key(), fresh_key())
    return seal_state(made, ground.roots, version)


def _furnish(tx: Tx, ground: Ground, tenant_id: str, role: str, *, at: int) -> tuple[dict[str, Any], str]:
    """A tenant's own rows; what an entry says of its first principal, and that one's API key."""
    epoch = ground.mirror.leaf_epoch()
    store.create(tx, tenant_id, leaf_epoch=epoch, first_leaf=0 if epoch else FIRST_FREE)
    first = Principal(tenant_id, ids.new_id(), role, PrincipalKind.PERSON, (role,))
    return add_principal(tx, first, at=at)


def _open_log(tx: Tx, ground: Ground, manifest: CellManifest, first: dict[str, Any], *, at: int) -> None:
    """Open the log with an entry that says who governs the tenant from now on."""
    origin = origin_of(ground.origin_prefix, tx.tenant_id, 1)
    log.open_log(tx, 1, origin, EMPTY_ROOT)
    ledgerkeys.record(tx, 1, Signer(origin, manifest.tenants[tx.tenant_id].ledger_seed).vkey)
    data = {"origin": origin, "generation": 1, **first}
    tx.append(EntryDraft(kind=Act.LOG_OPEN, at=at, outcome="ok", data=data))
