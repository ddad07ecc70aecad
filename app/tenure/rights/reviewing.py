"""The step of a review: Art. 22(3), a person looks at what was decided automatically."""

from tenure.model.rightsrequest import RightsRequest
from tenure.rights.progress import Outcome

_WAITS = (
    "A second officer looks at the decisions that the dry run names, and says how it ended: "
    "POST /v1/requests/{id}:conclude with upheld, changed or annulled."
)


async def review(_tenant_id: str, request: RightsRequest) -> Outcome:
    """Wait for an officer's word."""
    concluded = request.steps.get("concluded")
    if concluded is None:
        return Outcome({"waits_for": _WAITS}, done=False)
    return Outcome({"outcome": concluded["outcome"], "by": concluded["by"], "at": concluded["at"]})
