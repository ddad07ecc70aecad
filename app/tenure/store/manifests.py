"""The tenant's declared configuration and the policy bundles it was decided under."""

import json
from typing import Any

from sqlalchemy import bindparam, delete, insert, literal_column, select

from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Insert, Select

_m = tables.manifests
RETENTION = Select(
    select(_m.c.spec).where(
        _m.c.tenant_id == bindparam("tenant_id", type_=tables.Id), _m.c.kind == literal_column("'Retention'")
    )
)
"""The specs of a tenant's Retention manifests, as JSON texts."""
_INSERT_BUNDLE = Insert(tables.policy_bundles, ignore_existing=True)


def every(tx: Tx) -> list[dict[str, Any]]:
    """All manifests as `{"kind","name","spec","generation","applied_at","applied_in"}`, by kind and name."""
    rows = tx.execute(
        select(_m.c.kind, _m.c.name, _m.c.spec, _m.c.generation, _m.c.applied_at, _m.c.applied_in)
        .where(_m.c.tenant_id == tx.tenant_id)
        .order_by(_m.c.kind, _m.c.name)
    )
    return [
        {
            "kind": row.kind,
            "name": row.name,
            "spec": json.loads(row.spec),
            "generation": row.generation,
            "applied_at": row.applied_at,
            "applied_in": row.applied_in,
        }
        for row in rows
    ]


def specs(tx: Tx, kind: str) -> dict[str, dict[str, Any]]:
    """The specs of one kind's manifests by name."""
    rows = tx.execute(select(_m.c.name, _m.c.spec).where(_m.c.tenant_id == tx.tenant_id, _m.c.kind == kind))
    return {row.name: json.loads(row.spec) for row in rows}


def remove(tx: Tx, kind: str, name: str) -> None:
    """Take one manifest away."""
    tx.execute(delete(_m).where(_m.c.tenant_id == tx.tenant_id, _m.c.kind == kind, _m.c.name == name))


def put(
    tx: Tx, kind: str, name: str, spec: dict[str, Any], *, generation: int, at: int, applied_in: int
) -> None:
    """Create or replace one manifest, as of a generation of the whole configuration."""
    remove(tx, kind, name)
    tx.execute(
        insert(_m).values(
            tenant_id=tx.tenant_id,
            kind=kind,
            name=name,
            spec=json.dumps(spec, sort_keys=True),
            generation=generation,
            applied_at=at,
            applied_in=applied_in,
        )
    )


def keep_bundle(tx: Tx, digest: str, body: bytes, *, at: int) -> None:
    """Remember a policy bundle for replay; idempotent."""
    tx.put(_INSERT_BUNDLE, {"digest": digest, "body": body, "created_at": at})


def has_bundle(tx: Tx, digest: str) -> bool:
    """Whether a policy bundle is remembered."""
    table = tables.policy_bundles
    query = select(table.c.digest).where(table.c.tenant_id == tx.tenant_id, table.c.digest == digest)
    return tx.execute(query).scalar_one_or_none() is not None


def bundle(tx: Tx, digest: str) -> bytes | None:
    """A remembered policy bundle."""
    table = tables.policy_bundles
    return tx.execute(
        select(table.c.body).where(table.c.tenant_id == tx.tenant_id, table.c.digest == digest)
    ).scalar_one_or_none()
