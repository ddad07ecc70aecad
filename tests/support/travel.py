"""Time in tests: the process's clock and the database's, moved together."""

from dataclasses import dataclass

import pytest

from tenure import ids
from tenure.store import clock

HOUR_US = 3_600_000_000
_now, _read = ids.now, clock.read


@dataclass
class Travel:
    """How far ahead it is, in microseconds."""

    ahead: int = 0

    def on(self, *, days: float = 0, hours: float = 0) -> None:
        """So much later."""
        self.ahead += int((days * 24 + hours) * HOUR_US)

    @classmethod
    def begun(cls, patch: pytest.MonkeyPatch) -> "Travel":
        """From now on, until the patch is undone."""
        travel = cls()
        patch.setattr(ids, "now", lambda: _now() + travel.ahead)
        patch.setattr(clock, "read", lambda tx: _read(tx) + travel.ahead)
        return travel
