"""Gaps that may yet turn out to be none.

What is compressed twice stands in the outer container almost as it is: the inner one's mark is seen there
too, and a stream that begins at it soon breaks. Nothing was missed, if the outer container ends as it should:
all its bytes are then accounted for by what came out of it. So a gap inside of a container that is still
open is held back until that is known.
"""

from collections.abc import Callable
from typing import Final

from tenure.residue.tally import Chain

MOST: Final = 1000
"""Gaps held back at once; more are passed on as they are."""


class Held:
    """The gaps of one layer, on their way to `report`."""

    def __init__(self, report: Callable[[str, Chain, int, int | None], None]) -> None:
        self._report = report
        self._waiting: list[tuple[int, tuple[str, Chain, int, int | None]]] = []
        self._whole: list[tuple[int, int]] = []

    def gap(self, at: int, reason: str, chain: Chain, offset: int, inner: int | None) -> None:
        """Something at `at` in the layer was not looked into."""
        if len(self._waiting) < MOST:
            self._waiting.append((at, (reason, chain, offset, inner)))
        else:
            self._report(reason, chain, offset, inner)

    def whole(self, begin: int, end: int) -> None:
        """A container from `begin` to before `end` ended as it should."""
        self._whole.append((begin, end))

    def settle(self, still_open: list[int]) -> None:
        """Pass on, drop or keep what waits, given where the containers that are still open began."""
        first = min(still_open, default=None)
        waiting = []
        for at, gap in self._waiting:
            if any(begin < at < end for begin, end in self._whole):
                continue
            if first is not None and first < at:
                waiting.append((at, gap))
            else:
                self._report(*gap)
        self._waiting = waiting
        # A later gap can only lie in these while something that began before their end is open.
        self._whole = [one for one in self._whole if first is not None and first < one[1]]
