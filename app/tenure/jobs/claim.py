"""This process's claim on a job, renewed by a thread of its own as long as the run goes on.

Like the lease of a process (`governance.replica`): the end here is counted from before a renewal was sent, so
it is never later than the one in the database. A process that was paused past it knows so before it takes its
next step; a claim that ran out is never renewed, even if nobody has taken over.
"""

import contextlib
import threading
import time
from collections.abc import Callable

import structlog

from tenure.ids import CELL
from tenure.store import jobs as store
from tenure.store.database import Database

_BEATS = 5
_MOST_S = 1.0
_SECOND = 1_000_000
_log = structlog.get_logger(__name__)


class Claim:
    """The right of one run to go on."""

    def __init__(
        self,
        database: Database,
        name: str,
        number: int,
        *,
        lease_s: float,
        began: float,
        lost: Callable[[], object],
    ) -> None:
        """`began`: this process's clock before the claim was sent. `lost` is called in the thread, once."""
        self._database = database
        self._name = name
        self._number = number
        self._lease_s = lease_s
        self._until = began + lease_s
        self._lost = lost
        self._gone = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"tenure-job-{name}", daemon=True)

    def start(self) -> None:
        """Renew from now on."""
        self._thread.start()

    def end(self) -> None:
        """Renew no more. Waits for a renewal that is under way."""
        self._over.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def lasts(self) -> bool:
        """Whether nobody else can have the job now."""
        return not self._gone and time.monotonic() < self._until

    def _serve(self) -> None:
        while not self._over.wait(min(_MOST_S, self._lease_s / _BEATS)):
            self._beat()
            if not self.lasts():
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
                    self._lost()
                return

    def _beat(self) -> None:
        began = time.monotonic()
        try:
            mine = self._database.write(
                CELL,
                lambda tx: store.renew(tx, self._name, self._number, lease_us=int(self._lease_s * _SECOND)),
            )
        except Exception as failure:  # noqa: BLE001 - the claim runs out, and with it the right to go on
            _log.warning("a job's claim was not renewed", job=self._name, error=type(failure).__name__)
            return
        if mine:
            self._until = began + self._lease_s
        elif not self._over.is_set():
            self._gone = True
