"""Statements on a PostgreSQL connection in libpq's pipeline mode: one round trip for any number.

This is psycopg's own libpq binding (`psycopg.pq`) without its cursors: a batch's six statements cost tens of
microseconds instead of most of a millisecond. The connection stays usable by psycopg between calls.
PostgreSQL documentation, "Pipeline Mode" §34.5.
"""

import itertools
import select
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psycopg import errors, pq

from tenure.store.pgtext import Decode
from tenure.store.statements import Row, Sent

if TYPE_CHECKING:
    import psycopg

_ANEW = 32
"""After so many round trips plans are made anew; then after twice as many, and so on. A plan is kept for the
size that tables had then, and of a table with next to no rows every index is as good as any other: it may
read all of the tenant's rows. Statistics, which would have it made anew, come minutes later."""
_DISCARD = b"DISCARD PLANS"
_DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class Pipeline:
    """Runs statements of one connection. Not safe for two threads at once."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._pgconn = connection.pgconn
        self._prepared: dict[bytes, bytes] = {}
        self._names = itertools.count()
        self._runs, self._anew = 0, _ANEW

    def run(self, statements: Sequence[Sent]) -> list[list[Row]]:
        """One round trip; each statement's rows. Raises psycopg's error of the first that failed."""
        conn = self._pgconn
        conn.enter_pipeline_mode()
        fresh: dict[bytes, bytes] = {}
        answers: list[Sent | None] = []  # whose result comes when; None: nobody's
        self._runs += 1
        if self._runs >= self._anew and conn.transaction_status == pq.TransactionStatus.IDLE:
            self._anew *= 2
            conn.send_query_params(_DISCARD, None)
            answers.append(None)
        for statement in statements:
            name = self._prepared.get(statement.sql) or fresh.get(statement.sql)
            if name is None:
                name = fresh[statement.sql] = b"tenure_%d" % next(self._names)
                conn.send_prepare(name, statement.sql)
                answers.append(None)
            conn.send_query_prepared(name, statement.params or None)
            answers.append(statement)
        conn.pipeline_sync()
        results, failure = self._collect()
        conn.exit_pipeline_mode()
        if failure is not None:
            raise failure
        self._prepared |= fresh
        return [
            _rows(result, asked.decoders)
            for result, asked in zip(results, answers, strict=True)
            if asked is not None
        ]

    def _collect(self) -> tuple[list["pq.abc.PGresult"], Exception | None]:
        """Results in order up to the sync, and the first failure; after one the rest is not run."""
        conn = self._pgconn
        poll = select.poll()
        results: list[pq.abc.PGresult] = []
        failure: Exception | None = None
        flushing = conn.flush()
        while True:
            while conn.is_busy():
                poll.register(conn.socket, select.POLLIN | (select.POLLOUT if flushing else 0))
                poll.poll()
                if flushing:
                    flushing = conn.flush()
                conn.consume_input()
            result = conn.get_result()
            if result is None:
                continue  # the end of one statement's results
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return results, failure
            if result.status in _DONE:
                results.append(result)
            elif result.status != pq.ExecStatus.PIPELINE_ABORTED and failure is None:
                failure = errors.error_from_result(result)


def _rows(result: "pq.abc.PGresult", decoders: Sequence[Decode]) -> list[Row]:
    """Column by column: one decoder after the other, and no generator for each row."""
    get, rows = result.get_value, range(result.ntuples)
    columns = [
        [None if (value := get(row, column)) is None else decode(value) for row in rows]
        for column, decode in enumerate(decoders)
    ]
    return list(zip(*columns, strict=True))
