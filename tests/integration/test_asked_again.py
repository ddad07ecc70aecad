"""Whatever was done: its entries, asked again under their own rules, give what was recorded.

Explanations, replays and dry runs that look back all rest on this.
"""

import random
from typing import Any

import pytest

from support.cell import JOINT, NOTES, SCOPE, SUPPORT, Cell
from support.lived import CLOCKS
from tenure.decisions import Opening
from tenure.errors import Denied, Erased, Invalid, NotFound
from tenure.listing import Query
from tenure.model.record import Draft, Segment

pytestmark = pytest.mark.anyio

GRANTS = """
apiVersion: tenure/v1
kind: Grant
metadata: {{name: {name}}}
spec:
  roles: [{role}]
  scopes: ["{scope}"]
  categories: [{category}]
  purposes: [{purpose}]
  actions: [{action}]
  effect: {effect}
"""
CATEGORIES = (("contact",), ("travel",), ("health",), ("contact", "travel"), ("contact", "health"))
WHO = ("agent", "clerk", "marketer")
STEPS = 90


def a_grant(dice: random.Random, n: int) -> str:
    """A random grant; denies are narrower, so that something stays allowed."""
    effect = dice.choice(("allow", "allow", "deny"))
    return GRANTS.format(
        name=f"g{n % 6}",
        role=dice.choice(("clerk", "marketer", "support-agent")),
        scope=dice.choice(("support.*", SCOPE, NOTES, "**")),
        category=dice.choice(("contact", "personal", "health") if effect == "deny" else ('"*"', "personal")),
        purpose=dice.choice(("service", "customer-support", '"*"')),
        action=dice.choice(("read", "list", "write", "delete") if effect == "deny" else ('"*"', "read")),
        effect=effect,
    )


async def one_step(cell: Cell, dice: random.Random, ask: Any, decisions: list[str]) -> None:
    key, scope = f"k{dice.randrange(6)}", dice.choice((SCOPE, NOTES, JOINT))
    gateway = cell.tenure.gateway
    match dice.randrange(9):
        case 0 | 1:
            categories = ("contact",) if scope == JOINT else dice.choice(CATEGORIES)
            await cell.put(
                key, 1, f"customer:{dice.randrange(3)}", scope=scope, categories=categories, ask=ask
            )
        case 2:
            parts = (Segment(b"1", ("customer:1",)), Segment(b"2", ("customer:2",)))
            await gateway.write(ask, NOTES, key, Draft(b"", (), dice.choice(CATEGORIES), segments=parts))
        case 3:
            await gateway.delete(ask, scope, key)
        case 4:
            include = dice.choice((True, False))
            await gateway.query(ask, scope, Query(include_content=include))
        case 5:
            await gateway.history(ask, scope, key)
        case 6:
            await cell.tenure.decisions.context(ask, dice.choice(decisions))
        case 7:
            who = f"customer:{dice.randrange(3)}"
            await cell.tenure.events.post(ask, scope, "customer.left", who)
        case _:
            await cell.get(key, scope=scope, ask=ask, version=dice.choice((None, 1, 2)))


@pytest.mark.parametrize(
    ("database_kind", "seed"),
    [("sqlite", 0), ("sqlite", 1), pytest.param("postgresql", 2, marks=pytest.mark.postgres)],
)
async def test_every_entry_gives_what_was_recorded(cell: Cell, seed: int) -> None:
    dice = random.Random(seed)
    await cell.tenure.manifests.apply(cell.one["admin"], CLOCKS, dry_run=False)
    asks = {}
    for who in WHO:
        made = await cell.tenure.decisions.open(cell.one[who], Opening(SUPPORT))
        asks[who] = cell.one.ask(who, decision=made["id"])
    outcomes = {"ok": 0, "denied": 0, "other": 0}
    for step in range(STEPS):
        if step % 15 == 14:
            await cell.tenure.manifests.apply(cell.one["admin"], a_grant(dice, step), dry_run=False)
        if step == STEPS // 2:
            await cell.erase("customer:1")
        who = dice.choice(WHO)
        try:
            await one_step(cell, dice, asks[who], [str(asks[who].decision)])
        except Denied:
            outcomes["denied"] += 1
        except (NotFound, Erased, Invalid):
            outcomes["other"] += 1
        else:
            outcomes["ok"] += 1
    assert min(outcomes["ok"], outcomes["denied"]) > STEPS // 9, outcomes
    judged = 0
    for who in WHO:
        found = await cell.tenure.replaying.replay(cell.one["auditor"], str(asks[who].decision), "current")
        wrong = [one for one in found["items"] if one["then"]["reason"] == "not-reproduced"]
        assert wrong == []
        assert found["summary"]["unknown"] == 0
        assert found["roles"] in ("recorded", "derived")
        judged += found["summary"]["accesses"]
    assert judged > STEPS // 2
