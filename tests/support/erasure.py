"""What must hold of an erased person, and where an erasure can be made to fail."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from support.cell import SCOPE, Cell, Tenant
from tenure.bootstrap import Tenure
from tenure.errors import Erased
from tenure.keyring import stored_state
from tenure.keys.seal import Binding, open_key
from tenure.ledger.certificate import verify_certificate
from tenure.listing import Query
from tenure.store import holds as stored_holds
from tenure.store.session import Tx
from tenure.thawing import warm, where

When = Literal["before", "after"]


class InjectedError(Exception):
    """What the test makes fail."""


async def assert_erased(
    cell: Cell, *keys: str, certificate: str | None, tenant: Tenant | None = None
) -> None:
    """Current and every past version answer that they are erased, by this certificate."""
    tenant = tenant or cell.one
    for key in keys:
        for which in ({}, {"version": 1}):
            with pytest.raises(Erased) as gone:
                await cell.get(key, tenant=tenant, **which)
            assert gone.value.certificate == certificate
    page = await cell.tenure.gateway.query(tenant.ask(), SCOPE, Query(include_content=True, limit=200))
    assert not {item.key for item in page.items} & set(keys)


async def assert_certified(cell: Cell, state: dict[str, Any], tenant: Tenant | None = None) -> dict[str, Any]:
    """The erasure is completed, its certificate verifies offline; what it says."""
    assert state["state"] == "completed"
    envelope = await cell.certificate(state["certificate"], tenant)
    report = verify_certificate(envelope, [await cell.verifier(tenant)])
    assert report.ok, report.failures
    assert report.certificate["id"] == state["certificate"]
    assert report.certificate["shred"] == state["shred"]
    assert report.certificate["tenant"] == (tenant or cell.one).id
    return report.certificate


def kept_by(cell: Cell, hold: str) -> list[bytes]:
    """What the hold's leaf opens, by somebody who has the key state: a court's order, not the API."""
    ground = cell.tenure.shredder._ground

    def look(tx: Tx) -> list[bytes]:
        state = stored_state(tx, ground.keyring.manifest().tenants[cell.one.id])
        found = []
        for one in stored_holds.versions(tx, hold, limit=100):
            assert one.header is not None
            binding = Binding(cell.one.id, one.scope, one.record_id, one.version)
            place = where(cell.one.id, one)
            whole = warm(cell.one.id, one, {place: cell.tenure._thaw.read(place)} if place else None)
            found.append(open_key(binding, one.header, state.derive).open("content", whole.content or b""))
        return found

    return ground.database.write(cell.one.id, look)  # for the locks that this takes


def root_versions(cell: Cell) -> dict[str, list[int]]:
    """Versions of the files root store, by whether there is a key."""
    names = [path.name for path in (cell.settings.root_dir / "keys").glob("root-*")]
    return {
        kind: sorted(int(name[5:17]) for name in names if name.endswith(f".{kind}"))
        for kind in ("key", "destroyed")
    }


def certificates(cell: Cell) -> list[str]:
    """Ids of the certificates in the database."""
    return [str(row[0]) for row in cell.rows("SELECT CAST(id AS TEXT) FROM certificates")]


@dataclass
class Failing:
    """Makes one call of an erasure fail, once: without or with having done it."""

    method: str
    call: int
    when: When
    seen: int = field(default=0)

    def into(self, tenure: Tenure, monkeypatch: pytest.MonkeyPatch) -> None:
        """Patch a running cell."""
        place, _, name = self.method.rpartition(".")
        ground = tenure.shredder._ground
        owners = {
            "shredder": tenure.shredder,
            "roots": ground.roots,
            "mirror": ground.mirror,
            "sequencer": tenure.sequencer,
            "database": ground.database,
            "handover": tenure.shredder._handover,
        }
        owner = owners[place]
        monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        if asyncio.iscoroutinefunction(real):

            async def later(*args: Any, **kw: Any) -> Any:
                mine = self._mine("before")
                done = await real(*args, **kw)
                self._fail(mine)
                return done

            return later

        def now(*args: Any, **kw: Any) -> Any:
            mine = self._mine("before")
            done = real(*args, **kw)
            self._fail(mine)
            return done

        return now

    def _mine(self, when: When) -> bool:
        self.seen += 1
        mine = self.seen == self.call
        if mine and self.when == when:
            raise InjectedError(f"{self.method} call {self.call}")
        return mine

    def _fail(self, mine: bool) -> None:
        if mine:
            raise InjectedError(f"{self.method} call {self.call}, done")


def steps_of(certificate: dict[str, Any]) -> list[str]:
    """The steps that a certificate names, in their order."""
    return [step["step"] for step in json.loads(json.dumps(certificate["steps"]))]
