"""Two officers, and what they do with a rights request."""

from types import SimpleNamespace
from typing import Any

import pytest

from support.cell import Cell, Tenant
from tenure import crew, ids
from tenure.model.principal import PrincipalKind
from tenure.model.rightsrequest import Kind, Method
from tenure.rights.receiving import NewRequest


class Ahead:
    """The clock that transactions read: so many microseconds ahead of the machine's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.us = 0
        names = (name for name in dir(ids) if not name.startswith("__"))
        shifted = SimpleNamespace(**{name: getattr(ids, name) for name in names})
        shifted.now = lambda: ids.now() + self.us
        monkeypatch.setattr(crew, "ids", shifted)


async def second_officer(cell: Cell, tenant: Tenant | None = None) -> None:
    """Another data protection officer: `second`."""
    tenant = tenant or cell.one
    made = await cell.tenure.principals.create(tenant["admin"], "second", PrincipalKind.PERSON, ("dpo",))
    tenant.keys["second"], tenant.principals["second"] = made["api_key"], made["id"]


async def asked(cell: Cell, kind: Kind, reference: str = "customer:1", **more: Any) -> str:
    """A request that came in."""
    made = await cell.tenure.requests.open(cell.one["dpo"], NewRequest(kind, reference, **more))
    return str(made["id"])


async def scoped(cell: Cell, request: str) -> dict[str, Any]:
    """It is known who asks, and what is held."""
    await cell.tenure.requests.identify(cell.one["dpo"], request, Method.LOGIN)
    return await cell.tenure.requests.scope(cell.one["dpo"], request)


async def approved(cell: Cell, kind: Kind, reference: str = "customer:1", **more: Any) -> str:
    """A request that a second officer approved."""
    request = await asked(cell, kind, reference, **more)
    await scoped(cell, request)
    await cell.tenure.requests.approve(cell.one["second"], request)
    return request


async def show(cell: Cell, request: str) -> dict[str, Any]:
    """The request as an officer sees it."""
    return await cell.tenure.requests.get(cell.one["dpo"], request)


async def carried_out(cell: Cell, request: str) -> dict[str, Any]:
    """The request once it is closed, or waits for somebody."""
    for _ in range(12):
        await cell.tenure.rights.run()
        await cell.tenure.shredder.run()
        found = await show(cell, request)
        if found["closed_at"] is not None:
            break
        with cell.raw() as connection:  # what waits is looked at again in a second: do not
            connection.exec_driver_sql("UPDATE rights_queue SET due_at = 0")
    return found
