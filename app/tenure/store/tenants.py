"""Tenants, their epochs and their leaf sequences."""

from enum import StrEnum

from sqlalchemy import BigInteger, bindparam, delete, insert, select, tuple_, update

from tenure.ids import CELL
from tenure.store import tables
from tenure.store.database import Clash
from tenure.store.session import Tx
from tenure.store.statements import Select


class Epoch(StrEnum):
    """What changed: raising it makes every process rebuild what it cached of it."""

    PRINCIPAL = "principal_epoch"
    POLICY = "policy_epoch"
    KEYS = "key_epoch"
    SUBJECTS = "subject_epoch"
    """Restrictions and objections: `raise_subjects`."""


def create(tx: Tx, tenant_id: str, *, leaf_epoch: int, first_leaf: int) -> None:
    """The tenant's own rows. Transaction of the new tenant (or of the cell, for the cell's own)."""
    epochs = {epoch.value: 1 for epoch in Epoch}
    tx.execute(insert(tables.tenant_state).values(tenant_id=tenant_id, access_since=0, **epochs))
    tx.execute(insert(tables.leaf_sequences).values(tenant_id=tenant_id, epoch=leaf_epoch, next=first_leaf))


def register(tx: Tx, tenant_id: str, name: str, *, at: int) -> None:
    """The cell's list of tenants. Cell transaction."""
    tx.execute(insert(tables.tenants).values(tenant_id=CELL, id=tenant_id, name=name, created_at=at))


def all_ids(tx: Tx) -> list[str]:
    """Every tenant of the cell, oldest first. Cell transaction; for start-up and jobs only."""
    table = tables.tenants
    return list(
        tx.execute(select(table.c.id).where(table.c.tenant_id == CELL).order_by(table.c.id)).scalars()
    )


def get(tx: Tx, tenant_id: str) -> str | None:
    """A tenant's name; None when there is none. Cell transaction."""
    table = tables.tenants
    return tx.execute(
        select(table.c.name).where(table.c.tenant_id == CELL, table.c.id == tenant_id)
    ).scalar_one_or_none()


def unregister(tx: Tx, tenant_id: str) -> None:
    """Take a tenant off the cell's list. Cell transaction."""
    tx.execute(
        delete(tables.tenants).where(tables.tenants.c.tenant_id == CELL, tables.tenants.c.id == tenant_id)
    )


def raise_epoch(tx: Tx, *epochs: Epoch) -> None:
    """Count up what changed in the transaction's tenant."""
    table = tables.tenant_state
    tx.execute(
        update(table)
        .where(table.c.tenant_id == tx.tenant_id)
        .values({epoch.value: table.c[epoch.value] + 1 for epoch in epochs})
    )


def raise_subjects(tx: Tx) -> int:
    """Count up the subject epoch: the new one, for the rows that change with it. One round trip.

    Nobody else counts it up until this transaction ends, so that epochs are in the order of commits.
    """
    table = tables.tenant_state
    counted = (
        update(table)
        .where(table.c.tenant_id == tx.tenant_id)
        .values(subject_epoch=table.c.subject_epoch + 1)
        .returning(table.c.subject_epoch)
    )
    return int(tx.execute(counted).scalar_one())


def raise_under_policy(tx: Tx, epoch: Epoch, decided: int) -> None:
    """Count up an epoch, if the policy epoch is still `decided`, under which this transaction decides.

    Until the transaction ends nobody else can. Clash when the policy is another one: what was read of it, and
    what was decided by it, is out of date.
    """
    table = tables.tenant_state
    moved = tx.execute(
        update(table)
        .where(table.c.tenant_id == tx.tenant_id, table.c.policy_epoch == decided)
        .values({epoch.value: table.c[epoch.value] + 1})
    )
    if moved.rowcount != 1:
        raise Clash


_leaves = tables.leaf_sequences
_TAKE = Select(
    update(_leaves)
    .where(_leaves.c.tenant_id == bindparam("tenant_id"))
    .values(next=_leaves.c.next + bindparam("count", type_=BigInteger))
    .returning(_leaves.c.epoch, _leaves.c.next)
)
_KEY_EPOCH = Select(
    select(tables.tenant_state.c.key_epoch).where(tables.tenant_state.c.tenant_id == bindparam("tenant_id"))
)


def take_leaves_for_now(tx: Tx, count: int) -> tuple[int, int, int]:
    """As `take_leaves`, and the key epoch as of then, not of the transaction's first statement. One trip."""
    ((epoch, following),), ((keys,),) = tx.ask((_TAKE, {"count": count}), (_KEY_EPOCH, {}))
    return int(epoch), int(following) - count, int(keys)


def take_leaves(tx: Tx, count: int) -> tuple[int, int]:
    """Reserve `count` leaves: (restore epoch, first sequence). Never handed out again. One round trip."""
    return take_leaves_for_now(tx, count)[:2]


def lock_leaves(tx: Tx) -> None:
    """Let nobody take leaves until this transaction ends."""
    table = tables.leaf_sequences
    tx.execute(select(table.c.next).where(table.c.tenant_id == tx.tenant_id).with_for_update())


def purge(tx: Tx, limit: int, *, ledger: bool = False) -> int:
    """Delete some of the rows of the transaction's tenant; how many. 0: all are gone.

    Those of its ledger only with `ledger`.
    """
    for table in tables.metadata.sorted_tables:
        if table.name in tables.LEDGER and not ledger:
            continue
        key = list(table.primary_key.columns)
        some = select(*key).where(table.c.tenant_id == tx.tenant_id).limit(limit)
        gone = tx.execute(delete(table).where(tuple_(*key).in_(some))).rowcount
        if gone:
            return gone
    return 0


def leaf_sequence(tx: Tx) -> tuple[int, int]:
    """(restore epoch, next sequence) of the transaction's tenant."""
    table = tables.leaf_sequences
    row = tx.execute(select(table.c.epoch, table.c.next).where(table.c.tenant_id == tx.tenant_id)).one()
    return row.epoch, row.next


def access_since(tx: Tx) -> int:
    """From when on this tenant's accesses are all kept, where a rule counts from them."""
    table = tables.tenant_state
    query = select(table.c.access_since).where(table.c.tenant_id == tx.tenant_id)
    return int(tx.execute(query).scalar_one())


def forget_accesses(tx: Tx, at: int) -> None:
    """After a restore: records may have been read until now, and the database has forgotten it."""
    table = tables.tenant_state
    tx.execute(update(table).where(table.c.tenant_id == tx.tenant_id).values(access_since=at))


def begin_leaf_epoch(tx: Tx, epoch: int) -> None:
    """After a restore: number on in a range that no lost state can have used."""
    table = tables.leaf_sequences
    tx.execute(update(table).where(table.c.tenant_id == tx.tenant_id).values(epoch=epoch, next=0))
