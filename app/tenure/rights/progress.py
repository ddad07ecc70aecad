"""What a step of the execution did, kept with its request."""

from typing import Any, Final, NamedTuple

from tenure.crew import Desk
from tenure.rights import acting
from tenure.store import rights as store

TROUBLE: Final = "trouble"
WAITS: Final = "waits_for"
"""In what a step found: what it waits for, in words."""


class Outcome(NamedTuple):
    """What a step came to: what it `found`, for the request's progress; `done`: the next one may begin.

    `more`: if it is not done, it goes on at once and waits for nothing.
    """

    found: dict[str, Any]
    done: bool = True
    more: bool = False

    def kept(self) -> dict[str, Any]:
        """As it stands in the progress. What is done waits for nothing, whatever it waited for before."""
        if not self.done:
            return self.found
        return {name: value for name, value in self.found.items() if name != WAITS} | {"done": True}

    def line(self, name: str) -> str:
        """As it stands in the timeline."""
        return name if self.done else f"{name}-goes-on" if self.more else f"{name}-waits"


def keep(desk: Desk, request_id: str, name: str, outcome: Outcome) -> None:
    """Keep what a step did, once: in the transaction that did it where doing it twice would do harm."""
    request = store.get(desk.tx, request_id, lock=True)
    if request is None:
        return
    before = request.steps.get(name, {})
    if before.get("done") or (before == outcome.kept() and TROUBLE not in request.steps):
        return
    after = request.progressed(name, outcome.kept()).without(TROUBLE)
    acting.went_on(desk, request, outcome.line(name), progress=after.progress)


def trouble(desk: Desk, request_id: str, error: str) -> None:
    """What an officer sees while a step fails again and again: the kind of failure, once on record."""
    request = store.get(desk.tx, request_id, lock=True)
    if request is None or request.steps.get(TROUBLE, {}).get("error") == error:
        return
    said = {"error": error, "waits_for": f"A step failed ({error}) and is tried again. The log says where."}
    acting.went_on(desk, request, TROUBLE, progress=request.progressed(TROUBLE, said).progress)
