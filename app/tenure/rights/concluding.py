"""An officer's word on what a request waits for: what a search found, or how a decision was reviewed.

A word on a search is said of that search alone (`of`): what a later one finds waits for a word of its own.
"""

from typing import Any

from tenure import ids
from tenure.errors import Conflict, Denied, Invalid
from tenure.governance.service import Seat
from tenure.model.rightsrequest import CONCLUSIONS, RightsRequest, State
from tenure.rights import acting
from tenure.rights.deciding import no_second_person


def conclude(seat: Seat, request_id: str, outcome: str) -> RightsRequest | Denied:
    """Say one of the words of `CONCLUSIONS`. By a second person. Raises Conflict when it waits for none."""
    request = acting.found(seat.desk, request_id, lock=True)
    if (refusal := no_second_person(seat, request)) is not None:
        return refusal
    acting.require(request, State.EXECUTING, State.VERIFYING, verb="concluded")
    waits = next((name for name in CONCLUSIONS if _asks(request.steps.get(name, {}))), None)
    if waits is None:
        raise Conflict(
            "The request does not wait for an officer; nothing was done.",
            field="id",
            rule="a request that says so under `next`",
            remedy="See what it waits for with GET /v1/requests/{id}.",
        )
    words = CONCLUSIONS[waits]
    if outcome not in words:
        raise Invalid(
            f"That is no word on what this request waits for: {waits}. Nothing was done.",
            field="outcome",
            rule=f"one of {', '.join(words)}",
            remedy="; ".join(f"{word}: {meaning}" for word, meaning in words.items()) + ".",
        )
    found = {name: one for name, one in request.steps[waits].items() if name != "waits_for"}
    said = {"at": ids.rfc3339(seat.desk.now), "by": seat.principal.id, "outcome": outcome}
    if "finished_at" in found:
        said["of"] = found["finished_at"]
    after = request.progressed(waits, found).progressed("concluded", {**said, "done": True})
    return acting.moved(seat, request, "concluded", progress=after.progress, said={"outcome": outcome})


def _asks(found: dict[str, Any]) -> bool:
    """Whether a step waits for a word; a search that was accepted may still wait for a certificate."""
    return "waits_for" in found and not found.get("accepted") and found.get("verdict") != "clean"
