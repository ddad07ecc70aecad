"""This process among the cell's others: a lease, and word of which key state it works with.

A thread of its own beats about once a second:

    1 look        which key state is live
    2 forget      opened keys of older ones, here, in this process
    3 renew       the lease, acknowledging that state
    4 bury        processes whose lease is over: what they committed may wait for somebody (`leftovers`)

A batch of erasures waits for exactly this of everyone (`Fence`). A process that is paused or cut off stops
renewing, is no longer waited for once its lease has run out, and hands nothing out after that: `lasts` counts
from before the renewal was sent, so that this end of the lease is never later than the database's.
"""

import threading
import time
from collections.abc import Callable

import structlog

from tenure import ids
from tenure.ids import CELL
from tenure.keyring import Keyring
from tenure.store import replicas
from tenure.store.database import Database
from tenure.store.session import Tx
from tenure.tenancy import Tenancies

_BEATS = 5
_MOST_S = 1.0
_log = structlog.get_logger(__name__)


class Replica:
    """One process and its lease."""

    def __init__(self, database: Database, keyring: Keyring, tenancies: Tenancies, *, lease_s: float) -> None:
        self.id = ids.new_id()
        self._database = database
        self._keyring = keyring
        self._tenancies = tenancies
        self.lease_s = lease_s
        self._until = 0.0
        self.live = 1
        """How many processes serve this cell, as of the last beat: they share a tenant's limits."""
        self.at_work = threading.Lock()
        """Held by whoever opens keys beside the batches, as long as they are open (`inspection.patrol`)."""
        self._stop = threading.Event()
        self._buried: Callable[[], None] = lambda: None
        # SQLite's file has one process (`bootstrap`): nobody waits for it, and it waits for nobody.
        self._alone = database.dialect == "sqlite"
        self._thread = threading.Thread(target=self._serve, name="tenure-replica", daemon=True)

    @property
    def tag(self) -> str:
        """What the writers of this process begin with: 8 hex digits, random."""
        return tag_of(self.id)

    def tags(self) -> set[str]:
        """The tags of all processes that may be writing, this one among them. One round trip."""
        if self._alone:
            return {self.tag}
        return {self.tag, *(tag_of(one.id) for one in self._database.read(CELL, replicas.every))}

    def on_burial(self, buried: Callable[[], None]) -> None:
        """Be told, in the beating thread, when another process has ended, well or not."""
        self._buried = buried

    def start(self) -> None:
        """Enlist, and beat from now on. Raises what the database raises."""
        self.beat()
        self._thread.start()

    def stop(self) -> None:
        """Beat no more and end the lease."""
        self.abandon()
        if not self._alone:
            self._database.write(CELL, lambda tx: replicas.retire(tx, self.id))

    def abandon(self) -> None:
        """Beat no more; the lease runs out by itself."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def lasts(self) -> bool:
        """Whether what this process opened may still be handed out."""
        return self._alone or time.monotonic() < self._until

    def settle(self) -> None:
        """Wait until keys that were opened beside the batches are wiped; later ones are of the live state."""
        with self.at_work:
            pass

    def beat(self) -> int:
        """Steps 1 to 4; the number of the key state acknowledged."""
        began = time.monotonic()
        seq = self._keyring.live().pointer.seq
        self._tenancies.forget_keys(seq)
        buried = 0
        if not self._alone:
            buried = self._database.write(CELL, lambda tx: self._renew(tx, seq))
        self._until = began + self.lease_s
        if buried:
            self._buried()
        return seq

    def _renew(self, tx: Tx, seq: int) -> int:
        if not replicas.renew(tx, self.id, seq, lease_s=self.lease_s):
            replicas.enlist(tx, self.id, seq, lease_s=self.lease_s)
        self.live = max(1, replicas.living(tx))
        return replicas.bury(tx)

    def _serve(self) -> None:
        while not self._stop.wait(min(_MOST_S, self.lease_s / _BEATS)):
            try:
                self.beat()
            except Exception as failure:  # noqa: BLE001 - the lease runs out, and with it the right to answer
                _log.warning("the lease was not renewed", error=type(failure).__name__)


def tag_of(replica_id: str) -> str:
    """The last 8 hex digits of a process's id, which are random; the first ones are the time."""
    return replica_id[-8:]


class Fence:
    """Step 6 of a batch: nobody works with an older key state any more, or may still answer from one."""

    def __init__(self, database: Database, seq: int) -> None:
        """Made after the swap to `seq` was committed."""
        self._database = database
        self._seq = seq
        # Whatever began before the swap may have read the old epoch. PostgreSQL ends those that stand still
        # (`idle_in_transaction_session_timeout`), so that a paused process holds nobody up for ever.
        self._older = database.read(CELL, replicas.open_transactions)

    def waiting(self) -> tuple[int, int]:
        """(processes, transactions) that are still waited for: passed when both are 0. Two round trips."""

        def look(tx: Tx) -> tuple[int, int]:
            behind = sum(one.live and one.seq < self._seq for one in replicas.every(tx))
            self._older &= replicas.open_transactions(tx) if self._older else self._older
            return behind, len(self._older)

        return self._database.read(CELL, look)


def root_op(batch: str, seq: int, attempt: int, term: int) -> str:
    """The operation that makes a root version: for which batch and key state, in which term."""
    return f"{batch}.{seq}.{attempt}.{term}"


def term_of(op_id: str) -> int:
    """The term of a `root_op`; 0 for the cell's first root version."""
    batch, _, last = op_id.rpartition(".")
    return int(last) if "." in batch and last.isdigit() else 0
