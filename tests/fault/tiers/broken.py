"""The control: tiering broken on purpose, one rule at a time, must be found out by a case.

A breakage is in place while its case's processes are forked: in the one that dies and in the one that judges.
"""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

from fault.tiers.cases import Case
from fault.tiers.scene import Act
from support.durable import Step
from tenure.cold.packs import PackRef, name_of
from tenure.governance import tiering
from tenure.store import packs


class Breakage(NamedTuple):
    """What is broken, how, which case finds it, and as what."""

    what: str
    apply: AbstractContextManager[Any]
    case: Case
    found_as: str


async def _hasty(self: Any, turn: Any, planned: Any, *, replaces: Any = None) -> int:
    tenant_id = planned.packed.front.tenant
    await self._write(turn, tenant_id, lambda desk: packs.plan(desk.tx, planned.row(packs.now(desk.tx))))
    work = partial(tiering._move, planned=planned, replaces=replaces)
    moved: int = await self._write(turn, tenant_id, work)
    await turn.in_thread(tiering.put_pack, self._objects, planned.packed)
    return moved


def _trusting(objects: Any, packed: Any) -> PackRef:
    objects.keep(name_of(packed.front), packed.data)
    return PackRef.of(packed)


def _leaving(real: Any) -> Any:
    def move(tx: Any, pack_id: str, moved: Any) -> None:
        rows = {
            (one.record_id, one.version): one.content for one in packs.contents(tx, [m[:2] for m in moved])
        }
        real(tx, pack_id, [one._replace(left=rows[one.record_id, one.version]) for one in moved])

    return move


_MOVED = (Step("move", 1), "after")
BREAKAGES = (
    Breakage(
        "moved before it is put",
        patch.object(tiering.Tiering, "_store", _hasty),
        Case(Act.MOVE, "none", _MOVED),
        "lost",
    ),
    Breakage(
        "what was put is not read back",
        patch.object(tiering, "put_pack", _trusting),
        Case(Act.MOVE, "other bytes", _MOVED),
        "lost",
    ),
    Breakage(
        "contents stay in their rows",
        patch.object(packs, "move", _leaving(packs.move)),
        Case(Act.MOVE, "none", _MOVED),
        "doubled",
    ),
    Breakage(
        "what a run left half done stays",
        patch.object(tiering, "_leavings", lambda _: []),
        Case(Act.MOVE, "answer lost", (Step("PUT", 1), "after")),
        "doubled",
    ),
)
