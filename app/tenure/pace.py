"""How soon a log that keeps growing is published again: by what the last round took of the processor.

A round costs about the same for one entry as for a thousand, and a busy agent's entries keep coming. On a
machine with time to spare it makes no difference; on a busy one rounds become fewer and take more along.
Rounds that wait for witnesses are not held up further.
"""

import time
from collections import OrderedDict
from typing import Final

SHARE: Final = 20
"""Of a core's time, rounds of one log take one part in so many at most."""
LONGEST_S: Final = 0.5
MOST: Final = 512
"""Logs that are remembered; one that was forgotten is not held up."""


class Pace:
    """When each log may begin its next round. Used on the event loop only."""

    def __init__(self) -> None:
        self._from: OrderedDict[str, float] = OrderedDict()

    def took(self, tenant_id: str, begun: float, cpu_s: float) -> None:
        """A round that began then (`time.monotonic`) took so much of the processor."""
        self._from[tenant_id] = begun + min(cpu_s * SHARE, LONGEST_S)
        self._from.move_to_end(tenant_id)
        if len(self._from) > MOST:
            self._from.popitem(last=False)

    def wait_s(self, tenant_id: str) -> float:
        """How long the next round has to wait; 0 when it may begin."""
        return max(self._from.get(tenant_id, 0.0) - time.monotonic(), 0.0)
