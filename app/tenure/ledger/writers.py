"""Writers' counters: an entry dropped before it was sequenced leaves a gap here.

Each server process numbers its entries from 0 under an id of its own, without gaps, and the log keeps
them in that order. Its last entry says so (`writer.end`).
"""

from tenure.ledger.entry import Kind
from tenure.ledger.report import Failure


class WriterCounters:
    """Follows every (writer, n) through a log, in the log's order."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._ended: set[str] = set()

    def __len__(self) -> int:
        """How many writers were seen."""
        return len(self._next)

    @property
    def unfinished(self) -> int:
        """Writers without an end: whether they wrote more than is here cannot be told."""
        return len(self._next) - len(self._ended)

    def see(self, index: int, kind: str, writer: str, n: int) -> Failure | None:
        """Take the next entry; "writer-gap" or "writer-order" when its number is not the one due."""
        due = self._next.get(writer, 0)
        self._next[writer] = max(due, n + 1)
        after_end = writer in self._ended
        if kind == Kind.WRITER_END:
            self._ended.add(writer)
        if n > due:
            return Failure(
                "writer-gap", f"Writer {writer}: {n - due} entries from number {due} on are missing.", index
            )
        if n < due:
            return Failure("writer-order", f"Writer {writer}: number {n} comes after {due - 1}.", index)
        if after_end:
            return Failure(
                "writer-order", f"Writer {writer}: number {n} comes after the writer's end.", index
            )
        return None
