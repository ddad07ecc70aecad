"""How many committed entries of each tenant wait for their place, or to be published, as this process knows.

Nothing is asked of the database for it: a lane says what it committed, the sequencer what it found when it
last looked. What is committed while a transaction of the sequencer is under way may be counted twice until
the next one. A tenant with nothing waiting is not kept. Used on the event loop only.
"""

from typing import NamedTuple

from tenure.errors import Unavailable

MAX_BACKLOG = 100_000
_RETRY_S = 5


class Waiting(NamedTuple):
    """Entries of one tenant: committed here and not known to have a place; placed; published."""

    unplaced: int = 0
    size: int = 0
    published: int = 0

    @property
    def unpublished(self) -> int:
        """Entries with a place that are not published."""
        return max(self.size - self.published, 0)


class Backlog:
    """Counts, and refuses new operations of a tenant whose log has fallen too far behind."""

    def __init__(self, most: int = MAX_BACKLOG) -> None:
        self._most = most
        self._waiting: dict[str, Waiting] = {}

    def __len__(self) -> int:
        """Tenants of which something waits."""
        return len(self._waiting)

    def of(self, tenant_id: str) -> Waiting:
        """What waits of a tenant."""
        return self._waiting.get(tenant_id, Waiting())

    def committed(self, tenant_id: str, count: int) -> None:
        """This process committed entries."""
        now = self.of(tenant_id)
        self._keep(tenant_id, now._replace(unplaced=now.unplaced + count))

    def placed(self, tenant_id: str, count: int, *, size: int, published: int) -> None:
        """Of the unplaced so many have their places now; where the log stands."""
        self._keep(tenant_id, Waiting(max(self.of(tenant_id).unplaced - count, 0), size, published))

    def published(self, tenant_id: str, size: int) -> None:
        """The log is published up to `size`."""
        now = self.of(tenant_id)
        self._keep(tenant_id, now._replace(published=max(now.published, size)))

    def forget(self, tenant_id: str) -> None:
        """The tenant is gone."""
        self._waiting.pop(tenant_id, None)

    def admit(self, tenant_id: str) -> None:
        """Unavailable when too much waits: more would only make it longer. It ends by itself."""
        now = self._waiting.get(tenant_id)
        if now is None or now.unplaced + now.unpublished < self._most:
            return
        if now.unplaced > now.unpublished:
            what, where = "their place in the log", "the database"
        else:
            what, where = "publication", "the object store and the mirror"
        raise Unavailable(
            f"{now.unplaced + now.unpublished} committed ledger entries of this tenant wait for {what};"
            " nothing was done.",
            retry_after=_RETRY_S,
            remedy=f"Try again after retry_after seconds. If it lasts, look at {where}: the service's log"
            " says what fails. Nothing that was acknowledged is lost.",
        )

    def _keep(self, tenant_id: str, waiting: Waiting) -> None:
        if waiting.unplaced or waiting.unpublished:
            self._waiting[tenant_id] = waiting
        else:
            self._waiting.pop(tenant_id, None)
