"""Decisions at rest."""

import json

from sqlalchemy import bindparam, insert, select, update

from tenure.model.decision import Decision
from tenure.store import tables
from tenure.store.lookups import LookUp, Step
from tenure.store.session import Tx

_d = tables.decisions

# Share-locked: a seal waits for the accesses under way, and accesses after it see it sealed.
STATE = LookUp(
    (_d.c.id, _d.c.principal_id, _d.c.purpose, _d.c.sealed_at),
    Step(_d, _d.c.tenant_id == bindparam("tenant_id")),
    keys={"ids": _d.c.id},
    lock="FOR SHARE",
)


def open_decision(tx: Tx, decision: Decision) -> None:
    """A new decision."""
    tx.execute(
        insert(_d).values(
            tenant_id=tx.tenant_id,
            id=decision.id,
            principal_id=decision.principal_id,
            purpose=decision.purpose,
            subject_id=decision.subject_id,
            facts=json.dumps(decision.facts, sort_keys=True),
            opened_at=decision.opened_at,
        )
    )


def get(tx: Tx, decision_id: str, *, lock: bool = False) -> Decision | None:
    """One decision; with `lock` nobody else can bind to it or seal it until the commit."""
    query = select(
        _d.c.id,
        _d.c.principal_id,
        _d.c.purpose,
        _d.c.subject_id,
        _d.c.facts,
        _d.c.opened_at,
        _d.c.sealed_at,
        _d.c.outcome,
        _d.c.seal_entry,
    ).where(_d.c.tenant_id == tx.tenant_id, _d.c.id == decision_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return Decision(**{**row._mapping, "facts": json.loads(row.facts)}) if row else None


def about(tx: Tx, subject_id: str, limit: int) -> list[str]:
    """Ids of the decisions about a person, newest first."""
    query = select(_d.c.id).where(_d.c.tenant_id == tx.tenant_id, _d.c.subject_id == subject_id)
    return list(tx.execute(query.order_by(_d.c.id.desc()).limit(limit)).scalars())


def seal(tx: Tx, decision_id: str, *, at: int, outcome: str, entry: str, facts: dict[str, str]) -> None:
    """Close a decision."""
    tx.execute(
        update(_d)
        .where(_d.c.tenant_id == tx.tenant_id, _d.c.id == decision_id)
        .values(sealed_at=at, outcome=outcome, seal_entry=entry, facts=json.dumps(facts, sort_keys=True))
    )
