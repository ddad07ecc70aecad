"""Processes of one cell: who is alive, which key state each works with, and which of them erases.

Leases are counted by the database's clock, so that no two machines need to agree on the time. Everything here
runs in cell transactions.
"""

from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, text, update

from tenure.ids import CELL
from tenure.store import clock, tables
from tenure.store.clock import SECOND
from tenure.store.session import Tx

_r, _c = tables.replicas, tables.coordinator
_FORGET_S = 3600
# Transactions of Tenure's own role in this database that are under way, as PostgreSQL numbers them while
# they live. Every transaction holds the lock on its own number; all of this is visible to any role.
_OPEN = text(
    "SELECT l.virtualtransaction FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND a.datname = current_database()"
    " AND a.usename = current_user AND l.pid <> pg_backend_pid()"
)


class Replica(NamedTuple):
    """One process. `seq` is the newest key state that it acknowledged: it holds no key of an older one."""

    id: str
    seq: int
    live: bool


def enlist(tx: Tx, replica_id: str, seq: int, *, lease_s: float) -> None:
    """Begin a lease: a new process, or one whose lease ran out. Rows of the long dead are dropped."""
    now = clock.now(tx)
    long_dead = _r.c.lease_until < now - _FORGET_S * SECOND
    tx.execute(delete(_r).where(_r.c.tenant_id == CELL, long_dead | (_r.c.id == replica_id)))
    until = now + int(lease_s * SECOND)
    tx.execute(insert(_r).values(tenant_id=CELL, id=replica_id, seq=seq, lease_until=until))


def renew(tx: Tx, replica_id: str, seq: int, *, lease_s: float) -> bool:
    """Renew a lease and acknowledge key state `seq`; False when it had run out already."""
    now = clock.now(tx)
    done = tx.execute(
        update(_r)
        .where(_r.c.tenant_id == CELL, _r.c.id == replica_id, _r.c.lease_until > now)
        .values(seq=seq, lease_until=now + int(lease_s * SECOND))
    )
    return done.rowcount == 1


def retire(tx: Tx, replica_id: str) -> None:
    """End the lease of a process that stops. Who sees it next (`bury`) looks after what it left."""
    mine = (_r.c.tenant_id == CELL, _r.c.id == replica_id)
    tx.execute(update(_r).where(*mine).values(lease_until=0))


def bury(tx: Tx) -> int:
    """Drop the processes whose lease is over; how many. Of several that ask, one learns of each."""
    over = (_r.c.tenant_id == CELL, _r.c.lease_until < clock.now(tx))
    return int(tx.execute(delete(_r).where(*over)).rowcount)


def every(tx: Tx) -> list[Replica]:
    """All processes that are known."""
    rows = tx.execute(
        select(_r.c.id, _r.c.seq, _r.c.lease_until > clock.now(tx))
        .where(_r.c.tenant_id == CELL)
        .order_by(_r.c.id)
    )
    return [Replica(replica_id, seq, bool(live)) for replica_id, seq, live in rows]


def living(tx: Tx) -> int:
    """How many processes have a lease that runs."""
    mine = (_r.c.tenant_id == CELL, _r.c.lease_until > clock.now(tx))
    return int(tx.execute(select(func.count()).where(*mine)).scalar_one())


def open_transactions(tx: Tx) -> set[str]:
    """Transactions of this cell that are under way now, this one excepted. SQLite's only writer is this."""
    if tx.connection.dialect.name == "sqlite":
        return set()
    return set(tx.execute(_OPEN).scalars())


def coordinate(tx: Tx, replica_id: str, *, floor: int) -> int | None:
    """The term in which this process may erase; None while another process that lives does.

    A term is above `floor` and above every earlier one. Whatever an earlier coordinator still has in hand
    can be told from what belongs to this one, whenever that process wakes up.
    """
    found = tx.execute(
        select(_c.c.replica_id, _c.c.term).where(_c.c.tenant_id == CELL).with_for_update()
    ).one_or_none()
    if found is None:
        tx.execute(insert(_c).values(tenant_id=CELL, replica_id=replica_id, term=floor + 1))
        return floor + 1
    if found.replica_id == replica_id and found.term >= floor:
        return int(found.term)
    if found.replica_id != replica_id and any(one.live for one in every(tx) if one.id == found.replica_id):
        return None
    new = int(max(found.term, floor)) + 1
    tx.execute(update(_c).where(_c.c.tenant_id == CELL).values(replica_id=replica_id, term=new))
    return new


def term(tx: Tx, replica_id: str) -> int | None:
    """The term in which this process erases; None when it does not."""
    mine = select(_c.c.term).where(_c.c.tenant_id == CELL, _c.c.replica_id == replica_id)
    found: int | None = tx.execute(mine).scalar_one_or_none()
    return found
